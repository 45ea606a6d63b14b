"""From the body of a callback to a truthful answer: it is read, appended to the log, and answered once it is on disk."""

from collections.abc import Callable, Iterable
from time import time_ns
from typing import TYPE_CHECKING

import structlog

from answerback.domain.batches import BatchItem
from answerback.domain.models import CallbackKind
from answerback.errors import CallbackRejected, LedgerUnavailable, UnavailableReason
from answerback.intake.channels import ChannelResolver
from answerback.intake.committer import GroupCommitter
from answerback.intake.metrics import IntakeMetrics
from answerback.intake.rejections import RejectionLimiter
from answerback.intake.responses import ROLE_DISABLED, encode_http
from answerback.tencent.callbacks import parse
from answerback.tencent.response import OK, Response, rejected, unavailable

if TYPE_CHECKING:
    from answerback.tracing.tracer import Tracer

NO_KIND = "none"

Answer = Callable[[Response], None]

log = structlog.get_logger("answerback.intake")


class CallbackHandler:
    """What every way in has in common: the callback URL and the API."""

    def __init__(
        self,
        resolver: ChannelResolver,
        committer: GroupCommitter | None,
        metrics: IntakeMetrics,
        rejections: RejectionLimiter,
        max_body_bytes: int,
        tracer: "Tracer | None" = None,
    ) -> None:
        """Without `committer` this process takes no callbacks."""
        self.resolver = resolver
        self.metrics = metrics
        self.max_body_bytes = max_body_bytes
        self.is_tracing = tracer is not None
        self._ok_headers: list[tuple[bytes, bytes]] | None = None
        self._ok = b""
        self._committer = committer
        self._rejections = rejections
        self._tracer = tracer

    @property
    def takes_callbacks(self) -> bool:
        """Whether it is this process's role; what is handed to it otherwise is answered 503."""
        return self._committer is not None

    def handle(
        self, channel: str, raw: bytes, answer: Answer, headers: Iterable[tuple[bytes, bytes]] | None = None
    ) -> None:
        """Have `answer` called with the answer to a body of `channel`: once it is in the log, or at once where it cannot be.

        `headers` are the request's, None where it came in by the API.
        """
        if self._committer is None:
            answer(self.refuse(ROLE_DISABLED))
            return
        item = BatchItem(channel, raw, time_ns() // 1000)
        kind: CallbackKind | None = None
        response = OK
        try:
            kind = parse(raw).kind
        except CallbackRejected as rejection:
            response = rejected(rejection)

        def on_appended(error: LedgerUnavailable | None) -> None:
            final = response if error is None else unavailable(error)
            self.metrics.responses[kind or NO_KIND, final.result] += 1
            answer(final)
            if self._tracer is not None:
                status = None if headers is None else final.status
                self._tracer.trace_receive(item, final.result, status, headers or (), is_stored=error is None)

        try:
            if kind is None and not self._rejections.admit(item, response.result, response.errmsg):
                on_appended(None)
            else:
                self._committer.submit(item, on_appended)
        except LedgerUnavailable as error:
            on_appended(error)
        except Exception:  # a bug of ours, too, is answered by the contract
            log.exception("callback_failed")
            on_appended(LedgerUnavailable(UnavailableReason.FAULT))

    def encode_ok(self, default_headers: list[tuple[bytes, bytes]]) -> bytes:
        """The bytes of the answer OK, made once for each list of headers: uvicorn makes a new one every second."""
        if default_headers is not self._ok_headers:
            self._ok_headers = default_headers
            self._ok = encode_http(OK, default_headers, closes=False, is_head=False)
        return self._ok

    def refuse(self, response: Response) -> Response:
        """Count an answer that needs no log."""
        self.metrics.responses[NO_KIND, response.result] += 1
        return response
