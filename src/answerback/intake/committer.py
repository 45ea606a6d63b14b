"""Group commit: many callbacks, one row of the log, nobody answered before it is on disk.

What gathers while a batch is being committed is the next batch: it grows with the load, and is one callback when
there is none. All of it happens in the event loop; the commits happen behind `CallbackLog`.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Protocol

import structlog

from answerback.domain.batches import BatchItem
from answerback.errors import LedgerUnavailable, UnavailableReason
from answerback.intake.metrics import IntakeMetrics

_BATCH_BYTES = 8 * 1024 * 1024
_PROBE_EVERY_S = 1.0
_WATCH_EVERY_S = 0.25
_PRESSURE_BATCH_SIZE, _PRESSURE_PER_S = 8.0, 2_000.0  # a slow disk alone makes large batches, too
_RATE_WINDOW_S = 0.1
_EWMA_ALPHA = 0.1
_STALLED = UnavailableReason.STALLED

log = structlog.get_logger("answerback.intake")

OnAppended = Callable[[LedgerUnavailable | None], None]
"""Called once: with None when it is on disk, else with why it is not known to be."""

PendingItem = tuple[BatchItem, OnAppended]
CommitFuture = asyncio.Future[None]


class CallbackLog(Protocol):
    """What the committer needs of a log: the inbox, or a stream."""

    in_flight: int
    """How many batches may be on their way at a time."""

    def append(self, batch: Sequence[BatchItem]) -> CommitFuture:
        """Start to append `batch` durably, after those before it; done after the commit.

        LedgerUnavailable, raised or in the future: nothing of it counts as stored.
        """

    def check(self) -> None:
        """Raise LedgerUnavailable where it is known, without a commit, that nothing can be appended."""

    async def probe(self) -> None:
        """Commit nothing of note. Raises LedgerUnavailable."""


class GroupCommitter:
    """Commits what is submitted, in batches, in order."""

    def __init__(
        self,
        log_: CallbackLog,
        metrics: IntakeMetrics,
        *,
        max_pending: int,
        max_batch: int,
        commit_timeout_s: float,
    ) -> None:
        self._log = log_
        self._metrics = metrics
        self.max_pending = max_pending
        self.max_batch = max_batch
        self._commit_timeout_s = commit_timeout_s
        self._in_flight = log_.in_flight
        self._gathering: list[PendingItem] = []
        self._commits: dict[CommitFuture, tuple[float, list[PendingItem]]] = {}
        self._dispatching = False
        self._stalled = False
        self._failure: UnavailableReason | None = None
        self._batch_size_ewma = self._rate_per_s = 0.0
        self._window_began_s, self._window_count = time.monotonic(), 0
        self.pending = 0

    async def start(self) -> None:
        """Begin to commit, on behalf of the running loop; returns when the log has answered a probe."""
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
        return self.pending > 0 and self._batch_size_ewma > _PRESSURE_BATCH_SIZE and self._rate_per_s > _PRESSURE_PER_S

    def submit(self, item: BatchItem, on_appended: OnAppended) -> None:
        """Queue `item`; `on_appended` is called once it is on disk, or is not known to be.

        Raises LedgerUnavailable at once where too many wait already or the disk does not answer.
        """
        if self.pending >= self.max_pending:
            raise LedgerUnavailable(UnavailableReason.OVERLOADED)
        if self._stalled:
            raise LedgerUnavailable(_STALLED)
        self.pending += 1
        self._gathering.append((item, on_appended))
        if not self._dispatching:  # once per turn of the loop, so that all that arrived in it go together
            self._dispatching = True
            self._loop.call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._dispatching = False
        while self._gathering and len(self._commits) < self._in_flight:
            count = self._next_size()
            batch, self._gathering = self._gathering[:count], self._gathering[count:]
            try:
                commit = self._log.append([item for item, _ in batch])
            except Exception as error:  # noqa: BLE001  # a bug of ours is logged there
                self._fail_batch(batch, error)
                continue
            self._commits[commit] = (time.monotonic(), batch)
            commit.add_done_callback(self._on_committed)

    def _next_size(self) -> int:
        """How many go together: as many as are allowed, and fit, but for the first."""
        sums = accumulate(len(item.raw) for item, _ in self._gathering[: self.max_batch])
        return max(1, sum(size_bytes <= _BATCH_BYTES for size_bytes in sums))

    def _on_committed(self, commit: CommitFuture) -> None:
        """Send the next batch off, then answer everybody in this one."""
        began_s, batch = self._commits.pop(commit)
        self._metrics.commit_latency_s.observe(time.monotonic() - began_s)
        self._metrics.batch_sizes.observe(len(batch))
        self._count(len(batch))
        self._dispatch()
        try:
            commit.result()
        except Exception as error:  # noqa: BLE001  # as above
            self._fail_batch(batch, error)
        else:
            self._clear_failure()
            self._resolve(batch, None)

    def _count(self, callbacks: int) -> None:
        """Note how many were committed at once, and how many a second."""
        self._batch_size_ewma += (callbacks - self._batch_size_ewma) * _EWMA_ALPHA
        self._window_count += callbacks
        window_s = time.monotonic() - self._window_began_s
        if window_s >= _RATE_WINDOW_S:
            self._rate_per_s = self._window_count / window_s
            self._window_began_s, self._window_count = time.monotonic(), 0

    def _fail_batch(self, batch: list[PendingItem], error: Exception) -> None:
        """Answer all in `batch` that it is not known to be stored, after a bug of ours as well."""
        if not isinstance(error, LedgerUnavailable):
            log.error("batch_failed", size=len(batch), exc_info=error)
            error = LedgerUnavailable(UnavailableReason.FAULT, type(error).__name__)
        self._set_failure(error.reason, error.detail)
        self._metrics.commit_failures += 1
        self._resolve(batch, error)

    def _resolve(self, batch: list[PendingItem], error: LedgerUnavailable | None) -> None:
        """Answer all in `batch`, and forget them: nobody is answered twice."""
        self.pending -= len(batch)
        for _, on_appended in batch:
            try:
                on_appended(error)
            except Exception:  # a bug of ours costs nobody else in the batch the answer
                log.exception("answer_failed")
        batch.clear()

    async def _watch(self) -> None:
        """See whether anything can be stored, and while it cannot, try; when a commit does not return, answer those who wait for it."""
        probed_s = time.monotonic()
        while True:
            await asyncio.sleep(_WATCH_EVERY_S)
            now_s = time.monotonic()
            self._check()
            if self._failure is not None and not self._commits and now_s - probed_s > _PROBE_EVERY_S:
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
        for batch in (self._gathering, *(batch for _, batch in self._commits.values())):
            self._resolve(batch, LedgerUnavailable(_STALLED))

    def _check(self) -> None:
        try:
            self._log.check()
        except LedgerUnavailable as error:
            self._set_failure(error.reason, error.detail)

    async def _probe(self) -> None:
        try:
            async with asyncio.timeout(self._commit_timeout_s):
                await self._log.probe()
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
