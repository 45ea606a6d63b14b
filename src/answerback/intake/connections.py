"""What uvicorn leaves to us: how long a request may take to arrive, how large its head may be, one write per answer."""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from answerback.intake.meter import Meter
from answerback.tencent.answer import write_answer
from answerback.tencent.codes import Answered

_LARGEST_HEAD_BYTES = 65_536
_SWEEP_EVERY_S = 1.0


def _farewell(status: bytes, result: Answered, errmsg: str) -> bytes:
    body = write_answer(result, errmsg)
    head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
    return head % (status, len(body)) + body


_TOO_SLOW = _farewell(b"408 Request Timeout", Answered.TOO_SLOW, "the request did not arrive in time")
_HEAD_TOO_LARGE = _farewell(
    b"431 Request Header Fields Too Large", Answered.TOO_LARGE, f"the head is over {_LARGEST_HEAD_BYTES} bytes"
)


class _Corked:
    """A transport that sends the head of an answer together with its body: one system call and one segment, not two.

    What is written waits for the next write, and no longer than to the end of this turn of the loop.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held = b""

    def write(self, data: bytes) -> None:
        if self._held:
            self._transport.write(self._held + data)
            self._held = b""
        else:
            self._held = data
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._held:
            self._transport.write(self._held)
            self._held = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Connection(HttpToolsProtocol):
    """uvicorn's connection that remembers since when a request is arriving."""

    arriving_since_s: float | None = None
    _unread_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(cast(asyncio.Transport, _Corked(transport, self.loop)))
        self.arriving_since_s = self.loop.time()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.arriving_since_s is not None:
            self._unread_bytes += len(data)
            if self._unread_bytes > _LARGEST_HEAD_BYTES and "method" not in (self.scope or {}):
                self.hang_up(_HEAD_TOO_LARGE)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._unread_bytes = 0
        if self.arriving_since_s is None:
            self.arriving_since_s = self.loop.time()

    def on_message_complete(self) -> None:
        self.arriving_since_s = None
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self.hang_up(_farewell(b"400 Bad Request", Answered.NOT_JSON, msg))

    def hang_up(self, farewell: bytes) -> None:
        """Say why, where nothing was said yet, and close."""
        if not self.transport.is_closing():
            if self.cycle is None or not self.cycle.response_started or self.cycle.response_complete:
                self.transport.write(farewell)
            self.transport.close()


async def sweep(connections: set[Any], meter: Meter, receive_timeout_s: float) -> None:
    """Hang up on senders that are too slow, for ever."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(min(_SWEEP_EVERY_S, receive_timeout_s / 2))
        latest_s = loop.time() - receive_timeout_s
        for connection in list(connections):
            since_s = cast(Connection, connection).arriving_since_s
            if since_s is not None and since_s < latest_s:
                meter.timeouts += 1
                connection.hang_up(_TOO_SLOW)
