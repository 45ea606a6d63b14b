"""The hot statements in PostgreSQL's form: one array for each column, whatever the number of rows.

So each table has one text for each sort of statement, which stays prepared.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from sqlalchemy import Table
from sqlalchemy.engine import Connection
from sqlalchemy.engine.interfaces import DBAPICursor

from answerback.ledger.backends.bulk_sql import BulkSQL, Row, quoted
from answerback.ledger.backends.postgresql.partition_ids import IDS_PER_MONTH, month_of_id, month_of_us
from answerback.ledger.backends.postgresql.schema import PARTITIONED, ensure_partition

_MAX_CHUNK_ROWS = 2048  # in one statement: more only make the server hold more at a time
_COPY_FROM_ROWS = 100
_LOCK_ROLLUPS = f"SELECT pg_advisory_xact_lock({0x616E73_02})"
_IDS_PER_DRAW = 256
_HIDDEN_FROM_PLANNER = ("calls", "channel")
"""A new table has no statistics, and PostgreSQL would look for a call by its channel, in the index that has that first. A
comparison that no index knows leaves it the callid."""


class PostgreSQLBulkSQL(BulkSQL):
    """The statements on a server."""

    __slots__ = ()

    def execute(self, sql: str, parameters: Row = ()) -> DBAPICursor:
        return _execute(self._connection, sql.replace("?", "%s"), parameters)

    def insert(self, table: Table, columns: tuple[str, ...], rows: Sequence[Row]) -> None:
        """Many rows go by COPY, which takes half the work of both sides, but more to begin with."""
        if len(rows) < _COPY_FROM_ROWS:
            for chunk in _chunks(rows):
                _execute(self._connection, _insert_sql(table, columns), _arrays(chunk))
            return
        cursor: Any = self._connection.connection.cursor()
        with cursor.copy(f"COPY {table.name} ({quoted(columns)}) FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types([_copy_type_of(table, column) for column in columns])
            for row in rows:
                copy.write_row(row)

    def upsert(self, table: Table, columns: tuple[str, ...], key: tuple[str, ...], rows: Sequence[Row]) -> None:
        for chunk in _chunks(rows):
            _execute(self._connection, _upsert_sql(table, columns, key), _arrays(chunk))

    def increment(self, table: Table, key: tuple[str, ...], columns: tuple[str, ...], rows: Sequence[Row]) -> None:
        for chunk in _chunks(rows):
            _execute(self._connection, _increment_sql(table, key, columns), _arrays(chunk))

    def select_many(
        self,
        table: Table,
        columns: tuple[str, ...],
        key: tuple[str, ...],
        rows: Sequence[Row],
        *,
        where: str = "1 = 1",
        lock: bool = False,
    ) -> Iterator[tuple[Any, ...]]:
        """Rows are locked in order of their ids."""
        sql = _select_many_sql(table, columns, key, where, lock)
        for chunk in _chunks(sorted(rows) if lock else rows):
            yield from _execute(self._connection, sql, _arrays(chunk)).fetchall()

    def select_first(
        self, table: Table, key: tuple[str, ...], where: str, rows: Sequence[Row]
    ) -> Iterator[tuple[Any, ...]]:
        for chunk in _chunks(rows):
            yield from _execute(self._connection, _select_first_sql(table, key, where), _arrays(chunk)).fetchall()

    def update(self, table: Table, assignments: str, values: Row, ids: Sequence[int], where: str = "1 = 1") -> None:
        if not ids:
            return
        bounds = (min(ids), max(ids))
        limits = tuple(month_of_id(bound) * IDS_PER_MONTH for bound in bounds) if table.name in PARTITIONED else ()
        _execute(self._connection, _update_sql(table, assignments, where), (*values, list(ids), *limits))

    def lock_rows(self, table: Table, ids: Sequence[int]) -> None:
        """In order of the ids."""
        if ids:
            _execute(self._connection, _lock_rows_sql(table), (sorted(ids),))

    def lock_rollups(self) -> None:
        self.execute(_LOCK_ROLLUPS)

    @contextmanager
    def pipelined(self, rows: int = 0) -> Iterator[None]:
        """What is read in it waits for all before it. COPY cannot be in one."""
        if rows >= _COPY_FROM_ROWS:
            yield
            return
        driver: Any = self._connection.connection.driver_connection
        with driver.pipeline():
            yield

    def id_allocator(self, table: Table, expected: int = 1) -> "_SequenceIds":
        return _SequenceIds(self._connection, table, expected)


class _SequenceIds:
    """Ids for new rows of one table, drawn from its sequence some at a time: later ones are higher within a month.

    That holds for the rows of one call only while its transaction holds the call.
    """

    def __init__(self, connection: Connection, table: Table, expected: int) -> None:
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


@cache
def _insert_sql(table: Table, columns: tuple[str, ...]) -> str:
    return f"INSERT INTO {table.name} ({quoted(columns)}) SELECT * FROM unnest({_unnested(table, columns)})"  # noqa: S608  # our own names, marks for values


@cache
def _upsert_sql(table: Table, columns: tuple[str, ...], key: tuple[str, ...]) -> str:
    changes = ", ".join(f'"{column}" = excluded."{column}"' for column in columns if column not in ("id", *key))
    return f"{_insert_sql(table, columns)} ON CONFLICT ({quoted(key)}) DO UPDATE SET {changes}"


@cache
def _select_many_sql(table: Table, columns: tuple[str, ...], key: tuple[str, ...], where: str, lock: bool) -> str:  # noqa: FBT001  # a part of the cache's key
    matches = " AND ".join([*(_matches(table.name, column) for column in key), where])
    wanted = f"unnest({_unnested(table, key)}) AS wanted ({quoted(key)})"
    held = f" ORDER BY {table.name}.id FOR NO KEY UPDATE OF {table.name}" if lock else ""
    return f"SELECT {quoted(columns, f'{table.name}.')} FROM {wanted} JOIN {table.name} ON {matches}{held}"  # noqa: S608  # as above


@cache
def _select_first_sql(table: Table, key: tuple[str, ...], where: str) -> str:
    matches = " AND ".join([*(_matches(table.name, column) for column in key), where])
    wanted = f"unnest({_unnested(table, key)}) AS wanted ({quoted(key)})"
    first = f"SELECT id FROM {table.name} WHERE {matches} ORDER BY id LIMIT 1"  # noqa: S608  # as above
    return f"SELECT {quoted(key, 'wanted.')}, first.id FROM {wanted} CROSS JOIN LATERAL ({first}) AS first"  # noqa: S608  # as above


def _matches(table: str, column: str) -> str:
    equals = "IS NOT DISTINCT FROM" if (table, column) == _HIDDEN_FROM_PLANNER else "="
    return f'{table}."{column}" {equals} wanted."{column}"'


@cache
def _increment_sql(table: Table, key: tuple[str, ...], columns: tuple[str, ...]) -> str:
    sums = ", ".join(f'"{column}" = {table.name}."{column}" + excluded."{column}"' for column in columns)
    return f"{_insert_sql(table, (*key, *columns))} ON CONFLICT ({quoted(key)}) DO UPDATE SET {sums}"


@cache
def _update_sql(table: Table, assignments: str, where: str) -> str:
    sql = f"UPDATE {table.name} SET {assignments.replace('?', '%s')} WHERE id = ANY(%b::bigint[]) AND {where}"  # noqa: S608  # as above
    if table.name in PARTITIONED:  # or every month there ever was would be looked into
        sql += f" AND {PARTITIONED[table.name]} >= %s AND {PARTITIONED[table.name]} < %s + {IDS_PER_MONTH}"
    return sql


@cache
def _lock_rows_sql(table: Table) -> str:
    return f"SELECT id FROM {table.name} WHERE id = ANY(%b::bigint[]) ORDER BY id FOR NO KEY UPDATE"  # noqa: S608  # as above
