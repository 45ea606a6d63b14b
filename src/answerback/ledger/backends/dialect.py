"""What the two databases do differently, apart from statements over many rows, which are in `bulk_sql`."""

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Table, func, literal_column, or_, select, text
from sqlalchemy.engine import Connection

from answerback.domain.models import ParsedCallback, RejectedCallback
from answerback.ledger.backends.postgresql.partition_ids import IDS_PER_MONTH, SEQUENCE_BITS, month_of_id
from answerback.ledger.backends.postgresql.text import replace_nul, replace_nul_fields

_clock = text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)")
_OLDEST_TRANSACTION = "pg_snapshot_xmin(pg_current_snapshot())::text::bigint % 4294967296"


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


def newer_than(connection: Connection, table: Table, number: int) -> list[ColumnElement[bool]]:
    """Rows of a higher number, of the last two months: on PostgreSQL an id has the month of its call in front."""
    if not on_postgresql(connection):
        return [table.c.id > number]
    this = month_of_id(connection.execute(select(func.coalesce(func.max(table.c.id), 0))).scalar_one())
    of_month = [
        table.c.id.between((month << SEQUENCE_BITS) + number + 1, ((month + 1) << SEQUENCE_BITS) - 1)
        for month in (this, this - 1)
    ]
    return [or_(*of_month), *committed(connection, table)]


def sequence_column(connection: Connection, id_: Column[Any]) -> ColumnElement[Any]:
    """The number of an id, without the month in front of it."""
    return id_ % IDS_PER_MONTH if on_postgresql(connection) else id_


def committed(connection: Connection, table: Table) -> list[ColumnElement[bool]]:
    """Rows of transactions that are older than any that is under way."""
    if not on_postgresql(connection):
        return []
    return [literal_column(f"{table.name}.xmin::text::bigint < {_OLDEST_TRANSACTION}")]
