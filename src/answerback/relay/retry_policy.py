"""What an attempt means for its delivery; pure."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from answerback.domain.backoff import pause_s
from answerback.domain.delivery_states import Happening
from answerback.relay.sender import Outcome


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How often and how long, for every endpoint."""

    retries_s: Sequence[float]
    jitter: float
    breaker_failures: int
    breaker_pauses_s: Sequence[float]
    max_connections: int


class Decision(NamedTuple):
    """What happened to the delivery, when its next attempt may be, and whether this one counts towards giving up."""

    happening: Happening
    due_s: float
    spent: bool


def decide(outcome: Outcome, failures: int, terms: Terms, now_s: float, probe_s: float | None = None) -> Decision:
    """Decide after an attempt at a delivery that has failed `failures` times before.

    `probe_s` is set where the attempt was only a probe: the time of the next one. A probe, or an endpoint that is gone,
    spends nothing of the delivery. The endpoint's Retry-After can put the next attempt off, and not bring it forward.
    """
    if outcome.error is None:
        return Decision(Happening.ACCEPTED, now_s, spent=False)
    asked_s = now_s + (outcome.retry_after_s or 0.0)
    if probe_s is not None or outcome.gone:
        return Decision(Happening.REFUSED, max(probe_s or now_s, asked_s), spent=False)
    wait_s = pause_s(terms.retries_s, failures + 1, terms.jitter)
    if wait_s is None:
        return Decision(Happening.EXHAUSTED, now_s, spent=True)
    return Decision(Happening.REFUSED, max(now_s + wait_s, asked_s), spent=True)
