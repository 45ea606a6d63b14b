"""Calls of which nothing came in time: found when their time is over, not by looking again and again."""

import asyncio
import time
from datetime import datetime

import structlog

from answerback.errors import LedgerUnavailable
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import TellOverdue
from answerback.relay.dispatcher import Dispatcher

_AT_A_TIME = 500
_AGAIN_S = 1.0
_LONGEST_SLEEP_S = 3600.0

log = structlog.get_logger("answerback.relay")


class Overdue:
    """Tells the endpoints of each call that is past its time, once. `run` it as long as the relay lives."""

    def __init__(self, book: LedgerClient, dispatcher: Dispatcher) -> None:
        self.longest_sleep_s = _LONGEST_SLEEP_S
        self._book = book
        self._dispatcher = dispatcher
        self._next_s = float("inf")
        self._sooner = asyncio.Event()
        self.told = 0

    def expect(self, due_at: datetime) -> None:
        """A call has to be heard of by then."""
        if due_at.timestamp() < self._next_s:
            self._next_s = due_at.timestamp()
            self._sooner.set()

    async def run(self) -> None:
        """Wait for the next one, tell of it, and so on."""
        while True:
            wait_s = await self._tell()
            self._sooner.clear()
            try:
                async with asyncio.timeout(min(wait_s, max(0.0, self._next_s - time.time()))):
                    await self._sooner.wait()
            except TimeoutError:
                pass

    async def _tell(self) -> float:
        """Tell of those that are overdue now; how long until it is worth to look again."""
        try:
            late = await self._book.ask(TellOverdue(_AT_A_TIME))
        except LedgerUnavailable:
            self._next_s = max(self._next_s, time.time() + _AGAIN_S)
            return _AGAIN_S
        self._dispatcher.owed(late.jobs, late.behind)
        self.told += late.count
        if late.count:
            log.warning("calls_overdue", calls=late.count)
        self._next_s = float("inf") if late.next_due_us is None else late.next_due_us / 1_000_000
        return 0.0 if late.count == _AT_A_TIME else self.longest_sleep_s
