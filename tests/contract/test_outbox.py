import json
from typing import Any

import msgspec
import pytest
from builders import (
    ADMIN,
    NOON,
    UUID1,
    AnyCallback,
    callbacks,
    failure,
    folded,
    key_press,
    payload,
    received,
    rejected,
    status,
    unanswered,
    wire,
)
from contract.backends import ID_KEY, OpenLedger, few_examples
from contract.delivery_helpers import (
    LATER_S,
    AttemptRow,
    D,
    P,
    W,
    X,
    accept,
    accept_everything,
    annotate,
    at,
    attempt,
    cancel_deliveries,
    change,
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
    settle,
    states,
    tencent,
    tried,
    undelivered,
    us,
)
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import Connection

from answerback.domain.calls import public_id
from answerback.domain.delivery_states import DeliveryTransition, message_id
from answerback.domain.endpoints import EndpointConfig, EventType, PayloadFormat
from answerback.domain.models import Call, CallbackKind, Outcome, Result
from answerback.domain.webhook_payload import CallbackPayload, encode_webhook
from answerback.errors import LedgerUnavailable
from answerback.ledger import Ledger
from answerback.ledger.admin import endpoints
from answerback.ledger.commands import ChangeEndpoint, FetchDue
from answerback.ledger.types import DeliveryJob, EndpointPause
from answerback.ledger.write import attempts, delivery_jobs, outbox
from answerback.ledger.write.subscriptions import SubscriptionCache


class PowerCut(Exception):
    """Something stops a transaction half-way."""


def body_of(job: DeliveryJob) -> dict[str, Any]:
    """The webhook that a job sends, read."""
    body: dict[str, Any] = json.loads(job.body)
    return body


# What is owed


def test_a_callback_has_a_delivery_once_it_is_stored(ledger: Ledger) -> None:
    """Storing a callback enqueues its delivery, with the id that the endpoint will know it by, and returns what may go out."""
    to = endpoint(ledger)
    item = received(status(), after_s=1)
    recorded = ledger.record_batch([item])
    (delivery,) = undelivered(ledger)
    assert (delivery.endpoint_id, delivery.callid, delivery.callback_id) == (to.id, UUID1, recorded.receipts[0].id)
    assert (delivery.event, delivery.state, delivery.attempts, delivery.failed_attempts) == (
        EventType.ANSWERED,
        P,
        0,
        0,
    )
    assert (delivery.due_us, delivery.created_us, delivery.finished_us) == (us(1), us(1), None)
    assert delivery.message_tag == public_id(ID_KEY, item.fingerprint).hex()[:16]
    (job,) = recorded.jobs
    assert (job.delivery_id, job.endpoint_id, job.failed_attempts, job.created_us) == (delivery.id, to.id, 0, us(1))
    assert job.message_id == message_id(delivery.id, delivery.message_tag)
    assert recorded.backlogged == []


def test_without_endpoints_there_are_no_deliveries(ledger: Ledger) -> None:
    """Without an endpoint nothing is enqueued; an endpoint that is added later receives what comes later."""
    assert ledger.record_batch([received(status())]).jobs == []
    endpoint(ledger)
    assert undelivered(ledger) == []
    ledger.record([received(key_press())])
    assert events(ledger) == [EventType.KEY_PRESSED]


def test_a_rejected_body_has_no_delivery(ledger: Ledger) -> None:
    """What is in quarantine is delivered to nobody until it can be parsed."""
    endpoint(ledger)
    ledger.record_batch([rejected(b"{"), rejected(wire(status()))])
    assert undelivered(ledger) == []
    ledger.requeue(ledger.requeueable_ids()[-1], ADMIN)
    assert events(ledger) == [EventType.ANSWERED]


def test_a_transaction_that_fails_owes_nothing(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Callback and delivery are stored together or not at all, whichever of the two it stops at."""
    endpoint(ledger)
    whole = outbox.OutboxWriter.write

    def stop_before(_self: outbox.OutboxWriter) -> None:
        raise PowerCut

    def stop_after(self: outbox.OutboxWriter) -> None:
        whole(self)
        raise PowerCut

    for stop in (stop_before, stop_after):
        with monkeypatch.context() as patched:
            patched.setattr(outbox.OutboxWriter, "write", stop)
            with pytest.raises(PowerCut):
                ledger.record_batch([received(status())])
        assert undelivered(ledger) == []
        assert ledger.calls().items == []
    assert len(ledger.record_batch([received(status())]).jobs) == 1
    assert len(undelivered(ledger)) == len(ledger.callbacks(UUID1).items) == 1


@pytest.mark.parametrize("callback", [status(), key_press(), failure()])
def test_a_repeat_owes_nothing(reopen: OpenLedger, callback: AnyCallback) -> None:
    """In one batch, in the next and after a restart: a duplicate is not delivered again."""
    ledger = reopen()
    endpoint(ledger)
    assert len(ledger.record_batch([received(callback), received(callback)]).jobs) == 1
    for repeating in (ledger, reopen()):
        recorded = repeating.record_batch([received(callback, after_s=1)])
        assert (recorded.jobs, recorded.backlogged) == ([], [])
    assert len(undelivered(ledger)) == 1


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (
            {},
            [
                EventType.UNANSWERED,
                EventType.KEY_PRESSED,
                EventType.FAILED,
                EventType.REVISED,
                EventType.ANSWERED,
                EventType.KEY_PRESSED,
            ],
        ),
        ({"kinds": (CallbackKind.KEY,)}, [EventType.KEY_PRESSED, EventType.KEY_PRESSED]),
        (
            {"kinds": (CallbackKind.PROMPT, CallbackKind.FAILURE)},
            [EventType.UNANSWERED, EventType.FAILED, EventType.REVISED],
        ),
        ({"kinds": (CallbackKind.CODE,)}, [EventType.ANSWERED]),
        ({"outcomes": (Outcome.ANSWERED,)}, [EventType.REVISED, EventType.ANSWERED]),
        ({"outcomes": (Outcome.PENDING,)}, [EventType.KEY_PRESSED]),
        (
            {"outcomes": (Outcome.UNANSWERED, Outcome.FAILED)},
            [EventType.UNANSWERED, EventType.KEY_PRESSED, EventType.FAILED],
        ),
        ({"kinds": (CallbackKind.KEY,), "outcomes": (Outcome.UNANSWERED,)}, [EventType.KEY_PRESSED]),
        ({"kinds": (CallbackKind.CODE,), "outcomes": (Outcome.FAILED,)}, []),
    ],
)
def test_an_endpoint_gets_deliveries_of_what_it_wants(
    ledger: Ledger, filters: dict[str, Any], expected: list[EventType]
) -> None:
    """Kind of the callback and outcome of the call after it must be among those wanted; an empty filter wants all."""
    to = endpoint(ledger, **filters)
    ledger.record(
        [
            received(unanswered(callid="a")),
            received(key_press(callid="a")),
            received(failure(callid="b")),
            received(status(callid="a")),
            received(status(callid="c", kind=CallbackKind.CODE)),
            received(key_press(callid="d")),
        ]
    )
    assert events(ledger, to) == expected


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"failure_codes": (8, 15)}, [EventType.FAILED]),
        ({"failure_codes": (5,)}, []),
        ({"number_prefixes": ("139", "1380")}, [EventType.ANSWERED]),
        ({"number_prefixes": ("+852",)}, [EventType.FAILED]),
        ({"number_prefixes": ("852", "+86139")}, []),
        ({"number_prefixes": ("+",)}, [EventType.ANSWERED, EventType.FAILED]),
        ({"reference_prefixes": ("order-", "x")}, [EventType.ANSWERED]),
        ({"reference_prefixes": ("rder",)}, []),
        ({"reference_prefixes": ("order-",), "outcomes": (Outcome.FAILED,)}, []),
    ],
)
def test_an_endpoint_gets_deliveries_of_the_calls_it_wants(
    ledger: Ledger, filters: dict[str, Any], expected: list[EventType]
) -> None:
    """By failure code, number and reference; every filter must match, also where a replay looks again."""
    to = endpoint(ledger, **filters)
    annotate(ledger, "a", reference="order-17")
    ledger.record(
        [
            received(status(callid="a", mobile="13800000000")),
            received(failure(callid="b", code=8, nationcode="852", mobile="51234567")),
        ]
    )
    assert events(ledger, to) == expected
    later = endpoint(ledger, "later", **filters)
    replay_calls(ledger, later)
    assert sorted(events(ledger, later)) == expected  # newest first


def test_what_counts_is_the_outcome_after_the_callback(ledger: Ledger) -> None:
    """A late worse status is delivered to an endpoint that asks for the better outcome, which the call keeps."""
    to = endpoint(ledger, outcomes=(Outcome.ANSWERED,))
    ledger.record([received(status()), received(unanswered()), received(failure())])
    assert events(ledger, to) == [EventType.ANSWERED, EventType.REVISED, EventType.ANSWERED]


def test_every_endpoint_of_the_channel_has_its_own_delivery(ledger: Ledger) -> None:
    """Endpoints of one channel receive the same deliveries, each with an id of its own."""
    first, second = endpoint(ledger, "first"), tencent(ledger, "second")
    jobs = ledger.record_batch([received(status())]).jobs
    assert {job.endpoint_id for job in jobs} == {first.id, second.id}
    assert len({job.message_id for job in jobs}) == 2


def test_a_channel_is_a_wall(ledger: Ledger) -> None:
    """What comes in by one channel is delivered to none of another's endpoints, even with the same callid."""
    alerts, codes = endpoint(ledger, "alerts", channel="alerts"), endpoint(ledger, "codes", channel="codes")
    ledger.record([received(status(), channel="alerts"), received(status(), channel="default")])
    ledger.record([received(unanswered(), channel="codes"), received(key_press(), channel="alerts")])
    assert [(delivery.channel, delivery.event) for delivery in undelivered(ledger, alerts)] == [
        ("alerts", EventType.ANSWERED),
        ("alerts", EventType.KEY_PRESSED),
    ]
    assert [(delivery.channel, delivery.event) for delivery in undelivered(ledger, codes)] == [
        ("codes", EventType.UNANSWERED)
    ]
    assert states(ledger, codes) == [P]


def test_deliveries_to_a_disabled_endpoint_are_written_and_not_sent(ledger: Ledger) -> None:
    """While it is disabled its deliveries wait in the ledger: no job, until it is enabled again."""
    to = endpoint(ledger, enabled=False)
    recorded = ledger.record_batch([received(status()), received(key_press())])
    assert recorded.jobs == []
    assert states(ledger, to) == [P, W]
    to = change(ledger, msgspec.structs.replace(to, enabled=True))
    assert [body_of(job)["type"] for job in accept_everything(ledger, to)] == [
        "voice.call.answered",
        "voice.call.key_pressed",
    ]


def test_deliveries_to_a_saturated_endpoint_are_written_and_only_named(ledger: Ledger) -> None:
    """Where there is no room for its jobs they are not made: it is said that there are some, and they can be loaded."""
    full, other = endpoint(ledger, "full"), endpoint(ledger, "other")
    recorded = ledger.record_batch([received(status()), received(key_press())], {full.id})
    assert [job.endpoint_id for job in recorded.jobs] == [other.id]
    assert recorded.backlogged == [full.id]
    assert states(ledger, full) == [P, W]
    assert len(accept_everything(ledger, full)) == 2


def test_a_disabled_endpoint_gets_no_job_from_any_side(ledger: Ledger) -> None:
    """Neither the end of an attempt that was under way nor asking for more lets anything go out to one that is off."""
    to = endpoint(ledger)
    jobs = ledger.record_batch([received(status()), received(key_press())]).jobs
    off = change(ledger, msgspec.structs.replace(to, enabled=False))
    assert accept(ledger, *jobs) == []
    assert states(ledger) == [D, P]
    assert load(ledger, off) == []


# The order of a call


@pytest.mark.parametrize("together", [True, False])
def test_the_second_callback_of_a_call_waits(ledger: Ledger, *, together: bool) -> None:
    """While one is pending no other of its call goes out, in one batch or in several."""
    endpoint(ledger)
    items = [received(unanswered()), received(status()), received(key_press())]
    batches = [items] if together else [[item] for item in items]
    jobs = [job for batch in batches for job in ledger.record_batch(batch).jobs]
    assert len(jobs) == 1
    assert states(ledger) == [P, W, W]


@pytest.mark.parametrize("end", [accept, exhaust])
def test_the_end_of_one_frees_the_next(ledger: Ledger, end: Any) -> None:
    """Delivered or dead, one by one in their order: the next becomes due, and the rest wait on."""
    to = endpoint(ledger)
    jobs = ledger.record_batch([received(callback) for callback in (unanswered(), status(), key_press())]).jobs
    reported = []
    for _ in range(3):
        reported += jobs
        jobs = end(ledger, *jobs)
        assert [job.delivery_id for job in load(ledger, to)] == [job.delivery_id for job in jobs]
    assert jobs == []
    assert [job.delivery_id for job in reported] == [delivery.id for delivery in undelivered(ledger)]
    assert states(ledger) == [D if end is accept else X] * 3


def test_a_freed_delivery_is_due_at_once(ledger: Ledger) -> None:
    """The one behind does not wait for the time at which it was enqueued to come again."""
    to = endpoint(ledger)
    jobs = ledger.record_batch([received(unanswered()), received(status(), after_s=900)]).jobs
    (freed,) = accept(ledger, *jobs, at_s=5)
    assert undelivered(ledger)[1].due_us == us(5)
    assert load(ledger, to, at_s=5) == [freed]


@pytest.mark.parametrize("spent", [True, False])
def test_a_refusal_frees_nothing(ledger: Ledger, *, spent: bool) -> None:
    """While there is another attempt to come the next of the call waits, however often it fails."""
    endpoint(ledger)
    jobs = ledger.record_batch([received(unanswered()), received(status())]).jobs
    for failures in range(3):
        assert refuse(ledger, *jobs, due_s=failures, spent=spent) == []
        assert states(ledger) == [P, W]


def test_other_calls_do_not_wait(ledger: Ledger) -> None:
    """A call that is stuck costs the others nothing, nor the same callid in another channel, nor another endpoint."""
    crm, erp = endpoint(ledger, "crm"), endpoint(ledger, "erp")
    codes = endpoint(ledger, "codes", channel="codes")
    jobs = ledger.record_batch([received(unanswered())]).jobs
    accept(ledger, *[job for job in jobs if job.endpoint_id == erp.id])
    recorded = ledger.record_batch(
        [received(status()), received(status(callid="other")), received(status(), channel="codes")]
    )
    assert [(job.endpoint_id, body_of(job)["data"]["call"]["callid"]) for job in recorded.jobs] == [
        (erp.id, UUID1),
        (crm.id, "other"),
        (erp.id, "other"),
        (codes.id, UUID1),
    ]
    assert states(ledger, crm) == [P, W, P]


def test_what_waits_is_not_passed_by_what_comes_later(ledger: Ledger) -> None:
    """With the first at its end and the second freed, a third waits behind the second."""
    endpoint(ledger)
    jobs = ledger.record_batch([received(unanswered()), received(status())]).jobs
    accept(ledger, *jobs)
    assert ledger.record_batch([received(key_press())]).jobs == []
    assert states(ledger) == [D, P, W]


def test_calls_settled_together_free_each_its_own(ledger: Ledger) -> None:
    """Many attempts of many calls and endpoints in one transaction: each frees the next of its own call and endpoint."""
    ends = [endpoint(ledger, name) for name in ("a", "b")]
    items = [received(said(callid=f"call-{n}")) for said in (unanswered, status) for n in range(70)]
    jobs = ledger.record_batch(items).jobs
    assert len(jobs) == 140
    ended = {job.delivery_id: n % 3 for n, job in enumerate(jobs)}
    happenings = (DeliveryTransition.SUCCEEDED, DeliveryTransition.ATTEMPT_FAILED, DeliveryTransition.EXHAUSTED)
    freed = settle(ledger, *[attempt(job, happenings[ended[job.delivery_id]]) for job in jobs])
    expected = {(job.call_id, job.endpoint_id) for job in jobs if ended[job.delivery_id] != 1}
    assert {(job.call_id, job.endpoint_id) for job in freed} == expected
    assert len(freed) == len(expected)
    for to in ends:
        pending = [delivery.callid for delivery in undelivered(ledger, to) if delivery.state is P]
        assert sorted(pending) == sorted(f"call-{n}" for n in range(70))


# Attempts


def test_every_attempt_is_kept_whole(ledger: Ledger) -> None:
    """Time, duration, status, answer and error of each attempt, whatever came of it; no answer is no status."""
    to = endpoint(ledger)
    (job,) = ledger.record_batch([received(status())]).jobs
    answer = b"\x00\xff" + "好".encode() + b"x" * 2048
    settle(ledger, attempt(job, DeliveryTransition.ATTEMPT_FAILED, began_s=1.25, error="no answer in 10 s"))
    settle(ledger, attempt(job, DeliveryTransition.ATTEMPT_FAILED, began_s=2, status=503, answer=answer, error="503"))
    settle(ledger, attempt(job, DeliveryTransition.SUCCEEDED, began_s=3, status=200, answer=b"{}"))
    assert tried(ledger) == [
        AttemptRow(job.delivery_id, us(1.25), 1500, None, b"", "no answer in 10 s"),
        AttemptRow(job.delivery_id, us(2), 1500, 503, answer, "503"),
        AttemptRow(job.delivery_id, us(3), 1500, 200, b"{}", None),
    ]
    assert load(ledger, to) == []


def test_attempts_and_failures_are_counted_apart(ledger: Ledger) -> None:
    """A failure while the endpoint is only probed is an attempt that does not count towards giving up."""
    to = endpoint(ledger)
    (job,) = ledger.record_batch([received(status())]).jobs
    counts = []
    for spent in (True, False, False, True):
        refuse(ledger, job, spent=spent)
        (delivery,) = undelivered(ledger)
        counts.append((delivery.attempts, delivery.failed_attempts, load_one(ledger, to).failed_attempts))
    assert counts == [(1, 1, 1), (2, 1, 1), (3, 1, 1), (4, 2, 2)]
    accept(ledger, job)
    (delivery,) = undelivered(ledger)
    assert (delivery.attempts, delivery.failed_attempts) == (5, 2)


def test_the_last_failure_counts_too(ledger: Ledger) -> None:
    """A delivery that is given up shows all its attempts."""
    endpoint(ledger)
    (job,) = ledger.record_batch([received(status())]).jobs
    refuse(ledger, job)
    exhaust(ledger, job)
    (delivery,) = undelivered(ledger)
    assert (delivery.state, delivery.attempts, delivery.failed_attempts) == (X, 2, 2)


def test_a_refused_delivery_comes_back_at_its_time(ledger: Ledger) -> None:
    """It is neither due earlier nor settled; the id is that of the first attempt."""
    to = endpoint(ledger)
    (job,) = ledger.record_batch([received(status())]).jobs
    refuse(ledger, job, due_s=30)
    assert load(ledger, to, at_s=29.999999) == []
    (again,) = load(ledger, to, at_s=30)
    assert (again.delivery_id, again.message_id, again.created_us) == (job.delivery_id, job.message_id, us(0))
    assert undelivered(ledger)[0].finished_us is None


@pytest.mark.parametrize("cause", [DeliveryTransition.SUCCEEDED, DeliveryTransition.EXHAUSTED])
def test_the_end_has_its_time(ledger: Ledger, cause: DeliveryTransition) -> None:
    """Delivered or given up, it is known since when."""
    endpoint(ledger)
    (job,) = ledger.record_batch([received(status())]).jobs
    settle(ledger, attempt(job, cause), at_s=77)
    assert undelivered(ledger)[0].finished_us == us(77)


def test_recording_no_attempt_is_nothing(ledger: Ledger) -> None:
    """No attempts, no jobs."""
    endpoint(ledger)
    ledger.record([received(status())])
    assert settle(ledger) == []
    assert states(ledger) == [P]


@pytest.mark.parametrize(
    "cause", [DeliveryTransition.SUCCEEDED, DeliveryTransition.ATTEMPT_FAILED, DeliveryTransition.EXHAUSTED]
)
def test_what_is_settled_again_counts_once(ledger: Ledger, cause: DeliveryTransition) -> None:
    """The ledger had it, but could not say so: what was kept is not kept twice, and what was not is."""
    endpoint(ledger)
    first, second = ledger.record_batch([received(status()), received(status(callid="other"))]).jobs
    settle(ledger, attempt(first, cause, due_s=5))
    before = undelivered(ledger)[0]
    settle(ledger, attempt(first, cause, due_s=5), attempt(second, cause, due_s=5), at_s=9, again=True)
    assert undelivered(ledger)[0] == before
    assert [(one.attempts, one.state) for one in undelivered(ledger)] == [(1, before.state)] * 2
    assert len(tried(ledger)) == 2


def test_an_endpoint_s_pause_is_kept_with_the_attempts(reopen: OpenLedger) -> None:
    """A breaker outlasts the process: how often it failed and until when it pauses; and it is lifted again."""
    ledger = reopen()
    to = endpoint(ledger)
    (job,) = ledger.record_batch([received(status())]).jobs
    pause = EndpointPause(to.id, 10, us(60))
    settle(ledger, attempt(job, DeliveryTransition.ATTEMPT_FAILED, error="no"), pauses=[pause])
    (kept,) = known(reopen())
    assert (kept.consecutive_failures, kept.paused_until) == (10, at(60))
    settle(ledger, pauses=[EndpointPause(to.id, 0, None)])
    (kept,) = known(ledger)
    assert (kept.consecutive_failures, kept.paused_until) == (0, None)


# Bodies


@pytest.mark.parametrize(
    "raw", [payload("voiceprompt_bom.json"), payload("voiceprompt_escaped.json"), b"\xef\xbb\xbf "]
)
def test_the_vendor_s_contract_gets_the_original_bytes(ledger: Ledger, raw: bytes) -> None:
    """Byte for byte as they came in, at first, when loaded, and behind another one."""
    to = tencent(ledger)
    (job,) = ledger.record_batch([received(status(), raw=raw), received(key_press(), raw=raw + b" ")]).jobs
    assert job.body == raw
    assert load(ledger, to) == [job]
    (behind,) = accept(ledger, job)
    assert behind.body == raw + b" "


@pytest.mark.parametrize(
    ("callbacks_", "type_"),
    [
        ([status()], "voice.call.answered"),
        ([unanswered()], "voice.call.unanswered"),
        ([unanswered(result=Result.ERROR)], "voice.call.failed"),
        ([failure()], "voice.call.failed"),
        ([key_press()], "voice.call.key_pressed"),
        ([unanswered(), status()], "voice.call.revised"),
    ],
)
def test_a_webhook_holds_the_call_and_the_callback(ledger: Ledger, callbacks_: list[AnyCallback], type_: str) -> None:
    """Type, time of receipt, the record and the callback in the shape of /v1; what is pushed is what would be loaded."""
    to = endpoint(ledger)
    items = [received(callback, after_s=n) for n, callback in enumerate(callbacks_)]
    jobs = []
    for item in items:
        recorded = ledger.record_batch([item])
        jobs = recorded.jobs
        loaded = load(ledger, to)
        assert jobs == loaded
        accept(ledger, *loaded)
    (job,) = jobs
    (receipt_id,) = (receipt.id for receipt in recorded.receipts)
    assert receipt_id is not None
    item = items[-1]
    known_by = public_id(ID_KEY, item.fingerprint)
    fields = CallbackPayload.of(receipt_id, item.callback.kind, known_by, item.received_at, item.raw)
    event = EventType(type_.removeprefix("voice.call."))
    assert job.body == encode_webhook(event, item.received_at, folded(items), fields)
    assert body_of(job)["type"] == type_


def test_a_webhook_holds_the_call_as_it_now_stands(ledger: Ledger) -> None:
    """What became known while it waited is in it; what happened and the callback stay those of its own time."""
    to = endpoint(ledger)
    (first,) = ledger.record_batch([received(key_press())]).jobs
    ledger.record([received(key_press(key="2"), after_s=1), received(status(), after_s=2)])
    ledger.record([received(key_press(), after_s=9)])
    (job,) = load(ledger, to)
    assert job.message_id == first.message_id
    body = body_of(job)
    assert (body["type"], body["timestamp"]) == ("voice.call.key_pressed", "2026-05-01T12:00:00Z")
    assert (body["data"]["call"]["outcome"], body["data"]["call"]["keys"]) == ("answered", ["1", "2"])
    callback = body["data"]["callback"]
    assert (callback["duplicates"], callback["last_duplicate_at"]) == (1, "2026-05-01T12:00:09Z")
    assert callback["raw"].encode() == wire(key_press())


def test_a_webhook_carries_what_the_business_said(ledger: Ledger) -> None:
    """Reference and metadata are in the very first delivery, and in the job the time as of which they are."""
    endpoint(ledger)
    annotate(ledger, UUID1, reference="order-17", metadata={"shop": 3}, due_at=at(60), at_s=-5)
    (job,) = ledger.record_batch([received(status())]).jobs
    call = body_of(job)["data"]["call"]
    assert (call["reference"], call["metadata"]) == ("order-17", {"shop": 3})
    assert call["due_at"] == "2026-05-01T12:01:00Z"
    assert job.annotated_us == us(-5)


@given(st.lists(callbacks(st.sampled_from(["a", UUID1])), min_size=1, max_size=6))
@few_examples()
def test_what_is_pushed_is_what_is_loaded(ledger: Ledger, said: list[AnyCallback]) -> None:
    """Of any callbacks, in one batch each: the job that a batch gives is the one that the ledger gives later."""
    try:
        tos = [endpoint(ledger), tencent(ledger)]
        for callback in said:
            pushed = ledger.record_batch([received(callback, channel="default")]).jobs
            assert sorted(pushed, key=lambda job: job.endpoint_id) == [job for to in tos for job in load(ledger, to)]
            accept(ledger, *pushed)
        assert set(states(ledger)) <= {D}
    finally:
        for to in tos:
            remove(ledger, to)


# Loading


def test_what_is_due_is_loaded_the_longest_due_first(ledger: Ledger) -> None:
    """By due time, then by id, up to the limit; what is not due yet stays."""
    to = endpoint(ledger)
    ledger.record(
        [received(status(callid=callid), after_s=s) for callid, s in zip("abcde", (3, 1, 2, 1, 9), strict=True)]
    )

    def callids(at_s: float, limit: int) -> list[str]:
        return [body_of(job)["data"]["call"]["callid"] for job in load(ledger, to, at_s=at_s, limit=limit)]

    assert callids(9, 100) == ["b", "d", "c", "a", "e"]
    assert callids(3, 100) == ["b", "d", "c", "a"]
    assert callids(9, 3) == ["b", "d", "c"]
    assert callids(0, 100) == []


def test_only_pending_deliveries_of_the_endpoint_are_loaded(ledger: Ledger) -> None:
    """What waits, is delivered or dead, is another's, or an unknown endpoint's is not."""
    to, other = endpoint(ledger), endpoint(ledger, "other", kinds=(CallbackKind.KEY,))
    ledger.record([received(status(callid=callid)) for callid in "abc"])
    a, b, c = load(ledger, to)
    accept(ledger, a)
    exhaust(ledger, b)
    ledger.record([received(key_press(callid="c"))])
    assert [job.message_id for job in load(ledger, to)] == [c.message_id]
    assert [job.endpoint_id for job in load(ledger, other)] == [other.id]
    remove(ledger, other)
    assert load(ledger, other) == []


def test_the_next_due_time_is_known(ledger: Ledger) -> None:
    """The first pending one that is not due yet, of this endpoint alone; none where there is none."""
    to, other = endpoint(ledger), endpoint(ledger, "other")

    def next_due(after_s: float) -> int | None:
        return ledger.write(lambda c, _: delivery_jobs.next_due_us(c, to.id, us(after_s)))

    assert next_due(0) is None
    ledger.record([received(status(callid=callid)) for callid in "ab"])
    a, b = load(ledger, to)
    refuse(ledger, a, due_s=30)
    refuse(ledger, b, due_s=5)
    refuse(ledger, load(ledger, other)[0], due_s=2)
    assert [next_due(after_s) for after_s in (0, 5, 30)] == [us(5), us(30), None]
    accept(ledger, b)
    assert next_due(0) == us(30)


def test_the_backlog_shows_whose_deliveries_wait_since_when(reopen: OpenLedger) -> None:
    """After a restart: each endpoint with something pending, and when the first of it is due."""
    ledger = reopen()
    a, b, c = (endpoint(ledger, name) for name in "abc")
    ledger.record([received(status(callid="x"), after_s=3), received(status(callid="y"), after_s=1)])
    accept(ledger, *load(ledger, b))
    refuse(ledger, *load(ledger, c), due_s=60)
    assert reopen().write(lambda c, _: delivery_jobs.next_due_by_endpoint(c)) == {a.id: us(1), c.id: us(60)}


def test_what_another_process_added_is_seen(reopen: OpenLedger) -> None:
    """From the last known id on, a part at a time: what may go out, at which endpoint."""
    ledger, other = reopen(), reopen()

    def added(since: int, limit: int = 100) -> tuple[int, list[tuple[int, int]]]:
        return ledger.write(lambda c, _: delivery_jobs.pending_since(c, since, limit))

    assert added(0) == (0, [])
    a, b = endpoint(ledger, "a"), endpoint(ledger, "b", kinds=(CallbackKind.KEY,))
    other.record([received(status()), received(status(callid="other"))])
    first, second = (one.id for one in undelivered(ledger))
    assert added(0) == (second, [(a.id, first), (a.id, second)])
    assert added(0, 1) == (first, [(a.id, first)])
    assert added(second) == (second, [])
    other.record([received(key_press())])  # waits at `a`, behind the status
    assert [one.state for one in undelivered(ledger)] == [P, P, W, P]
    last = undelivered(ledger)[-1].id
    assert added(second) == (last, [(b.id, last)])
    accept(ledger, *load(ledger, b))
    assert added(second) == (last, [])


def test_what_falls_due_while_it_is_looked_for_is_not_missed(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the clock moves within a request: what is not among the jobs is announced as due."""
    to = endpoint(ledger)
    (job,) = ledger.record_batch([received(status())]).jobs
    refuse(ledger, job, due_s=1)
    clock = iter([at(0), at(2), at(4)])
    monkeypatch.setattr("answerback.ledger.commands.delivery.now", lambda: next(clock))
    loaded = FetchDue(to.id, 10).run(ledger)
    assert loaded.jobs or loaded.next_due_us == us(1)


def test_asking_for_jobs_shows_when_the_next_is_due(ledger: Ledger) -> None:
    """All that is due and the time of the first that is not; a full answer says nothing of the rest."""
    to = endpoint(ledger)
    ledger.record([received(status(callid=callid)) for callid in "abc"])
    jobs = load(ledger, to)
    refuse(ledger, jobs[2], due_s=LATER_S * 1000)
    loaded = FetchDue(to.id, 10).run(ledger)
    assert (loaded.jobs, loaded.next_due_us) == (jobs[:2], us(LATER_S * 1000))
    assert FetchDue(to.id, 2).run(ledger).next_due_us is None


# Many at once


def test_more_jobs_than_fit_are_left_in_the_ledger(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction tells of so many jobs; whose are left out is named, and they are loaded in their order."""
    monkeypatch.setattr(outbox, "MAX_JOBS", 5)
    a, b = endpoint(ledger, "a"), endpoint(ledger, "b", kinds=(CallbackKind.KEY,))
    recorded = ledger.record_batch([received(status(callid=f"call-{n}"), after_s=n) for n in range(5)])
    assert (len(recorded.jobs), recorded.backlogged) == (5, [])
    recorded = ledger.record_batch([received(status(callid=f"more-{n}"), after_s=10 + n) for n in range(7)])
    assert (len(recorded.jobs), recorded.backlogged) == (5, [a.id])
    recorded = ledger.record_batch(
        [received(key_press(callid=f"keys-{n}"), after_s=20 + n) for n in range(3)]
        + [received(key_press(callid="call-0"), after_s=30)]
    )
    assert (len(recorded.jobs), recorded.backlogged) == (5, [b.id])
    assert len(load(ledger, a)) == 15
    assert states(ledger).count(W) == 1
    assert [job.created_us for job in load(ledger, b)] == [us(20), us(21), us(22), us(30)]


@pytest.mark.parametrize("size", [1, 127, 128, 129, 300])
def test_every_callback_of_a_batch_of_any_size_has_a_delivery(ledger: Ledger, size: int) -> None:
    """Batches around a power of two owe one delivery for each callback, in order, and settle as one."""
    to = endpoint(ledger)
    jobs = ledger.record_batch([received(status(callid=f"call-{n}")) for n in range(size)]).jobs
    assert [job.delivery_id for job in jobs] == [delivery.id for delivery in undelivered(ledger)]
    assert [delivery.callid for delivery in undelivered(ledger)] == [f"call-{n}" for n in range(size)]
    assert load(ledger, to, limit=size) == jobs
    accept(ledger, *jobs)
    assert states(ledger) == [D] * size
    assert len(tried(ledger)) == size


# Endpoints that change or go


def test_a_change_is_seen_by_every_open_ledger(reopen: OpenLedger) -> None:
    """Added, changed, switched off or removed by one process: the next transaction of another knows."""
    ledger, other = reopen(), reopen()
    assert other.record_batch([received(status(callid="before"))]).jobs == []
    to = endpoint(ledger)
    assert len(other.record_batch([received(status(callid="added"))]).jobs) == 1
    keys = msgspec.structs.replace(to, config=EndpointConfig(url="https://new.example/", kinds=(CallbackKind.KEY,)))
    change(ledger, keys)
    assert other.record_batch([received(status(callid="filtered"))]).jobs == []
    assert other.write(lambda _, box: box.endpoint(to.id)) == ledger.write(lambda _, box: box.endpoint(to.id))
    change(ledger, msgspec.structs.replace(to, enabled=False))
    assert other.record_batch([received(status(callid="off"))]).jobs == []
    remove(ledger, to)
    other.record([received(status(callid="removed"))])
    assert [delivery.callid for delivery in undelivered(other)] == ["added", "off"]


def test_a_change_that_was_rolled_back_is_not_believed(ledger: Ledger) -> None:
    """Who reads the endpoints in a transaction that fails does not go by what it read."""
    to = endpoint(ledger)

    def work(connection: Connection, box: SubscriptionCache) -> None:
        endpoints.remove(connection, to.id, ADMIN, NOON)
        box.refresh(connection)
        connection.exec_driver_sql("no SQL at all")

    with pytest.raises(LedgerUnavailable):
        ledger.write(work)
    assert len(ledger.record_batch([received(status())]).jobs) == 1


def test_a_changed_format_changes_the_bodies(ledger: Ledger) -> None:
    """What was enqueued before a change is delivered as the endpoint is now."""
    to = endpoint(ledger)
    (job,) = ledger.record_batch([received(status())]).jobs
    changed = msgspec.structs.replace(to, config=EndpointConfig(url=to.config.url, format=PayloadFormat.TENCENT))
    change(ledger, changed)
    assert load_one(ledger, to).body == wire(status())
    change(ledger, to)
    assert load_one(ledger, to) == job


def test_a_removed_endpoint_has_nothing_more_pending(ledger: Ledger) -> None:
    """What is left is given up, what waits with it, some at a time; its history and the others' deliveries stay."""
    to, other = endpoint(ledger), endpoint(ledger, "other")
    items = [received(said(callid=callid)) for callid in "abc" for said in (unanswered, status)]
    jobs = ledger.record_batch(items).jobs
    accept(ledger, jobs[0])
    remove(ledger, to)
    assert ledger.record_batch([received(status(callid="d"))]).jobs[0].endpoint_id == other.id
    given_up = [cancel_deliveries(ledger, to, 2) for _ in range(4)]
    assert given_up == [2, 2, 1, 0]
    assert states(ledger, to) == [D, X, X, X, X, X]
    assert X not in states(ledger, other)


def test_what_is_given_up_has_its_time(ledger: Ledger) -> None:
    """A delivery that is dead because its endpoint went is settled like any other."""
    to = endpoint(ledger)
    ledger.record([received(status())])
    remove(ledger, to)
    cancel_deliveries(ledger, to)
    assert undelivered(ledger)[0].finished_us is not None


def test_an_attempt_may_outlast_its_endpoint(ledger: Ledger) -> None:
    """Accepted after the endpoint was removed: it is known as delivered, and nothing goes out after it."""
    to = endpoint(ledger)
    jobs = ledger.record_batch([received(unanswered()), received(status())]).jobs
    remove(ledger, to)
    cancel_deliveries(ledger, to)
    assert accept(ledger, *jobs) == []
    assert states(ledger) == [D, X]
    assert len(tried(ledger)) == 1
    assert undelivered(ledger)[0].finished_us == us(0)


@pytest.mark.parametrize("end", [refuse, exhaust])
def test_an_attempt_that_fails_after_its_endpoint_went_changes_nothing(ledger: Ledger, end: Any) -> None:
    """What was given up stays given up; the attempt is kept."""
    to = endpoint(ledger)
    jobs = ledger.record_batch([received(unanswered()), received(status())]).jobs
    remove(ledger, to)
    cancel_deliveries(ledger, to)
    ended = undelivered(ledger)[0].finished_us
    assert end(ledger, *jobs) == []
    assert states(ledger) == [X, X]
    assert len(tried(ledger)) == 1
    assert ended is not None
    assert undelivered(ledger)[0].finished_us == ended


def test_an_attempt_ends_before_the_rest_is_given_up(ledger: Ledger) -> None:
    """Removed but not yet cleared away: the end of an attempt lets nothing go out, and the rest is given up later."""
    to = endpoint(ledger)
    jobs = ledger.record_batch([received(unanswered()), received(status())]).jobs
    remove(ledger, to)
    assert accept(ledger, *jobs) == []
    assert load(ledger, to) == []
    assert cancel_deliveries(ledger, to) == 1
    assert states(ledger) == [D, X]


def test_the_backlog_of_a_removed_endpoint_shows_until_all_is_cancelled(ledger: Ledger) -> None:
    """Cancelled a part at a time, and stopped in between: what is left is in the backlog, where the next start looks."""
    to = endpoint(ledger)
    ledger.record([received(callback) for callback in (unanswered(), status(), key_press())])
    remove(ledger, to)
    for left in ([P, W, X], [P, X, X], [X, X, X]):
        assert to.id in ledger.write(lambda c, _: delivery_jobs.next_due_by_endpoint(c))
        assert ledger.write(lambda c, _: attempts.cancel_pending(c, to.id, at(1), 1)) == 1
        assert sorted(states(ledger)) == sorted(left)
    assert ledger.write(lambda c, _: delivery_jobs.next_due_by_endpoint(c)) == {}


def test_words_about_calls_are_given_up_where_the_format_has_none(ledger: Ledger) -> None:
    """The vendor's contract cannot tell an overdue call: changed to it, the word goes and what waited behind it comes."""
    to = endpoint(ledger)
    annotate(ledger, UUID1, due_at=at(0))
    record_overdue(ledger, at_s=1)
    ledger.record([received(status())])
    assert states(ledger) == [P, W]
    changed = msgspec.structs.replace(to, config=EndpointConfig(url=to.config.url, format=PayloadFormat.TENCENT))
    ChangeEndpoint(ADMIN, changed).run(ledger)
    assert states(ledger) == [X, P]
    assert load_one(ledger, to).body == wire(status())


def test_given_up_words_do_not_hold_up_the_call(ledger: Ledger) -> None:
    """However an attempt ends, the next callback of its call is delivered in the end."""
    to = endpoint(ledger)
    annotate(ledger, UUID1, due_at=at(0))
    record_overdue(ledger, at_s=1)
    ledger.record([received(status())])
    changed = msgspec.structs.replace(to, config=EndpointConfig(url=to.config.url, format=PayloadFormat.TENCENT))
    changed = ChangeEndpoint(ADMIN, changed).run(ledger)
    ledger.record([received(key_press())])
    assert [job.body for job in accept_everything(ledger, changed)] == [wire(status()), wire(key_press())]


# Calls that the business registered first


@pytest.mark.parametrize(
    "history",
    [
        [status()],
        [status(kind=CallbackKind.CODE)],
        [unanswered(mobile="13800000000", call_from="4001234567")],
        [unanswered(result=Result.ERROR)],
        [key_press(nationcode="", mobile="")],
        [failure()],
        [key_press(), status()],
        [failure(), key_press(mobile="13800000000"), unanswered(), status()],
    ],
)
def test_a_registered_call_becomes_the_record_that_it_would_have_been(
    ledger: Ledger, history: list[AnyCallback]
) -> None:
    """Registered before any callback or not: the same record, but for the business's words and when it was first seen."""
    items = [received(callback, after_s=n) for n, callback in enumerate(history)]
    annotate(ledger, UUID1, reference="order-17", at_s=-60)
    assert ledger.call(UUID1).kind is None
    for item in items:
        ledger.record([item])
    expected = msgspec.structs.replace(
        folded(items),
        reference="order-17",
        annotated_at=at(-60),
        first_seen_at=at(-60),
        fingerprints=frozenset(),
    )
    assert ledger.call(UUID1) == expected


@given(st.lists(callbacks(st.just(UUID1)), min_size=1, max_size=5))
@few_examples()
def test_registering_changes_no_event(ledger: Ledger, said: list[AnyCallback]) -> None:
    """Of any callbacks: an annotated call has the same events as one without an annotation."""
    callid = f"{UUID1}-{len(ledger.calls(limit=500).items)}"
    first, second = (endpoint(ledger, name, channel=name) for name in ("first", "second"))
    annotate(ledger, callid, channel="first", reference="order-17")
    before = [len(undelivered(ledger, to)) for to in (first, second)]
    for to in (first, second):
        ledger.record(
            [received(msgspec.structs.replace(callback, callid=callid), channel=to.channel) for callback in said]
        )
    assert events(ledger, first)[before[0] :] == events(ledger, second)[before[1] :]
    assert as_known(ledger.call(callid, "first")) == as_known(ledger.call(callid, "second"))
    for to in (first, second):
        remove(ledger, to)


def as_known(call: Call) -> Call:
    """The record without the channel and the business's words."""
    return msgspec.structs.replace(call, channel="", reference=None, annotated_at=None)
