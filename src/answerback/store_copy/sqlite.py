"""A ledger in a SQLite file, as one side of a copy."""

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine

from answerback.errors import ConfigError, LedgerUnavailable, UnavailableReason
from answerback.ledger import LEDGER_FILE, open_sqlite
from answerback.ledger.backends.bulk_sql import quoted
from answerback.ledger.backends.sqlite.engine import sqlite_engine
from answerback.storage.disk import require_durable_filesystem
from answerback.store_copy.connection import StoreConnection
from answerback.store_copy.locations import StoreLocation
from answerback.store_copy.tables import Row, TableSpec

_LOCK_TIMEOUT_S = 10.0
_LOCK_NAME = "copy.lock"


class SQLiteConnection(StoreConnection):
    """A file, and beside it, where it is a target, a lock."""

    SESSION = (
        "PRAGMA cache_size=-65536",
        "PRAGMA foreign_keys=OFF",  # pages of a ledger that is being written: one may refer to what comes with the next run
    )
    READ_ONLY = "PRAGMA query_only=ON"
    LAZY_COMMIT = "PRAGMA synchronous=NORMAL"
    STRICT_COMMIT = "PRAGMA synchronous=FULL"

    @classmethod
    def ensure_ledger(cls, place: StoreLocation, *, allow_unsafe: bool) -> None:
        path = place.path
        if path.name != LEDGER_FILE:
            raise ConfigError(
                f"{place.option}: a gateway serves {LEDGER_FILE} in its data directory: name that directory"
            )
        if not allow_unsafe:
            require_durable_filesystem(path.parent)
        if not path.is_file() or cls.read_schema_version(place) is None:
            open_sqlite(path.parent, allow_unsafe_filesystem=allow_unsafe, new_ledger=True).close()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        path = self.location.path.parent / _LOCK_NAME
        try:
            with path.open("ab") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield
        except BlockingIOError as error:
            raise self.location.copy_in_progress() from error
        except OSError as error:
            raise LedgerUnavailable(
                UnavailableReason.READ_ONLY, f"{self.location.option}, {path}: {error.strerror}"
            ) from error

    def change_token(self) -> object:
        return self.scalar("PRAGMA data_version")

    def reset_sequences(self) -> None:
        """Nothing to do: SQLite looks at the rows themselves."""

    def _make_engine(self) -> Engine:
        path = self.location.path
        if not path.is_file():
            raise ConfigError(f"{self.location.option}: there is no ledger at {path}")
        return sqlite_engine(path, _LOCK_TIMEOUT_S)

    def _execute(self, sql: str, values: Sequence[object]) -> Any:
        cursor = self.connection.connection.cursor()
        cursor.execute(sql, values)
        return cursor

    def _insert(self, spec: TableSpec, rows: Sequence[Row]) -> None:
        marks = ", ".join("?" * len(spec.columns))
        sql = f"INSERT INTO {spec.name} ({quoted(spec.columns)}) VALUES ({marks})"  # noqa: S608  # our own names, marks for values
        self.connection.connection.cursor().executemany(sql, rows)
