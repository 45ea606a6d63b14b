import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from builders import ADMIN, UUID1, failure, key_press, received, status, unanswered, wire
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
    cancel_deliveries,
    dead_of,
    endpoint,
    events,
    exhaust,
    known,
    load,
    load_one,
    record_overdue,
    refuse,
    remove,
    replay_calls,
    replay_dead,
    replay_one,
    states,
    tencent,
    tried,
    undelivered,
    us,
)
from contract.test_retention import prune

from answerback.domain.endpoints import Endpoint, EndpointConfig, EventType, PayloadFormat
from answerback.domain.models import CallbackKind, Outcome
from answerback.errors import InvalidCursor, ResourceNotFound, StateConflict
from answerback.ledger import Ledger
from answerback.ledger.commands import ChangeEndpoint, CountDead, ReplayCalls, ReplayDead, ReplayDelivery
from answerback.ledger.read.calls import CallFilter
from answerback.ledger.types import DeliveryJob
from answerback.ledger.write.replays import ReplayPage


def tried_before(job: DeliveryJob, attempts: int) -> DeliveryJob:
    """The same job after so many attempts."""
    return msgspec.structs.replace(job, attempts=attempts)


def callid_of(job: DeliveryJob) -> str:
    """The call that a webhook is about."""
    callid: str = json.loads(job.body)["data"]["call"]["callid"]
    return callid


def with_dead(ledger: Ledger, to: Endpoint, *callids: str) -> list[DeliveryJob]:
    """Owe an endpoint a status of each call, and give up telling it."""
    ledger.record([received(status(callid=callid)) for callid in callids])
    jobs = load(ledger, to)
    exhaust(ledger, *jobs)
    return jobs


# One delivery


@pytest.mark.parametrize("end", [accept, exhaust])
def test_a_finished_delivery_is_replayed(ledger: Ledger, end: Any) -> None:
    """Delivered or dead: it goes out again at once under the id that it had, its failures forgotten, attempts kept."""
    to = endpoint(ledger)
    (job,) = ledger.record_batch([received(status())]).jobs
    refuse(ledger, job)
    end(ledger, job)
    assert replay_one(ledger, job.delivery_id, at_s=60) == to.id
    (delivery,) = undelivered(ledger)
    assert (delivery.state, delivery.attempts, delivery.failed_attempts) == (P, 2, 0)
    assert (delivery.due_us, delivery.finished_us, delivery.created_us) == (us(60), None, us(0))
    assert load(ledger, to, at_s=59) == []
    assert load(ledger, to, at_s=60) == [tried_before(job, 2)]
    accept(ledger, job, at_s=61)
    (delivery,) = undelivered(ledger)
    assert (delivery.state, delivery.attempts, delivery.finished_us) == (D, 3, us(61))
    assert len(tried(ledger)) == 3


def test_replaying_a_pending_delivery_makes_it_due_now(ledger: Ledger) -> None:
    """It does not wait for its time, and has all its attempts before it again; what is behind it stays there."""
    to = endpoint(ledger)
    (job,) = ledger.record_batch([received(unanswered()), received(status())]).jobs
    refuse(ledger, job, due_s=3600)
    assert load(ledger, to, at_s=60) == []
    assert replay_one(ledger, job.delivery_id, at_s=60) == to.id
    (again,) = load(ledger, to, at_s=60)
    assert (again.message_id, again.failed_attempts) == (job.message_id, 0)
    assert states(ledger) == [P, W]


def test_a_waiting_delivery_cannot_overtake(ledger: Ledger) -> None:
    """The error names what it waits for, and nothing changes."""
    endpoint(ledger)
    ledger.record([received(unanswered()), received(status())])
    before = undelivered(ledger)
    with pytest.raises(StateConflict, match=f"delivery {before[1].id} is blocked by an earlier one"):
        replay_one(ledger, before[1].id)
    assert undelivered(ledger) == before


@pytest.mark.parametrize("id_", [-1, 0, 99, 2**63 - 1, 2**63, 2**200])
def test_an_unknown_delivery_is_not_found(ledger: Ledger, id_: int) -> None:
    """Whatever number nothing has."""
    endpoint(ledger)
    ledger.record([received(status())])
    with pytest.raises(ResourceNotFound, match="no delivery"):
        replay_one(ledger, id_)
    assert states(ledger) == [P]


@pytest.mark.parametrize("end", [accept, exhaust])
def test_a_replay_waits_behind_what_is_under_way(ledger: Ledger, end: Any) -> None:
    """While another of its call is pending it waits, and comes before those that were enqueued later."""
    to = endpoint(ledger)
    (first,) = ledger.record_batch([received(unanswered())]).jobs
    end(ledger, first)
    (second,) = ledger.record_batch([received(status())]).jobs
    ledger.record([received(key_press())])
    replay_one(ledger, first.delivery_id)
    assert states(ledger) == [W, P, W]
    (freed,) = accept(ledger, second)
    assert freed.message_id == first.message_id
    accept(ledger, freed)
    assert states(ledger) == [D, D, P]
    assert len(accept_everything(ledger, to)) == 1


def test_other_calls_do_not_hold_up_a_replay(ledger: Ledger) -> None:
    """Only what is pending of the same call at the same endpoint is before it."""
    to, other = endpoint(ledger), endpoint(ledger, "other")
    ledger.record([received(status())])
    job = load_one(ledger, to)
    accept(ledger, job)
    ledger.record([received(status(callid="other"))])
    replay_one(ledger, job.delivery_id)
    assert [delivery.state for delivery in undelivered(ledger, to)] == [P, P]
    assert states(ledger, other) == [P, P]


def test_deliveries_to_a_removed_endpoint_are_not_replayed(ledger: Ledger) -> None:
    """Its endpoint was removed: it stays as it is, and the caller gets an error."""
    to = endpoint(ledger)
    (job,) = ledger.record_batch([received(status())]).jobs
    remove(ledger, to)
    cancel_deliveries(ledger, to)
    with pytest.raises((ResourceNotFound, StateConflict)):
        replay_one(ledger, job.delivery_id)
    assert states(ledger) == [X]


def test_an_event_without_a_callback_is_replayed_like_one_with(ledger: Ledger) -> None:
    """An overdue word keeps its id, type and time."""
    endpoint(ledger)
    annotate(ledger, UUID1, due_at=at(0))
    (job,) = record_overdue(ledger, at_s=0).jobs
    accept(ledger, job)
    replay_one(ledger, job.delivery_id, at_s=60)
    (again,) = load(ledger, known(ledger)[0])
    assert again == tried_before(job, 1)


# The dead of an endpoint


def test_the_dead_are_counted(ledger: Ledger) -> None:
    """Of one endpoint: how many, and the last of them; none is 0."""
    to, other = endpoint(ledger), endpoint(ledger, "other")
    assert dead_of(ledger, to) == (0, 0)
    jobs = with_dead(ledger, to, *"abc")
    ledger.record([received(status(callid="d"))])
    assert dead_of(ledger, to) == (3, jobs[-1].delivery_id)
    assert dead_of(ledger, other) == (0, 0)


def test_all_dead_of_an_endpoint_are_replayed(ledger: Ledger) -> None:
    """Oldest first, under their ids, failures forgotten; nobody else's, and nothing that is not dead."""
    to, other = endpoint(ledger), endpoint(ledger, "other")
    dead = with_dead(ledger, to, *"abc")
    exhaust(ledger, *load(ledger, other))
    ledger.record([received(status(callid=callid)) for callid in "de"])
    d, e = load(ledger, to)
    accept(ledger, d)
    refuse(ledger, e, due_s=3600)
    chunk = replay_dead(ledger, to, at_s=60)
    assert (chunk.examined, chunk.replayed, chunk.cursor) == (3, 3, None)
    assert states(ledger, to) == [P, P, P, D, P]
    assert states(ledger, other) == [X, X, X, P, P]
    assert load(ledger, to, at_s=60) == [tried_before(job, 1) for job in dead]
    assert undelivered(ledger, to)[-1].failed_attempts == 1
    assert dead_of(ledger, to) == (0, 0)


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 100])
def test_the_dead_are_replayed_in_parts(ledger: Ledger, limit: int) -> None:
    """Each part goes on where the last one ended; in the end every one was taken once."""
    to = endpoint(ledger)
    with_dead(ledger, to, *"abcd")
    until_id = dead_of(ledger, to)[1]
    examined, replayed, cursor = 0, 0, None
    for _ in range(6):
        chunk = replay_dead(ledger, to, cursor=cursor, until_id=until_id, limit=limit)
        assert chunk.examined <= limit
        examined, replayed, cursor = examined + chunk.examined, replayed + chunk.replayed, chunk.cursor
        if cursor is None:
            break
    assert (cursor, examined, replayed) == (None, 4, 4)
    assert states(ledger) == [P] * 4


def test_the_dead_that_are_deleted_meanwhile_are_at_their_end(ledger: Ledger) -> None:
    """A replay of them comes to its end with nothing replayed, one of a single delivery says that there is none."""
    to = endpoint(ledger)
    ledger.record([received(status(callid=f"call-{n}")) for n in range(3)])
    while jobs := load(ledger, to):
        exhaust(ledger, *jobs)
    count, until_id = CountDead(to.id).run(ledger)
    ledger.record([received(status(callid="new"), after_s=95 * 86_400)])
    accept(ledger, *load(ledger, to, at_s=95 * 86_400))  # its rows have the highest ids, which SQLite needs
    assert prune(ledger, calls_days=30)["deliveries"] == count == 3
    assert ReplayDead(to.id, None, until_id, 2).run(ledger) == ReplayPage(0, 0, None)
    with pytest.raises(ResourceNotFound, match=f"no delivery {until_id}"):
        ReplayDelivery(ADMIN, until_id).run(ledger)
    assert ReplayCalls(to, CallFilter(), None, 10).run(ledger).examined == 1


def test_what_dies_again_is_not_replayed_for_ever(ledger: Ledger) -> None:
    """A replay in parts takes each once, however soon it is dead again; what died after it began is not its matter."""
    to = endpoint(ledger)
    with_dead(ledger, to, *"abc")
    until_id = dead_of(ledger, to)[1]
    cursor, parts = None, 0
    while True:
        chunk = replay_dead(ledger, to, cursor=cursor, until_id=until_id, limit=1)
        exhaust(ledger, *load(ledger, to))
        with_dead(ledger, to, f"new-{parts}")
        cursor, parts = chunk.cursor, parts + 1
        if cursor is None:
            break
        assert parts < 10
    dead = undelivered(ledger)
    assert {delivery.state for delivery in dead} == {X}
    assert [delivery.attempts for delivery in dead if delivery.id <= until_id] == [2, 2, 2]
    assert {delivery.attempts for delivery in dead if delivery.id > until_id} == {1}


def test_the_dead_of_a_call_go_one_after_the_other(ledger: Ledger) -> None:
    """In the order in which they were enqueued, as at first; also where the parts divide them."""
    to = endpoint(ledger)
    ledger.record([received(callback) for callback in (unanswered(), status(), key_press())])
    while jobs := load(ledger, to):
        exhaust(ledger, *jobs)
    until_id = dead_of(ledger, to)[1]
    first = replay_dead(ledger, to, until_id=until_id, limit=2)
    replay_dead(ledger, to, cursor=first.cursor, until_id=until_id)
    assert states(ledger) == [P, W, W]
    assert [job.delivery_id for job in accept_everything(ledger, to)] == [
        delivery.id for delivery in undelivered(ledger)
    ]


def test_the_dead_wait_behind_what_is_pending(ledger: Ledger) -> None:
    """Replayed while another of the call is under way: afterwards, and before what was enqueued later."""
    to = endpoint(ledger)
    with_dead(ledger, to, UUID1)
    ledger.record([received(key_press()), received(key_press(key="2"))])
    replay_dead(ledger, to)
    assert states(ledger) == [W, P, W]
    first, second, third = (delivery.id for delivery in undelivered(ledger))
    assert [job.delivery_id for job in accept_everything(ledger, to)] == [second, first, third]


def test_events_that_the_format_cannot_hold_stay_dead(ledger: Ledger) -> None:
    """Cancelled because the endpoint changed its format: replayed, they neither go out nor hold up their call."""
    to = endpoint(ledger)
    annotate(ledger, UUID1, due_at=at(0))
    record_overdue(ledger, at_s=0)
    changed = msgspec.structs.replace(to, config=EndpointConfig(url=to.config.url, format=PayloadFormat.TENCENT))
    changed = ChangeEndpoint(ADMIN, changed).run(ledger)
    assert states(ledger) == [X]
    replay_dead(ledger, changed)
    ledger.record([received(status())])
    assert [job.body for job in accept_everything(ledger, changed)] == [wire(status())]
    assert P not in states(ledger)


# Everything about some calls


def test_calls_are_replayed_whole(ledger: Ledger) -> None:
    """Every callback of the calls, delivered or dead, in the order of each call, under the ids that they had."""
    to = endpoint(ledger)
    items = [received(said(callid=callid)) for said in (unanswered, status, key_press) for callid in "ab"]
    ledger.record(items)
    reported = accept_everything(ledger, to)
    chunk = replay_calls(ledger, to, at_s=60)
    assert (chunk.examined, chunk.replayed, chunk.cursor) == (2, 6, None)
    assert sorted(states(ledger)) == [W, W, W, W, P, P]
    again = accept_everything(ledger, to)
    assert {job.message_id for job in again} == {job.message_id for job in reported}
    for callid in "ab":
        ids = [job.delivery_id for job in again if callid_of(job) == callid]
        assert ids == [delivery.id for delivery in undelivered(ledger) if delivery.callid == callid]
    assert {(delivery.attempts, delivery.failed_attempts) for delivery in undelivered(ledger)} == {(2, 0)}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (CallFilter(channel="default"), "abc"),
        (CallFilter(channel="default", outcome=Outcome.FAILED), "b"),
        (CallFilter(channel="default", kind=CallbackKind.KEY), "c"),
        (CallFilter(channel="default", since=at(1)), "bc"),
        (CallFilter(channel="default", until=at(1)), "a"),
        (CallFilter(channel="default", since=at(1), until=at(2)), "b"),
        (CallFilter(channel="default", mobile="13800000000"), "b"),
        (CallFilter(channel="default", mobile="1"), ""),
    ],
)
def test_a_filter_says_which_calls(ledger: Ledger, wanted: CallFilter, expected: str) -> None:
    """By time, kind, outcome and number: those calls and no others are replayed."""
    to = endpoint(ledger)
    ledger.record(
        [
            received(status(callid="a")),
            received(failure(callid="b", mobile="13800000000"), after_s=1),
            received(key_press(callid="c"), after_s=2),
        ]
    )
    accept_everything(ledger, to)
    chunk = replay_calls(ledger, to, wanted)
    assert (chunk.examined, chunk.replayed) == (len(expected), len(expected))
    assert [callid_of(job) for job in load(ledger, to)] == list(expected)


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_calls_are_replayed_in_parts(ledger: Ledger, limit: int) -> None:
    """Page by page, each call once, with progress."""
    to = endpoint(ledger)
    ledger.record([received(status(callid=f"call-{n}"), after_s=n) for n in range(5)])
    accept_everything(ledger, to)
    examined, cursor = [], None
    while True:
        chunk = replay_calls(ledger, to, cursor=cursor, limit=limit)
        examined.append(chunk.examined)
        assert chunk.replayed == chunk.examined <= limit
        cursor = chunk.cursor
        if cursor is None:
            break
    assert sum(examined) == 5
    assert states(ledger) == [P] * 5


def test_a_cursor_of_nobody_s_is_refused(ledger: Ledger) -> None:
    """A cursor that no part gave is the caller's mistake."""
    to = endpoint(ledger)
    with pytest.raises(InvalidCursor):
        replay_calls(ledger, to, cursor="x")


def test_calls_from_before_an_endpoint_are_replayed_to_it(ledger: Ledger) -> None:
    """Added later, it receives every callback of them in their order, each as the event that it was."""
    history = [
        received(key_press(), after_s=0),
        received(unanswered(), after_s=1),
        received(status(), after_s=2),
        received(failure(), after_s=3),
        received(failure(code=5), after_s=4),
        received(key_press(key="2"), after_s=5),
    ]
    ledger.record(history)
    old = endpoint(ledger, "old")
    ledger.record([received(status(callid="other"))])
    accept_everything(ledger, old)
    new = endpoint(ledger, "new")
    chunk = replay_calls(ledger, new, at_s=60)
    assert (chunk.examined, chunk.replayed) == (2, 7)
    assert [delivery.event for delivery in undelivered(ledger, new) if delivery.callid == UUID1] == [
        EventType.KEY_PRESSED,
        EventType.UNANSWERED,
        EventType.REVISED,
        EventType.ANSWERED,
        EventType.REVISED,
        EventType.KEY_PRESSED,
    ]
    assert states(ledger, old) == [D]
    reported = [job for job in accept_everything(ledger, new) if callid_of(job) == UUID1]
    raws = [json.loads(job.body)["data"]["callback"]["raw"].encode() for job in reported]
    assert raws == [item.raw for item in history]


def test_what_is_added_is_what_would_have_been_enqueued(ledger: Ledger) -> None:
    """Events, callbacks and tags are those of an endpoint of the time; and each is added once."""
    then = endpoint(ledger, "then")
    for callback in (failure(), unanswered(), key_press(), status(), unanswered(fee_minutes=3)):
        ledger.record([received(callback)])
    now = endpoint(ledger, "now")
    assert replay_calls(ledger, now).replayed == 5
    parts = [
        [(delivery.callback_id, delivery.event, delivery.message_tag) for delivery in undelivered(ledger, to)]
        for to in (then, now)
    ]
    assert parts[0] == parts[1]
    accept_everything(ledger, now)
    assert replay_calls(ledger, now).replayed == 5
    assert len(undelivered(ledger, now)) == 5


def test_only_what_is_wanted_is_added(ledger: Ledger) -> None:
    """The endpoint's filter holds for what was never enqueued, by the outcome of the time."""
    ledger.record([received(callback) for callback in (key_press(), unanswered(), status(), key_press(key="2"))])
    keys = endpoint(ledger, "keys", kinds=(CallbackKind.KEY,))
    answered = endpoint(ledger, "answered", outcomes=(Outcome.ANSWERED,))
    for to in (keys, answered):
        replay_calls(ledger, to)
    assert events(ledger, keys) == [EventType.KEY_PRESSED, EventType.KEY_PRESSED]
    assert events(ledger, answered) == [EventType.REVISED, EventType.KEY_PRESSED]


@pytest.mark.parametrize("make", [endpoint, tencent])
def test_what_is_added_can_be_delivered(ledger: Ledger, make: Any) -> None:
    """By either contract: the bytes of the callback, or the webhook with the call as it now stands."""
    ledger.record([received(unanswered()), received(status())])
    annotate(ledger, UUID1, reference="order-17")
    to = make(ledger)
    replay_calls(ledger, to)
    bodies = [job.body for job in accept_everything(ledger, to)]
    if make is tencent:
        assert bodies == [wire(unanswered()), wire(status())]
    else:
        calls = [json.loads(body)["data"]["call"] for body in bodies]
        assert {(call["outcome"], call["reference"]) for call in calls} == {("answered", "order-17")}


def test_a_callback_that_cannot_be_read_any_more_is_left_out(ledger: Ledger) -> None:
    """A callback that only another version understands: the rest of its call is replayed all the same."""
    ledger.record([received(unanswered(), raw=b"from another version"), received(status())])
    to = endpoint(ledger)
    assert replay_calls(ledger, to).replayed == 1
    assert [delivery.event for delivery in undelivered(ledger, to)] == [EventType.ANSWERED]


def test_overdue_events_are_not_replayed_with_their_calls(ledger: Ledger) -> None:
    """A call that was overdue then is not overdue now: its callbacks are replayed."""
    to = endpoint(ledger, notify_on_update=True)
    annotate(ledger, UUID1, due_at=at(0))
    record_overdue(ledger, at_s=0)
    ledger.record([received(status())])
    accept_everything(ledger, to)
    assert replay_calls(ledger, to).replayed == 1
    assert states(ledger) == [D, P]


def test_a_replay_stays_within_the_channel(ledger: Ledger) -> None:
    """Whatever the filter says, an endpoint receives its own channel's calls alone."""
    ledger.record([received(status(), channel=channel) for channel in ("default", "codes")])
    to = endpoint(ledger)
    for wanted in (CallFilter(), CallFilter(channel="codes"), CallFilter(outcome=Outcome.ANSWERED)):
        replay_calls(ledger, to, wanted)
        assert {delivery.channel for delivery in undelivered(ledger, to)} <= {"default"}


def test_another_endpoint_gets_nothing(ledger: Ledger) -> None:
    """A replay is for one endpoint."""
    to, other = endpoint(ledger), endpoint(ledger, "other")
    ledger.record([received(status())])
    for each in (to, other):
        accept_everything(ledger, each)
    replay_calls(ledger, to)
    assert (states(ledger, to), states(ledger, other)) == ([P], [D])


def test_a_call_under_way_is_not_overtaken(ledger: Ledger) -> None:
    """One delivered, one pending, one waiting: the pending one stays the one that goes out."""
    to = endpoint(ledger)
    ledger.record([received(key_press())])
    accept_everything(ledger, to)
    ledger.record([received(unanswered()), received(status())])
    replay_calls(ledger, to)
    assert states(ledger) == [W, P, W]
    assert len(accept_everything(ledger, to)) == 3
    assert states(ledger) == [D, D, D]


def test_an_endpoint_removed_meanwhile_has_nothing_pending(ledger: Ledger) -> None:
    """A replay in parts may outlast its endpoint: the part after the removal adds nothing, whoever else there is."""
    ledger.record([received(status())])
    to = endpoint(ledger)
    remove(ledger, to)
    for others in range(2):
        with suppress(ResourceNotFound):
            replay_calls(ledger, to)
        assert undelivered(ledger, to) == []
        if not others:
            endpoint(ledger, "other")


def test_requests_do_the_same(reopen: OpenLedger) -> None:
    """What the gateway asks of the writer: one, the dead, everything; at the time of now."""
    ledger = reopen()
    to = endpoint(ledger)
    (job,) = with_dead(ledger, to, UUID1)
    count, until_id = CountDead(to.id).run(ledger)
    assert (count, until_id) == (1, job.delivery_id)
    assert ReplayDead(to.id, None, until_id, 10).run(ledger).replayed == 1
    assert ReplayDelivery(ADMIN, job.delivery_id).run(ledger) == to.id
    accept(ledger, job)
    assert ReplayCalls(to, CallFilter(channel="default"), None, 10).run(ledger).replayed == 1
    assert load(ledger, to, at_s=1e9) == [tried_before(job, 2)]
