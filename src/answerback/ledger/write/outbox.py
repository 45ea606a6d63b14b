"""The outbox: the deliveries, written in the transaction that stores the callback, and read when they may go out.

Of the deliveries of a call to an endpoint one at most is pending, the first that is not at its end; the law is in
`answerback.domain.delivery_states`.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from secrets import token_bytes, token_hex
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, func, literal_column, select
from sqlalchemy.engine import Connection

from answerback.domain.calls import call_fingerprint, public_id
from answerback.domain.delivery_states import TAG_LENGTH, event_type_for, message_id
from answerback.domain.models import (
    Call,
    CallbackKind,
    DeliveryState,
    Endpoint,
    EventType,
    ParsedCallback,
    PayloadFormat,
)
from answerback.domain.webhook_payload import CallbackPayload, encode_webhook
from answerback.ledger.admin import endpoints as store
from answerback.ledger.backends import bulk_sql
from answerback.ledger.rows import READ_COLUMNS, call_of
from answerback.ledger.tables import PENDING_PREDICATE, callbacks, calls, deliveries, endpoints
from answerback.ledger.types import DeliveryJob, from_us, to_us

DELIVERY_COLUMNS = (
    "id",
    "endpoint_id",
    "call_id",
    "callback_id",
    "event",
    "state",
    "message_tag",
    "attempts",
    "failed_attempts",
    "due_us",
    "created_us",
)

MAX_JOBS = 4096
"""Jobs returned after one transaction; the rest are in the ledger when their endpoint asks for more."""

_PENDING = DeliveryState.PENDING.value
_BLOCKED = DeliveryState.BLOCKED.value

Pair = tuple[int, int]
"""A call's id and an endpoint's id."""

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
        *[calls.c[name] for name in READ_COLUMNS],
    )
    .join(calls, calls.c.id == _d.call_id)
    .outerjoin(callbacks, _is_its_callback)
)
_WIDTH = len(_head)
_CALLBACK_WIDTH = 5  # the columns between those and the call's
_due: ColumnElement[bool] = literal_column(
    PENDING_PREDICATE
)  # spelled as in the index, or SQLite does not see that it fits


class SubscriptionCache:
    """The endpoints as of the transaction under way, and the ids by which they know callbacks.

    Without `id_key`, as where a command writes while the gateway does, nobody else can make the same ids.
    """

    def __init__(self, id_key: bytes | None = None) -> None:
        self._id_key = id_key or token_bytes()
        self._revision = -1
        self._by_id: dict[int, Endpoint] = {}
        self._by_channel: defaultdict[str, dict[int, Endpoint]] = defaultdict(dict)

    def refresh(self, connection: Connection) -> None:
        """Read again the endpoints that were changed, by whichever process."""
        revision = store.revision(connection)
        if revision != self._revision:
            for endpoint, there in store.changed_since(connection, self._revision):
                before = self._by_id.pop(endpoint.id, None)
                if before and not (there and before.channel == endpoint.channel):
                    del self._by_channel[before.channel][before.id]
                if there:
                    self._by_id[endpoint.id] = self._by_channel[endpoint.channel][endpoint.id] = endpoint
            self._revision = revision

    def endpoint(self, id_: int) -> Endpoint | None:
        """The endpoint of this id, unless it was removed."""
        return self._by_id.get(id_)

    def for_channel(self, channel: str) -> Collection[Endpoint]:
        """The endpoints of this channel."""
        return self._by_channel[channel].values()

    def public_id(self, fingerprint: bytes) -> bytes:
        """What a callback is known by outside."""
        return public_id(self._id_key, fingerprint)

    def message_tag(self, fingerprint: bytes) -> str:
        """What a callback's message ids end in."""
        return self.public_id(fingerprint).hex()[:TAG_LENGTH]

    @property
    def is_empty(self) -> bool:
        """Whether there is no endpoint."""
        return not self._by_id

    def clear(self) -> None:
        """A transaction was undone: what was read in it may not hold."""
        self._revision = -1
        self._by_id.clear()
        self._by_channel.clear()


class OutboxWriter:
    """The deliveries that one transaction adds.

    `jobs` may go out at once; `backlogged` are the endpoints for which more may, among them those that are `saturated`.
    """

    def __init__(
        self,
        connection: Connection,
        subscriptions: SubscriptionCache,
        call_ids: Iterable[int] = (),
        saturated: Collection[int] = (),
    ) -> None:
        self._connection = connection
        self.subscriptions = subscriptions
        self._saturated = saturated
        self._rows: list[tuple[object, ...]] = []
        self._active: set[Pair] = set()
        self.jobs: list[DeliveryJob] = []
        self.backlogged: set[int] = set()
        if not subscriptions.is_empty:
            self._new_ids = bulk_sql.id_allocator(connection, deliveries)
            self._active = active_pairs(connection, call_ids)

    def enqueue_callback(
        self, call_id: int, callback_id: int, item: ParsedCallback, before: Call | None, after: Call
    ) -> None:
        """Enqueue `item`, which made `after` of `before`, for every endpoint that it matches."""
        for endpoint in self.subscriptions.for_channel(item.channel):
            kind = item.callback.kind
            if endpoint.config.matches(kind, after.outcome):
                event = event_type_for(before, after, item.callback)
                tag = self.subscriptions.message_tag(item.fingerprint)
                self.enqueue(endpoint, call_id, callback_id, event, tag, item.received_at, after, item)

    def enqueue_call_event(self, endpoint: Endpoint, call_id: int, event: EventType, call: Call, now: datetime) -> None:
        """Enqueue an event of the call itself for `endpoint`."""
        self.enqueue(endpoint, call_id, None, event, token_hex(TAG_LENGTH // 2), now, call, None)

    def enqueue(
        self,
        endpoint: Endpoint,
        call_id: int,
        callback_id: int | None,
        event: EventType,
        tag: str,
        now: datetime,
        call: Call,
        item: ParsedCallback | None,
    ) -> None:
        """Add one delivery; it waits where another of its call is not at its end."""
        id_, pair, now_us = self._new_ids.for_call(call_id), (call_id, endpoint.id), to_us(now)
        state = _BLOCKED if pair in self._active else _PENDING
        self._active.add(pair)
        self._rows.append((id_, endpoint.id, call_id, callback_id, event.value, state, tag, 0, 0, now_us, now_us))
        if state == _BLOCKED:
            return
        if len(self.jobs) >= MAX_JOBS or not endpoint.enabled or endpoint.id in self._saturated:
            self.backlogged.add(endpoint.id)
            return
        if item is None or callback_id is None:
            body = encode_webhook(event, now, call, None)
        elif endpoint.config.format is PayloadFormat.TENCENT:
            body = item.raw
        else:
            known_by = self.subscriptions.public_id(item.fingerprint)
            fields = CallbackPayload.of(callback_id, item.callback.kind, known_by, item.received_at, item.raw)
            body = encode_webhook(event, now, call, fields)
        annotated_us = None if call.annotated_at is None else to_us(call.annotated_at)
        whose = (call_fingerprint(call.channel, call.callid), None) if item is None else (item.fingerprint, now_us)
        self.jobs.append(
            DeliveryJob(id_, endpoint.id, call_id, 0, message_id(id_, tag), body, annotated_us, now_us, *whose)
        )

    def __len__(self) -> int:
        return len(self._rows)

    def write(self) -> None:
        """Hand the rows to the database."""
        bulk_sql.insert(self._connection, deliveries, DELIVERY_COLUMNS, self._rows)
        self._rows = []


def active_pairs(connection: Connection, call_ids: Iterable[int]) -> set[Pair]:
    """At which endpoints these calls have a delivery that is not at its end: then one of them is pending."""
    keys = [(id_,) for id_ in call_ids]
    return set(
        bulk_sql.select_many(
            connection, deliveries, ("call_id", "endpoint_id"), ("call_id",), keys, where=PENDING_PREDICATE
        )
    )


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
    last = bulk_sql.last_id(connection, deliveries)
    if last <= delivery_id:
        return last, []
    pending = select(_d.endpoint_id, _d.id).where(_d.id > delivery_id, _d.state == _PENDING)
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
    event, callback_id, kind, duplicates, last_duplicate_us = row[_WIDTH : _WIDTH + _CALLBACK_WIDTH]
    if callback_id is None or raw is None:
        return encode_webhook(EventType(event), from_us(created_us), call, None)
    received_at = from_us(received_us)
    last_duplicate_at = None if last_duplicate_us is None else from_us(last_duplicate_us)
    known_by = subscriptions.public_id(fingerprint)
    fields = CallbackPayload.of(
        callback_id, CallbackKind(kind), known_by, received_at, raw, duplicates, last_duplicate_at
    )
    return encode_webhook(EventType(event), received_at, call, fields)
