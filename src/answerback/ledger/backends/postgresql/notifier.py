"""LISTEN and NOTIFY between the processes of one PostgreSQL ledger: who has written what others may act on notifies them.

It is sent after the commit, over a connection of its own: in a transaction, NOTIFY would make all commits of the database
wait for each other. A notification may be lost; whoever listens also looks by itself from time to time.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from answerback.errors import MissingExtra
from answerback.ledger.backends.postgresql.server import connect_options

if TYPE_CHECKING:
    import psycopg

CHANNEL = "answerback"

_GATHER_S = 0.05  # the first one goes out at once, what follows soon after goes together
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
_ANSWER_TIMEOUT_S = 3.0
_QUIET_S = 5.0
_MAX_BYTES = 7999
_MAX_IDS = 500
_MAX_CALLS = 20

log = structlog.get_logger("answerback.ledger")


class Notification(msgspec.Struct, frozen=True, omit_defaults=True):
    """What others may act on.

    `endpoints_with_work`: endpoints to whom something may go out. `endpoints_changed`: some endpoint was. `leases_available`: it may be worth to claim leases.
    `annotated_calls`: calls that were annotated, by channel and id. `next_due_us`: when the next outcome is due.
    `full_resync`: more than fits: look at everything.
    """

    origin: str = ""
    endpoints_with_work: tuple[int, ...] = ()
    endpoints_changed: bool = False
    leases_available: bool = False
    annotated_calls: tuple[tuple[str, int], ...] = ()
    next_due_us: int | None = None
    full_resync: bool = False

    def merge(self, other: "Notification") -> "Notification":
        """Both in one."""
        endpoint_ids = tuple(dict.fromkeys((*self.endpoints_with_work, *other.endpoints_with_work)))
        due = [due_us for due_us in (self.next_due_us, other.next_due_us) if due_us is not None]
        return Notification(
            endpoints_with_work=endpoint_ids[:_MAX_IDS],
            endpoints_changed=self.endpoints_changed or other.endpoints_changed,
            leases_available=self.leases_available or other.leases_available,
            annotated_calls=tuple(dict.fromkeys((*self.annotated_calls, *other.annotated_calls)))[-_MAX_CALLS:],
            next_due_us=min(due, default=None),
            full_resync=self.full_resync or other.full_resync or len(endpoint_ids) > _MAX_IDS,
        )


FULL_RESYNC = Notification(endpoints_changed=True, leases_available=True, full_resync=True)
"""What to do where notifications may have been missed."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Notification).decode


class PgNotifier:
    """Notifies the others, and is notified by them. Lives in one event loop; `instance_id` sets its own notifications apart."""

    def __init__(self, url: str, instance_id: str) -> None:
        try:
            import psycopg
        except ImportError as error:
            raise MissingExtra("ledger.url: PostgreSQL needs psycopg: pip install 'answerback[postgresql]'") from error
        self._failures = (psycopg.Error, OSError, TimeoutError)
        self._url = url
        self._instance_id = instance_id
        self._pending: Notification | None = None
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, on_notification: Callable[[Notification], None]) -> None:
        """Begin; `on_notification` is called with each notification of another, and with FULL_RESYNC whenever some may have been missed."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._listen(on_notification)), loop.create_task(self._send_loop())]

    def notify(self, notification: Notification) -> None:
        """Notify the others soon, together with what else there is."""
        self._pending = notification if self._pending is None else self._pending.merge(notification)
        self._wake.set()

    async def stop(self) -> None:
        """Send what is left, and end."""
        if self._tasks and self._pending is not None:
            with contextlib.suppress(*self._failures):
                async with asyncio.timeout(1.0), self._connect() as connection:
                    await self._send(connection)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)

    async def _listen(self, on_notification: Callable[[Notification], None]) -> None:
        """Listen for ever."""
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                async with self._connect() as connection:
                    await connection.execute(f"LISTEN {CHANNEL}".encode())
                    on_notification(FULL_RESYNC)
                    pause_s = _FIRST_PAUSE_S
                    await self._receive(connection, on_notification)
            except self._failures as error:
                log.warning("listen_failed", reason=_first_line(error), tries_again_in_s=pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    async def _receive(
        self, connection: "psycopg.AsyncConnection[Any]", on_notification: Callable[[Notification], None]
    ) -> None:
        """Receive until the connection breaks; where it is quiet for long, ask whether it is still there."""
        while True:
            async for received in connection.notifies(timeout=_QUIET_S):
                try:
                    notification = _decode(received.payload)
                except msgspec.DecodeError:  # of a newer release
                    notification = FULL_RESYNC
                if notification.origin != self._instance_id:
                    on_notification(notification)
            async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                await connection.execute(b"SELECT 1")

    async def _send_loop(self) -> None:
        """Send what is to be sent, for ever; what cannot be sent is dropped, for the others look by themselves."""
        while True:
            await self._wake.wait()
            try:
                async with self._connect() as connection:
                    while True:
                        await self._wake.wait()
                        async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                            await self._send(connection)
                        await asyncio.sleep(_GATHER_S)
            except self._failures as error:
                self._pending = None
                self._wake.clear()
                log.warning("notify_failed", reason=_first_line(error))

    async def _send(self, connection: "psycopg.AsyncConnection[Any]") -> None:
        notification, self._pending = self._pending, None
        self._wake.clear()
        if notification is not None:
            payload = _encode(msgspec.structs.replace(notification, origin=self._instance_id))
            if len(payload) > _MAX_BYTES:
                payload = _encode(msgspec.structs.replace(FULL_RESYNC, origin=self._instance_id))
            await connection.execute(b"SELECT pg_notify(%s, %s)", (CHANNEL, payload.decode()))

    @contextlib.asynccontextmanager
    async def _connect(self) -> AsyncIterator["psycopg.AsyncConnection[Any]"]:
        """A connection to the server that takes writes: a standby takes neither LISTEN nor NOTIFY."""
        import psycopg

        connection = await psycopg.AsyncConnection.connect(
            self._url, autocommit=True, application_name="answerback notifier", **connect_options(self._url)
        )
        try:
            yield connection
        finally:
            await connection.close()


def _first_line(error: BaseException) -> str:
    """The reason, without what follows it."""
    return str(error).partition("\n")[0] or type(error).__name__
