"""An inbox, a ledger and the recorder between them, and what may go wrong there."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from builders import AnyCallback, wire
from inbox.harness import config

from answerback.domain.batches import BatchItem
from answerback.errors import AnswerbackError, LedgerUnavailable, UnavailableReason
from answerback.inbox import Inbox
from answerback.ledger import Ledger, LedgerConfig
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import Command, RecordLog, decode_command, decode_result, encode_command
from answerback.ledger.writer.client import WriterClient
from answerback.ledger.writer.framing import decode_reply, encode_error, encode_result
from answerback.recorder import InboxRecorder, RecorderMetrics

T = TypeVar("T")

_received_us = count(1_777_636_800_000_000)
"""Noon, and a microsecond later for each body."""
KILLED = LedgerUnavailable(UnavailableReason.WRITER_ENDED)


class InlineClient:
    """Carries commands out at once, over the writer's wire format; the next one that records a log may meet a fault."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.saturated: Collection[int] = ()
        self.failure: LedgerUnavailable | None = None
        self.recorded: list[RecordLog] = []
        self.fault = ""

    def execute(self, command: Command[T]) -> "asyncio.Future[T]":
        """Carry `command` out.

        Faults: "refused" and "away" are not begun, "killed" ends in its transaction, "lost" is done without an answer, and at a
        "waiting" one another command comes in at the end of its first slice.
        """
        fault = ""
        if isinstance(command, RecordLog):
            self.recorded.append(command)
            fault = self.fault
            self.fault = fault if fault == "away" else ""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        try:
            answer.set_result(decode_result(type(command), decode_reply(self._run(command, fault))))
        except AnswerbackError as error:
            answer.set_exception(error)
        except KeyError as error:  # what a writer of its own process says of any fault
            answer.set_exception(LedgerUnavailable(UnavailableReason.FAULT, type(error).__name__))
        return answer

    def _run(self, command: Command[Any], fault: str) -> bytes:
        if fault in {"refused", "away"}:
            raise LedgerUnavailable(UnavailableReason.LOCKED)
        self.ledger.is_write_waiting = {"killed": _kill, "waiting": lambda: True}.get(fault, lambda: False)
        try:
            reply = encode_result(decode_command(encode_command(command)).run(self.ledger))
        except AnswerbackError as error:
            return encode_error(error)
        if fault == "lost":
            raise KILLED
        return reply


def _kill() -> bool:
    raise KILLED


def items(callbacks: Iterable[AnyCallback]) -> list[BatchItem]:
    """The callbacks as they come in, one after the other."""
    return [BatchItem("default", wire(callback), next(_received_us)) for callback in callbacks]


async def append(inbox: Inbox, callbacks: Sequence[AnyCallback], rows: int = 1) -> None:
    """Have the callbacks appended in so many rows."""
    size = -(-len(callbacks) // rows)
    await asyncio.gather(
        *(inbox.append(items(callbacks[first : first + size])) for first in range(0, len(callbacks), size))
    )


async def recorded(recorder: InboxRecorder) -> None:
    """Wait until all that is in the inbox is recorded, whatever fails meanwhile."""
    while recorder.lag.rows:
        await recorder.catch_up(1.0)
        await asyncio.sleep(0)


@asynccontextmanager
async def opened(directory: Path, **changes: Any) -> AsyncIterator[Inbox]:
    """The inbox in a directory, for one start of a gateway."""
    inbox = Inbox.open(config(directory, **changes))
    inbox.start()
    try:
        yield inbox
    finally:
        await inbox.stop(5.0)


@asynccontextmanager
async def writing(ledger: LedgerConfig) -> AsyncIterator[WriterClient]:
    """A writer for a ledger, a process of its own."""
    writer = WriterClient(ledger)
    await writer.start()
    try:
        yield writer
    finally:
        await writer.stop(10)


@asynccontextmanager
async def recording(inbox: Inbox, ledger: LedgerClient) -> AsyncIterator[tuple[InboxRecorder, RecorderMetrics]]:
    """A recorder between them."""
    metrics = RecorderMetrics()
    recorder = InboxRecorder(inbox, ledger, metrics)
    recorder.start()
    try:
        yield recorder, metrics
    finally:
        await recorder.stop(5.0)
