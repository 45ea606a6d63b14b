"""Group commit: many callbacks, one transaction, nobody answered before it is on disk.

What gathers while a batch is being committed is the next batch: it grows with the load, and is one callback when
there is none. All of it happens in the event loop; the commits happen behind `Recorder`.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import structlog

from answerback.domain.models import Arrival
from answerback.errors import LedgerUnavailable, UnavailableReason
from answerback.intake.metrics import Meter
from answerback.ledger import Taken, Verdict

_PROBE_EVERY_S = 1.0
_WATCH_EVERY_S = 0.25
_LOG_DROPS_EVERY_S = 10.0
IN_FLIGHT = 2  # one is committed while the next is on its way
_PRESSED_BATCH = 8.0
_WEIGHT_OF_ONE = 0.1
_STALLED = UnavailableReason.STALLED

log = structlog.get_logger("answerback.intake")

Waiting = tuple[Arrival, "asyncio.Future[Verdict]"]
Commit = asyncio.Future[list[Verdict]]


class Recorder(Protocol):
    """What the committer needs of a store."""

    def record(self, batch: Sequence[Arrival]) -> Commit:
        """Begin to store `batch` durably, after those before it; done after the commit, with what to tell each sender.

        LedgerUnavailable, raised or in the future: nothing of it counts as stored.
        """

    async def probe(self) -> None:
        """Commit nothing of note. Raises LedgerUnavailable."""


class Committer:
    """Commits what is submitted, in batches, in order."""

    def __init__(
        self,
        recorder: Recorder,
        meter: Meter,
        *,
        max_pending: int,
        max_batch: int,
        answer_timeout_s: float,
        in_flight: int = IN_FLIGHT,
    ) -> None:
        self._recorder = recorder
        self._meter = meter
        self._max_pending = max_pending
        self._max_batch = max_batch
        self._answer_timeout_s = answer_timeout_s
        self._in_flight = in_flight
        self._gathering: list[Waiting] = []
        self._commits: dict[Commit, tuple[float, list[Waiting]]] = {}
        self._dispatching = False
        self._stalled = self._doubted = False
        self._failure: UnavailableReason | None = None
        self._dropped_logged_s = float("-inf")
        self._usual_batch = 0.0
        self.pending = 0

    async def start(self) -> None:
        """Begin to commit, on behalf of the running loop; returns when the recorder has answered a probe."""
        self._loop = asyncio.get_running_loop()
        await self._probe()
        self._watching = self._loop.create_task(self._watch())

    async def stop(self, timeout_s: float) -> None:
        """Wait for the commits under way and what they set off, up to `timeout_s`."""
        self._watching.cancel()
        deadline_s = self._loop.time() + timeout_s
        while self._commits and self._loop.time() < deadline_s:
            await asyncio.wait(self._commits, timeout=deadline_s - self._loop.time())

    @property
    def failure(self) -> UnavailableReason | None:
        """Why nothing can be stored now; None while the last commit succeeded."""
        return _STALLED if self._stalled else self._failure

    @property
    def pressed(self) -> bool:
        """Whether callbacks come in so fast that what can wait should."""
        return self.pending > 0 and self._usual_batch > _PRESSED_BATCH

    def doubt(self) -> None:
        """Have it looked soon whether anything can be stored: something else could not be."""
        self._doubted = True

    def submit(self, arrival: Arrival) -> "asyncio.Future[Verdict]":
        """Queue `arrival`; the future tells its verdict once it is on disk, or raises LedgerUnavailable.

        Raises LedgerUnavailable at once where too many wait already or the disk does not answer.
        """
        if self.pending >= self._max_pending:
            raise LedgerUnavailable(UnavailableReason.OVERLOADED)
        if self._stalled:
            raise LedgerUnavailable(_STALLED)
        verdict: asyncio.Future[Verdict] = self._loop.create_future()
        self.pending += 1
        self._gathering.append((arrival, verdict))
        if not self._dispatching:  # once per turn of the loop, so that all that arrived in it go together
            self._dispatching = True
            self._loop.call_soon(self._dispatch)
        return verdict

    def _dispatch(self) -> None:
        self._dispatching = False
        while self._gathering and len(self._commits) < self._in_flight:
            batch, self._gathering = self._gathering[: self._max_batch], self._gathering[self._max_batch :]
            try:
                commit = self._recorder.record([arrival for arrival, _ in batch])
            except LedgerUnavailable as error:
                self._refused(batch, error)
                continue
            self._commits[commit] = (time.monotonic(), batch)
            commit.add_done_callback(self._committed)

    def _committed(self, commit: Commit) -> None:
        """Send the next batch off, then answer everybody in this one."""
        began_s, batch = self._commits.pop(commit)
        self._usual_batch += (len(batch) - self._usual_batch) * _WEIGHT_OF_ONE
        self._dispatch()
        try:
            self._settle(batch, commit.result())
        except LedgerUnavailable as error:
            self._refused(batch, error)
        except Exception as error:  # a fault of ours must not leave anybody without an answer
            log.exception("batch_failed", size=len(batch))
            self._refused(batch, LedgerUnavailable(UnavailableReason.FAULT, type(error).__name__))
        self._meter.commit_latency_s.observe(time.monotonic() - began_s)
        self._meter.batch_sizes.observe(len(batch))

    def _settle(self, batch: list[Waiting], verdicts: list[Verdict]) -> None:
        for (_, waiting), verdict in zip(batch, verdicts, strict=True):
            if not waiting.done():
                waiting.set_result(verdict)
        self.pending -= len(batch)
        self._succeeded()
        self._count(Counter([verdict.taken for verdict in verdicts]))

    def _refused(self, batch: list[Waiting], error: LedgerUnavailable) -> None:
        self._failed(error.reason, error.detail)
        self._meter.commit_failures += 1
        self.pending -= len(batch)
        self._refuse(batch, error)

    def _count(self, batch: Counter[Taken]) -> None:
        total = self._meter.taken
        total.update({taken.name: count for taken, count in batch.items()})
        if batch[Taken.DROPPED] and self._loop.time() - self._dropped_logged_s > _LOG_DROPS_EVERY_S:
            self._dropped_logged_s = self._loop.time()
            log.warning("quarantine_full", total_dropped=total[Taken.DROPPED.name])

    async def _watch(self) -> None:
        """While nothing can be stored, try; when a commit does not return, answer those who wait for it."""
        probed_s = time.monotonic()
        while True:
            await asyncio.sleep(_WATCH_EVERY_S)
            now_s = time.monotonic()
            if (self._failure is not None or self._doubted) and not self._commits and now_s - probed_s > _PROBE_EVERY_S:
                await self._probe()
                probed_s = now_s
            oldest_s = min((since_s for since_s, _ in self._commits.values()), default=now_s)
            if now_s - oldest_s > self._answer_timeout_s:
                self._give_up(now_s - oldest_s)
            elif self._stalled:
                self._stalled = False
                log.info("storing", was=str(_STALLED))

    def _give_up(self, waited_s: float) -> None:
        if not self._stalled:
            log.error("commit_stalled", seconds=round(waited_s, 1), answered="503 until it returns")
        self._stalled = True
        waiting, self._gathering = self._gathering, []
        self.pending -= len(waiting)
        for batch in (waiting, *(batch for _, batch in self._commits.values())):
            self._refuse(batch, LedgerUnavailable(_STALLED))

    async def _probe(self) -> None:
        self._doubted = False
        try:
            async with asyncio.timeout(self._answer_timeout_s):
                await self._recorder.probe()
        except LedgerUnavailable as error:
            self._failed(error.reason, error.detail)
        except TimeoutError:
            self._failed(_STALLED)
        else:
            self._succeeded()

    def _succeeded(self) -> None:
        if self._failure is not None:
            log.info("storing", was=str(self._failure))
            self._failure = None

    def _failed(self, reason: UnavailableReason, detail: str = "") -> None:
        if self._failure != reason:
            log.error("cannot_store", reason=str(reason), detail=detail, answered="503 until a commit succeeds")
            self._failure = reason

    @staticmethod
    def _refuse(batch: Sequence[Waiting], error: LedgerUnavailable) -> None:
        for _, waiting in batch:
            if not waiting.done():
                waiting.set_exception(error)
