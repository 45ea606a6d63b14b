"""uvicorn's HTTP protocol, hardened: slow senders, upgrades, one write per response. Used by the gateway and the emulator."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from answerback.tencent.codes import ResponseCode
from answerback.tencent.response import encode_response

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
"""ASGI's."""

RECORDER_LAG_S = "answerback.recorder_lag_s"
"""In the scope of a read that could not wait for all that was answered before it: by how many seconds the ledger is behind."""

_MAX_HEAD_BYTES = 65_536
_SLICE_BYTES = 1024
_REAP_EVERY_S = 1.0
_JUST_BEGUN_S, _ON_ITS_WAY_S = 1.0, 0.5


def _make_final_response(status: bytes, result: ResponseCode, errmsg: str) -> bytes:
    body = encode_response(result, errmsg)
    head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
    return head % (status, len(body)) + body


_NOT_HTTP = _make_final_response(b"400 Bad Request", ResponseCode.NOT_JSON, "this is not HTTP/1.1")
_NO_TUNNEL = _make_final_response(b"400 Bad Request", ResponseCode.WRONG_METHOD, "CONNECT: this is no proxy")
_TOO_SLOW = _make_final_response(b"408 Request Timeout", ResponseCode.TOO_SLOW, "the request did not arrive in time")
_HEAD_TOO_LARGE = _make_final_response(
    b"431 Request Header Fields Too Large",
    ResponseCode.TOO_LARGE,
    f"the headers are larger than {_MAX_HEAD_BYTES} bytes",
)


class CorkedTransport:
    """A transport that sends the head of an answer together with its body: one system call and one segment, not two.

    What is written waits for the next write, and no longer than to the end of this turn of the loop.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._buffer = b""

    def write(self, data: bytes) -> None:
        if self._buffer:
            self._transport.write(self._buffer + data)
            self._buffer = b""
        else:
            self._buffer = data
            self._loop.call_soon(self.flush)

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def flush(self) -> None:
        if self._buffer and not self._transport.is_closing():  # else it was cut off meanwhile
            self._transport.write(self._buffer)
        self._buffer = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class TimedHttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol for real-world senders.

    It knows since when a request is arriving, ignores offers to change the protocol, and answers what was asked in whole
    before it says what is wrong with the bytes behind it.
    """

    arriving_since_s: float | None = None
    idle_since_s: float | None = None
    _is_shutting_down = False
    _unsent_bytes = 0
    _progress_at_s = 0.0
    _head_bytes = 0  # of a head that is not whole, or of a trailer, up to the current segment
    _is_head_whole = False
    _segment_bytes = 0  # of the current segment, where neither another request nor a part of a body is in it
    _final_response: bytes | None = None
    _current_cycle: RequestResponseCycle | None = None  # of several requests the first; `cycle` is the newest

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(cast(asyncio.Transport, CorkedTransport(transport, self.loop)))
        self.arriving_since_s = self._progress_at_s = self.loop.time()

    def connection_lost(self, exc: Exception | None) -> None:
        """Also pass the disconnect to the request being answered when others are queued behind it."""
        if self._current_cycle is not None:
            self._current_cycle.disconnected = True
            self._current_cycle.message_event.set()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Close; a request that is on its way, as from a sender who connected this very moment, is answered first."""
        since_s = self.arriving_since_s
        if since_s is None or self._is_shutting_down or self.loop.time() > since_s + _JUST_BEGUN_S:
            super().shutdown()
        else:
            self._is_shutting_down = True
            self.loop.call_later(_ON_ITS_WAY_S, self.shutdown)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        cycle.keep_alive = cycle.keep_alive and not self._is_last_answer()
        self._current_cycle = cycle
        super()._start_asgi_task(cycle, app)

    def _is_last_answer(self) -> bool:
        """Whether the connection ends after the answer whose turn it is, because the process does."""
        return self._is_shutting_down and not self.pipeline

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._head_bytes + len(data) <= _MAX_HEAD_BYTES:
            self._parse(data)
            return
        for start in range(0, len(data), _SLICE_BYTES):  # so that a head is measured while it is read
            self._parse(data[start : start + _SLICE_BYTES])

    def _parse(self, data: bytes) -> None:
        while data and self._final_response is None:
            self._segment_bytes = len(data)
            try:
                self.parser.feed_data(data)
                break
            except httptools.HttpParserUpgrade as offer:
                data = self._without_upgrade(data[offer.args[0] :])
            except httptools.HttpParserError:
                self.finish_with(_NOT_HTTP)
        if self.arriving_since_s is not None:
            if self._is_head_whole:
                self._head_bytes = self._head_bytes + self._segment_bytes if self._segment_bytes else 0
            else:
                self._head_bytes += self._segment_bytes or self._measure_begun_head(data)
            if self._head_bytes > _MAX_HEAD_BYTES:
                self.finish_with(_HEAD_TOO_LARGE)

    def _measure_begun_head(self, data: bytes) -> int:
        """The bytes of a head that began in `data` behind the end of another request: its lines, and what there is of the next."""
        lines_bytes = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        return lines_bytes + len(data) - data.rfind(b"\n") - 1

    def _without_upgrade(self, rest: bytes) -> bytes:
        """What a new parser is to read: the head of a request, without the other protocol that it offers, and `rest`.

        llhttp stops behind such a head, and takes what follows for the other protocol. Everything else of the head
        stays as it was, so that the body has the length that the first parser saw.
        """
        old = self.parser
        if old.get_method() == b"CONNECT":
            self.finish_with(_NO_TUNNEL)
            return b""
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn sets it
        request_line = b"%b %b HTTP/%b\r\n" % (old.get_method(), self.url, old.get_http_version().encode())
        headers = b"".join(b"%b: %b\r\n" % header for header in self.headers if header[0] != b"upgrade")
        return request_line + headers + b"\r\n" + rest

    def _should_upgrade(self) -> bool:
        """Have uvicorn make no request of a head that offers another protocol: it comes again, without the offer."""
        return True

    def on_message_begin(self) -> None:
        """Note that a request begins; what uvicorn makes for one is made when it is known to be for an application."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._head_bytes = 0
        self._is_head_whole = False
        self.idle_since_s = None
        if self.arriving_since_s is None:
            self.arriving_since_s = self.loop.time()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header; nobody asks for those behind a chunked body."""
        if not self._is_head_whole:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        url, headers, expect_100_continue = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expect_100_continue
        # In place: it is the scope's. llhttp leaves the white space behind a value, which is no part of it (RFC 9110, 5.5).
        self.headers += [(name, value.rstrip(b" \t")) for name, value in headers]
        self._is_head_whole = True
        self._segment_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._segment_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():
            self.arriving_since_s = None
            self._segment_bytes = 0
            if not self.parser.should_keep_alive():  # its trailer may say so, and then nothing more is read
                self.cycle.keep_alive = False
            super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._final_response is not None and not self._has_unanswered_request():
            self.close_with(self._final_response)

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn's says nothing
        """Stay open for a sender that ended only its own half, until it has its answer; TLS knows no such half.

        Once an answer has begun, an end is that of a reader who left.
        """
        if self.scheme == "https" or not self._has_unanswered_request() or self.cycle.response_started:
            cast(CorkedTransport, self.transport).flush()  # an answer without a body may be held; asyncio closes now
            return False
        self.finish_with(b"")
        return True

    def finish_with(self, final_response: bytes) -> None:
        """Close with `final_response`, once everything that was asked in whole is answered."""
        self.arriving_since_s = None
        if self._final_response is None:
            self._final_response = final_response
        if not self._has_unanswered_request():
            self.close_with(self._final_response)

    def close_with(self, final_response: bytes) -> None:
        """Send a last response, if none was begun, and close."""
        if not self.transport.is_closing():
            cycle = self._current_cycle
            if cycle is None or not cycle.response_started or cycle.response_complete:
                self.transport.write(final_response)
            self.transport.close()

    def close_if_idle(self, now_s: float) -> None:
        """Close where nothing was asked for too long since the last answer; to be called periodically."""
        since_s = self.idle_since_s
        if since_s is None or self.arriving_since_s is not None or self._has_unanswered_request():
            return
        if now_s - since_s > self.timeout_keep_alive:
            self.transport.close()

    def is_stalled(self, now_s: float, timeout_s: float) -> bool:
        """Whether the reader took no byte for so long; to be called periodically."""
        unsent_bytes = self.transport.get_write_buffer_size()
        if unsent_bytes == 0 or unsent_bytes < self._unsent_bytes:
            self._progress_at_s = now_s
        self._unsent_bytes = unsent_bytes
        return now_s - self._progress_at_s > timeout_s

    def _has_unanswered_request(self) -> bool:
        """Whether a whole request is not answered in full."""
        cycle = self._current_cycle
        return bool(self.pipeline) or (cycle is not None and not cycle.more_body and not cycle.response_complete)


async def reap_slow_connections(
    connections: set[Any],
    request_timeout_s: float,
    on_timeout: Callable[[], None],
    reader_timeout_s: float,
    on_stalled_reader: Callable[[], None],
) -> None:
    """Close connections of senders that are too slow, and of readers that take nothing, for ever."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(min(_REAP_EVERY_S, request_timeout_s / 2, reader_timeout_s / 2))
        now_s = loop.time()
        for connection in [cast(TimedHttpProtocol, connection) for connection in connections]:
            since_s = connection.arriving_since_s
            if since_s is not None and since_s < now_s - request_timeout_s:
                on_timeout()
                connection.finish_with(_TOO_SLOW)
            connection.close_if_idle(now_s)
            if connection.is_stalled(now_s, reader_timeout_s):
                on_stalled_reader()
                connection.transport.abort()
