"""The callback URL: plain ASGI, from bytes to a truthful response.

Answers are always the contract's JSON. docs/answers.md lists them.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, NamedTuple

import structlog

from answerback.domain.models import RawCallback
from answerback.errors import LedgerUnavailable, UnavailableReason
from answerback.intake.channels import ChannelResolver
from answerback.intake.committer import GroupCommitter
from answerback.intake.metrics import IntakeMetrics
from answerback.ledger import Disposition, StoreResult
from answerback.tencent import response
from answerback.tencent.codes import ResponseCode
from answerback.tracing import Tracer

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

NO_KIND = "none"
RETRY_AFTER_S = 1
_DISCARDABLE_BYTES = 8 * 1024 * 1024

log = structlog.get_logger("answerback.intake")


class _Reply(NamedTuple):
    """The two ASGI messages of a response, and the result to count."""

    start: Message
    body: Message
    result: int


def _reply(status: int, result: int, errmsg: str, *extra: tuple[bytes, bytes]) -> _Reply:
    body = response.encode_response(result, errmsg)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *extra]
    return _Reply(
        {"type": "http.response.start", "status": status, "headers": headers},
        {"type": "http.response.body", "body": body},
        result,
    )


_CLOSE = (b"connection", b"close")
_OK = _reply(200, ResponseCode.OK, "OK")
_UNKNOWN_CHANNEL = _reply(404, ResponseCode.UNKNOWN_CHANNEL, "no channel has this callback URL")
_ROLE_DISABLED = _reply(
    503, ResponseCode.UNAVAILABLE, "this process takes no callbacks (server.roles): send it to one that does"
)
_WRONG_METHOD = _reply(405, ResponseCode.WRONG_METHOD, "a callback is POSTed", (b"allow", b"POST"))


class RoleDisabledApp:
    """ASGI application for the callback URL of a process without the role intake: answers 503."""

    async def __call__(self, _scope: Message, _receive: Receive, send: Send) -> None:
        """Answer one request."""
        for message in (_ROLE_DISABLED.start, _ROLE_DISABLED.body):
            await send(message)


class _TooLarge(Exception):
    """The body is over the limit; `body_consumed`: the connection can be reused."""

    def __init__(self, *, body_consumed: bool) -> None:
        self.body_consumed = body_consumed


class _ClientDisconnected(Exception):
    """The sender disconnected half-way: there is nobody to answer."""


class CallbackApp:
    """ASGI application for `/voice/callback` and `/voice/callback/{token}`."""

    def __init__(
        self,
        resolver: ChannelResolver,
        committer: GroupCommitter,
        metrics: IntakeMetrics,
        max_body_bytes: int,
        tracer: Tracer | None = None,
    ) -> None:
        self._resolver = resolver
        self._committer = committer
        self._metrics = metrics
        self._max_body_bytes = max_body_bytes
        self._tracer = tracer

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        began_s = perf_counter()
        kind: str | None = None
        raw_callback = verdict = None
        try:
            channel = self._resolver.resolve(scope["path"])
            if channel is None:
                reply = _UNKNOWN_CHANNEL
            elif scope["method"] != "POST":
                reply = _WRONG_METHOD
            else:
                raw = await self._read(scope, receive)
                raw_callback = RawCallback(channel, raw, datetime.now(UTC))
                verdict = await self._committer.submit(raw_callback)
                kind = verdict.kind
                reply = _OK if verdict.result == 0 else _reject(channel, verdict)
        except _TooLarge as large:
            reply = _too_large(self._max_body_bytes, body_consumed=large.body_consumed)
        except LedgerUnavailable as error:
            reply = _unavailable(error)
        except _ClientDisconnected:
            return
        except Exception:  # a bug of ours, too, is answered by the contract
            log.exception("callback_failed")
            reply = _unavailable(LedgerUnavailable(UnavailableReason.FAULT))
        await send(reply.start)
        await send(reply.body)
        self._metrics.responses[kind or NO_KIND, reply.result] += 1
        self._metrics.response_latency_s.observe(perf_counter() - began_s)
        if self._tracer is not None and raw_callback is not None:
            self._tracer.trace_receive(raw_callback, verdict, reply.result, reply.start["status"], scope["headers"])

    async def _read(self, scope: Message, receive: Receive) -> bytes:
        """Read the whole body. Raises _TooLarge, _ClientDisconnected."""
        limit = self._max_body_bytes
        for name, value in scope["headers"]:
            if name == b"content-length" and int(value) > limit:
                if (b"expect", b"100-continue") in scope["headers"]:
                    raise _TooLarge(body_consumed=False)  # it asked first: it need not send what we do not want
                await _discard(receive, expected_bytes=int(value))
        message = await receive()
        raw: bytes = message.get("body", b"")
        while message.get("more_body"):
            if len(raw) > limit:
                await _discard(receive, expected_bytes=limit)
            message = await receive()
            raw += message.get("body", b"")
        if message["type"] == "http.disconnect":
            raise _ClientDisconnected
        if len(raw) > limit:
            raise _TooLarge(body_consumed=True)
        return raw


async def _discard(receive: Receive, expected_bytes: int) -> None:
    """Read a body that is too large to its end, so that its sender reads our answer; give up on a very large one."""
    discarded_bytes = 0
    while max(expected_bytes, discarded_bytes) <= _DISCARDABLE_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _ClientDisconnected
        if not message.get("more_body"):
            raise _TooLarge(body_consumed=True)
        discarded_bytes += len(message["body"])
    raise _TooLarge(body_consumed=False)


def _reject(channel: str, verdict: StoreResult) -> _Reply:
    if verdict.disposition is Disposition.QUARANTINED:  # a flood repeats itself or is dropped: neither fills the log
        log.warning("callback_rejected", channel=channel, result=verdict.result, reason=verdict.errmsg)
    return _reply(400, verdict.result, verdict.errmsg)


def _too_large(limit_bytes: int, *, body_consumed: bool) -> _Reply:
    errmsg = f"the body is larger than {limit_bytes} bytes"
    return _reply(413, ResponseCode.TOO_LARGE, errmsg, *(() if body_consumed else (_CLOSE,)))


def _unavailable(error: LedgerUnavailable) -> _Reply:
    retry_after = (b"retry-after", str(RETRY_AFTER_S).encode())
    return _reply(503, ResponseCode.UNAVAILABLE, f"not known to be stored, try again: {error}", retry_after)
