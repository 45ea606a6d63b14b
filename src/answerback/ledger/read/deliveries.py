"""The reading side of the outbox: deliveries and their attempts, newest first, and what each endpoint is owed."""

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, Table, func, literal_column, or_, select
from sqlalchemy.engine import Connection

from answerback.domain.delivery_states import message_id
from answerback.domain.models import Attempt, Delivery, Event, State
from answerback.errors import NotFound
from answerback.ledger.backends.bulk_sql import on_postgresql
from answerback.ledger.backends.postgresql.partition_ids import NUMBERS, SHIFT, month_of_id, number_of
from answerback.ledger.read.calls import LARGEST_ID, read_id
from answerback.ledger.tables import DEAD, DUE, WAITING, attempts, call_key, callbacks, calls, deliveries, endpoints
from answerback.ledger.types import Page, from_us

MOST_ATTEMPTS = 100
"""Attempts that are shown of a delivery: while its endpoint is away there is one more with every probe."""

_US = 1_000_000
_STATES: dict[State, ColumnElement[bool]] = {
    State.PENDING: literal_column(DUE),
    State.WAITING: literal_column(WAITING),
    State.DEAD: literal_column(DEAD),
    State.DELIVERED: deliveries.c.state == State.DELIVERED.value,
}
_named = (
    select(deliveries, calls.c.callid, calls.c.channel, endpoints.c.name)
    .join(calls, calls.c.id == deliveries.c.call_id)
    .join(endpoints, endpoints.c.id == deliveries.c.endpoint_id)
)


class DeliveryFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which deliveries: each given field must match; `endpoint_id` is the endpoint's, `callid` may be in any channel."""

    endpoint_id: int | None = None
    state: State | None = None
    callid: str | None = None
    channel: str | None = None


class Owed(msgspec.Struct, frozen=True, kw_only=True):
    """What an endpoint is owed: `pending` may go out, `waiting` stand behind those, `dead` were given up."""

    pending: int = 0
    waiting: int = 0
    dead: int = 0
    oldest_at: datetime | None = None


def find_deliveries(connection: Connection, wanted: DeliveryFilter, cursor: str | None, limit: int) -> Page[Delivery]:
    """A page of deliveries, newest first. Raises InvalidCursor."""
    query = _named
    if wanted.endpoint_id is not None:
        query = query.where(deliveries.c.endpoint_id == wanted.endpoint_id)
    if wanted.state is not None:
        query = query.where(_STATES[wanted.state])
    if wanted.callid is not None:
        of_call = select(calls.c.id).where(calls.c.call_key == call_key(wanted.callid))
        if wanted.channel is not None:
            of_call = of_call.where(calls.c.channel == wanted.channel)
        query = query.where(deliveries.c.call_id.in_(of_call))
    elif wanted.channel is not None:
        query = query.where(endpoints.c.channel == wanted.channel)
    if cursor is not None:
        query = query.where(deliveries.c.id < read_id(cursor))
    rows = connection.execute(query.order_by(deliveries.c.id.desc()).limit(limit + 1)).all()
    shown = rows[:limit]
    return Page([_delivery(row) for row in shown], str(shown[-1].id) if len(rows) > limit else None)


def find_delivery(connection: Connection, id_: int) -> tuple[Delivery, list[Attempt]]:
    """One delivery and its last attempts, in order. Raises NotFound."""
    known = 0 <= id_ < LARGEST_ID
    row = connection.execute(_named.where(deliveries.c.id == id_)).one_or_none() if known else None
    if row is None:
        raise NotFound(f"no delivery {id_}")
    made = select(attempts).where(attempts.c.delivery_id == id_).order_by(attempts.c.id.desc()).limit(MOST_ATTEMPTS)
    return _delivery(row), [_attempt(row) for row in connection.execute(made)][::-1]


def owed_by_endpoint(connection: Connection) -> dict[int, Owed]:
    """Endpoint id -> what it is owed; one that is owed nothing is not in it."""
    counts: dict[int, dict[str, Any]] = {}
    oldest: dict[int, int] = {}
    for state in (State.PENDING, State.WAITING, State.DEAD):
        grouped = select(deliveries.c.endpoint_id, func.count(), func.min(deliveries.c.id)).where(_STATES[state])
        for endpoint_id, count, first_id in connection.execute(grouped.group_by(deliveries.c.endpoint_id)):
            counts.setdefault(endpoint_id, {})[state.value] = count
            if state is State.PENDING:
                oldest[endpoint_id] = first_id
    when = {
        id_: connection.execute(select(deliveries.c.created_us).where(deliveries.c.id == first_id)).scalar_one()
        for id_, first_id in oldest.items()
    }
    return {id_: Owed(**count, oldest_at=from_us(when[id_]) if id_ in when else None) for id_, count in counts.items()}


class Happened(msgspec.Struct, frozen=True, kw_only=True):
    """Something that people watch: a callback that came in, or an attempt that was made; `id` is that one's own.

    Those of a sort are told in the order of their `number`.
    """

    id: int
    number: int
    at: datetime
    channel: str
    callid: str
    mobile: str
    callback: str | None = None
    """The kind of the callback."""
    outcome: str | None = None
    delivery_id: int | None = None
    endpoint: str | None = None
    event: str | None = None
    error: str | None = None
    status: int | None = None
    duration_s: float | None = None


def last_happened(connection: Connection) -> tuple[int, int]:
    """The numbers of the last callback and of the last attempt."""
    return (
        number_of(connection.execute(select(func.coalesce(func.max(callbacks.c.id), 0))).scalar_one()),
        connection.execute(select(func.coalesce(func.max(attempts.c.id), 0))).scalar_one(),
    )


def happened_since(
    connection: Connection, place: tuple[int, int], limit: int
) -> tuple[list[Happened], tuple[int, int]]:
    """What came after `place`, in order of time, and the next place.

    What is told of is never followed by something of a lower number: what writers beside each other have not committed yet
    is waited for. Callbacks of calls that were first seen before last month are left out.
    """
    came = connection.execute(
        select(callbacks.c.id, callbacks.c.received_us, callbacks.c.kind, calls.c.channel, calls.c.callid)
        .add_columns(calls.c.mobile, calls.c.outcome)
        .join(calls, calls.c.id == callbacks.c.call_id)
        .where(*_news_of(connection, callbacks, place[0]))
        .order_by(*_by_number(connection))
        .limit(limit)
    ).all()
    made = connection.execute(
        select(attempts, deliveries.c.event, calls.c.channel, calls.c.callid, calls.c.mobile, endpoints.c.name)
        .join(deliveries, deliveries.c.id == attempts.c.delivery_id)
        .join(calls, calls.c.id == deliveries.c.call_id)
        .join(endpoints, endpoints.c.id == deliveries.c.endpoint_id)
        .where(attempts.c.id > place[1], *_finished(connection, attempts))
        .order_by(attempts.c.id)
        .limit(limit)
    ).all()
    news = [
        Happened(
            id=row.id,
            number=number_of(row.id),
            at=from_us(row.received_us),
            channel=row.channel,
            callid=row.callid,
            mobile=row.mobile,
            callback=row.kind,
            outcome=row.outcome,
        )
        for row in came
    ]
    news += [
        Happened(
            id=row.id,
            number=row.id,
            at=from_us(row.began_us + row.duration_us),
            channel=row.channel,
            callid=row.callid,
            mobile=row.mobile,
            delivery_id=row.delivery_id,
            endpoint=row.name,
            event=row.event,
            error=row.error,
            status=row.status,
            duration_s=row.duration_us / _US,
        )
        for row in made
    ]
    after = (number_of(came[-1].id) if came else place[0], made[-1].id if made else place[1])
    return sorted(news, key=lambda one: one.at), after


def _news_of(connection: Connection, table: Table, number: int) -> list[ColumnElement[bool]]:
    """Rows of a higher number, of the last two months: on PostgreSQL an id has the month of its call in front."""
    if not on_postgresql(connection):
        return [table.c.id > number]
    this = month_of_id(connection.execute(select(func.coalesce(func.max(table.c.id), 0))).scalar_one())
    of_month = [
        table.c.id.between((month << SHIFT) + number + 1, ((month + 1) << SHIFT) - 1) for month in (this, this - 1)
    ]
    return [or_(*of_month), *_finished(connection, table)]


def _by_number(connection: Connection) -> list[ColumnElement[Any]]:
    return [callbacks.c.id % NUMBERS] if on_postgresql(connection) else [callbacks.c.id]


def _finished(connection: Connection, table: Table) -> list[ColumnElement[bool]]:
    """Rows of transactions that are older than any that is under way."""
    if not on_postgresql(connection):
        return []
    oldest = "pg_snapshot_xmin(pg_current_snapshot())::text::bigint % 4294967296"
    return [literal_column(f"{table.name}.xmin::text::bigint < {oldest}")]


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        id=row.id,
        message_id=message_id(row.id, row.tag),
        endpoint=row.name,
        channel=row.channel,
        callid=row.callid,
        callback_id=row.callback_id,
        event=Event(row.event),
        state=State(row.state),
        attempts=row.attempts,
        failures=row.failures,
        due_at=from_us(row.due_us),
        created_at=from_us(row.created_us),
        settled_at=None if row.settled_us is None else from_us(row.settled_us),
    )


def _attempt(row: Row[Any]) -> Attempt:
    return Attempt(
        began_at=from_us(row.began_us),
        duration_s=row.duration_us / _US,
        status=row.status,
        answer=row.answer,
        error=row.error,
    )
