"""Erasures of one person's number: what was asked for, and the receipt of what was done. Which rows hold it: `erasure_targets`."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import Row, insert, select, update
from sqlalchemy.engine import Connection

from answerback.domain.number_finder import NumberFinder
from answerback.errors import ResourceNotFound
from answerback.ledger.admin.audit import Actor, AuditAction, record_event
from answerback.ledger.admin.endpoints import touch_all
from answerback.ledger.read.paging import MAX_ID
from answerback.ledger.rows import read_row
from answerback.ledger.tables import api_keys, endpoints, erasures
from answerback.ledger.types import to_us
from answerback.ledger.write.erasure_targets import blank_value

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
        if blank_value(finder, "", name) or blank_value(finder, "", config):
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


def _erasure(row: Row[Any]) -> Erasure:
    return read_row(
        Erasure, row, state=ErasureState(row.state), erased=_counts(row.erased), kept_in=_names(row.kept_in)
    )
