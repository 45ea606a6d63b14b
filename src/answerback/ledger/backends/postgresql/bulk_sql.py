"""The hot statements in PostgreSQL's form: one array for each column, whatever the number of rows.

So each table has one text for each sort of statement, which stays prepared.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from sqlalchemy import Table
from sqlalchemy.engine import Connection
from sqlalchemy.engine.interfaces import DBAPICursor

from answerback.ledger.backends.postgresql.partition_ids import IDS_PER_MONTH, month_of_id, month_of_us
from answerback.ledger.backends.postgresql.schema import PARTITIONED, ensure_partition

Row = tuple[object, ...]

_MAX_CHUNK_ROWS = 2048  # in one statement: more only make the server hold more at a time
COPY_FROM_ROWS = 100
_IDS_PER_DRAW = 256
_HIDDEN_FROM_PLANNER = ("calls", "channel")
"""A new table has no statistics, and PostgreSQL would look for a call by its channel, in the index that has that first. A
comparison that no index knows leaves it the callid."""


def insert(connection: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[Row]) -> None:
    """Add `rows`; many of them by COPY, which takes half the work of both sides, but more to begin with."""
    if len(rows) < COPY_FROM_ROWS:
        for chunk in _chunks(rows):
            _execute(connection, _insert_sql(table, columns), _arrays(chunk))
        return
    cursor: Any = connection.connection.cursor()
    with cursor.copy(f"COPY {table.name} ({_names(columns)}) FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types([_copy_type_of(table, column) for column in columns])
        for row in rows:
            copy.write_row(row)


def upsert(
    connection: Connection, table: Table, columns: tuple[str, ...], key: tuple[str, ...], rows: Sequence[Row]
) -> None:
    """Add `rows`, or bring the row of the same `key` up to date."""
    for chunk in _chunks(rows):
        _execute(connection, _upsert_sql(table, columns, key), _arrays(chunk))


def increment(
    connection: Connection, table: Table, key: tuple[str, ...], columns: tuple[str, ...], rows: Sequence[Row]
) -> None:
    """Add to the `columns` of the rows of each `key`, made where they are missing."""
    for chunk in _chunks(rows):
        _execute(connection, _increment_sql(table, key, columns), _arrays(chunk))


def select_many(
    connection: Connection,
    table: Table,
    columns: tuple[str, ...],
    key: tuple[str, ...],
    rows: Sequence[Row],
    *,
    where: str = "1 = 1",
    lock: bool = False,
) -> Iterator[tuple[Any, ...]]:
    """The rows whose `key` is among `rows`; with `lock` they are ours until the end, taken in order of their ids."""
    for chunk in _chunks(sorted(rows) if lock else rows):
        yield from _execute(connection, _select_many_sql(table, columns, key, where, lock), _arrays(chunk)).fetchall()


def select_first(
    connection: Connection, table: Table, key: tuple[str, ...], where: str, rows: Sequence[Row]
) -> Iterator[tuple[Any, ...]]:
    """Each of `rows` with the least id that has this `key` and matches `where`, if there is one."""
    for chunk in _chunks(rows):
        yield from _execute(connection, _select_first_sql(table, key, where), _arrays(chunk)).fetchall()


def update(connection: Connection, table: Table, assignments: str, values: Row, ids: Sequence[int], where: str) -> None:
    """Change the rows of `ids` that match `where`."""
    if not ids:
        return
    sql = _update_sql(table, assignments, where)
    bounds = (min(ids), max(ids))
    limits = tuple(month_of_id(bound) * IDS_PER_MONTH for bound in bounds) if table.name in PARTITIONED else ()
    _execute(connection, sql, (*values, list(ids), *limits))


def lock_rows(connection: Connection, table: Table, ids: Sequence[int]) -> None:
    """Make the rows of `ids` ours until the end of the transaction, in order."""
    if ids:
        _execute(connection, _lock_rows_sql(table), (sorted(ids),))


def pipeline(connection: Connection) -> AbstractContextManager[Any]:
    """Send statements without waiting for each; what is read in it waits for all before it. COPY cannot be in one."""
    driver: Any = connection.connection.driver_connection
    pipe: AbstractContextManager[Any] = driver.pipeline()
    return pipe


class SequenceIds:
    """Ids for new rows of one table, drawn from its sequence some at a time: later ones are higher within a month.

    That holds for the rows of one call only while its transaction holds the call.
    """

    def __init__(self, connection: Connection, table: Table, expected: int = 1) -> None:
        self._connection = connection
        self._sql = f"SELECT nextval('{table.name}_id_seq') FROM generate_series(1, %s)"  # noqa: S608  # our own name
        self._expected = expected
        self._drawn: Iterator[int] = iter(())

    def for_time(self, when_us: int) -> int:
        """An id of the month of a time."""
        month = month_of_us(when_us)
        ensure_partition(self._connection, month)
        return month * IDS_PER_MONTH + self._draw()

    def for_call(self, call_id: int) -> int:
        """An id of the month of a call."""
        return month_of_id(call_id) * IDS_PER_MONTH + self._draw()

    def next(self) -> int:
        """An id that knows no month."""
        return self._draw()

    def _draw(self) -> int:
        number = next(self._drawn, None)
        if number is None:
            wanted = max(1, self._expected)
            self._expected = _IDS_PER_DRAW
            self._drawn = iter([row[0] for row in _execute(self._connection, self._sql, (wanted,)).fetchall()])
            number = next(self._drawn)
        return number


def _execute(connection: Connection, sql: str, parameters: Sequence[object]) -> DBAPICursor:
    cursor = connection.connection.cursor()
    cursor.execute(sql, parameters)
    return cursor


def _chunks(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    for start in range(0, len(rows), _MAX_CHUNK_ROWS):
        yield rows[start : start + _MAX_CHUNK_ROWS]


def _arrays(rows: Sequence[Row]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]


@cache
def _type_of(table: Table, column: str) -> str:
    from sqlalchemy.dialects import postgresql

    return table.c[column].type.compile(postgresql.dialect())  # type: ignore[no-untyped-call]


@cache
def _copy_type_of(table: Table, column: str) -> str:
    """What psycopg calls it."""
    return {"BIGINT": "int8", "INTEGER": "int4", "SMALLINT": "int2", "BYTEA": "bytea"}.get(
        _type_of(table, column), "text"
    )


def _unnested(table: Table, columns: tuple[str, ...]) -> str:
    return ", ".join(f"%b::{_type_of(table, column)}[]" for column in columns)


def _names(columns: tuple[str, ...], prefix: str = "") -> str:
    return ", ".join(f'{prefix}"{column}"' for column in columns)


@cache
def _insert_sql(table: Table, columns: tuple[str, ...]) -> str:
    return f"INSERT INTO {table.name} ({_names(columns)}) SELECT * FROM unnest({_unnested(table, columns)})"  # noqa: S608  # our own names, marks for values


@cache
def _upsert_sql(table: Table, columns: tuple[str, ...], key: tuple[str, ...]) -> str:
    changes = ", ".join(f'"{column}" = excluded."{column}"' for column in columns if column not in ("id", *key))
    return f"{_insert_sql(table, columns)} ON CONFLICT ({_names(key)}) DO UPDATE SET {changes}"


@cache
def _select_many_sql(table: Table, columns: tuple[str, ...], key: tuple[str, ...], where: str, lock: bool) -> str:  # noqa: FBT001  # a part of the cache's key
    matches = " AND ".join([*(_matches(table.name, column) for column in key), where])
    wanted = f"unnest({_unnested(table, key)}) AS wanted ({_names(key)})"
    held = f" ORDER BY {table.name}.id FOR NO KEY UPDATE OF {table.name}" if lock else ""
    return f"SELECT {_names(columns, f'{table.name}.')} FROM {wanted} JOIN {table.name} ON {matches}{held}"  # noqa: S608  # as above


@cache
def _select_first_sql(table: Table, key: tuple[str, ...], where: str) -> str:
    matches = " AND ".join([*(_matches(table.name, column) for column in key), where])
    wanted = f"unnest({_unnested(table, key)}) AS wanted ({_names(key)})"
    first = f"SELECT id FROM {table.name} WHERE {matches} ORDER BY id LIMIT 1"  # noqa: S608  # as above
    return f"SELECT {_names(key, 'wanted.')}, first.id FROM {wanted} CROSS JOIN LATERAL ({first}) AS first"  # noqa: S608  # as above


def _matches(table: str, column: str) -> str:
    equals = "IS NOT DISTINCT FROM" if (table, column) == _HIDDEN_FROM_PLANNER else "="
    return f'{table}."{column}" {equals} wanted."{column}"'


@cache
def _increment_sql(table: Table, key: tuple[str, ...], columns: tuple[str, ...]) -> str:
    sums = ", ".join(f'"{column}" = {table.name}."{column}" + excluded."{column}"' for column in columns)
    return f"{_insert_sql(table, (*key, *columns))} ON CONFLICT ({_names(key)}) DO UPDATE SET {sums}"


@cache
def _update_sql(table: Table, assignments: str, where: str) -> str:
    sql = f"UPDATE {table.name} SET {assignments.replace('?', '%s')} WHERE id = ANY(%b::bigint[]) AND {where}"  # noqa: S608  # as above
    if table.name in PARTITIONED:  # or every month there ever was would be looked into
        sql += f" AND {PARTITIONED[table.name]} >= %s AND {PARTITIONED[table.name]} < %s + {IDS_PER_MONTH}"
    return sql


@cache
def _lock_rows_sql(table: Table) -> str:
    return f"SELECT id FROM {table.name} WHERE id = ANY(%b::bigint[]) ORDER BY id FOR NO KEY UPDATE"  # noqa: S608  # as above
