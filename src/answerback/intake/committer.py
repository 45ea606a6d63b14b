"""Group commit: many callbacks, one transaction, nobody answered before it is on disk.

What gathers while a batch is being committed is the next batch: it grows with the load, and is one callback when
there is none. All of it happens in the event loop; the commits happen behind `CallbackStore`.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import structlog

from answerback.domain.models import RawCallback
from answerback.errors import LedgerUnavailable, UnavailableReason
from answerback.intake.metrics import IntakeMetrics
from answerback.ledger import Disposition, StoreResult

_PROBE_EVERY_S = 1.0
_WATCH_EVERY_S = 0.25
_LOG_DROPS_EVERY_S = 10.0
MAX_IN_FLIGHT = 2  # one is committed while the next is on its way
_PRESSURE_BATCH_SIZE = 8.0
_EWMA_ALPHA = 0.1
_STALLED = UnavailableReason.STALLED

log = structlog.get_logger("answerback.intake")

PendingItem = tuple[RawCallback, "asyncio.Future[StoreResult]"]
CommitFuture = asyncio.Future[list[StoreResult]]


class CallbackStore(Protocol):
    """What the committer needs of a store."""

    def record(self, batch: Sequence[RawCallback]) -> CommitFuture:
        """Start to store `batch` durably, after those before it; resolves after the commit to the result for each sender.

        LedgerUnavailable, raised or in the future: nothing of it counts as stored.
        """

    async def probe(self) -> None:
        """Commit nothing of note. Raises LedgerUnavailable."""


class GroupCommitter:
    """Commits what is submitted, in batches, in order."""

    def __init__(
        self,
        store: CallbackStore,
        metrics: IntakeMetrics,
        *,
        max_pending: int,
        max_batch: int,
        commit_timeout_s: float,
        in_flight: int = MAX_IN_FLIGHT,
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._max_pending = max_pending
        self._max_batch = max_batch
        self._commit_timeout_s = commit_timeout_s
        self._in_flight = in_flight
        self._gathering: list[PendingItem] = []
        self._commits: dict[CommitFuture, tuple[float, list[PendingItem]]] = {}
        self._dispatching = False
        self._stalled = self._probe_requested = False
        self._failure: UnavailableReason | None = None
        self._dropped_logged_s = float("-inf")
        self._batch_size_ewma = 0.0
        self.pending = 0

    async def start(self) -> None:
        """Begin to commit, on behalf of the running loop; returns when the store has answered a probe."""
        self._loop = asyncio.get_running_loop()
        await self._probe()
        self._watching = self._loop.create_task(self._watch())

    async def stop(self, timeout_s: float) -> None:
        """Wait for the commits in flight and those that follow, up to `timeout_s`."""
        self._watching.cancel()
        deadline_s = self._loop.time() + timeout_s
        while self._commits and self._loop.time() < deadline_s:
            await asyncio.wait(self._commits, timeout=deadline_s - self._loop.time())

    @property
    def failure(self) -> UnavailableReason | None:
        """Why nothing can be stored now; None while the last commit succeeded."""
        return _STALLED if self._stalled else self._failure

    @property
    def under_pressure(self) -> bool:
        """Whether callbacks arrive so fast that what can wait should wait."""
        return self.pending > 0 and self._batch_size_ewma > _PRESSURE_BATCH_SIZE

    def probe_soon(self) -> None:
        """Probe the store soon: another write has failed."""
        self._probe_requested = True

    def submit(self, raw_callback: RawCallback) -> "asyncio.Future[StoreResult]":
        """Queue `raw_callback`; the future resolves to its result once it is on disk, or raises LedgerUnavailable.

        Raises LedgerUnavailable at once where too many wait already or the disk does not answer.
        """
        if self.pending >= self._max_pending:
            raise LedgerUnavailable(UnavailableReason.OVERLOADED)
        if self._stalled:
            raise LedgerUnavailable(_STALLED)
        verdict: asyncio.Future[StoreResult] = self._loop.create_future()
        self.pending += 1
        self._gathering.append((raw_callback, verdict))
        if not self._dispatching:  # once per turn of the loop, so that all that arrived in it go together
            self._dispatching = True
            self._loop.call_soon(self._dispatch)
        return verdict

    def _dispatch(self) -> None:
        self._dispatching = False
        while self._gathering and len(self._commits) < self._in_flight:
            batch, self._gathering = self._gathering[: self._max_batch], self._gathering[self._max_batch :]
            try:
                commit = self._store.record([raw_callback for raw_callback, _ in batch])
            except LedgerUnavailable as error:
                self._fail_batch(batch, error)
                continue
            self._commits[commit] = (time.monotonic(), batch)
            commit.add_done_callback(self._on_committed)

    def _on_committed(self, commit: CommitFuture) -> None:
        """Send the next batch off, then answer everybody in this one."""
        began_s, batch = self._commits.pop(commit)
        self._batch_size_ewma += (len(batch) - self._batch_size_ewma) * _EWMA_ALPHA
        self._dispatch()
        try:
            self._resolve_waiters(batch, commit.result())
        except LedgerUnavailable as error:
            self._fail_batch(batch, error)
        except Exception as error:  # a bug of ours must not leave a sender without a response
            log.exception("batch_failed", size=len(batch))
            self._fail_batch(batch, LedgerUnavailable(UnavailableReason.FAULT, type(error).__name__))
        self._metrics.commit_latency_s.observe(time.monotonic() - began_s)
        self._metrics.batch_sizes.observe(len(batch))

    def _resolve_waiters(self, batch: list[PendingItem], verdicts: list[StoreResult]) -> None:
        for (_, waiting), verdict in zip(batch, verdicts, strict=True):
            if not waiting.done():
                waiting.set_result(verdict)
        self.pending -= len(batch)
        self._clear_failure()
        self._count(Counter([verdict.disposition for verdict in verdicts]))

    def _fail_batch(self, batch: list[PendingItem], error: LedgerUnavailable) -> None:
        self._set_failure(error.reason, error.detail)
        self._metrics.commit_failures += 1
        self.pending -= len(batch)
        self._reject_waiters(batch, error)

    def _count(self, batch: Counter[Disposition]) -> None:
        total = self._metrics.dispositions
        total.update({taken.name: count for taken, count in batch.items()})
        if batch[Disposition.DROPPED] and self._loop.time() - self._dropped_logged_s > _LOG_DROPS_EVERY_S:
            self._dropped_logged_s = self._loop.time()
            log.warning("quarantine_full", total_dropped=total[Disposition.DROPPED.name])

    async def _watch(self) -> None:
        """While nothing can be stored, try; when a commit does not return, answer those who wait for it."""
        probed_s = time.monotonic()
        while True:
            await asyncio.sleep(_WATCH_EVERY_S)
            now_s = time.monotonic()
            if (
                (self._failure is not None or self._probe_requested)
                and not self._commits
                and now_s - probed_s > _PROBE_EVERY_S
            ):
                await self._probe()
                probed_s = now_s
            oldest_s = min((since_s for since_s, _ in self._commits.values()), default=now_s)
            if now_s - oldest_s > self._commit_timeout_s:
                self._time_out_waiters(now_s - oldest_s)
            elif self._stalled:
                self._stalled = False
                log.info("storage_recovered", was=str(_STALLED))

    def _time_out_waiters(self, waited_s: float) -> None:
        if not self._stalled:
            log.error("commit_stalled", seconds=round(waited_s, 1), answered="503 until it returns")
        self._stalled = True
        waiting, self._gathering = self._gathering, []
        self.pending -= len(waiting)
        for batch in (waiting, *(batch for _, batch in self._commits.values())):
            self._reject_waiters(batch, LedgerUnavailable(_STALLED))

    async def _probe(self) -> None:
        self._probe_requested = False
        try:
            async with asyncio.timeout(self._commit_timeout_s):
                await self._store.probe()
        except LedgerUnavailable as error:
            self._set_failure(error.reason, error.detail)
        except TimeoutError:
            self._set_failure(_STALLED)
        else:
            self._clear_failure()

    def _clear_failure(self) -> None:
        if self._failure is not None:
            log.info("storage_recovered", was=str(self._failure))
            self._failure = None

    def _set_failure(self, reason: UnavailableReason, detail: str = "") -> None:
        if self._failure != reason:
            log.error("storage_unavailable", reason=str(reason), detail=detail, answered="503 until a commit succeeds")
            self._failure = reason

    @staticmethod
    def _reject_waiters(batch: Sequence[PendingItem], error: LedgerUnavailable) -> None:
        for _, waiting in batch:
            if not waiting.done():
                waiting.set_exception(error)
