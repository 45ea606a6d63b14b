"""An HTTP client with little else: a load must cost its receiver more than its sender, and a check sends what no library would."""

import asyncio
import os
import re
import ssl
from base64 import b64encode
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from time import perf_counter
from typing import Any, NamedTuple, Self

import httptools
from yarl import URL

from answerback.errors import ConfigError, describe_os_error

MAX_BODY_BYTES = 65536

_IDLE_S = 1.5  # shorter than servers keep an idle connection, so that none is closed under a callback
_CLOSE_TIMEOUT_S = 1.0
_FIRST_FINAL = 200
_SEVERAL = re.compile(r"\[Errno ([0-9]+)\]")
_NO_TLS = "the server does not speak TLS: use http://"
_JSON = {"Content-Type": "application/json"}


class HttpResponse(NamedTuple):
    """What was answered; of `body` no more than MAX_BODY_BYTES."""

    status: int
    content_type: str
    body: bytes


class InvalidHttp(ConnectionError):
    """What came is not HTTP."""


class HttpTarget:
    """A URL as connections and requests need it. Raises ConfigError for an invalid URL."""

    def __init__(self, url: str) -> None:
        try:
            parts = URL(url)
            self.address = (parts.raw_host or "", parts.port or 0)
            self._path = parts.raw_path_qs
            self._headers = f"Host: {parts.host_port_subcomponent}\r\nUser-Agent: answerback\r\n"
        except ValueError as error:
            raise ConfigError(f"URL: {error}") from error
        if not all(self.address):
            raise ConfigError("URL: expected a host and a port other than 0")
        self.is_tls = parts.scheme == "https"
        self.origin = str(parts.origin())
        self.has_login = parts.user is not None
        if self.has_login:
            login = b64encode(f"{parts.user}:{parts.password or ''}".encode()).decode()
            self._headers += f"Authorization: Basic {login}\r\n"

    def frame(
        self,
        body: bytes,
        headers: Mapping[str, str] = _JSON,
        *,
        method: str = "POST",
        chunk_bytes: int | None = None,
    ) -> list[bytes]:
        """A request as it is on the wire: its head, then its body, whole or in chunks."""
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        head = f"{method} {self._path} HTTP/1.1\r\n{self._headers}{lines}"
        if chunk_bytes is None:
            return [f"{head}Content-Length: {len(body)}\r\n\r\n".encode(), body]
        pieces = [body[start : start + chunk_bytes] for start in range(0, len(body), chunk_bytes)]
        chunks = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces]
        return [f"{head}Transfer-Encoding: chunked\r\n\r\n".encode(), *chunks, b"0\r\n\r\n"]


class HttpConnection(asyncio.Protocol):
    """One connection, byte by byte: one request at a time, and the response to it."""

    def __init__(self) -> None:
        self.idle_since_s = 0.0
        self.sent_s = 0.0
        """When the last packet was written."""
        self.open = False
        self._body, self._content_type, self._framed = b"", "", False
        self._status: int | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._response: asyncio.Future[HttpResponse] | None = None
        self._closed = asyncio.Event()
        self._may_write = asyncio.Event()
        self._may_write.set()

    @classmethod
    async def connect(cls, target: HttpTarget) -> Self:
        """Connect to the server of `target`. Raises ConnectionError that says in words why there is no connection."""
        tls = _tls_context() if target.is_tls else None
        try:
            _, connection = await asyncio.get_running_loop().create_connection(cls, *target.address, ssl=tls)
        except OSError as error:
            raise ConnectionError(_describe(error)) from error
        return connection

    async def send(self, packets: Sequence[bytes], pause_s: float = 0.0) -> HttpResponse:
        """Send a request, with a pause between its packets, and read the response as it comes, also while still sending.

        Raises OSError where there is none, InvalidHttp where it is not HTTP.
        """
        response: asyncio.Future[HttpResponse] = asyncio.get_running_loop().create_future()
        self._response = response
        left = len(packets)
        try:
            for packet in packets:
                self.write(packet)
                left -= 1
                if left:
                    await self._may_write.wait()
                    await asyncio.sleep(pause_s)
                    if response.done():
                        break
            return await response
        finally:
            if left or not response.done() or response.cancelled():
                self.abort()
            self._response = None
            self.idle_since_s = perf_counter()

    def write(self, data: bytes) -> None:
        self._transport.write(data)
        self.sent_s = perf_counter()

    async def close(self) -> None:
        """Hang up once all is written, and see the connection end; for long only where the other side takes part (TLS)."""
        self._transport.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self._closed.wait()

    def abort(self) -> None:
        """Hang up at once."""
        self.open = False
        self._transport.abort()

    # asyncio's.

    def connection_made(self, transport: Any) -> None:
        self._transport: asyncio.Transport = transport
        self.open = True

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    def data_received(self, data: bytes) -> None:
        """Read on; what nobody asked for ends the connection."""
        if self._response is None or self._response.done():
            self.abort()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(InvalidHttp(f"the answer changes to another protocol ({self._status}), which nobody asked for"))
        except httptools.HttpParserError as error:
            self._fail(InvalidHttp(f"the answer is not HTTP: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        """The end of a response that says no length, or of the hope for one."""
        self.open = False
        self._closed.set()
        if exc is None and self._status is not None and not self._framed:
            self._end()
        else:
            ended = "the connection was closed before the answer was complete"
            self._fail(ConnectionError(_describe(exc) if isinstance(exc, OSError) else ended))

    # The parser's.

    def on_message_begin(self) -> None:
        self._body, self._content_type, self._framed, self._status = b"", "", False, None

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"content-length" or (name == b"transfer-encoding" and b"chunked" in value.lower()):
            self._framed = True
        if name == b"content-type":
            self._content_type = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """Keep it, and hang up on one without end."""
        self._body += body
        if len(self._body) > MAX_BODY_BYTES:
            self._end()
            self.abort()

    def on_message_complete(self) -> None:
        """Pass the response on, unless an informational one (1xx) precedes it."""
        if self._status is not None and self._status >= _FIRST_FINAL:
            keeps = self._parser.should_keep_alive()
            self._end()
            if not keeps:
                self.abort()

    def _end(self) -> None:
        self._may_write.set()
        if self._response is not None and not self._response.done() and self._status is not None:
            body = self._body[:MAX_BODY_BYTES]
            self._response.set_result(HttpResponse(self._status, self._content_type, body))

    def _fail(self, error: ConnectionError) -> None:
        self._may_write.set()
        if self._response is not None and not self._response.done():
            self._response.set_exception(error)
        self.abort()


class PooledClient:
    """Sends requests over connections that are opened when they are needed and used again."""

    def __init__(self) -> None:
        self._idle: defaultdict[str, list[HttpConnection]] = defaultdict(list)

    async def send(self, target: HttpTarget, packets: Sequence[bytes]) -> HttpResponse:
        """Send over a connection of its own. Raises OSError in words where there is no response."""
        idle = self._idle[target.origin]
        connection = _take_fresh(idle) or await HttpConnection.connect(target)
        response = await connection.send(packets)
        if connection.open:
            idle.append(connection)
        return response

    def close(self) -> None:
        """Hang up everywhere."""
        for connections in self._idle.values():
            for connection in connections:
                connection.abort()


def _take_fresh(idle: list[HttpConnection]) -> HttpConnection | None:
    """The connection that was used last, if it is fresh; none of the others is fresher."""
    while idle:
        connection = idle.pop()
        if connection.open and perf_counter() - connection.idle_since_s < _IDLE_S:
            return connection
        connection.abort()
    return None


def _describe(error: OSError) -> str:
    """Why there is no connection."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or str(error)).lower().replace("_", " ")
        return f"no secure connection: {_NO_TLS if reason == 'wrong version number' else reason}"
    if error.errno is None and (found := _SEVERAL.search(str(error))):  # asyncio's, of a host with several addresses
        return os.strerror(int(found[1]))
    return describe_os_error(error)


@cache
def _tls_context() -> ssl.SSLContext:
    return ssl.create_default_context()
