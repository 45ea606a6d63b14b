"""Many rows at once into a table that is only copied into."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection

from answerback.ledger.backends import bulk_sql
from answerback.ledger.backends.postgresql.partition_ids import month_of_id
from answerback.ledger.backends.postgresql.schema import MONTHLY, see_to_month
from answerback.ledger.backends.postgresql.text import storable
from answerback.store_copy.tables import Row, Shape

_TYPES = {"BIGINT": "int8", "INTEGER": "int4", "SMALLINT": "int2", "TEXT": "text", "BYTEA": "bytea"}


def load(connection: Connection, shape: Shape, rows: Sequence[Row]) -> None:
    """Add rows of all columns of a table, in the connection's transaction."""
    if bulk_sql.on_postgresql(connection):
        _see_to_months(connection, shape, rows)
        _copy(connection, shape, rows)
        return
    names = ", ".join(f'"{column}"' for column in shape.columns)
    marks = ", ".join("?" * len(shape.columns))
    sql = f"INSERT INTO {shape.name} ({names}) VALUES ({marks})"  # noqa: S608  # our own names, marks for values
    connection.connection.cursor().executemany(sql, rows)


def kept(row: Row) -> Row:
    """A row as PostgreSQL keeps it."""
    return tuple(storable(value) for value in row)


def _see_to_months(connection: Connection, shape: Shape, rows: Sequence[Row]) -> None:
    if shape.name in MONTHLY:
        tells = shape.columns.index(MONTHLY[shape.name])
        for month in sorted({month_of_id(row[tells]) for row in rows}):  # type: ignore[arg-type]  # an id
            see_to_month(connection, month)


def _copy(connection: Connection, shape: Shape, rows: Sequence[Row]) -> None:
    """Twice as fast as arrays are."""
    names = ", ".join(f'"{column}"' for column in shape.columns)
    cursor: Any = connection.connection.cursor()
    with cursor.copy(f"COPY {shape.name} ({names}) FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(_types(shape.table, shape.columns))
        for row in rows:
            copy.write_row(row)


@cache
def _types(table: Table, columns: tuple[str, ...]) -> list[str]:
    """As psycopg calls them."""
    return [_TYPES[table.c[column].type.compile(postgresql.dialect())] for column in columns]  # type: ignore[no-untyped-call]
