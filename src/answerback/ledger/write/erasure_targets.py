"""Where a person's number may be in the ledger, and how each row is written anew without it.

A call stays as a fact, a callback as the same JSON with stars in place of the number. What was computed from the number, fingerprints
and digests, becomes random: so a repeat of an erased callback is new.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from secrets import token_hex
from typing import Any, NamedTuple

from sqlalchemy import Column, Row, Table, delete, select, tuple_, update
from sqlalchemy.engine import Connection

from answerback.domain.delivery_states import TAG_LENGTH
from answerback.domain.endpoints import DeliveryState
from answerback.domain.number_finder import NumberFinder
from answerback.ledger.backends.selection import bulk_sql
from answerback.ledger.rows import NUMBER_COLUMNS, READ_COLUMNS
from answerback.ledger.tables import (
    alerts,
    attempts,
    audit_events,
    call_key,
    callbacks,
    calls,
    deliveries,
    endpoints,
    pruned_calls,
    quarantine,
)
from answerback.ledger.types import to_us
from answerback.ledger.write.rollups import Rollups

Key = tuple[Any, ...]
Changes = dict[str, Any]
"""New values by column; none: the row stays as it is."""

_FINISHED = (DeliveryState.DELIVERED.value, DeliveryState.DEAD.value)
_MOBILE, _CALL_FROM = (1 << NUMBER_COLUMNS.index(name) for name in ("mobile", "call_from"))


class ErasureTarget(NamedTuple):
    """A table in which the number may be, the columns that are looked at, and what becomes of a row."""

    table: Table
    columns: tuple[str, ...]
    change: Callable[[NumberFinder, Row[Any]], Changes]

    @property
    def key(self) -> list[Column[Any]]:
        """What identifies and orders the rows."""
        return list(self.table.primary_key.columns)

    @property
    def name(self) -> str:
        return str(self.table.name)


def last_key(connection: Connection, target: ErasureTarget) -> Key | None:
    """The highest key that there is; None of an empty table."""
    found = select(*target.key).order_by(*(column.desc() for column in target.key)).limit(1)
    row = connection.execute(found).one_or_none()
    return None if row is None else tuple(row)


def find_page(
    connection: Connection, target: ErasureTarget, finder: NumberFinder, after: Key | None, upto: Key, limit: int
) -> tuple[list[Key], Key | None]:
    """Look through the next rows: the keys of those that hold the number, and where to go on; None at the end."""
    query = select(*target.key, *(target.table.c[name] for name in target.columns)).order_by(*target.key).limit(limit)
    key = tuple_(*target.key)
    query = query.where(key <= upto) if after is None else query.where(key <= upto, key > after)
    rows = connection.execute(query).all()
    width = len(target.key)
    found = [tuple(row[:width]) for row in rows if target.change(finder, row)]
    return found, tuple(rows[-1][:width]) if len(rows) == limit else None


def erase_rows(
    connection: Connection, target: ErasureTarget, finder: NumberFinder, keys: Sequence[Key], now: datetime
) -> dict[str, int]:
    """Erase the number from rows, as they are now; how many there were, by table. The transaction has to be alone."""
    if target.table is calls:
        return _erase_calls(connection, finder, keys)
    columns = [target.table.c[name] for name in target.columns]
    key = tuple_(*target.key)
    found = connection.execute(select(*target.key, *columns).where(key.in_(keys))).all()
    width, erased = len(target.key), 0
    for row in found:
        if changes := target.change(finder, row):
            mine = [column == value for column, value in zip(target.key, row[:width], strict=True)]
            if target.table is pruned_calls:
                connection.execute(delete(pruned_calls).where(*mine))
            else:
                own = _own_changes(target.table, now)
                connection.execute(update(target.table).where(*mine).values({**changes, **own}))
            erased += 1
    counts = {target.name: erased}
    if target.table is callbacks:
        counts["deliveries"] = _renew_message_tags(connection, [key[0] for key in keys])
    return counts


def _own_changes(table: Table, now: datetime) -> Changes:
    """What changes of every row that held the number: above all what was computed from it."""
    if table is callbacks:
        return {"fingerprint": os.urandom(16), "erased_us": to_us(now)}
    return {"digest": os.urandom(16)} if table is quarantine else {}


def _renew_message_tags(connection: Connection, callback_ids: Sequence[int]) -> int:
    """Give deliveries that are at their end another tag: it was computed from the fingerprint. How many there were.

    One that is not at its end keeps its own, or its endpoint would take a second attempt for another message.
    """
    d = deliveries.c
    mine = select(d.id, d.call_id).join(
        callbacks, (callbacks.c.call_id == d.call_id) & (callbacks.c.id == d.callback_id)
    )
    found = connection.execute(mine.where(callbacks.c.id.in_(callback_ids), d.state.in_(_FINISHED))).all()
    for id_, call_id in found:
        tag = token_hex(TAG_LENGTH // 2)
        connection.execute(update(deliveries).where(d.id == id_, d.call_id == call_id).values(message_tag=tag))
    return len(found)


def _erase_calls(connection: Connection, finder: NumberFinder, keys: Sequence[Key]) -> dict[str, int]:
    """Erase it from calls; in the statistics they count as of no known place from then on."""
    rollups, erased = Rollups(), 0
    rows = list(bulk_sql(connection).select_many(calls, READ_COLUMNS, ("id",), keys, lock=True))
    for row in rows:
        before = dict(zip(READ_COLUMNS, row, strict=True))
        changes = _change_call(finder, before)
        if not changes:
            continue
        erased += 1
        connection.execute(update(calls).where(calls.c.id == before["id"]).values(changes))
        rollups.replace(row, tuple({**before, **changes}[name] for name in READ_COLUMNS))
    bulk_sql(connection).lock_rollups()
    rollups.write(connection)
    return {"calls": erased}


def _call_target_change(finder: NumberFinder, row: Row[Any]) -> Changes:
    return _change_call(finder, row._mapping)  # noqa: SLF001  # SQLAlchemy's name for a row as a mapping


def _change_call(finder: NumberFinder, row: Mapping[Any, Any]) -> Changes:
    changes: Changes = {}
    missing = row["missing"] or 0
    if finder.is_callee(row["nationcode"], row["mobile"]):
        changes |= {"mobile": "", "missing": (missing := missing | _MOBILE)}
    if finder.is_in(row["call_from"]):
        changes |= {"call_from": "", "missing": missing | _CALL_FROM}
    if finder.is_in(row["callid"]):
        callid = f"{finder.blank_text(row['callid'])}~{token_hex(4)}"  # it has to stay one of its own
        changes |= {"callid": callid, "call_key": call_key(callid)}
    for name in ("nationcode", "failure_reason", "keys", "reference", "metadata"):
        changes |= blank_value(finder, name, row[name])
    return changes


def _change_columns(*names: str) -> Callable[[NumberFinder, Row[Any]], Changes]:
    def change(finder: NumberFinder, row: Row[Any]) -> Changes:
        changes: Changes = {}
        for name in names:
            changes |= blank_value(finder, name, getattr(row, name))
        return changes

    return change


def _change_endpoint(finder: NumberFinder, row: Row[Any]) -> Changes:
    """A removed endpoint is history, name and settings too; those of one that is there are not ours to change."""
    changes = blank_value(finder, "disabled_reason", row.disabled_reason)
    if row.deleted_us is not None:
        changes |= blank_value(finder, "name", row.name) | blank_value(finder, "config", row.config)
    return changes


def blank_value(finder: NumberFinder, name: str, value: str | bytes | None) -> Changes:
    """The value without the number, under its name; nothing where it is not in it."""
    if value is None:
        return {}
    body = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
    without = finder.blank_body(body)
    if without == body:
        return {}
    return {name: without.decode("utf-8", "surrogatepass") if isinstance(value, str) else without}


def _target(table: Table, *columns: str) -> ErasureTarget:
    return ErasureTarget(table, columns, _change_columns(*columns))


_CALL_TEXTS = ("callid", "missing", *NUMBER_COLUMNS, "failure_reason", "keys", "reference", "metadata")

TARGETS = (
    ErasureTarget(calls, _CALL_TEXTS, _call_target_change),
    _target(callbacks, "raw"),
    _target(quarantine, "raw", "reason"),
    _target(attempts, "response_body", "error"),
    _target(audit_events, "target"),
    _target(alerts, "value"),
    ErasureTarget(endpoints, ("name", "config", "disabled_reason", "deleted_us"), _change_endpoint),
    ErasureTarget(pruned_calls, (), _change_columns("call_key")),
)
"""Every table that may hold what came from outside. Endpoints and keys are the operator's own words: the receipt names those that hold the number."""
