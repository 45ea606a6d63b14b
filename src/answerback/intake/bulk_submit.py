"""Callbacks that are submitted over the API: they take the same path as those of the callback URL."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from answerback.domain.models import RawCallback
from answerback.errors import LedgerUnavailable
from answerback.intake.app import NO_KIND
from answerback.intake.committer import GroupCommitter
from answerback.intake.metrics import IntakeMetrics
from answerback.tencent.codes import ResponseCode
from answerback.tracing import Tracer

_PART_SIZE = 256  # callbacks of the URL get in between
_PART_BYTES = 1024 * 1024


class SubmitResult(NamedTuple):
    """The contract's response to one body; `disposition` is what the ledger did with it, or None."""

    result: int
    errmsg: str
    disposition: str | None


class BulkSubmitter:
    """Submits many bodies at once."""

    def __init__(
        self, committer: GroupCommitter, metrics: IntakeMetrics, max_body_bytes: int, tracer: Tracer | None = None
    ) -> None:
        self._committer = committer
        self._metrics = metrics
        self._max_body_bytes = max_body_bytes
        self._tracer = tracer

    async def submit(self, channel: str, bodies: Sequence[bytes]) -> list[SubmitResult]:
        """Store each of `bodies` durably; the response to each, in order."""
        result: list[SubmitResult] = []
        for part in _parts(bodies):
            result += await asyncio.gather(*[self._submit_one(channel, body) for body in part])
        return result

    async def _submit_one(self, channel: str, body: bytes) -> SubmitResult:
        kind = None
        raw_callback = verdict = None
        if len(body) > self._max_body_bytes:
            result = SubmitResult(ResponseCode.TOO_LARGE, f"the body is larger than {self._max_body_bytes} bytes", None)
        else:
            raw_callback = RawCallback(channel, body, datetime.now(UTC))
            try:
                verdict = await self._committer.submit(raw_callback)
            except LedgerUnavailable as error:
                result = SubmitResult(ResponseCode.UNAVAILABLE, f"not known to be stored, try again: {error}", None)
            else:
                kind = verdict.kind
                result = SubmitResult(verdict.result, verdict.errmsg, verdict.disposition.name.lower())
        self._metrics.responses[kind or NO_KIND, result.result] += 1
        if self._tracer is not None and raw_callback is not None:
            self._tracer.trace_receive(raw_callback, verdict, result.result)
        return result


def _parts(bodies: Sequence[bytes]) -> Iterator[list[bytes]]:
    """`bodies` in order, in parts that do not block the event loop for long."""
    part: list[bytes] = []
    size = 0
    for body in bodies:
        if part and (len(part) == _PART_SIZE or size + len(body) > _PART_BYTES):
            yield part
            part, size = [], 0
        part.append(body)
        size += len(body)
    if part:
        yield part
