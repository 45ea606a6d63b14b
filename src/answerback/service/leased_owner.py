"""Who relays where any number of processes may: on a PostgreSQL ledger, each has its share of the endpoints."""

from typing import TYPE_CHECKING

from answerback.config import ServerRole, Settings
from answerback.ledger.backends.postgresql.notifier import Bell
from answerback.service.factories import wanted_endpoints
from answerback.service.urls import URL_NAME

if TYPE_CHECKING:
    from answerback.alerts import Alerts
    from answerback.relay import Relay

ALERTS = "alerts"
"""The duty to alert people."""


class Sharing:
    """The process among the others: it claims endpoints and duties if that is its role, and hears what others did."""

    def __init__(self, settings: Settings, relay: "Relay", alerts: "Alerts", member: str) -> None:
        from answerback.relay import Share

        assert settings.ledger.store is not None  # noqa: S101  # only there many may share
        self._settings = settings
        self._relay = relay
        self._alerts = alerts
        self._bell = Bell(settings.ledger.store.get_secret_value(), member)
        self._share = Share(member=member, ring=self._bell.ring, duties={ALERTS: alerts.watch})
        self._relays = ServerRole.RELAY in settings.server.roles
        self._answers = ServerRole.API in settings.server.roles
        self._url_file = settings.server.data_dir / URL_NAME
        self._announced = False

    async def take(self) -> None:
        """Begin to take part. Raises ConfigError where an endpoint is unfit."""
        await self._relay.join(self._share, wanted_endpoints(self._settings), claims=self._relays)
        self._bell.start(self._relay.heard)

    def announce(self, url: str) -> None:
        """Tell the command line where the API is."""
        if self._answers:
            new = self._url_file.with_suffix(".new")
            new.write_text(url)
            new.replace(self._url_file)
            self._announced = True

    async def leave(self) -> None:
        """Give back what is held, and let the others know."""
        await self._relay.stop(self._settings.relay.drain_timeout_s)
        await self._bell.stop()
        if self._announced:
            self._url_file.unlink(missing_ok=True)
