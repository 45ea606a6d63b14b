"""Group commit: many callbacks, one transaction, nobody answered before it is on disk.

One thread takes what has gathered, commits it, and takes what gathered meanwhile: the batch grows with the load
and is one callback when there is none. The loop owns the futures, the thread owns the ledger's writer.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import structlog

from answerback.errors import LedgerUnavailable
from answerback.intake.meter import Meter
from answerback.ledger import Receipt, Taken
from answerback.model import Received, Rejected

_PROBE_EVERY_S = 1.0
_WATCH_EVERY_S = 0.25

log = structlog.get_logger("answerback.intake")


class Recorder(Protocol):
    """What the committer needs of a store."""

    def record(self, batch: Sequence[Received | Rejected]) -> list[Receipt]:
        """Store `batch` durably; one receipt per item, in order. Raises LedgerUnavailable: nothing was stored."""

    def probe(self) -> None:
        """Commit nothing of note. Raises LedgerUnavailable."""


class _Pending(NamedTuple):
    item: Received | Rejected
    receipt: "asyncio.Future[Receipt]"


class Committer:
    """Commits what is submitted, in batches, in a thread of its own."""

    def __init__(
        self, recorder: Recorder, meter: Meter, *, max_pending: int, max_batch: int, answer_timeout_s: float
    ) -> None:
        self._recorder = recorder
        self._meter = meter
        self._max_pending = max_pending
        self._max_batch = max_batch
        self._answer_timeout_s = answer_timeout_s
        self._queue: queue.SimpleQueue[_Pending | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
        self._in_hand: list[_Pending] = []
        self._since_s: float | None = None
        self._stalled = False
        self._failure: str | None = None
        self.pending = 0

    def start(self) -> None:
        """Begin to commit, on behalf of the running loop."""
        self._loop = asyncio.get_running_loop()
        self._probe()
        self._thread.start()
        self._watching = self._loop.call_later(_WATCH_EVERY_S, self._watch)

    async def stop(self) -> None:
        """Commit what is pending, then end. Returns after `answer_timeout_s` at the latest."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join, self._answer_timeout_s)
        self._watching.cancel()

    @property
    def failure(self) -> str | None:
        """Why nothing can be stored now; None while the last commit succeeded."""
        return "the disk does not answer" if self._stalled else self._failure

    def submit(self, item: Received | Rejected) -> "asyncio.Future[Receipt]":
        """Queue `item`; the future gives its receipt once it is on disk, or raises LedgerUnavailable.

        Raises LedgerUnavailable at once where too many wait already or the disk does not answer.
        """
        if self.pending >= self._max_pending:
            raise LedgerUnavailable("too many callbacks are waiting to be stored")
        if self._stalled:
            raise LedgerUnavailable("the disk does not answer")
        receipt = self._loop.create_future()
        self.pending += 1
        self._queue.put(_Pending(item, receipt))
        return receipt

    # The thread.

    def _run(self) -> None:
        going = True
        while going:
            try:
                first = self._queue.get(timeout=_PROBE_EVERY_S if self._failure else None)
            except queue.Empty:
                self._probe()
                continue
            batch, going = self._gather(first)
            if batch:
                self._commit(batch)

    def _gather(self, first: _Pending | None) -> tuple[list[_Pending], bool]:
        """What has queued up so far, and whether to go on after it."""
        batch: list[_Pending] = []
        pending = first
        while pending is not None:
            batch.append(pending)
            if len(batch) == self._max_batch:
                return batch, True
            try:
                pending = self._queue.get_nowait()
            except queue.Empty:
                return batch, True
        return batch, False

    def _commit(self, batch: list[_Pending]) -> None:
        self._in_hand, self._since_s = batch, time.monotonic()
        outcome: list[Receipt] | LedgerUnavailable
        try:
            outcome = self._recorder.record([pending.item for pending in batch])
            self._succeeded()
        except LedgerUnavailable as error:
            outcome = error
            self._failed(str(error))
        except Exception as error:  # a fault of ours must not end the only thread that can store
            log.exception("batch_failed", size=len(batch))
            outcome = LedgerUnavailable(f"the batch could not be stored: {type(error).__name__}")
            self._failed(str(outcome))
        taken_s = time.monotonic() - self._since_s
        self._in_hand, self._since_s = [], None
        self._loop.call_soon_threadsafe(self._settle, batch, outcome, taken_s)

    def _probe(self) -> None:
        try:
            self._recorder.probe()
            self._succeeded()
        except LedgerUnavailable as error:
            self._failed(str(error))

    def _succeeded(self) -> None:
        if self._failure is not None:
            log.info("storing", was=self._failure)
            self._failure = None

    def _failed(self, reason: str) -> None:
        if self._failure != reason:
            log.error("cannot_store", reason=reason, answered="503 until a commit succeeds")
            self._failure = reason

    # The loop.

    def _settle(self, batch: list[_Pending], outcome: list[Receipt] | LedgerUnavailable, taken_s: float) -> None:
        """Tell everybody in `batch` what became of it."""
        self._stalled = False
        self.pending -= len(batch)
        self._meter.commit_latency_s.observe(taken_s)
        self._meter.batch_sizes.observe(len(batch))
        if isinstance(outcome, LedgerUnavailable):
            self._meter.commit_failures += 1
            _refuse(batch, outcome)
            return
        for pending, receipt in zip(batch, outcome, strict=True):
            if not pending.receipt.done():
                pending.receipt.set_result(receipt)
        self._count(outcome)

    def _count(self, receipts: list[Receipt]) -> None:
        dropped = 0
        for receipt in receipts:
            self._meter.taken[receipt.taken.name] += 1
            dropped += receipt.taken is Taken.DROPPED
        if dropped:
            log.warning("quarantine_full", dropped=dropped, total_dropped=self._meter.taken[Taken.DROPPED.name])

    def _watch(self) -> None:
        """Answer those who have waited too long for a commit that does not return."""
        since_s = self._since_s
        if since_s is not None and time.monotonic() - since_s > self._answer_timeout_s:
            if not self._stalled:
                log.error("commit_stalled", seconds=round(time.monotonic() - since_s, 1))
            self._stalled = True
            waiting = self._take_back()
            self.pending -= len(waiting)
            _refuse([*waiting, *self._in_hand], LedgerUnavailable("the disk does not answer"))
        self._watching = self._loop.call_later(_WATCH_EVERY_S, self._watch)

    def _take_back(self) -> list[_Pending]:
        """Everything queued behind the commit that does not return."""
        taken: list[_Pending] = []
        while True:
            try:
                pending = self._queue.get_nowait()
            except queue.Empty:
                return taken
            if pending is None:
                self._queue.put(None)
                return taken
            taken.append(pending)


def _refuse(batch: Sequence[_Pending], error: LedgerUnavailable) -> None:
    for pending in batch:
        if not pending.receipt.done():
            pending.receipt.set_exception(error)
