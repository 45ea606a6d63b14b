"""Read the callbacks of a call, as they were received."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.engine import Connection

from answerback.domain.models import CallbackKind, Page, StoredCallback
from answerback.ledger.read.paging import read_id
from answerback.ledger.rows import read_row
from answerback.ledger.tables import callbacks

MAX_PAGE_BYTES = 2 * 1024 * 1024
"""Of the bodies on a page of callbacks."""


def find_callbacks(connection: Connection, call_id: int, cursor: str | None, limit: int) -> Page[StoredCallback]:
    """A page of a call's callbacks, in order of arrival; fewer than `limit` where their bodies are large."""
    mine = callbacks.c.call_id == call_id
    after = 0 if cursor is None else read_id(cursor)
    ids = select(callbacks.c.id).where(mine, callbacks.c.id > after).order_by(callbacks.c.id).limit(limit + 1)
    sizes = connection.execute(_sizes(mine, ids)).all()
    shown = _first_of(sizes[:limit])
    next_cursor = str(shown[-1]) if len(shown) < len(sizes) else None
    return Page(_stored_callbacks(connection, mine, shown), next_cursor)


def find_last_callbacks(connection: Connection, call_id: int, limit: int) -> tuple[list[StoredCallback], int]:
    """The last callbacks of a call, in order of arrival, and how many came before them."""
    mine = callbacks.c.call_id == call_id
    count = connection.execute(select(func.count()).select_from(callbacks).where(mine)).scalar_one()
    ids = select(callbacks.c.id).where(mine).order_by(callbacks.c.id.desc()).limit(limit)
    shown = _first_of(connection.execute(_sizes(mine, ids)).all()[::-1])
    return _stored_callbacks(connection, mine, shown), count - len(shown)


def _sizes(mine: ColumnElement[bool], ids: Select[int]) -> Select[Any]:
    """Ids and sizes; the ids alone are sorted, by the index, before a body is looked at."""
    return (
        select(callbacks.c.id, func.length(callbacks.c.raw))
        .where(mine, callbacks.c.id.in_(ids.scalar_subquery()))
        .order_by(callbacks.c.id)
    )


def _first_of(sizes: Sequence[Any]) -> list[int]:
    """The first ids of `sizes` whose bodies are a page together; one at least, if there is one."""
    shown: list[int] = []
    total = 0
    for id_, size in sizes:
        total += size
        if shown and total > MAX_PAGE_BYTES:
            break
        shown.append(id_)
    return shown


def _stored_callbacks(connection: Connection, mine: ColumnElement[bool], ids: Sequence[int]) -> list[StoredCallback]:
    rows = connection.execute(select(callbacks).where(mine, callbacks.c.id.in_(ids)).order_by(callbacks.c.id))
    return [read_row(StoredCallback, row, kind=CallbackKind(row.kind)) for row in rows]
