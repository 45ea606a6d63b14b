"""Pages and their cursors."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Row, Select, and_, or_
from sqlalchemy.engine import Connection

from answerback.domain.models import Page
from answerback.errors import InvalidCursor

T = TypeVar("T")

MAX_ID = 2**63

Order = tuple[ColumnElement[int], ColumnElement[int]]
PagePosition = tuple[int, int]
"""Where a page ended: time in microseconds, and id."""


def following(query: Select[Any], order: Order, after: PagePosition | None, limit: int) -> Select[Any]:
    """`query` in falling order of time and id, from `after` on, with one row more than `limit`."""
    when, id_ = order
    if after is not None:
        last_when, last_id = after
        query = query.where(or_(when < last_when, and_(when == last_when, id_ < last_id)), when <= last_when)
    return query.order_by(when.desc(), id_.desc()).limit(limit + 1)


def read_page(
    connection: Connection, query: Select[Any], after: PagePosition | None, limit: int, build: Callable[[Row[Any]], T]
) -> Page[T]:
    """Read `limit` rows of `query` from `after` on; its columns define the order."""
    columns = query.selected_columns
    when = "first_seen_us" if "first_seen_us" in columns else "received_us"
    rows = connection.execute(following(query, (columns[when], columns["id"]), after, limit)).all()
    shown = rows[:limit]
    next_cursor = _write_cursor(getattr(shown[-1], when), shown[-1].id) if len(rows) > limit else None
    return Page([build(row) for row in shown], next_cursor)


def _write_cursor(when_us: int, id_: int) -> str:
    return urlsafe_b64encode(f"{when_us}.{id_}".encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> PagePosition:
    """Where the page before ended. Raises InvalidCursor."""
    try:
        when_us, _, id_ = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii").partition(".")
        return _int64(when_us), _int64(id_)
    except (ValueError, UnicodeError) as error:
        raise InvalidCursor("cursor: not one of a previous page") from error


def read_id(cursor: str) -> int:
    """The id at which a page of things in order of their ids ended. Raises InvalidCursor."""
    if (id_ := id_of(cursor)) is None:
        raise InvalidCursor("cursor: not one of a previous page")
    return id_


def id_of(text: str) -> int | None:
    """The id that `text` spells; None where it is none, or one that is larger than any."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < len(str(MAX_ID)) else None


def _int64(text: str) -> int:
    number = int(text)
    if not 0 <= number < MAX_ID:
        raise ValueError(text)
    return number
