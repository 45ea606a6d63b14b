"""The outcome of attempts: each is recorded, its delivery moves on, and what it blocked is unblocked."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, bindparam, case, func, literal_column, select, update
from sqlalchemy.engine import Connection

from answerback.domain.delivery_states import ACTIVE_STATES, DELIVERY_TRANSITIONS, DeliveryTransition
from answerback.domain.endpoints import DeliveryState, Endpoint, EventType, PayloadFormat
from answerback.ledger.admin import endpoints as store
from answerback.ledger.backends.selection import bulk_sql
from answerback.ledger.rows import READ_COLUMNS, call_of
from answerback.ledger.tables import BLOCKED_PREDICATE, PENDING_PREDICATE, attempts, calls, deliveries
from answerback.ledger.types import AttemptRecord, DeliveryJob, EndpointPause, to_us
from answerback.ledger.write.delivery_jobs import fetch_jobs
from answerback.ledger.write.outbox import OutboxWriter, Pair
from answerback.ledger.write.subscriptions import SubscriptionCache

ATTEMPT_COLUMNS = ("delivery_id", "started_us", "duration_us", "http_status", "response_body", "error")

_PENDING = DeliveryState.PENDING.value
_LAST_DELIVERIES = 100
"""Deliveries of a call that are looked through for what its endpoint got last: a call may have any number."""

_d = deliveries.c

_move_after_failure = (
    update(deliveries)
    .where(_d.id == bindparam("delivery_id"))
    .values(
        attempts=_d.attempts + 1,
        failed_attempts=_d.failed_attempts + bindparam("counts"),
        state=case((_d.state == _PENDING, bindparam("next_state")), else_=_d.state),
        due_us=bindparam("next_due_us"),
        finished_us=case((_d.state == _PENDING, bindparam("ended_us")), else_=_d.finished_us),
    )
)


def record_attempts(
    connection: Connection,
    subscriptions: SubscriptionCache,
    records: Sequence[AttemptRecord],
    pauses: Sequence[EndpointPause],
    now: datetime,
    *,
    is_retry: bool = False,
    leased: Collection[int] | None = None,
) -> list[DeliveryJob]:
    """Keep each attempt, move its delivery on, and free the next one of its call; those are returned.

    `is_retry`: it was asked for before, and whether it was done is not known; what was done is not done twice. Of endpoints
    that are not `leased`, another process decides now what follows: there only the attempt is kept.
    """
    if is_retry:
        records = _not_recorded(connection, records)
    if leased is not None:
        insert_attempts(connection, [one for one in records if one.endpoint_id not in leased])
        records = [one for one in records if one.endpoint_id in leased]
        pauses = [one for one in pauses if one.endpoint_id in leased]
    now_us = to_us(now)
    bulk_sql(connection).lock_rows(calls, list({one.call_id for one in records}))
    delivered = [one for one in records if one.transition is DeliveryTransition.SUCCEEDED]
    bulk_sql(connection).update(
        deliveries,
        "state = 'delivered', attempts = attempts + 1, finished_us = ?",
        (now_us,),
        [one.delivery_id for one in delivered],
        "state IN ('pending', 'dead')",
    )
    failed = [one for one in records if one.transition is not DeliveryTransition.SUCCEEDED]
    if failed:
        connection.execute(_move_after_failure, [_after_failure(one, now_us) for one in failed])
    insert_attempts(connection, records)
    for one in pauses:
        store.pause(connection, one.endpoint_id, one.consecutive_failures, one.until_us)
    ended = [
        (one.call_id, one.endpoint_id) for one in records if one.transition is not DeliveryTransition.ATTEMPT_FAILED
    ]
    unblocked, active = _unblock(connection, ended, now_us)
    outbox = OutboxWriter(connection, subscriptions)
    last = [one for one in records if (one.call_id, one.endpoint_id) not in active]
    _enqueue_revisions(
        connection, subscriptions, outbox, [one for one in last if one.transition is DeliveryTransition.SUCCEEDED], now
    )
    for end in last:
        if _has_missed_revision(connection, subscriptions, end) and (
            endpoint := subscriptions.endpoint(end.endpoint_id)
        ):
            (row,) = bulk_sql(connection).select_many(calls, READ_COLUMNS, ("id",), [(end.call_id,)])
            outbox.enqueue_call_event(endpoint, end.call_id, EventType.REVISED, call_of(row), now)
    outbox.write()
    return [*fetch_jobs(connection, subscriptions, unblocked), *outbox.jobs]


def insert_attempts(connection: Connection, records: Sequence[AttemptRecord]) -> None:
    rows = [
        (one.delivery_id, one.started_us, one.duration_us, one.http_status, one.response_body, one.error)
        for one in records
    ]
    bulk_sql(connection).insert(attempts, ATTEMPT_COLUMNS, rows)


def _not_recorded(connection: Connection, records: Sequence[AttemptRecord]) -> list[AttemptRecord]:
    """Those whose attempt is not in the ledger; no two attempts at a delivery begin at the same moment."""
    ids = list(dict.fromkeys((one.delivery_id,) for one in records))
    kept = set(bulk_sql(connection).select_many(attempts, ("delivery_id", "started_us"), ("delivery_id",), ids))
    return [one for one in records if (one.delivery_id, one.started_us) not in kept]


def _after_failure(one: AttemptRecord, now_us: int) -> dict[str, object]:
    state = DELIVERY_TRANSITIONS[DeliveryState.PENDING][one.transition]
    return {
        "delivery_id": one.delivery_id,
        "counts": int(one.counts),
        "next_state": state.value,
        "next_due_us": one.due_us,
        "ended_us": now_us if state is DeliveryState.DEAD else None,
    }


def _unblock(connection: Connection, pairs: Sequence[Pair], now_us: int | None = None) -> tuple[list[int], set[Pair]]:
    """Let the first that waits go out, for each of `pairs` that has none pending; and which pairs have one now."""
    columns = ("call_id", "endpoint_id")
    pending: set[Pair] = set(
        bulk_sql(connection).select_many(deliveries, columns, columns, pairs, where=PENDING_PREDICATE)
    )
    idle = [pair for pair in dict.fromkeys(pairs) if pair not in pending]
    first = {row[:2]: row[2] for row in bulk_sql(connection).select_first(deliveries, columns, BLOCKED_PREDICATE, idle)}
    unblocked = sorted(first.values())
    if now_us is None:  # as soon as it could have gone out
        bulk_sql(connection).update(deliveries, "state = 'pending'", (), unblocked)
    else:
        bulk_sql(connection).update(deliveries, "state = 'pending', due_us = ?", (now_us,), unblocked)
    return unblocked, pending | set(first)


def _has_missed_revision(connection: Connection, subscriptions: SubscriptionCache, one: AttemptRecord) -> bool:
    """Whether the call was annotated after what its endpoint has of it: the delivery that would have carried it is dead.

    An update that dies itself is not followed by another, or it would go on for ever.
    """
    if one.transition is not DeliveryTransition.EXHAUSTED or not _is_notified_on_update(
        subscriptions.endpoint(one.endpoint_id)
    ):
        return False
    mine = (_d.call_id == one.call_id, _d.endpoint_id == one.endpoint_id)
    last = select(_d.finished_us, _d.state).where(*mine).order_by(_d.id.desc()).limit(_LAST_DELIVERIES).subquery()
    last_delivered_us = (
        select(func.max(last.c.finished_us)).where(last.c.state == DeliveryState.DELIVERED.value).scalar_subquery()
    )
    after = select(_d.id).where(
        _d.id == one.delivery_id, _d.callback_id.is_not(None), calls.c.annotated_us >= last_delivered_us
    )
    return connection.execute(after.join(calls, calls.c.id == _d.call_id)).scalar() is not None


def _enqueue_revisions(
    connection: Connection,
    subscriptions: SubscriptionCache,
    outbox: OutboxWriter,
    delivered: Sequence[AttemptRecord],
    now: datetime,
) -> None:
    """Enqueue an update if the call was annotated after the delivery was written, and the endpoint subscribes to updates."""
    wanting = [one for one in delivered if _is_notified_on_update(subscriptions.endpoint(one.endpoint_id))]
    if not wanting:
        return
    ids = list(dict.fromkeys((one.call_id,) for one in wanting))
    found = {row[0]: call_of(row) for row in bulk_sql(connection).select_many(calls, READ_COLUMNS, ("id",), ids)}
    for one in wanting:
        call, endpoint = found[one.call_id], subscriptions.endpoint(one.endpoint_id)
        if endpoint and call.annotated_at is not None and to_us(call.annotated_at) != one.annotated_us:
            outbox.enqueue_call_event(endpoint, one.call_id, EventType.REVISED, call, now)


def _is_notified_on_update(endpoint: Endpoint | None) -> bool:
    """Whether it asks for them, in a format that has a form for them."""
    return (
        endpoint is not None and endpoint.config.notify_on_update and endpoint.config.format is PayloadFormat.STANDARD
    )


def cancel_pending(connection: Connection, endpoint_id: int, now: datetime, limit: int) -> int:
    """Cancel some deliveries to a removed endpoint; how many there were."""
    ids: list[int] = []
    for state in (
        DeliveryState.BLOCKED,
        DeliveryState.PENDING,
    ):  # while one is pending, `next_due_by_endpoint` shows that there is more to do
        spelled: ColumnElement[bool] = literal_column(f"state = '{state.value}'")
        mine = select(_d.id).where(spelled, _d.endpoint_id == endpoint_id)
        if state is DeliveryState.PENDING:
            mine = mine.where(_d.due_us >= 0)  # always so: it makes SQLite take the right index
        found = mine.limit(limit - len(ids))
        ids += connection.execute(found).scalars()
    dead = DELIVERY_TRANSITIONS[DeliveryState.PENDING][DeliveryTransition.CANCELLED].value
    bulk_sql(connection).update(deliveries, "state = ?, finished_us = ?", (dead, to_us(now)), ids)
    return len(ids)


def cancel_call_events(connection: Connection, endpoint_id: int, now: datetime) -> None:
    """Cancel the events of calls themselves for an endpoint, and unblock what waits for them."""
    mine = (
        _d.endpoint_id == endpoint_id,
        _d.callback_id.is_(None),
        _d.state.in_([state.value for state in ACTIVE_STATES]),
    )
    dead = DELIVERY_TRANSITIONS[DeliveryState.PENDING][DeliveryTransition.CANCELLED].value
    pairs = [tuple(row) for row in connection.execute(select(_d.call_id, _d.endpoint_id).where(*mine).distinct())]
    connection.execute(update(deliveries).where(*mine).values(state=dead, finished_us=to_us(now)))
    _unblock(connection, pairs)
