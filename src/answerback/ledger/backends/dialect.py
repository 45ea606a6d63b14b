"""What the two databases do differently, apart from statements over many rows, which are in `bulk_sql`."""

import time
from collections.abc import Sequence

from sqlalchemy import Table, func, select, text
from sqlalchemy.engine import Connection

from answerback.domain.models import ParsedCallback, RejectedCallback
from answerback.ledger.backends.postgresql.partition_ids import MAX_SEQUENCE, SEQUENCE_BITS, month_of_id
from answerback.ledger.backends.postgresql.text import replace_nul, replace_nul_fields
from answerback.ledger.backends.postgresql.transactions import WRITE_LOCK

_clock = text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)")
_writers = text(
    "SELECT DISTINCT virtualtransaction FROM pg_locks WHERE locktype = 'advisory' AND classid = 0 AND objid = :lock AND objsubid = 1"
    " AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


def on_postgresql(connection: Connection) -> bool:
    """Whether the ledger is not a SQLite file."""
    return connection.dialect.name == "postgresql"


def db_now_us(connection: Connection) -> int:
    """The time that all processes on the ledger share: the database's, where it has one of its own."""
    if on_postgresql(connection):
        database_us: int = connection.execute(_clock).scalar_one()
        return database_us
    return time.time_ns() // 1000


def storable_text(connection: Connection, value: str) -> str:
    """`value` as the database can keep it."""
    return str(replace_nul(value)) if on_postgresql(connection) else value


def storable_batch(
    connection: Connection, batch: Sequence[ParsedCallback | RejectedCallback]
) -> Sequence[ParsedCallback | RejectedCallback]:
    """`batch` with callbacks that the database can keep."""
    return [replace_nul_fields(item) for item in batch] if on_postgresql(connection) else batch


def recent_ids(
    connection: Connection, table: Table, after: int = 0, until: int = MAX_SEQUENCE
) -> list[tuple[int, int]]:
    """The ranges of ids, each without its first, in which the numbers are over `after` and up to `until`.

    On PostgreSQL an id has the month of its call in front: the ranges are those of the last two months.
    """
    if not on_postgresql(connection):
        return [(after, until)]
    this = month_of_id(connection.execute(select(func.coalesce(func.max(table.c.id), 0))).scalar_one())
    return [((month << SEQUENCE_BITS) + after, (month << SEQUENCE_BITS) + until) for month in {this, max(0, this - 1)}]


def current_writers(connection: Connection) -> frozenset[str]:
    """The transactions that write to the ledger now, and may have drawn numbers for rows; all end before they let go of the lock."""
    if not on_postgresql(connection):
        return frozenset()  # a reader sees whole transactions, one after the other
    return frozenset(connection.execute(_writers, {"lock": WRITE_LOCK}).scalars())
