"""A callback that the ledger refuses costs nobody but itself, on every backend: directly and by the stream."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from builders import ADMIN, key_press, received, status, stream_rows, wire
from contract import delivery_helpers
from contract.backends import OpenLedger, sqlite
from contract.test_statistics import EVER, everything, recount, said
from sqlalchemy import text

from answerback.domain.batches import BatchItem, CallbackBatch
from answerback.domain.calls import fold
from answerback.errors import CallbackRejected, LedgerUnavailable
from answerback.ledger import Disposition, Ledger
from answerback.ledger.commands import RecordLog

REFUSED = "the ledger cannot store a value in it"
NOON_US = 1_777_636_800_000_000

REFUSING = {
    "sqlite": """
        CREATE TRIGGER poison BEFORE INSERT ON calls WHEN substr(NEW.callid, 1, 6) = 'poison'
        BEGIN SELECT RAISE(ABORT, 'value 13788888888 out of range'); END""",
    "postgresql": """
        CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'value 13788888888 out of range' USING ERRCODE = '22003'; END $$;
        CREATE TRIGGER poison BEFORE INSERT ON calls FOR EACH ROW WHEN (substr(NEW.callid, 1, 6) = 'poison') EXECUTE FUNCTION poison()""",
}


def refuse(ledger: Ledger) -> None:
    """From now on the database refuses calls whose callid begins with poison, as it does a value that does not fit."""
    with ledger.engine.begin() as connection:
        connection.exec_driver_sql(REFUSING[connection.dialect.name])


def batch(number: int, callids: Sequence[str]) -> CallbackBatch:
    """A batch of the stream."""
    items = [BatchItem("default", wire(status(callid=callid)), NOON_US + n) for n, callid in enumerate(callids)]
    return CallbackBatch(bytes([number]) * 16, NOON_US, items)


@pytest.mark.parametrize("value", [2**31, 2**63], ids=str)
def test_a_value_that_fits_no_column(ledger: Ledger, value: int) -> None:
    """Whoever finds it too large, the driver or the server: the others of the batch are recorded, in order."""
    items = [received(status(callid=f"c{n}")) for n in range(9)]
    items.insert(4, received(status(callid="poison", fee_minutes=value)))
    recorded = ledger.record_batch(items)
    if ledger.engine.dialect.name == "sqlite" and value < 2**63:
        assert recorded.set_aside == []
        return
    assert [receipt.disposition for receipt in recorded.receipts] == [Disposition.STORED] * 4 + [
        Disposition.QUARANTINED
    ] + [Disposition.STORED] * 5
    (kept,) = ledger.quarantined().items
    assert (kept.raw, kept.result, kept.reason) == (items[4].raw, 3004, REFUSED)
    assert len(recorded.set_aside) == 1
    assert said(ledger.statistics(EVER)) == recount(everything(ledger))


def test_directly(ledger: Ledger) -> None:
    """The others are recorded, and their deliveries go out; the same again is a repeat of both sorts."""
    delivery_helpers.endpoint(ledger, "crm")
    refuse(ledger)
    callids = ["a", "poison-1", "b", "poison-2", "c", "a"]
    items = [received(status(callid=callid)) for callid in callids]
    noted = ledger.record_batch(items)
    stored, aside = Disposition.STORED, Disposition.QUARANTINED
    assert [receipt.disposition for receipt in noted.receipts] == [
        stored,
        aside,
        stored,
        aside,
        stored,
        Disposition.DUPLICATE,
    ]
    assert {(kept.result, kept.reason) for kept in ledger.quarantined().items} == {(3004, REFUSED)}
    assert len(noted.jobs) == len(delivery_helpers.undelivered(ledger)) == 3
    assert [("13788888888" in detail, "out of range" in detail) for detail in noted.set_aside] == [(False, True)] * 2
    again = ledger.record_batch(items).receipts
    assert [receipt.disposition for receipt in again] == [Disposition.DUPLICATE] * 6
    assert ledger.quarantine_size()[0] == 2


def test_by_the_stream(reopen: OpenLedger) -> None:
    """A batch with poison is in the ledger once and whole, with its neighbours, though it comes again; keys keep their order."""
    ledger = reopen()
    refuse(ledger)
    batches = [batch(1, ["a", "poison-1", "b"]), batch(2, ["c"]), batch(3, ["poison-2"])]
    first = RecordLog(b"", 0, stream_rows(batches)).run(ledger)
    assert (first.repeated_batches, first.dispositions, len(first.set_aside)) == (
        0,
        {Disposition.STORED: 3, Disposition.QUARANTINED: 2},
        2,
    )
    again = RecordLog(b"", 0, stream_rows([*batches, batch(4, ["d"])])).run(reopen())
    assert (again.repeated_batches, again.dispositions, again.set_aside) == (3, {Disposition.STORED: 1}, [])
    assert {(call.callid, call.outcome.value) for call in ledger.calls().items} == {(c, "answered") for c in "abcd"}
    assert [entry.duplicates for entry in ledger.callbacks("a").items] == [0]
    assert said(ledger.statistics(EVER)) == recount(everything(ledger))


def test_past_the_quarantine_s_bounds(reopen: OpenLedger) -> None:
    """It is a callback by all that is known: a quarantine that is full, or takes no more a minute, keeps it all the same."""
    ledger = reopen(quarantine_bytes=1, quarantine_per_minute=0)
    refuse(ledger)
    recorded = ledger.record_batch([received(status(callid="poison")), received(key_press(callid="a"))])
    assert [receipt.disposition for receipt in recorded.receipts] == [Disposition.QUARANTINED, Disposition.STORED]


def test_read_once_more(ledger: Ledger) -> None:
    """While the ledger refuses it, it stays; once it does not, it is recorded."""
    refuse(ledger)
    ledger.record_batch([received(status(callid="poison"))])
    (kept,) = ledger.quarantined().items
    with pytest.raises(CallbackRejected, match=REFUSED):
        ledger.requeue(kept.id, ADMIN)
    with ledger.engine.begin() as connection:
        connection.execute(
            text("DROP FUNCTION poison CASCADE" if connection.dialect.name == "postgresql" else "DROP TRIGGER poison")
        )
    assert ledger.requeue(kept.id, ADMIN).disposition is Disposition.STORED
    assert ledger.call("poison").outcome.value == "answered"
    assert ledger.quarantine_size()[0] == 0


def test_what_the_quarantine_refuses_too(ledger: Ledger) -> None:
    """Then nothing is reported as stored, and a batch of the stream stays one that the ledger does not hold."""
    refuse(ledger)
    with ledger.engine.begin() as connection:
        connection.execute(text("DROP TABLE quarantine"))
    with pytest.raises(LedgerUnavailable, match="has the schema of another version"):
        RecordLog(b"", 0, stream_rows([batch(1, ["a", "poison"])])).run(ledger)
    assert ledger.calls().items == []
    assert RecordLog(b"", 0, stream_rows([batch(2, ["b"])])).run(ledger).dispositions == {Disposition.STORED: 1}


def test_a_fault_of_the_program(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """One callback that trips the program is set aside where others are taken; alone it is no more than refused."""

    def stumbling(before: Any, item: Any) -> Any:
        if item.callback.callid == "poison":
            raise KeyError(item.callback.callid)
        return fold(before, item)

    monkeypatch.setattr("answerback.ledger.write.batch_writer.fold", stumbling)
    poison = received(status(callid="poison"))
    with pytest.raises(KeyError):
        ledger.record_batch([poison])
    assert ledger.quarantine_size()[0] == 0
    recorded = ledger.record_batch([received(status(callid="a")), poison])
    assert [receipt.disposition for receipt in recorded.receipts] == [Disposition.STORED, Disposition.QUARANTINED]


def test_a_locked_ledger_is_not_taken_apart(tmp_path: Path) -> None:
    """What is the ledger's own trouble costs no callback its place."""
    with closing(sqlite(tmp_path)()) as ledger:
        with ledger.engine.execution_options(writes=True).begin(), pytest.raises(LedgerUnavailable, match="is locked"):
            ledger.record_batch([received(status(callid="a")), received(status(callid="b"))])
        assert ledger.quarantine_size()[0] == 0
