"""Each flag of the faults alone, and all of them together: unkind, and never a lie."""

import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from answerback import parse
from answerback.emulator.faults import FaultProfile, OutgoingCallback, inject_faults

BOM = b"\xef\xbb\xbf"
COMMON: dict[str, object] = {
    "call_from": "",
    "callid": "7c1e0000-e747-11f1-9ada-02fc00000001",
    "mobile": "13788888888",
    "nationcode": "86",
}
ANSWERED = COMMON | {
    "result": "0",
    "accept_time": "1470197211",
    "end_calltime": "1470197221",
    "fee": "1",
    "start_calltime": "1470197196",
}
UNANSWERED = ANSWERED | {"result": "1", "accept_time": "0", "fee": "0"}
CALLBACKS: dict[str, tuple[str, dict[str, object]]] = {
    "answered": ("voiceprompt_callback", ANSWERED),
    "unanswered": ("voicecode_callback", UNANSWERED),
    "key": ("voicekey_callback", COMMON | {"keypress": "1"}),
    "#": ("voicekey_callback", COMMON | {"keypress": "#"}),
    "failure": ("voice_failure_callback", COMMON | {"failure_code": 8, "failure_reason": "空号"}),
}
SHARES = (
    "duplicates",
    "reorders",
    "delays",
    "ints",
    "missing_accept_time",
    "empty_accept_time",
    "content_types",
    "boms",
    "chunked",
    "drops",
)


def sent(name: str, seed: int = 1, **shares: Any) -> Sequence[OutgoingCallback]:
    """What becomes of a callback."""
    key, fields = CALLBACKS[name]
    before = dict(fields)
    callbacks = inject_faults(FaultProfile(**shares), key, fields, random.Random(seed))
    assert fields == before
    return callbacks


def document(callback: OutgoingCallback) -> dict[str, Any]:
    """The fields that a callback holds."""
    (fields,) = json.loads(callback.body.removeprefix(BOM)).values()
    assert isinstance(fields, dict)
    return fields


@pytest.mark.parametrize("name", CALLBACKS)
def test_without_faults_nothing_changes(name: str) -> None:
    """One callback, at once, by the contract to the letter."""
    key, fields = CALLBACKS[name]
    body = json.dumps({key: fields}, separators=(",", ":"), ensure_ascii=False).encode()
    assert list(sent(name)) == [OutgoingCallback(0.0, body, "application/json", chunked=False, drop_halfway=False)]


def test_duplicates_are_sent_twice() -> None:
    """The same bytes, two times."""
    first, second = sent("answered", duplicates=1.0)
    (fair,) = sent("answered")
    assert first == second == fair


@pytest.mark.parametrize("seed", range(20))
def test_reorders_fall_behind_the_next(seed: int) -> None:
    """They wait for longer than the next one takes to come, keys being three seconds apart, and no longer than it must."""
    (one,) = sent("key", seed, reorders=1.0)
    (fair,) = sent("key")
    assert 3 < one.delay_s < 10
    assert one._replace(delay_s=0.0) == fair


def test_delays_wait_for_up_to_the_longest() -> None:
    """Somewhere between at once and the longest, not always the same."""
    waits_s = [sent("answered", seed, delays=1.0, max_delay_s=12.0)[0].delay_s for seed in range(200)]
    assert min(waits_s) < 2
    assert 10 < max(waits_s) <= 12
    assert sent("answered", delays=1.0)[0]._replace(delay_s=0.0) == sent("answered")[0]


def test_ints_stand_for_strings() -> None:
    """Numbers are numbers; ids and empty texts remain what they are."""
    (one,) = sent("unanswered", ints=1.0)
    assert document(one) == UNANSWERED | {
        "result": 1,
        "accept_time": 0,
        "end_calltime": 1470197221,
        "fee": 0,
        "start_calltime": 1470197196,
        "mobile": 13788888888,
        "nationcode": 86,
    }
    assert document(sent("key", ints=1.0)[0])["keypress"] == 1
    assert document(sent("#", ints=1.0)[0])["keypress"] == "#"


def test_a_number_that_begins_with_0_stays_a_string() -> None:
    """An integer would lose the zero."""
    (one,) = inject_faults(
        FaultProfile(ints=1.0), "voicekey_callback", {"mobile": "075512345678", "keypress": "0"}, random.Random(1)
    )
    assert document(one) == {"mobile": "075512345678", "keypress": 0}


def test_accept_time_is_missing_or_empty_where_nobody_answered() -> None:
    """Only there: an answered call keeps its time."""
    assert "accept_time" not in document(sent("unanswered", missing_accept_time=1.0)[0])
    assert document(sent("unanswered", empty_accept_time=1.0)[0]) == UNANSWERED | {"accept_time": ""}
    for name in ("answered", "key", "failure"):
        assert sent(name, missing_accept_time=1.0, empty_accept_time=1.0) == sent(name)


def test_content_types_are_others_or_none() -> None:
    """Those that were seen in the field, each of them at times."""
    types = {sent("answered", seed, content_types=1.0)[0].content_type for seed in range(100)}
    assert types == {"application/x-www-form-urlencoded", "text/plain", "application/json; charset=utf-8", None}
    assert sent("answered", content_types=1.0)[0].body == sent("answered")[0].body


def test_boms_come_first() -> None:
    """Three bytes, and then the same."""
    assert sent("failure", boms=1.0)[0].body == BOM + sent("failure")[0].body


def test_chunked_and_drops_are_marks_of_the_callback() -> None:
    """The content is the same."""
    (fair,) = sent("answered")
    assert list(sent("answered", chunked=1.0)) == [fair._replace(chunked=True)]
    assert list(sent("answered", drops=1.0)) == [fair._replace(drop_halfway=True)]


def test_the_second_of_two_is_not_cut() -> None:
    """What is dropped half-way and sent twice comes whole once at least."""
    assert [one.drop_halfway for one in sent("answered", drops=1.0, duplicates=1.0)] == [True, False]


@pytest.mark.parametrize("share", SHARES)
def test_a_share_is_how_often(share: str) -> None:
    """A share of a quarter befalls about a quarter of the callbacks."""
    (fair,) = sent("unanswered")
    chance, (key, fields) = random.Random(4), CALLBACKS["unanswered"]
    faults = msgspec.structs.replace(FaultProfile(), **{share: 0.25})
    befallen = sum(list(inject_faults(faults, key, fields, chance)) != [fair] for _ in range(2000))
    assert 0.2 < befallen / 2000 < 0.3


PROFILES = st.builds(FaultProfile, **dict.fromkeys(SHARES, st.sampled_from([0.0, 0.5, 1.0])))
NUMBER = st.one_of(st.from_regex("[0-9]{1,15}", fullmatch=True), st.just(""))


@given(
    PROFILES,
    st.sampled_from(sorted(CALLBACKS)),
    st.fixed_dictionaries({}, optional={"mobile": NUMBER, "nationcode": NUMBER, "call_from": NUMBER}),
    st.integers(0, 2**32),
)
def test_whatever_the_faults_the_callback_says_the_same(
    faults: FaultProfile, name: str, changes: Mapping[str, str], seed: int
) -> None:
    """Every body is read to the very fields that were meant."""
    key, fields = CALLBACKS[name]
    meant = fields | dict(changes)
    reported = inject_faults(faults, key, meant, random.Random(seed))
    expected = parse(json.dumps({key: meant}).encode())
    assert [parse(one.body) for one in reported] == [expected] * len(reported)
    assert len(reported) in (1, 2)
    assert all(one.delay_s >= 0 for one in reported)
