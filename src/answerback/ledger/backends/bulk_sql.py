"""The statements of every transaction, most of which take many rows, straight through the driver's cursor.

They are SQLite's here; PostgreSQL's are in `postgresql.bulk_sql`.

One statement of 128 rows is one step of the engine where executemany takes 128. Up to 32 rows go in one statement, more
in chunks of a power of two, so that some forty texts of each serve every batch and stay prepared. They skip SQLAlchemy's
execution, which costs more than such a statement does; the transaction around them is its. The driver's errors come out
untranslated.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import chain
from typing import Any, Protocol

from sqlalchemy import Table
from sqlalchemy.engine import Connection
from sqlalchemy.engine.interfaces import DBAPICursor

from answerback.ledger.backends.postgresql import bulk_sql

MAX_CHUNK_ROWS = 128
_EXACT_CHUNK_ROWS = 32

Row = tuple[object, ...]

_LOCK_ROLLUPS = f"SELECT pg_advisory_xact_lock({0x616E73_02})"


def on_postgresql(connection: Connection) -> bool:
    return connection.dialect.name == "postgresql"


def execute(connection: Connection, sql: str, parameters: Row = ()) -> DBAPICursor:
    """Do one statement, in which `?` stands for each parameter."""
    cursor = _cursor(connection)
    cursor.execute(sql.replace("?", "%s") if on_postgresql(connection) else sql, parameters)
    return cursor


def insert(connection: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[Row]) -> None:
    """Add `rows`, each a tuple in the order of `columns`."""
    if on_postgresql(connection):
        bulk_sql.insert(connection, table, columns, rows)
        return
    for chunk in _chunks(rows):
        sql = _insert_sql(table.name, columns, len(chunk))
        _cursor(connection).execute(sql, tuple(chain.from_iterable(chunk)))


def upsert(
    connection: Connection, table: Table, columns: tuple[str, ...], key: tuple[str, ...], rows: Sequence[Row]
) -> None:
    """Add `rows`, or bring the row of the same `key` up to date. `key` must be unique; the id stays."""
    if on_postgresql(connection):
        bulk_sql.upsert(connection, table, columns, key, rows)
        return
    for chunk in _chunks(rows):
        sql = _upsert_sql(table.name, columns, key, len(chunk))
        _cursor(connection).execute(sql, tuple(chain.from_iterable(chunk)))


def increment(
    connection: Connection, table: Table, key: tuple[str, ...], columns: tuple[str, ...], rows: Sequence[Row]
) -> None:
    """Add to the `columns` of the rows of each `key`, made where they are missing; `rows` have key and sums."""
    if on_postgresql(connection):
        bulk_sql.increment(connection, table, key, columns, rows)
        return
    width, names = len(key), (*key, *columns)
    known = {
        row[:width]: row[width:] for row in select_many(connection, table, names, key, [row[:width] for row in rows])
    }
    upsert(connection, table, names, key, [_incremented(row, known.get(row[:width]), width) for row in rows])


def _incremented(row: Row, before: Row | None, width: int) -> Row:
    sums: Any = row[width:]
    return row if before is None else (*row[:width], *map(sum, zip(before, sums, strict=True)))


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
    """The rows of `table` that match `where` and whose `key` is among `rows`, as tuples of `columns`, looked up by an index.

    With `lock` nobody else changes them before the transaction ends; on SQLite nobody could anyhow.
    """
    if on_postgresql(connection):
        yield from bulk_sql.select_many(connection, table, columns, key, rows, where=where, lock=lock)
        return
    for chunk in _chunks(rows):
        sql = _select_many_sql(table.name, columns, key, where, len(chunk))
        cursor = _cursor(connection)
        cursor.execute(sql, tuple(chain.from_iterable(chunk)))
        yield from cursor.fetchall()


def select_first(
    connection: Connection, table: Table, key: tuple[str, ...], where: str, rows: Sequence[Row]
) -> Iterator[tuple[Any, ...]]:
    """Each of `rows`, a `key`, with the least id among the rows of `table` that have it and match `where`, if there is one.

    An index on the key and the id, partial by `where`, gives each by one look, however many rows match.
    """
    if on_postgresql(connection):
        yield from bulk_sql.select_first(connection, table, key, where, rows)
        return
    for chunk in _chunks(rows):
        sql = _select_first_sql(table.name, key, where, len(chunk))
        cursor = _cursor(connection)
        cursor.execute(sql, tuple(chain.from_iterable(chunk)))
        yield from (row for row in cursor.fetchall() if row[-1] is not None)


def update(
    connection: Connection, table: Table, assignments: str, values: Row, ids: Sequence[int], where: str = "1 = 1"
) -> None:
    """Change the rows of `ids` that match `where`; `assignments` holds a `?` for each of `values`."""
    if on_postgresql(connection):
        bulk_sql.update(connection, table, assignments, values, ids, where)
        return
    for chunk in _chunks([(id_,) for id_ in ids]):
        sql = _update_sql(table.name, assignments, where, len(chunk))
        _cursor(connection).execute(sql, (*values, *chain.from_iterable(chunk)))


def lock_rows(connection: Connection, table: Table, ids: Sequence[int]) -> None:
    """Let nobody else change the rows of `ids` before the transaction ends."""
    if on_postgresql(connection):
        bulk_sql.lock_rows(connection, table, ids)


def lock_rollups(connection: Connection) -> None:
    """Let nobody else write statistics before the transaction ends: to be done last, for all of them meet there."""
    if on_postgresql(connection):
        execute(connection, _LOCK_ROLLUPS)


@contextmanager
def pipelined(connection: Connection, rows: int = 0) -> Iterator[None]:
    """Do the statements of this module with one wait for all of them, unless so many `rows` are to be inserted that COPY does it."""
    if on_postgresql(connection) and rows < bulk_sql.COPY_FROM_ROWS:
        with bulk_sql.pipeline(connection):
            yield
    else:
        yield


class IdAllocator(Protocol):
    """Ids for new rows of one table; those of one call rise."""

    def for_time(self, when_us: int) -> int:
        """For a call that was first seen then."""

    def for_call(self, call_id: int) -> int:
        """For what belongs to a call."""

    def next(self) -> int:
        """For what belongs to none."""


def id_allocator(connection: Connection, table: Table, expected: int = 1) -> IdAllocator:
    """Ids for rows to come, about so many."""
    return (
        bulk_sql.SequenceIds(connection, table, expected)
        if on_postgresql(connection)
        else _SequentialIds(connection, table)
    )


class _SequentialIds:
    """The ids above the highest one: there is no other writer."""

    def __init__(self, connection: Connection, table: Table) -> None:
        self._last = last_id(connection, table)

    def next(self) -> int:
        self._last += 1
        return self._last

    def for_time(self, when_us: int) -> int:  # noqa: ARG002  # SQLite's ids know no month
        return self.next()

    def for_call(self, call_id: int) -> int:  # noqa: ARG002  # as above
        return self.next()


def last_id(connection: Connection, table: Table) -> int:
    """The highest id of a table, 0 where it is empty."""
    cursor = _cursor(connection)
    cursor.execute(_last_id_sql(table.name))
    ((last,),) = cursor.fetchall()
    return int(last)


def _cursor(connection: Connection) -> DBAPICursor:
    return connection.connection.cursor()


def _chunks(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    start = 0
    while left := len(rows) - start:
        size = left if left <= _EXACT_CHUNK_ROWS else min(MAX_CHUNK_ROWS, 1 << (left.bit_length() - 1))
        yield rows[start : start + size]
        start += size


def _values(width: int, rows: int) -> str:
    row = f"({', '.join('?' * width)})"
    return ", ".join([row] * rows)


def _names(columns: tuple[str, ...], prefix: str = "") -> str:
    return ", ".join(f'{prefix}"{column}"' for column in columns)


@cache
def _insert_sql(table: str, columns: tuple[str, ...], rows: int) -> str:
    values = _values(len(columns), rows)
    return f"INSERT INTO {table} ({_names(columns)}) VALUES {values}"  # noqa: S608  # our own names, marks for values


@cache
def _update_sql(table: str, assignments: str, where: str, rows: int) -> str:
    ids = ", ".join("?" * rows)
    return f"UPDATE {table} SET {assignments} WHERE id IN ({ids}) AND {where}"  # noqa: S608  # as above


@cache
def _last_id_sql(table: str) -> str:
    return f"SELECT coalesce(max(id), 0) FROM {table}"  # noqa: S608  # our own name


@cache
def _upsert_sql(table: str, columns: tuple[str, ...], key: tuple[str, ...], rows: int) -> str:
    changes = ", ".join(f'"{column}" = excluded."{column}"' for column in columns if column not in ("id", *key))
    return f"{_insert_sql(table, columns, rows)} ON CONFLICT ({_names(key)}) DO UPDATE SET {changes}"


@cache
def _select_many_sql(table: str, columns: tuple[str, ...], key: tuple[str, ...], where: str, rows: int) -> str:
    found = _names(columns, f"{table}.")
    matches = _matches(table, key)
    return f"{_wanted(key, rows)} SELECT {found} FROM wanted CROSS JOIN {table} WHERE {matches} AND {where}"  # noqa: S608  # as above


@cache
def _select_first_sql(table: str, key: tuple[str, ...], where: str, rows: int) -> str:
    first = f"SELECT min(id) FROM {table} WHERE {_matches(table, key)} AND {where}"  # noqa: S608  # as above
    return f"{_wanted(key, rows)} SELECT {_names(key)}, ({first}) FROM wanted"  # noqa: S608  # as above


def _wanted(key: tuple[str, ...], rows: int) -> str:
    return f"WITH wanted ({_names(key)}) AS (VALUES {_values(len(key), rows)})"


def _matches(table: str, key: tuple[str, ...]) -> str:
    return " AND ".join(f'{table}."{column}" = wanted."{column}"' for column in key)
