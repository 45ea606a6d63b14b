"""How an endpoint does, from what it is owed and from its latest attempts; pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from math import ceil
from typing import NamedTuple

from answerback.domain.models import Endpoint
from answerback.ledger.read.deliveries import Owed
from answerback.ledger.read.recent_attempts import Recent
from answerback.schemas.calls import AttemptView, EndpointView

BEHIND = timedelta(minutes=1)
STRIP = 24


class Health(StrEnum):
    """How an endpoint does, the worst that is true."""

    OFF = "off"
    PAUSED = "paused"
    FAILING = "failing"
    BEHIND = "behind"
    UNPROVEN = "unproven"
    WELL = "well"


TONES = {
    Health.OFF: "pending",
    Health.PAUSED: "bad",
    Health.FAILING: "bad",
    Health.BEHIND: "warn",
    Health.UNPROVEN: "live",
    Health.WELL: "good",
}


class RecentAttempt(NamedTuple):
    """An attempt at a delivery, as everybody may see it."""

    delivery_id: int
    attempt: AttemptView


class EndpointRow(NamedTuple):
    """An endpoint in the list: what it is owed, how it does, and its latest attempts, oldest first."""

    endpoint: EndpointView
    owed: Owed
    health: Health
    tone: str
    recent: Sequence[RecentAttempt]
    p50_ms: float | None
    p95_ms: float | None


def row_of(endpoint: Endpoint, owed: Owed, recent: Sequence[Recent], now: datetime, *, full_url: bool) -> EndpointRow:
    """The line of `endpoint`."""
    health = _health(endpoint, owed, recent, now)
    times = sorted(one.attempt.duration_s * 1000 for one in recent)
    return EndpointRow(
        endpoint=EndpointView.of(endpoint, owed, full_url=full_url),
        owed=owed,
        health=health,
        tone=TONES[health],
        recent=[RecentAttempt(r.delivery_id, AttemptView.of(r.attempt, full_numbers=False)) for r in recent[-STRIP:]],
        p50_ms=_quantile(times, 0.5),
        p95_ms=_quantile(times, 0.95),
    )


def _health(endpoint: Endpoint, owed: Owed, recent: Sequence[Recent], now: datetime) -> Health:
    if not endpoint.enabled:
        return Health.OFF
    if endpoint.paused_until is not None:
        return Health.PAUSED
    if recent and recent[-1].attempt.error is not None:
        return Health.FAILING
    if owed.oldest_at is not None and now - owed.oldest_at > BEHIND:
        return Health.BEHIND
    return Health.WELL if recent else Health.UNPROVEN


def _quantile(rising: Sequence[float], share: float) -> float | None:
    """The least value that `share` of all do not exceed."""
    return rising[max(0, ceil(share * len(rising)) - 1)] if rising else None
