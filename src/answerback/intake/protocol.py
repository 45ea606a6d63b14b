"""The connection class that answers the callback URL itself, without an application; all else goes on through uvicorn.

A request for the callback URL is recognised when its head is whole. No scope, task or cycle is made for it: its body goes to
the `CallbackHandler`, and each answer is written in its turn among those of the connection.
"""

import asyncio
from collections import deque
from time import perf_counter
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from answerback.http_protocol import CorkedTransport, TimedHttpProtocol
from answerback.intake.handler import CallbackHandler
from answerback.intake.responses import ROLE_DISABLED, encode_http
from answerback.tencent.response import OK, UNKNOWN_CHANNEL, WRONG_METHOD, Response, too_large

_DISCARDABLE_BYTES = 8 * 1024 * 1024
_MAX_TURNS = 128
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class _Exchange:
    """A request for the callback URL, and its answer once there is one."""

    __slots__ = ("_connection", "began_s", "closes", "is_head", "response")

    def __init__(self, connection: "CallbackProtocol", *, closes: bool, is_head: bool) -> None:
        self._connection = connection
        self.began_s = perf_counter()
        self.closes = closes
        self.is_head = is_head
        self.response: Response | None = None

    def answer(self, response: Response) -> None:
        """Have `response` sent, after those to earlier requests."""
        self.response = response
        self._connection.take_turns()


class CallbackProtocol(TimedHttpProtocol):
    """uvicorn's HTTP protocol, with the callback URL answered by `handler`."""

    def __init__(self, handler: CallbackHandler, **uvicorn_state: Any) -> None:
        super().__init__(**uvicorn_state)
        self._handler = handler
        self._turns: deque[_Exchange | tuple[RequestResponseCycle, Any]] = deque()
        self._is_callback = False  # the message that is arriving
        self._exchange: _Exchange | None = None  # of that message, until it is whole or refused
        self._channel = ""
        self._body: bytes | bytearray = b""  # the latter where it comes in pieces
        self._announced_bytes = 0
        self._discarded_bytes = 0
        self._is_reading_paused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._socket = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._turns.clear()
        self._exchange = None  # of a request that had begun to arrive: nobody is there to be asked for the rest
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Close after the answers to what was asked, and to what is being asked."""
        if self._turns or self._exchange is not None:
            self._is_shutting_down = True
        else:
            super().shutdown()

    def eof_received(self) -> bool:  # type: ignore[override]  # as in the base class
        if self._turns and self.scheme != "https":
            self.finish_with(b"")
            return True
        return super().eof_received()

    # A request arrives.

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._is_head_whole:  # it is behind a chunked body
            return
        name = name.lower()
        self.headers.append((name, value))
        if name == b"content-length":
            self._announced_bytes = int(value)
        elif name == b"expect" and value.rstrip().lower() == b"100-continue":
            self.expect_100_continue = True

    def on_headers_complete(self) -> None:
        parser, handler = self.parser, self._handler
        announced_bytes, self._announced_bytes = self._announced_bytes, 0
        channel = None if parser.should_upgrade() else handler.resolver.resolve_target(self.url)
        self._is_callback = channel is not None
        if channel is None:
            if not parser.should_upgrade():  # else it comes again, without the offer
                self.cycle = None  # type: ignore[assignment]  # it waits for its turn here, not in uvicorn's queue
            super().on_headers_complete()
            return
        self._is_head_whole = True
        self._segment_bytes = 0
        method = parser.get_method()
        closes = not parser.should_keep_alive() or parser.get_http_version() == "1.0"
        self._exchange = _Exchange(self, closes=closes, is_head=method == b"HEAD")
        self._channel, self._body, self._discarded_bytes = channel, b"", 0
        if not handler.takes_callbacks:
            self._refuse(ROLE_DISABLED)
        elif not channel:
            self._refuse(UNKNOWN_CHANNEL)
        elif method != b"POST":
            self._refuse(WRONG_METHOD)
        else:
            self._check_length(announced_bytes)

    def _check_length(self, length: int) -> None:
        """Refuse a body that need not be sent; of one that is sent anyway the end is awaited, so that its sender reads the answer."""
        if length > self._handler.max_body_bytes and (self.expect_100_continue or length > _DISCARDABLE_BYTES):
            self._refuse(too_large(self._handler.max_body_bytes), closes=True)
        else:
            self._continue_if_expected()

    def _continue_if_expected(self) -> None:
        """Have the body sent for which its sender waits to be asked, when all before it is answered."""
        if self.expect_100_continue and self._exchange is not None and not self._turns and not self._is_cycle_running():
            self.expect_100_continue = False
            self._write(_CONTINUE)

    def on_body(self, body: bytes) -> None:
        if not self._is_callback:
            super().on_body(body)
            return
        self._segment_bytes = 0
        if self._exchange is not None:
            if self._discarded_bytes:
                self._discarded_bytes += len(body)
                if self._discarded_bytes > _DISCARDABLE_BYTES:
                    self._refuse(too_large(self._handler.max_body_bytes), closes=True)
                return
            if not self._body:
                self._body = body
            else:
                self._body = self._body if isinstance(self._body, bytearray) else bytearray(self._body)
                self._body += body
            if len(self._body) > self._handler.max_body_bytes:
                self._discarded_bytes, self._body = len(self._body), b""

    def on_message_complete(self) -> None:
        if not self._is_callback:
            super().on_message_complete()
            return
        self.arriving_since_s = None
        self._segment_bytes = 0
        exchange = self._exchange
        if exchange is None:
            return
        if self._discarded_bytes:
            self._refuse(too_large(self._handler.max_body_bytes))
            return
        self._exchange = None
        exchange.closes |= not self.parser.should_keep_alive()  # its trailer may say so, and then nothing more is read
        self._await_turn(exchange)
        self._handler.handle(
            self._channel, bytes(self._body), exchange.answer, self.headers if self._handler.is_tracing else ()
        )

    def _refuse(self, response: Response, *, closes: bool = False) -> None:
        """Answer without having read the body, or all of it; and close the connection then, where it `closes`."""
        exchange, self._exchange = cast(_Exchange, self._exchange), None
        exchange.closes |= closes
        self._await_turn(exchange)
        exchange.answer(self._handler.refuse(response))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if self._turns or self._is_cycle_running():
            self._await_turn((cycle, app))
        else:
            super()._start_asgi_task(cycle, app)

    # Answers, in the order of the requests.

    def _await_turn(self, turn: _Exchange | tuple[RequestResponseCycle, Any]) -> None:
        self._turns.append(turn)
        if len(self._turns) >= _MAX_TURNS:
            self._pause_reading()

    def take_turns(self) -> None:
        """Send the answers that are there, and start an application where it is its turn."""
        turns = self._turns
        while turns and not self._is_cycle_running():
            turn = turns[0]
            if isinstance(turn, tuple):
                turns.popleft()
                super()._start_asgi_task(*turn)
            elif turn.response is None:
                return
            else:
                turns.popleft()
                self._send(turn, turn.response)
        if self._is_reading_paused and not turns and not self.flow.write_paused:
            self._is_reading_paused = False
            self.flow.resume_reading()
        self._continue_if_expected()
        if self._final_response is not None and not self._has_unanswered_request():
            self.close_with(self._final_response)

    def _send(self, exchange: _Exchange, response: Response) -> None:
        closes = exchange.closes or self._is_last_answer()
        default_headers = self.server_state.default_headers
        if response is OK and not closes and not exchange.is_head:
            self._write(self._handler.encode_ok(default_headers))
        else:
            self._write(encode_http(response, default_headers, closes=closes, is_head=exchange.is_head))
        self._handler.metrics.response_latency_s.observe(perf_counter() - exchange.began_s)
        self.idle_since_s = self.loop.time()
        if closes:
            self._turns.clear()
            self.transport.close()
        elif self.flow.write_paused:
            self._pause_reading()

    def _write(self, data: bytes) -> None:
        cast(CorkedTransport, self.transport).flush()
        self._socket.write(data)

    def _pause_reading(self) -> None:
        self._is_reading_paused = True
        self.flow.pause_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.take_turns()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._unset_keepalive_if_required()  # it would run on while the next request is answered
        self.idle_since_s = self.loop.time()
        self.take_turns()

    def _is_last_answer(self) -> bool:
        return self._is_shutting_down and not self._turns

    def _is_cycle_running(self) -> bool:
        return self._current_cycle is not None and not self._current_cycle.response_complete

    def _has_unanswered_request(self) -> bool:
        return bool(self._turns) or super()._has_unanswered_request()
