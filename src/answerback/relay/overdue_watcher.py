"""Mark calls overdue when their `due_at` passes without an outcome; by a timer, not by polling."""

import time
from collections.abc import Callable
from datetime import datetime

import structlog

from answerback.errors import LedgerUnavailable
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import MarkOverdue
from answerback.relay.dispatcher import Dispatcher
from answerback.relay.wakeable_timer import WakeableTimer

_BATCH_SIZE = 500
_RETRY_S = 1.0
_MAX_SLEEP_S = 3600.0

log = structlog.get_logger("answerback.relay")


class OverdueWatcher:
    """Emit one overdue event for each call that is past its `due_at`. `run` it as long as the relay lives."""

    def __init__(
        self, ledger: LedgerClient, dispatcher: Dispatcher, recorded_us: Callable[[], int | None] = lambda: None
    ) -> None:
        """`recorded_us`: up to when all callbacks are recorded; None: up to now. What is late is not overdue."""
        self._recorded_us = recorded_us
        self.max_sleep_s = _MAX_SLEEP_S
        self._ledger = ledger
        self._dispatcher = dispatcher
        self._next_s = float("inf")
        self._timer = WakeableTimer()

    def schedule(self, due_at: datetime) -> None:
        """Wake up for a call that is due then."""
        if due_at.timestamp() < self._next_s:
            self._next_s = due_at.timestamp()
            self._timer.wake()

    async def run(self) -> None:
        """Mark overdue calls as they come due, for ever."""
        while True:
            wait_s = await self._mark_overdue()
            await self._timer.wait(min(wait_s, max(0.0, self._next_s - time.time())))

    async def _mark_overdue(self) -> float:
        """Mark the calls that are overdue now; return how long to sleep."""
        try:
            began_s = time.time()
            late = await self._ledger.execute(MarkOverdue(_BATCH_SIZE, self._recorded_us()))
        except LedgerUnavailable:
            self._next_s = max(self._next_s, time.time() + _RETRY_S)
            return _RETRY_S
        self._dispatcher.enqueue(late.jobs, late.backlogged)
        if late.count:
            log.warning("calls_overdue", calls=late.count)
        self._next_s = float("inf") if late.next_due_us is None else late.next_due_us / 1_000_000
        if late.count < _BATCH_SIZE and self._next_s < began_s:  # it waits for what is not recorded
            self._next_s = time.time() + _RETRY_S
        return 0.0 if late.count == _BATCH_SIZE else self.max_sleep_s
