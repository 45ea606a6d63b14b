"""The way to one endpoint: what is ready for it, and how much may be under way."""

import asyncio
from collections import deque
from collections.abc import Iterable

from answerback.domain.models import Endpoint
from answerback.ledger import Job
from answerback.relay.circuit_breaker import Breaker

JOBS_PER_ATTEMPT = 16
"""Jobs held in memory for each attempt that may be under way; the rest stay in the ledger until there is room."""


class Lane:
    """The state of one endpoint's deliveries in memory; the ledger is the truth, this is what is at hand of it.

    `window` attempts may be under way: one at first and after a failure, one more for each success, up to the endpoint's
    `concurrency`. So an endpoint that does not answer holds one connection and not all of its own, and few jobs in
    memory. `behind` says that the ledger holds more for it than is here; `reason` why it is frozen.
    """

    __slots__ = (
        "attempts",
        "behind",
        "breaker",
        "endpoint",
        "frozen",
        "held",
        "loading",
        "proven",
        "queue",
        "quiet_until_s",
        "reason",
        "timer",
        "timer_s",
        "window",
    )

    def __init__(self, endpoint: Endpoint, breaker: Breaker) -> None:
        self.endpoint = endpoint
        self.breaker = breaker
        self.queue: deque[Job] = deque()
        self.held: set[int] = set()
        self.attempts: set[asyncio.Task[None]] = set()
        self.window = 1
        self.proven = False
        self.behind = False
        self.loading = False
        self.frozen = False
        self.reason = "the lease of the endpoint ended"
        self.quiet_until_s = 0.0
        self.timer: asyncio.TimerHandle | None = None
        self.timer_s = 0.0

    def offer(self, jobs: Iterable[Job]) -> bool:
        """Take what is not here yet, as far as there is room; whether anything was taken."""
        taken = False
        for job in jobs:
            if job.delivery_id in self.held:
                continue
            if self.frozen or not self.endpoint.enabled or len(self.queue) >= self.most:
                self.behind = True
                break
            self.held.add(job.delivery_id)
            self.queue.append(job)
            taken = True
        return taken

    def take_back(self, call_id: int | None = None) -> None:
        """Let go of what is ready, all or that of one call: it is to be read from the ledger again."""
        kept: deque[Job] = deque()
        for job in self.queue:
            if call_id is None or job.call_id == call_id:
                self.held.discard(job.delivery_id)
                self.behind = True
            else:
                kept.append(job)
        self.queue = kept

    def closed_until_s(self, now_s: float) -> float | None:
        """Until when nothing may go out; None: it may now."""
        until_s = max(self.breaker.paused_until_s or 0.0, self.quiet_until_s)
        return until_s if until_s > now_s else None

    @property
    def most(self) -> int:
        """How many jobs are held here, at most."""
        return JOBS_PER_ATTEMPT * (self.window + 1)

    @property
    def few(self) -> int:
        """So few jobs left are the time to ask the ledger for more."""
        return self.most // 4

    @property
    def room(self) -> int:
        """How many more attempts may begin; below zero, how many too many are under way."""
        if self.frozen or not self.endpoint.enabled:
            return -len(self.attempts)
        return (1 if self.breaker.open else self.window) - len(self.attempts)

    @property
    def lacks(self) -> bool:
        """Whether it is time to ask the ledger for more."""
        able = self.endpoint.enabled and not self.frozen and not self.loading
        return self.behind and able and len(self.queue) < self.few and len(self.held) < self.most

    @property
    def trusty(self) -> bool:
        """Whether the last attempts got through: a connection that breaks then says nothing about the endpoint."""
        return self.proven and self.breaker.failures == 0

    def succeeded(self) -> bool:
        """Open the window further; whether this ended a pause."""
        self.proven = True
        self.window = min(self.window + 1, self.endpoint.definition.concurrency)
        return self.breaker.succeeded()

    def failed(self, now_s: float) -> bool:
        """Close the window to one; whether the endpoint is left alone now."""
        self.window, self.proven = 1, False
        return self.breaker.failed(now_s)
