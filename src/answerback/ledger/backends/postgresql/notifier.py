"""The bell between the processes of one PostgreSQL ledger: who has written what others may act on rings, they listen.

It rings after the commit, over a connection of its own: in a transaction, NOTIFY would make all commits of the database
wait for each other. A ring may be lost; whoever listens also looks by itself from time to time.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from answerback.errors import ExtraMissing

if TYPE_CHECKING:
    import psycopg

CHANNEL = "answerback"

_GATHER_S = 0.05  # the first ring goes out at once, what follows soon after goes together
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
_CONNECT_TIMEOUT_S = 3.0
_QUIET_S = 5.0
_MOST_BYTES = 7999
_MOST_IDS = 500
_MOST_CALLS = 20
_ALIVE: dict[str, Any] = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}

log = structlog.get_logger("answerback.ledger")


class Ring(msgspec.Struct, frozen=True, omit_defaults=True):
    """What others may act on.

    `owed`: endpoints to whom something may go out. `changed`: some endpoint was. `free`: it may be worth to claim leases.
    `referred`: calls, by channel and id, of which the business spoke. `due_us`: a call is to be heard of by then.
    `all`: more than fits: look at everything.
    """

    by: str = ""
    owed: tuple[int, ...] = ()
    changed: bool = False
    free: bool = False
    referred: tuple[tuple[str, int], ...] = ()
    due_us: int | None = None
    all: bool = False

    def with_(self, other: "Ring") -> "Ring":
        """Both in one."""
        owed = tuple(dict.fromkeys((*self.owed, *other.owed)))
        due = [due_us for due_us in (self.due_us, other.due_us) if due_us is not None]
        return Ring(
            owed=owed[:_MOST_IDS],
            changed=self.changed or other.changed,
            free=self.free or other.free,
            referred=tuple(dict.fromkeys((*self.referred, *other.referred)))[-_MOST_CALLS:],
            due_us=min(due, default=None),
            all=self.all or other.all or len(owed) > _MOST_IDS,
        )


EVERYTHING = Ring(changed=True, free=True, all=True)
"""What to do where rings may have been missed."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Ring).decode


class Bell:
    """Rings, and hears the others. Lives in one event loop; `member` sets its own rings apart."""

    def __init__(self, store: str, member: str) -> None:
        try:
            import psycopg
        except ImportError as error:
            raise ExtraMissing(
                "ledger.store: PostgreSQL needs psycopg: pip install 'answerback[postgresql]'"
            ) from error
        self._failures = (psycopg.Error, OSError, TimeoutError)
        self._store = store
        self._member = member
        self._owed: Ring | None = None
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, heard: Callable[[Ring], None]) -> None:
        """Begin; `heard` is called with each ring of another, and with EVERYTHING whenever some may have been missed."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._listen(heard)), loop.create_task(self._ring_on())]

    def ring(self, ring: Ring) -> None:
        """Ring soon, together with what else there is."""
        self._owed = ring if self._owed is None else self._owed.with_(ring)
        self._wake.set()

    async def stop(self) -> None:
        """Ring what is left, and end."""
        if self._tasks and self._owed is not None:
            with contextlib.suppress(*self._failures):
                async with asyncio.timeout(1.0), self._connected() as connection:
                    await self._send(connection)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)

    async def _listen(self, heard: Callable[[Ring], None]) -> None:
        """Hear the others for ever."""
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                async with self._connected() as connection:
                    await connection.execute(f"LISTEN {CHANNEL}".encode())
                    heard(EVERYTHING)
                    pause_s = _FIRST_PAUSE_S
                    await self._hear(connection, heard)
            except self._failures as error:
                log.warning("bell_not_heard", reason=_first_line(error), tries_again_in_s=pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    async def _hear(self, connection: "psycopg.AsyncConnection[Any]", heard: Callable[[Ring], None]) -> None:
        """Hear until the connection breaks; where it is quiet for long, ask whether it is still there."""
        while True:
            async for told in connection.notifies(timeout=_QUIET_S):
                try:
                    ring = _decode(told.payload)
                except msgspec.DecodeError:  # of a newer release
                    ring = EVERYTHING
                if ring.by != self._member:
                    heard(ring)
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                await connection.execute(b"SELECT 1")

    async def _ring_on(self) -> None:
        """Send what is rung, for ever; what cannot be sent is dropped, for the others look by themselves."""
        while True:
            await self._wake.wait()
            try:
                async with self._connected() as connection:
                    while True:
                        await self._wake.wait()
                        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                            await self._send(connection)
                        await asyncio.sleep(_GATHER_S)
            except self._failures as error:
                self._owed = None
                self._wake.clear()
                log.warning("bell_not_rung", reason=_first_line(error))

    async def _send(self, connection: "psycopg.AsyncConnection[Any]") -> None:
        ring, self._owed = self._owed, None
        self._wake.clear()
        if ring is not None:
            payload = _encode(msgspec.structs.replace(ring, by=self._member))
            if len(payload) > _MOST_BYTES:
                payload = _encode(msgspec.structs.replace(EVERYTHING, by=self._member))
            await connection.execute(b"SELECT pg_notify(%s, %s)", (CHANNEL, payload.decode()))

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator["psycopg.AsyncConnection[Any]"]:
        """A connection to the server that takes writes."""
        import psycopg

        given: dict[str, Any] = {"connect_timeout": round(_CONNECT_TIMEOUT_S), "application_name": "answerback bell"}
        if "target_session_attrs" not in self._store:
            given["target_session_attrs"] = "read-write"  # a standby takes neither LISTEN nor NOTIFY
        connection = await psycopg.AsyncConnection.connect(self._store, autocommit=True, **_ALIVE, **given)
        try:
            yield connection
        finally:
            await connection.close()


def _first_line(error: BaseException) -> str:
    """The reason, without what follows it."""
    return str(error).partition("\n")[0] or type(error).__name__
