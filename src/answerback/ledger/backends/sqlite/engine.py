"""The ledger on SQLite: what makes its commit durable, and the check that it is.

Law 1 stands on WAL with synchronous=FULL (fsync before commit returns) and on a file system that keeps committed
data. Both are verified at the start, not assumed.
"""

import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

from sqlalchemy import Engine, create_engine, event, select
from sqlalchemy.engine import URL, Connection
from sqlalchemy.engine.interfaces import DBAPIConnection

from answerback.errors import LedgerUnavailable, UnavailableReason, UnsafeStorage
from answerback.ledger.tables import write_probes
from answerback.storage.connections import close_on_failure, use_wal
from answerback.storage.disk import FileIds, SQLiteFiles, check_wal

T = TypeVar("T")

MIN_VERSION = (3, 35, 0)
"""The first SQLite with RETURNING and with upserts as we use them."""

_CACHE_KIB = 8192  # the ends of the B-trees are what is written to; the rest is the system's to cache
_WAL_PAGES = 1000
_SYNCHRONOUS_FULL = 2
_CHECKPOINT_S = 60.0
_CHECKPOINT_RETRY_S = 0.1
INCREMENTAL = 2
"""What SQLite calls an auto_vacuum that gives free pages back when it is asked to."""


def sqlite_engine(path: Path, lock_timeout_s: float) -> Engine:
    """An engine whose every connection is WAL, synchronous=FULL and starts its transactions explicitly.

    Raises UnsafeStorage or LedgerUnavailable where the program or the files are invalid.
    """
    if sqlite3.sqlite_version_info < MIN_VERSION:
        raise UnsafeStorage(
            f"SQLite {sqlite3.sqlite_version} is too old: install one from {'.'.join(map(str, MIN_VERSION))} on"
        )
    check_wal(path)
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        connect_args={"timeout": lock_timeout_s, "check_same_thread": False, "cached_statements": 256},
        hide_parameters=True,  # parameters are people's numbers
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: DBAPIConnection, _record: object) -> None:
        connection.isolation_level = None  # the driver opens no transaction of its own: _begin does
        with close_on_failure(connection):
            cursor = connection.cursor()
            cursor.execute("PRAGMA auto_vacuum")
            if cursor.fetchone() != (INCREMENTAL,):  # of a new file; set again it would write, and wait for the lock
                cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")
            use_wal(cast("sqlite3.Connection", connection), lock_timeout_s)
            for pragma in (
                "synchronous=FULL",
                "fullfsync=ON",
                "checkpoint_fullfsync=ON",
                "foreign_keys=ON",
                "secure_delete=ON",
                f"cache_size=-{_CACHE_KIB}",
                f"wal_autocheckpoint={_WAL_PAGES}",
            ):
                cursor.execute(f"PRAGMA {pragma}")
            cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.connection.cursor().execute("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


class SQLiteTransactions:
    """The one writing connection of a process; of several processes one writes at a time."""

    def __init__(self, engine: Engine, file_ids: FileIds | None = None) -> None:
        self._writer = engine.execution_options(writes=True)
        self._connection: Connection | None = None
        self._writing = threading.Lock()
        self._anchor = engine.connect()  # as long as one is open SQLite keeps its shared memory, even on a full disk
        try:
            self._anchor.execute(select(write_probes.c.id)).all()
            self._anchor.rollback()
            self.files = files = SQLiteFiles(Path(str(engine.url.database)), file_ids)
        except BaseException:
            _close(self._anchor)
            raise

        @event.listens_for(engine, "do_connect")
        def _check_before(*_: object) -> None:
            """Or SQLite would make a new file, and throw away the log of the one that was moved."""
            files.check()

        @event.listens_for(engine, "begin", insert=True)
        def _check_files(connection: Connection) -> None:
            """Whoever reads or writes; a connection that was opened to another file is not to be kept."""
            try:
                files.check()
            except LedgerUnavailable:
                connection.invalidate()
                raise

    def write(
        self,
        work: Callable[[Connection], T],
        on_rollback: Callable[[], None],
        *,
        shared: bool = False,  # noqa: ARG002  # one writes at a time here
        idempotent: bool = False,  # noqa: ARG002  # nothing is done again: SQLite waits for the file by itself
    ) -> T:
        """Do `work` and commit it; `on_rollback` is called where it was not. Raises what the driver raises.

        LedgerUnavailable, too, where the files were moved meanwhile: it is then not known to be stored.
        """
        with self._writing:
            if self._connection is None:
                self._connection = self._writer.connect()
            try:
                with self._connection.begin():
                    done = work(self._connection)
                self.files.check()
            except Exception:
                on_rollback()
                self._discard_connection()  # a fresh one has no half-done statement and re-reads a repaired file
                raise
            return done

    def close(self) -> None:
        self._discard_connection()
        _close(self._anchor)

    def _discard_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            _close(connection)


def _close(connection: Connection) -> None:
    """Close it for good: one that goes back to a pool that was disposed of would stay open."""
    if not connection.closed:
        connection.invalidate()
        connection.close()


def verify_durable(connection: Connection, path: Path) -> None:
    """Refuse a SQLite whose commit would not mean stored. Raises UnsafeStorage with the reason."""
    mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
    if mode != "wal":
        raise UnsafeStorage(f"{path}: SQLite cannot use a write-ahead log here (journal_mode is {mode})")
    level = connection.exec_driver_sql("PRAGMA synchronous").scalar_one()
    if level != _SYNCHRONOUS_FULL:
        raise UnsafeStorage(
            f"{path}: SQLite was built or set so that synchronous is {level}, not FULL ({_SYNCHRONOUS_FULL})"
        )


def compact(engine: Engine) -> None:
    """Write the file anew, without a byte of what was deleted or replaced, and empty its write-ahead log.

    Others wait for the file meanwhile, and it takes as much free space again. Raises what the driver raises.
    """
    connection = engine.raw_connection()  # VACUUM is no part of a transaction
    try:
        cursor = connection.cursor()
        cursor.execute("VACUUM")
        deadline_s = time.monotonic() + _CHECKPOINT_S
        while cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:  # somebody still reads
            if time.monotonic() > deadline_s:
                raise LedgerUnavailable(
                    UnavailableReason.LOCKED, "a reader keeps the write-ahead log from being emptied"
                )
            time.sleep(_CHECKPOINT_RETRY_S)
    finally:
        connection.close()
