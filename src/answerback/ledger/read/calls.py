"""Read one call, or pages of calls, newest first."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, Select, and_, bindparam, func, literal, or_, select, union_all
from sqlalchemy.engine import Connection

from answerback.domain.models import Call, CallbackKind, Outcome, Page
from answerback.domain.phone_numbers import spellings
from answerback.errors import AmbiguousCall, ResourceNotFound
from answerback.ledger.read.paging import PagePosition, following, read_cursor, read_page
from answerback.ledger.rows import READ_COLUMNS, call_of
from answerback.ledger.tables import call_key, calls
from answerback.ledger.types import to_us

_MAX_CLASSES = 100
_CLASS = ("channel", "kind", "outcome")
_CALL_ORDER = (calls.c.first_seen_us, calls.c.id)
Class = tuple[str, str, str]
"""A channel, a kind and an outcome."""

_call_columns = [calls.c[name] for name in READ_COLUMNS]


class CallFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which calls: each given field must match. `since` <= first seen < `until`; `mobile` in any spelling."""

    channel: str | None = None
    mobile: str | None = None
    outcome: Outcome | None = None
    kind: CallbackKind | None = None
    failure_code: int | None = None
    reference: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def find_call(connection: Connection, callid: str, channel: str | None) -> tuple[int, Call]:
    """The row id and the call.

    Raises ResourceNotFound, and AmbiguousCall where several channels hold the callid and none is named.
    """
    if channel is None:
        holders = channels_holding(connection, callid)
        if len(holders) > 1:
            raise AmbiguousCall(callid, holders)
        channel = holders[0] if holders else ""
    row = connection.execute(_one_call, {"channel": channel, "call_key": call_key(callid)}).one_or_none()
    if row is None:
        raise ResourceNotFound(f"no call {callid}" + (f" in channel {channel}" if channel else ""))
    return row[0], call_of(tuple(row))


_one_call = select(*_call_columns).where(
    calls.c.call_key == bindparam("call_key"), calls.c.channel == bindparam("channel")
)


def channels_holding(connection: Connection, callid: str) -> list[str]:
    """Which channels have a call of this callid."""
    return [name for (name,) in connection.execute(_holders, {"call_key": call_key(callid)})]


def _channels_holding() -> Select[str]:
    """Walk the channels by index, one probe each: callids alone have no index of their own."""
    first = select(func.min(calls.c.channel).label("name")).cte("channels", recursive=True)
    names = first.union_all(
        select(select(func.min(calls.c.channel)).where(calls.c.channel > first.c.name).scalar_subquery()).where(
            first.c.name.is_not(None)
        )
    )
    held = select(literal(1)).where(calls.c.channel == names.c.name, calls.c.call_key == bindparam("call_key")).exists()
    return select(names.c.name).where(held).order_by(names.c.name)


_holders = _channels_holding()


def find_calls(connection: Connection, filters: CallFilter, cursor: str | None, limit: int) -> Page[Call]:
    """A page of calls, newest first."""
    page = find_call_rows(connection, filters, cursor, limit)
    return Page([call for _, call in page.items], page.next_cursor)


def find_call_rows(
    connection: Connection, filters: CallFilter, cursor: str | None, limit: int
) -> Page[tuple[int, Call]]:
    """A page of calls with the ids of their rows, newest first.

    A reference and a failure code have an index. A number is probed block by block. A channel, kind or outcome is read class by class, each from its end of the
    index, so that a rare one costs no more than a common one. Everything else walks the index of times.
    """
    after = None if cursor is None else read_cursor(cursor)
    query = select(*_call_columns).where(*_conditions(filters))
    if filters.reference is None and filters.mobile is not None:
        query = _by_mobile(query, filters.mobile)
    elif (filters.reference, filters.failure_code) != (None, None):
        pass  # both have an index of their own
    elif (filters.channel, filters.kind, filters.outcome) != (None, None, None):
        classes = _classes(connection, filters)
        if not classes:
            return Page([], None)
        if len(classes) <= _MAX_CLASSES:
            return read_page(connection, _by_class(classes, filters, after, limit), None, limit, _call)
    return read_page(connection, query, after, limit, _call)


def find_page_of_calls(
    connection: Connection, conditions: Sequence[ColumnElement[bool]], cursor: str | None, limit: int
) -> Page[Call]:
    """A page of the calls that match `conditions`, newest first. Raises InvalidCursor."""
    after = None if cursor is None else read_cursor(cursor)
    page = read_page(connection, select(*_call_columns).where(*conditions), after, limit, _call)
    return Page([call for _, call in page.items], page.next_cursor)


def count_calls(connection: Connection, filters: CallFilter) -> int:
    query = select(func.count()).select_from(calls).where(*_conditions(filters))
    if filters.mobile is not None:
        query = query.where(*to_number(filters.mobile))
    return connection.execute(query).scalar_one()


def _call(row: Row[Any]) -> tuple[int, Call]:
    return row.id, call_of(tuple(row))


def _conditions(filters: CallFilter) -> list[ColumnElement[bool]]:
    """What a call has to match, but for the number; what is not to be looked up by index is hidden from the planner."""
    conditions = of_class(filters)
    if filters.reference is not None:
        conditions.append(calls.c.reference == filters.reference)
        if filters.mobile is not None:
            conditions += to_number(filters.mobile, calls.c.mobile.concat(""))
    if filters.failure_code is not None:
        code = calls.c.failure_code
        conditions.append(
            (code if filters.reference is None and filters.mobile is None else code + 0) == filters.failure_code
        )
    return [*conditions, *in_time(filters)]


def of_class(filters: CallFilter) -> list[ColumnElement[bool]]:
    """What a call has to match in channel, kind and outcome, hidden from the planner."""
    given = {name: getattr(filters, name) for name in _CLASS}
    return [calls.c[name].concat("") == value for name, value in given.items() if value is not None]


def in_time(filters: CallFilter) -> list[ColumnElement[bool]]:
    """What a call has to match to be of the time."""
    conditions = []
    if filters.since is not None:
        conditions.append(calls.c.first_seen_us >= to_us(filters.since))
    if filters.until is not None:
        conditions.append(calls.c.first_seen_us < to_us(filters.until))
    return conditions


def _classes(connection: Connection, filters: CallFilter) -> list[Class]:
    """Which channel, kind and outcome go together in the ledger and match `filters`; of too many, not all."""
    matching: list[Class] = []
    found = _class_after(connection, (filters.channel or "", "", ""))
    while found is not None and filters.channel in (None, found[0]) and len(matching) <= _MAX_CLASSES:
        if filters.kind in (None, found[1]) and filters.outcome in (None, found[2]):
            matching.append(found)
        found = _class_after(connection, found)
    return matching


def _class_after(connection: Connection, last: Class) -> Class | None:
    """The next class in the index, by a seek for each column: compared as one row, SQLite reads all that are equal."""
    for known in range(len(last), 0, -1):
        row = connection.execute(_CLASS_BEYOND[known - 1], dict(zip(_CLASS[:known], last, strict=False))).one_or_none()
        if row is not None:
            return (row.channel, row.kind, row.outcome)
    return None


def _class_beyond(known: int) -> Select[Any]:
    """The first class that has all but the last of so many columns as they are given, and in that one more."""
    *same, rising = (calls.c[name] for name in _CLASS[:known])
    columns = [calls.c[name] for name in _CLASS]
    beyond = (*(column == bindparam(column.name) for column in same), rising > bindparam(rising.name))
    return select(*columns).where(*beyond).order_by(*columns).limit(1)


_CLASS_BEYOND = [_class_beyond(known) for known in (1, 2, 3)]  # made once: a search looks at each class there is


def _by_class(classes: Sequence[Class], filters: CallFilter, after: PagePosition | None, limit: int) -> Select[Any]:
    """The newest of each class, then the newest of those."""
    newest = []
    for channel, kind, outcome in classes:
        one = select(*_call_columns).where(
            calls.c.channel == channel, calls.c.kind == kind, calls.c.outcome == outcome, *in_time(filters)
        )
        newest.append(select(following(one, _CALL_ORDER, after, limit).subquery()))
    return select(union_all(*newest).subquery())


def _by_mobile(query: Select[Any], mobile: str) -> Select[Any]:
    """Probe the number in every block of calls; decision 0004 says why there is no index on the number alone."""
    last = select(func.max(calls.c.mobile_block).label("n")).cte("blocks", recursive=True)
    before = select(func.max(calls.c.mobile_block)).where(calls.c.mobile_block < last.c.n).scalar_subquery()
    blocks = last.union_all(select(before).where(last.c.n.is_not(None)))
    return query.join(blocks, and_(calls.c.mobile_block == blocks.c.n, *to_number(mobile)))


def to_number(mobile: str, column: ColumnElement[str] = calls.c.mobile) -> list[ColumnElement[bool]]:
    """What a call to this number has to match, however it was spelled here and there."""
    meant = spellings(mobile)
    forms = column.in_((*meant.anywhere, *meant.national))
    if not meant.national:
        return [forms]
    whole = calls.c.mobile.concat("").in_(meant.anywhere)  # hidden from the planner: the forms are looked up
    return [forms, or_(whole, calls.c.nationcode.in_(meant.codes))]
