"""The reading side of the outbox: deliveries and their attempts, newest first, and the backlog of each endpoint."""

from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, func, literal_column, select
from sqlalchemy.engine import Connection

from answerback.domain.delivery_states import message_id
from answerback.domain.endpoints import MAX_ATTEMPTS, Attempt, Delivery, DeliveryBacklog, DeliveryState, EventType
from answerback.domain.models import Page
from answerback.errors import ResourceNotFound
from answerback.ledger.read.paging import MAX_ID, read_id
from answerback.ledger.rows import read_row
from answerback.ledger.tables import (
    BLOCKED_PREDICATE,
    DEAD_PREDICATE,
    PENDING_PREDICATE,
    attempts,
    call_key,
    calls,
    deliveries,
    endpoints,
)
from answerback.ledger.types import from_us

_US = 1_000_000
_STATES: dict[DeliveryState, ColumnElement[bool]] = {
    DeliveryState.PENDING: literal_column(PENDING_PREDICATE),
    DeliveryState.BLOCKED: literal_column(BLOCKED_PREDICATE),
    DeliveryState.DEAD: literal_column(DEAD_PREDICATE),
    DeliveryState.DELIVERED: deliveries.c.state == DeliveryState.DELIVERED.value,
}
_with_names = (
    select(deliveries, calls.c.callid, calls.c.channel, endpoints.c.name)
    .join(calls, calls.c.id == deliveries.c.call_id)
    .join(endpoints, endpoints.c.id == deliveries.c.endpoint_id)
)


class DeliveryFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which deliveries: each given field must match; `endpoint_id` is the endpoint's, `callid` may be in any channel."""

    endpoint_id: int | None = None
    state: DeliveryState | None = None
    callid: str | None = None
    channel: str | None = None


class DeliveryBacklogs(dict[int, DeliveryBacklog]):
    """Endpoint id -> its backlog, which is empty where nothing is said of it."""

    def __missing__(self, endpoint_id: int) -> DeliveryBacklog:
        return DeliveryBacklog()


def find_deliveries(connection: Connection, filters: DeliveryFilter, cursor: str | None, limit: int) -> Page[Delivery]:
    """A page of deliveries, newest first. Raises InvalidCursor."""
    query = _with_names
    if filters.endpoint_id is not None:
        query = query.where(deliveries.c.endpoint_id == filters.endpoint_id)
    if filters.state is not None:
        query = query.where(_STATES[filters.state])
    if filters.callid is not None:
        of_call = select(calls.c.id).where(calls.c.call_key == call_key(filters.callid))
        if filters.channel is not None:
            of_call = of_call.where(calls.c.channel == filters.channel)
        query = query.where(deliveries.c.call_id.in_(of_call))
    elif filters.channel is not None:
        query = query.where(endpoints.c.channel == filters.channel)
    if cursor is not None:
        query = query.where(deliveries.c.id < read_id(cursor))
    rows = connection.execute(query.order_by(deliveries.c.id.desc()).limit(limit + 1)).all()
    shown = rows[:limit]
    return Page([_delivery(row) for row in shown], str(shown[-1].id) if len(rows) > limit else None)


def find_delivery(connection: Connection, id_: int) -> tuple[Delivery, list[Attempt]]:
    """One delivery and its last attempts, in order. Raises ResourceNotFound."""
    known = 0 <= id_ < MAX_ID
    row = connection.execute(_with_names.where(deliveries.c.id == id_)).one_or_none() if known else None
    if row is None:
        raise ResourceNotFound(f"no delivery {id_}")
    made = select(attempts).where(attempts.c.delivery_id == id_).order_by(attempts.c.id.desc()).limit(MAX_ATTEMPTS)
    return _delivery(row), [attempt_of(row) for row in connection.execute(made)][::-1]


def backlog_by_endpoint(connection: Connection) -> DeliveryBacklogs:
    counts: dict[int, dict[str, Any]] = {}
    oldest: dict[int, int] = {}
    for state in (DeliveryState.PENDING, DeliveryState.BLOCKED, DeliveryState.DEAD):
        grouped = select(deliveries.c.endpoint_id, func.count(), func.min(deliveries.c.id)).where(_STATES[state])
        for endpoint_id, count, first_id in connection.execute(grouped.group_by(deliveries.c.endpoint_id)):
            counts.setdefault(endpoint_id, {})[state.value] = count
            if state is DeliveryState.PENDING:
                oldest[endpoint_id] = first_id
    when = {
        id_: connection.execute(select(deliveries.c.created_us).where(deliveries.c.id == first_id)).scalar_one()
        for id_, first_id in oldest.items()
    }
    return DeliveryBacklogs(
        (id_, DeliveryBacklog(**count, oldest_at=from_us(when[id_]) if id_ in when else None))
        for id_, count in counts.items()
    )


def _delivery(row: Row[Any]) -> Delivery:
    return read_row(
        Delivery,
        row,
        message_id=message_id(row.id, row.message_tag),
        endpoint=row.name,
        event=EventType(row.event),
        state=DeliveryState(row.state),
    )


def attempt_of(row: Row[Any]) -> Attempt:
    """The attempt in a row of its table."""
    return read_row(Attempt, row, duration_s=row.duration_us / _US)
