"""Record an inbox into the ledger: forward from the position that the ledger holds, many rows a transaction.

The position is asked from the ledger at the start and after every failure, never remembered: whatever died in between, a row is
recorded once. Rows leave the inbox only after the ledger has said that it holds them.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import structlog

from answerback.errors import LedgerUnavailable, NotFound, PositionConflict, UnavailableReason
from answerback.inbox import Generation, Inbox, Row, Waiting
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import ForgetLogs, LogPositions, LogReply, RecordLog
from answerback.ledger.types import Disposition, from_us, to_us
from answerback.recorder.metrics import RecorderMetrics

MAX_CALLBACKS = 2000
"""In one transaction, unless one row alone has more."""

_MAX_BYTES = 8 * 1024 * 1024
_FEW_CALLBACKS = 256
_REST_S = 0.004
"""After a transaction of few callbacks more may gather: to begin and commit one costs as much as ten callbacks do."""
_POLL_S = 1.0
_FIRST_PAUSE_S, _MAX_PAUSE_S = 0.1, 2.0
_WARN_EVERY_S = 10.0
_KEEP_EVERY_S = 86_400.0
_FORGET_AFTER = timedelta(days=90)  # a gateway that has stopped for so long has its rows counted as repeats

log = structlog.get_logger("answerback.recorder")


class Recorder:
    """Records what an inbox holds, its older generations first, and then what is appended to it."""

    def __init__(self, inbox: Inbox, ledger: LedgerClient, metrics: RecorderMetrics) -> None:
        self._inbox = inbox
        self._ledger = ledger
        self._metrics = metrics
        self._appended = asyncio.Event()
        self._changed = asyncio.Event()
        self._reached = (0, 0)  # the number of a generation, and the position in it
        self._pause_s = _FIRST_PAUSE_S
        self._conflicts = 0
        self._warned_s = float("-inf")
        self._is_stopping = False
        self.failure: LedgerUnavailable | PositionConflict | None = None
        """Why nothing can be recorded now; None if it can, or nothing waits."""

    def start(self) -> None:
        """Start, on the running loop."""
        self._inbox.on_appended = self._appended.set
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._keep_positions())]

    async def stop(self, timeout_s: float) -> None:
        """Record what is left, for `timeout_s` at most and not if that fails; the next start records the rest."""
        self._is_stopping = True
        self._appended.set()
        await asyncio.wait(self._tasks[:1], timeout=timeout_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def lag(self) -> Waiting:
        """What is not recorded yet."""
        return self._inbox.waiting()

    def as_of(self) -> datetime:
        """The time up to which all that was answered is recorded; now where nothing waits."""
        oldest_us = self.lag.oldest_us
        return datetime.now(UTC) if oldest_us is None else from_us(oldest_us)

    async def catch_up(self, timeout_s: float) -> float:
        """Wait until all that has been appended by now is recorded: 0.0; else, after `timeout_s`, the seconds of lag that are left.

        While nothing can be recorded it does not wait.
        """
        present = self._inbox.present
        deadline_s = time.monotonic() + timeout_s
        while self.lag.rows and self._reached < (present.number, present.last):
            try:
                async with asyncio.timeout(0 if self.failure else deadline_s - time.monotonic()):
                    await self._changed.wait()
            except TimeoutError:
                return self.lag.age_s
        return 0.0

    async def _run(self) -> None:
        """Record until stopped; where that fails, again after a pause."""
        while not await self._try_record():
            await asyncio.sleep(self._pause_s)
            self._pause_s = min(2 * self._pause_s, _MAX_PAUSE_S)

    async def _try_record(self) -> bool:
        """Record until stopped, or until it fails; return whether that is the end."""
        try:
            await self._record_generations()
        except PositionConflict as error:
            self._conflicts += 1
            if self._conflicts == 1:  # a commit whose answer was lost, or a ledger that went back: ask it again
                return False
            self._stop_for(error)
        except LedgerUnavailable as error:
            self._set_failure(error)
            return self._is_stopping
        except Exception as error:  # a bug of ours must not stop the recorder
            log.exception("recorder_error")
            self._set_failure(LedgerUnavailable(UnavailableReason.FAULT, type(error).__name__))
            return self._is_stopping
        return True

    async def _record_generations(self) -> None:
        """Record each generation from where the ledger is, the present one until stopped."""
        generations = self._inbox.generations
        positions = await self._ledger.execute(LogPositions([generation.id for generation in generations]))
        for generation in generations:
            self._inbox.mark_recorded(generation.id, positions[generation.id])
        for generation in generations:
            await self._record(generation, positions[generation.id])

    async def _record(self, generation: Generation, position: int) -> None:
        """Record what follows `position`."""
        while True:
            self._appended.clear()
            try:
                rows = await self._inbox.read(generation.id, position, MAX_CALLBACKS, _MAX_BYTES)
            except NotFound:  # all of it was recorded before, and is deleted by now
                rows = []
            if rows:
                reply = await self._record_rows(generation, position, rows)
                position = reply.position
                self._set_reached(generation, position)
                if sum(reply.dispositions.values()) < _FEW_CALLBACKS:
                    await asyncio.sleep(_REST_S)
                continue
            self._set_reached(generation, position)
            if self._is_stopping or generation.id != self._inbox.present.id:
                return
            await self._wait_for_rows()

    async def _record_rows(self, generation: Generation, after: int, rows: Sequence[Row]) -> LogReply:
        """Record `rows`, or the first of them where another write waits."""
        began_s = time.perf_counter()
        try:
            reply = await self._ledger.execute(
                RecordLog(
                    generation.id, after, [(row.position, row.payload) for row in rows], list(self._ledger.saturated)
                )
            )
        except Exception:
            self._metrics.failures += 1
            raise
        self._inbox.mark_recorded(generation.id, reply.position)
        self._metrics.count(reply, time.perf_counter() - began_s)
        if reply.unreadable_rows:
            log.error(
                "rows_unreadable", count=reply.unreadable_rows, up_to=reply.position, todo="look into the quarantine"
            )
        self._warn_of_dropped(reply)
        self._conflicts, self._pause_s = 0, _FIRST_PAUSE_S
        return reply

    def _warn_of_dropped(self, reply: LogReply) -> None:
        dropped = reply.dispositions.get(Disposition.DROPPED)
        if dropped and time.monotonic() - self._warned_s > _WARN_EVERY_S:
            self._warned_s = time.monotonic()
            log.warning("quarantine_full", dropped=dropped, total_dropped=self._metrics.callbacks[Disposition.DROPPED])

    async def _wait_for_rows(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_POLL_S):
                await self._appended.wait()

    async def _keep_positions(self) -> None:
        """Keep, once a day, what the ledger knows of these generations, and have it forget those that nobody keeps."""
        while True:
            keep = [generation.id for generation in self._inbox.generations]
            with contextlib.suppress(LedgerUnavailable):
                await self._ledger.execute(ForgetLogs(keep, to_us(datetime.now(UTC) - _FORGET_AFTER)))
            await asyncio.sleep(_KEEP_EVERY_S)

    def _set_reached(self, generation: Generation, position: int) -> None:
        """Everything up to there is recorded."""
        self._reached = (generation.number, position)
        self._set_failure(None)

    def _set_failure(self, error: LedgerUnavailable | None) -> None:
        if error is None and self.failure is not None:
            log.info("recorder_recovered", was=str(self.failure))
        if isinstance(error, LedgerUnavailable) and str(error) != str(self.failure):
            log.error("recorder_stalled", reason=str(error), detail=error.detail, rows=self.lag.rows)
        self.failure = error
        self._wake()

    def _stop_for(self, error: PositionConflict) -> None:
        """Leave the log to the recorder that was found at work on it."""
        log.error(
            "recorder_conflict", reason=str(error), todo="find out which other process records it; restart to go on"
        )
        self.failure = error
        self._wake()

    def _wake(self) -> None:
        """Have `catch_up` look again."""
        self._changed.set()
        self._changed.clear()
