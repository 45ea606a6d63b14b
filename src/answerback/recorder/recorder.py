"""Record a log into the ledger: many rows a transaction, each row once whatever dies in between.

What is common to both logs: how often it is tried, what is counted, and why nothing can be recorded.
"""

import asyncio
import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence

import structlog

from answerback.errors import LedgerUnavailable, PositionConflict, UnavailableReason
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import LogReply, RecordLog
from answerback.ledger.types import Disposition
from answerback.recorder.metrics import RecorderMetrics

MAX_CALLBACKS = 2000
"""In one transaction, unless one row alone has more."""

MAX_BYTES = 8 * 1024 * 1024

_FEW_CALLBACKS = 256
_REST_S, _SHORT_REST_S = 0.02, 0.004
"""After a transaction of few callbacks more may gather: to begin and commit one costs as much as ten callbacks do."""
_DELIVERING_S = 1.0
"""Where one was to be delivered within so long, the rest is short; where a reader waits, there is none."""
_FIRST_PAUSE_S, _MAX_PAUSE_S = 0.1, 2.0
_WARN_EVERY_S = 10.0

log = structlog.get_logger("answerback.recorder")


class Recorder(ABC):
    """Records what a log holds, and then what is appended to it."""

    def __init__(self, ledger: LedgerClient, metrics: RecorderMetrics) -> None:
        self._ledger = ledger
        self._metrics = metrics
        self._pause_s = _FIRST_PAUSE_S
        self._warned_s = float("-inf")
        self._is_stopping = asyncio.Event()
        self._is_read = asyncio.Event()  # by somebody who waits until what was answered is recorded
        self._delivered_s = float("-inf")
        self._failure: LedgerUnavailable | PositionConflict | None = None

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._tidy())]

    async def stop(self, timeout_s: float) -> None:
        """Record what is left, for `timeout_s` at most and not if that fails; the next start records the rest."""
        self._is_stopping.set()
        self._is_read.set()
        self._wake()
        await asyncio.wait(self._tasks[:1], timeout=timeout_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def failure(self) -> LedgerUnavailable | PositionConflict | None:
        """Why nothing can be recorded now; None if it can, or nothing waits."""
        return self._failure or self._ledger.failure

    @property
    @abstractmethod
    def lag_s(self) -> float:
        """The age of the oldest callback that this process knows to be unrecorded; 0 where there is none."""

    @abstractmethod
    async def _record_all(self) -> None:
        """Record until stopped. Raises LedgerUnavailable."""

    @abstractmethod
    async def _tidy(self) -> None:
        """Have the ledger forget, now and then, what it need not know of the log any more."""

    @abstractmethod
    def _wake(self) -> None:
        """Have whoever waits for the log look again."""

    async def _run(self) -> None:
        """Record until stopped; where that fails, again after a pause."""
        while not await self._try_record():
            await asyncio.sleep(self._pause_s)
            self._pause_s = min(2 * self._pause_s, _MAX_PAUSE_S)

    async def _try_record(self) -> bool:
        """Record until stopped, or until it fails; return whether that is the end."""
        try:
            await self._record_all()
        except LedgerUnavailable as error:
            self._set_failure(error)
        except Exception as error:  # a bug of ours must not stop the recorder
            log.exception("recorder_error")
            self._set_failure(LedgerUnavailable(UnavailableReason.FAULT, type(error).__name__))
        return self._is_stopping.is_set()

    async def _record(self, log_id: bytes, after: int, rows: Sequence[tuple[int, bytes | None]]) -> LogReply:
        """Record `rows`, or the first of them where another write waits."""
        began_s = time.perf_counter()
        try:
            reply = await self._ledger.execute(RecordLog(log_id, after, rows, list(self._ledger.saturated)))
        except Exception:
            self._metrics.failures += 1
            raise
        self._metrics.count(reply, time.perf_counter() - began_s)
        if reply.unreadable_rows:
            log.error(
                "rows_unreadable", count=reply.unreadable_rows, up_to=reply.position, todo="look into the quarantine"
            )
        self._warn_of_dropped(reply)
        self._pause_s = _FIRST_PAUSE_S
        return reply

    async def _rest_after(self, reply: LogReply) -> None:
        now_s = time.monotonic()
        if reply.jobs or reply.backlogged:
            self._delivered_s = now_s
        if sum(reply.dispositions.values()) < _FEW_CALLBACKS:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SHORT_REST_S if now_s - self._delivered_s < _DELIVERING_S else _REST_S):
                    await self._is_read.wait()

    def _warn_of_dropped(self, reply: LogReply) -> None:
        dropped = reply.dispositions.get(Disposition.DROPPED)
        if dropped and time.monotonic() - self._warned_s > _WARN_EVERY_S:
            self._warned_s = time.monotonic()
            log.warning("quarantine_full", dropped=dropped, total_dropped=self._metrics.callbacks[Disposition.DROPPED])

    def _set_failure(self, error: LedgerUnavailable | PositionConflict | None) -> None:
        if error is None and self._failure is not None:
            log.info("recorder_recovered", was=str(self._failure))
        if isinstance(error, LedgerUnavailable) and str(error) != str(self._failure):
            log.error("recorder_stalled", reason=str(error), detail=error.detail, lag_s=round(self.lag_s, 1))
        self._failure = error
