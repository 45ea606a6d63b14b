"""The rows of an export, some thousand at a time, each such page a short read of its own.

No read lasts long, so SQLite can move its log into the file meanwhile, and the file does not grow because somebody
exports. A row is exported as it is when its page is read. A walk ends with what was there when it began.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.engine import Connection, CursorResult

from answerback.domain.exports import Dataset
from answerback.exports.columns import CALLBACKS_QUERY, CALLS_QUERY, DELIVERIES_QUERY, STATISTICS_QUERY
from answerback.exports.spec import Export
from answerback.ledger import Ledger
from answerback.ledger.backends.postgresql.partition_ids import CALLS_PER_BLOCK, block_of
from answerback.ledger.backends.selection import bulk_sql
from answerback.ledger.read.calls import CallFilter, channels_holding, in_time, of_class, to_number
from answerback.ledger.read.deliveries import DeliveryFilter
from answerback.ledger.tables import call_key, callbacks, calls, deliveries, endpoints, rollups
from answerback.ledger.types import to_us

IDS_PER_PAGE = CALLS_PER_BLOCK // 2
_HOURS_PER_PAGE = 168
_HOUR_US = 3_600_000_000

Rows = Sequence[tuple[Any, ...]]
Condition = ColumnElement[bool]


class RowPage(msgspec.Struct, frozen=True):
    """Rows, and how far the walk is with them, from 0 to 1."""

    rows: Rows
    progress: float


def iter_pages(ledger: Ledger, export: Export) -> Iterator[RowPage]:
    """Every page of `export`, oldest first. Raises LedgerUnavailable."""
    match export.dataset:
        case Dataset.CALLS:
            return _call_pages(ledger, CALLS_QUERY, export.calls)
        case Dataset.CALLBACKS if export.calls == CallFilter():
            return _pages_by_id(ledger, CALLBACKS_QUERY, callbacks.c.id, step=IDS_PER_PAGE)
        case Dataset.CALLBACKS:
            return _call_pages(ledger, CALLBACKS_QUERY, export.calls, callbacks.c.id)
        case Dataset.DELIVERIES:
            conditions = ledger.read(_delivery_conditions, filters=export.deliveries)
            return _pages_by_id(ledger, DELIVERIES_QUERY.where(*conditions), deliveries.c.id, step=IDS_PER_PAGE)
        case Dataset.STATISTICS:
            return _statistics_pages(ledger, export.calls)


def _call_pages(
    ledger: Ledger, query: Select[Any], filters: CallFilter, *then_by: ColumnElement[Any]
) -> Iterator[RowPage]:
    """By time where the filter names one or a failure code, whose index has the time; else by id, and nothing twice."""
    query = query.where(*_call_conditions(filters))
    few = filters.mobile is not None or filters.reference is not None
    if few or (filters.since, filters.until, filters.failure_code) == (None, None, None):
        query = query.where(*in_time(filters))
        within = _no_conditions if filters.mobile is None else _block_condition
        return _pages_by_id(ledger, query, calls.c.id, *then_by, step=IDS_PER_PAGE, within=within)
    conditions = [] if filters.failure_code is None else [calls.c.failure_code == filters.failure_code]
    return _pages_by_time(ledger, query, [*conditions, *in_time(filters)], *then_by)


def _statistics_pages(ledger: Ledger, filters: CallFilter) -> Iterator[RowPage]:
    hour, conditions = rollups.c.bucket_start_hour, []
    if filters.since is not None:
        conditions.append(hour >= to_us(filters.since) // _HOUR_US)
    if filters.until is not None:
        conditions.append(hour * _HOUR_US < to_us(filters.until))
    named = {"channel": filters.channel, "kind": filters.kind}
    conditions += [rollups.c[name] == value for name, value in named.items() if value is not None]
    key = (rollups.c.channel, rollups.c.kind, rollups.c.outcome)
    return _pages_by_id(ledger, STATISTICS_QUERY.where(*conditions), hour, *key, step=_HOURS_PER_PAGE)


def _call_conditions(filters: CallFilter) -> list[Condition]:
    """What a call has to match, but for its time. What is not to be looked up by index is hidden from the planner."""
    hidden = of_class(filters)
    if filters.failure_code is not None:
        hidden.append(calls.c.failure_code + 0 == filters.failure_code)
    looked_up = [] if filters.mobile is None else to_number(filters.mobile)
    if filters.reference is not None:
        looked_up.append(calls.c.reference == filters.reference)
    return [*hidden, *looked_up]


def _delivery_conditions(connection: Connection, filters: DeliveryFilter) -> list[Condition]:
    conditions: list[Condition] = []
    if filters.endpoint_id is not None:
        conditions.append(deliveries.c.endpoint_id + 0 == filters.endpoint_id)
    if filters.state is not None:
        conditions.append(deliveries.c.state.concat("") == filters.state.value)
    if filters.callid is not None:  # one call in each channel at most: looked up once, not with every page
        keys = [(channel, call_key(filters.callid)) for channel in channels_holding(connection, filters.callid)]
        found = bulk_sql(connection).select_many(calls, ("id",), ("channel", "call_key"), keys)
        conditions.append(deliveries.c.call_id.in_([id_ for (id_,) in found]))
    if filters.channel is not None:
        conditions.append(endpoints.c.channel.concat("") == filters.channel)
    return conditions


def _no_conditions(_first: int) -> list[Condition]:
    return []


def _block_condition(first: int) -> list[Condition]:
    """The block in which a page of call ids lies: a number is looked up in it by index."""
    return [calls.c.mobile_block == block_of(first)]


def _pages_by_id(
    ledger: Ledger,
    query: Select[Any],
    number: ColumnElement[int],
    *then_by: ColumnElement[Any],
    step: int,
    within: Callable[[int], list[Condition]] = _no_conditions,
) -> Iterator[RowPage]:
    """Walk a range of numbers that never change, `step` at a time: each row that was there comes once."""
    ends = select(*(select(end(number)).scalar_subquery() for end in (func.min, func.max)))  # one by one: by index
    first, last = ledger.read(lambda connection: connection.execute(ends).one())
    if first is None:
        return
    start = first - first % step
    begin: int | None = start
    while begin is not None:
        end = min(begin + step - 1, last)
        page = query.where(number.between(begin, end), *within(begin)).order_by(number, *then_by)
        yield RowPage(ledger.read(_rows, query=page), (end + 1 - start) / (last + 1 - start))
        begin = ledger.read(_page_after, number=number, end=end, last=last, step=step)


def _page_after(connection: Connection, number: ColumnElement[int], end: int, last: int, step: int) -> int | None:
    """Where the next page begins: numbers have gaps as wide as a month's."""
    if end >= last:
        return None
    following = connection.execute(select(func.min(number)).where(number > end)).scalar()
    return None if following is None else following - following % step


def _pages_by_time(
    ledger: Ledger, query: Select[Any], conditions: list[Condition], *then_by: ColumnElement[Any]
) -> Iterator[RowPage]:
    """Walk the index of times along `conditions`: find where a page ends in the index, then read what is up to there."""
    order = (calls.c.first_seen_us, calls.c.id)
    edge = select(*order).where(*conditions)
    newest = edge.order_by(*(column.desc() for column in order)).limit(1)
    oldest = edge.order_by(*order).limit(1)
    last = ledger.read(lambda connection: connection.execute(newest).one_or_none())
    first = ledger.read(lambda connection: connection.execute(oldest).one_or_none())
    if last is None or first is None:  # the second where all of it was deleted meanwhile
        return
    first_us = first[0]
    place = (first_us, -1)
    while place < tuple(last):

        def read(connection: Connection, place: tuple[int, int] = place) -> tuple[tuple[int, int], Rows]:
            ahead = edge.where(_after(place), _up_to(tuple(last)))
            found = connection.execute(ahead.order_by(*order).offset(IDS_PER_PAGE - 1).limit(1)).one_or_none()
            end = tuple(last) if found is None else tuple(found)
            page_query = query.where(*conditions, _after(place), _up_to(end)).order_by(*order, *then_by)
            return end, _rows(connection, page_query)

        place, rows = ledger.read(read)
        yield RowPage(rows, (place[0] + 1 - first_us) / (last[0] + 1 - first_us))


def _after(place: tuple[int, int]) -> Condition:
    when, id_ = calls.c.first_seen_us, calls.c.id
    return and_(when >= place[0], or_(when > place[0], id_ > place[1]))


def _up_to(place: tuple[int, int]) -> Condition:
    when, id_ = calls.c.first_seen_us, calls.c.id
    return and_(when <= place[0], or_(when < place[0], id_ <= place[1]))


def _rows(connection: Connection, query: Select[Any]) -> Rows:
    """The driver's own tuples: a quarter of a million of them a second, which rows of SQLAlchemy are not."""
    result: CursorResult[Any] = connection.execute(query)
    rows: Rows = result.cursor.fetchall() if result.cursor is not None else []
    result.close()
    return rows
