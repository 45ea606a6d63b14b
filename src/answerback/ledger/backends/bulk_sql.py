"""The statements of every transaction, most of which take many rows, straight through the driver's cursor.

They skip SQLAlchemy's execution, which costs more than such a statement does; the transaction around them is its. The
driver's errors come out untranslated.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import Any, Protocol

from sqlalchemy import Table
from sqlalchemy.engine import Connection
from sqlalchemy.engine.interfaces import DBAPICursor

Row = tuple[object, ...]


class IdAllocator(Protocol):
    """Ids for new rows of one table; those of one call rise."""

    def for_time(self, when_us: int) -> int:
        """For a call that was first seen then."""

    def for_call(self, call_id: int) -> int:
        """For what belongs to a call."""

    def next(self) -> int:
        """For what belongs to none."""


class BulkSQL(ABC):
    """The statements on one connection, in its transaction. `selection.bulk_sql` makes those of its database."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @abstractmethod
    def execute(self, sql: str, parameters: Row = ()) -> DBAPICursor:
        """Do one statement, in which `?` stands for each parameter."""

    @abstractmethod
    def insert(self, table: Table, columns: tuple[str, ...], rows: Sequence[Row]) -> None:
        """Add `rows`, each a tuple in the order of `columns`."""

    @abstractmethod
    def upsert(self, table: Table, columns: tuple[str, ...], key: tuple[str, ...], rows: Sequence[Row]) -> None:
        """Add `rows`, or bring the row of the same `key` up to date. `key` must be unique; the id stays."""

    @abstractmethod
    def increment(self, table: Table, key: tuple[str, ...], columns: tuple[str, ...], rows: Sequence[Row]) -> None:
        """Add to the `columns` of the rows of each `key`, made where they are missing; `rows` have key and sums."""

    @abstractmethod
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
        """The rows of `table` that match `where` and whose `key` is among `rows`, as tuples of `columns`, looked up by an index.

        With `lock` nobody else changes them before the transaction ends.
        """

    @abstractmethod
    def select_first(
        self, table: Table, key: tuple[str, ...], where: str, rows: Sequence[Row]
    ) -> Iterator[tuple[Any, ...]]:
        """Each of `rows`, a `key`, with the least id among the rows of `table` that have it and match `where`, if there is one.

        An index on the key and the id, partial by `where`, gives each by one look, however many rows match.
        """

    @abstractmethod
    def update(self, table: Table, assignments: str, values: Row, ids: Sequence[int], where: str = "1 = 1") -> None:
        """Change the rows of `ids` that match `where`; `assignments` holds a `?` for each of `values`."""

    @abstractmethod
    def lock_rows(self, table: Table, ids: Sequence[int]) -> None:
        """Let nobody else change the rows of `ids` before the transaction ends."""

    @abstractmethod
    def lock_rollups(self) -> None:
        """Let nobody else write statistics before the transaction ends: to be done last, for all of them meet there."""

    @abstractmethod
    def pipelined(self, rows: int = 0) -> AbstractContextManager[None]:
        """Do these statements with one wait for all of them, unless so many `rows` are to be inserted that it does not pay."""

    @abstractmethod
    def id_allocator(self, table: Table, expected: int = 1) -> IdAllocator:
        """Ids for rows to come, about so many."""

    def last_id(self, table: Table) -> int:
        """The highest id of a table, 0 where it is empty."""
        ((last,),) = self.execute(_last_id_sql(table.name)).fetchall()
        return int(last)


@cache
def _last_id_sql(table: str) -> str:
    return f"SELECT coalesce(max(id), 0) FROM {table}"  # noqa: S608  # our own name


def quoted(columns: tuple[str, ...], prefix: str = "") -> str:
    """Names of columns as a list in SQL."""
    return ", ".join(f'{prefix}"{column}"' for column in columns)
