"""What a sender, a call or a key may bring about has a bound: no commit, no record and no answer grows with it."""

from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from builders import NOON, STARTED, UUID1, failure, folded, key_press, received, status, unanswered, wire
from contract import delivery_helpers
from contract.backends import sqlite
from contract.pagination import walked
from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from answerback.domain.endpoints import DeliveryState
from answerback.domain.models import MAX_KEYS, CallbackKind, Outcome, Role
from answerback.errors import InvalidCursor, StateConflict
from answerback.ledger import Ledger
from answerback.ledger.admin import api_keys, endpoints
from answerback.ledger.admin.audit import CLI_ACTOR
from answerback.ledger.backends.selection import bulk_sql
from answerback.ledger.read.callbacks import MAX_PAGE_BYTES
from answerback.ledger.read.statistics import HourRange
from answerback.ledger.tables import callbacks, calls, deliveries, rollup_breakdowns
from answerback.ledger.types import to_us
from answerback.ledger.write.batch_writer import CALLBACK_COLUMNS
from answerback.ledger.write.outbox import DELIVERY_COLUMNS

MANY = 20_000


def test_a_call_keeps_its_first_keys_and_counts_all(ledger: Ledger) -> None:
    """What comes after them is stored and counted, and a repeat is not news."""
    items = [received(key_press(key=str(n)), after_s=n) for n in range(MAX_KEYS + 50)]
    ledger.record(items[:-20])
    ledger.record([*items[-20:], items[-1], items[0]])
    call = ledger.call(UUID1)
    assert call.keys == tuple(str(n) for n in range(MAX_KEYS))
    assert call.keys_total == MAX_KEYS + 50 == folded(items).keys_total


def test_late_keys_are_in_order_as_long_as_few_are_known(ledger: Ledger) -> None:
    """A key that came in before the others goes before them; none is put before those of a call with very many."""
    ledger.record([received(key_press(key=str(n)), after_s=n) for n in range(10, MAX_KEYS)])
    ledger.record([received(key_press(key=str(n)), after_s=n) for n in range(20) if n < 10])
    assert ledger.call(UUID1).keys == tuple(str(n) for n in range(MAX_KEYS))
    ledger.record([received(key_press(key="more"), after_s=MAX_KEYS)])
    ledger.record([received(key_press(key="late"), after_s=-1)])
    assert ledger.call(UUID1).keys == tuple(str(n) for n in range(MAX_KEYS))
    assert ledger.call(UUID1).keys_total == MAX_KEYS + 2


def test_callbacks_come_page_by_page(ledger: Ledger) -> None:
    """Each once, in order of arrival, whatever the size of the page."""
    items = [received(key_press(key=str(n)), after_s=n) for n in range(25)]
    ledger.record([*items, received(status(callid="other"))])
    for size in (1, 7, 24, 25, 26):
        assert [entry.raw for entry in walked(ledger, UUID1, size)] == [item.raw for item in items]
    page = ledger.callbacks(UUID1, limit=10)
    assert (len(page.items), page.next_cursor) == (10, str(page.items[-1].id))
    for cursor in ("x", "-1", str(2**63), ""):
        with pytest.raises(InvalidCursor):
            ledger.callbacks(UUID1, cursor=cursor)


def test_a_page_of_large_callbacks_is_short(ledger: Ledger) -> None:
    """A page holds so many bytes of bodies at most, and one callback at least."""
    padding = b" " * 65_000
    items = [received(key_press(key=str(n)), after_s=n, raw=wire(key_press(key=str(n))) + padding) for n in range(60)]
    ledger.record(items)
    page = ledger.callbacks(UUID1, limit=500)
    assert sum(len(entry.raw) for entry in page.items) <= MAX_PAGE_BYTES
    assert 1 < len(page.items) < len(items)
    assert [entry.raw for entry in walked(ledger, UUID1, 500)] == [item.raw for item in items]


def test_what_senders_make_up_does_not_grow_the_statistics(ledger: Ledger) -> None:
    """Any number of failure codes and of ring times: the row of their hour, which each commit reads and writes, stays small."""
    ledger.record([received(failure(callid=f"f-{n}", code=n * 1_000, reason="")) for n in range(3_000)])
    long = [timedelta(minutes=n) for n in range(3_000)]
    ledger.record([received(unanswered(callid=f"u-{n}", ended_at=STARTED + rang)) for n, rang in enumerate(long)])
    sizes = ledger.read(lambda c: c.execute(select(func.length(rollup_breakdowns.c.counts))).scalars().all())
    assert max(sizes) < 40_000
    found = ledger.statistics(HourRange(since=NOON, until=NOON + timedelta(hours=1)))
    assert found.codes == {0: 1, 11: 2_999}
    assert (found.ring.calls, found.ring.total_s) == (3_000, sum(rang.total_seconds() for rang in long))


def test_there_is_an_end_to_how_many_endpoints_and_keys_there_are(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each callback is delivered to every endpoint of its channel, and lists of both are whole."""
    assert (endpoints.MAX_ENDPOINTS, api_keys.MAX_KEYS) == (1000, 1000)
    monkeypatch.setattr(endpoints, "MAX_ENDPOINTS", 20)
    monkeypatch.setattr(api_keys, "MAX_KEYS", 20)

    def add_key(n: int) -> None:
        draft = api_keys.KeyDraft(f"k-{n}", n.to_bytes(32), Role.VIEWER, full_numbers=False)
        ledger.write(lambda c, _: api_keys.add(c, draft, CLI_ACTOR, NOON))

    for n in range(20):
        delivery_helpers.endpoint(ledger, f"e-{n}")
        add_key(n)
    with pytest.raises(StateConflict, match="there are 20 endpoints already: remove one"):
        delivery_helpers.endpoint(ledger)
    with pytest.raises(StateConflict, match="there are 20 keys already: revoke one"):
        add_key(20)


Work = Callable[[Ledger], object]


@pytest.mark.parametrize("state", [DeliveryState.DELIVERED, DeliveryState.BLOCKED])
def test_a_commit_costs_the_same_however_many_callbacks_a_call_has(tmp_path: Path, state: DeliveryState) -> None:
    """Counted in the steps of SQLite's engine: more of a call with 20,000 callbacks and deliveries, and an end of one."""
    costs = []
    for count in (0, MANY):
        with closing(sqlite(tmp_path / str(count))()) as ledger:
            endpoint = delivery_helpers.endpoint(ledger)
            ledger.record([received(status())])
            (job,) = delivery_helpers.load(ledger, endpoint)
            if count:
                _flood(ledger, count, endpoint.id, state)
            works: list[Work] = [
                lambda ledger: ledger.record([received(key_press(key="#"), after_s=10)]),
                lambda ledger: ledger.record([received(key_press(key="*"), after_s=5)]),
                lambda ledger: delivery_helpers.annotate(ledger, UUID1, reference="order-1"),
                lambda ledger, job=job: delivery_helpers.accept(ledger, job),  # type: ignore[misc]
            ]
            costs.append([_steps(ledger, work) for work in works])
            assert ledger.call(UUID1).keys_total == (count + 2 if count else 2)
            assert ledger.call(UUID1).outcome is Outcome.ANSWERED
    for few, many in zip(*costs, strict=True):
        assert many < 3 * few + 2_000


def _flood(ledger: Ledger, count: int, endpoint_id: int, state: DeliveryState) -> None:
    """Give the ledger's first call so many more callbacks and deliveries, past the record."""
    now_us = to_us(NOON)
    callback_rows = [(n, 1, n.to_bytes(16), CallbackKind.KEY.value, now_us, 0, b"{}") for n in range(2, count + 2)]
    delivery_rows = [
        (n, endpoint_id, 1, n, "key_pressed", state.value, "tag", 0, 0, now_us, now_us) for n in range(2, count + 2)
    ]

    def work(connection: Connection, _: object) -> None:
        bulk_sql(connection).insert(callbacks, CALLBACK_COLUMNS, callback_rows)
        bulk_sql(connection).insert(deliveries, DELIVERY_COLUMNS, delivery_rows)
        bulk_sql(connection).update(calls, "keys_total = ?", (count,), [1])

    ledger.write(work)


def _steps(ledger: Ledger, work: Work) -> int:
    """How many hundred steps of the engine it takes on the connection that writes."""
    counted = 0

    def count() -> int:
        nonlocal counted
        counted += 100
        return 0

    def watch(handler: Callable[[], int] | None) -> None:
        ledger.write(lambda c, _: c.connection.driver_connection.set_progress_handler(handler, 100))  # type: ignore[union-attr]

    watch(count)
    work(ledger)
    watch(None)
    return counted
