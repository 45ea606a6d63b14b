"""The health of an endpoint, from its backlog and its latest attempts; pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from math import ceil
from typing import NamedTuple

from answerback.domain.endpoints import DeliveryBacklog, Endpoint
from answerback.ledger.read.recent_attempts import DeliveryAttempt
from answerback.schemas.deliveries import AttemptView
from answerback.schemas.endpoints import EndpointView

BACKLOG_AGE = timedelta(minutes=1)
RECENT_ATTEMPTS = 24


class EndpointHealth(StrEnum):
    """The health of an endpoint, the worst that applies."""

    OFF = "off"
    PAUSED = "paused"
    FAILING = "failing"
    BACKLOGGED = "backlogged"
    UNTRIED = "untried"
    HEALTHY = "healthy"


TONES = {
    EndpointHealth.OFF: "pending",
    EndpointHealth.PAUSED: "bad",
    EndpointHealth.FAILING: "bad",
    EndpointHealth.BACKLOGGED: "warn",
    EndpointHealth.UNTRIED: "live",
    EndpointHealth.HEALTHY: "good",
}


class RecentAttemptView(NamedTuple):
    """An attempt at a delivery, as everybody may see it."""

    delivery_id: int
    attempt: AttemptView


class EndpointRow(NamedTuple):
    """An endpoint in the list: its backlog, its health, and its latest attempts, oldest first."""

    endpoint: EndpointView
    backlog: DeliveryBacklog
    health: EndpointHealth
    tone: str
    recent: Sequence[RecentAttemptView]
    p50_ms: float | None
    p95_ms: float | None


def build_endpoint_row(
    endpoint: Endpoint, backlog: DeliveryBacklog, recent: Sequence[DeliveryAttempt], now: datetime, *, full_url: bool
) -> EndpointRow:
    health = _assess_health(endpoint, backlog, recent, now)
    times = sorted(one.attempt.duration_s * 1000 for one in recent)
    return EndpointRow(
        endpoint=EndpointView.of(endpoint, backlog, full_url=full_url),
        backlog=backlog,
        health=health,
        tone=TONES[health],
        recent=[
            RecentAttemptView(r.delivery_id, AttemptView.of(r.attempt, full_numbers=False))
            for r in recent[-RECENT_ATTEMPTS:]
        ],
        p50_ms=_quantile(times, 0.5),
        p95_ms=_quantile(times, 0.95),
    )


def _assess_health(
    endpoint: Endpoint, backlog: DeliveryBacklog, recent: Sequence[DeliveryAttempt], now: datetime
) -> EndpointHealth:
    if not endpoint.enabled:
        return EndpointHealth.OFF
    if endpoint.paused_until is not None:
        return EndpointHealth.PAUSED
    if recent and recent[-1].attempt.error is not None:
        return EndpointHealth.FAILING
    if backlog.oldest_at is not None and now - backlog.oldest_at > BACKLOG_AGE:
        return EndpointHealth.BACKLOGGED
    return EndpointHealth.HEALTHY if recent else EndpointHealth.UNTRIED


def _quantile(rising: Sequence[float], share: float) -> float | None:
    """The least value that `share` of all do not exceed."""
    return rising[max(0, ceil(share * len(rising)) - 1)] if rising else None
