"""The connection to the NATS servers: one at a time, made again with another server whenever it breaks.

The client's own way to reconnect is not used. It waits for what it cannot know, such as a frozen server to take the rest
of a buffer, and whoever waits for a reply learns nothing of it. Here they fail at once.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError, UnexpectedEOF
from nats.errors import TimeoutError as NatsTimeoutError

from answerback.errors import LedgerUnavailable, UnavailableReason
from answerback.stream.server_address import ServerAddress

_CONNECT_TIMEOUT_S = 1.0
_PAUSE_S = 0.1
_MAX_PAUSE_S = 0.5
_WATCH_EVERY_S = 0.5
_SERVER_TIMEOUT_S = 2.0
_PING_TIMEOUT_S = 0.5
_CLOSE_TIMEOUT_S = 1.0
_CANCEL_AGAIN_S = 0.05
_NO_RECONNECT: dict[str, Any] = {
    "allow_reconnect": False,
    "max_reconnect_attempts": 1,  # else it would try for ever, silently
    "reconnect_time_wait": 0,
    "connect_timeout": _CONNECT_TIMEOUT_S,
    "ping_interval": 1_000_000,  # `_watch` does it
}

log = structlog.get_logger("answerback.stream")
logging.getLogger("nats").setLevel(logging.CRITICAL)  # this module logs what matters


class StreamUnavailable(LedgerUnavailable):
    """The servers did not carry out a request; `detail` says why, and may name them."""

    def __init__(self, detail: str, reason: UnavailableReason = UnavailableReason.STREAM_UNREACHABLE) -> None:
        super().__init__(reason, detail)


class ConnectionLost(StreamUnavailable):
    """The connection ended before the reply; whether the request arrived is not known."""


class RequestTimeout(StreamUnavailable):
    """No reply in time."""


class NoResponders(StreamUnavailable):
    """Nobody listens on the subject: no leader at the moment, or no such stream."""


class _NatsClient(Client):
    """A client that speaks TLS where the URL says so: nats-py does where the server asks for it, and that says anybody."""

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:  # noqa: FBT001, FBT002  # nats-py's
        if self._current_server is not None and self._current_server.uri.scheme == "tls":
            info["tls_required"] = True
        await super()._process_info(info, initial_connection)


class NatsConnection:
    """Keeps one connection to one of `urls`, on behalf of the running loop."""

    def __init__(
        self, urls: Sequence[str], *, name: str, credentials: Path | None = None, ca_file: Path | None = None
    ) -> None:
        self._servers = [ServerAddress(url, name, credentials, ca_file) for url in urls]
        self._next_server = random.randrange(len(urls))  # noqa: S311  # spreads the load, keeps no secret
        self._client: Client | None = None
        self._closed: asyncio.Future[None]
        self._connected = asyncio.Event()
        self._closing: set[asyncio.Task[None]] = set()
        self._pinging: asyncio.Task[None] | None = None
        self._last_error = "not connected yet"
        self.server: str | None = None
        """The address of the server that it is connected to, or was last."""

    async def start(self) -> None:
        """Start to connect, without waiting for it."""
        self._maintaining = asyncio.create_task(self._maintain())

    async def stop(self) -> None:
        """Close it for good."""
        await cancel_all([self._maintaining])
        if self._pinging is not None:
            await cancel_all([self._pinging])
        if self._closing:
            await asyncio.wait(self._closing)

    @property
    def failure(self) -> ConnectionLost | None:
        """Why there is no connection; None where there is one."""
        return None if self._connected.is_set() else ConnectionLost(f"no NATS server: {self._last_error}")

    @property
    def max_payload(self) -> int:
        """The largest message that the servers take; 0 while none has said so."""
        return self._client.max_payload if self._client is not None else 0

    async def wait_ready(self, timeout_s: float) -> Client:
        """Wait until connected. Raises ConnectionLost that says why it is not."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._connected.wait()
        except TimeoutError:
            raise (self.failure or ConnectionLost("the connection broke")) from None
        assert self._client is not None  # noqa: S101  # set before the event
        return self._client

    async def request(self, subject: str, payload: bytes, timeout_s: float) -> Msg:
        """Send, and wait for the reply. Raises ConnectionLost, RequestTimeout, NoResponders."""
        client = self._require_client()
        request = asyncio.ensure_future(client.request(subject, payload, timeout=timeout_s))
        request.add_done_callback(_retrieve_exception)
        waited: tuple[asyncio.Future[Any], ...] = (request, self._closed)
        try:
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        finally:
            request.cancel()
        if not request.done():
            raise self.failure or ConnectionLost("the connection broke")
        try:
            return request.result()
        except NoRespondersError:
            raise NoResponders("no leader") from None
        except NatsTimeoutError:
            raise RequestTimeout(f"no answer in {timeout_s:.1f} s") from None
        except (NatsError, OSError, asyncio.CancelledError) as error:
            raise ConnectionLost(f"the connection broke: {_describe_error(error)}") from error

    async def send(self, subject: str, payload: bytes = b"", reply: str = "") -> None:
        """Send without a reply. Raises ConnectionLost."""
        try:
            await self._require_client().publish(subject, payload, reply=reply)
        except (NatsError, OSError) as error:
            raise ConnectionLost(f"the connection broke: {_describe_error(error)}") from error

    async def wait_closed(self) -> None:
        """Wait until the present connection has ended."""
        await asyncio.wait([self._closed])

    def ping_now(self) -> None:
        """Ping the server, and drop the connection unless it answers soon."""
        if self._client is not None and self._pinging is None:
            self._pinging = asyncio.create_task(self._ping(self._client))

    def leave(self, reason: str) -> None:
        """Go on to the next server: this one answers, and may be cut off from the others."""
        self._mark_lost(reason)

    def _require_client(self) -> Client:
        if self._client is None or not self._connected.is_set():
            raise self.failure or ConnectionLost("the connection broke")
        return self._client

    async def _maintain(self) -> None:
        pause_s, failures = _PAUSE_S, 0
        try:
            while True:
                client = await self._connect()
                if client is None:
                    failures += 1
                    if failures % len(self._servers) == 0:  # all were tried
                        await asyncio.sleep(pause_s)
                        pause_s = min(pause_s * 1.5, _MAX_PAUSE_S)
                    continue
                pause_s, failures = _PAUSE_S, 0
                await self._watch(client)
                self._close_later(client)
        finally:
            if self._connected.is_set() and self._client is not None:
                self._connected.clear()
                self._closed.set_result(None)
                self._close_later(self._client)

    async def _connect(self) -> Client | None:
        """Connect to the next server; None if it is unavailable."""
        server = self._servers[self._next_server]
        self._next_server = (self._next_server + 1) % len(self._servers)
        client = _NatsClient()
        heard: list[Exception] = []

        async def closed() -> None:  # the client wants a coroutine
            if client is self._client:
                self._mark_lost("the connection broke")

        async def failed(error: Exception) -> None:
            heard.append(error)
            if client is self._client and isinstance(error, UnexpectedEOF | OSError):
                self._mark_lost(_describe_error(error))

        try:
            async with asyncio.timeout(2 * _CONNECT_TIMEOUT_S):
                options = await asyncio.to_thread(server.options)
                await client.connect(**options, **_NO_RECONNECT, closed_cb=closed, error_cb=failed)
        except Exception as error:  # noqa: BLE001  # whatever the client stumbles over, it is tried again
            self._log_connect_failure(server, next(reversed(heard), error))
            self._close_later(client)
            return None
        except BaseException:
            self._close_later(client)
            raise
        self._client, self._closed = client, asyncio.get_running_loop().create_future()
        self._connected.set()
        self.server = server.address
        log.info("stream_connected", server=server.address)
        return client

    def _log_connect_failure(self, server: ServerAddress, error: BaseException) -> None:
        trouble = f"{server.address}: {_describe_error(error)}"
        say = log.warning if self._last_error == "not connected yet" else log.debug
        say("stream_connect_failed", reason=trouble)
        self._last_error = trouble

    async def _watch(self, client: Client) -> None:
        """Return when the connection has ended, or the server has not answered for too long."""
        while not self._closed.done():
            await asyncio.wait([self._closed], timeout=_WATCH_EVERY_S)
            if not self._closed.done() and not await self._responds(client, _SERVER_TIMEOUT_S):
                self._mark_lost("the server is silent")

    async def _ping(self, client: Client) -> None:
        try:
            if not await self._responds(client, _PING_TIMEOUT_S) and client is self._client:
                self._mark_lost("the server is silent")
        finally:
            self._pinging = None

    async def _responds(self, client: Client, within_s: float) -> bool:
        """Whether the server answers a ping, or sends a message meanwhile; True where the connection has ended."""
        heard = client.stats["in_msgs"]
        pong: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(within_s):
                await client._send_ping(pong)  # noqa: SLF001  # `flush` cancels what the client then stumbles over
        except (NatsError, OSError, TimeoutError):
            return False
        await asyncio.wait([pong, self._closed], timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        return pong.done() or self._closed.done() or client.stats["in_msgs"] > heard

    def _mark_lost(self, trouble: str) -> None:
        """Mark the connection as lost, and wake those who wait for a reply."""
        if self._connected.is_set():
            self._connected.clear()
            self._last_error = trouble
            self._closed.set_result(None)
            log.warning("stream_disconnected", reason=trouble)

    def _close_later(self, client: Client) -> None:
        task = asyncio.create_task(_close(client))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def _close(client: Client) -> None:
    with contextlib.suppress(Exception):  # its errors do not matter any more
        async with asyncio.timeout(_CLOSE_TIMEOUT_S):
            await client.close()
    writer = getattr(client._transport, "_bare_io_writer", None)  # noqa: SLF001  # a frozen server's buffer is not waited for
    if writer is not None:
        writer.transport.abort()


def _retrieve_exception(request: "asyncio.Future[Msg]") -> None:
    """Nobody waits for it any more: its exception need not be logged."""
    if not request.cancelled():
        request.exception()


def _describe_error(error: BaseException) -> str:
    return (str(error) or type(error).__name__).removeprefix("nats: ")


async def cancel_all(tasks: Collection["asyncio.Task[Any]"]) -> None:
    """Cancel `tasks` until they have ended: nats-py sometimes swallows a cancellation."""
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_CANCEL_AGAIN_S)
