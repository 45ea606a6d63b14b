"""Whatever passes the parser fits every column, on every backend: the extremes of every field, and of what is counted."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from builders import KEY_BY_KIND, NOON, received, rejected, status, stream_rows, wire
from contract import delivery_helpers
from contract.backends import few_examples
from contract.test_statistics import EVER, everything
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from answerback.domain.batches import BatchDecodeError, BatchItem, CallbackBatch, encode_batch
from answerback.domain.models import MAX_DURATION_S, CallbackKind, ParsedCallback, RawCallback, RejectedCallback
from answerback.ledger import Disposition, Ledger
from answerback.ledger.commands import RecordLog
from answerback.ledger.read.calls import CallFilter
from answerback.ledger.types import from_us, to_us
from answerback.stream.batch import decode
from answerback.tencent.parsing import parse_or_reject

LAST_S = 253_402_300_799
FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)

texts = st.sampled_from(["", "0", "1", "x" * 256, "𝄞" * 256, "\u202e☎'\"\\%", "\n\t", "86", 2**63, -1, 10**255])
seconds = st.sampled_from([None, "", "0", "1", LAST_S, str(LAST_S), 1_470_197_211, 2**31, 2**32])
numbers = st.sampled_from(["0", 1, 2**31 - 1, str(2**31 - 1)])
moments = st.sampled_from([FIRST, datetime(1969, 12, 31, tzinfo=UTC), NOON, NOON + timedelta(days=40), LAST])
callids = st.sampled_from(["a", "c" * 256, "𝄞" * 256, "0", "d9428888-122b-11e1-b85c-61cd3cbb3210"])

numbered = {"callid": callids, "call_from": texts, "mobile": texts, "nationcode": texts}
statuses = st.fixed_dictionaries(
    numbered
    | {
        "result": st.sampled_from(["0", "1", "2"]),
        "start_calltime": seconds,
        "accept_time": seconds,
        "end_calltime": seconds,
        "fee": numbers | st.none(),
    }
)
fields = {
    CallbackKind.PROMPT: statuses,
    CallbackKind.CODE: statuses,
    CallbackKind.KEY: st.fixed_dictionaries(numbered | {"keypress": texts}),
    CallbackKind.FAILURE: st.fixed_dictionaries(
        numbered | {"failure_code": numbers, "failure_reason": texts.filter(lambda words: isinstance(words, str))}
    ),
}
bodies = st.sampled_from(list(KEY_BY_KIND)).flatmap(
    lambda kind: fields[kind].map(lambda reported: json.dumps({KEY_BY_KIND[kind]: reported}).encode())
)
raw_callbacks = st.builds(RawCallback, st.sampled_from(["default", "c" * 64]), bodies, moments)


@given(batch=st.lists(raw_callbacks, min_size=1, max_size=12))
@few_examples()
def test_every_field(ledger: Ledger, batch: list[RawCallback]) -> None:
    """Nothing of it is refused by the ledger, and all of it can be read again."""
    items = list(map(parse_or_reject, batch))
    assert {item.result for item in items if isinstance(item, RejectedCallback)} <= {3004}
    assert ledger.record_batch(items).set_aside == []
    for call in everything(ledger):
        assert ledger.callbacks(call.callid, call.channel).items
        assert ledger.calls(CallFilter(mobile=call.mobile)).items


def test_sums_and_differences(ledger: Ledger) -> None:
    """A call of eight thousand years, billed with nothing, again and again: the differences and the sums fit."""
    longest = status(fee_minutes=0, answered_at=from_us(1_000_000), ended_at=from_us(LAST_S * 1_000_000))
    items = [received(msgspec.structs.replace(longest, callid=f"c{n}")) for n in range(50)]
    assert ledger.record_batch(items).set_aside == []
    statistics = ledger.statistics(EVER)
    assert statistics.talk.total_s == 50 * MAX_DURATION_S
    assert statistics.fees.overbilled_minutes == -50 * (MAX_DURATION_S // 60 + 1)
    with ledger.engine.begin() as connection:
        connection.execute(
            text(f"UPDATE rollups SET talk_s = {2**62}, due_minutes = {2**62}, overbilled_minutes = -{2**62}")
        )
    more = [received(msgspec.structs.replace(longest, callid=f"d{n}")) for n in range(50)]
    assert ledger.record_batch(more).set_aside == []


def test_counters(ledger: Ledger) -> None:
    """A flood of repeats comes to the end of a counter, which stays there."""
    items: list[ParsedCallback | RejectedCallback] = [received(status()), rejected(b"junk")]
    ledger.record_batch(items)
    with ledger.engine.begin() as connection:
        for table in ("callbacks", "quarantine"):
            connection.execute(text(f"UPDATE {table} SET duplicates = {2**31 - 2}"))
    for _ in range(2):
        recorded = ledger.record_batch([*items, *items])
        assert ([receipt.disposition for receipt in recorded.receipts], recorded.set_aside) == (
            [Disposition.DUPLICATE] * 4,
            [],
        )
    (call,) = ledger.calls().items
    assert ledger.callbacks(call.callid).items[0].duplicates == ledger.quarantined().items[0].duplicates == 2**31 - 1


@pytest.mark.parametrize("due_at", [FIRST, LAST, datetime.max.replace(tzinfo=timezone(timedelta(hours=14)))])
def test_what_the_business_says(ledger: Ledger, due_at: datetime) -> None:
    """Every time that can be said comes back as it was, to the microsecond; so do text and metadata."""
    said_of_it: dict[str, Any] = {"a": "\u0001𝄞", "n": [2**63, -(2**63), 1e308, None, {"": ""}]}
    delivery_helpers.annotate(ledger, "a", reference="𝄞" * 256, metadata=said_of_it, due_at=due_at)
    call = ledger.call("a")
    assert (call.due_at, call.metadata, call.reference) == (due_at, said_of_it, "𝄞" * 256)


@given(st.datetimes(timezones=st.just(UTC)))
def test_times_are_exact(when: datetime) -> None:
    """There and back, whatever the year."""
    assert from_us(to_us(when)) == when


def test_times_that_are_none() -> None:
    """What is in no calendar is the first or the last time in it."""
    assert (from_us(2**63 - 1), from_us(-(2**63))) == (LAST, FIRST)


def test_batches_of_the_stream(ledger: Ledger) -> None:
    """A time that fits is taken, whatever it is; one that does not makes the batch unreadable, for it is none of ours."""
    batches = [
        CallbackBatch(bytes([n]) * 16, us, [BatchItem("default", wire(status(callid=f"c{n}")), us)])
        for n, us in enumerate([0, 2**63 - 1, -(2**63)])
    ]
    reply = RecordLog(b"", 0, stream_rows(batches)).run(ledger)
    assert (reply.dispositions, reply.unreadable_rows, reply.set_aside) == ({Disposition.STORED: 3}, 0, [])
    assert len(everything(ledger)) == 3
    with pytest.raises(BatchDecodeError):
        decode(encode_batch(CallbackBatch(bytes(16), 2**63, [])))
