"""Brings what is owed to the endpoints: at once, in order for each call, and none of them at the cost of another.

Jobs come in three ways: pushed with the commit that wrote them, freed by the one before them, or loaded from the ledger
when there was no room, when a retry is due, and at the start. A lane is what one endpoint has of them in memory.
"""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from functools import partial

import structlog

from answerback.domain.delivery_states import Happening
from answerback.domain.models import Endpoint
from answerback.errors import AnswerbackError
from answerback.ledger import Job, Pause, Settled
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import Backlog, Load
from answerback.relay.attempt_writer import Settling
from answerback.relay.circuit_breaker import Breaker
from answerback.relay.endpoint_queue import Lane
from answerback.relay.metrics import RelayMeter
from answerback.relay.outbox_poller import Look
from answerback.relay.retry_policy import Decision, Terms, decide
from answerback.relay.sender import Courier, Outcome, TooLate
from answerback.relay.sweepers import give_up
from answerback.relay.wakeable_timer import clock_s
from answerback.tracing import Attempt, Tracer

_AGAIN_S = 0.5
_GRACE_S = 1.0
_MOST_UNDER_PRESSURE = 4
_ASKS_FOR_QUIET = (429, 503)
_RESULTS = {Happening.ACCEPTED: "delivered", Happening.REFUSED: "failed", Happening.EXHAUSTED: "dead"}
_US = 1_000_000

log = structlog.get_logger("answerback.relay")


class Dispatcher:
    """All lanes, and what goes over them. Lives in one event loop."""

    def __init__(
        self,
        book: LedgerClient,
        courier: Courier,
        meter: RelayMeter,
        terms: Terms,
        pressed: Callable[[], bool] = lambda: False,
        tracer: Tracer | None = None,
    ) -> None:
        self._book = book
        self._courier = courier
        self._meter = meter
        self._terms = terms
        self._pressed = pressed
        self._tracer = tracer
        self._lanes: dict[int, Lane] = {}
        self._starved: OrderedDict[int, None] = OrderedDict()
        self._under_way = 0
        self._settling = Settling(book, self._kept, self._in_doubt)
        self._look = Look(book, self._unheard)
        self._tasks: set[asyncio.Future[None]] = set()
        self._stopping = False
        self.full: set[int] = set()
        """Endpoints for which there is no room: what is owed to them stays in the ledger until they are loaded."""
        self.on_gone: Callable[[Endpoint, str], Awaitable[None]] | None = None
        """Called where an endpoint answers that it wants no more."""
        self.until_s = math.inf
        """Until when attempts may begin, by `wakeable_timer.clock_s`."""
        self.on_away: Callable[[Collection[int]], None] = lambda _: None
        """Called with endpoints that other processes tell, and to whom something may go out now."""

    # What is owed.

    async def start(self, endpoints: Iterable[Endpoint]) -> None:
        """Take up the work where it was left. Raises LedgerUnavailable."""
        self._loop = asyncio.get_running_loop()
        for endpoint in endpoints:
            self.add(endpoint)
        await self._look.start()
        for endpoint_id, due_us in (await self._book.ask(Backlog())).items():
            lane = self._lanes.get(endpoint_id)
            if lane is None:
                self._spawn(give_up(self._book, endpoint_id))
            else:
                self._wake_at(lane, due_us / _US)
        self._spawn(self._look.run())

    def share(self, member: str) -> None:
        """Begin with no endpoint: they come and go, for other processes tell some of them."""
        self._loop = asyncio.get_running_loop()
        self._settling.member = member
        self._courier.may_send = lambda: clock_s() < self.until_s

    async def stop(self, timeout_s: float) -> None:
        """Begin nothing more, let the attempts under way come to their end, and keep what they came to."""
        self._stopping = True
        for task in list(self._tasks):
            task.cancel()
        for lane in self._lanes.values():
            if lane.timer is not None:
                lane.timer.cancel()
        under_way = [attempt for lane in self._lanes.values() for attempt in lane.attempts]
        deadline_s = self._loop.time() + timeout_s
        if under_way:
            _, late = await asyncio.wait(under_way, timeout=timeout_s)
            for attempt in late:
                attempt.cancel()
            if late:
                await asyncio.wait(late, timeout=1.0)
        await self._settling.stop(max(0.1, deadline_s - self._loop.time()))

    def owed(self, jobs: Sequence[Job], behind: Iterable[int] = ()) -> None:
        """Take jobs that may go out now, and note to whom there is more in the ledger."""
        touched: dict[int, Lane] = {}
        away: set[int] = set()
        for job in jobs:
            lane = self._lanes.get(job.endpoint_id)
            if lane is None:
                away.add(job.endpoint_id)
                continue
            if lane.behind and len(lane.queue) >= lane.few:
                self.full.add(job.endpoint_id)
                continue
            if lane.offer((job,)):
                touched[job.endpoint_id] = lane
        for endpoint_id in behind:
            if lane := self._lanes.get(endpoint_id):
                lane.behind = True
                touched[endpoint_id] = lane
            else:
                away.add(endpoint_id)
        for lane in touched.values():
            self._pump(lane)
        if away:
            self.on_away(away)

    @property
    def here(self) -> list[int]:
        """The endpoints that have a lane."""
        return list(self._lanes)

    def lane(self, endpoint_id: int) -> Lane | None:
        """The lane of an endpoint."""
        return self._lanes.get(endpoint_id)

    # The endpoints.

    def add(self, endpoint: Endpoint) -> None:
        """Open a lane."""
        self._courier.open()
        until_s = None if endpoint.paused_until is None else endpoint.paused_until.timestamp()
        terms = self._terms
        breaker = Breaker(terms.breaker_failures, terms.breaker_pauses_s, endpoint.failures, until_s)
        lane = self._lanes[endpoint.id] = Lane(endpoint, breaker)
        lane.held |= self._settling.unwritten(endpoint.id)
        self.full.discard(endpoint.id)
        if breaker.open:
            self._meter.paused[endpoint.name] = breaker.failures

    async def hold(self, endpoint_id: int, reason: str = "the endpoint was changed") -> None:
        """Begin no attempt at an endpoint any more, and return when none is under way.

        Attempts get a second to end, then they are cut short.
        """
        lane = self._lanes[endpoint_id]
        lane.frozen, lane.reason = True, reason
        if lane.attempts:
            _, late = await asyncio.wait(lane.attempts, timeout=_GRACE_S)
            for attempt in late:
                attempt.cancel()
            if late:
                await asyncio.wait(late)
        lane.take_back()
        self._settling.forget_pause(endpoint_id)

    def go_on(self, endpoint: Endpoint) -> None:
        """Go on with an endpoint that was held, as it is now; where its lane is still here."""
        lane = self._lanes.get(endpoint.id)
        if lane is None:
            return
        if endpoint != lane.endpoint:
            terms = self._terms
            lane.breaker = Breaker(terms.breaker_failures, terms.breaker_pauses_s)
            lane.window, lane.quiet_until_s = 1, 0.0
            if self._meter.paused.pop(endpoint.name, None) is not None:
                log.info("endpoint_resumed", endpoint=endpoint.name, reason="it was changed")
        lane.endpoint, lane.frozen, lane.behind = endpoint, False, True
        self._pump(lane)

    def drop(self, endpoint: Endpoint, *, give_up_owed: bool = True) -> None:
        """Close the lane of an endpoint that was removed, and give up what it is owed."""
        self.forget(endpoint.id)
        self._meter.forget(endpoint.name)
        self.full.discard(endpoint.id)
        if give_up_owed:
            self._spawn(give_up(self._book, endpoint.id))

    def forget(self, endpoint_id: int) -> None:
        """Close a lane, and cut short what is under way: others may tell the endpoint from now on."""
        lane = self._lanes.pop(endpoint_id, None)
        if lane is None:
            return
        lane.frozen, lane.reason = True, "the lease of the endpoint ended"
        if lane.timer is not None:
            lane.timer.cancel()
        for attempt in lane.attempts:
            attempt.cancel()
        self._meter.paused.pop(lane.endpoint.name, None)
        self._settling.forget_pause(endpoint_id)
        self.full.add(endpoint_id)

    async def written(self, endpoint_id: int, timeout_s: float) -> bool:
        """Wait until the ledger has all that was attempted at an endpoint; whether it has."""
        return await self._settling.written(endpoint_id, timeout_s)

    def look_again(self, endpoint_id: int) -> None:
        """There may be more for an endpoint in the ledger."""
        lane = self._lanes.get(endpoint_id)
        if lane is None:
            self.on_away((endpoint_id,))
        else:
            lane.behind = True
            self._pump(lane)

    def found(self, endpoint_id: int, delivery_id: int, due_us: int) -> None:
        """The ledger holds a delivery for an endpoint, which may be here already."""
        lane = self._lanes.get(endpoint_id)
        if lane is not None and not lane.behind and delivery_id not in lane.held:
            self._wake_at(lane, due_us / _US)

    def read_again(self, channel: str, call_id: int) -> None:
        """The business spoke of a call: what is ready to go out does not know of it yet."""
        for lane in self._lanes.values():
            if lane.queue and lane.endpoint.channel == channel:
                lane.take_back(call_id)
                self._pump(lane)

    # What goes out.

    def _pump(self, lane: Lane) -> None:
        """Begin as many attempts as there may be, and ask for more jobs before there are none."""
        if self._stopping or clock_s() >= self.until_s:
            return
        now_s = time.time()
        until_s = lane.closed_until_s(now_s)
        if until_s is not None:
            if lane.queue or lane.behind:
                self._wake_at(lane, until_s)
            return
        while lane.queue and lane.room > 0:
            if self._busy:
                self._starved[lane.endpoint.id] = None
                return
            attempt = self._loop.create_task(self._work(lane))
            lane.attempts.add(attempt)
            self._under_way += 1
            attempt.add_done_callback(partial(self._ended, lane))
        if lane.lacks:
            lane.loading = True
            self._spawn(self._load(lane))

    async def _work(self, lane: Lane) -> None:
        """Bring one job after the other, as long as this many may be under way."""
        while lane.queue and lane.room >= 0 and not self._settling.full and not self._stopping:
            if lane.closed_until_s(time.time()) is not None or clock_s() >= self.until_s:
                return
            job = lane.queue.popleft()
            endpoint, probing = lane.endpoint, lane.breaker.open
            traced = None if self._tracer is None else self._tracer.delivering(job, endpoint)
            parent = None if traced is None else traced.traceparent
            try:
                outcome = await self._courier.attempt(
                    endpoint, job.message_id, job.body, again=lane.trusty, traceparent=parent
                )
            except asyncio.CancelledError:
                _tell(traced, self._cut_short(lane, job))
                raise
            except TooLate:
                _tell(traced, self._cut_short(lane, job))
                return
            _tell(traced, outcome)
            self._conclude(lane, job, outcome, probing=probing)
            if self._starved or self._under_way > self._most:
                return  # others have waited for this place
            if lane.lacks or (lane.queue and lane.room > 0):
                self._pump(lane)

    def _ended(self, lane: Lane, attempt: asyncio.Task[None]) -> None:
        lane.attempts.discard(attempt)
        self._under_way -= 1
        if not attempt.cancelled() and (error := attempt.exception()):
            log.error("lane_failed", endpoint=lane.endpoint.name, exc_info=error)
        if self._starved:
            self._feed()
        self._pump(lane)

    @property
    def _most(self) -> int:
        """How many attempts may be under way: few while callbacks press in, for those cannot wait and these can."""
        return _MOST_UNDER_PRESSURE if self._pressed() else self._terms.max_connections

    @property
    def _busy(self) -> bool:
        """Whether nothing more may begin, for any endpoint."""
        return self._under_way >= self._most or self._settling.full

    def _feed(self) -> None:
        """Let those begin that had to wait for others to end."""
        for endpoint_id in list(self._starved):
            if self._busy:
                return
            del self._starved[endpoint_id]
            if lane := self._lanes.get(endpoint_id):
                self._pump(lane)

    def _conclude(self, lane: Lane, job: Job, outcome: Outcome, *, probing: bool) -> None:
        """Note what an attempt means for the delivery and for its endpoint."""
        now_s, name = time.time(), lane.endpoint.name
        if outcome.error is None:
            self._meter.lag_s.observe(now_s - job.created_us / _US)
            if lane.succeeded():
                self._closed(lane)
        else:
            self._trouble(lane, outcome, now_s)
        probe_s = lane.breaker.paused_until_s or now_s if probing else None
        decision = decide(outcome, job.failures, self._terms, now_s, probe_s)
        self._settle(job, outcome, decision)
        if decision.happening is Happening.EXHAUSTED:
            log.error("delivery_dead", endpoint=name, delivery=job.delivery_id, reason=outcome.error)
        self._meter.attempted(name, _RESULTS[decision.happening], outcome.duration_us / _US)

    def _trouble(self, lane: Lane, outcome: Outcome, now_s: float) -> None:
        """Leave an endpoint alone that has failed too often, asks for it, or is gone."""
        if lane.failed(now_s):
            self._opened(lane)
        if outcome.status in _ASKS_FOR_QUIET and outcome.retry_after_s is not None:
            lane.quiet_until_s = max(lane.quiet_until_s, now_s + outcome.retry_after_s)
        if outcome.gone and self.on_gone is not None and not lane.frozen:
            lane.frozen = True
            self._spawn(self.on_gone(lane.endpoint, outcome.error or ""))

    def _cut_short(self, lane: Lane, job: Job) -> Outcome:
        """An attempt was ended by us: whether it arrived is not known, so it will be made again, and is not counted."""
        now_s = time.time()
        reason = "the gateway stopped" if self._stopping else lane.reason
        outcome = Outcome(began_us=round(now_s * _US), duration_us=0, error=f"cut short: {reason}")
        self._settle(job, outcome, Decision(Happening.REFUSED, now_s, spent=False))
        lane.behind = True
        return outcome

    def _opened(self, lane: Lane) -> None:
        lane.take_back()
        name, breaker = lane.endpoint.name, lane.breaker
        until_s = breaker.paused_until_s or 0.0
        if name not in self._meter.paused:
            log.error("endpoint_paused", endpoint=name, failures_in_a_row=breaker.failures)
        self._meter.paused[name] = breaker.failures
        self._settling.pause(Pause(lane.endpoint.id, breaker.failures, round(until_s * _US)))

    def _closed(self, lane: Lane) -> None:
        name = lane.endpoint.name
        self._meter.paused.pop(name, None)
        log.info("endpoint_resumed", endpoint=name)
        self._settling.pause(Pause(lane.endpoint.id, 0, None))

    # What is kept.

    def _settle(self, job: Job, outcome: Outcome, decision: Decision) -> None:
        self._settling.add(
            Settled(
                job.delivery_id,
                job.endpoint_id,
                job.call_id,
                job.referred_us,
                decision.happening,
                decision.spent,
                round(decision.due_s * _US),
                outcome.began_us,
                outcome.duration_us,
                outcome.status,
                outcome.answer,
                outcome.error,
            )
        )

    def _kept(self, batch: Sequence[Settled], freed: Sequence[Job]) -> None:
        """The ledger has what these attempts came to: others may follow them."""
        touched = {}
        for settled in batch:
            if lane := self._lanes.get(settled.endpoint_id):
                lane.held.discard(settled.delivery_id)
                if settled.happening is Happening.REFUSED:  # only now a load finds it
                    self._wake_at(lane, settled.due_us / _US)
                if lane.behind:
                    touched[settled.endpoint_id] = lane
        self.owed(freed)
        for lane in touched.values():
            self._pump(lane)
        if self._starved:
            self._feed()

    def _in_doubt(self, batch: Sequence[Settled]) -> None:
        """If the ledger has it after all, it will not tell again what was freed by it."""
        for settled in batch:
            if lane := self._lanes.get(settled.endpoint_id):
                lane.behind = True

    # What is read.

    async def _load(self, lane: Lane) -> None:
        """Read more of what is due at an endpoint."""
        self.full.discard(lane.endpoint.id)
        limit = lane.most // 2 + len(lane.held)
        lane.behind = False
        try:
            loaded = await self._book.ask(Load(lane.endpoint.id, limit))
        except AnswerbackError:
            lane.behind, lane.loading = True, False
            self._wake_at(lane, time.time() + _AGAIN_S)
            return
        lane.loading = False
        taken = lane.offer(loaded.jobs)
        if len(loaded.jobs) == limit:
            lane.behind = True
        if loaded.next_due_us is not None:
            self._wake_at(lane, loaded.next_due_us / _US)
        if taken or (lane.behind and not lane.held):
            self._pump(lane)

    def _wake_at(self, lane: Lane, when_s: float) -> None:
        """Look for due deliveries then, unless that is to happen before anyhow."""
        if lane.timer is not None and lane.timer_s <= when_s:
            return
        if lane.timer is not None:
            lane.timer.cancel()
        lane.timer_s = when_s
        lane.timer = self._loop.call_later(max(0.0, when_s - time.time()), self._wake, lane)

    def _wake(self, lane: Lane) -> None:
        lane.timer = None
        lane.behind = True
        self._pump(lane)

    def _unheard(self, endpoint_id: int, delivery_id: int) -> None:
        """There is a delivery in the ledger, which may be here already."""
        lane = self._lanes.get(endpoint_id)
        if lane is not None and not lane.behind and delivery_id not in lane.held:
            self.look_again(endpoint_id)

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._spawned)

    def _spawned(self, task: "asyncio.Future[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("relay_task_failed", exc_info=error)


def _tell(traced: Attempt | None, outcome: Outcome) -> None:
    if traced is not None:
        traced.ended(outcome.status, outcome.error)
