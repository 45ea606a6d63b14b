"""What happened to one call, moment by moment, and how it is drawn; pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from answerback.console.model.time_scale import Cut, Scale, Tick, spread
from answerback.domain.models import Call, Kind, Outcome
from answerback.ledger import Entry
from answerback.schemas.calls import AttemptView, DeliveryWithAttemptsView

CALL, CALLBACKS = "call", "callbacks"


class Moment(NamedTuple):
    """Something that happened at a time. `lane` is "call", "callbacks" or the name of an endpoint after "→ ".

    `what` names its words, `tone` its colour; `anchor` is where the page tells more of it.
    """

    at: datetime
    what: str
    lane: str
    tone: str
    anchor: str = ""
    key: str = ""
    kind: Kind | None = None
    repeats: int = 0
    endpoint: str = ""
    attempt: AttemptView | None = None


class Mark(NamedTuple):
    """A moment and its place."""

    moment: Moment
    place: float


class Bar(NamedTuple):
    """A stretch of the call: "waits", "rings", "talks"."""

    name: str
    left: float
    width: float
    seconds: float


class Lane(NamedTuple):
    """One line of the drawing."""

    name: str
    endpoint: str
    marks: Sequence[Mark]


class Story(NamedTuple):
    """All moments in their order, and the drawing of them."""

    moments: Sequence[Moment]
    lanes: Sequence[Lane]
    bars: Sequence[Bar]
    cuts: Sequence[Cut]
    ticks: Sequence[Tick]


def story_of(
    call: Call, entries: Sequence[Entry], told: Sequence[DeliveryWithAttemptsView], pressed: dict[int, str]
) -> Story:
    """The story of `call`; `pressed` is the key that each callback of that kind tells, by its id."""
    moments = sorted(_moments(call, entries, told, pressed), key=lambda moment: moment.at)
    if not moments:
        return Story((), (), (), (), ())
    scale = Scale([moment.at for moment in moments], _busy(call))
    names = dict.fromkeys([CALL, CALLBACKS, *sorted(m.lane for m in moments)])
    lanes = [_lane(name, [m for m in moments if m.lane == name], scale) for name in names]
    shown = [lane for lane in lanes if lane.marks]
    return Story(moments, shown, list(_bars(call, scale)), scale.cuts, scale.ticks)


def _busy(call: Call) -> tuple[datetime, datetime] | None:
    if call.started_at is None or call.ended_at is None or call.started_at >= call.ended_at:
        return None
    return call.started_at, call.ended_at


def _moments(
    call: Call, entries: Sequence[Entry], told: Sequence[DeliveryWithAttemptsView], pressed: dict[int, str]
) -> Iterator[Moment]:
    yield from _of_call(call)
    for entry in entries:
        anchor = f"callback-{entry.id}"
        if entry.id in pressed:
            yield Moment(entry.received_at, "pressed", CALL, "talk", anchor, key=pressed[entry.id])
        yield Moment(entry.received_at, "callback", CALLBACKS, "news", anchor, kind=entry.kind)
        if entry.repeated_at is not None:
            yield Moment(
                entry.repeated_at, "repeated", CALLBACKS, "quiet", anchor, kind=entry.kind, repeats=entry.repeats
            )
    for one in told:
        yield from _of_delivery(one)


def _of_call(call: Call) -> Iterator[Moment]:
    if call.referred_at is not None:
        yield Moment(call.referred_at, "registered", CALL, "quiet")
    if call.started_at is not None:
        yield Moment(call.started_at, "rang", CALL, "ring")
    if call.answered_at is not None and call.outcome is Outcome.ANSWERED:
        yield Moment(call.answered_at, "answered", CALL, "talk")
    if call.ended_at is not None:
        yield Moment(call.ended_at, "ended", CALL, "bad" if call.outcome is Outcome.FAILED else "end")
    if call.overdue_at is not None:
        yield Moment(call.overdue_at, "overdue", CALL, "bad")


def _of_delivery(delivery: DeliveryWithAttemptsView) -> Iterator[Moment]:
    lane, anchor = f"→ {delivery.endpoint}", f"delivery-{delivery.id}"
    for attempt in delivery.tried:
        what, tone = ("attempt_taken", "good") if attempt.error is None else ("attempt_failed", "bad")
        yield Moment(attempt.began_at, what, lane, tone, anchor, endpoint=delivery.endpoint, attempt=attempt)
    if not delivery.tried:
        yield Moment(delivery.created_at, "owed", lane, "quiet", anchor, endpoint=delivery.endpoint)


def _lane(name: str, moments: Sequence[Moment], scale: Scale) -> Lane:
    places = spread([scale.place(moment.at) for moment in moments]) if name != CALL else _in_place(moments, scale)
    marks = [Mark(moment, place) for moment, place in zip(moments, places, strict=True)]
    return Lane(name, moments[0].endpoint if moments else "", marks)


def _in_place(moments: Sequence[Moment], scale: Scale) -> list[float]:
    """The call's own marks stand where its bars begin and end."""
    return [scale.place(moment.at) for moment in moments]


def _bars(call: Call, scale: Scale) -> Iterator[Bar]:
    answered_at = call.answered_at if call.outcome is Outcome.ANSWERED else None
    for name, since, until in (
        ("waits", call.referred_at, call.started_at),
        ("rings", call.started_at, answered_at if call.outcome is Outcome.ANSWERED else call.ended_at),
        ("talks", answered_at, call.ended_at),
    ):
        if since is not None and until is not None and since < until:
            left, right = scale.place(since), scale.place(until)
            yield Bar(name, left, right - left, (until - since).total_seconds())
