"""Retention on PostgreSQL: whole months are dropped with their partitions, however many callbacks they hold.

Statistics stay: they are sums, and name nobody.
"""

from datetime import datetime
from itertools import count

import msgspec
from sqlalchemy import delete, func, select
from sqlalchemy.engine import Connection

from answerback.domain.delivery_states import ACTIVE_STATES
from answerback.ledger.admin.audit import Actor, AuditAction, record_event
from answerback.ledger.backends.postgresql import schema
from answerback.ledger.backends.postgresql.partition_ids import IDS_PER_MONTH, month_name, month_of_us
from answerback.ledger.tables import calls, deliveries
from answerback.ledger.types import to_us

_CALLS_PER_TRANSACTION = 5_000


class PartitionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A month that the ledger holds; `calls` first seen in it, `active_deliveries` deliveries that are not at their end."""

    month: int
    calls: int
    active_deliveries: int


def expired_partitions(connection: Connection, when_us: int) -> list[PartitionInfo]:
    """The months that are over before the one of `when_us`; that of copied calls where the last of them was seen before it."""
    limit = month_of_us(when_us)
    found = [month for month in schema.list_partitions(connection) if month < limit]
    if schema.COPIED_MONTH in found:
        last_us = connection.execute(select(func.max(calls.c.first_seen_us)).where(calls.c.id < IDS_PER_MONTH)).scalar()
        if last_us is None or month_of_us(last_us) >= limit:
            found.remove(schema.COPIED_MONTH)
    return [_partition_info(connection, month) for month in sorted(found)]


def _partition_info(connection: Connection, month: int) -> PartitionInfo:
    first, last = month * IDS_PER_MONTH, (month + 1) * IDS_PER_MONTH - 1
    of_calls = select(func.count()).select_from(calls).where(calls.c.id.between(first, last))
    open_ones = (
        select(func.count())
        .select_from(deliveries)
        .where(
            deliveries.c.call_id.between(first, last), deliveries.c.state.in_([state.value for state in ACTIVE_STATES])
        )
    )
    return PartitionInfo(
        month=month,
        calls=connection.execute(of_calls).scalar_one(),
        active_deliveries=connection.execute(open_ones).scalar_one(),
    )


def create_partitions(connection: Connection, now: datetime, months: int) -> None:
    """Make the partitions of the month of `now` and of those after it: who only serves the ledger may have no right to."""
    first = month_of_us(to_us(now))
    for month in range(first, first + months):
        schema.ensure_partition(connection, month)


def partitions_ahead(connection: Connection, now: datetime) -> int | None:
    """How many months after that of `now` have partitions without a gap; -1: not even it has; None: this role may make them."""
    if schema.can_create_partitions(connection):
        return None
    there, month = set(schema.list_partitions(connection)), month_of_us(to_us(now))
    return next(ahead for ahead in count(-1) if month + ahead + 1 not in there)


def drop_partition(connection: Connection, month: int, actor: Actor, now: datetime) -> None:
    """Drop the callbacks, deliveries and attempts of a month."""
    schema.drop_partition(connection, month)
    record_event(connection, actor, AuditAction.MONTH_DROPPED, now, month_name(month))


def delete_orphan_calls(connection: Connection, month: int) -> int:
    """Delete some calls of a month that was dropped; how many there were."""
    first, last = month * IDS_PER_MONTH, (month + 1) * IDS_PER_MONTH - 1
    some = select(calls.c.id).where(calls.c.id.between(first, last)).order_by(calls.c.id).limit(_CALLS_PER_TRANSACTION)
    return connection.execute(delete(calls).where(calls.c.id.in_(some))).rowcount
