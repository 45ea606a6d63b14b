"""Batches of the stream go into the ledger once, on every backend."""

import threading

import pytest
from builders import key_press, status, wire
from contract.backends import OpenLedger

from answerback.ledger import Ledger, Taken
from answerback.ledger.commands import ForgetDrained, RecordDrained
from answerback.ledger.write.consumed_batches import Batch, Item

NOON_US = 1_777_636_800_000_000


def batch(number: int, *callids: str) -> Batch:
    """A batch published `number` seconds after noon."""
    at_us = NOON_US + number * 1_000_000
    return Batch(
        bytes([number]) * 16, at_us, [Item("default", wire(status(callid=callid)), at_us) for callid in callids]
    )


def test_once(ledger: Ledger) -> None:
    """A batch that the ledger holds is passed over; a new one beside it is not."""
    first = RecordDrained([batch(1, "a", "b")]).run(ledger)
    assert (first.new, first.taken) == (1, {Taken.STORED: 2})
    again = RecordDrained([batch(1, "a", "b"), batch(2, "a", "c")]).run(ledger)
    assert (again.new, again.taken) == (1, {Taken.STORED: 1, Taken.REPEATED: 1})
    assert [entry.repeats for entry in ledger.callbacks("b").items] == [0]


def test_twice_at_a_time(ledger: Ledger) -> None:
    """The same batch twice in one request is one batch."""
    assert RecordDrained([batch(1, "a"), batch(1, "a")]).run(ledger).new == 1
    assert [entry.repeats for entry in ledger.callbacks("a").items] == [0]


def test_nothing_new(ledger: Ledger) -> None:
    """A request that holds nothing new does nothing."""
    RecordDrained([batch(1, "a")]).run(ledger)
    assert RecordDrained([batch(1, "a")]).run(ledger).new == 0
    assert RecordDrained([]).run(ledger).new == 0


def test_in_order_of_arrival(ledger: Ledger) -> None:
    """Callbacks of one request are put in the order in which they came in, whatever the order of the batches."""
    pressed = [
        Batch(bytes([n]) * 16, NOON_US, [Item("default", wire(key_press(callid="a", key=str(n))), NOON_US + n)])
        for n in (3, 1, 2)
    ]
    RecordDrained(pressed).run(ledger)
    assert ledger.call("a").keys == ("1", "2", "3")


def test_two_recorders(reopen: OpenLedger) -> None:
    """Two recorders that have the same batches at the same time write them once."""
    ledgers = reopen(), reopen()
    batches = [batch(n, f"c{n}", "shared") for n in range(40)]
    written: list[int] = []

    def record(ledger: Ledger, offered: list[Batch]) -> None:
        written.append(sum(RecordDrained(offered[n : n + 4]).run(ledger).new for n in range(0, 40, 4)))

    threads = [
        threading.Thread(target=record, args=(ledger, offered))
        for ledger, offered in zip(ledgers, (batches, batches[::-1]), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(written) == 40
    assert [entry.repeats for entry in ledgers[0].callbacks("shared").items] == [39]
    assert [entry.repeats for entry in ledgers[0].callbacks("c7").items] == [0]


@pytest.mark.parametrize("limit", [1, 10])
def test_forget(ledger: Ledger, limit: int) -> None:
    """Ids of batches published before a time are forgotten, the oldest first; one of them then counts as repeated."""
    RecordDrained([batch(n, f"c{n}") for n in (1, 2, 3)]).run(ledger)
    assert ForgetDrained(NOON_US + 3_000_000, limit).run(ledger) == min(limit, 2)
    assert RecordDrained([batch(1, "c1"), batch(3, "c3")]).run(ledger).new == 1
    assert [entry.repeats for entry in ledger.callbacks("c1").items] == [1]
