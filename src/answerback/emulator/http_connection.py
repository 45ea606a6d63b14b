"""POSTs over kept connections with little else: a load must cost its receiver more than its sender."""

import asyncio
import ssl
from base64 import b64encode
from time import perf_counter
from typing import Any

import httptools
from yarl import URL

from answerback.errors import ConfigError

_IDLE_S = 1.5  # shorter than servers keep an idle connection, so that none is closed under a callback
_MAX_BODY_BYTES = 4096
_FIRST_FINAL = 200
_FRAMING = (b"content-length", b"transfer-encoding")


class HttpConnection(asyncio.Protocol):
    """One connection: one POST at a time, and the answer to it."""

    def __init__(self) -> None:
        self.idle_since_s = 0.0
        self.open = False
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._body = b""
        self._status: int | None = None
        self._framed = False

    async def post(self, request: bytes) -> tuple[int, bytes]:
        """The status and the body, of which no more than its beginning is read; raises OSError without an answer."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._answer
        finally:
            if not self._answer.done() or self._answer.cancelled():
                self.close()
            self._answer = None
            self.idle_since_s = perf_counter()

    def close(self) -> None:
        """Hang up."""
        self.open = False
        self._transport.abort()

    # asyncio's.

    def connection_made(self, transport: Any) -> None:
        """It is open."""
        self._transport: asyncio.Transport = transport
        self.open = True

    def data_received(self, data: bytes) -> None:
        """Read on; what nobody asked for ends it."""
        if self._answer is None or self._answer.done():
            self.close()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"the answer is not HTTP: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed: the end of an answer that says no length, or of the hope for one."""
        self.open = False
        if exc is None and self._status is not None and not self._framed:
            self._end()
        else:
            self._fail(str(exc or "the connection was closed before the answer was complete"))

    # The parser's.

    def on_message_begin(self) -> None:
        """Another answer."""
        self._body, self._status, self._framed = b"", None, False

    def on_header(self, name: bytes, _value: bytes) -> None:
        """Note whether the answer says where it ends."""
        self._framed = self._framed or name.lower() in _FRAMING

    def on_headers_complete(self) -> None:
        """Note the status."""
        self._status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """Keep it, and hang up on one without end."""
        self._body += body
        if len(self._body) > _MAX_BODY_BYTES:
            self._end()
            self.close()

    def on_message_complete(self) -> None:
        """Pass the response on, unless an informational one (1xx) precedes it."""
        if self._status is not None and self._status >= _FIRST_FINAL:
            keeps = self._parser.should_keep_alive()
            self._end()
            if not keeps:
                self.close()

    def _end(self) -> None:
        if self._answer is not None and not self._answer.done() and self._status is not None:
            self._answer.set_result((self._status, self._body[:_MAX_BODY_BYTES]))

    def _fail(self, words: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError(words))
        self.close()


class HttpConnectionPool:
    """The connections to one URL, opened when they are needed and used again. Raises ConfigError for an invalid URL."""

    def __init__(self, url: str) -> None:
        try:
            target = URL(url)
            self._address = (target.raw_host or "", target.port or 0)
            host = target.host_port_subcomponent or ""
            head = f"POST {target.raw_path_qs} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        except ValueError as error:
            raise ConfigError(f"URL: {error}") from error
        if not all(self._address):
            raise ConfigError("URL: expected a host and a port other than 0")
        if target.user is not None:
            login = b64encode(f"{target.user}:{target.password or ''}".encode()).decode()
            head += f"Authorization: Basic {login}\r\n"
        self._head = head.encode() + b"Content-Length: %d\r\n\r\n%b"
        self._tls = ssl.create_default_context() if target.scheme == "https" else None
        self._idle: list[HttpConnection] = []

    async def post(self, body: bytes) -> tuple[int, bytes]:
        """POST over a connection of its own; raises OSError in words where there is no answer."""
        connection = self._take_idle() or await self._connect()
        answer = await connection.post(self._head % (len(body), body))
        if connection.open:
            self._idle.append(connection)
        return answer

    def close(self) -> None:
        """Hang up everywhere."""
        for connection in self._idle:
            connection.close()

    def _take_idle(self) -> HttpConnection | None:
        """The connection that was used last, if it is fresh; none of the others is fresher."""
        while self._idle:
            connection = self._idle.pop()
            if connection.open and perf_counter() - connection.idle_since_s < _IDLE_S:
                return connection
            connection.close()
        return None

    async def _connect(self) -> HttpConnection:
        _, connection = await asyncio.get_running_loop().create_connection(
            HttpConnection, *self._address, ssl=self._tls
        )
        return connection
