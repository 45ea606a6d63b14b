"""Decide what a delivery does after an attempt; pure."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import msgspec

from answerback.domain.backoff import retry_delay_s
from answerback.domain.delivery_states import DeliveryTransition
from answerback.domain.endpoints import AttemptResult, EndpointConfig


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """When to retry, when to open the circuit breaker, and how many attempts may be in flight; for endpoints that say nothing else."""

    retry_schedule_s: Sequence[float]
    jitter: float
    breaker_threshold: int
    breaker_cooldowns_s: Sequence[float]
    max_in_flight: int

    def for_endpoint(self, config: EndpointConfig) -> Self:
        """The policy with the endpoint's own retry schedule, if it has one."""
        if config.retry_schedule_s is None:
            return self
        return msgspec.structs.replace(self, retry_schedule_s=config.retry_schedule_s)


class RetryDecision(NamedTuple):
    """The transition of the delivery, when it is due again, and whether the attempt counts against its retries."""

    transition: DeliveryTransition
    due_s: float
    counts: bool


def decide_retry(
    result: AttemptResult, failures: int, policy: RetryPolicy, now_s: float, probe_s: float | None = None
) -> RetryDecision:
    """Decide after an attempt at a delivery that had failed `failures` times before.

    `probe_s` is set if the attempt was a probe of an open breaker: the time of the next probe. A failed probe, or 410 Gone,
    does not count against the delivery. Retry-After can delay the next attempt, not bring it forward.
    """
    if result.error is None:
        return RetryDecision(DeliveryTransition.SUCCEEDED, now_s, counts=False)
    asked_s = now_s + (result.retry_after_s or 0.0)
    if probe_s is not None or result.gone:
        return RetryDecision(DeliveryTransition.ATTEMPT_FAILED, max(probe_s or now_s, asked_s), counts=False)
    wait_s = retry_delay_s(policy.retry_schedule_s, failures + 1, policy.jitter)
    if wait_s is None:
        return RetryDecision(DeliveryTransition.EXHAUSTED, now_s, counts=True)
    return RetryDecision(DeliveryTransition.ATTEMPT_FAILED, max(now_s + wait_s, asked_s), counts=True)
