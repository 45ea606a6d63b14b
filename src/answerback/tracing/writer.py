"""A ledger client that traces what each transaction recorded."""

import asyncio
from collections.abc import Awaitable, Collection, Sequence
from typing import Any, TypeVar

import msgspec

from answerback.domain.models import RawCallback
from answerback.ledger import StoreResult
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import (
    Command,
    ConsumeResult,
    LogReply,
    ProbeWrite,
    Record,
    RecordLog,
    RecordReply,
    RecordStreamBatches,
)
from answerback.tracing.tracer import Tracer

T = TypeVar("T")


class TracingClient:
    """Wraps a ledger client, and adds a span for every callback that it has recorded."""

    def __init__(self, ledger: LedgerClient, tracer: Tracer) -> None:
        self._ledger = ledger
        self._tracer = tracer

    @property
    def saturated(self) -> Collection[int]:
        """Endpoints for which no more jobs can be taken now."""
        return self._ledger.saturated

    def record(self, batch: Sequence[RawCallback]) -> "asyncio.Future[list[StoreResult]]":
        """Parse and store `batch` durably; the result for each sender, with the fingerprint of each callback."""
        reply = self._ledger.execute(Record(batch, list(self.saturated), trace=True))  # now: batches keep their order
        return asyncio.get_running_loop().create_task(self._verdicts(reply))

    def execute(self, command: Command[T]) -> "asyncio.Future[T]":
        """Execute `command`, traced if it records."""
        if not isinstance(command, RecordStreamBatches | RecordLog):
            return self._ledger.execute(command)
        answer: asyncio.Future[Any] = self._ledger.execute(msgspec.structs.replace(command, trace=True))
        answer.add_done_callback(self._on_recorded)
        return answer

    async def probe(self) -> None:
        """Commit nothing of note. Raises LedgerUnavailable."""
        await self.execute(ProbeWrite())

    async def _verdicts(self, reply: Awaitable[RecordReply]) -> list[StoreResult]:
        answer = await reply
        if answer.trace is None:
            return answer.results()
        self._tracer.trace_record(answer.trace)
        fingerprints = iter(answer.trace.callbacks)
        return [
            verdict if verdict.kind is None else msgspec.structs.replace(verdict, fingerprint=next(fingerprints)[0])
            for verdict in answer.results()
        ]

    def _on_recorded(self, recorded: "asyncio.Future[ConsumeResult | LogReply]") -> None:
        if recorded.cancelled() or recorded.exception() is not None:
            return
        trace = recorded.result().trace
        if trace is not None:
            self._tracer.trace_record(trace)
