"""The months of a ledger on PostgreSQL: their partitions are made ahead, and dropped once their calls are deleted."""

from datetime import datetime
from itertools import count

from sqlalchemy import exists, select, text
from sqlalchemy.engine import Connection

from answerback.ledger.backends.postgresql import schema
from answerback.ledger.backends.postgresql.partition_ids import IDS_PER_MONTH, month_of_us
from answerback.ledger.tables import calls
from answerback.ledger.types import to_us

_SET_LOCK_TIMEOUT = text("SET LOCAL lock_timeout = '1s'")
"""To drop a partition everybody else has to be out of its table, and whoever comes waits behind: not for long."""


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


def drop_empty_partition(connection: Connection, when_us: int) -> bool:
    """Drop one month before that of `when_us` of which no call is left, which gives its disk back; False where there is none.

    Who only serves the ledger may have no right to.
    """
    limit = month_of_us(when_us)
    months = [month for month in schema.list_partitions(connection) if schema.COPIED_MONTH < month < limit]
    for month in months:
        of_month = calls.c.id.between(month * IDS_PER_MONTH, (month + 1) * IDS_PER_MONTH - 1)
        if connection.execute(select(exists().where(of_month))).scalar_one():
            continue
        if not schema.can_create_partitions(connection):
            return False
        connection.execute(_SET_LOCK_TIMEOUT)
        schema.drop_partition(connection, month)
        return True
    return False
