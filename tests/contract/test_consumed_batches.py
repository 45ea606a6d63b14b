"""Batches of the stream go into the ledger once, on every backend."""

import threading

import pytest
from builders import key_press, status, wire
from contract.backends import OpenLedger

from answerback.domain.batches import BatchItem, CallbackBatch
from answerback.ledger import Disposition, Ledger
from answerback.ledger.commands import PruneConsumed, RecordStreamBatches

NOON_US = 1_777_636_800_000_000


def batch(number: int, *callids: str) -> CallbackBatch:
    """A batch published `number` seconds after noon."""
    at_us = NOON_US + number * 1_000_000
    return CallbackBatch(
        bytes([number]) * 16, at_us, [BatchItem("default", wire(status(callid=callid)), at_us) for callid in callids]
    )


def test_once(ledger: Ledger) -> None:
    """A batch that the ledger holds is passed over; a new one beside it is not."""
    first = RecordStreamBatches([batch(1, "a", "b")]).run(ledger)
    assert (first.new, first.dispositions) == (1, {Disposition.STORED: 2})
    again = RecordStreamBatches([batch(1, "a", "b"), batch(2, "a", "c")]).run(ledger)
    assert (again.new, again.dispositions) == (1, {Disposition.STORED: 1, Disposition.DUPLICATE: 1})
    assert [entry.duplicates for entry in ledger.callbacks("b").items] == [0]


def test_twice_at_a_time(ledger: Ledger) -> None:
    """The same batch twice in one request is one batch."""
    assert RecordStreamBatches([batch(1, "a"), batch(1, "a")]).run(ledger).new == 1
    assert [entry.duplicates for entry in ledger.callbacks("a").items] == [0]


def test_nothing_new(ledger: Ledger) -> None:
    """A request that holds nothing new does nothing."""
    RecordStreamBatches([batch(1, "a")]).run(ledger)
    assert RecordStreamBatches([batch(1, "a")]).run(ledger).new == 0
    assert RecordStreamBatches([]).run(ledger).new == 0


def test_in_order_of_arrival(ledger: Ledger) -> None:
    """Callbacks of one request are put in the order in which they came in, whatever the order of the batches."""
    pressed = [
        CallbackBatch(
            bytes([n]) * 16, NOON_US, [BatchItem("default", wire(key_press(callid="a", key=str(n))), NOON_US + n)]
        )
        for n in (3, 1, 2)
    ]
    RecordStreamBatches(pressed).run(ledger)
    assert ledger.call("a").keys == ("1", "2", "3")


def test_two_recorders(reopen: OpenLedger) -> None:
    """Two recorders that have the same batches at the same time write them once."""
    ledgers = reopen(), reopen()
    batches = [batch(n, f"c{n}", "shared") for n in range(40)]
    written: list[int] = []

    def record(ledger: Ledger, offered: list[CallbackBatch]) -> None:
        written.append(sum(RecordStreamBatches(offered[n : n + 4]).run(ledger).new for n in range(0, 40, 4)))

    threads = [
        threading.Thread(target=record, args=(ledger, offered))
        for ledger, offered in zip(ledgers, (batches, batches[::-1]), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(written) == 40
    assert [entry.duplicates for entry in ledgers[0].callbacks("shared").items] == [39]
    assert [entry.duplicates for entry in ledgers[0].callbacks("c7").items] == [0]


@pytest.mark.parametrize("limit", [1, 10])
def test_forget(ledger: Ledger, limit: int) -> None:
    """Ids of batches published before a time are forgotten, the oldest first; one of them then counts as repeated."""
    RecordStreamBatches([batch(n, f"c{n}") for n in (1, 2, 3)]).run(ledger)
    assert PruneConsumed(NOON_US + 3_000_000, limit).run(ledger) == min(limit, 2)
    assert RecordStreamBatches([batch(1, "c1"), batch(3, "c3")]).run(ledger).new == 1
    assert [entry.duplicates for entry in ledger.callbacks("c1").items] == [1]
