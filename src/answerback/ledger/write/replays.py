"""Replays: of one delivery, of the dead ones of an endpoint, or of everything about some calls. Ids stay the same."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import ColumnElement, bindparam, func, literal_column, select, update
from sqlalchemy.engine import Connection

from answerback.domain.calls import fold
from answerback.domain.delivery_states import ACTIVE_STATES, DELIVERY_TRANSITIONS, DeliveryTransition, event_type_for
from answerback.domain.endpoints import DeliveryState, Endpoint, PayloadFormat
from answerback.domain.models import Call, RawCallback
from answerback.errors import CallbackRejected, ResourceNotFound, StateConflict
from answerback.ledger.admin.audit import Actor, AuditAction, record_event
from answerback.ledger.admin.endpoints import target_of
from answerback.ledger.backends.selection import bulk_sql
from answerback.ledger.read import calls
from answerback.ledger.read.paging import MAX_ID
from answerback.ledger.tables import DEAD_PREDICATE, callbacks, deliveries, endpoints
from answerback.ledger.types import to_us
from answerback.ledger.write.outbox import OutboxWriter, active_pairs
from answerback.ledger.write.subscriptions import SubscriptionCache
from answerback.tencent.parsing import parse_callback

_d = deliveries.c
_columns = (_d.id, _d.call_id, _d.endpoint_id, _d.state)
_dead: ColumnElement[bool] = literal_column(DEAD_PREDICATE)
_update_replayed = (
    update(deliveries)
    .where(_d.id == bindparam("delivery_id"))
    .values(state=bindparam("next_state"), failed_attempts=0, due_us=bindparam("next_due_us"), finished_us=None)
)

_CALLBACKS_PER_FETCH = 200
"""Callbacks of a call that are in memory at a time: it may have any number."""

Row = tuple[int, int, int, str]


class ReplayPage(msgspec.Struct, frozen=True):
    """One step of a replay: how much was looked at, how many will be replayed, and where to go on, if there is more."""

    examined: int
    replayed: int
    cursor: str | None


def replay_delivery(
    connection: Connection, subscriptions: SubscriptionCache, id_: int, actor: Actor, now: datetime
) -> int:
    """Replay one delivery, whatever its state; return its endpoint's id.

    Raises ResourceNotFound, StateConflict; PermissionDenied where the endpoint was another one when the delivery was made, and the actor may
    not see numbers: else it goes only where it was to go.
    """
    known = 0 <= id_ < MAX_ID
    row = (
        connection.execute(select(*_columns, _d.callback_id, _d.created_us).where(_d.id == id_)).one_or_none()
        if known
        else None
    )
    if row is None:
        raise ResourceNotFound(f"no delivery {id_}")
    endpoint = subscriptions.endpoint(row.endpoint_id)
    if endpoint is None:
        raise StateConflict(f"delivery {id_} was for an endpoint that was removed")
    if row.callback_id is None and endpoint.config.format is PayloadFormat.TENCENT:
        raise StateConflict(
            f"delivery {id_} is about the call itself, which the format of {endpoint.name} cannot express"
        )
    if row.state == DeliveryState.BLOCKED.value:
        raise StateConflict(f"delivery {id_} is blocked by an earlier one of its call: replay that one")
    retargeted_us = connection.execute(select(endpoints.c.retargeted_us).where(endpoints.c.id == endpoint.id)).scalar()
    if retargeted_us is not None and row.created_us <= retargeted_us:
        actor.require_full_numbers()
    _move_to_replay(connection, [(row.id, row.call_id, row.endpoint_id, row.state)], now)
    record_event(connection, actor, AuditAction.DELIVERY_REPLAYED, now, "delivery", id_, "to", *target_of(endpoint))
    endpoint_id: int = row.endpoint_id
    return endpoint_id


def count_dead(connection: Connection, endpoint_id: int) -> tuple[int, int]:
    """How many deliveries of an endpoint are dead, and the highest id among them."""
    found = select(func.count(), func.max(_d.id)).where(_dead, _d.endpoint_id == endpoint_id)
    count, last = connection.execute(found).one()
    return count, last or 0


def replay_dead(
    connection: Connection,
    subscriptions: SubscriptionCache,
    endpoint_id: int,
    cursor: str | None,
    until_id: int,
    now: datetime,
    limit: int,
) -> ReplayPage:
    """Replay the dead deliveries of an endpoint, up to `until_id`, oldest first."""
    endpoint = subscriptions.endpoint(endpoint_id)
    if endpoint is None:
        raise ResourceNotFound(f"no endpoint {endpoint_id}")
    mine = [_dead, _d.endpoint_id == endpoint_id, _d.id > int(cursor or 0), _d.id <= until_id]
    if endpoint.config.format is PayloadFormat.TENCENT:
        mine.append(_d.callback_id.is_not(None))  # it has no form for words about a call itself
    rows = connection.execute(select(*_columns).where(*mine).order_by(_d.id).limit(limit)).all()
    replayed = _move_to_replay(connection, [tuple(row) for row in rows], now)
    return ReplayPage(len(rows), replayed, str(rows[-1].id) if len(rows) == limit else None)


def replay_calls(
    connection: Connection,
    subscriptions: SubscriptionCache,
    endpoint: Endpoint,
    filters: calls.CallFilter,
    cursor: str | None,
    now: datetime,
    limit: int,
) -> ReplayPage:
    """Replay everything about a page of calls that the endpoint matches; what was never enqueued for it is added."""
    now_known = subscriptions.endpoint(endpoint.id)
    if now_known is None:
        raise ResourceNotFound(f"no endpoint {endpoint.name}")
    endpoint, filters = now_known, msgspec.structs.replace(filters, channel=now_known.channel)
    page = calls.find_call_rows(connection, filters, cursor, limit)
    call_ids = [(call_id,) for call_id, _ in page.items]
    found = bulk_sql(connection).select_many(
        deliveries, ("id", "call_id", "endpoint_id", "state", "callback_id"), ("call_id",), call_ids
    )
    mine = [row for row in found if row[2] == endpoint.id]
    enqueued = {row[4] for row in mine if row[4] is not None}
    replayed = _move_to_replay(connection, sorted(row[:4] for row in mine if row[4] is not None), now)
    outbox = OutboxWriter(connection, subscriptions, [call_id for call_id, _ in page.items])
    for call_id, call in page.items:
        replayed += _enqueue_missing(connection, outbox, endpoint, call_id, call, enqueued, now)
    outbox.write()
    return ReplayPage(len(page.items), replayed, page.next_cursor)


def _enqueue_missing(
    connection: Connection,
    outbox: OutboxWriter,
    endpoint: Endpoint,
    call_id: int,
    call: Call,
    enqueued: set[int],
    now: datetime,
) -> int:
    """Enqueue the callbacks of a call that match the endpoint and never were, as they would have been at the time.

    Only its reference is the present one: an annotation is not a callback.
    """
    ids, bodies = (
        select(*columns).where(callbacks.c.call_id == call_id).order_by(callbacks.c.id)
        for columns in ((callbacks.c.id,), (callbacks.c.id, callbacks.c.raw))
    )
    if enqueued.issuperset(connection.execute(ids).scalars()):
        return 0
    added, before = 0, None
    for row in connection.execute(bodies.execution_options(yield_per=_CALLBACKS_PER_FETCH)):
        try:
            item = parse_callback(RawCallback(call.channel, row.raw, now))
        except CallbackRejected:  # understood by a later or an earlier version only
            continue
        after: Call = fold(before, item)
        kind = item.callback.kind
        referenced = msgspec.structs.replace(after, reference=call.reference)
        if row.id not in enqueued and endpoint.config.matches(kind, referenced):
            event = event_type_for(before, after, item.callback)
            outbox.enqueue(
                endpoint, call_id, row.id, event, outbox.subscriptions.message_tag(item.fingerprint), now, after, item
            )
            added += 1
        before = after
    return added


def _move_to_replay(connection: Connection, rows: Sequence[Row], now: datetime) -> int:
    """Move each of `rows`, in order of their ids, as the table of transitions says; how many will be replayed."""
    calls_ = dict.fromkeys(call_id for _, call_id, _, _ in rows)
    active = active_pairs(connection, calls_)
    changes = []
    for id_, call_id, endpoint_id, state in rows:
        pair = (call_id, endpoint_id)
        transition = DeliveryTransition.REPLAYED_BLOCKED if pair in active else DeliveryTransition.REPLAYED
        after = DELIVERY_TRANSITIONS[DeliveryState(state)][transition]
        if after is DeliveryState.BLOCKED and state == DeliveryState.BLOCKED.value:
            continue
        if after in ACTIVE_STATES:
            active.add(pair)
        changes.append({"delivery_id": id_, "next_state": after.value, "next_due_us": to_us(now)})
    if changes:
        connection.execute(_update_replayed, changes)
    return len(changes)
