"""Who relays where one process at a time may: on a SQLite ledger."""

import asyncio
import fcntl
from typing import TYPE_CHECKING

import structlog

from answerback.config import ServerRole, Settings
from answerback.errors import ConfigError, LedgerUnavailable
from answerback.service.factories import wanted_endpoints
from answerback.service.urls import URL_NAME

if TYPE_CHECKING:
    from answerback.alerts import Alerts
    from answerback.relay import Relay

LOCK_NAME = "relay.lock"

_TAKE_AGAIN_S = 2.0

log = structlog.get_logger("answerback.service")


class Post:
    """The right to relay, and to alert people: of the gateways on one data directory one has it, then the next one.

    While it is held, the data directory tells under which URL the relay can be asked.
    """

    def __init__(self, settings: Settings, relay: "Relay", alerts: "Alerts") -> None:
        self._settings = settings
        self._relay = relay
        self._alerts = alerts
        self._lock = (settings.server.data_dir / LOCK_NAME).open("ab")
        self._url_file = settings.server.data_dir / URL_NAME
        self._url = ""
        self._relays = ServerRole.RELAY in settings.server.roles
        self._waiting: asyncio.Task[None] | None = None

    async def take(self) -> None:
        """Begin to relay, now or as soon as it is possible. Raises ConfigError where an endpoint is unfit."""
        if self._relays and not await self._try():
            log.warning("not_relaying", reason="another gateway on this data directory does, or the ledger is away")
            self._waiting = asyncio.create_task(self._wait())

    def announce(self, url: str) -> None:
        """Tell the command line where the relay is."""
        self._url = url
        if self._relay.active:
            new = self._url_file.with_suffix(".new")
            new.write_text(url)
            new.replace(self._url_file)

    async def leave(self) -> None:
        """Stop relaying, and let the next one."""
        if self._waiting is not None:
            self._waiting.cancel()
        await self._alerts.stop()
        was_active = self._relay.active
        await self._relay.stop(self._settings.relay.drain_timeout_s)
        if was_active:
            self._url_file.unlink(missing_ok=True)
        self._lock.close()

    async def _try(self) -> bool:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            await self._relay.start(wanted_endpoints(self._settings))
            self._alerts.start()
        except (BlockingIOError, LedgerUnavailable):
            return False
        return True

    async def _wait(self) -> None:
        told = ""
        while not self._relay.active:
            await asyncio.sleep(_TAKE_AGAIN_S)
            try:
                if await self._try():
                    log.info("relaying")
                    self.announce(self._url)
            except ConfigError as error:
                if str(error) != told:
                    log.error("not_relaying", reason=str(error))  # noqa: TRY400  # the words are enough
                told = str(error)
