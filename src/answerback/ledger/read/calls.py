"""The reading side: one call, pages of calls, its callbacks, the quarantine. Newest first."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Row, Select, and_, bindparam, func, literal, or_, select, union_all
from sqlalchemy.engine import Connection

from answerback.domain.models import Call, CallbackKind, Outcome
from answerback.domain.phone_numbers import spellings
from answerback.errors import AmbiguousCall, InvalidCursor, NotFound
from answerback.ledger.rows import READ_COLUMNS, call_of
from answerback.ledger.tables import call_key, callbacks, calls, quarantine
from answerback.ledger.types import Page, QuarantineItem, StoredCallback, from_us, to_us

T = TypeVar("T")

MAX_PAGE_SIZE = 500
MAX_PAGE_BYTES = 2 * 1024 * 1024
"""Of the bodies on a page of callbacks."""

MAX_ID = 2**63

_MAX_CLASSES = 100
_CLASS = ("channel", "kind", "outcome")
_CALL_ORDER = (calls.c.first_seen_us, calls.c.id)

Order = tuple[ColumnElement[int], ColumnElement[int]]
Class = tuple[str, str, str]
"""A channel, a kind and an outcome."""
PagePosition = tuple[int, int]
"""Where a page ended: time in microseconds, and id."""

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

    Raises NotFound, and AmbiguousCall where several channels hold the callid and none is named.
    """
    if channel is None:
        holders = channels_holding(connection, callid)
        if len(holders) > 1:
            raise AmbiguousCall(callid, holders)
        channel = holders[0] if holders else ""
    row = connection.execute(_one_call, {"channel": channel, "call_key": call_key(callid)}).one_or_none()
    if row is None:
        raise NotFound(f"no call {callid}" + (f" in channel {channel}" if channel else ""))
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


def find_calls(connection: Connection, wanted: CallFilter, cursor: str | None, limit: int) -> Page[Call]:
    """A page of calls, newest first."""
    page = find_call_rows(connection, wanted, cursor, limit)
    return Page([call for _, call in page.items], page.next_cursor)


def find_call_rows(
    connection: Connection, wanted: CallFilter, cursor: str | None, limit: int
) -> Page[tuple[int, Call]]:
    """A page of calls with the ids of their rows, newest first.

    A reference and a failure code have an index. A number is probed block by block. A channel, kind or outcome is read class by class, each from its end of the
    index, so that a rare one costs no more than a common one. Everything else walks the index of times.
    """
    after = None if cursor is None else _read_cursor(cursor)
    query = select(*_call_columns).where(*_conditions(wanted))
    if wanted.reference is None and wanted.mobile is not None:
        query = _by_mobile(query, wanted.mobile)
    elif (wanted.reference, wanted.failure_code) != (None, None):
        pass  # both have an index of their own
    elif (wanted.channel, wanted.kind, wanted.outcome) != (None, None, None):
        classes = _classes(connection, wanted)
        if not classes:
            return Page([], None)
        if len(classes) <= _MAX_CLASSES:
            return _page(connection, _by_class(classes, wanted, after, limit), None, limit, _call)
    return _page(connection, query, after, limit, _call)


def find_page_of_calls(
    connection: Connection, conditions: Sequence[ColumnElement[bool]], cursor: str | None, limit: int
) -> Page[Call]:
    """A page of the calls that match `conditions`, newest first. Raises InvalidCursor."""
    after = None if cursor is None else _read_cursor(cursor)
    page = _page(connection, select(*_call_columns).where(*conditions), after, limit, _call)
    return Page([call for _, call in page.items], page.next_cursor)


def count_calls(connection: Connection, wanted: CallFilter) -> int:
    """How many calls there are."""
    query = select(func.count()).select_from(calls).where(*_conditions(wanted))
    if wanted.mobile is not None:
        query = query.where(*to_number(wanted.mobile))
    return connection.execute(query).scalar_one()


def _call(row: Row[Any]) -> tuple[int, Call]:
    return row.id, call_of(tuple(row))


def _conditions(wanted: CallFilter) -> list[ColumnElement[bool]]:
    """What a call has to match, but for the number; what is not to be looked up by index is hidden from the planner."""
    conditions = [
        calls.c[name].concat("") == value
        for name in ("channel", "kind", "outcome")
        if (value := getattr(wanted, name)) is not None
    ]
    if wanted.reference is not None:
        conditions.append(calls.c.reference == wanted.reference)
        if wanted.mobile is not None:
            conditions += to_number(wanted.mobile, calls.c.mobile.concat(""))
    if wanted.failure_code is not None:
        code = calls.c.failure_code
        conditions.append(
            (code if wanted.reference is None and wanted.mobile is None else code + 0) == wanted.failure_code
        )
    return [*conditions, *_in_time(wanted)]


def _in_time(wanted: CallFilter) -> list[ColumnElement[bool]]:
    conditions = []
    if wanted.since is not None:
        conditions.append(calls.c.first_seen_us >= to_us(wanted.since))
    if wanted.until is not None:
        conditions.append(calls.c.first_seen_us < to_us(wanted.until))
    return conditions


def _classes(connection: Connection, wanted: CallFilter) -> list[Class]:
    """Which channel, kind and outcome go together in the ledger and match `wanted`; of too many, not all."""
    matching: list[Class] = []
    found = _class_after(connection, (wanted.channel or "", "", ""))
    while found is not None and wanted.channel in (None, found[0]) and len(matching) <= _MAX_CLASSES:
        if wanted.kind in (None, found[1]) and wanted.outcome in (None, found[2]):
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


def _by_class(classes: Sequence[Class], wanted: CallFilter, after: PagePosition | None, limit: int) -> Select[Any]:
    """The newest of each class, then the newest of those."""
    newest = []
    for channel, kind, outcome in classes:
        one = select(*_call_columns).where(
            calls.c.channel == channel, calls.c.kind == kind, calls.c.outcome == outcome, *_in_time(wanted)
        )
        newest.append(select(_following(one, _CALL_ORDER, after, limit).subquery()))
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
    return [_stored_callback(row) for row in rows]


def _stored_callback(row: Row[Any]) -> StoredCallback:
    return StoredCallback(
        id=row.id,
        kind=CallbackKind(row.kind),
        fingerprint=row.fingerprint,
        received_at=from_us(row.received_us),
        duplicates=row.duplicates,
        last_duplicate_at=None if row.last_duplicate_us is None else from_us(row.last_duplicate_us),
        raw=row.raw,
    )


def find_quarantined(
    connection: Connection, channel: str | None, cursor: str | None, limit: int
) -> Page[QuarantineItem]:
    """A page of refused bodies, newest first."""
    query = select(quarantine)
    if channel is not None:
        query = query.where(quarantine.c.channel == channel)
    return _page(connection, query, None if cursor is None else _read_cursor(cursor), limit, _quarantine_item)


def find_quarantined_body(connection: Connection, id_: int) -> QuarantineItem:
    """One refused body. Raises NotFound."""
    known = 0 <= id_ < MAX_ID  # beyond it the driver has no such number
    row = connection.execute(select(quarantine).where(quarantine.c.id == id_)).one_or_none() if known else None
    if row is None:
        raise NotFound(f"nothing in quarantine with id {id_}")
    return _quarantine_item(row)


def _quarantine_item(row: Row[Any]) -> QuarantineItem:
    return QuarantineItem(
        id=row.id,
        channel=row.channel,
        result=row.result,
        reason=row.reason,
        received_at=from_us(row.received_us),
        duplicates=row.duplicates,
        last_duplicate_at=None if row.last_duplicate_us is None else from_us(row.last_duplicate_us),
        size_bytes=row.size_bytes,
        raw=row.raw,
    )


def _following(query: Select[Any], order: Order, after: PagePosition | None, limit: int) -> Select[Any]:
    """`query` in falling order of time and id, from `after` on, with one row more than `limit`."""
    when, id_ = order
    if after is not None:
        last_when, last_id = after
        query = query.where(or_(when < last_when, and_(when == last_when, id_ < last_id)), when <= last_when)
    return query.order_by(when.desc(), id_.desc()).limit(limit + 1)


def _page(
    connection: Connection, query: Select[Any], after: PagePosition | None, limit: int, build: Callable[[Row[Any]], T]
) -> Page[T]:
    """Read `limit` rows of `query` from `after` on; its columns tell the order."""
    columns = query.selected_columns
    when = "first_seen_us" if "first_seen_us" in columns else "received_us"
    rows = connection.execute(_following(query, (columns[when], columns["id"]), after, limit)).all()
    shown = rows[:limit]
    next_cursor = _write_cursor(getattr(shown[-1], when), shown[-1].id) if len(rows) > limit else None
    return Page([build(row) for row in shown], next_cursor)


def _write_cursor(when_us: int, id_: int) -> str:
    return urlsafe_b64encode(f"{when_us}.{id_}".encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> PagePosition:
    try:
        when_us, _, id_ = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii").partition(".")
        return _int64(when_us), _int64(id_)
    except (ValueError, UnicodeError) as error:
        raise InvalidCursor("cursor: not one that a former page gave") from error


def read_id(cursor: str) -> int:
    """The id at which a page of things in order of their ids ended. Raises InvalidCursor."""
    if (id_ := id_of(cursor)) is None:
        raise InvalidCursor("cursor: not one that a former page gave")
    return id_


def id_of(text: str) -> int | None:
    """The id that `text` spells; None where it is none, or one that is larger than any."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < len(str(MAX_ID)) else None


def _int64(text: str) -> int:
    number = int(text)
    if not 0 <= number < MAX_ID:
        raise ValueError(text)
    return number
