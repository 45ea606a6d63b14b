"""Callbacks that a platform hands in by the API: they go the same way as those of the callback URL."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from answerback.domain.models import Arrival
from answerback.errors import LedgerUnavailable
from answerback.intake.app import NO_KIND
from answerback.intake.committer import Committer
from answerback.intake.metrics import Meter
from answerback.tencent.codes import Answered
from answerback.tracing import Tracer

_AT_A_TIME = 256  # the callback URL finds room between them
_BYTES_AT_A_TIME = 1024 * 1024


class Told(NamedTuple):
    """The answer to one body, by the contract; `taken` is what the ledger did with it, None where it did nothing."""

    result: int
    errmsg: str
    taken: str | None


class Submission:
    """The way in for bodies that do not come one by one."""

    def __init__(self, committer: Committer, meter: Meter, max_body_bytes: int, tracer: Tracer | None = None) -> None:
        self._committer = committer
        self._meter = meter
        self._max_body_bytes = max_body_bytes
        self._tracer = tracer

    async def take(self, channel: str, bodies: Sequence[bytes]) -> list[Told]:
        """Store each of `bodies` durably; what each is answered, in order."""
        told: list[Told] = []
        for part in _parts(bodies):
            told += await asyncio.gather(*[self._take(channel, body) for body in part])
        return told

    async def _take(self, channel: str, body: bytes) -> Told:
        kind = None
        arrival = verdict = None
        if len(body) > self._max_body_bytes:
            told = Told(Answered.TOO_LARGE, f"the body is larger than {self._max_body_bytes} bytes", None)
        else:
            arrival = Arrival(channel, body, datetime.now(UTC))
            try:
                verdict = await self._committer.submit(arrival)
            except LedgerUnavailable as error:
                told = Told(Answered.UNAVAILABLE, f"not known to be stored, try again: {error}", None)
            else:
                kind = verdict.kind
                told = Told(verdict.result, verdict.errmsg, verdict.taken.name.lower())
        self._meter.answers[kind or NO_KIND, told.result] += 1
        if self._tracer is not None and arrival is not None:
            self._tracer.received(arrival, verdict, told.result)
        return told


def _parts(bodies: Sequence[bytes]) -> Iterator[list[bytes]]:
    """`bodies` in order, so many at a time that none holds the event loop for long."""
    part: list[bytes] = []
    size = 0
    for body in bodies:
        if part and (len(part) == _AT_A_TIME or size + len(body) > _BYTES_AT_A_TIME):
            yield part
            part, size = [], 0
        part.append(body)
        size += len(body)
    if part:
        yield part
