"""One of the two ledgers: rows in the order of their keys, each page in a short transaction of its own.

So nothing that is read holds up the gateway's writing, or keeps SQLite's log from being folded back into the file.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, select, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from answerback.errors import LedgerUnavailable, UnavailableReason
from answerback.ledger.backends.dialect import on_postgresql
from answerback.ledger.backends.driver_errors import classify, close_on_failure
from answerback.ledger.backends.postgresql.schema import clear_partition_cache
from answerback.store_copy import bulk_insert
from answerback.store_copy.locations import StoreLocation
from answerback.store_copy.tables import Key, Row, TableSpec

PAGE = 4_000
"""Rows that are held at a time of each side."""

_SQLITE = (
    "PRAGMA cache_size=-65536",
    "PRAGMA foreign_keys=OFF",  # pages of a ledger that is being written: one may refer to what comes with the next run
)
_POSTGRESQL = (
    "SET statement_timeout = 0",
    "SET enable_sort = off",  # rows come in the order of an index
    "SET enable_bitmapscan = off",
)
_LAZY = {False: "PRAGMA synchronous=NORMAL", True: "SET synchronous_commit = off"}
_STRICT = {False: "PRAGMA synchronous=FULL", True: "SET synchronous_commit = on"}
"""A commit takes all before it to the disk. Pages need not be there at once: a copy goes on from what is."""


class StoreConnection:
    """A ledger and the one connection to it."""

    def __init__(self, place: StoreLocation, engine: Engine, *, writes: bool) -> None:
        self.location = place
        self._engine = engine
        with self._translated():
            self.connection: Connection = engine.connect().execution_options(writes=writes)
        self.on_postgresql = on_postgresql(self.connection)
        only_reads = "SET default_transaction_read_only = on" if self.on_postgresql else "PRAGMA query_only=ON"
        with close_on_failure(self):
            self._set(
                *(_POSTGRESQL if self.on_postgresql else _SQLITE), _LAZY[self.on_postgresql] if writes else only_reads
            )

    def commit_strictly(self) -> None:
        """From now on a commit means that it and all before it are on the disk."""
        self._set(_STRICT[self.on_postgresql])

    def _set(self, *settings: str) -> None:
        with self._translated():
            driver: Any = self.connection.connection.driver_connection
            for setting in settings:
                driver.execute(setting)
            driver.commit()

    def close(self) -> None:
        self.connection.close()
        self._engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A transaction, committed at its end. Raises LedgerUnavailable: nothing of it was done."""
        with self._translated(), self.connection.begin():
            yield self.connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, self._engine.dialect.loaded_dbapi.Error) as error:
            reason = str(error.orig if isinstance(error, DBAPIError) else error).strip()
            reason = reason.partition("\n")[0]  # what comes after may hold a row
            raise LedgerUnavailable(
                classify(error).reason,
                f"{self.location.option}, {self.location}: {reason}; run the command again to continue",
            ) from error

    # Reading.

    def count(self, spec: TableSpec) -> int:
        count: int = self.scalar(f"SELECT count(*) FROM {spec.name}")  # noqa: S608  # our own name
        return count

    def last_key(self, spec: TableSpec) -> Key | None:
        """The highest key; None of an empty table."""
        found = self._fetch(f"SELECT {_names(spec.key)} FROM {spec.name} ORDER BY {_descending(spec.key)} LIMIT 1")  # noqa: S608  # as above
        return found[0] if found else None

    def rows(
        self,
        spec: TableSpec,
        columns: tuple[str, ...],
        after: Key | None = None,
        upto: Key | None = None,
        limit: int = PAGE,
    ) -> list[Row]:
        """A page of rows between two keys, in order."""
        key = f"({_names(spec.key)})"
        bounds = [(sign, bound) for sign, bound in ((">", after), ("<=", upto)) if bound is not None]
        where = " AND ".join(f"{key} {sign} ({_marks(bound)})" for sign, bound in bounds)
        sql = f"SELECT {_names(columns)} FROM {spec.name} {where and f'WHERE {where}'}"  # noqa: S608  # our own names, marks for values
        return self._fetch(f"{sql} ORDER BY {_names(spec.key)} LIMIT {limit}", [v for _, b in bounds for v in b])

    def rows_of(self, spec: TableSpec, columns: tuple[str, ...], keys: Sequence[Key]) -> list[Row]:
        """The rows of these keys, up to a page of them, as far as they are there."""
        if not keys:
            return []
        where, values = _among(spec, keys)
        return self._fetch(f"SELECT {_names(columns)} FROM {spec.name} WHERE {where}", values)  # noqa: S608  # as above

    def scalar(self, sql: str) -> Any:
        """The one value that a query of ours has."""
        with self.transaction() as connection:
            return connection.execute(text(sql)).scalar()

    def read_rows(self, *columns: Any) -> list[tuple[Any, ...]]:
        """All rows of a small table."""
        with self.transaction() as connection:
            return [tuple(row) for row in connection.execute(select(*columns).order_by(*columns))]

    def _fetch(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        with self.transaction() as connection:
            if self.on_postgresql:
                cursor: Any = connection.connection.cursor(binary=True)
                cursor.execute(sql.replace("?", "%s"), values, prepare=False)
            else:
                cursor = connection.connection.cursor()
                cursor.execute(sql, values)
            found: list[Row] = cursor.fetchall()
            return found

    # Writing.

    def replace(self, spec: TableSpec, gone: Sequence[Key], rows: Sequence[Row]) -> None:
        """Take out the rows of some keys and put others in, rows of all columns, at once."""
        try:
            self._replace(spec, gone, rows)
        except LedgerUnavailable as error:
            if not (self.on_postgresql and error.reason is UnavailableReason.VALUE):
                raise
            clear_partition_cache(self.connection)
            self._replace(spec, gone, [bulk_insert.normalize_row(row) for row in rows])

    def _replace(self, spec: TableSpec, gone: Sequence[Key], rows: Sequence[Row]) -> None:
        with self.transaction() as connection:
            if gone:
                where, values = _among(spec, gone)
                sql = f"DELETE FROM {spec.name} WHERE {where}"  # noqa: S608  # as above
                connection.connection.cursor().execute(sql.replace("?", "%s") if self.on_postgresql else sql, values)
            if rows:
                bulk_insert.bulk_insert(connection, spec, rows)


def _names(columns: Sequence[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)


def _descending(columns: Sequence[str]) -> str:
    return ", ".join(f'"{column}" DESC' for column in columns)


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _among(spec: TableSpec, keys: Sequence[Key]) -> tuple[str, list[object]]:
    """The condition that a row has one of `keys`, and its values."""
    values = [value for key in keys for value in key]
    if len(spec.key) == 1:
        return f"{_names(spec.key)} IN ({_marks(values)})", values
    listed = ", ".join(f"({_marks(key)})" for key in keys)
    return f"({_names(spec.key)}) IN (VALUES {listed})", values
