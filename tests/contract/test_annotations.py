import json
from datetime import timedelta, timezone
from typing import Any

import msgspec
import pytest
from builders import UUID1, AnyCallback, failure, key_press, received, status, unanswered
from contract.backends import OpenLedger
from contract.delivery_helpers import (
    D,
    P,
    W,
    X,
    accept,
    accept_everything,
    annotate,
    at,
    change,
    endpoint,
    events,
    exhaust,
    load,
    load_one,
    record_overdue,
    refuse,
    remove,
    states,
    tencent,
    undelivered,
    us,
)
from contract.test_instances import heartbeat, member

from answerback.domain.endpoints import EventType
from answerback.domain.models import CallbackKind, Outcome
from answerback.errors import AmbiguousCall, ResourceNotFound
from answerback.ledger import Ledger
from answerback.ledger.admin.instances import RECORDED_US
from answerback.ledger.commands import AnnotateCall, MarkOverdue
from answerback.ledger.read.calls import CallFilter
from answerback.ledger.types import DeliveryJob
from answerback.ledger.write.annotations import CallAnnotation


def call_in(job: DeliveryJob) -> dict[str, Any]:
    """The call as the endpoint receives it."""
    call: dict[str, Any] = json.loads(job.body)["data"]["call"]
    return call


def reported(ledger: Ledger, callid: str = UUID1) -> tuple[str | None, dict[str, object] | None]:
    """The business's words about a call, as the ledger has them."""
    call = ledger.call(callid)
    return call.reference, call.metadata


# What the business says


def test_a_call_can_be_registered_before_any_callback(reopen: OpenLedger) -> None:
    """It is there at once, pending and of no kind, with all that was said; the callback adds what it knows."""
    ledger = reopen()
    said: dict[str, Any] = {"reference": "order-17", "metadata": {"shop": 3, "名": [1.5, None, True]}, "due_at": at(60)}
    answer = annotate(ledger, UUID1, at_s=-5, **said)
    assert (answer.created, answer.jobs) == (True, [])
    call = reopen().call(UUID1)
    assert call == answer.call
    assert (call.kind, call.outcome, call.mobile, call.channel) == (None, Outcome.PENDING, "", "default")
    assert (call.first_seen_at, call.updated_at, call.annotated_at) == (at(-5), at(-5), at(-5))
    assert {name: getattr(call, name) for name in said} == said
    ledger.record([received(status())])
    call = ledger.call(UUID1)
    assert (call.kind, call.outcome, call.mobile) == (CallbackKind.PROMPT, Outcome.ANSWERED, "13788888888")
    assert {name: getattr(call, name) for name in said} == said
    assert len(ledger.calls().items) == 1


def test_a_call_can_be_annotated_after_its_callbacks(ledger: Ledger) -> None:
    """What the cloud said stays, and the words are added."""
    ledger.record([received(status()), received(key_press())])
    before = ledger.call(UUID1)
    answer = annotate(ledger, UUID1, reference="order-17", at_s=60)
    assert (answer.created, answer.call.reference, answer.call.updated_at) == (False, "order-17", at(60))
    assert (answer.call.outcome, answer.call.keys, answer.call.first_seen_at) == (
        before.outcome,
        before.keys,
        before.first_seen_at,
    )
    assert ledger.call(UUID1) == answer.call


def test_callbacks_leave_the_business_s_words_alone(ledger: Ledger) -> None:
    """Whatever comes after: reference, metadata and due time are written by the business alone."""
    annotate(ledger, UUID1, reference="order-17", metadata={"a": 1}, due_at=at(60))
    before = ledger.call(UUID1)
    ledger.record([received(failure()), received(unanswered()), received(status()), received(key_press())])
    after = ledger.call(UUID1)
    for name in ("reference", "metadata", "due_at", "overdue_at", "annotated_at"):
        assert getattr(after, name) == getattr(before, name)


def test_a_registered_call_is_found_in_lists(ledger: Ledger) -> None:
    """By channel, by outcome and by time; by no kind, for it has none."""
    annotate(ledger, "a")
    annotate(ledger, "b", channel="alerts", at_s=1)
    ledger.record([received(key_press(callid="c"), after_s=2)])
    for wanted, expected in (
        (CallFilter(), "cba"),
        (CallFilter(outcome=Outcome.PENDING), "cba"),
        (CallFilter(channel="alerts"), "b"),
        (CallFilter(channel="default"), "ca"),
        (CallFilter(kind=CallbackKind.KEY), "c"),
        (CallFilter(until=at(1)), "a"),
    ):
        assert "".join(call.callid for call in ledger.calls(wanted).items) == expected


def test_what_is_not_said_stays_and_none_takes_back(ledger: Ledger) -> None:
    """A word that is left out is left alone; null takes it back."""
    annotate(ledger, UUID1, reference="order-17", metadata={"a": 1}, due_at=at(60))
    annotate(ledger, UUID1, metadata={"b": 2})
    call = ledger.call(UUID1)
    assert (call.reference, call.metadata, call.due_at) == ("order-17", {"b": 2}, at(60))
    annotate(ledger, UUID1, reference=None, metadata=None)
    call = ledger.call(UUID1)
    assert (call.reference, call.metadata, call.due_at) == (None, None, at(60))
    annotate(ledger, UUID1, due_at=None)
    assert ledger.call(UUID1).due_at is None


def test_saying_nothing_of_a_new_call_registers_it(ledger: Ledger) -> None:
    """A call without words is registered all the same."""
    assert annotate(ledger, UUID1).created
    assert not annotate(ledger, UUID1).created
    assert ledger.call(UUID1).reference is None


@pytest.mark.parametrize(
    "said",
    [
        {"reference": ""},
        {"reference": "号" * 512},
        {"metadata": {}},
        {"metadata": {"deep": {"er": [{}, [], "'; --", 2**63, -1.5]}}},
        {"due_at": at(0).replace(microsecond=1)},
    ],
)
def test_words_come_back_as_they_were_said(ledger: Ledger, said: dict[str, Any]) -> None:
    """Any text, any JSON object, any time to the microsecond."""
    annotate(ledger, UUID1, **said)
    (name,) = said
    assert getattr(ledger.call(UUID1), name) == said[name]


def test_a_time_of_another_zone_is_the_same_time(ledger: Ledger) -> None:
    """The same moment said in another zone is kept in UTC, and is no change."""
    annotate(ledger, UUID1, due_at=at(60))
    before = ledger.call(UUID1)
    annotate(ledger, UUID1, due_at=at(60).astimezone(timezone(timedelta(hours=8))), at_s=9)
    assert ledger.call(UUID1) == before


def test_the_same_words_again_change_nothing(ledger: Ledger) -> None:
    """A repeated PUT is no news: neither the record nor its times change, and nothing is delivered."""
    to = endpoint(ledger, notify_on_update=True)
    said: dict[str, Any] = {"reference": "order-17", "metadata": {"a": [1]}, "due_at": at(60)}
    annotate(ledger, UUID1, **said)
    ledger.record([received(status())])
    accept_everything(ledger, to)
    before = ledger.call(UUID1)
    answer = annotate(ledger, UUID1, at_s=5, **said)
    assert (answer.created, answer.jobs, answer.call) == (False, [], before)
    assert ledger.call(UUID1) == before
    assert len(undelivered(ledger)) == 1


@pytest.mark.parametrize(("former", "later"), [(1, True), (0, False)])
def test_values_that_python_takes_for_equal_are_kept_apart(ledger: Ledger, former: object, later: object) -> None:
    """In JSON 1 and true are not the same: the last said holds."""
    annotate(ledger, UUID1, metadata={"paid": former})
    annotate(ledger, UUID1, metadata={"paid": later})
    metadata = ledger.call(UUID1).metadata
    assert metadata is not None
    assert json.dumps(metadata) == json.dumps({"paid": later})


def test_each_change_of_words_has_its_own_time(ledger: Ledger) -> None:
    """Two changes within one tick of the clock, or with it set back, are still told apart and in order."""
    times = [annotate(ledger, UUID1, reference=f"order-{n}", at_s=-n).call.annotated_at for n in range(4)]
    assert None not in times
    assert sorted(set(filter(None, times))) == times


# Which call is meant


def test_one_holder_need_not_be_named(ledger: Ledger) -> None:
    """A callid that one channel holds is that channel's, whatever the default."""
    ledger.record([received(status(), channel="alerts"), received(status(callid="other"), channel="default")])
    answer = annotate(ledger, UUID1, channel=None, default="default", reference="order-17")
    assert (answer.created, answer.call.channel) == (False, "alerts")


def test_an_ambiguous_callid_names_its_channels(ledger: Ledger) -> None:
    """Two channels hold it: without a channel the error names both, and nothing is changed; with one it is annotated."""
    ledger.record([received(status(), channel=channel) for channel in ("codes", "alerts")])
    with pytest.raises(AmbiguousCall) as caught:
        annotate(ledger, UUID1, channel=None, default="default", reference="order-17")
    assert caught.value.channels == ("alerts", "codes")
    assert {call.reference for call in ledger.calls().items} == {None}
    annotate(ledger, UUID1, channel="codes", reference="order-17")
    assert ledger.call(UUID1, "codes").reference == "order-17"
    assert ledger.call(UUID1, "alerts").reference is None


def test_an_unknown_call_is_the_default_channel_s(ledger: Ledger) -> None:
    """Nobody holds it: it is registered where callbacks come in unless said otherwise."""
    answer = annotate(ledger, UUID1, channel=None, default="default", reference="order-17")
    assert (answer.created, answer.call.channel) == (True, "default")
    ledger.record([received(status())])
    assert ledger.call(UUID1).reference == "order-17"


def test_without_any_channel_an_unknown_call_is_not_found(ledger: Ledger) -> None:
    """Neither a holder nor a default: the error asks for the channel, and nothing is registered."""
    with pytest.raises(ResourceNotFound, match="channel"):
        annotate(ledger, UUID1, channel=None, reference="order-17")
    assert ledger.calls().items == []


def test_a_named_channel_registers_its_own_call(ledger: Ledger) -> None:
    """What is said by one channel changes no other's call of the same callid."""
    ledger.record([received(status(), channel="alerts")])
    before = ledger.call(UUID1, "alerts")
    assert annotate(ledger, UUID1, channel="codes", reference="order-17").created
    assert ledger.call(UUID1, "alerts") == before


# Whether it is told


def test_whichever_comes_first_the_delivery_carries_it(ledger: Ledger) -> None:
    """Annotated before the callback, or after it and before the delivery: one delivery, with the annotation."""
    to = endpoint(ledger, notify_on_update=True)
    annotate(ledger, "before", reference="order-1")
    ledger.record([received(status(callid="before")), received(status(callid="after"))])
    assert annotate(ledger, "after", reference="order-2").jobs == []
    jobs = accept_everything(ledger, to)
    assert [(call_in(job)["callid"], call_in(job)["reference"]) for job in jobs] == [
        ("before", "order-1"),
        ("after", "order-2"),
    ]
    assert states(ledger) == [D, D]


def test_a_delivery_without_the_words_is_followed_by_an_update(ledger: Ledger) -> None:
    """Already delivered, and the endpoint asks for updates: a revision with the annotation goes out at once, of no callback."""
    to = endpoint(ledger, notify_on_update=True)
    ledger.record([received(status())])
    accept(ledger, load_one(ledger, to))
    (job,) = annotate(ledger, UUID1, reference="order-17", at_s=60).jobs
    assert job == load_one(ledger, to)
    body = json.loads(job.body)
    assert (body["type"], body["timestamp"]) == ("voice.call.revised", "2026-05-01T12:01:00Z")
    assert (body["data"]["call"]["reference"], body["data"]["callback"]) == ("order-17", None)
    assert job.annotated_us == us(60)
    accept(ledger, job)
    assert load(ledger, to) == []
    assert events(ledger) == [EventType.ANSWERED, EventType.REVISED]
    assert undelivered(ledger)[1].callback_id is None


def test_every_change_is_followed_by_an_update(ledger: Ledger) -> None:
    """An endpoint that has the annotation receives each further change; changes made while one waits go with it."""
    to = endpoint(ledger, notify_on_update=True)
    ledger.record([received(status())])
    accept(ledger, load_one(ledger, to))
    for reference in ("order-1", "order-2", None):
        (job,) = annotate(ledger, UUID1, reference=reference).jobs
        assert annotate(ledger, UUID1, metadata={"of": reference}).jobs == []
        job = load_one(ledger, to)
        assert (call_in(job)["reference"], call_in(job)["metadata"]) == (reference, {"of": reference})
        accept(ledger, job)
        assert load(ledger, to) == []
    assert states(ledger) == [D] * 4


@pytest.mark.parametrize("notify_on_update", [True, False])
def test_an_update_is_for_who_asks_and_got_the_outcome(ledger: Ledger, *, notify_on_update: bool) -> None:
    """Not for one that does not ask, has no delivery of the call, has a dead one, is of the vendor's format or elsewhere."""
    to = endpoint(ledger, "to", notify_on_update=notify_on_update)
    never = endpoint(ledger, "never", notify_on_update=True, kinds=(CallbackKind.KEY,))
    dead = endpoint(ledger, "dead", notify_on_update=True)
    old = tencent(ledger, "old", notify_on_update=True)
    elsewhere = endpoint(ledger, "elsewhere", channel="codes", notify_on_update=True)
    ledger.record([received(status()), received(status(), channel="codes")])
    for end in (to, old, elsewhere):
        accept(ledger, load_one(ledger, end))
    exhaust(ledger, load_one(ledger, dead))
    late = endpoint(ledger, "late", notify_on_update=True)
    jobs = annotate(ledger, UUID1, reference="order-17").jobs
    assert [job.endpoint_id for job in jobs] == ([to.id] if notify_on_update else [])
    assert [len(undelivered(ledger, end)) for end in (never, dead, old, elsewhere, late)] == [0, 1, 1, 1, 0]


def test_there_is_no_update_while_a_delivery_is_still_to_come(ledger: Ledger) -> None:
    """One is delivered, another of the call is pending: that one carries the annotation, and no update follows it."""
    to = endpoint(ledger, notify_on_update=True)
    ledger.record([received(unanswered())])
    accept(ledger, load_one(ledger, to))
    ledger.record([received(status())])
    assert annotate(ledger, UUID1, reference="order-17").jobs == []
    job = load_one(ledger, to)
    assert call_in(job)["reference"] == "order-17"
    assert accept(ledger, job) == []
    assert states(ledger) == [D, D]


def test_an_annotation_during_an_attempt_is_delivered_after_it(ledger: Ledger) -> None:
    """The attempt under way does not know them: accepted, it is followed by an update."""
    to = endpoint(ledger, notify_on_update=True)
    (job,) = ledger.record_batch([received(status())]).jobs
    assert job.annotated_us is None
    assert annotate(ledger, UUID1, reference="order-17", at_s=1).jobs == []
    (update,) = accept(ledger, job, at_s=2)
    assert (call_in(update)["reference"], update.annotated_us) == ("order-17", us(1))
    assert json.loads(update.body)["type"] == "voice.call.revised"
    assert load_one(ledger, to) == update
    assert accept(ledger, update) == []
    assert states(ledger) == [D, D]


def test_an_annotation_changed_during_an_attempt_is_delivered_after_it(ledger: Ledger) -> None:
    """The attempt under way has older words: the update has the new ones, also where they were taken back."""
    endpoint(ledger, notify_on_update=True)
    annotate(ledger, UUID1, reference="order-1")
    (job,) = ledger.record_batch([received(status())]).jobs
    annotate(ledger, UUID1, reference="order-2")
    (update,) = accept(ledger, job)
    assert call_in(update)["reference"] == "order-2"
    annotate(ledger, UUID1, reference=None)
    (again,) = accept(ledger, update)
    assert call_in(again)["reference"] is None


def test_words_during_a_failed_attempt_go_with_the_next(ledger: Ledger) -> None:
    """The next attempt of the same delivery has them, under the same id; no update follows."""
    to = endpoint(ledger, notify_on_update=True)
    (job,) = ledger.record_batch([received(status())]).jobs
    annotate(ledger, UUID1, reference="order-17")
    assert refuse(ledger, job) == []
    again = load_one(ledger, to)
    assert (again.message_id, call_in(again)["reference"]) == (job.message_id, "order-17")
    assert accept(ledger, again) == []


def test_words_during_an_attempt_go_with_what_waits(ledger: Ledger) -> None:
    """With another callback of the call behind it, that one carries them, and no update is needed."""
    to = endpoint(ledger, notify_on_update=True)
    (job,) = ledger.record_batch([received(unanswered()), received(status())]).jobs
    annotate(ledger, UUID1, reference="order-17")
    (behind,) = accept(ledger, job)
    assert call_in(behind)["reference"] == "order-17"
    assert accept(ledger, behind) == []
    assert events(ledger, to) == [EventType.UNANSWERED, EventType.REVISED]


def test_an_annotation_that_came_with_a_dead_delivery_is_delivered(ledger: Ledger) -> None:
    """Told without the words, and the delivery that was to carry them is given up: an update follows."""
    to = endpoint(ledger, notify_on_update=True)
    ledger.record([received(unanswered())])
    accept(ledger, load_one(ledger, to))
    ledger.record([received(status())])
    annotate(ledger, UUID1, reference="order-17")
    (update,) = exhaust(ledger, load_one(ledger, to))
    assert call_in(update)["reference"] == "order-17"
    assert states(ledger) == [D, X, P]


def test_an_update_that_dies_is_the_last(ledger: Ledger) -> None:
    """The endpoint would not have it: it is dead, to be seen and replayed, and no other follows for ever."""
    endpoint(ledger, notify_on_update=True)
    accept(ledger, *ledger.record_batch([received(status())]).jobs)
    assert exhaust(ledger, *annotate(ledger, UUID1, reference="order-1", at_s=5).jobs) == []
    assert states(ledger) == [D, X]


def test_words_during_an_attempt_are_no_update_for_who_does_not_ask(ledger: Ledger) -> None:
    """An endpoint that does not ask for updates gets none from the race either."""
    endpoint(ledger)
    (job,) = ledger.record_batch([received(status())]).jobs
    annotate(ledger, UUID1, reference="order-17")
    assert accept(ledger, job) == []
    assert states(ledger) == [D]


def test_the_vendor_s_format_has_no_updates(ledger: Ledger) -> None:
    """Words during an attempt make no delivery that the vendor's contract has no form for."""
    to = tencent(ledger, notify_on_update=True)
    (job,) = ledger.record_batch([received(status())]).jobs
    annotate(ledger, UUID1, reference="order-17")
    assert accept(ledger, job) == []
    ledger.record([received(key_press())])
    assert len(load(ledger, to)) == 1
    assert events(ledger) == [EventType.ANSWERED, EventType.KEY_PRESSED]


def test_an_update_of_an_endpoint_that_is_off_waits(ledger: Ledger) -> None:
    """It waits, and is delivered once the endpoint is enabled again."""
    to = endpoint(ledger, notify_on_update=True)
    ledger.record([received(status())])
    accept(ledger, load_one(ledger, to))
    change(ledger, msgspec.structs.replace(to, enabled=False))
    assert annotate(ledger, UUID1, reference="order-17").jobs == []
    assert events(ledger) == [EventType.ANSWERED, EventType.REVISED]
    change(ledger, to)
    assert call_in(load_one(ledger, to))["reference"] == "order-17"


# Overdue


def test_a_call_without_an_outcome_in_time_is_overdue(ledger: Ledger) -> None:
    """At its time, not before: it is delivered with the annotation, and the call shows it."""
    to = endpoint(ledger)
    annotate(ledger, UUID1, reference="order-17", due_at=at(60))
    early = record_overdue(ledger, at_s=59.999999)
    assert (early.count, early.jobs, early.next_due_us) == (0, [], us(60))
    late = record_overdue(ledger, at_s=60)
    assert (late.count, late.backlogged, late.next_due_us) == (1, [], None)
    (job,) = late.jobs
    assert job == load_one(ledger, to)
    body = json.loads(job.body)
    assert (body["type"], body["timestamp"]) == ("voice.call.overdue", "2026-05-01T12:01:00Z")
    assert body["data"]["callback"] is None
    call = body["data"]["call"]
    assert (call["reference"], call["outcome"], call["overdue_at"]) == ("order-17", "pending", "2026-05-01T12:01:00Z")
    assert ledger.call(UUID1).overdue_at == at(60)
    assert events(ledger) == [EventType.OVERDUE]


def test_a_call_whose_callback_may_wait_to_be_recorded_is_not_overdue(ledger: Ledger) -> None:
    """Neither in the log of who asks, nor in that of another process, as long as it lives and says so."""
    annotate(ledger, UUID1, due_at=at(60))
    assert MarkOverdue(10, us(59)).run(ledger).count == 0
    heartbeat(ledger, member(), **{RECORDED_US: us(59)})
    assert MarkOverdue(10).run(ledger).count == 0
    heartbeat(ledger, member(), **{RECORDED_US: us(60)})
    assert MarkOverdue(10, us(59)).run(ledger).count == 0
    assert MarkOverdue(10).run(ledger).count == 1


def test_a_call_is_overdue_once(reopen: OpenLedger) -> None:
    """However often it is asked, and after a restart: delivered once."""
    endpoint(reopen())
    annotate(reopen(), UUID1, due_at=at(60))
    counts = [record_overdue(reopen(), at_s=at_s).count for at_s in (61, 62, 63)]
    assert counts == [1, 0, 0]
    assert len(undelivered(reopen())) == 1


@pytest.mark.parametrize("callback", [status(), unanswered(), failure()])
def test_a_call_with_an_outcome_is_not_overdue(ledger: Ledger, callback: AnyCallback) -> None:
    """What became of it is known, good or bad, however late it is asked."""
    endpoint(ledger)
    annotate(ledger, UUID1, due_at=at(60))
    ledger.record([received(callback)])
    assert record_overdue(ledger, at_s=3600).count == 0
    assert EventType.OVERDUE not in events(ledger)


def test_a_key_press_is_no_outcome(ledger: Ledger) -> None:
    """A call of which only a key press came is overdue all the same; the word waits for the key press."""
    endpoint(ledger)
    annotate(ledger, UUID1, due_at=at(60))
    ledger.record([received(key_press())])
    late = record_overdue(ledger, at_s=60)
    assert (late.count, late.jobs) == (1, [])
    assert events(ledger) == [EventType.KEY_PRESSED, EventType.OVERDUE]
    assert states(ledger) == [P, W]


def test_without_a_due_time_nothing_is_overdue(ledger: Ledger) -> None:
    """Neither a call that was registered without one nor one whose due time was taken back."""
    endpoint(ledger)
    annotate(ledger, "a")
    annotate(ledger, "b", due_at=at(60))
    annotate(ledger, "b", due_at=None)
    ledger.record([received(key_press(callid="c"))])
    late = record_overdue(ledger, at_s=3600)
    assert (late.count, late.next_due_us) == (0, None)


def test_another_due_time_makes_it_late_again(ledger: Ledger) -> None:
    """Once for each time that was waited for; the same time said again is not another."""
    to = endpoint(ledger)
    annotate(ledger, UUID1, due_at=at(60))
    record_overdue(ledger, at_s=60)
    accept_everything(ledger, to)
    annotate(ledger, UUID1, due_at=at(60), reference="order-17")
    assert record_overdue(ledger, at_s=70).count == 0
    answer = annotate(ledger, UUID1, due_at=at(120))
    assert answer.call.overdue_at is None
    assert record_overdue(ledger, at_s=119).next_due_us == us(120)
    assert record_overdue(ledger, at_s=120).count == 1
    assert events(ledger) == [EventType.OVERDUE, EventType.OVERDUE]


def test_a_due_time_that_has_passed_is_overdue_at_once(ledger: Ledger) -> None:
    """Said too late, it is late."""
    endpoint(ledger)
    annotate(ledger, UUID1, due_at=at(-60))
    assert record_overdue(ledger, at_s=0).count == 1


def test_an_overdue_call_is_delivered_to_enabled_endpoints_that_want_it(ledger: Ledger) -> None:
    """Not by the vendor's contract, not to another channel, not to who wants other outcomes; a kind is no matter."""
    wanting = [
        endpoint(ledger, "all"),
        endpoint(ledger, "kinds", kinds=(CallbackKind.CODE,)),
        endpoint(ledger, "pending", outcomes=(Outcome.PENDING,)),
    ]
    tencent(ledger)
    endpoint(ledger, "answered", outcomes=(Outcome.ANSWERED,))
    endpoint(ledger, "codes", channel="codes")
    annotate(ledger, UUID1, due_at=at(60))
    late = record_overdue(ledger, at_s=60)
    assert sorted(job.endpoint_id for job in late.jobs) == sorted(to.id for to in wanting)
    assert len(undelivered(ledger)) == len(wanting)


def test_without_endpoints_a_call_is_overdue_all_the_same(ledger: Ledger) -> None:
    """It is shown, and not delivered to an endpoint that is added later."""
    annotate(ledger, UUID1, due_at=at(60))
    assert record_overdue(ledger, at_s=60).count == 1
    endpoint(ledger)
    assert ledger.call(UUID1).overdue_at == at(60)
    assert record_overdue(ledger, at_s=61).count == 0
    assert undelivered(ledger) == []


def test_a_late_callback_comes_after_the_overdue_word(ledger: Ledger) -> None:
    """It is delivered after it, is no revision, and the call keeps that it was late."""
    to = endpoint(ledger)
    annotate(ledger, UUID1, due_at=at(60))
    (overdue,) = record_overdue(ledger, at_s=60).jobs
    assert ledger.record_batch([received(status(), after_s=90)]).jobs == []
    assert states(ledger) == [P, W]
    (late,) = accept(ledger, overdue)
    body = json.loads(late.body)
    assert body["type"] == "voice.call.answered"
    assert body["data"]["call"]["overdue_at"] == "2026-05-01T12:01:00Z"
    accept(ledger, late)
    assert (ledger.call(UUID1).outcome, ledger.call(UUID1).overdue_at) == (Outcome.ANSWERED, at(60))
    assert states(ledger, to) == [D, D]


def test_a_given_up_overdue_word_frees_the_callback(ledger: Ledger) -> None:
    """It is delivered even where the event before it could not be."""
    to = endpoint(ledger)
    annotate(ledger, UUID1, due_at=at(60))
    (overdue,) = record_overdue(ledger, at_s=60).jobs
    ledger.record([received(status())])
    (freed,) = exhaust(ledger, overdue)
    assert states(ledger, to) == [X, P]
    assert freed == load_one(ledger, to)


def test_an_overdue_event_holds_the_call_as_it_now_stands(ledger: Ledger) -> None:
    """Delayed, it tells what has become known meanwhile, and still when it was late."""
    to = endpoint(ledger)
    annotate(ledger, UUID1, due_at=at(60))
    record_overdue(ledger, at_s=60)
    ledger.record([received(status())])
    annotate(ledger, UUID1, reference="order-17")
    body = json.loads(load_one(ledger, to).body)
    assert (body["type"], body["timestamp"]) == ("voice.call.overdue", "2026-05-01T12:01:00Z")
    assert (body["data"]["call"]["outcome"], body["data"]["call"]["reference"]) == ("answered", "order-17")


def test_many_overdue_calls_are_delivered_in_parts_the_latest_last(ledger: Ledger) -> None:
    """Up to the limit, the longest overdue first; what is left is announced as due."""
    endpoint(ledger)
    for n in (3, 1, 0, 2, 9):
        annotate(ledger, f"call-{n}", due_at=at(n))
    parts = [record_overdue(ledger, at_s=3, limit=3) for _ in range(3)]
    assert [(part.count, part.next_due_us) for part in parts] == [(3, us(3)), (1, us(9)), (0, us(9))]
    assert [call_in(job)["callid"] for part in parts for job in part.jobs] == [f"call-{n}" for n in range(4)]


def test_an_overdue_word_for_an_endpoint_that_is_off_waits(ledger: Ledger) -> None:
    """It is enqueued, and the relay learns that there is more than the jobs."""
    to = endpoint(ledger, enabled=False)
    annotate(ledger, UUID1, due_at=at(60))
    late = record_overdue(ledger, at_s=60)
    assert (late.jobs, late.backlogged) == ([], [to.id])
    assert states(ledger) == [P]


def test_nothing_is_delivered_to_an_endpoint_that_went(ledger: Ledger) -> None:
    """Neither updates nor overdue words."""
    to = endpoint(ledger, notify_on_update=True)
    ledger.record([received(status())])
    accept(ledger, load_one(ledger, to))
    remove(ledger, to)
    assert annotate(ledger, UUID1, reference="order-17").jobs == []
    annotate(ledger, "other", due_at=at(0))
    assert record_overdue(ledger, at_s=1).jobs == []
    assert len(undelivered(ledger)) == 1


def test_requests_do_the_same(ledger: Ledger) -> None:
    """What the gateway asks of the writer, at the time of now."""
    endpoint(ledger)
    answer = AnnotateCall(None, "default", UUID1, CallAnnotation(reference="order-17", due_at=at(0))).run(ledger)
    assert (answer.created, answer.call.reference) == (True, "order-17")
    late = MarkOverdue(10).run(ledger)
    assert (late.count, len(late.jobs)) == (1, 1)
    assert reported(ledger) == ("order-17", None)
