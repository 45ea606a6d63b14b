"""The outbox: the deliveries, written in the transaction that stores the callback.

Of the deliveries of a call to an endpoint one at most is pending, the first that is not at its end; the law is in
`answerback.domain.delivery_states`.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from secrets import token_hex

from sqlalchemy.engine import Connection

from answerback.domain.calls import call_fingerprint
from answerback.domain.delivery_states import TAG_LENGTH, event_type_for, message_id
from answerback.domain.endpoints import DeliveryState, Endpoint, EventType, PayloadFormat
from answerback.domain.models import Call, ParsedCallback
from answerback.domain.webhook_payload import CallbackPayload, encode_webhook
from answerback.ledger.backends.selection import bulk_sql
from answerback.ledger.tables import PENDING_PREDICATE, deliveries
from answerback.ledger.types import DeliveryJob, to_us
from answerback.ledger.write.subscriptions import SubscriptionCache

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
            self._new_ids = bulk_sql(connection).id_allocator(deliveries)
            self._active = active_pairs(connection, call_ids)

    def enqueue_callback(
        self, call_id: int, callback_id: int, item: ParsedCallback, before: Call | None, after: Call
    ) -> None:
        """Enqueue `item`, which made `after` of `before`, for every endpoint that it matches."""
        for endpoint in self.subscriptions.for_channel(item.channel):
            kind = item.callback.kind
            if endpoint.config.matches(kind, after):
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
        bulk_sql(self._connection).insert(deliveries, DELIVERY_COLUMNS, self._rows)
        self._rows = []


def active_pairs(connection: Connection, call_ids: Iterable[int]) -> set[Pair]:
    """At which endpoints these calls have a delivery that is not at its end: then one of them is pending."""
    keys = [(id_,) for id_ in call_ids]
    return set(
        bulk_sql(connection).select_many(
            deliveries, ("call_id", "endpoint_id"), ("call_id",), keys, where=PENDING_PREDICATE
        )
    )
