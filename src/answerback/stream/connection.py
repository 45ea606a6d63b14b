"""The connection to the NATS servers: one at a time, made again with another server whenever it breaks.

The client's own way to reconnect is not used. It waits for what it cannot know, such as a frozen server to take the rest
of a buffer, and whoever waits for an answer learns nothing of it. Here they are told at once.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError, UnexpectedEOF
from nats.errors import TimeoutError as NatsTimeoutError

from answerback.errors import LedgerUnavailable, UnavailableReason
from answerback.stream.cancellation import end
from answerback.stream.servers import Server

_CONNECT_TIMEOUT_S = 1.0
_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 0.5
_WATCH_EVERY_S = 0.5
_SILENCE_S = 2.0
_CHECK_S = 0.5
_FAREWELL_S = 1.0
_ALONE: dict[str, Any] = {
    "allow_reconnect": False,
    "max_reconnect_attempts": 1,  # else it would try for ever, and tell nobody
    "reconnect_time_wait": 0,
    "connect_timeout": _CONNECT_TIMEOUT_S,
    "ping_interval": 1_000_000,  # `_watch` does it
}

log = structlog.get_logger("answerback.stream")
logging.getLogger("nats").setLevel(logging.CRITICAL)  # what there is to say is said here


class StreamUnavailable(LedgerUnavailable):
    """The servers did not do it; `detail` says why, and may name them."""

    def __init__(self, detail: str, reason: UnavailableReason = UnavailableReason.STREAM_UNREACHABLE) -> None:
        super().__init__(reason, detail)


class Broken(StreamUnavailable):
    """The connection ended before an answer came; whether the question arrived is not known."""


class Silent(StreamUnavailable):
    """No answer in time."""


class Nobody(StreamUnavailable):
    """Nobody is there who would answer: no leader at the moment, or no such stream."""


class _Client(Client):
    """A client that speaks TLS where the URL says so: nats-py does where the server asks for it, and that says anybody."""

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:  # noqa: FBT001, FBT002  # nats-py's
        if self._current_server is not None and self._current_server.uri.scheme == "tls":
            info["tls_required"] = True
        await super()._process_info(info, initial_connection)


class Connection:
    """Keeps one connection to one of `urls`, on behalf of the running loop."""

    def __init__(
        self, urls: Sequence[str], *, name: str, credentials: Path | None = None, ca_file: Path | None = None
    ) -> None:
        self._servers = [Server(url, name, credentials, ca_file) for url in urls]
        self._next = random.randrange(len(urls))  # noqa: S311  # spreads the load, keeps no secret
        self._client: Client | None = None
        self._broken: asyncio.Future[None]
        self._connected = asyncio.Event()
        self._farewells: set[asyncio.Task[None]] = set()
        self._checking: asyncio.Task[None] | None = None
        self._trouble = "not connected yet"
        self.server: str | None = None
        """The address of the server that it is connected to, or was last."""

    async def start(self) -> None:
        """Begin to connect, and do not wait for it."""
        self._keeping = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Close it for good."""
        await end([self._keeping])
        if self._checking is not None:
            await end([self._checking])
        if self._farewells:
            await asyncio.wait(self._farewells)

    @property
    def failure(self) -> Broken | None:
        """Why there is no connection; None where there is one."""
        return None if self._connected.is_set() else Broken(f"no NATS server: {self._trouble}")

    @property
    def max_payload(self) -> int:
        """The largest message that the servers take; 0 while none has said so."""
        return self._client.max_payload if self._client is not None else 0

    async def ready(self, timeout_s: float) -> Client:
        """Wait until connected. Raises Broken that says why it is not."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._connected.wait()
        except TimeoutError:
            raise (self.failure or Broken("the connection broke")) from None
        assert self._client is not None  # noqa: S101  # set before the event
        return self._client

    async def ask(self, subject: str, payload: bytes, timeout_s: float) -> Msg:
        """Send, and wait for the answer. Raises Broken, Silent, Nobody."""
        client = self._live()
        asked = asyncio.ensure_future(client.request(subject, payload, timeout=timeout_s))
        asked.add_done_callback(_look_at)
        waited: tuple[asyncio.Future[Any], ...] = (asked, self._broken)
        try:
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        finally:
            asked.cancel()
        if not asked.done():
            raise self.failure or Broken("the connection broke")
        try:
            return asked.result()
        except NoRespondersError:
            raise Nobody("no leader") from None
        except NatsTimeoutError:
            raise Silent(f"no answer in {timeout_s:.1f} s") from None
        except (NatsError, OSError, asyncio.CancelledError) as error:
            raise Broken(f"the connection broke: {_words(error)}") from error

    async def send(self, subject: str, payload: bytes = b"", reply: str = "") -> None:
        """Send without an answer. Raises Broken."""
        try:
            await self._live().publish(subject, payload, reply=reply)
        except (NatsError, OSError) as error:
            raise Broken(f"the connection broke: {_words(error)}") from error

    async def broken(self) -> None:
        """Wait until the present connection has ended."""
        await asyncio.wait([self._broken])

    def check(self) -> None:
        """Have the server answer soon, or be left: somebody has waited too long for something."""
        if self._client is not None and self._checking is None:
            self._checking = asyncio.create_task(self._check(self._client))

    def _live(self) -> Client:
        if self._client is None or not self._connected.is_set():
            raise self.failure or Broken("the connection broke")
        return self._client

    async def _keep(self) -> None:
        pause_s = _PAUSE_S
        try:
            while True:
                client = await self._connect()
                if client is None:
                    await asyncio.sleep(pause_s)
                    pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)
                    continue
                pause_s = _PAUSE_S
                await self._watch(client)
                self._farewell(client)
        finally:
            if self._connected.is_set() and self._client is not None:
                self._connected.clear()
                self._broken.set_result(None)
                self._farewell(self._client)

    async def _connect(self) -> Client | None:
        """Connect to the next server; None where it is not to be had."""
        server = self._servers[self._next]
        self._next = (self._next + 1) % len(self._servers)
        client = _Client()
        heard: list[Exception] = []

        async def closed() -> None:  # the client wants a coroutine
            if client is self._client:
                self._end("the connection broke")

        async def failed(error: Exception) -> None:
            heard.append(error)
            if client is self._client and isinstance(error, UnexpectedEOF | OSError):
                self._end(_words(error))

        try:
            async with asyncio.timeout(2 * _CONNECT_TIMEOUT_S):
                options = await asyncio.to_thread(server.options)
                await client.connect(**options, **_ALONE, closed_cb=closed, error_cb=failed)
        except Exception as error:  # noqa: BLE001  # whatever the client stumbles over, it is tried again
            self._failed(server, next(reversed(heard), error))
            self._farewell(client)
            return None
        except BaseException:
            self._farewell(client)
            raise
        self._client, self._broken = client, asyncio.get_running_loop().create_future()
        self._connected.set()
        self.server = server.address
        log.info("stream_connected", server=server.address)
        return client

    def _failed(self, server: Server, error: BaseException) -> None:
        trouble = f"{server.address}: {_words(error)}"
        say = log.warning if self._trouble == "not connected yet" else log.debug
        say("stream_not_connected", reason=trouble)
        self._trouble = trouble

    async def _watch(self, client: Client) -> None:
        """Return when the connection has ended, or the server has been silent too long."""
        while not self._broken.done():
            await asyncio.wait([self._broken], timeout=_WATCH_EVERY_S)
            if not self._broken.done() and not await self._answers(client, _SILENCE_S):
                self._end("the server is silent")

    async def _check(self, client: Client) -> None:
        try:
            if not await self._answers(client, _CHECK_S) and client is self._client:
                self._end("the server is silent")
        finally:
            self._checking = None

    async def _answers(self, client: Client, within_s: float) -> bool:
        """Whether the server answers a ping, or sends a message meanwhile; True where the connection has ended."""
        heard = client.stats["in_msgs"]
        pong: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(within_s):
                await client._send_ping(pong)  # noqa: SLF001  # `flush` cancels what the client then stumbles over
        except (NatsError, OSError, TimeoutError):
            return False
        await asyncio.wait([pong, self._broken], timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        return pong.done() or self._broken.done() or client.stats["in_msgs"] > heard

    def _end(self, trouble: str) -> None:
        """Have nobody use it any more, and tell those who wait."""
        if self._connected.is_set():
            self._connected.clear()
            self._trouble = trouble
            self._broken.set_result(None)
            log.warning("stream_lost", reason=trouble)

    def _farewell(self, client: Client) -> None:
        task = asyncio.create_task(_close(client))
        self._farewells.add(task)
        task.add_done_callback(self._farewells.discard)


async def _close(client: Client) -> None:
    with contextlib.suppress(Exception):  # whatever it is, it is of no interest any more
        async with asyncio.timeout(_FAREWELL_S):
            await client.close()
    writer = getattr(client._transport, "_bare_io_writer", None)  # noqa: SLF001  # a frozen server's buffer is not waited for
    if writer is not None:
        writer.transport.abort()


def _look_at(asked: "asyncio.Future[Msg]") -> None:
    """Nobody waits for it any more: what became of it need not be told."""
    if not asked.cancelled():
        asked.exception()


def _words(error: BaseException) -> str:
    return (str(error) or type(error).__name__).removeprefix("nats: ")
