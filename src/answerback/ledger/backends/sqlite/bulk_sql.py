"""The statements as SQLite runs them best.

One statement of 128 rows is one step of the engine where executemany takes 128. Up to 32 rows go in one statement, more
in chunks of a power of two, so that some forty texts of each serve every batch and stay prepared.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from itertools import chain
from typing import Any

from sqlalchemy import Table
from sqlalchemy.engine.interfaces import DBAPICursor

from answerback.ledger.backends.bulk_sql import BulkSQL, Row, quoted

MAX_CHUNK_ROWS = 128
_EXACT_CHUNK_ROWS = 32


class SQLiteBulkSQL(BulkSQL):
    """The statements on a file. One transaction writes at a time, so nothing has to be locked."""

    __slots__ = ()

    def execute(self, sql: str, parameters: Row = ()) -> DBAPICursor:
        cursor = self._connection.connection.cursor()
        cursor.execute(sql, parameters)
        return cursor

    def insert(self, table: Table, columns: tuple[str, ...], rows: Sequence[Row]) -> None:
        for chunk in _chunks(rows):
            self.execute(_insert_sql(table.name, columns, len(chunk)), _flat(chunk))

    def upsert(self, table: Table, columns: tuple[str, ...], key: tuple[str, ...], rows: Sequence[Row]) -> None:
        for chunk in _chunks(rows):
            self.execute(_upsert_sql(table.name, columns, key, len(chunk)), _flat(chunk))

    def increment(self, table: Table, key: tuple[str, ...], columns: tuple[str, ...], rows: Sequence[Row]) -> None:
        width, names = len(key), (*key, *columns)
        known = {row[:width]: row[width:] for row in self.select_many(table, names, key, [row[:width] for row in rows])}
        self.upsert(table, names, key, [_incremented(row, known.get(row[:width]), width) for row in rows])

    def select_many(
        self,
        table: Table,
        columns: tuple[str, ...],
        key: tuple[str, ...],
        rows: Sequence[Row],
        *,
        where: str = "1 = 1",
        lock: bool = False,  # noqa: ARG002  # nobody else writes
    ) -> Iterator[tuple[Any, ...]]:
        for chunk in _chunks(rows):
            sql = _select_many_sql(table.name, columns, key, where, len(chunk))
            yield from self.execute(sql, _flat(chunk)).fetchall()

    def select_first(
        self, table: Table, key: tuple[str, ...], where: str, rows: Sequence[Row]
    ) -> Iterator[tuple[Any, ...]]:
        for chunk in _chunks(rows):
            found = self.execute(_select_first_sql(table.name, key, where, len(chunk)), _flat(chunk)).fetchall()
            yield from (row for row in found if row[-1] is not None)

    def update(self, table: Table, assignments: str, values: Row, ids: Sequence[int], where: str = "1 = 1") -> None:
        for chunk in _chunks([(id_,) for id_ in ids]):
            self.execute(_update_sql(table.name, assignments, where, len(chunk)), (*values, *_flat(chunk)))

    def lock_rows(self, table: Table, ids: Sequence[int]) -> None:
        """Nothing to do."""

    def lock_rollups(self) -> None:
        """Nothing to do."""

    def pipelined(self, rows: int = 0) -> AbstractContextManager[None]:  # noqa: ARG002  # nothing waits for a server
        return nullcontext()

    def id_allocator(self, table: Table, expected: int = 1) -> "_SequentialIds":  # noqa: ARG002  # they need not be reserved
        return _SequentialIds(self.last_id(table))


class _SequentialIds:
    """The ids above the highest one: there is no other writer."""

    def __init__(self, last: int) -> None:
        self._last = last

    def next(self) -> int:
        self._last += 1
        return self._last

    def for_time(self, when_us: int) -> int:  # noqa: ARG002  # SQLite's ids know no month
        return self.next()

    def for_call(self, call_id: int) -> int:  # noqa: ARG002  # as above
        return self.next()


def _incremented(row: Row, before: Row | None, width: int) -> Row:
    sums: Any = row[width:]
    return row if before is None else (*row[:width], *map(sum, zip(before, sums, strict=True)))


def _flat(rows: Sequence[Row]) -> Row:
    return tuple(chain.from_iterable(rows))


def _chunks(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    start = 0
    while left := len(rows) - start:
        size = left if left <= _EXACT_CHUNK_ROWS else min(MAX_CHUNK_ROWS, 1 << (left.bit_length() - 1))
        yield rows[start : start + size]
        start += size


def _values(width: int, rows: int) -> str:
    row = f"({', '.join('?' * width)})"
    return ", ".join([row] * rows)


@cache
def _insert_sql(table: str, columns: tuple[str, ...], rows: int) -> str:
    values = _values(len(columns), rows)
    return f"INSERT INTO {table} ({quoted(columns)}) VALUES {values}"  # noqa: S608  # our own names, marks for values


@cache
def _update_sql(table: str, assignments: str, where: str, rows: int) -> str:
    ids = ", ".join("?" * rows)
    return f"UPDATE {table} SET {assignments} WHERE id IN ({ids}) AND {where}"  # noqa: S608  # as above


@cache
def _upsert_sql(table: str, columns: tuple[str, ...], key: tuple[str, ...], rows: int) -> str:
    changes = ", ".join(f'"{column}" = excluded."{column}"' for column in columns if column not in ("id", *key))
    return f"{_insert_sql(table, columns, rows)} ON CONFLICT ({quoted(key)}) DO UPDATE SET {changes}"


@cache
def _select_many_sql(table: str, columns: tuple[str, ...], key: tuple[str, ...], where: str, rows: int) -> str:
    found = quoted(columns, f"{table}.")
    matches = _matches(table, key)
    return f"{_wanted(key, rows)} SELECT {found} FROM wanted CROSS JOIN {table} WHERE {matches} AND {where}"  # noqa: S608  # as above


@cache
def _select_first_sql(table: str, key: tuple[str, ...], where: str, rows: int) -> str:
    first = f"SELECT min(id) FROM {table} WHERE {_matches(table, key)} AND {where}"  # noqa: S608  # as above
    return f"{_wanted(key, rows)} SELECT {quoted(key)}, ({first}) FROM wanted"  # noqa: S608  # as above


def _wanted(key: tuple[str, ...], rows: int) -> str:
    return f"WITH wanted ({quoted(key)}) AS (VALUES {_values(len(key), rows)})"


def _matches(table: str, key: tuple[str, ...]) -> str:
    return " AND ".join(f'{table}."{column}" = wanted."{column}"' for column in key)
