import itertools
import json
from datetime import timedelta

import msgspec
import pytest
from builders import (
    ANSWERED,
    ENDED,
    NOON,
    STARTED,
    UUID1,
    WIRE_TEXT,
    AnyCallback,
    callbacks,
    failure,
    folded,
    key_press,
    received,
    status,
    unanswered,
    wire,
    wire_fields,
)
from hypothesis import given
from hypothesis import strategies as st

from answerback.domain.calls import OUTCOME_TRANSITIONS, callback_fingerprint, fold
from answerback.domain.models import Call, CallbackKind, Failure, KeyPress, Outcome, ParsedCallback, Result, Status
from answerback.tencent.callbacks import parse

ERROR = unanswered(result=Result.ERROR)
RANK = [Outcome.PENDING, Outcome.FAILED, Outcome.UNANSWERED, Outcome.ANSWERED]
SAYS: dict[Result | CallbackKind, Outcome] = {
    Result.ANSWERED: Outcome.ANSWERED,
    Result.UNANSWERED: Outcome.UNANSWERED,
    Result.ERROR: Outcome.FAILED,
    CallbackKind.FAILURE: Outcome.FAILED,
    CallbackKind.KEY: Outcome.PENDING,
}


@st.composite
def histories(draw: st.DrawFn) -> list[ParsedCallback]:
    """Different callbacks of one call that may contradict each other in every field, at any times."""
    said = draw(
        st.lists(
            callbacks(st.just(UUID1)),
            min_size=1,
            max_size=8,
            unique_by=lambda said: callback_fingerprint("default", said),
        )
    )
    times = st.integers(-3, 3)
    return [received(callback, after_s=draw(times)) for callback in said]


def keys_in_order(shuffled: list[ParsedCallback], history: list[ParsedCallback]) -> list[ParsedCallback]:
    """`shuffled` with the key presses among themselves as in `history`."""
    presses = iter([item for item in history if isinstance(item.callback, KeyPress)])
    return [next(presses) if isinstance(item.callback, KeyPress) else item for item in shuffled]


def without_keys(call: Call) -> Call:
    """The record without what depends on the order of arrival."""
    return msgspec.structs.replace(call, keys=tuple(sorted(call.keys)))


def test_the_law_says_something_for_every_case() -> None:
    """Every outcome knows what every result, a failure and a key press make of it."""
    assert set(OUTCOME_TRANSITIONS) == set(Outcome) == set(RANK)
    for known in Outcome:
        assert set(OUTCOME_TRANSITIONS[known]) == {*Result, CallbackKind.FAILURE, CallbackKind.KEY}


@pytest.mark.parametrize(("known", "said"), list(itertools.product(Outcome, SAYS)))
def test_the_law_takes_the_better_of_two(known: Outcome, said: Result | CallbackKind) -> None:
    """An outcome is only ever replaced by a better one."""
    assert OUTCOME_TRANSITIONS[known][said] == max(known, SAYS[said], key=RANK.index)


@given(histories())
def test_folding_again_changes_nothing(history: list[ParsedCallback]) -> None:
    """A callback folded in already gives back the very same record."""
    call = folded(history)
    for item in history:
        assert fold(call, item) is call


@given(histories(), st.data())
def test_a_repeat_at_any_place_changes_nothing(history: list[ParsedCallback], data: st.DataObject) -> None:
    """Repeats, whenever they come and however late, leave no trace in the record."""
    repeated = list(history)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(repeated) - 1))
        again = msgspec.structs.replace(repeated[at], received_at=NOON + timedelta(days=1))
        repeated.insert(data.draw(st.integers(at + 1, len(repeated))), again)
    assert folded(repeated) == folded(history)


@given(histories(), st.data())
def test_the_record_is_the_same_for_any_order_of_arrival(history: list[ParsedCallback], data: st.DataObject) -> None:
    """Whatever the order, the record is the same to the last field while the key presses keep theirs."""
    shuffled = data.draw(st.permutations(history))
    assert folded(keys_in_order(shuffled, history)) == folded(history)


@given(histories(), st.data())
def test_only_the_keys_know_the_order_of_arrival(history: list[ParsedCallback], data: st.DataObject) -> None:
    """Where key presses change places too, nothing but the order of `keys` differs."""
    assert without_keys(folded(data.draw(st.permutations(history)))) == without_keys(folded(history))


@given(histories())
def test_the_record_sums_up_its_history(history: list[ParsedCallback]) -> None:
    """Outcome, result, keys, revisions and times are what the callbacks together say."""
    call = folded(history)
    said = [item.callback for item in history]
    results = [callback.result for callback in said if isinstance(callback, Status)]
    codes = [callback.code for callback in said if isinstance(callback, Failure)]
    pressed = [callback.key for callback in said if isinstance(callback, KeyPress)]
    outcomes = [SAYS[callback.result if isinstance(callback, Status) else callback.kind] for callback in said]
    assert call.outcome == max(outcomes, key=RANK.index)
    assert call.result == min(results, default=None)
    assert call.failure_code in codes if codes else call.failure_code is None
    assert call.keys == tuple(dict.fromkeys(pressed))
    assert call.revisions == max(len(results) - 1, 0) + max(len(codes) - 1, 0)
    assert call.first_seen_at == min(item.received_at for item in history)
    assert call.updated_at == max(item.received_at for item in history)
    assert call.fingerprints == {item.fingerprint for item in history}


@given(histories())
def test_the_record_mixes_no_two_statuses(history: list[ParsedCallback]) -> None:
    """Kind, result, times, fee and numbers are those of one and the same status."""
    call = folded(history)
    names = [name for name in Status.__struct_fields__ if name != "callid"]
    statuses = [item.callback for item in history if isinstance(item.callback, Status)]
    if statuses:
        assert [getattr(call, name) for name in names] in [[getattr(said, name) for name in names] for said in statuses]
    else:
        callees = [(item.callback.nationcode, item.callback.mobile, item.callback.call_from) for item in history]
        assert (call.nationcode, call.mobile, call.call_from) in callees


@given(histories())
def test_the_failure_is_one_of_those_received(history: list[ParsedCallback]) -> None:
    """Code and reason come from the same failure."""
    call = folded(history)
    reported = [(item.callback.code, item.callback.reason) for item in history if isinstance(item.callback, Failure)]
    assert (call.failure_code, call.failure_reason) in [*reported, (None, None)][: len(reported) or 1]


@given(histories())
def test_what_the_business_noted_stays(history: list[ParsedCallback]) -> None:
    """Reference and metadata are not the cloud's: no callback touches them."""
    noted = msgspec.structs.replace(folded(history[:1]), reference="order-42", metadata={"a": 1})
    call = folded_onto(noted, history[1:])
    assert (call.reference, call.metadata) == ("order-42", {"a": 1})


def folded_onto(call: Call, history: list[ParsedCallback]) -> Call:
    """The record that `history` makes of `call`."""
    for item in history:
        call = fold(call, item)
    return call


@given(histories())
def test_folding_leaves_what_was_known_as_it_was(history: list[ParsedCallback]) -> None:
    """The fold makes new records and never changes the one it was given."""
    before = folded(history[:1])
    copy = msgspec.structs.replace(before)
    folded_onto(before, history)
    assert before == copy


def test_one_answered_status_is_the_whole_record() -> None:
    """The documented example's record, field by field."""
    item = received(status())
    assert fold(None, item) == Call(
        channel="default",
        callid=UUID1,
        kind=CallbackKind.PROMPT,
        first_seen_at=NOON,
        updated_at=NOON,
        nationcode="86",
        mobile="13788888888",
        call_from="",
        outcome=Outcome.ANSWERED,
        result=Result.ANSWERED,
        started_at=STARTED,
        answered_at=ANSWERED,
        ended_at=ENDED,
        fee_minutes=1,
        fingerprints=frozenset({item.fingerprint}),
    )


@pytest.mark.parametrize("late", [unanswered(), ERROR, failure(), unanswered(ended_at=ENDED + timedelta(hours=1))])
def test_a_late_worse_status_never_hides_the_answer(late: AnyCallback) -> None:
    """Once answered, always answered, with the times of the answer."""
    call = folded([received(status()), received(late, after_s=60)])
    assert (call.outcome, call.result) == (Outcome.ANSWERED, Result.ANSWERED)
    assert (call.started_at, call.answered_at, call.ended_at, call.fee_minutes) == (STARTED, ANSWERED, ENDED, 1)


@pytest.mark.parametrize("early", [unanswered(), ERROR])
def test_a_better_status_replaces_a_worse_one(early: Status) -> None:
    """An answer that comes late brings its times with it, and the difference is counted."""
    call = folded([received(early), received(status(), after_s=60)])
    assert (call.outcome, call.answered_at, call.fee_minutes, call.revisions) == (Outcome.ANSWERED, ANSWERED, 1, 1)


def test_of_two_equal_results_the_later_call_end_counts() -> None:
    """A correction of an answered call is the one that ended later, in both orders."""
    corrected = status(ended_at=ENDED + timedelta(seconds=70), fee_minutes=2)
    for items in itertools.permutations([received(status()), received(corrected)]):
        assert (folded(items).talk_seconds, folded(items).fee_minutes, folded(items).revisions) == (80, 2, 1)


@pytest.mark.parametrize("ended", [ERROR, unanswered()])
def test_a_status_and_a_failure_make_one_record_in_both_orders(ended: Status) -> None:
    """The status gives outcome and times, the failure gives the reason, whichever is first."""
    items = [received(ended), received(failure(), after_s=1)]
    for call in (folded(items), folded(reversed(items))):
        assert (call.kind, call.result, call.outcome) == (CallbackKind.PROMPT, ended.result, SAYS[ended.result])
        assert (call.failure_code, call.failure_reason, call.ended_at) == (8, "空号", ENDED)
        assert (call.revisions, call.first_seen_at, call.updated_at) == (0, NOON, NOON + timedelta(seconds=1))


def test_a_failure_alone_is_a_failed_call() -> None:
    """A failure without a status has no result and no times."""
    call = folded([received(failure())])
    assert (call.kind, call.outcome, call.result, call.failure_code) == (CallbackKind.FAILURE, Outcome.FAILED, None, 8)
    assert (call.started_at, call.ended_at, call.ring_seconds, call.talk_seconds) == (None, None, None, None)


def test_a_listed_reason_says_more_than_another() -> None:
    """Of two failures the listed code stands, then the unlisted, then "other"; the rest counts as revision."""
    reported = [failure(code=8), failure(code=99, reason=""), failure(code=11, reason="其他")]
    for items in itertools.permutations(map(received, reported)):
        assert (folded(items).failure_code, folded(items).revisions) == (8, 2)
    for items in itertools.permutations(map(received, reported[1:])):
        assert (folded(items).failure_code, folded(items).revisions) == (99, 1)


def test_keys_gather_in_order_of_arrival() -> None:
    """Each key is kept once, in the order in which the presses came."""
    call = folded([received(key_press(key=key)) for key in ("3", "1", "#", "3")])
    assert (call.keys, call.outcome, call.kind, call.revisions) == (
        ("3", "1", "#"),
        Outcome.PENDING,
        CallbackKind.KEY,
        0,
    )


def test_a_key_press_before_the_status_is_kept() -> None:
    """The status that comes after makes the kind and the outcome, the key stays."""
    call = folded([received(key_press(key="2")), received(status(kind=CallbackKind.CODE), after_s=9)])
    assert (call.kind, call.outcome, call.keys, call.revisions) == (CallbackKind.CODE, Outcome.ANSWERED, ("2",), 0)


@pytest.mark.parametrize(
    ("said", "ring", "talk"),
    [
        (status(), 15, 10),
        (unanswered(), 25, None),
        (ERROR, None, None),
        (failure(), None, None),
        (key_press(), None, None),
        (status(answered_at=None), None, None),
        (status(started_at=None), None, 10),
        (status(ended_at=None), 15, None),
        (unanswered(ended_at=None), None, None),
        (status(answered_at=STARTED, ended_at=STARTED), 0, 0),
    ],
)
def test_seconds_of_ringing_and_talking(said: AnyCallback, ring: int | None, talk: int | None) -> None:
    """It rings until the answer or the end, it talks from the answer on; what is not known stays unknown."""
    call = folded([received(said)])
    assert (call.ring_seconds, call.talk_seconds) == (ring, talk)


def test_the_same_content_has_one_identity() -> None:
    """White space, order of fields, escapes, numbers for strings and a BOM make no other callback."""
    said = status(call_from="4001234567")
    fields = wire_fields(said)
    numbers = {name: value if name == "callid" else int(value) for name, value in fields.items()}
    forms = [
        wire(said),
        json.dumps({"voiceprompt_callback": fields}, indent=3).encode(),
        json.dumps({"voiceprompt_callback": fields}, separators=(",", ":")).encode(),
        json.dumps({"voiceprompt_callback": dict(reversed(fields.items()))}).encode(),
        json.dumps({"voiceprompt_callback": numbers}).encode(),
        json.dumps({"voiceprompt_callback": fields, "more": 1}).encode(),
        b"\xef\xbb\xbf" + wire(said),
        wire(said).replace(b"137", b"\\u0031\\u00337"),
    ]
    assert {callback_fingerprint("default", parse(body)) for body in forms} == {callback_fingerprint("default", said)}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"accept_time": ""}, {"accept_time": "0"}),
        ({"accept_time": None}, {"accept_time": 0}),
        ({"fee": ""}, {"fee": None}),
        ({"fee": "1"}, {"fee": 1}),
        ({"fee": "01"}, {"fee": "1"}),
        ({"mobile": 13788888888}, {"mobile": "13788888888"}),
    ],
)
def test_forms_of_one_value_have_one_identity(one: dict[str, object], other: dict[str, object]) -> None:
    """Different spellings of one value are the same callback."""
    first, second = (
        parse(json.dumps({"voiceprompt_callback": wire_fields(unanswered()) | form}).encode()) for form in (one, other)
    )
    assert callback_fingerprint("default", first) == callback_fingerprint("default", second)


def test_an_identity_is_16_bytes_and_lasts() -> None:
    """Identities are kept on disk: the same callback has the same one in every process and version."""
    assert callback_fingerprint("default", status()).hex() == "b4a09297d217e4f2d813c41d7569538b"


@given(callbacks(st.sampled_from(["a", "b"])), callbacks(st.sampled_from(["a", "b"])))
def test_another_content_is_another_identity(one: AnyCallback, other: AnyCallback) -> None:
    """Two callbacks have one fingerprint only where they are equal."""
    same = (one.kind, one) == (other.kind, other)
    assert (callback_fingerprint("default", one) == callback_fingerprint("default", other)) == same


@pytest.mark.parametrize("said", [status(), key_press(), failure()])
def test_every_field_is_part_of_the_identity(said: AnyCallback) -> None:
    """A difference in any one field is news."""
    others: dict[str, object] = {"kind": CallbackKind.CODE, "result": Result.ERROR, "fee_minutes": 7, "code": 7}
    others |= {"started_at": NOON, "answered_at": NOON, "ended_at": NOON}
    changed = [msgspec.structs.replace(said, **{name: others.get(name, "7")}) for name in said.__struct_fields__]
    assert len({callback_fingerprint("default", callback) for callback in (said, *changed)}) == len(changed) + 1


def test_the_kind_is_part_of_the_identity() -> None:
    """A notification's status and a code's status of the same call are two callbacks."""
    assert callback_fingerprint("default", status()) != callback_fingerprint("default", status(kind=CallbackKind.CODE))


@given(WIRE_TEXT, WIRE_TEXT)
def test_the_channel_is_part_of_the_identity(one: str, other: str) -> None:
    """The same callback in another channel is another callback; nothing can be moved across the wall."""
    assert (callback_fingerprint(one, status()) == callback_fingerprint(other, status())) == (one == other)
    assert callback_fingerprint("a", status(callid="bc")) != callback_fingerprint("ab", status(callid="c"))
