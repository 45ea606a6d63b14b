"""Batches as messages, and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from answerback.domain.batches import BatchDecodeError, BatchItem, CallbackBatch, encode_batch
from answerback.stream.batch import decode, encode_probe, split_batches

TIMES_US = st.integers(0, 4_000_000_000_000_000)
ITEMS = st.builds(BatchItem, st.text(st.characters(codec="utf-8"), max_size=8), st.binary(max_size=300), TIMES_US)
BATCHES = st.builds(CallbackBatch, st.binary(min_size=16, max_size=16), TIMES_US, st.lists(ITEMS, max_size=20))
ARRIVALS = st.lists(ITEMS, max_size=30)


@given(BATCHES)
def test_comes_back(batch: CallbackBatch) -> None:
    """What is read from a message is what was written."""
    assert decode(encode_batch(batch)) == batch


@given(st.binary(max_size=200))
def test_any_bytes(message: bytes) -> None:
    """Any bytes are a batch or are unreadable, nothing else happens."""
    try:
        batch = decode(message)
    except BatchDecodeError:
        return
    assert decode(encode_batch(batch)) == batch


@given(ARRIVALS, st.integers(400, 2000))
def test_split_loses_nothing(items: list[BatchItem], largest: int) -> None:
    """All bodies are in the parts, in order, and no part is larger than may be."""
    messages = split_batches(items, 7, largest).values()
    parts = [decode(message) for message in messages]
    assert [item for part in parts for item in part.items] == items
    assert all(len(message) <= largest for message in messages)
    assert len({part.id for part in parts}) == len(parts)
    assert all(part.items for part in parts)


def test_too_large() -> None:
    """A body that fits into no message is refused, not cut."""
    with pytest.raises(ValueError, match="a body of 2000 bytes does not fit into a message of 1000"):
        split_batches([BatchItem("default", bytes(2000), 7)], 7, 1000)


def test_other_version() -> None:
    """A batch of a later version is told apart from junk."""
    with pytest.raises(BatchDecodeError, match="its version is 2, this program reads 1: run a newer recorder"):
        decode(b"\x02" + encode_probe()[1:])


def test_later_fields() -> None:
    """Fields that a later program adds at the end are passed over."""
    message = b"\x01\x94\xc4\x10" + bytes(16) + b"\x07\x91\x94\xa1c\xc4\x01b\x08\xa3new\xa4more"
    assert decode(message) == CallbackBatch(bytes(16), 7, [BatchItem("c", b"b", 8)])


def test_nothing() -> None:
    """A message that only tries whether it is stored is a batch without bodies."""
    assert decode(encode_probe()).items == []
    assert encode_probe() != encode_probe()
