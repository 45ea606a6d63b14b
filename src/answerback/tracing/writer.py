"""The ledger's writer, asked also what each of its transactions held, and when it was."""

import asyncio
from collections.abc import Awaitable, Collection, Sequence
from typing import Any, TypeVar

import msgspec

from answerback.domain.models import Arrival
from answerback.ledger import Verdict
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import Drained, Noted, Probe, Record, RecordDrained, Request
from answerback.tracing.tracer import Tracer

T = TypeVar("T")


class TracedWriter:
    """Does what the writer does, and tells the tracer of every callback that it has recorded."""

    def __init__(self, writer: LedgerClient, tracer: Tracer) -> None:
        self._writer = writer
        self._tracer = tracer

    @property
    def full(self) -> Collection[int]:
        """Endpoints for which no more jobs can be taken now."""
        return self._writer.full

    def record(self, batch: Sequence[Arrival]) -> "asyncio.Future[list[Verdict]]":
        """Read and store `batch` durably; what to tell each sender, with the identity of what was a callback."""
        noted = self._writer.ask(Record(batch, list(self.full), witness=True))  # now: batches keep their order
        return asyncio.get_running_loop().create_task(self._verdicts(noted))

    def ask(self, request: Request[T]) -> "asyncio.Future[T]":
        """Have `request` carried out."""
        if not isinstance(request, RecordDrained):
            return self._writer.ask(request)
        answer: asyncio.Future[Any] = self._writer.ask(msgspec.structs.replace(request, witness=True))
        answer.add_done_callback(self._drained)
        return answer

    async def probe(self) -> None:
        """Commit nothing of note. Raises LedgerUnavailable."""
        await self.ask(Probe())

    async def _verdicts(self, noted: Awaitable[Noted]) -> list[Verdict]:
        answer = await noted
        if answer.witnessed is None:
            return answer.verdicts()
        self._tracer.recorded(answer.witnessed)
        identities = iter(answer.witnessed.callbacks)
        return [
            verdict if verdict.kind is None else msgspec.structs.replace(verdict, identity=next(identities)[0])
            for verdict in answer.verdicts()
        ]

    def _drained(self, drained: "asyncio.Future[Drained]") -> None:
        if drained.cancelled() or drained.exception() is not None:
            return
        witnessed = drained.result().witnessed
        if witnessed is not None:
            self._tracer.recorded(witnessed)
