"""Letting go of whole months on PostgreSQL: their partitions are dropped, which takes no longer for more callbacks.

Statistics stay: they are sums, and name nobody.
"""

from datetime import datetime
from itertools import count

import msgspec
from sqlalchemy import delete, func, select
from sqlalchemy.engine import Connection

from answerback.domain.delivery_states import UNSETTLED
from answerback.ledger.admin.audit import Actor, AuditAction, record_event
from answerback.ledger.backends.postgresql import schema
from answerback.ledger.backends.postgresql.partition_ids import NUMBERS, month_name, month_of_us
from answerback.ledger.tables import calls, deliveries
from answerback.ledger.types import to_us

_CALLS_AT_A_TIME = 5_000


class Month(msgspec.Struct, frozen=True, kw_only=True):
    """A month that the ledger holds; `calls` first seen in it, `unsettled` deliveries that are not at their end."""

    month: int
    calls: int
    unsettled: int


def months_before(connection: Connection, when_us: int) -> list[Month]:
    """The months that are over before the one of `when_us`; that of copied calls where the last of them was seen before it."""
    limit = month_of_us(when_us)
    found = [month for month in schema.months_there(connection) if month < limit]
    if schema.COPIED in found:
        last_us = connection.execute(select(func.max(calls.c.first_seen_us)).where(calls.c.id < NUMBERS)).scalar()
        if last_us is None or month_of_us(last_us) >= limit:
            found.remove(schema.COPIED)
    return [_month(connection, month) for month in sorted(found)]


def _month(connection: Connection, month: int) -> Month:
    first, last = month * NUMBERS, (month + 1) * NUMBERS - 1
    of_calls = select(func.count()).select_from(calls).where(calls.c.id.between(first, last))
    open_ones = (
        select(func.count())
        .select_from(deliveries)
        .where(deliveries.c.call_id.between(first, last), deliveries.c.state.in_([state.value for state in UNSETTLED]))
    )
    return Month(
        month=month,
        calls=connection.execute(of_calls).scalar_one(),
        unsettled=connection.execute(open_ones).scalar_one(),
    )


def make_months(connection: Connection, now: datetime, months: int) -> None:
    """Make the partitions of the month of `now` and of those after it: who only serves the ledger may have no right to."""
    first = month_of_us(to_us(now))
    for month in range(first, first + months):
        schema.see_to_month(connection, month)


def months_ahead(connection: Connection, now: datetime) -> int | None:
    """How many months after that of `now` have partitions without a gap; -1: not even it has; None: this role may make them."""
    if schema.may_make_months(connection):
        return None
    there, month = set(schema.months_there(connection)), month_of_us(to_us(now))
    return next(ahead for ahead in count(-1) if month + ahead + 1 not in there)


def drop_month(connection: Connection, month: int, actor: Actor, now: datetime) -> None:
    """Drop the callbacks, deliveries and attempts of a month."""
    schema.drop_month(connection, month)
    record_event(connection, actor, AuditAction.MONTH_DROPPED, now, month_name(month))


def forget_calls(connection: Connection, month: int) -> int:
    """Delete some calls of a month that was dropped; how many there were."""
    first, last = month * NUMBERS, (month + 1) * NUMBERS - 1
    some = select(calls.c.id).where(calls.c.id.between(first, last)).order_by(calls.c.id).limit(_CALLS_AT_A_TIME)
    return connection.execute(delete(calls).where(calls.c.id.in_(some))).rowcount
