"""Statements that take many rows at once, straight through the driver's cursor.

One statement of 128 rows is one step of the engine where executemany takes 128. Up to 32 rows go in one statement, more
in chunks of a power of two, so that some forty texts of each serve every batch and stay prepared. They skip SQLAlchemy's
execution, which costs more than such a statement does; the transaction around them is its. The driver's errors come out
untranslated.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any

from sqlalchemy import Table
from sqlalchemy.engine import Connection
from sqlalchemy.engine.interfaces import DBAPICursor

LARGEST_CHUNK = 128
_EXACT_CHUNK = 32

Row = tuple[object, ...]


def insert(connection: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[Row]) -> None:
    """Add `rows`, each a tuple in the order of `columns`."""
    for chunk in _chunks(rows):
        sql = _insert_sql(table.name, columns, len(chunk), _mark(connection))
        _cursor(connection).execute(sql, tuple(chain.from_iterable(chunk)))


def upsert(
    connection: Connection, table: Table, columns: tuple[str, ...], key: tuple[str, ...], rows: Sequence[Row]
) -> None:
    """Add `rows`, or bring the row of the same `key` up to date. `key` must be unique; the id stays."""
    for chunk in _chunks(rows):
        sql = _upsert_sql(table.name, columns, key, len(chunk), _mark(connection))
        _cursor(connection).execute(sql, tuple(chain.from_iterable(chunk)))


def find(
    connection: Connection, table: Table, columns: tuple[str, ...], key: tuple[str, ...], rows: Sequence[Row]
) -> Iterator[tuple[Any, ...]]:
    """The rows of `table` whose `key` is among `rows`, as tuples of `columns`; each key is looked up by its index."""
    for chunk in _chunks(rows):
        sql = _find_sql(table.name, columns, key, len(chunk), _mark(connection))
        cursor = _cursor(connection)
        cursor.execute(sql, tuple(chain.from_iterable(chunk)))
        yield from cursor.fetchall()


def change(
    connection: Connection, table: Table, assignments: str, values: Row, ids: Sequence[int], where: str = "1 = 1"
) -> None:
    """Change the rows of `ids` that match `where`; `assignments` holds a `?` for each of `values`."""
    mark = _mark(connection)
    for chunk in _chunks([(id_,) for id_ in ids]):
        sql = _change_sql(table.name, assignments, where, len(chunk), mark)
        _cursor(connection).execute(sql, (*values, *chain.from_iterable(chunk)))


def last_ids(connection: Connection, *tables: Table) -> list[int]:
    """The highest id of each table, 0 where it is empty."""
    ids = []
    for table in tables:
        cursor = _cursor(connection)
        cursor.execute(_last_id_sql(table.name))
        ids.extend(cursor.fetchall()[0])
    return ids


def _cursor(connection: Connection) -> DBAPICursor:
    return connection.connection.cursor()


def _chunks(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    start = 0
    while left := len(rows) - start:
        size = left if left <= _EXACT_CHUNK else min(LARGEST_CHUNK, 1 << (left.bit_length() - 1))
        yield rows[start : start + size]
        start += size


def _mark(connection: Connection) -> str:
    return "?" if connection.dialect.paramstyle == "qmark" else "%s"


def _values(width: int, rows: int, mark: str) -> str:
    row = f"({', '.join([mark] * width)})"
    return ", ".join([row] * rows)


def _names(columns: tuple[str, ...], prefix: str = "") -> str:
    return ", ".join(f'{prefix}"{column}"' for column in columns)


@cache
def _insert_sql(table: str, columns: tuple[str, ...], rows: int, mark: str) -> str:
    values = _values(len(columns), rows, mark)
    return f"INSERT INTO {table} ({_names(columns)}) VALUES {values}"  # noqa: S608  # our own names, marks for values


@cache
def _change_sql(table: str, assignments: str, where: str, rows: int, mark: str) -> str:
    ids = ", ".join([mark] * rows)
    return f"UPDATE {table} SET {assignments.replace('?', mark)} WHERE id IN ({ids}) AND {where}"  # noqa: S608  # as above


@cache
def _last_id_sql(table: str) -> str:
    return f"SELECT coalesce(max(id), 0) FROM {table}"  # noqa: S608  # our own name


@cache
def _upsert_sql(table: str, columns: tuple[str, ...], key: tuple[str, ...], rows: int, mark: str) -> str:
    changes = ", ".join(f'"{column}" = excluded."{column}"' for column in columns if column not in ("id", *key))
    return f"{_insert_sql(table, columns, rows, mark)} ON CONFLICT ({_names(key)}) DO UPDATE SET {changes}"


@cache
def _find_sql(table: str, columns: tuple[str, ...], key: tuple[str, ...], rows: int, mark: str) -> str:
    matches = " AND ".join(f'{table}."{column}" = wanted."{column}"' for column in key)
    wanted = f"WITH wanted ({_names(key)}) AS (VALUES {_values(len(key), rows, mark)})"
    found = _names(columns, f"{table}.")
    return f"{wanted} SELECT {found} FROM wanted CROSS JOIN {table} WHERE {matches}"  # noqa: S608  # as above
