"""Rows of a log go into the ledger once, in slices, on every backend."""

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from builders import ADMIN, AnyCallback, key_press, status, wire
from contract import delivery_helpers
from contract.backends import OpenLedger
from contract.test_bisection import REFUSED, refuse
from contract.test_statistics import EVER, everything, recount, said
from relay.waiting import in_loop

from answerback.domain.batches import BatchItem, decode_batch, encode_batch
from answerback.errors import CallbackRejected, LedgerUnavailable, PositionConflict
from answerback.ledger import Disposition, Ledger, LedgerConfig
from answerback.ledger.commands import ForgetLogs, LogPositions, ProbeWrite, RecordLog
from answerback.ledger.write.log_rows import SLICE_CALLBACKS, LogRow
from answerback.ledger.writer.client import WriterClient

LOG, OTHER = bytes(range(16)), bytes(16)
NOON_US = 1_777_636_800_000_000
STORED, DUPLICATE, QUARANTINED = Disposition.STORED, Disposition.DUPLICATE, Disposition.QUARANTINED


def row(position: int, *callbacks: AnyCallback | bytes) -> LogRow:
    """A row whose callbacks came in `position` seconds after noon."""
    at_us = NOON_US + position * 1_000_000
    bodies = [callback if isinstance(callback, bytes) else wire(callback) for callback in callbacks]
    return position, encode_batch([b"", at_us, [BatchItem("default", body, at_us) for body in bodies]])


def rows_of(callids: Sequence[str], size: int) -> list[LogRow]:
    """Rows of `size` callbacks each, from 1 on."""
    return [
        row(1 + first // size, *(status(callid=callid) for callid in callids[first : first + size]))
        for first in range(0, len(callids), size)
    ]


def position(ledger: Ledger, log: bytes = LOG) -> int:
    """How far the ledger says that `log` is recorded."""
    return LogPositions([log]).run(ledger)[log]


def test_the_position_moves_with_what_is_recorded(ledger: Ledger) -> None:
    """Each log has one of its own, 0 at first; the reply says how far it came and what became of the callbacks."""
    assert LogPositions([LOG, OTHER]).run(ledger) == {LOG: 0, OTHER: 0}
    first = RecordLog(LOG, 0, [row(1, status(callid="a")), row(2, status(callid="b"), b"{")]).run(ledger)
    assert (first.position, first.dispositions) == (2, {STORED: 2, QUARANTINED: 1})
    second = RecordLog(LOG, 2, [row(3, status(callid="a"), status(callid="c"))]).run(ledger)
    assert (second.position, second.dispositions) == (3, {DUPLICATE: 1, STORED: 1})
    assert LogPositions([LOG, OTHER]).run(ledger) == {LOG: 3, OTHER: 0}


def test_deliveries_come_back(ledger: Ledger) -> None:
    """What can be sent now is told, of saturated endpoints only that there is something."""
    crm, full = delivery_helpers.endpoint(ledger, "crm"), delivery_helpers.endpoint(ledger, "full")
    reply = RecordLog(LOG, 0, [row(1, status(callid="a"))], [full.id]).run(ledger)
    assert ([job.endpoint_id for job in reply.jobs], reply.backlogged) == ([crm.id], [full.id])


def test_the_same_again_is_a_conflict(ledger: Ledger) -> None:
    """Whoever repeats what was recorded learns it, and nothing is recorded twice, not even counted."""
    command = RecordLog(LOG, 0, [row(1, status(callid="a"))])
    command.run(ledger)
    with pytest.raises(PositionConflict, match="is recorded up to 1, not 0"):
        command.run(ledger)
    assert [entry.duplicates for entry in ledger.callbacks("a").items] == [0]


@pytest.mark.parametrize("after", [1, 7])
def test_a_position_that_the_ledger_does_not_have(ledger: Ledger, after: int) -> None:
    """Of a log that it does not know, or not so far: nothing is recorded, and nothing is known of the log."""
    with pytest.raises(PositionConflict):
        RecordLog(LOG, after, [row(after + 1, status(callid="a"))]).run(ledger)
    assert (ledger.calls().items, position(ledger)) == ([], 0)


def test_two_recorders(reopen: OpenLedger) -> None:
    """Of two that record the same log at the same time one is first with each row, the other is told."""
    ledgers = reopen(), reopen()
    rows = rows_of([f"c{n}" for n in range(40)], 2)
    recorded: list[int] = []

    def record(ledger: Ledger) -> None:
        while (done := position(ledger)) < len(rows):
            try:
                reply = RecordLog(LOG, done, rows[done : done + 3]).run(ledger)
            except PositionConflict:
                continue
            recorded.append(reply.position - done)

    threads = [threading.Thread(target=record, args=(ledger,)) for ledger in ledgers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(recorded) == len(rows)
    assert {entry.duplicates for n in range(40) for entry in ledgers[0].callbacks(f"c{n}").items} == {0}


def test_slices_make_what_one_batch_makes(ledger: Ledger) -> None:
    """A call in several slices, its repeats, keys out of order and statistics: as if each had come by itself."""
    delivery_helpers.endpoint(ledger, "crm")
    filler = [status(callid=f"c{n}") for n in range(SLICE_CALLBACKS)]
    rows = [
        row(2, status(callid="a"), key_press(callid="a", key="2"), *filler),
        row(1, key_press(callid="a", key="1"), status(callid="a"), status(callid="b"), *filler[:99]),
        row(3, *filler[99:], status(callid="a", fee_minutes=2), key_press(callid="a", key="3")),
        row(4, key_press(callid="a", key="3"), status(callid="d")),
    ]
    rows = [(place, payload) for place, (_, payload) in enumerate(rows, 1)]
    reply = RecordLog(LOG, 0, rows).run(ledger)
    assert reply.position == 4
    assert reply.dispositions == {STORED: SLICE_CALLBACKS + 7, DUPLICATE: SLICE_CALLBACKS + 2}
    call = ledger.call("a")
    assert (call.keys, call.revisions, call.fee_minutes) == (("1", "2", "3"), 1, 2)
    assert len(delivery_helpers.undelivered(ledger)) == SLICE_CALLBACKS + 7
    assert said(ledger.statistics(EVER)) == recount(everything(ledger))


def test_it_stops_between_slices_where_another_waits(ledger: Ledger) -> None:
    """At the end of the slice it commits, and says how far it came; the next one goes on there."""
    callids = [f"c{n}" for n in range(3 * SLICE_CALLBACKS)]
    rows = rows_of(callids, 100)
    ledger.is_write_waiting = lambda: True
    first = RecordLog(LOG, 0, rows).run(ledger)
    assert (first.position, first.dispositions, position(ledger)) == (3, {STORED: 300}, 3)
    ledger.is_write_waiting = lambda: False
    second = RecordLog(LOG, 3, rows[3:]).run(ledger)
    assert (second.position, second.dispositions) == (len(rows), {STORED: len(callids) - 300})
    assert said(ledger.statistics(EVER)) == recount(everything(ledger))


def test_rows_that_cannot_be_read(ledger: Ledger) -> None:
    """They are refused bodies with a reason that says so, and when they came; the rows around them are recorded."""
    rows = [row(1, status(callid="a")), (2, None), (7, None), (8, b"\x09later"), row(9, status(callid="b"))]
    reply = RecordLog(LOG, 0, rows).run(ledger)
    assert (reply.position, reply.unreadable_rows) == (9, 7)
    assert reply.dispositions == {STORED: 2, QUARANTINED: 3}
    kept = {item.raw: item.reason for item in ledger.quarantined().items}
    one, five, later = (f"{rows} of log {LOG.hex()}" for rows in ("row 2", "rows 3 to 7", "row 8"))
    lost = "cannot be read: missing or damaged; its callbacks were answered and are not recorded"
    came = "; it came in after 2026-05-01T12:00:01Z and before 2026-05-01T12:00:09Z"
    assert kept == {
        one.encode(): f"{one} {lost}{came}",
        five.encode(): f"{five} {lost}{came}",
        b"\x09later": f"{later} cannot be read: its version is 9, this program reads 1: run a newer recorder{came}",
    }
    assert RecordLog(LOG, 9, [(10, None)]).run(ledger).unreadable_rows == 1
    (last, *_) = ledger.quarantined().items
    assert last.reason == f"row 10 of log {LOG.hex()} {lost}"  # nobody knows when
    items = ledger.quarantined().items
    assert {item.result for item in items} == {0}, "their senders were answered OK"
    assert {item.raw for item in items if item.requeueable} == {b"\x09later"}
    assert ledger.requeueable_ids() == [item.id for item in items if item.requeueable]
    for item in items:
        with pytest.raises(
            CallbackRejected, match="cannot be read: missing" if not item.requeueable else "version is 9"
        ):
            ledger.requeue(item.id, ADMIN)


def test_a_row_that_a_later_program_can_read(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requeued, each body goes into its channel, as of the time it came in, and what is no callback to quarantine."""
    _, payload = row(1, status(callid="a"), b"{")
    alert = BatchItem("alerts", wire(status(callid="b")), NOON_US)
    written = b"\x02" + encode_batch([b"", NOON_US, [alert, *decode_batch(payload or b"").items]])[1:]
    assert RecordLog(LOG, 0, [(1, written)]).run(ledger).unreadable_rows == 1
    (kept,) = ledger.quarantined().items
    monkeypatch.setattr("answerback.domain.batches._HEADER", b"\x02")
    assert ledger.requeue(kept.id, ADMIN).disposition is STORED
    assert {(call.callid, call.channel) for call in ledger.calls().items} == {("a", "default"), ("b", "alerts")}
    assert [item.raw for item in ledger.quarantined().items] == [b"{"]


def test_a_body_that_looks_like_a_row_is_a_body(ledger: Ledger) -> None:
    """Whoever knows one URL cannot have anything recorded in another channel by way of the quarantine."""
    forged = encode_batch([b"", NOON_US, [BatchItem("alerts", wire(status(callid="b")), NOON_US)]])
    RecordLog(LOG, 0, [row(1, forged)]).run(ledger)
    (kept,) = ledger.quarantined().items
    with pytest.raises(CallbackRejected):
        ledger.requeue(kept.id, ADMIN)
    assert ledger.calls().items == []


def test_poison_is_set_aside_in_its_slice(ledger: Ledger) -> None:
    """What the ledger refuses goes to quarantine, the rest in, in the transaction that moves the position; so too where another waits."""
    refuse(ledger)
    callids = [f"c{n}" for n in range(2 * SLICE_CALLBACKS)]
    callids[5] = callids[SLICE_CALLBACKS + 5] = "poison"
    rows = rows_of(callids, SLICE_CALLBACKS)
    ledger.is_write_waiting = lambda: True
    first = RecordLog(LOG, 0, rows).run(ledger)
    assert (first.position, first.dispositions) == (1, {STORED: SLICE_CALLBACKS - 1, QUARANTINED: 1})
    ledger.is_write_waiting = lambda: False
    second = RecordLog(LOG, 1, [*rows[1:], row(3, status(callid="d"))]).run(ledger)
    assert (second.position, second.dispositions) == (3, {STORED: SLICE_CALLBACKS, DUPLICATE: 1})
    assert [len(reply.set_aside) for reply in (first, second)] == [1, 1]
    assert [item.reason for item in ledger.quarantined().items] == [REFUSED]
    assert said(ledger.statistics(EVER)) == recount(everything(ledger))


def test_what_is_not_stored_does_not_move_the_position(ledger: Ledger) -> None:
    """A ledger that fails at the last statement of the transaction holds nothing of it."""
    with ledger.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE hourly_ingest RENAME TO gone")
    try:
        with pytest.raises(LedgerUnavailable):
            RecordLog(LOG, 0, [row(1, status(callid="a"))]).run(ledger)
        assert (ledger.calls().items, position(ledger)) == ([], 0)
    finally:
        with ledger.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE gone RENAME TO hourly_ingest")


def test_nothing_and_rows_without_callbacks(ledger: Ledger) -> None:
    """No rows leave the position; an empty one moves it."""
    assert RecordLog(LOG, 0, []).run(ledger).position == 0
    assert RecordLog(LOG, 0, [row(1)]).run(ledger).position == 1
    assert position(ledger) == 1


def test_logs_that_nobody_keeps_are_forgotten(ledger: Ledger) -> None:
    """A log is kept by what is recorded of it, and by whoever still has it."""
    for log in (LOG, OTHER):
        RecordLog(log, 0, [row(1, status(callid="a"))]).run(ledger)
    ForgetLogs([], NOON_US).run(ledger)
    assert LogPositions([LOG, OTHER]).run(ledger) == {LOG: 1, OTHER: 1}
    ForgetLogs([OTHER], 2**62).run(ledger)
    assert LogPositions([LOG, OTHER]).run(ledger) == {LOG: 0, OTHER: 1}


@in_loop
async def test_another_command_waits_for_no_more_than_a_slice(tmp_path: Path) -> None:
    """A real writer sees a command that comes while it records, and lets it go first; with none it records all."""
    rows = rows_of([f"c{n}" for n in range(8 * SLICE_CALLBACKS)], 64)
    writer = WriterClient(LedgerConfig(data_dir=str(tmp_path), allow_unsafe_filesystem=True))
    await writer.start()
    try:
        await writer.execute(ProbeWrite())
        first, _ = await asyncio.gather(writer.execute(RecordLog(LOG, 0, rows)), writer.execute(ProbeWrite()))
        assert 0 < first.position < len(rows)
        assert first.position * 64 % SLICE_CALLBACKS == 0
        second = await writer.execute(RecordLog(LOG, first.position, rows[first.position :]))
        assert second.position == len(rows)
        with pytest.raises(PositionConflict):
            await writer.execute(RecordLog(LOG, 0, rows))
    finally:
        await writer.stop(10)
