from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
from builders import ENDED, NOON, STARTED, UUID1, AnyCallback, folded, key_press, received, status, wire
from hypothesis import given
from hypothesis import strategies as st

from answerback.console.model.call_timeline import build_timeline
from answerback.console.model.time_scale import LEFT, RIGHT, TimeScale, spread_apart
from answerback.domain.calls import callback_fingerprint
from answerback.domain.endpoints import Attempt, Delivery, DeliveryState, EventType
from answerback.domain.models import Call, Outcome, StoredCallback
from answerback.schemas.deliveries import DeliveryWithAttemptsView

SECONDS = st.lists(st.floats(0, 10**9, allow_nan=False), min_size=1, max_size=60)


def at(seconds: float) -> datetime:
    """So long after NOON."""
    return NOON + timedelta(seconds=seconds)


def entry(id_: int, callback: AnyCallback, after_s: float = 0, **changes: object) -> StoredCallback:
    """`callback` as the ledger holds it."""
    made = StoredCallback(
        id=id_,
        kind=callback.kind,
        fingerprint=callback_fingerprint("default", callback),
        received_at=at(after_s),
        duplicates=0,
        last_duplicate_at=None,
        raw=wire(callback),
    )
    return msgspec.structs.replace(made, **changes)


def delivery(**changes: object) -> Delivery:
    """A delivery that arrived at its second attempt."""
    made = Delivery(
        id=7,
        message_id="dlv_7_x",
        endpoint="crm",
        channel="default",
        callid=UUID1,
        callback_id=1,
        event=EventType.ANSWERED,
        state=DeliveryState.DELIVERED,
        attempts=2,
        failed_attempts=1,
        due_at=NOON,
        created_at=NOON,
        finished_at=NOON,
    )
    return msgspec.structs.replace(made, **changes)


def reported(delivery: Delivery, attempts: list[Attempt]) -> DeliveryWithAttemptsView:
    """A delivery with its attempts, as a reader sees it."""
    return DeliveryWithAttemptsView.with_attempts(delivery, attempts, full_numbers=True)


def attempt(after_s: float, error: str | None = None) -> Attempt:
    """An attempt, taken unless it says why not."""
    return Attempt(
        started_at=at(after_s), duration_s=0.01, http_status=None if error else 200, response_body=b"", error=error
    )


def call_at_noon(**changes: object) -> Call:
    """An answered call that ended a second before its callback came."""
    times = {"started_at": at(-26), "answered_at": at(-11), "ended_at": at(-1)}
    return msgspec.structs.replace(folded([received(status(**times))]), **changes)


@given(SECONDS)
def test_places_rise_with_time(seconds: list[float]) -> None:
    """What is later stands further right, and everything stands between the ends."""
    times = sorted(map(at, seconds))
    scale = TimeScale(times)
    places = [scale.position(time) for time in times]
    assert all(before <= after for before, after in pairwise(places))
    assert min(places) >= LEFT
    assert max(places) <= RIGHT + 1e-6


@given(SECONDS)
def test_what_is_cut_lies_between_moments(seconds: list[float]) -> None:
    """A cut has a width, and no event stands in it."""
    times = sorted(set(map(at, seconds)))
    scale = TimeScale(times)
    for cut in scale.cuts:
        assert cut.left < cut.middle < cut.right
        assert cut.seconds > 60
        assert not any(cut.left + 1e-6 < scale.position(time) < cut.right - 1e-6 for time in times)


def test_a_stretch_is_to_scale() -> None:
    """Within a stretch, twice the time is twice the way."""
    scale = TimeScale([at(0), at(10), at(30)])
    ring, talk = scale.position(at(10)) - scale.position(at(0)), scale.position(at(30)) - scale.position(at(10))
    assert abs(talk - 2 * ring) < 1e-6
    assert scale.cuts == []


def test_a_long_silence_is_cut() -> None:
    """Hours in which nothing happened take no room; they are shown as a cut."""
    scale = TimeScale([at(0), at(30), at(4 * 3600)])
    (cut,) = scale.cuts
    assert cut.seconds == 4 * 3600 - 30
    assert cut.right - cut.left < 10


def test_the_call_itself_is_never_cut() -> None:
    """However long somebody talks: it is one bar."""
    assert TimeScale([at(0), at(5), at(7200)], busy=(at(0), at(7200))).cuts == []


def test_one_moment_alone_has_a_place() -> None:
    """A call of which only one thing is known is drawn, too."""
    scale = TimeScale([NOON])
    assert LEFT <= scale.position(NOON) <= RIGHT
    assert len(scale.ticks) == 1


def test_before_and_after_all_moments_are_the_ends() -> None:
    """A time outside of the drawing stands at its end."""
    scale = TimeScale([at(0), at(10)])
    assert scale.position(at(-99)) == scale.position(at(0))
    assert scale.position(at(99)) == scale.position(at(10))


@given(SECONDS)
def test_ticks_leave_room_for_their_words(seconds: list[float]) -> None:
    """No time is written over another."""
    ticks = TimeScale(sorted(map(at, seconds))).ticks
    assert all(after.position - before.position >= 16.9 for before, after in pairwise(ticks))


@given(st.lists(st.floats(LEFT, RIGHT, allow_nan=False), max_size=200))
def test_marks_at_the_same_place_are_moved_apart(places: list[float]) -> None:
    """Each marker can be seen, in the same order, between the ends."""
    moved = spread_apart(sorted(places))
    apart = min(1.8, (RIGHT - LEFT) / max(1, len(places) - 1))
    assert all(after - before >= apart - 1e-6 for before, after in pairwise(moved))
    assert all(LEFT - 1e-6 <= place <= RIGHT + 1e-6 for place in moved)


def test_marks_with_room_stay_where_they_are() -> None:
    """Only what would be covered is moved."""
    assert spread_apart([10.0, 20.0, 90.0]) == [10.0, 20.0, 90.0]


def test_a_timeline_shows_everything_in_order() -> None:
    """Registered, rang, answered, key, ended, callbacks, attempts: each where it belongs in time."""
    call = call_at_noon(annotated_at=at(-30), keys=("1",))
    entries = [entry(1, key_press(), -5), entry(2, status(), 0, duplicates=2, last_duplicate_at=at(3))]
    deliveries = [reported(delivery(), [attempt(0.1, "answered 500"), attempt(5.2)])]
    timeline = build_timeline(call, entries, deliveries, {1: "1"})
    assert [event.what for event in timeline.events] == [
        "registered",
        "rang",
        "answered",
        "pressed",
        "callback",
        "ended",
        "callback",
        "attempt_failed",
        "repeated",
        "attempt_taken",
    ]
    assert [track.name for track in timeline.tracks] == ["call", "callbacks", "→ crm"]
    assert [bar.name for bar in timeline.bars] == ["waits", "rings", "talks"]
    assert [bar.seconds for bar in timeline.bars] == [4, 15, 10]


def test_an_unanswered_call_rings_to_its_end() -> None:
    """Nobody talked: one bar, and no event of an answer that there was not."""
    call = call_at_noon(outcome=Outcome.UNANSWERED, answered_at=None)
    timeline = build_timeline(call, [], [], {})
    assert [bar.name for bar in timeline.bars] == ["rings"]
    assert "answered" not in [event.what for event in timeline.events]


def test_how_long_it_rang_is_drawn_only_where_it_is_known() -> None:
    """An answered call of which nobody says when it was answered did not ring to its end."""
    call = call_at_noon(answered_at=None)
    assert call.ring_seconds is None
    assert [bar.name for bar in build_timeline(call, [], [], {}).bars] == []


def test_a_delivery_that_was_never_tried_is_shown_as_pending() -> None:
    """It stands where it was created."""
    timeline = build_timeline(call_at_noon(), [], [reported(delivery(attempts=0), [])], {})
    (undelivered,) = (event for event in timeline.events if event.what == "undelivered")
    assert (undelivered.at, undelivered.track) == (NOON, "→ crm")


def test_a_call_of_the_last_second_is_drawn() -> None:
    """The vendor may tell any time that it can write: the drawing stands it."""
    end = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    timeline = build_timeline(call_at_noon(started_at=STARTED, ended_at=end), [entry(1, status())], [], {})
    assert all(LEFT <= marker.position <= RIGHT + 1e-6 for track in timeline.tracks for marker in track.markers)


def test_contradictory_times_are_drawn() -> None:
    """An end before the start makes no bar, and breaks nothing."""
    timeline = build_timeline(call_at_noon(started_at=ENDED, answered_at=None, ended_at=STARTED), [], [], {})
    assert timeline.bars == []


def test_a_call_without_any_time_has_no_story() -> None:
    """Nothing is drawn of nothing."""
    call = call_at_noon(started_at=None, answered_at=None, ended_at=None)
    assert build_timeline(call, [], [], {}).events == ()
