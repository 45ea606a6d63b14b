"""One of the two ledgers: rows in the order of their keys, each page in a short transaction of its own.

So nothing that is read holds up the gateway's writing, or keeps SQLite's log from being folded back into the file.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any, ClassVar

from sqlalchemy import Engine, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from answerback.errors import LedgerUnavailable
from answerback.ledger import migrations
from answerback.ledger.backends.bulk_sql import quoted
from answerback.ledger.backends.driver_errors import classify
from answerback.storage.connections import close_on_failure
from answerback.store_copy.locations import StoreLocation
from answerback.store_copy.tables import Key, Row, TableSpec

PAGE = 4_000
"""Rows that are held at a time of each side."""


class StoreConnection(ABC):
    """A ledger and the one connection to it: of SQLite or of PostgreSQL."""

    SESSION: ClassVar[tuple[str, ...]]
    """What is set first."""
    READ_ONLY: ClassVar[str]
    LAZY_COMMIT: ClassVar[str]
    """Pages need not be on the disk at once: a copy goes on from what is."""
    STRICT_COMMIT: ClassVar[str]
    """A commit takes all before it to the disk."""

    def __init__(self, place: StoreLocation, *, writes: bool) -> None:
        self.location = place
        self._engine = self._make_engine()
        with self._translated():
            self.connection: Connection = self._engine.connect().execution_options(writes=writes)
        with close_on_failure(self):
            self._set(*self.SESSION, self.LAZY_COMMIT if writes else self.READ_ONLY)

    @classmethod
    def read_schema_version(cls, place: StoreLocation) -> str | None:
        """The revision of the schema of the ledger there; None where there is none yet."""
        with closing(cls(place, writes=False)) as side:
            return side.schema_version()

    @classmethod
    @abstractmethod
    def ensure_ledger(cls, place: StoreLocation, *, allow_unsafe: bool) -> None:
        """See that there is a ledger, empty where there was none. Raises ConfigError, UnsafeStorage."""

    @abstractmethod
    def exclusive(self) -> AbstractContextManager[None]:
        """Let no other copy into it. Raises StateConflict."""

    @abstractmethod
    def change_token(self) -> object:
        """What is another thing after any write."""

    @abstractmethod
    def reset_sequences(self) -> None:
        """See that new rows get numbers above all that were copied, and that the tables are known to be large."""

    @abstractmethod
    def _make_engine(self) -> Engine: ...

    @abstractmethod
    def _execute(self, sql: str, values: Sequence[object]) -> Any:
        """Do a statement in which `?` stands for each value, in the transaction; the driver's cursor."""

    @abstractmethod
    def _insert(self, spec: TableSpec, rows: Sequence[Row]) -> None:
        """Add rows of all columns of a table, in the transaction."""

    def commit_strictly(self) -> None:
        """From now on a commit means that it and all before it are on the disk."""
        self._set(self.STRICT_COMMIT)

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
        found = self._fetch(f"SELECT {quoted(spec.key)} FROM {spec.name} ORDER BY {_descending(spec.key)} LIMIT 1")  # noqa: S608  # as above
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
        key = f"({quoted(spec.key)})"
        bounds = [(sign, bound) for sign, bound in ((">", after), ("<=", upto)) if bound is not None]
        where = " AND ".join(f"{key} {sign} ({_marks(bound)})" for sign, bound in bounds)
        sql = f"SELECT {quoted(columns)} FROM {spec.name} {where and f'WHERE {where}'}"  # noqa: S608  # our own names, marks for values
        return self._fetch(f"{sql} ORDER BY {quoted(spec.key)} LIMIT {limit}", [v for _, b in bounds for v in b])

    def rows_of(self, spec: TableSpec, columns: tuple[str, ...], keys: Sequence[Key]) -> list[Row]:
        """The rows of these keys, up to a page of them, as far as they are there."""
        if not keys:
            return []
        where, values = _among(spec, keys)
        return self._fetch(f"SELECT {quoted(columns)} FROM {spec.name} WHERE {where}", values)  # noqa: S608  # as above

    def scalar(self, sql: str) -> Any:
        """The one value that a query of ours has."""
        with self.transaction() as connection:
            return connection.execute(text(sql)).scalar()

    def schema_version(self) -> str | None:
        """The revision of its schema; None where there is none yet."""
        with self.transaction() as connection:
            return migrations.version(connection)

    def _fetch(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        with self.transaction():
            found: list[Row] = self._execute(sql, values).fetchall()
            return found

    # Writing.

    def replace(self, spec: TableSpec, gone: Sequence[Key], rows: Sequence[Row]) -> None:
        """Take out the rows of some keys and put others in, rows of all columns, at once."""
        with self.transaction():
            if gone:
                where, values = _among(spec, gone)
                self._execute(f"DELETE FROM {spec.name} WHERE {where}", values)  # noqa: S608  # as above
            if rows:
                self._insert(spec, rows)


def _descending(columns: Sequence[str]) -> str:
    return ", ".join(f'"{column}" DESC' for column in columns)


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _among(spec: TableSpec, keys: Sequence[Key]) -> tuple[str, list[object]]:
    """The condition that a row has one of `keys`, and its values."""
    values = [value for key in keys for value in key]
    if len(spec.key) == 1:
        return f"{quoted(spec.key)} IN ({_marks(values)})", values
    listed = ", ".join(f"({_marks(key)})" for key in keys)
    return f"({quoted(spec.key)}) IN (VALUES {listed})", values
