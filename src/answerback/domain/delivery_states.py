"""The law of a delivery: what it tells, and what becomes of it with each thing that happens.

At one endpoint the deliveries of a call go one after the other: only the first that is not at its end is pending, the
others wait. So a delivery can neither overtake another of its call nor hold up those of other calls.
"""

from enum import StrEnum

from answerback.domain.models import Call, Event, Failure, KeyPress, Outcome, State, Status


class Happening(StrEnum):
    """What can happen to a delivery."""

    ACCEPTED = "accepted"
    """The endpoint has it."""
    REFUSED = "refused"
    """An attempt failed, and there is another one to come."""
    EXHAUSTED = "exhausted"
    """The last attempt failed."""
    FREED = "freed"
    """The one before it came to its end."""
    REPLAYED = "replayed"
    """Somebody wants it to be told again, and nothing of its call is before it."""
    REPLAYED_BEHIND = "replayed behind"
    """The same, but another one of its call is not at its end."""
    ABANDONED = "abandoned"
    """Its endpoint was removed."""


W, P, D, X = State.WAITING, State.PENDING, State.DELIVERED, State.DEAD
H = Happening

LAW: dict[State, dict[Happening, State]] = {
    W: {H.FREED: P, H.REPLAYED: W, H.REPLAYED_BEHIND: W, H.ABANDONED: X},
    P: {H.ACCEPTED: D, H.REFUSED: P, H.EXHAUSTED: X, H.REPLAYED: P, H.REPLAYED_BEHIND: P, H.ABANDONED: X},
    D: {H.REPLAYED: P, H.REPLAYED_BEHIND: W},
    X: {H.REPLAYED: P, H.REPLAYED_BEHIND: W, H.ACCEPTED: D},
}
"""What is not listed cannot happen. A dead one is accepted where its endpoint was removed during the last attempt."""

UNSETTLED = (W, P)

TAG_LENGTH = 16
"""The hex digits of a tag; in ledgers of schema 0004 and before there are some of 12, a piece of a hash without a key."""

_EVENT_OF = {
    Outcome.ANSWERED: Event.ANSWERED,
    Outcome.UNANSWERED: Event.UNANSWERED,
    Outcome.FAILED: Event.FAILED,
}


def event_of(before: Call | None, after: Call, callback: Status | KeyPress | Failure) -> Event:
    """What a callback that made `after` of `before` is to the business: the call's outcome, unless it says otherwise."""
    if isinstance(callback, KeyPress):
        return Event.KEY_PRESSED
    if before is not None and after.revisions > before.revisions:
        return Event.REVISED
    return _EVENT_OF[after.outcome]


def message_id(delivery_id: int, tag: str) -> str:
    """What the endpoint knows the delivery by, in each attempt: `dlv_17_9f86d081884c7d65`.

    `tag` sets it apart from one of the same number in a ledger that was restored from a backup.
    """
    return f"dlv_{delivery_id}_{tag}"


def mask_message_id(known_by: str) -> str:
    """A message id for who may see no numbers: without its tag where that is of a time when tags were not keyed."""
    head, _, tag = known_by.rpartition("_")
    return known_by if len(tag) >= TAG_LENGTH else head
