"""The timeline of a call: its events, and how they are drawn; pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from answerback.console.model.time_scale import Cut, TimeScale, TimeTick, spread_apart
from answerback.domain.models import Call, CallbackKind, Outcome, StoredCallback
from answerback.schemas.deliveries import AttemptView, DeliveryWithAttemptsView

CALL_TRACK, CALLBACKS_TRACK = "call", "callbacks"


class TimelineEvent(NamedTuple):
    """An event of a call. `track` is "call", "callbacks" or the name of an endpoint after "→ ".

    `what` names its words, `tone` its colour; `anchor` is where the page shows details.
    """

    at: datetime
    what: str
    track: str
    tone: str
    anchor: str = ""
    key: str = ""
    kind: CallbackKind | None = None
    duplicates: int = 0
    endpoint: str = ""
    attempt: AttemptView | None = None


class Marker(NamedTuple):
    event: TimelineEvent
    position: float


class TimelineBar(NamedTuple):
    """A stretch of the call: "waits", "rings", "talks"."""

    name: str
    left: float
    width: float
    seconds: float


class TimelineTrack(NamedTuple):
    """One row of the drawing."""

    name: str
    endpoint: str
    markers: Sequence[Marker]


class CallTimeline(NamedTuple):
    """All events in their order, and the drawing of them."""

    events: Sequence[TimelineEvent]
    tracks: Sequence[TimelineTrack]
    bars: Sequence[TimelineBar]
    cuts: Sequence[Cut]
    ticks: Sequence[TimeTick]


def build_timeline(
    call: Call,
    entries: Sequence[StoredCallback],
    deliveries: Sequence[DeliveryWithAttemptsView],
    pressed_keys: dict[int, str],
) -> CallTimeline:
    """The timeline of `call`; `pressed_keys` is the key that each callback of that kind reports, by its id."""
    events = sorted(_timeline_events(call, entries, deliveries, pressed_keys), key=lambda event: event.at)
    if not events:
        return CallTimeline((), (), (), (), ())
    scale = TimeScale([event.at for event in events], _call_span(call))
    names = dict.fromkeys([CALL_TRACK, CALLBACKS_TRACK, *sorted(m.track for m in events)])
    tracks = [_build_track(name, [m for m in events if m.track == name], scale) for name in names]
    shown = [track for track in tracks if track.markers]
    return CallTimeline(events, shown, list(_bars(call, scale)), scale.cuts, scale.ticks)


def _call_span(call: Call) -> tuple[datetime, datetime] | None:
    if call.started_at is None or call.ended_at is None or call.started_at >= call.ended_at:
        return None
    return call.started_at, call.ended_at


def _timeline_events(
    call: Call,
    entries: Sequence[StoredCallback],
    deliveries: Sequence[DeliveryWithAttemptsView],
    pressed_keys: dict[int, str],
) -> Iterator[TimelineEvent]:
    yield from _call_events(call)
    for entry in entries:
        anchor = f"callback-{entry.id}"
        if entry.id in pressed_keys:
            yield TimelineEvent(entry.received_at, "pressed", CALL_TRACK, "talk", anchor, key=pressed_keys[entry.id])
        yield TimelineEvent(entry.received_at, "callback", CALLBACKS_TRACK, "news", anchor, kind=entry.kind)
        if entry.last_duplicate_at is not None:
            yield TimelineEvent(
                entry.last_duplicate_at,
                "repeated",
                CALLBACKS_TRACK,
                "quiet",
                anchor,
                kind=entry.kind,
                duplicates=entry.duplicates,
            )
    for one in deliveries:
        yield from _delivery_events(one)


def _call_events(call: Call) -> Iterator[TimelineEvent]:
    if call.annotated_at is not None:
        yield TimelineEvent(call.annotated_at, "registered", CALL_TRACK, "quiet")
    if call.started_at is not None:
        yield TimelineEvent(call.started_at, "rang", CALL_TRACK, "ring")
    if call.answered_at is not None and call.outcome is Outcome.ANSWERED:
        yield TimelineEvent(call.answered_at, "answered", CALL_TRACK, "talk")
    if call.ended_at is not None:
        yield TimelineEvent(call.ended_at, "ended", CALL_TRACK, "bad" if call.outcome is Outcome.FAILED else "end")
    if call.overdue_at is not None:
        yield TimelineEvent(call.overdue_at, "overdue", CALL_TRACK, "bad")


def _delivery_events(delivery: DeliveryWithAttemptsView) -> Iterator[TimelineEvent]:
    track, anchor = f"→ {delivery.endpoint}", f"delivery-{delivery.id}"
    for attempt in delivery.attempt_log:
        what, tone = ("attempt_taken", "good") if attempt.error is None else ("attempt_failed", "bad")
        yield TimelineEvent(attempt.started_at, what, track, tone, anchor, endpoint=delivery.endpoint, attempt=attempt)
    if not delivery.attempt_log:
        yield TimelineEvent(delivery.created_at, "undelivered", track, "quiet", anchor, endpoint=delivery.endpoint)


def _build_track(name: str, events: Sequence[TimelineEvent], scale: TimeScale) -> TimelineTrack:
    positions = (
        spread_apart([scale.position(event.at) for event in events])
        if name != CALL_TRACK
        else _exact_positions(events, scale)
    )
    marks = [Marker(event, place) for event, place in zip(events, positions, strict=True)]
    return TimelineTrack(name, events[0].endpoint if events else "", marks)


def _exact_positions(events: Sequence[TimelineEvent], scale: TimeScale) -> list[float]:
    """The call's own markers stand where its bars begin and end."""
    return [scale.position(event.at) for event in events]


def _bars(call: Call, scale: TimeScale) -> Iterator[TimelineBar]:
    answered_at = call.answered_at if call.outcome is Outcome.ANSWERED else None
    for name, since, until in (
        ("waits", call.annotated_at, call.started_at),
        ("rings", call.started_at, answered_at if call.outcome is Outcome.ANSWERED else call.ended_at),
        ("talks", answered_at, call.ended_at),
    ):
        if since is not None and until is not None and since < until:
            left, right = scale.position(since), scale.position(until)
            yield TimelineBar(name, left, right - left, (until - since).total_seconds())
