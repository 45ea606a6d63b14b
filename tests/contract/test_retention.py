"""What is older than it is to be kept goes, with what belongs to it; what is at work and the statistics stay."""

from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from builders import ADMIN, NOON, failure, key_press, received, rejected, status, unanswered
from contract.backends import BACKENDS
from contract.delivery_helpers import (
    accept,
    accept_everything,
    annotate,
    endpoint,
    exhaust,
    load,
    load_one,
    undelivered,
)
from sqlalchemy import func, select, update

from answerback.domain.endpoints import Endpoint
from answerback.domain.retention import Cutoffs, RetentionPolicy
from answerback.errors import CallbackRejected, StateConflict
from answerback.ledger import LEDGER_FILE, Disposition, Ledger
from answerback.ledger.admin.audit import AuditAction, record_event
from answerback.ledger.read.statistics import HourRange
from answerback.ledger.tables import attempts, callbacks, calls, deliveries, metadata, quarantine
from answerback.ledger.write import retention
from answerback.ledger.write.retention import PrunePosition, PruneResult, estimate, prune_step

DAY_S = 86_400
EVER = HourRange(since=NOON - timedelta(days=40), until=NOON + timedelta(days=400))


def prune(ledger: Ledger, days_later: float = 100, **policy: float) -> dict[str, int]:
    """Run a whole pass at a later time; the rows that it deleted, by table."""
    now = NOON + timedelta(days=days_later)
    cutoffs = RetentionPolicy(**policy).cutoffs(now)
    deleted: dict[str, int] = {}
    position: PrunePosition | None = PrunePosition()
    planned = {one.table: one.rows for one in ledger.read(lambda c: estimate(c, cutoffs, now)) if one.rows}
    while position is not None:
        result = one_step(ledger, cutoffs, position, now)
        position = result.position
        for table, rows in result.deleted.items():
            deleted[table] = deleted.get(table, 0) + rows
    deleted = {table: rows for table, rows in deleted.items() if rows}
    assert deleted == planned  # what was said beforehand
    return deleted


def one_step(ledger: Ledger, cutoffs: Cutoffs, position: PrunePosition, now: datetime) -> PruneResult:
    """The next step of a pass."""
    return ledger.write(lambda c, _: prune_step(c, cutoffs, position, now))


def audit(ledger: Ledger, when: datetime) -> None:
    """Somebody did something."""
    ledger.write(lambda c, _: record_event(c, ADMIN, AuditAction.EXPORTED, when, "calls"))


def counts(ledger: Ledger) -> dict[str, int]:
    """Rows by table."""
    with ledger.engine.connect() as connection:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (calls, callbacks, deliveries, attempts, quarantine)
        }


def statistics(ledger: Ledger) -> object:
    """Everything that is counted."""
    with ledger.engine.connect() as connection:
        return [
            sorted(map(tuple, connection.execute(select(metadata.tables[name]))))
            for name in ("rollups", "rollup_breakdowns", "hourly_ingest")
        ]


def callids(ledger: Ledger) -> set[str]:
    """The calls that are there."""
    return {call.callid for call in ledger.calls().items}


def delivered(ledger: Ledger) -> None:
    """Two calls of NOON and one of 90 days later, delivered to an endpoint on the day each came."""
    to = endpoint(ledger)
    ledger.record([received(status(callid="old")), received(key_press(callid="old"), after_s=1)])
    ledger.record([received(failure(callid="older"), after_s=-DAY_S)])
    accept_everything(ledger, to)
    ledger.record([received(status(callid="new"), after_s=90 * DAY_S)])
    accept_everything(ledger, to, at_s=90 * DAY_S)


def a_newer_attempt(ledger: Ledger, to: Endpoint) -> None:
    """One more call, delivered: the newest rows stay where ids are counted from them."""
    ledger.record([received(status(callid="newest"), after_s=100 * DAY_S)])
    accept_everything(ledger, to, at_s=100 * DAY_S)


def test_old_calls_go_with_all_that_belongs_to_them(ledger: Ledger) -> None:
    """Calls, callbacks, deliveries and attempts; the younger ones stay, and every statistic stays as it was."""
    delivered(ledger)
    before = statistics(ledger)
    assert prune(ledger, calls_days=30) == {"calls": 2, "callbacks": 3, "deliveries": 3, "attempts": 3}
    assert callids(ledger) == {"new"}
    assert counts(ledger) == {"calls": 1, "callbacks": 1, "deliveries": 1, "attempts": 1, "quarantine": 0}
    assert statistics(ledger) == before
    assert prune(ledger, calls_days=30) == {}


@pytest.mark.parametrize(
    ("policy", "gone"),
    [
        ({}, {}),
        ({"attempts_days": 30}, {"attempts": 3}),
        ({"deliveries_days": 30}, {"attempts": 3, "deliveries": 3}),
        ({"callbacks_days": 30}, {"attempts": 3, "deliveries": 3, "callbacks": 3}),
        ({"callbacks_days": 30, "attempts_days": 1000}, {"attempts": 3, "deliveries": 3, "callbacks": 3}),
        ({"calls_days": 1000, "attempts_days": 30}, {"attempts": 3}),
    ],
)
def test_each_table_has_its_own_age(ledger: Ledger, policy: dict[str, float], gone: dict[str, int]) -> None:
    """What belongs to something goes with it at the latest, and the call stays as it is known."""
    delivered(ledger)
    before, known = statistics(ledger), ledger.call("old")
    assert prune(ledger, **policy) == gone
    assert (ledger.call("old"), statistics(ledger)) == (known, before)
    assert callids(ledger) == {"older", "old", "new"}


def test_what_is_not_delivered_stays(ledger: Ledger) -> None:
    """Pending and blocked deliveries keep their call and its callbacks; once they are delivered, a day later all goes."""
    to = endpoint(ledger)
    ledger.record([received(status(callid="old")), received(key_press(callid="old"))])
    ledger.record([received(status(callid="new"), after_s=100 * DAY_S)])
    assert prune(ledger, calls_days=30) == {}
    assert len(undelivered(ledger)) == 3
    while jobs := load(ledger, to, at_s=100 * DAY_S):
        accept(ledger, *jobs, at_s=100 * DAY_S)
    a_newer_attempt(ledger, to)
    assert prune(ledger, 100.5, calls_days=30) == {}  # an attempt that is under way may still be reported
    assert prune(ledger, 101.5, calls_days=30) == {"calls": 1, "callbacks": 2, "deliveries": 2, "attempts": 2}


def test_a_dead_delivery_is_at_its_end(ledger: Ledger) -> None:
    """It goes with its call."""
    to = endpoint(ledger)
    ledger.record([received(status(callid="old"))])
    exhaust(ledger, load_one(ledger, to))
    a_newer_attempt(ledger, to)
    assert prune(ledger, calls_days=30)["deliveries"] == 1


def test_a_call_whose_outcome_is_awaited_stays(ledger: Ledger) -> None:
    """Until it is overdue, however old it is."""
    annotate(ledger, "awaited", due_at=NOON + timedelta(days=200))
    ledger.record([received(status(callid="new"), after_s=100 * DAY_S)])
    assert prune(ledger, calls_days=30) == {}


def test_a_late_callback_of_a_deleted_call_is_not_a_new_call(ledger: Ledger) -> None:
    """A repeat, and a callback never seen: both are kept in quarantine, and the call is counted once."""
    ledger.record([received(status(callid="old")), received(status(callid="new"), after_s=100 * DAY_S)])
    endpoint(ledger)
    before = ledger.statistics(EVER).total
    prune(ledger, calls_days=30)
    late = [received(status(callid="old"), after_s=101 * DAY_S), received(key_press(callid="old"), after_s=101 * DAY_S)]
    assert [one.disposition for one in ledger.record(late)] == [Disposition.QUARANTINED] * 2
    assert (callids(ledger), ledger.statistics(EVER).total) == ({"new"}, before)
    assert undelivered(ledger) == []
    (first, *_) = ledger.quarantined().items
    assert "deleted because of its age" in first.reason
    with pytest.raises(CallbackRejected, match="deleted because of its age"):
        ledger.requeue(first.id, ADMIN)
    assert ledger.quarantine_size()[0] == 2
    with pytest.raises(StateConflict, match="deleted because of its age"):
        annotate(ledger, "old", reference="order 1")


def test_a_deleted_call_is_remembered_for_a_while(ledger: Ledger) -> None:
    """After 30 days more it is forgotten: a callback of it would then be a new call."""
    ledger.record([received(status(callid="old")), received(status(callid="new"), after_s=100 * DAY_S)])
    assert prune(ledger, calls_days=30) == {"calls": 1, "callbacks": 1}
    prune(ledger, 100 + retention.REMEMBERED_DAYS - 1, calls_days=900)
    (still,) = ledger.record([received(status(callid="old"), after_s=129 * DAY_S)])
    assert still.disposition is Disposition.QUARANTINED
    prune(ledger, 100 + retention.REMEMBERED_DAYS + 1, calls_days=900)
    (again,) = ledger.record([received(status(callid="old"), after_s=132 * DAY_S)])
    assert again.disposition is Disposition.STORED


def test_a_repeat_after_the_callbacks_were_deleted_is_a_revision(ledger: Ledger) -> None:
    """The call is known and counted once; that the callback was there before is not known any more."""
    ledger.record([received(status(callid="old")), received(status(callid="new"), after_s=100 * DAY_S)])
    before = ledger.statistics(EVER).total
    prune(ledger, callbacks_days=30)
    (again,) = ledger.record([received(status(callid="old"), after_s=101 * DAY_S)])
    assert again.disposition is Disposition.STORED
    assert ledger.call("old").revisions == 1
    assert ledger.statistics(EVER).total == before


def test_keys_stay_though_their_callbacks_went(ledger: Ledger) -> None:
    """A key press that comes out of order does not drop those whose callbacks were deleted."""
    ledger.record([received(key_press(callid="old", key="1")), received(key_press(callid="old", key="2"), after_s=9)])
    ledger.record([received(status(callid="new"), after_s=100 * DAY_S)])
    prune(ledger, callbacks_days=30)
    ledger.record([received(key_press(callid="old", key="3"), after_s=5)])
    assert set(ledger.call("old").keys) == {"1", "2", "3"}


def test_ids_are_never_given_twice(ledger: Ledger) -> None:
    """The rows with the highest ids stay: what follows is counted from them."""
    to = endpoint(ledger)
    ledger.record([received(status(callid="only")), rejected(b"one"), rejected(b"two")])
    accept_everything(ledger, to)
    (before,) = ledger.callbacks("only").items
    prune(ledger, 1000, calls_days=1, quarantine_days=1)
    ledger.record([received(status(callid="next"), after_s=1000 * DAY_S), rejected(b"three", after_s=1000 * DAY_S)])
    assert ledger.callbacks("next").items[0].id > before.id
    assert [item.raw for item in ledger.quarantined().items] == [b"three", b"two"]


def test_the_quarantine_and_the_audit_log_have_their_own_age(ledger: Ledger) -> None:
    """Of neither the other goes."""
    ledger.record([rejected(b"old"), rejected(b"new", after_s=100 * DAY_S)])
    for when in (NOON, NOON + timedelta(days=100)):
        audit(ledger, when)
    assert prune(ledger, quarantine_days=30) == {"quarantine": 1}
    assert [item.raw for item in ledger.quarantined().items] == [b"new"]
    assert prune(ledger, audit_days=30) == {"audit_events": 1}
    assert [event.occurred_at for event in ledger.audit_events().items] == [NOON + timedelta(days=100)]


def test_wrong_clocks_hold_nothing_up(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither an event of the future before many old ones, nor a call of a time before all times."""
    monkeypatch.setattr(retention, "_ROWS_PER_STEP", 3)
    for when in (NOON + timedelta(days=9_999), *[NOON] * 7, NOON + timedelta(days=100)):
        audit(ledger, when)
    ledger.record([received(status(callid="old")), received(status(callid="new"), after_s=90 * DAY_S)])
    ledger.write(lambda c, _: c.execute(update(calls).where(calls.c.callid == "old").values(first_seen_us=-(10**15))))
    assert prune(ledger, audit_days=30, calls_days=30) == {"audit_events": 7, "calls": 1, "callbacks": 1}


def test_a_step_is_small(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many callbacks a call has: what a step leaves, the next one goes on with."""
    monkeypatch.setattr(retention, "_CALLS_PER_STEP", 3)
    monkeypatch.setattr(retention, "_ROWS_PER_STEP", 5)
    ledger.record([received(key_press(callid="many", key=str(n)), after_s=n) for n in range(23)])
    ledger.record([received(unanswered(callid=f"call {n}"), after_s=30 + n) for n in range(10)])
    ledger.record([received(status(callid="new"), after_s=100 * DAY_S)])
    assert prune(ledger, calls_days=30) == {"calls": 11, "callbacks": 33}
    assert callids(ledger) == {"new"}


def test_a_step_waits_for_others(ledger: Ledger) -> None:
    """Where another command waits it does nothing, unless it insists."""
    from answerback.ledger.commands import Prune

    ledger.record([received(status(callid="old")), received(status(callid="new"), after_s=100 * DAY_S)])
    cutoffs = RetentionPolicy(calls_days=30).cutoffs(NOON + timedelta(days=100))
    ledger.is_write_waiting = lambda: True
    assert Prune(cutoffs, PrunePosition()).run(ledger) == PruneResult({}, PrunePosition())
    assert Prune(cutoffs, PrunePosition(), insists=True).run(ledger).deleted["calls"] == 1


def test_a_file_gives_its_disk_back(tmp_path: Path) -> None:
    """Free pages above an eighth of the file go back to the disk, step by step; statistics stay."""
    with closing(BACKENDS["sqlite"](tmp_path)()) as ledger:
        body = b'{"padding": "' + b"x" * 4000 + b'"}'
        ledger.record([received(status(callid=f"call {n}"), after_s=n, raw=body) for n in range(500)])
        ledger.record([received(status(callid="new"), after_s=100 * DAY_S)])
        known = statistics(ledger)
    before_bytes = (tmp_path / LEDGER_FILE).stat().st_size
    with closing(BACKENDS["sqlite"](tmp_path)()) as ledger:
        assert prune(ledger, calls_days=30)["callbacks"] == 500
        assert statistics(ledger) == known
    assert (tmp_path / LEDGER_FILE).stat().st_size < before_bytes / 4
