"""One connection to the receiver, byte by byte, for what a polite client library would never send."""

import asyncio
import ssl
from collections.abc import Sequence
from contextlib import suppress
from time import perf_counter
from typing import Self
from urllib.parse import urlsplit

import httptools

from answerback.emulator.conformance.evaluation import NoResponse, ReceivedResponse
from answerback.emulator.conformance.requests import Request, Transport

AGENT = "answerback-conform"
MAX_BODY_BYTES = 65536
_BETWEEN_PACKETS_S = 0.002
_CLOSE_TIMEOUT_S = 1.0


class RawConnection:
    """One connection, byte by byte."""

    def __init__(self, url: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._url = url
        self._reader = reader
        self._writer = writer
        self.reusable = False

    @classmethod
    async def open(cls, url: str) -> Self:
        """Connect to the server of `url`. Raises OSError."""
        parts = urlsplit(url)
        tls = ssl.create_default_context() if parts.scheme == "https" else None
        port = parts.port or (443 if tls else 80)
        return cls(url, *await asyncio.open_connection(parts.hostname, port, ssl=tls))

    async def close(self) -> None:
        """Hang up, and see the connection end; for long only where the other side takes part in it (TLS)."""
        self._writer.close()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self._writer.wait_closed()

    async def write(self, data: bytes) -> None:
        """Write at once."""
        self._writer.write(data)
        await self._writer.drain()

    async def send(self, request: Request, *, reconnected: bool = False) -> ReceivedResponse:
        """Send one request, and read its answer as it comes, also while still sending."""
        response, packets, sent_s = _Response(), _packets(self._url, request), perf_counter()
        reading = asyncio.create_task(self._read(response))
        left = len(packets)
        try:
            with suppress(ConnectionError):
                for packet in packets:
                    await self.write(packet)
                    left, sent_s = left - 1, perf_counter()
                    if reading.done():
                        break
                    await asyncio.sleep(_BETWEEN_PACKETS_S if left else 0)
            silence = await reading
        finally:
            reading.cancel()
        self.reusable = silence is None and not left and response.reusable
        seconds = perf_counter() - sent_s
        if silence is not None:
            return ReceivedResponse(seconds=seconds, no_response=silence, reconnected=reconnected)
        return ReceivedResponse(
            seconds=seconds,
            status=response.status,
            content_type=response.content_type,
            body=bytes(response.body),
            reconnected=reconnected,
        )

    async def _read(self, response: "_Response") -> NoResponse | None:
        try:
            while not response.complete:
                data = await self._reader.read(MAX_BODY_BYTES)
                if not data:
                    return None if response.ends_with_connection else NoResponse.HUNG_UP
                response.feed(data)
        except httptools.HttpParserError:
            return NoResponse.NOT_HTTP
        except OSError:
            return NoResponse.HUNG_UP
        return None


class _Response:
    """An answer as far as it has come."""

    def __init__(self) -> None:
        self.body = bytearray()
        self.complete = False
        self.content_type = ""
        self.status = 0
        self.reusable = False
        self._framed = False
        self._headed = False
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Take more of it. Raises HttpParserError."""
        self._parser.feed_data(data)

    @property
    def ends_with_connection(self) -> bool:
        """Whether it says nothing of its length, so that the connection's end is its own."""
        return self._headed and not self._framed

    def on_header(self, name: bytes, value: bytes) -> None:
        match name.lower():
            case b"content-type":
                self.content_type = value.decode("latin-1")
            case b"content-length" | b"transfer-encoding":
                self._framed = True

    def on_headers_complete(self) -> None:
        self._headed = True
        self.status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        if len(self.body) <= MAX_BODY_BYTES:
            self.body += data

    def on_message_complete(self) -> None:
        self.complete = True
        self.reusable = self._parser.should_keep_alive()


def frame_request(url: str, request: Request) -> tuple[bytes, bytes]:
    """The head and the body as they are on the wire."""
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [
        f"{request.method} {target} HTTP/1.1",
        f"Host: {parts.netloc.rpartition('@')[2]}",
        f"User-Agent: {AGENT}",
        *([] if request.content_type is None else [f"Content-Type: {request.content_type}"]),
    ]
    if request.transport is Transport.CUT_IN_CHUNK:
        lines.append("Transfer-Encoding: chunked")
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(request.body), request.body)
    else:
        lines.append(f"Content-Length: {len(request.body)}")
        body = request.body
    return "\r\n".join([*lines, "", ""]).encode(), body


def _packets(url: str, request: Request) -> Sequence[bytes]:
    data = b"".join(frame_request(url, request))
    size = request.packet_bytes if request.transport is Transport.PACKETS else len(data)
    return [data[start : start + size] for start in range(0, len(data), size)]
