"""The bounded in-memory queue of one endpoint, and its concurrency window."""

import asyncio
from collections import deque
from collections.abc import Iterable

from answerback.domain.endpoints import Endpoint
from answerback.ledger import DeliveryJob
from answerback.relay.circuit_breaker import CircuitBreaker

JOBS_PER_ATTEMPT = 16
"""Jobs in memory per attempt that may be in flight; the rest stay in the ledger until there is room."""

_GRACE_S = 1.0


class EndpointQueue:
    """One endpoint's due deliveries in memory; the ledger is the truth, this is a buffer of it.

    `window` attempts may be in flight: one at first and after a failure, one more for each success, up to the endpoint's
    `concurrency`. So an endpoint that does not answer takes one connection, and few jobs in
    memory. `has_more`: the ledger has more for it than this buffer.
    """

    __slots__ = (
        "attempts",
        "breaker",
        "buffered_ids",
        "endpoint",
        "has_more",
        "jobs",
        "last_succeeded",
        "refilling",
        "retry_after_until_s",
        "suspend_reason",
        "suspended",
        "timer",
        "timer_due_s",
        "window",
    )

    def __init__(self, endpoint: Endpoint, breaker: CircuitBreaker) -> None:
        self.endpoint = endpoint
        self.breaker = breaker
        self.jobs: deque[DeliveryJob] = deque()
        self.buffered_ids: set[int] = set()
        self.attempts: set[asyncio.Task[None]] = set()
        self.window = 1
        self.last_succeeded = False
        self.has_more = False
        self.refilling = False
        self.suspended = False
        self.suspend_reason = "the lease of the endpoint ended"
        self.retry_after_until_s = 0.0
        self.timer: asyncio.TimerHandle | None = None
        self.timer_due_s = 0.0

    def put(self, jobs: Iterable[DeliveryJob]) -> bool:
        """Add jobs that are not here yet, as far as there is room; return whether any was added."""
        taken = False
        for job in jobs:
            if job.delivery_id in self.buffered_ids:
                continue
            if self.suspended or not self.endpoint.enabled or len(self.jobs) >= self.capacity:
                self.has_more = True
                break
            self.buffered_ids.add(job.delivery_id)
            self.jobs.append(job)
            taken = True
        return taken

    def evict(self, call_id: int | None = None) -> None:
        """Drop queued jobs, all or those of one call: they are fetched from the ledger again."""
        kept: deque[DeliveryJob] = deque()
        for job in self.jobs:
            if call_id is None or job.call_id == call_id:
                self.buffered_ids.discard(job.delivery_id)
                self.has_more = True
            else:
                kept.append(job)
        self.jobs = kept

    async def suspend(self, reason: str) -> None:
        """Let no more attempts start, and return when none is in flight; those that take longer than a second are cancelled."""
        self.suspended, self.suspend_reason = True, reason
        if self.attempts:
            _, late = await asyncio.wait(self.attempts, timeout=_GRACE_S)
            for attempt in late:
                attempt.cancel()
            if late:
                await asyncio.wait(late)
        self.evict()

    def reset(self, breaker: CircuitBreaker) -> None:
        """Begin anew, as with an endpoint that nothing was sent to: its settings were changed."""
        self.breaker = breaker
        self.window, self.retry_after_until_s = 1, 0.0

    def close(self) -> None:
        """Cancel the attempts: another process may deliver to the endpoint from now on."""
        self.suspended, self.suspend_reason = True, "the lease of the endpoint ended"
        if self.timer is not None:
            self.timer.cancel()
        for attempt in self.attempts:
            attempt.cancel()

    def blocked_until_s(self, now_s: float) -> float | None:
        """Until when nothing may be sent; None: it may now."""
        until_s = max(self.breaker.open_until_s or 0.0, self.retry_after_until_s)
        return until_s if until_s > now_s else None

    @property
    def capacity(self) -> int:
        """The most jobs that the queue holds."""
        return JOBS_PER_ATTEMPT * (self.window + 1)

    @property
    def low_watermark(self) -> int:
        """Fetch more when fewer jobs than this are left."""
        return self.capacity // 4

    @property
    def free_slots(self) -> int:
        """How many more attempts may start; negative: how many too many are in flight."""
        if self.suspended or not self.endpoint.enabled:
            return -len(self.attempts)
        return (1 if self.breaker.is_open else self.window) - len(self.attempts)

    @property
    def needs_refill(self) -> bool:
        """Whether to fetch more from the ledger now."""
        able = self.endpoint.enabled and not self.suspended and not self.refilling
        return self.has_more and able and len(self.jobs) < self.low_watermark and len(self.buffered_ids) < self.capacity

    @property
    def is_proven(self) -> bool:
        """Whether the last attempts succeeded: then a broken connection says nothing about the endpoint."""
        return self.last_succeeded and self.breaker.failures == 0

    def record_success(self) -> bool:
        """Widen the window; return whether this closed the breaker."""
        self.last_succeeded = True
        self.window = min(self.window + 1, self.endpoint.config.concurrency)
        return self.breaker.record_success()

    def record_failure(self, now_s: float) -> bool:
        """Shrink the window to one; return whether the breaker is open now."""
        self.window, self.last_succeeded = 1, False
        return self.breaker.record_failure(now_s)
