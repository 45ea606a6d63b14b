"""Annotations of calls, before or after their callbacks, and overdue calls."""

from datetime import datetime

import msgspec
from sqlalchemy import ColumnElement, func, literal_column, select, update
from sqlalchemy.engine import Connection

from answerback.domain.endpoints import DeliveryState, EventType, PayloadFormat
from answerback.domain.models import Call
from answerback.errors import AmbiguousCall, ResourceNotFound, StateConflict
from answerback.ledger.backends.selection import bulk_sql, dialect_of
from answerback.ledger.read.calls import channels_holding
from answerback.ledger.rows import CALL_COLUMNS, READ_COLUMNS, call_of, call_row
from answerback.ledger.tables import AWAITED_PREDICATE, call_key, calls, deliveries, endpoints
from answerback.ledger.types import DeliveryJob, to_us
from answerback.ledger.write.outbox import OutboxWriter, active_pairs
from answerback.ledger.write.retention import find_pruned
from answerback.ledger.write.rollups import Rollups
from answerback.ledger.write.subscriptions import SubscriptionCache

_awaited: ColumnElement[bool] = literal_column(AWAITED_PREDICATE)
_encode = msgspec.json.Encoder().encode


class CallAnnotation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An annotation of a call; UNSET leaves a field unchanged, None removes it."""

    reference: str | msgspec.UnsetType | None = msgspec.UNSET
    metadata: dict[str, object] | msgspec.UnsetType | None = msgspec.UNSET
    due_at: datetime | msgspec.UnsetType | None = msgspec.UNSET


class AnnotateResult(msgspec.Struct, frozen=True):
    """The call as it is now, whether it is new to the ledger, and what can be sent because of it."""

    call_id: int
    call: Call
    created: bool
    jobs: list[DeliveryJob]


def annotate_call(
    connection: Connection,
    subscriptions: SubscriptionCache,
    channel: str | None,
    default_channel: str | None,
    callid: str,
    annotation: CallAnnotation,
    now: datetime,
) -> AnnotateResult:
    """Store an annotation of a call, known or not yet.

    Without `channel` it is the one that holds the callid, or else `default_channel`. Raises AmbiguousCall, ResourceNotFound
    where there is neither, and StateConflict where the call was deleted for its age.
    """
    callid = dialect_of(connection).storable_text(callid)
    if channel is None:
        holders = channels_holding(connection, callid)
        if len(holders) > 1:
            raise AmbiguousCall(callid, holders)
        channel = holders[0] if holders else default_channel
    if channel is None:
        raise ResourceNotFound(f"no call {callid} yet: name the channel of the call")
    key = (channel, call_key(callid))
    rows = list(bulk_sql(connection).select_many(calls, READ_COLUMNS, ("channel", "call_key"), [key], lock=True))
    if rows:
        call_id, before = rows[0][0], call_of(rows[0])
    elif find_pruned(connection, [key]):
        raise StateConflict(f"call {callid} was deleted because of its age and can no longer be annotated")
    else:
        call_id, before = _register_call(connection, channel, callid, now)
    after = msgspec.structs.replace(before, **_changes(before, annotation))
    if rows and _encode(after.metadata) == _encode(before.metadata) and after == before:
        return AnnotateResult(call_id, before, created=False, jobs=[])
    at_us = to_us(now) if before.annotated_at is None else max(to_us(now), to_us(before.annotated_at) + 1)
    connection.execute(
        update(calls)
        .where(calls.c.id == call_id)
        .values(
            reference=after.reference,
            metadata=None if after.metadata is None else _encode(after.metadata).decode(),
            due_us=None if after.due_at is None else to_us(after.due_at),
            overdue_us=None if after.overdue_at is None else to_us(after.overdue_at),
            annotated_us=at_us,
            updated_us=max(to_us(now), to_us(before.updated_at)),
        )
    )
    (row,) = bulk_sql(connection).select_many(calls, READ_COLUMNS, ("id",), [(call_id,)])
    after = call_of(row)
    jobs = _enqueue_revisions(connection, subscriptions, call_id, after, now)
    sums = Rollups()
    sums.replace(rows[0] if rows else None, row)
    sums.count_overdue(row, (after.overdue_at is not None) - (before.overdue_at is not None))
    bulk_sql(connection).lock_rollups()
    sums.write(connection)
    return AnnotateResult(call_id, after, created=not rows, jobs=jobs)


def _register_call(connection: Connection, channel: str, callid: str, now: datetime) -> tuple[int, Call]:
    """Open the record of a call of which no callback has come."""
    call = Call(channel=channel, callid=callid, kind=None, first_seen_at=now, updated_at=now)
    call_id = bulk_sql(connection).id_allocator(calls).for_time(to_us(now))
    bulk_sql(connection).insert(calls, CALL_COLUMNS, [call_row(call_id, call_key(callid), call)])
    return call_id, call


def _changes(before: Call, annotation: CallAnnotation) -> dict[str, object]:
    given = {
        name: value
        for name in annotation.__struct_fields__
        if (value := getattr(annotation, name)) is not msgspec.UNSET
    }
    if given.get("due_at", before.due_at) != before.due_at:
        given["overdue_at"] = None  # another time to wait for is another time to be late
    return given


def _enqueue_revisions(
    connection: Connection, subscriptions: SubscriptionCache, call_id: int, call: Call, now: datetime
) -> list[DeliveryJob]:
    """Enqueue it for the endpoints that ask for updates, have got the call already, and have nothing of it pending."""
    wanting = [end for end in subscriptions.for_channel(call.channel) if end.config.notify_on_update]
    if not wanting:
        return []
    delivered = select(deliveries.c.endpoint_id).where(
        deliveries.c.call_id == call_id,
        deliveries.c.endpoint_id == endpoints.c.id,
        deliveries.c.state == DeliveryState.DELIVERED.value,
    )
    wanting_ids = [end.id for end in wanting]
    found = select(endpoints.c.id).where(endpoints.c.id.in_(wanting_ids), delivered.exists())
    delivered_ids = set(connection.execute(found).scalars())
    active = {endpoint_id for _, endpoint_id in active_pairs(connection, [call_id])}
    outbox = OutboxWriter(connection, subscriptions)
    for endpoint in wanting:
        if endpoint.id in delivered_ids - active and endpoint.config.format is PayloadFormat.STANDARD:
            outbox.enqueue_call_event(endpoint, call_id, EventType.REVISED, call, now)
    outbox.write()
    return outbox.jobs


class OverdueBatch(msgspec.Struct, frozen=True):
    """What may go out because calls are overdue, which endpoints have more, and when the next one will be overdue."""

    count: int
    jobs: list[DeliveryJob]
    backlogged: list[int]
    next_due_us: int | None


def mark_overdue(connection: Connection, subscriptions: SubscriptionCache, now: datetime, limit: int) -> OverdueBatch:
    """Mark up to `limit` calls that are past their time without an outcome, and enqueue that for the endpoints that it matches; once."""
    columns = [calls.c[name] for name in READ_COLUMNS]
    late = select(*columns).where(_awaited, calls.c.due_us <= to_us(now)).order_by(calls.c.due_us).limit(limit)
    rows = [tuple(row) for row in connection.execute(late)]
    outbox, sums = OutboxWriter(connection, subscriptions, [row[0] for row in rows]), Rollups()
    for row in rows:
        call = msgspec.structs.replace(call_of(row), overdue_at=now)
        sums.count_overdue(row, 1)
        for endpoint in subscriptions.for_channel(call.channel):
            subscribed = endpoint.config.matches(None, call)
            if subscribed and endpoint.config.format is PayloadFormat.STANDARD:
                outbox.enqueue_call_event(endpoint, row[0], EventType.OVERDUE, call, now)
    outbox.write()
    sums.write(connection)
    bulk_sql(connection).update(calls, "overdue_us = ?", (to_us(now),), [row[0] for row in rows])
    next_due_us = connection.execute(select(func.min(calls.c.due_us)).where(_awaited)).scalar()
    return OverdueBatch(len(rows), outbox.jobs, sorted(outbox.backlogged), next_due_us)
