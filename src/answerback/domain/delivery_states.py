"""The state machine of a delivery, and the event type it carries.

At one endpoint the deliveries of a call go one after the other: only the first that is not at its end is pending, the
others wait. So a delivery can neither overtake another of its call nor hold up those of other calls.
"""

from enum import StrEnum

from answerback.domain.endpoints import DeliveryState, EventType
from answerback.domain.models import AnyCallback, Call, KeyPress, Outcome


class DeliveryTransition(StrEnum):
    """What can happen to a delivery."""

    SUCCEEDED = "succeeded"
    """The endpoint has it."""
    ATTEMPT_FAILED = "attempt_failed"
    """An attempt failed, and there is another one to come."""
    EXHAUSTED = "exhausted"
    """The last attempt failed."""
    UNBLOCKED = "unblocked"
    """The one before it came to its end."""
    REPLAYED = "replayed"
    """It is replayed, and no earlier delivery of its call is before it."""
    REPLAYED_BLOCKED = "replayed_blocked"
    """The same, but another one of its call is not at its end."""
    CANCELLED = "cancelled"
    """Its endpoint was removed."""


_BLOCKED, _PENDING, _DELIVERED, _DEAD = (
    DeliveryState.BLOCKED,
    DeliveryState.PENDING,
    DeliveryState.DELIVERED,
    DeliveryState.DEAD,
)
_T = DeliveryTransition

DELIVERY_TRANSITIONS: dict[DeliveryState, dict[DeliveryTransition, DeliveryState]] = {
    _BLOCKED: {_T.UNBLOCKED: _PENDING, _T.REPLAYED: _BLOCKED, _T.REPLAYED_BLOCKED: _BLOCKED, _T.CANCELLED: _DEAD},
    _PENDING: {
        _T.SUCCEEDED: _DELIVERED,
        _T.ATTEMPT_FAILED: _PENDING,
        _T.EXHAUSTED: _DEAD,
        _T.REPLAYED: _PENDING,
        _T.REPLAYED_BLOCKED: _PENDING,
        _T.CANCELLED: _DEAD,
    },
    _DELIVERED: {_T.REPLAYED: _PENDING, _T.REPLAYED_BLOCKED: _BLOCKED},
    _DEAD: {_T.REPLAYED: _PENDING, _T.REPLAYED_BLOCKED: _BLOCKED, _T.SUCCEEDED: _DELIVERED},
}
"""What is not listed cannot happen. A dead one is accepted where its endpoint was removed during the last attempt."""

ACTIVE_STATES = (_BLOCKED, _PENDING)

TAG_LENGTH = 16
"""The hex digits of a tag."""

_EVENT_TYPE_BY_OUTCOME = {
    Outcome.ANSWERED: EventType.ANSWERED,
    Outcome.UNANSWERED: EventType.UNANSWERED,
    Outcome.FAILED: EventType.FAILED,
}


def event_type_for(before: Call | None, after: Call, callback: AnyCallback) -> EventType:
    """The event type of a callback that changed a call from `before` to `after`: by its outcome, unless it is a key press or a revision."""
    if isinstance(callback, KeyPress):
        return EventType.KEY_PRESSED
    if before is not None and after.revisions > before.revisions:
        return EventType.REVISED
    return _EVENT_TYPE_BY_OUTCOME[after.outcome]


def message_id(delivery_id: int, tag: str) -> str:
    """What the endpoint knows the delivery by, in each attempt: `dlv_17_9f86d081884c7d65`.

    `tag` sets it apart from one of the same number in a ledger that was restored from a backup.
    """
    return f"dlv_{delivery_id}_{tag}"
