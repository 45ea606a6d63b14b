"""Retention by age: what is older than the settings say is deleted, a little at a time, oldest first.

What belongs to a call is as old as the call. A call is left alone, with all that belongs to it, while a delivery of it can
still be sent, and as long as an attempt may be under way; statistics are sums, and stay. A call that is deleted is remembered by its
callid for a while: a callback of it that comes late must not count it a second time.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Table, and_, delete, exists, func, literal_column, not_, or_, select, tuple_
from sqlalchemy.engine import Connection

from answerback.domain.delivery_states import ACTIVE_STATES
from answerback.domain.retention import Cutoffs
from answerback.ledger.backends.postgresql.partition_ids import IDS_PER_MONTH, month_of_id
from answerback.ledger.backends.selection import bulk_sql, dialect_of
from answerback.ledger.tables import (
    AWAITED_PREDICATE,
    attempts,
    audit_events,
    callbacks,
    calls,
    deliveries,
    pruned_calls,
    quarantine,
)
from answerback.ledger.types import from_us, to_us

REMEMBERED_DAYS = 30
"""For how long a deleted call is remembered."""

CALL_TABLES = ("calls", "callbacks", "deliveries", "attempts")
"""Each with what goes with it: itself and those after it."""

MONTHS = "months"
_FREE_PAGES = "free pages"
STAGES = (*CALL_TABLES, "quarantine", "audit_events", "pruned_calls", MONTHS, _FREE_PAGES)
"""What a pass goes through, in this order."""

_CALLS_PER_STEP = 64
_ROWS_PER_STEP = 512
_IN_FLIGHT = timedelta(days=1)
"""How long ago a delivery must have come to its end: an attempt that began before may still be reported."""

_TIMES = {"quarantine": quarantine.c.received_us, "audit_events": audit_events.c.occurred_us}
_d = deliveries.c
_awaited: ColumnElement[bool] = literal_column(f"({AWAITED_PREDICATE})")


class PrunePosition(msgspec.Struct, frozen=True, array_like=True):
    """How far a pass is: in which of STAGES, and after which row there."""

    stage: str = STAGES[0]
    after: tuple[int, int] = (-(2**63), 0)


class PruneResult(msgspec.Struct, frozen=True, array_like=True):
    """What one step deleted, by table, and where the next one goes on; None: the pass is at its end."""

    deleted: dict[str, int]
    position: PrunePosition | None


class PruneEstimate(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows of a table are too old, and since when it will go on from there: the time of the oldest that stays."""

    table: str
    rows: int
    oldest_kept_at: datetime | None


def prune_step(connection: Connection, cutoffs: Cutoffs, position: PrunePosition, now: datetime) -> PruneResult:
    """Delete the next few rows that are too old."""
    stage, dialect = position.stage, dialect_of(connection)
    if stage == MONTHS:
        is_more = cutoffs.calls and dialect.drop_empty_month(connection, to_us(cutoffs.calls))
        return PruneResult({}, position if is_more else _next_stage(stage))
    if stage == _FREE_PAGES:
        return PruneResult({}, position if dialect.release_free_pages(connection) else None)
    if stage == "pruned_calls":
        forgotten = _forget_pruned(connection, to_us(now - timedelta(days=REMEMBERED_DAYS)))
        return PruneResult({}, position if forgotten == _ROWS_PER_STEP else _next_stage(stage))
    cutoff: datetime | None = getattr(cutoffs, stage)
    if cutoff is None:
        return PruneResult({}, _next_stage(stage))
    if stage in CALL_TABLES:
        return _prune_calls(connection, position, to_us(cutoff), now)
    return _prune_rows(connection, position, to_us(cutoff))


def estimate(connection: Connection, cutoffs: Cutoffs, now: datetime) -> list[PruneEstimate]:
    """What a pass would delete of each table."""
    return [
        *(
            _estimate_calls(connection, table, getattr(cutoffs, table.name), now)
            for table in (calls, callbacks, deliveries)
        ),
        _estimate_calls(connection, attempts, cutoffs.attempts, now),
        *(_estimate_rows(connection, table, getattr(cutoffs, table.name)) for table in (quarantine, audit_events)),
    ]


def find_pruned(connection: Connection, keys: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of calls, each a channel and a call_key, that were deleted for their age, as far as that is remembered."""
    if not keys or bulk_sql(connection).execute("SELECT 1 FROM pruned_calls LIMIT 1", ()).fetchone() is None:
        return set()
    key = ("channel", "call_key")
    return set(bulk_sql(connection).select_many(pruned_calls, key, key, keys))


def _next_stage(stage: str) -> PrunePosition | None:
    following = STAGES[STAGES.index(stage) + 1 :]
    return PrunePosition(following[0]) if following else None


def _prune_calls(connection: Connection, position: PrunePosition, cutoff_us: int, now: datetime) -> PruneResult:
    """Delete what the stage is about of the next calls; of one that has very much, a part."""
    order = (calls.c.first_seen_us, calls.c.id)
    found = connection.execute(
        select(*order)
        .where(calls.c.first_seen_us < cutoff_us, tuple_(*order) > position.after)
        .order_by(*order)
        .limit(_CALLS_PER_STEP)
    ).all()
    if not found:
        return PruneResult({}, _next_stage(position.stage))
    ids = _settled(connection, [row.id for row in found], now)
    deleted: dict[str, int] = {}
    for table in reversed(CALL_TABLES[CALL_TABLES.index(position.stage) :]):
        if table == "calls":
            deleted[table] = _delete_calls(connection, ids, now)
        elif (count := _delete_some(connection, table, ids)) == _ROWS_PER_STEP:
            return PruneResult(deleted | {table: count}, position)
        else:
            deleted[table] = count
    return PruneResult(deleted, PrunePosition(position.stage, (found[-1].first_seen_us, found[-1].id)))


def _settled(connection: Connection, ids: Sequence[int], now: datetime) -> list[int]:
    """Those of these calls that nobody works on; nobody else changes them before the transaction ends."""
    bulk_sql(connection).lock_rows(calls, ids)
    query = select(calls.c.id).where(calls.c.id.in_(ids), _is_settled(connection, now))
    return list(connection.execute(query.order_by(calls.c.id)).scalars())


def _is_settled(connection: Connection, now: datetime) -> ColumnElement[bool]:
    """Whether no outcome of the call is awaited, no delivery of it is at work or was a moment ago, and no id is counted from it."""
    at_work = or_(_d.state.in_([state.value for state in ACTIVE_STATES]), _d.finished_us > to_us(now - _IN_FLIGHT))
    is_at_work = exists().where(_d.call_id == calls.c.id, at_work)
    return and_(
        not_(_awaited), not_(is_at_work), calls.c.id.not_in(dialect_of(connection).calls_with_last_ids(connection))
    )


def _delete_some(connection: Connection, name: str, call_ids: Sequence[int]) -> int:
    """Delete some of the rows of a table that belong to these calls; how many there were."""
    if not call_ids:
        return 0
    table = {"callbacks": callbacks, "deliveries": deliveries, "attempts": attempts}[name]
    mine: list[ColumnElement[bool]] = [table.c.call_id.in_(call_ids)] if table is not attempts else []
    query: Any = select(table.c.id)
    if table is attempts:
        first, last = month_of_id(min(call_ids)), month_of_id(max(call_ids))  # or every month would be looked into
        mine = [attempts.c.delivery_id.between(first * IDS_PER_MONTH, (last + 1) * IDS_PER_MONTH - 1)]
        query = query.join(deliveries, _d.id == attempts.c.delivery_id).where(_d.call_id.in_(call_ids))
    ids = connection.execute(query.where(*mine).limit(_ROWS_PER_STEP)).scalars().all()
    if ids:
        connection.execute(delete(table).where(table.c.id.in_(ids), *mine))
    return len(ids)


def _delete_calls(connection: Connection, ids: Sequence[int], now: datetime) -> int:
    """Delete calls of which nothing else is left, and remember them."""
    keys = [(id_,) for id_ in ids]
    known = list(bulk_sql(connection).select_many(calls, ("channel", "call_key"), ("id",), keys))
    columns = ("channel", "call_key", "pruned_us")
    bulk_sql(connection).upsert(pruned_calls, columns, columns[:2], [(*key, to_us(now)) for key in known])
    connection.execute(delete(calls).where(calls.c.id.in_(ids)))
    return len(known)


def _prune_rows(connection: Connection, position: PrunePosition, cutoff_us: int) -> PruneResult:
    """Delete the oldest rows of a table that belong to no call; the newest stays, as ids are counted from it.

    Audit events are as old as their ids say, but for some that a clock put later which was set back.
    """
    name = position.stage
    table, time_us = _TIMES[name].table, _TIMES[name]
    is_older = table.c.id < select(func.max(table.c.id)).scalar_subquery()
    order = (time_us, table.c.id) if name == "quarantine" else (table.c.id, time_us)  # each by an index that there is
    rest = select(*order).where(is_older, tuple_(*order) > position.after).order_by(*order)
    found = connection.execute(rest.limit(_ROWS_PER_STEP)).all()
    ids = [row.id for row in found if row._mapping[time_us] < cutoff_us]  # noqa: SLF001  # SQLAlchemy's name for a row as a mapping
    connection.execute(delete(table).where(table.c.id.in_(ids)))
    is_more = ids and len(found) == _ROWS_PER_STEP
    return PruneResult({name: len(ids)}, PrunePosition(name, tuple(found[-1])) if is_more else _next_stage(name))


def _forget_pruned(connection: Connection, before_us: int) -> int:
    """Forget some of the calls that were deleted before a time."""
    key = (pruned_calls.c.channel, pruned_calls.c.call_key)
    old = select(*key).where(pruned_calls.c.pruned_us < before_us).order_by(pruned_calls.c.pruned_us)
    keys = [tuple(row) for row in connection.execute(old.limit(_ROWS_PER_STEP))]
    if keys:
        connection.execute(delete(pruned_calls).where(tuple_(*key).in_(keys)))
    return len(keys)


def _estimate_calls(connection: Connection, table: Table, cutoff: datetime | None, now: datetime) -> PruneEstimate:
    goes = (
        and_(calls.c.first_seen_us < to_us(cutoff), _is_settled(connection, now)) if cutoff else literal_column("1 = 0")
    )
    old = select(calls.c.id).where(goes)
    counted = select(func.count()).select_from(table)
    if table is calls:
        counted = counted.where(goes)
    elif table is attempts:
        counted = counted.where(attempts.c.delivery_id.in_(select(_d.id).where(_d.call_id.in_(old))))
    else:
        counted = counted.where(table.c.call_id.in_(old))
    oldest = select(calls.c.first_seen_us).where(not_(goes)).order_by(calls.c.first_seen_us).limit(1)
    return _estimated(connection, table, connection.execute(counted).scalar_one() if cutoff else 0, oldest)


def _estimate_rows(connection: Connection, table: Table, cutoff: datetime | None) -> PruneEstimate:
    time_us = _TIMES[str(table.name)]
    cutoff_us = to_us(cutoff) if cutoff else 0
    goes = and_(time_us < cutoff_us, table.c.id < select(func.max(table.c.id)).scalar_subquery())
    counted = select(func.count()).select_from(table).where(goes)
    oldest = select(func.min(time_us)).where(not_(goes))
    return _estimated(connection, table, connection.execute(counted).scalar_one(), oldest)


def _estimated(connection: Connection, table: Table, rows: int, oldest: Any) -> PruneEstimate:
    oldest_us = connection.execute(oldest).scalar()
    return PruneEstimate(
        table=str(table.name), rows=rows, oldest_kept_at=None if oldest_us is None else from_us(oldest_us)
    )
