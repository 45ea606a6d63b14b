"""Fetch due deliveries of an endpoint from the ledger into its queue, now or at the time when the next one is due."""

import asyncio
import time
from collections.abc import Callable

from answerback.errors import AnswerbackError
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import FetchDue
from answerback.relay.endpoint_queue import EndpointQueue

_RETRY_S = 0.5
_US = 1_000_000


class JobFetcher:
    """Fills queues from the ledger; `schedule` is called with each queue that has something to send or to fetch.

    An endpoint whose deliveries are being fetched is no longer `saturated`.
    """

    def __init__(self, ledger: LedgerClient, schedule: Callable[[EndpointQueue], None], saturated: set[int]) -> None:
        self._ledger = ledger
        self._saturated = saturated
        self._schedule = schedule

    async def fetch(self, queue: EndpointQueue) -> None:
        self._saturated.discard(queue.endpoint.id)
        limit = queue.capacity // 2 + len(queue.buffered_ids)
        queue.has_more = False
        try:
            loaded = await self._ledger.execute(FetchDue(queue.endpoint.id, limit))
        except AnswerbackError:
            queue.has_more, queue.refilling = True, False
            self.wake_at(queue, time.time() + _RETRY_S)
            return
        queue.refilling = False
        taken = queue.put(loaded.jobs)
        if len(loaded.jobs) == limit:
            queue.has_more = True
        if loaded.next_due_us is not None:
            self.wake_at(queue, loaded.next_due_us / _US)
        if taken or (queue.has_more and not queue.buffered_ids):
            self._schedule(queue)

    def wake_at(self, queue: EndpointQueue, when_s: float) -> None:
        """Fetch due deliveries then, unless an earlier wake-up is set."""
        if queue.timer is not None and queue.timer_due_s <= when_s:
            return
        if queue.timer is not None:
            queue.timer.cancel()
        queue.timer_due_s = when_s
        loop = asyncio.get_running_loop()
        queue.timer = loop.call_later(max(0.0, when_s - time.time()), self._wake, queue)

    def _wake(self, queue: EndpointQueue) -> None:
        queue.timer = None
        queue.has_more = True
        self._schedule(queue)
