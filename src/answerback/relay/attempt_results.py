"""What the result of an attempt means: for its delivery, for its endpoint, and for the metrics."""

import time
from collections.abc import Callable

import structlog

from answerback.domain.delivery_states import DeliveryTransition
from answerback.domain.endpoints import AttemptResult
from answerback.ledger import AttemptRecord, DeliveryJob, EndpointPause
from answerback.relay.attempt_writer import AttemptWriter
from answerback.relay.endpoint_queue import EndpointQueue
from answerback.relay.metrics import RelayMetrics
from answerback.relay.retry_policy import RetryDecision, RetryPolicy, decide_retry

_RETRY_AFTER_STATUSES = (429, 503)
_RESULTS = {
    DeliveryTransition.SUCCEEDED: "delivered",
    DeliveryTransition.ATTEMPT_FAILED: "failed",
    DeliveryTransition.EXHAUSTED: "dead",
}
_US = 1_000_000

log = structlog.get_logger("answerback.relay")


class AttemptResults:
    """Hands every result to the writer. `on_gone` is called with the queue of an endpoint that answers 410 Gone, and why."""

    def __init__(
        self,
        writer: AttemptWriter,
        metrics: RelayMetrics,
        policy: RetryPolicy,
        on_gone: Callable[[EndpointQueue, str], None],
    ) -> None:
        self._writer = writer
        self._metrics = metrics
        self._policy = policy
        self._on_gone = on_gone

    def finish(self, queue: EndpointQueue, job: DeliveryJob, result: AttemptResult, *, probing: bool) -> None:
        """Record the result of an attempt, for the delivery and for the endpoint."""
        now_s, name = time.time(), queue.endpoint.name
        if result.error is None:
            self._metrics.delivery_lag_s.observe(now_s - job.created_us / _US)
            if queue.record_success():
                self._on_breaker_closed(queue)
        else:
            self._on_failure(queue, result, now_s)
        probe_s = queue.breaker.open_until_s or now_s if probing else None
        decision = decide_retry(
            result, job.failed_attempts, self._policy.for_endpoint(queue.endpoint.config), now_s, probe_s
        )
        self._record(job, result, decision)
        if decision.transition is DeliveryTransition.EXHAUSTED:
            log.error("delivery_dead", endpoint=name, delivery=job.delivery_id, reason=result.error)
        self._metrics.count_attempt(name, _RESULTS[decision.transition], result.duration_us / _US)

    def cancel(self, queue: EndpointQueue, job: DeliveryJob, reason: str) -> AttemptResult:
        """We cancelled an attempt: it may have arrived, so it is repeated, and does not count."""
        now_s = time.time()
        result = AttemptResult(started_us=round(now_s * _US), duration_us=0, error=f"cut short: {reason}")
        self._record(job, result, RetryDecision(DeliveryTransition.ATTEMPT_FAILED, now_s, counts=False))
        queue.has_more = True
        return result

    def _on_failure(self, queue: EndpointQueue, result: AttemptResult, now_s: float) -> None:
        """Open the breaker, honour Retry-After, or disable the endpoint that is gone."""
        if queue.record_failure(now_s):
            self._on_breaker_opened(queue)
        if result.http_status in _RETRY_AFTER_STATUSES and result.retry_after_s is not None:
            queue.retry_after_until_s = max(queue.retry_after_until_s, now_s + result.retry_after_s)
        if result.gone and not queue.suspended:
            self._on_gone(queue, result.error or "")

    def _on_breaker_opened(self, queue: EndpointQueue) -> None:
        queue.evict()
        name, breaker = queue.endpoint.name, queue.breaker
        until_s = breaker.open_until_s or 0.0
        if name not in self._metrics.paused:
            log.error("endpoint_paused", endpoint=name, consecutive_failures=breaker.failures)
        self._metrics.paused[name] = breaker.failures
        self._writer.pause(EndpointPause(queue.endpoint.id, breaker.failures, round(until_s * _US)))

    def _on_breaker_closed(self, queue: EndpointQueue) -> None:
        name = queue.endpoint.name
        self._metrics.paused.pop(name, None)
        log.info("endpoint_resumed", endpoint=name)
        self._writer.pause(EndpointPause(queue.endpoint.id, 0, None))

    def _record(self, job: DeliveryJob, result: AttemptResult, decision: RetryDecision) -> None:
        self._writer.add(
            AttemptRecord(
                job.delivery_id,
                job.endpoint_id,
                job.call_id,
                job.annotated_us,
                decision.transition,
                decision.counts,
                round(decision.due_s * _US),
                result.started_us,
                result.duration_us,
                result.http_status,
                result.response_body,
                result.error,
            )
        )
