"""What the relay is to send: the deliveries that are due, with their bodies."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, func, literal_column, select
from sqlalchemy.engine import Connection

from answerback.domain.calls import call_fingerprint
from answerback.domain.delivery_states import message_id
from answerback.domain.endpoints import DeliveryState, Endpoint, EventType, PayloadFormat
from answerback.domain.models import Call, CallbackKind
from answerback.domain.webhook_payload import CallbackPayload, encode_webhook
from answerback.ledger.backends.selection import bulk_sql
from answerback.ledger.rows import READ_COLUMNS, call_of
from answerback.ledger.tables import PENDING_PREDICATE, callbacks, calls, deliveries, endpoints
from answerback.ledger.types import DeliveryJob, from_us
from answerback.ledger.write.subscriptions import SubscriptionCache

_d = deliveries.c
_head = (
    _d.id,
    _d.endpoint_id,
    _d.call_id,
    _d.failed_attempts,
    _d.attempts,
    _d.message_tag,
    _d.created_us,
    calls.c.annotated_us,
    callbacks.c.raw,
    callbacks.c.fingerprint,
    callbacks.c.received_us,
)
_is_its_callback = and_(
    callbacks.c.id == _d.callback_id, callbacks.c.call_id == _d.call_id
)  # both: they have the month
_select_callback_jobs = select(*_head).join(callbacks, _is_its_callback).join(calls, calls.c.id == _d.call_id)
_select_call_jobs: Select[Any] = (
    select(
        *_head,
        _d.event,
        callbacks.c.id,
        callbacks.c.kind,
        callbacks.c.duplicates,
        callbacks.c.last_duplicate_us,
        callbacks.c.erased_us,
        *[calls.c[name] for name in READ_COLUMNS],
    )
    .join(calls, calls.c.id == _d.call_id)
    .outerjoin(callbacks, _is_its_callback)
)
_WIDTH = len(_head)
_CALLBACK_WIDTH = 6  # the columns between those and the call's
_due: ColumnElement[bool] = literal_column(
    PENDING_PREDICATE
)  # spelled as in the index, or SQLite does not see that it fits


def fetch_due(
    connection: Connection, subscriptions: SubscriptionCache, endpoint_id: int, now_us: int, limit: int
) -> list[DeliveryJob]:
    """What may go out to an endpoint now, the longest due first."""
    endpoint = subscriptions.endpoint(endpoint_id)
    if endpoint is None or not endpoint.enabled:
        return []
    mine = (_due, _d.endpoint_id == endpoint_id, _d.due_us <= now_us)
    query = _select_for(endpoint).where(*mine).order_by(_d.due_us, _d.id).limit(limit)
    return [_job(row, endpoint, subscriptions) for row in connection.execute(query)]


def fetch_jobs(connection: Connection, subscriptions: SubscriptionCache, ids: Sequence[int]) -> list[DeliveryJob]:
    """The jobs of these deliveries, as far as their endpoints are on."""
    jobs = []
    rows = connection.execute(select(_d.id, _d.endpoint_id).where(_d.id.in_(ids))).all() if ids else []
    by_endpoint = defaultdict(list)
    for id_, endpoint_id in rows:
        by_endpoint[endpoint_id].append(id_)
    for endpoint_id, mine in by_endpoint.items():
        endpoint = subscriptions.endpoint(endpoint_id)
        if endpoint is not None and endpoint.enabled:
            found = connection.execute(_select_for(endpoint).where(_d.id.in_(mine)).order_by(_d.id))
            jobs += [_job(row, endpoint, subscriptions) for row in found]
    return jobs


def next_due_us(connection: Connection, endpoint_id: int, after_us: int) -> int | None:
    """When the first of an endpoint's pending deliveries is due that is not due by `after_us`."""
    first = select(func.min(_d.due_us)).where(_due, _d.endpoint_id == endpoint_id, _d.due_us > after_us)
    due_us: int | None = connection.execute(first).scalar()
    return due_us


def next_due_by_endpoint(connection: Connection) -> dict[int, int]:
    """Endpoint id -> when the first of its pending deliveries is due."""
    found = select(_d.endpoint_id, func.min(_d.due_us)).where(_due).group_by(_d.endpoint_id)
    return {row[0]: row[1] for row in connection.execute(found)}


def oldest_pending(connection: Connection, endpoint_ids: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Endpoint id -> the first of its pending deliveries, and when that is due; of these endpoints, as far as there is one."""
    theirs = select(_d.id, _d.due_us).where(_due, _d.endpoint_id == endpoints.c.id).order_by(_d.due_us, _d.id).limit(1)
    first_id, due_us = (theirs.with_only_columns(column).scalar_subquery() for column in (_d.id, _d.due_us))
    found = select(endpoints.c.id, first_id, due_us).where(endpoints.c.id.in_(endpoint_ids))
    return {row[0]: (row[1], row[2]) for row in connection.execute(found) if row[1] is not None}


def removed_with_pending(connection: Connection) -> list[int]:
    """The removed endpoints that still have pending deliveries."""
    theirs = select(_d.id).where(_due, _d.endpoint_id == endpoints.c.id).order_by(_d.due_us).limit(1).scalar_subquery()
    removed = select(endpoints.c.id).where(endpoints.c.deleted_us.is_not(None), theirs.is_not(None))
    return list(connection.execute(removed.order_by(endpoints.c.id)).scalars())


def pending_since(connection: Connection, delivery_id: int, limit: int) -> tuple[int, list[tuple[int, int]]]:
    """What may go out of the deliveries above `delivery_id`: endpoint's and delivery's ids; and how far that goes."""
    last = bulk_sql(connection).last_id(deliveries)
    if last <= delivery_id:
        return last, []
    pending = select(_d.endpoint_id, _d.id).where(_d.id > delivery_id, _d.state == DeliveryState.PENDING.value)
    found = [(row[0], row[1]) for row in connection.execute(pending.order_by(_d.id).limit(limit))]
    return (found[-1][1] if len(found) == limit else last), found


def _select_for(endpoint: Endpoint) -> Select[Any]:
    return _select_callback_jobs if endpoint.config.format is PayloadFormat.TENCENT else _select_call_jobs


def _job(row: Row[Any], endpoint: Endpoint, subscriptions: SubscriptionCache) -> DeliveryJob:
    id_, _, call_id, failed_attempts, attempts, tag, created_us, annotated_us, body, fingerprint, received_us = row[
        :_WIDTH
    ]
    if endpoint.config.format is not PayloadFormat.TENCENT:
        call = call_of(tuple(row[_WIDTH + _CALLBACK_WIDTH :]))
        body = _message(row, call, subscriptions)
        fingerprint = call_fingerprint(call.channel, call.callid) if fingerprint is None else fingerprint
    named = message_id(id_, tag)
    return DeliveryJob(
        id_,
        endpoint.id,
        call_id,
        failed_attempts,
        named,
        body,
        annotated_us,
        created_us,
        fingerprint,
        received_us,
        attempts,
    )


def _message(row: Row[Any], call: Call, subscriptions: SubscriptionCache) -> bytes:
    created_us, _, raw, fingerprint, received_us = row[_WIDTH - 5 : _WIDTH]
    event, callback_id, kind, duplicates, last_duplicate_us, erased_us = row[_WIDTH : _WIDTH + _CALLBACK_WIDTH]
    if callback_id is None or raw is None:
        return encode_webhook(EventType(event), from_us(created_us), call, None)
    received_at = from_us(received_us)
    last_duplicate_at, erased_at = (None if us is None else from_us(us) for us in (last_duplicate_us, erased_us))
    known_by = subscriptions.public_id(fingerprint)
    fields = CallbackPayload.of(
        callback_id, CallbackKind(kind), known_by, received_at, raw, duplicates, last_duplicate_at, erased_at
    )
    return encode_webhook(EventType(event), received_at, call, fields)
