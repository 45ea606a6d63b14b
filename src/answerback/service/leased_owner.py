"""The owner of a share of the relay on a PostgreSQL ledger: any number of processes, by leases."""

from typing import TYPE_CHECKING

from answerback.config import ServerRole, Settings
from answerback.ledger.backends.postgresql.notifier import PgNotifier
from answerback.service.factories import config_endpoints
from answerback.service.urls import URL_NAME

if TYPE_CHECKING:
    from answerback.alerts import AlertManager
    from answerback.relay import Relay

ALERTS = "alerts"
"""The singleton task that sends alerts."""


class LeasedOwner:
    """This process in the cluster: it takes leases if it has the role relay, and gets the others' notifications."""

    def __init__(self, settings: Settings, relay: "Relay", alerts: "AlertManager", instance_id: str) -> None:
        from answerback.relay import ClusterConfig

        assert settings.ledger.url is not None  # noqa: S101  # only there many may share
        self._settings = settings
        self._relay = relay
        self._alerts = alerts
        self._notifier = PgNotifier(settings.ledger.url.get_secret_value(), instance_id)
        self._cluster = ClusterConfig(
            instance_id=instance_id, notify=self._notifier.notify, singletons={ALERTS: alerts.run_forever}
        )
        self._has_relay_role = ServerRole.RELAY in settings.server.roles
        self._has_api_role = ServerRole.API in settings.server.roles
        self._url_file = settings.server.data_dir / URL_NAME
        self._wrote_url_file = False

    async def acquire(self) -> None:
        """Join the cluster. Raises ConfigError where an endpoint is invalid."""
        await self._relay.join(self._cluster, config_endpoints(self._settings), takes_leases=self._has_relay_role)
        self._notifier.start(self._relay.on_notification)

    def write_url_file(self, url: str) -> None:
        """Write the URL for the command line."""
        if self._has_api_role:
            new = self._url_file.with_suffix(".new")
            new.write_text(url)
            new.replace(self._url_file)
            self._wrote_url_file = True

    async def release(self) -> None:
        """Release the leases, and notify the others."""
        await self._relay.stop(self._settings.relay.shutdown_timeout_s)
        await self._notifier.stop()
        if self._wrote_url_file:
            self._url_file.unlink(missing_ok=True)
