"""Erasure of one person's number: every row that holds it is found, and written anew without it.

A call stays as a fact, a callback as the same JSON with stars in place of the number. What was computed from the number, fingerprints
and digests, becomes random: so a repeat of an erased callback is new.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from secrets import token_hex
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Column, Row, Table, delete, insert, select, tuple_, update
from sqlalchemy.engine import Connection

from answerback.domain.delivery_states import TAG_LENGTH
from answerback.domain.endpoints import DeliveryState
from answerback.domain.number_finder import NumberFinder
from answerback.errors import ResourceNotFound
from answerback.ledger.admin.audit import Actor, AuditAction, record_event
from answerback.ledger.admin.endpoints import touch_all
from answerback.ledger.backends import bulk_sql
from answerback.ledger.read.paging import MAX_ID
from answerback.ledger.rows import NUMBER_COLUMNS, READ_COLUMNS, read_row
from answerback.ledger.tables import (
    alerts,
    api_keys,
    attempts,
    audit_events,
    call_key,
    callbacks,
    calls,
    deliveries,
    endpoints,
    erasures,
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

_encode = msgspec.json.Encoder().encode
_counts = msgspec.json.Decoder(dict[str, int]).decode
_names = msgspec.json.Decoder(list[str]).decode


class ErasureState(StrEnum):
    """How far an erasure is: rows are looked for; the number is forgotten and the files are written anew; all is done.

    Or it has failed: the number was written down under a server secret that is not there any more.
    """

    ERASING = "erasing"
    COMPACTING = "compacting"
    DONE = "done"
    FAILED = "failed"


_UNFINISHED = (ErasureState.ERASING.value, ErasureState.COMPACTING.value)


class Erasure(msgspec.Struct, frozen=True, kw_only=True):
    """A request to erase a number, and its receipt; `erased` counts rows by table.

    `kept_in` names the settings that hold the number, which are the operator's own. `tries` is how often a worker has begun with it, `failure` what keeps it from being done, as far as that is known.
    """

    id: int
    requested_at: datetime
    state: ErasureState
    erased: dict[str, int]
    kept_in: list[str]
    tries: int
    failure: str | None
    finished_at: datetime | None
    sealed_number: bytes | None = None


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


def request_erasure(connection: Connection, sealed_number: bytes, actor: Actor, now: datetime) -> Erasure:
    """Write down that a number is to be erased. Raises PermissionDenied."""
    actor.require_full_numbers()
    values = {
        "requested_us": to_us(now),
        "state": ErasureState.ERASING.value,
        "sealed_number": sealed_number,
        "erased": "{}",
    }
    id_: int = connection.execute(insert(erasures).returning(erasures.c.id).values(values)).scalar_one()
    record_event(connection, actor, AuditAction.NUMBER_ERASED, now, "erasure", id_)
    return find_erasure(connection, id_)


def find_erasure(connection: Connection, id_: int) -> Erasure:
    """One erasure. Raises ResourceNotFound."""
    found = select(erasures).where(erasures.c.id == id_)
    row = connection.execute(found).one_or_none() if 0 <= id_ < MAX_ID else None
    if row is None:
        raise ResourceNotFound(f"no erasure {id_}")
    return _erasure(row)


def find_unfinished(connection: Connection) -> list[Erasure]:
    """The erasures that are under way, oldest first."""
    found = select(erasures).where(erasures.c.state.in_(_UNFINISHED)).order_by(erasures.c.id)
    return list(map(_erasure, connection.execute(found)))


def report_erasure(connection: Connection, id_: int, tries: int, failure: str | None) -> None:
    """Write down how often it was tried, and what keeps it from being done."""
    mine = update(erasures).where(erasures.c.id == id_, erasures.c.state.in_(_UNFINISHED))
    connection.execute(mine.values(tries=tries, failure=failure))


def forget_number(connection: Connection, id_: int, finder: NumberFinder, now: datetime) -> None:
    """Every row is erased: say in which settings the number still is, and forget it. No relay sends what it fetched before."""
    kept_in = _encode([*_find_settings(connection, finder)]).decode()
    mine = update(erasures).where(erasures.c.id == id_, erasures.c.state == ErasureState.ERASING.value)
    connection.execute(mine.values(state=ErasureState.COMPACTING.value, sealed_number=None, kept_in=kept_in))
    touch_all(connection, now)


def _find_settings(connection: Connection, finder: NumberFinder) -> Iterator[str]:
    """The settings that hold the number, by names without it."""
    e = endpoints.c
    for name, config in connection.execute(select(e.name, e.config).where(e.deleted_us.is_(None)).order_by(e.name)):
        if _blanked(finder, "", name) or _blanked(finder, "", config):
            yield f"endpoint {finder.blank_text(name)}"
    for name in connection.execute(select(api_keys.c.name).order_by(api_keys.c.id)).scalars():
        if finder.is_in(name):
            yield f"key {finder.blank_text(name)}"


def finish_erasure(connection: Connection, id_: int, now: datetime) -> None:
    """Nothing is left of it."""
    _end(connection, id_, ErasureState.DONE, now, None)


def fail_erasure(connection: Connection, id_: int, now: datetime) -> None:
    """Nobody can read any more which number it was."""
    _end(connection, id_, ErasureState.FAILED, now, "the server secret has changed since it was asked for: ask again")


def _end(connection: Connection, id_: int, state: ErasureState, now: datetime, failure: str | None) -> None:
    mine = update(erasures).where(erasures.c.id == id_, erasures.c.state.in_(_UNFINISHED))
    connection.execute(mine.values(state=state.value, sealed_number=None, finished_us=to_us(now), failure=failure))


def count_erased(connection: Connection, id_: int, counts: Mapping[str, int]) -> None:
    """Add to the receipt what was done in this transaction."""
    query = select(erasures.c.erased).where(erasures.c.id == id_).with_for_update()
    known = _counts(connection.execute(query).scalar_one())
    sums = {table: known.get(table, 0) + counts.get(table, 0) for table in {**known, **counts}}
    erased = {table: rows for table, rows in sums.items() if rows}
    connection.execute(update(erasures).where(erasures.c.id == id_).values(erased=_encode(erased).decode()))


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
    rows = list(bulk_sql.select_many(connection, calls, READ_COLUMNS, ("id",), keys, lock=True))
    for row in rows:
        before = dict(zip(READ_COLUMNS, row, strict=True))
        changes = _change_call(finder, before)
        if not changes:
            continue
        erased += 1
        connection.execute(update(calls).where(calls.c.id == before["id"]).values(changes))
        rollups.replace(row, tuple({**before, **changes}[name] for name in READ_COLUMNS))
    bulk_sql.lock_rollups(connection)
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
        changes |= _blanked(finder, name, row[name])
    return changes


def _change_columns(*names: str) -> Callable[[NumberFinder, Row[Any]], Changes]:
    def change(finder: NumberFinder, row: Row[Any]) -> Changes:
        changes: Changes = {}
        for name in names:
            changes |= _blanked(finder, name, getattr(row, name))
        return changes

    return change


def _change_endpoint(finder: NumberFinder, row: Row[Any]) -> Changes:
    """A removed endpoint is history, name and settings too; those of one that is there are not ours to change."""
    changes = _blanked(finder, "disabled_reason", row.disabled_reason)
    if row.deleted_us is not None:
        changes |= _blanked(finder, "name", row.name) | _blanked(finder, "config", row.config)
    return changes


def _blanked(finder: NumberFinder, name: str, value: str | bytes | None) -> Changes:
    """The value without the number, under its name; nothing where it is not in it."""
    if value is None:
        return {}
    body = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
    blanked = finder.blank_body(body)
    if blanked == body:
        return {}
    return {name: blanked.decode("utf-8", "surrogatepass") if isinstance(value, str) else blanked}


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


def _erasure(row: Row[Any]) -> Erasure:
    return read_row(
        Erasure, row, state=ErasureState(row.state), erased=_counts(row.erased), kept_in=_names(row.kept_in)
    )
