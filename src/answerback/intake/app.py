"""The callback URL: plain ASGI, from bytes to an answer that is true.

Answers are always the contract's JSON. docs/answers.md lists them.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, NamedTuple

import structlog

from answerback.domain.models import Arrival
from answerback.errors import LedgerUnavailable, UnavailableReason
from answerback.intake.channels import Channels
from answerback.intake.committer import Committer
from answerback.intake.metrics import Meter
from answerback.ledger import Taken, Verdict
from answerback.tencent import response
from answerback.tencent.codes import Answered
from answerback.tracing import Tracer

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

NO_KIND = "none"
RETRY_AFTER_S = 1
_DISCARDABLE_BYTES = 8 * 1024 * 1024

log = structlog.get_logger("answerback.intake")


class _Reply(NamedTuple):
    """The two ASGI messages of an answer, and what to count it as."""

    start: Message
    body: Message
    result: int


def _reply(status: int, result: int, errmsg: str, *extra: tuple[bytes, bytes]) -> _Reply:
    body = response.write_answer(result, errmsg)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *extra]
    return _Reply(
        {"type": "http.response.start", "status": status, "headers": headers},
        {"type": "http.response.body", "body": body},
        result,
    )


_CLOSE = (b"connection", b"close")
_OK = _reply(200, Answered.OK, "OK")
_UNKNOWN_CHANNEL = _reply(404, Answered.UNKNOWN_CHANNEL, "no channel has this callback URL")
_NOT_HERE = _reply(
    503, Answered.UNAVAILABLE, "this process takes no callbacks (server.roles): send it to one that does"
)
_WRONG_METHOD = _reply(405, Answered.WRONG_METHOD, "a callback is POSTed", (b"allow", b"POST"))


class Elsewhere:
    """ASGI application for the callback URL of a process that takes no callbacks: whoever sent one there may try again."""

    async def __call__(self, _scope: Message, _receive: Receive, send: Send) -> None:
        """Answer one request."""
        for message in (_NOT_HERE.start, _NOT_HERE.body):
            await send(message)


class _TooLarge(Exception):
    """The body is over the limit; `drained` tells whether the connection can be used on."""

    def __init__(self, *, drained: bool) -> None:
        self.drained = drained


class _Gone(Exception):
    """The sender hung up half-way: there is nobody to answer."""


class Intake:
    """ASGI application for `/voice/callback` and `/voice/callback/{token}`."""

    def __init__(
        self,
        channels: Channels,
        committer: Committer,
        meter: Meter,
        max_body_bytes: int,
        tracer: Tracer | None = None,
    ) -> None:
        self._channels = channels
        self._committer = committer
        self._meter = meter
        self._max_body_bytes = max_body_bytes
        self._tracer = tracer

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        began_s = perf_counter()
        kind: str | None = None
        arrival = verdict = None
        try:
            channel = self._channels.of_path(scope["path"])
            if channel is None:
                reply = _UNKNOWN_CHANNEL
            elif scope["method"] != "POST":
                reply = _WRONG_METHOD
            else:
                raw = await self._read(scope, receive)
                arrival = Arrival(channel, raw, datetime.now(UTC))
                verdict = await self._committer.submit(arrival)
                kind = verdict.kind
                reply = _OK if verdict.result == 0 else _refusal(channel, verdict)
        except _TooLarge as large:
            reply = _too_large(self._max_body_bytes, drained=large.drained)
        except LedgerUnavailable as error:
            reply = _unavailable(error)
        except _Gone:
            return
        except Exception:  # a fault of ours, too, is answered by the contract
            log.exception("callback_failed")
            reply = _unavailable(LedgerUnavailable(UnavailableReason.FAULT))
        await send(reply.start)
        await send(reply.body)
        self._meter.answers[kind or NO_KIND, reply.result] += 1
        self._meter.answer_latency_s.observe(perf_counter() - began_s)
        if self._tracer is not None and arrival is not None:
            self._tracer.received(arrival, verdict, reply.result, reply.start["status"], scope["headers"])

    async def _read(self, scope: Message, receive: Receive) -> bytes:
        """The whole body, or _TooLarge, or _Gone."""
        limit = self._max_body_bytes
        for name, value in scope["headers"]:
            if name == b"content-length" and int(value) > limit:
                if (b"expect", b"100-continue") in scope["headers"]:
                    raise _TooLarge(drained=False)  # it asked first: it need not send what we do not want
                await _discard(receive, expected_bytes=int(value))
        message = await receive()
        raw: bytes = message.get("body", b"")
        while message.get("more_body"):
            if len(raw) > limit:
                await _discard(receive, expected_bytes=limit)
            message = await receive()
            raw += message.get("body", b"")
        if message["type"] == "http.disconnect":
            raise _Gone
        if len(raw) > limit:
            raise _TooLarge(drained=True)
        return raw


async def _discard(receive: Receive, expected_bytes: int) -> None:
    """Read a body that is too large to its end, so that its sender reads our answer; give up on a very large one."""
    discarded_bytes = 0
    while max(expected_bytes, discarded_bytes) <= _DISCARDABLE_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        if not message.get("more_body"):
            raise _TooLarge(drained=True)
        discarded_bytes += len(message["body"])
    raise _TooLarge(drained=False)


def _refusal(channel: str, verdict: Verdict) -> _Reply:
    if verdict.taken is Taken.QUARANTINED:  # a flood repeats itself or is dropped: neither fills the log
        log.warning("callback_refused", channel=channel, result=verdict.result, reason=verdict.errmsg)
    return _reply(400, verdict.result, verdict.errmsg)


def _too_large(limit_bytes: int, *, drained: bool) -> _Reply:
    errmsg = f"the body is larger than {limit_bytes} bytes"
    return _reply(413, Answered.TOO_LARGE, errmsg, *(() if drained else (_CLOSE,)))


def _unavailable(error: LedgerUnavailable) -> _Reply:
    retry_after = (b"retry-after", str(RETRY_AFTER_S).encode())
    return _reply(503, Answered.UNAVAILABLE, f"not known to be stored, try again: {error}", retry_after)
