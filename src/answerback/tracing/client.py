"""A ledger client that traces what each transaction recorded."""

import asyncio
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from answerback.errors import LedgerUnavailable
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import Command, LogReply, RecordLog

if TYPE_CHECKING:
    from answerback.tracing.tracer import Tracer

T = TypeVar("T")


class TracingClient:
    """Wraps a ledger client, and adds a span for every callback that it has recorded."""

    def __init__(self, ledger: LedgerClient, tracer: "Tracer") -> None:
        self._ledger = ledger
        self._tracer = tracer

    @property
    def saturated(self) -> Collection[int]:
        """Endpoints for which no more jobs can be taken now."""
        return self._ledger.saturated

    @property
    def failure(self) -> LedgerUnavailable | None:
        """Why no command is carried out now; None where they are, as far as is known."""
        return self._ledger.failure

    def execute(self, command: Command[T]) -> "asyncio.Future[T]":
        if not isinstance(command, RecordLog):
            return self._ledger.execute(command)
        answer: asyncio.Future[Any] = self._ledger.execute(msgspec.structs.replace(command, trace=True))
        answer.add_done_callback(self._on_recorded)
        return answer

    def _on_recorded(self, recorded: "asyncio.Future[LogReply]") -> None:
        if recorded.cancelled() or recorded.exception() is not None:
            return
        trace = recorded.result().trace
        if trace is not None:
            self._tracer.trace_record(trace)
