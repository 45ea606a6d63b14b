"""Send due deliveries to their endpoints at once, in order per call, so that a slow endpoint never slows another.

Jobs come in three ways: pushed by the commit that created them, unblocked by the one before, or fetched from the ledger
when the queue was full, when a retry is due, and at the start. Each endpoint has a bounded queue in memory.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import structlog

from answerback.domain.delivery_states import DeliveryTransition
from answerback.domain.endpoints import Endpoint
from answerback.ledger import AttemptRecord, DeliveryJob
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import NextDueByEndpoint
from answerback.relay.attempt_results import AttemptResults
from answerback.relay.attempt_slots import AttemptSlots
from answerback.relay.attempt_writer import AttemptWriter
from answerback.relay.circuit_breaker import CircuitBreaker
from answerback.relay.endpoint_queue import EndpointQueue
from answerback.relay.job_fetcher import JobFetcher
from answerback.relay.metrics import RelayMetrics
from answerback.relay.pollers import OutboxPoller, cancel_pending
from answerback.relay.retry_policy import RetryPolicy
from answerback.relay.sender import LeaseExpired, WebhookSender
from answerback.relay.wakeable_timer import boottime_s

if TYPE_CHECKING:
    from answerback.tracing.tracer import DeliverySpan, Tracer

_US = 1_000_000

log = structlog.get_logger("answerback.relay")


class Dispatcher:
    """The queues of all endpoints, and the attempts in flight. Belongs to one event loop."""

    def __init__(
        self,
        ledger: LedgerClient,
        sender: WebhookSender,
        metrics: RelayMetrics,
        policy: RetryPolicy,
        under_pressure: Callable[[], bool] = lambda: False,
        tracer: "Tracer | None" = None,
    ) -> None:
        self._ledger = ledger
        self._sender = sender
        self._metrics = metrics
        self._policy = policy
        self._tracer = tracer
        self._queues: dict[int, EndpointQueue] = {}
        self.saturated: set[int] = set()
        """Endpoints whose queue is full: their deliveries stay in the ledger until they are fetched."""
        self._attempt_writer = AttemptWriter(ledger, self._on_written, self._on_write_uncertain)
        self._results = AttemptResults(self._attempt_writer, metrics, policy, self._on_gone)
        self._slots = AttemptSlots(policy.max_in_flight, under_pressure, lambda: self._attempt_writer.is_full)
        self._fetcher = JobFetcher(ledger, self._schedule, self.saturated)
        self._outbox_poller = OutboxPoller(ledger, self._on_delivery_added)
        self._tasks: set[asyncio.Future[None]] = set()
        self._stopping = False
        self.on_endpoint_gone: Callable[[Endpoint, str], Awaitable[None]] | None = None
        """Called when an endpoint answers 410 Gone."""
        self.send_deadline_s = math.inf
        """Until when attempts may start, by `boottime_s`."""
        self.on_remote_endpoints: Callable[[Collection[int]], None] = lambda _: None
        """Called with endpoints of other processes that have something to send now."""

    # Jobs.

    async def start(self, endpoints: Iterable[Endpoint]) -> None:
        """Continue where the last process stopped. Raises LedgerUnavailable."""
        self._loop = asyncio.get_running_loop()
        for endpoint in endpoints:
            self.add(endpoint)
        await self._outbox_poller.start()
        for endpoint_id, due_us in (await self._ledger.execute(NextDueByEndpoint())).items():
            queue = self._queues.get(endpoint_id)
            if queue is None:
                self._spawn(cancel_pending(self._ledger, endpoint_id))
            else:
                self._fetcher.wake_at(queue, due_us / _US)
        self._spawn(self._outbox_poller.run())

    def join_cluster(self, instance_id: str) -> None:
        """Start without endpoints: they are assigned as this process gets their leases."""
        self._loop = asyncio.get_running_loop()
        self._attempt_writer.instance_id = instance_id
        self._sender.may_send = lambda: boottime_s() < self.send_deadline_s

    async def stop(self, timeout_s: float) -> None:
        """Start no more attempts, wait for those in flight, and write their results."""
        self._stopping = True
        for task in list(self._tasks):
            task.cancel()
        for queue in self._queues.values():
            if queue.timer is not None:
                queue.timer.cancel()
        under_way = [attempt for queue in self._queues.values() for attempt in queue.attempts]
        deadline_s = self._loop.time() + timeout_s
        if under_way:
            _, late = await asyncio.wait(under_way, timeout=timeout_s)
            for attempt in late:
                attempt.cancel()
            if late:
                await asyncio.wait(late, timeout=1.0)
        await self._attempt_writer.stop(max(0.1, deadline_s - self._loop.time()))

    def enqueue(self, jobs: Sequence[DeliveryJob], backlogged: Iterable[int] = ()) -> None:
        """Queue jobs that are due now, and note which endpoints have more in the ledger."""
        touched: dict[int, EndpointQueue] = {}
        away: set[int] = set()
        for job in jobs:
            queue = self._queues.get(job.endpoint_id)
            if queue is None:
                away.add(job.endpoint_id)
                continue
            if queue.has_more and len(queue.jobs) >= queue.low_watermark:
                self.saturated.add(job.endpoint_id)
                continue
            if queue.put((job,)):
                touched[job.endpoint_id] = queue
        for endpoint_id in backlogged:
            if queue := self._queues.get(endpoint_id):
                queue.has_more = True
                touched[endpoint_id] = queue
            else:
                away.add(endpoint_id)
        for queue in touched.values():
            self._schedule(queue)
        if away:
            self.on_remote_endpoints(away)

    @property
    def active_ids(self) -> list[int]:
        """The endpoints that this process delivers to."""
        return list(self._queues)

    def queue_for(self, endpoint_id: int) -> EndpointQueue | None:
        """The queue of an endpoint, if this process delivers to it."""
        return self._queues.get(endpoint_id)

    # The endpoints.

    def add(self, endpoint: Endpoint) -> None:
        """Open the queue of an endpoint."""
        self._sender.prepare()
        until_s = None if endpoint.paused_until is None else endpoint.paused_until.timestamp()
        breaker = CircuitBreaker(
            self._policy.breaker_threshold, self._policy.breaker_cooldowns_s, endpoint.consecutive_failures, until_s
        )
        queue = self._queues[endpoint.id] = EndpointQueue(endpoint, breaker)
        queue.buffered_ids |= self._attempt_writer.pending_ids(endpoint.id)
        self.saturated.discard(endpoint.id)
        if breaker.is_open:
            self._metrics.paused[endpoint.name] = breaker.failures

    async def suspend(self, endpoint_id: int, reason: str = "the endpoint was changed") -> None:
        """Start no more attempts at an endpoint, and return when none is in flight.

        Attempts get a second to finish, then they are cancelled.
        """
        await self._queues[endpoint_id].suspend(reason)
        self._attempt_writer.discard_pause(endpoint_id)

    def resume(self, endpoint: Endpoint) -> None:
        """Resume a suspended endpoint with its present settings, if its queue is still here."""
        queue = self._queues.get(endpoint.id)
        if queue is None:
            return
        if endpoint != queue.endpoint:
            queue.reset(CircuitBreaker(self._policy.breaker_threshold, self._policy.breaker_cooldowns_s))
            if self._metrics.paused.pop(endpoint.name, None) is not None:
                log.info("endpoint_resumed", endpoint=endpoint.name, reason="it was changed")
        queue.endpoint, queue.suspended, queue.has_more = endpoint, False, True
        self._schedule(queue)

    def remove(self, endpoint: Endpoint, *, cancel_deliveries: bool = True) -> None:
        """Close the queue of a removed endpoint, and cancel its pending deliveries."""
        self.close(endpoint.id)
        self._metrics.remove_endpoint(endpoint.name)
        self.saturated.discard(endpoint.id)
        if cancel_deliveries:
            self._spawn(cancel_pending(self._ledger, endpoint.id))

    def close(self, endpoint_id: int) -> None:
        """Close a queue and cancel its attempts: another process may deliver to the endpoint from now on."""
        queue = self._queues.pop(endpoint_id, None)
        if queue is None:
            return
        queue.close()
        self._metrics.paused.pop(queue.endpoint.name, None)
        self._attempt_writer.discard_pause(endpoint_id)
        self.saturated.add(endpoint_id)

    async def flush(self, endpoint_id: int, timeout_s: float) -> bool:
        """Wait until all attempts at an endpoint are written; return whether they are."""
        return await self._attempt_writer.flush(endpoint_id, timeout_s)

    def refill(self, endpoint_id: int) -> None:
        """Fetch more for an endpoint: the ledger may have something due."""
        queue = self._queues.get(endpoint_id)
        if queue is None:
            self.on_remote_endpoints((endpoint_id,))
        else:
            queue.has_more = True
            self._schedule(queue)

    def on_pending_found(self, endpoint_id: int, delivery_id: int, due_us: int) -> None:
        """The ledger has a pending delivery, which may be queued here already."""
        queue = self._queues.get(endpoint_id)
        if queue is not None and not queue.has_more and delivery_id not in queue.buffered_ids:
            self._fetcher.wake_at(queue, due_us / _US)

    def invalidate_call(self, channel: str, call_id: int) -> None:
        """A call was annotated: drop its queued jobs, to fetch them with the new data."""
        for queue in self._queues.values():
            if queue.jobs and queue.endpoint.channel == channel:
                queue.evict(call_id)
                self._schedule(queue)

    def invalidate_all(self) -> None:
        """A number was erased from the ledger: drop all queued jobs, to fetch them without it."""
        for queue in self._queues.values():
            queue.evict()
            self._schedule(queue)

    # Sending.

    def _schedule(self, queue: EndpointQueue) -> None:
        """Start as many attempts as allowed, and fetch more jobs before the queue is empty."""
        if self._stopping or boottime_s() >= self.send_deadline_s:
            return
        now_s = time.time()
        until_s = queue.blocked_until_s(now_s)
        if until_s is not None:
            if queue.jobs or queue.has_more:
                self._fetcher.wake_at(queue, until_s)
            return
        while queue.jobs and queue.free_slots > 0:
            if self._slots.is_busy:
                self._slots.wait(queue.endpoint.id)
                return
            attempt = self._loop.create_task(self._send_queued(queue))
            queue.attempts.add(attempt)
            self._slots.in_flight += 1
            attempt.add_done_callback(partial(self._on_sender_done, queue))
        if queue.needs_refill:
            queue.refilling = True
            self._spawn(self._fetcher.fetch(queue))

    async def _send_queued(self, queue: EndpointQueue) -> None:
        """Send one job after the other, while this many attempts may be in flight."""
        while queue.jobs and queue.free_slots >= 0 and not self._attempt_writer.is_full and not self._stopping:
            if queue.blocked_until_s(time.time()) is not None or boottime_s() >= self.send_deadline_s:
                return
            job = queue.jobs.popleft()
            endpoint, probing = queue.endpoint, queue.breaker.is_open
            traced = None if self._tracer is None else self._tracer.start_delivery(job, endpoint)
            parent = None if traced is None else traced.traceparent
            try:
                result = await self._sender.send(
                    endpoint, job.message_id, job.body, retry_closed_connection=queue.is_proven, traceparent=parent
                )
            except asyncio.CancelledError:
                self._end_cancelled(queue, job, traced)
                raise
            except LeaseExpired:
                self._end_cancelled(queue, job, traced)
                return
            if traced is not None:
                traced.end(result.http_status, result.error)
            self._results.finish(queue, job, result, probing=probing)
            if self._slots.is_contended:
                return  # other endpoints wait for this slot
            if queue.needs_refill or (queue.jobs and queue.free_slots > 0):
                self._schedule(queue)

    def _end_cancelled(self, queue: EndpointQueue, job: DeliveryJob, traced: "DeliverySpan | None") -> None:
        result = self._results.cancel(queue, job, "the gateway stopped" if self._stopping else queue.suspend_reason)
        if traced is not None:
            traced.end(result.http_status, result.error)

    def _on_gone(self, queue: EndpointQueue, reason: str) -> None:
        """Have the endpoint disabled; nothing more goes out to it until then."""
        if self.on_endpoint_gone is not None:
            queue.suspended = True
            self._spawn(self.on_endpoint_gone(queue.endpoint, reason))

    def _on_sender_done(self, queue: EndpointQueue, attempt: asyncio.Task[None]) -> None:
        queue.attempts.discard(attempt)
        self._slots.in_flight -= 1
        if not attempt.cancelled() and (error := attempt.exception()):
            log.error("delivery_task_failed", endpoint=queue.endpoint.name, exc_info=error)
        self._resume_starved()
        self._schedule(queue)

    def _resume_starved(self) -> None:
        """Start attempts of endpoints that waited for a free slot."""
        for endpoint_id in self._slots.freed():
            if queue := self._queues.get(endpoint_id):
                self._schedule(queue)

    # Writing.

    def _on_written(self, batch: Sequence[AttemptRecord], freed: Sequence[DeliveryJob]) -> None:
        """These results are in the ledger: what was blocked behind them may go out."""
        touched = {}
        for settled in batch:
            if queue := self._queues.get(settled.endpoint_id):
                queue.buffered_ids.discard(settled.delivery_id)
                if settled.transition is DeliveryTransition.ATTEMPT_FAILED:  # only now a fetch finds it
                    self._fetcher.wake_at(queue, settled.due_us / _US)
                if queue.has_more:
                    touched[settled.endpoint_id] = queue
        self.enqueue(freed)
        for queue in touched.values():
            self._schedule(queue)
        self._resume_starved()

    def _on_write_uncertain(self, batch: Sequence[AttemptRecord]) -> None:
        """They may be written after all, and then the ledger does not return again what they unblocked."""
        for settled in batch:
            if queue := self._queues.get(settled.endpoint_id):
                queue.has_more = True

    def _on_delivery_added(self, endpoint_id: int, delivery_id: int) -> None:
        """Another process has written a delivery, which may be queued here already."""
        queue = self._queues.get(endpoint_id)
        if queue is not None and not queue.has_more and delivery_id not in queue.buffered_ids:
            self.refill(endpoint_id)

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: "asyncio.Future[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("relay_task_failed", exc_info=error)
