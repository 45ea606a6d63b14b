"""Who relays: on a SQLite ledger one process at a time, by a file lock; on PostgreSQL any number, by leases."""

import asyncio
import fcntl
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from answerback.config import ServerRole, Settings
from answerback.errors import ConfigError, LedgerUnavailable
from answerback.ledger.backends.postgresql.notifier import PgNotifier
from answerback.service.factories import config_endpoints
from answerback.service.urls import URL_NAME

if TYPE_CHECKING:
    from answerback.alerts import AlertManager
    from answerback.relay import Relay

RELAY_LOCK = "relay.lock"

_ACQUIRE_RETRY_S = 2.0

log = structlog.get_logger("answerback.service")

ALERTS = "alerts"
"""The singleton task that sends alerts."""

SingletonJobs = Mapping[str, Callable[[], Awaitable[None]]]
"""What else one process of a ledger does, by name."""


class FileLockOwner:
    """The right to deliver, to send alerts, and to do what else one process does: one gateway of a data directory holds it, then the next one.

    While it is held, a file in the data directory holds the URL of its API.
    """

    def __init__(self, settings: Settings, relay: "Relay", alerts: "AlertManager", tasks: SingletonJobs) -> None:
        self._settings = settings
        self._relay = relay
        self._alerts = alerts
        self._tasks = tasks
        self._running: list[asyncio.Future[None]] = []
        self._lock = (settings.server.data_dir / RELAY_LOCK).open("ab")
        self._url_file = settings.server.data_dir / URL_NAME
        self._url = ""
        self._has_relay_role = ServerRole.RELAY in settings.server.roles
        self._waiting: asyncio.Task[None] | None = None

    async def acquire(self) -> None:
        """Start the relay, now or as soon as the lock is free. Raises ConfigError where an endpoint is invalid."""
        if self._has_relay_role and not await self._try_acquire():
            log.warning("relay_standby", reason="another gateway on this data directory does, or the ledger is away")
            self._waiting = asyncio.create_task(self._acquire_later())

    async def reload(self, settings: Settings) -> None:
        """Take over the endpoints of other settings, also for when this process comes to deliver. Raises ConfigError, LedgerUnavailable."""
        await self._relay.reload(config_endpoints(settings))
        self._settings = settings

    def write_url_file(self, url: str) -> None:
        """Write the URL for the command line."""
        self._url = url
        if self._relay.is_active:
            _write_url(self._url_file, url)

    async def release(self) -> None:
        """Stop the relay, and release the lock."""
        if self._waiting is not None:
            self._waiting.cancel()
        for running in self._running:
            running.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._alerts.stop()
        was_active = self._relay.is_active
        await self._relay.stop(self._settings.relay.shutdown_timeout_s)
        if was_active:
            self._url_file.unlink(missing_ok=True)
        self._lock.close()

    async def _try_acquire(self) -> bool:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            await self._relay.start(config_endpoints(self._settings))
            self._alerts.start()
            self._running = [asyncio.ensure_future(run()) for run in self._tasks.values()]
        except (BlockingIOError, LedgerUnavailable):
            return False
        return True

    async def _acquire_later(self) -> None:
        logged = ""
        while not self._relay.is_active:
            await asyncio.sleep(_ACQUIRE_RETRY_S)
            try:
                if await self._try_acquire():
                    log.info("relay_started")
                    self.write_url_file(self._url)
            except ConfigError as error:
                if str(error) != logged:
                    log.error("relay_standby", reason=str(error))  # noqa: TRY400  # the words are enough
                logged = str(error)


class LeasedOwner:
    """This process in the cluster: it takes leases if it has the role relay, and gets the others' notifications."""

    def __init__(
        self, settings: Settings, relay: "Relay", alerts: "AlertManager", tasks: SingletonJobs, instance_id: str
    ) -> None:
        from answerback.relay import ClusterConfig

        assert settings.ledger.url is not None  # noqa: S101  # only there many may share
        self._settings = settings
        self._relay = relay
        self._alerts = alerts
        self._notifier = PgNotifier(settings.ledger.url.get_secret_value(), instance_id)
        self._cluster = ClusterConfig(
            instance_id=instance_id, notify=self._notifier.notify, singletons={ALERTS: alerts.run_forever, **tasks}
        )
        self._has_relay_role = ServerRole.RELAY in settings.server.roles
        self._has_api_role = ServerRole.API in settings.server.roles
        self._url_file = settings.server.data_dir / URL_NAME
        self._wrote_url_file = False

    async def acquire(self) -> None:
        """Join the cluster. Raises ConfigError where an endpoint is invalid."""
        await self._relay.join(self._cluster, config_endpoints(self._settings), takes_leases=self._has_relay_role)
        self._notifier.start(self._relay.on_notification)

    async def reload(self, settings: Settings) -> None:
        """Take over the endpoints of other settings, also for when this process comes to deliver. Raises ConfigError, LedgerUnavailable."""
        await self._relay.reload(config_endpoints(settings))
        self._settings = settings

    def write_url_file(self, url: str) -> None:
        """Write the URL for the command line."""
        if self._has_api_role:
            _write_url(self._url_file, url)
            self._wrote_url_file = True

    async def release(self) -> None:
        """Release the leases, and notify the others."""
        await self._relay.stop(self._settings.relay.shutdown_timeout_s)
        await self._notifier.stop()
        if self._wrote_url_file:
            self._url_file.unlink(missing_ok=True)


def _write_url(path: Path, url: str) -> None:
    new = path.with_suffix(".new")
    try:
        new.write_text(url)
        new.replace(path)
    except OSError as error:  # a full disk, say: no reason to stop
        log.warning("url_not_written", path=str(path), reason=error.strerror, todo="name it with --url")


def build_relay_owner(
    settings: Settings, relay: "Relay", alerts: "AlertManager", tasks: SingletonJobs, instance_id: str
) -> FileLockOwner | LeasedOwner:
    """The owner that fits the ledger."""
    if settings.ledger.url is None:
        return FileLockOwner(settings, relay, alerts, tasks)
    return LeasedOwner(settings, relay, alerts, tasks, instance_id)
