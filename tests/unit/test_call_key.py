import re
import uuid

import pytest
from builders import CALLIDS, UUID1
from hypothesis import given
from hypothesis import strategies as st

from answerback.ledger.tables import call_key

FIELDS = st.tuples(*(st.integers(0, 2**bits - 1) for bits in (32, 16, 12, 14, 48)))


def uuid1(fields: tuple[int, ...]) -> uuid.UUID:
    """The UUIDv1 of time_low, time_mid, time_hi, clock sequence and node."""
    low, mid, high, clock, node = fields
    return uuid.UUID(fields=(low, mid, high | 0x1000, (clock >> 8) | 0x80, clock & 0xFF, node))


UUIDS = FIELDS.map(uuid1)
LOOKALIKES = st.one_of(
    CALLIDS,
    UUIDS.map(str),
    UUIDS.map(lambda one: one.hex),
    UUIDS.map(lambda one: str(one).upper()),
    UUIDS.map(lambda one: call_key(str(one))),
    UUIDS.map(lambda one: call_key(one.hex)),
    UUIDS.map(lambda one: f"{one.hex[:8]}-{one.hex[8:]}"),
    st.uuids().map(str),
    st.from_regex(r"[-1a]{8}-[-1a]{4}-1[-1a]{3}-[-1a]{17}", fullmatch=True),
    st.from_regex(r"[-1a]{12}1[-1a]{19}", fullmatch=True),
    st.from_regex(r"[tx]?[0-9a-f]{1,3}-?[0-9a-f]{0,3}", fullmatch=True),
)


@given(LOOKALIKES, LOOKALIKES)
def test_different_callids_have_different_keys(one: str, other: str) -> None:
    """No two callids share a key, however they are made to."""
    assert (call_key(one) == call_key(other)) == (one == other)


def callid_of(key: str) -> str:
    """The callid that a key was made from: the inverse, which only a one-to-one mapping has."""
    if key.startswith("x"):
        return key[1:]
    dash = "-" if len(key) == 37 else ""
    high, mid, low, rest = re.fullmatch(rf"t(.{{4}}){dash}(.{{4}}){dash}(.{{8}})(.*)", key, re.DOTALL).groups()  # type: ignore[union-attr]
    return f"{low}{dash}{mid}{dash}{high}{rest}"


@given(LOOKALIKES)
def test_a_key_has_its_callid_in_it(callid: str) -> None:
    """The callid can be had back from the key."""
    assert callid_of(call_key(callid)) == callid


@given(st.lists(UUIDS, min_size=2, max_size=6))
def test_keys_of_uuids_sort_by_time(uuids: list[uuid.UUID]) -> None:
    """Keys of UUIDv1 sort as their times do, with dashes and without."""
    for form in (str, lambda one: one.hex):
        by_key = sorted(uuids, key=lambda one: call_key(form(one)))
        assert [one.time for one in by_key] == sorted(one.time for one in uuids)


@pytest.mark.parametrize(
    ("callid", "key"),
    [
        (UUID1, "t11e1-122b-d9428888-b85c-61cd3cbb3210"),
        (UUID1.replace("-", ""), "t11e1122bd9428888b85c61cd3cbb3210"),
        ("xxxxxx", "xxxxxxx"),
        ("9b2a7f0e-4c1d-4e5f-8a9b-0c1d2e3f4a5b", "x9b2a7f0e-4c1d-4e5f-8a9b-0c1d2e3f4a5b"),
        (f"{UUID1}\n", f"x{UUID1}\n"),
    ],
)
def test_the_key_of_a_callid(callid: str, key: str) -> None:
    """Keys are kept on disk: these never change."""
    assert call_key(callid) == key
