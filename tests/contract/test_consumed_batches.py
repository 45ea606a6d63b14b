"""Batches of the stream go into the ledger once, on every backend."""

import threading

import pytest
from builders import key_press, status, stream_rows, wire
from contract.backends import OpenLedger

from answerback.domain.batches import BatchItem, CallbackBatch
from answerback.ledger import Disposition, Ledger
from answerback.ledger.commands import LogReply, PruneConsumed, RecordLog
from answerback.ledger.write.log_rows import SLICE_CALLBACKS

NOON_US = 1_777_636_800_000_000


def batch(number: int, *callids: str) -> CallbackBatch:
    """A batch published `number` seconds after noon."""
    at_us = NOON_US + number * 1_000_000
    return CallbackBatch(
        bytes([number]) * 16, at_us, [BatchItem("default", wire(status(callid=callid)), at_us) for callid in callids]
    )


def record(ledger: Ledger, *batches: CallbackBatch) -> LogReply:
    """Have batches recorded as a recorder of a stream does."""
    return RecordLog(b"", 0, stream_rows(batches)).run(ledger)


def test_once(ledger: Ledger) -> None:
    """A batch that the ledger holds is passed over; a new one beside it is not."""
    first = record(ledger, batch(1, "a", "b"))
    assert (first.position, first.repeated_batches, first.dispositions) == (1, 0, {Disposition.STORED: 2})
    again = record(ledger, batch(1, "a", "b"), batch(2, "a", "c"))
    assert (again.position, again.repeated_batches) == (2, 1)
    assert again.dispositions == {Disposition.STORED: 1, Disposition.DUPLICATE: 1}
    assert [entry.duplicates for entry in ledger.callbacks("b").items] == [0]


def test_twice_at_a_time(ledger: Ledger) -> None:
    """The same batch twice in one request is one batch."""
    assert record(ledger, batch(1, "a"), batch(1, "a")).repeated_batches == 1
    assert [entry.duplicates for entry in ledger.callbacks("a").items] == [0]


def test_nothing_new(ledger: Ledger) -> None:
    """A request that holds nothing new does nothing."""
    record(ledger, batch(1, "a"))
    assert record(ledger, batch(1, "a")).dispositions == {}
    assert record(ledger).position == 0


@pytest.mark.parametrize("has_repeat", [False, True])
def test_it_stops_between_slices_where_another_waits(ledger: Ledger, has_repeat: bool) -> None:  # noqa: FBT001  # pytest's
    """What it did not come to counts as new the next time, beside a batch that it had already as well."""
    batches = [batch(n, *(f"c{n}-{m}" for m in range(SLICE_CALLBACKS))) for n in (1, 2, 3)]
    if has_repeat:
        record(ledger, batch(9, "x"))
        batches.insert(0, batch(9, "x"))
    waits = iter([False, False, False, False, True])  # while it parses nobody does
    ledger.is_write_waiting = lambda: next(waits, True)
    first = record(ledger, *batches)
    assert first.position < len(batches)
    ledger.is_write_waiting = lambda: False
    rest = record(ledger, *batches[first.position :])
    assert rest.repeated_batches == 0
    assert first.dispositions[Disposition.STORED] + rest.dispositions[Disposition.STORED] == 3 * SLICE_CALLBACKS
    assert first.repeated_batches == has_repeat


def test_in_order_of_arrival(ledger: Ledger) -> None:
    """Callbacks of one request are put in the order in which they came in, whatever the order of the batches."""
    pressed = [
        CallbackBatch(
            bytes([n]) * 16, NOON_US, [BatchItem("default", wire(key_press(callid="a", key=str(n))), NOON_US + n)]
        )
        for n in (3, 1, 2)
    ]
    record(ledger, *pressed)
    assert ledger.call("a").keys == ("1", "2", "3")


def test_two_recorders(reopen: OpenLedger) -> None:
    """Two recorders that have the same batches at the same time write them once."""
    ledgers = reopen(), reopen()
    batches = [batch(n, f"c{n}", "shared") for n in range(40)]
    repeated: list[int] = []

    def record_all(ledger: Ledger, offered: list[CallbackBatch]) -> None:
        repeated.append(sum(record(ledger, *offered[n : n + 4]).repeated_batches for n in range(0, 40, 4)))

    threads = [
        threading.Thread(target=record_all, args=(ledger, offered))
        for ledger, offered in zip(ledgers, (batches, batches[::-1]), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(repeated) == 40
    assert [entry.duplicates for entry in ledgers[0].callbacks("shared").items] == [39]
    assert [entry.duplicates for entry in ledgers[0].callbacks("c7").items] == [0]


@pytest.mark.parametrize("limit", [1, 10])
def test_forget(ledger: Ledger, limit: int) -> None:
    """Ids of batches published before a time are forgotten, the oldest first; one of them then counts as repeated."""
    record(ledger, *(batch(n, f"c{n}") for n in (1, 2, 3)))
    assert PruneConsumed(NOON_US + 3_000_000, limit).run(ledger) == min(limit, 2)
    assert record(ledger, batch(1, "c1"), batch(3, "c3")).repeated_batches == 1
    assert [entry.duplicates for entry in ledger.callbacks("c1").items] == [1]
