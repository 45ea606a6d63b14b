"""The table of numbers, and the life of a call, second by second."""

import random
import re
from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from answerback import parse
from answerback.domain.models import CallbackKind, Failure, KeyPress, Result, Status
from answerback.emulator.cloud import EmulatedCall, callback_fields
from answerback.emulator.outcomes import SCRIPT_ROWS, SHARES, CallbackOrder, CallScript, ScriptRow, choose_script
from answerback.emulator.send_requests import SendRequest
from answerback.emulator.timeline import CallPhase, build_timeline, call_times, callback_kind
from answerback.tencent.wire import KEY_BY_KIND

CHANCE = random.Random(1)
NUMBER = "13800138"


def course(ending: str) -> CallScript:
    """How a call to a number with this ending goes."""
    return choose_script(NUMBER + ending, {}, CHANCE)


def reported(course: CallScript) -> list[str]:
    """What is sent, in its order: things of one moment are joined by +."""
    moments: dict[float, list[str]] = {}
    for step in build_timeline(course):
        if callback_kind(step.phase, CallbackKind.PROMPT):
            moments.setdefault(step.after_s, []).append(step.key or step.phase.value)
    return ["+".join(names) for _, names in sorted(moments.items())]


@pytest.mark.parametrize(
    ("ending", "result", "kinds"),
    [
        ("000", Result.ANSWERED, ["status"]),
        ("001", Result.ANSWERED, ["status"]),
        ("002", Result.UNANSWERED, ["status", "failure"]),
        ("003", Result.ERROR, ["status"]),
        ("004", Result.ANSWERED, ["1", "status"]),
        ("005", Result.ANSWERED, ["1", "2", "#", "status"]),
        ("006", Result.UNANSWERED, ["status"]),
        ("007", Result.UNANSWERED, ["failure"]),
        ("008", Result.UNANSWERED, ["status", "failure"]),
        ("009", Result.UNANSWERED, ["failure", "status"]),
        ("010", Result.UNANSWERED, ["status+failure"]),
        ("011", Result.ANSWERED, ["status"]),
        ("012", Result.ANSWERED, []),
        ("101", Result.UNANSWERED, ["status", "failure"]),
        ("131", Result.UNANSWERED, ["status", "failure"]),
    ],
)
def test_the_ending_of_a_number_chooses_what_becomes_of_it(ending: str, result: Result, kinds: list[str]) -> None:
    """Which callbacks a call has, and in which order, is what the table says."""
    assert course(ending).result is result
    assert reported(course(ending)) == kinds


def test_only_one_number_calls_back_before_its_send_is_answered() -> None:
    """The callback that overtakes the answer is an ending of its own."""
    assert [row.ending for row in SCRIPT_ROWS if row.script.early] == ["011"]


def test_each_failure_code_of_the_vendor_has_an_ending() -> None:
    """100 and the code: all that the vendor lists, and no other."""
    listed = {*range(1, 14), *range(15, 21), *range(22, 32)}
    codes = {int(row.ending) - 100: row.script.failure_code for row in SCRIPT_ROWS if row.ending >= "100"}
    assert codes == {code: code for code in listed}


def test_the_table_names_each_ending_once_in_both_languages() -> None:
    """Every row is an ending of three digits with words for it, and two rows never mean the same number."""
    assert len({row.ending for row in SCRIPT_ROWS}) == len(SCRIPT_ROWS)
    assert all(re.fullmatch("[0-9]{3}", row.ending) for row in SCRIPT_ROWS)
    assert all(row.en.isascii() and not row.zh.isascii() for row in SCRIPT_ROWS)


def test_a_talk_of_more_than_a_minute_is_billed_as_two() -> None:
    """001 is the long one, 000 the short one."""
    assert [call_times(course(one)).ended_s - (call_times(course(one)).answered_s or 0) for one in ("000", "001")] == [
        20,
        75,
    ]


def test_other_numbers_go_by_the_shares() -> None:
    """A number without an ending of the table goes one of the ways that have a share, about as often as it says."""
    chance = random.Random(7)
    went = Counter(choose_script("13800138999", {"000": 3, "002": 1}, chance) for _ in range(4000))
    assert set(went) == {course("000"), course("002")}
    assert 2.6 < went[course("000")] / went[course("002")] < 3.4


def test_the_ready_shares_are_endings_of_the_table() -> None:
    """They add up to one, and each can happen."""
    assert sum(SHARES.values()) == pytest.approx(1)
    assert SHARES.keys() <= {row.ending for row in SCRIPT_ROWS}


def test_the_same_seed_is_the_same_chance() -> None:
    """A run can be had again."""
    first, second = (
        [choose_script("1", SHARES, chance) for _ in range(50)] for chance in (random.Random(3), random.Random(3))
    )
    assert first == second


COURSES = st.builds(
    CallScript,
    result=st.sampled_from(Result),
    ring_s=st.floats(0, 100),
    talk_s=st.floats(0, 1000),
    keys=st.lists(st.sampled_from("0123456789*#"), max_size=5),
    failure_code=st.integers(1, 31),
    callback_order=st.sampled_from(CallbackOrder),
)


@given(COURSES)
def test_a_life_goes_in_order(course: CallScript) -> None:
    """Dialled, ringing, answered, ended; keys only in a call that was answered, and the end is sent after it."""
    steps = build_timeline(course)
    when_s = {step.phase: step.after_s for step in steps}
    moments = [
        when_s[one]
        for one in (CallPhase.DIALLED, CallPhase.RINGING, CallPhase.ANSWERED, CallPhase.ENDED)
        if one in when_s
    ]
    assert moments == sorted(moments)
    answered = course.result is Result.ANSWERED
    assert (CallPhase.ANSWERED in when_s) == answered
    assert [step.key for step in steps if step.phase is CallPhase.KEY] == (list(course.keys) if answered else [])
    assert all(when_s[one] > when_s[CallPhase.ENDED] for one in (CallPhase.STATUS, CallPhase.FAILURE) if one in when_s)


@pytest.mark.parametrize("row", SCRIPT_ROWS, ids=lambda row: row.ending)
def test_keys_are_pressed_before_the_end(row: ScriptRow) -> None:
    """Whoever hangs up has pressed the keys before, and each step of the table comes in the order of its time."""
    steps = build_timeline(row.script)
    assert [step.after_s for step in steps] == sorted(step.after_s for step in steps)


@pytest.mark.parametrize("sent_as", [CallbackKind.PROMPT, CallbackKind.CODE])
@pytest.mark.parametrize("row", SCRIPT_ROWS, ids=lambda row: row.ending)
def test_callbacks_say_what_happened(row: ScriptRow, sent_as: CallbackKind) -> None:
    """Each callback of each row is read by the contract, with the result, times, fee, key and code of the row."""
    order = SendRequest(app_id="1", kind=sent_as, nationcode="86", mobile=NUMBER + row.ending, text="x", plays=2)
    call = EmulatedCall(callid="c", request=order, script=row.script, placed_s=1_700_000_000.9)
    for step in build_timeline(row.script):
        kind = callback_kind(step.phase, sent_as)
        if kind is None:
            continue
        said = parse(msgspec.json.encode({KEY_BY_KIND[kind]: callback_fields(call, kind, step.key, "95000")}))
        assert (said.callid, said.nationcode, said.mobile, said.call_from) == ("c", "86", order.mobile, "95000")
        if isinstance(said, KeyPress):
            assert said.key == step.key
        elif isinstance(said, Failure):
            assert said.code == row.script.failure_code
            assert said.reason
        else:
            check_status(said, row.script, sent_as)


def check_status(said: Status, course: CallScript, sent_as: CallbackKind) -> None:
    """The status tells of `course` in whole seconds."""
    assert (said.kind, said.result) == (sent_as, course.result)
    assert said.started_at is not None
    assert said.ended_at is not None
    assert said.started_at.timestamp() == 1_700_000_001
    answered = course.result is Result.ANSWERED
    assert (said.answered_at is not None) == answered
    assert (said.ended_at - said.started_at).total_seconds() == course.ring_s + (course.talk_s if answered else 0)
    assert said.fee_minutes == ((2 if course.talk_s > 60 else 1) if answered else 0)
