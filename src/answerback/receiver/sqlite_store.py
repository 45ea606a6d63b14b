"""A store in a SQLite file of its own, which nobody else writes to: its triggers keep the order of a call's events."""

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import quote

from answerback.domain.models import ParsedCallback, RejectedCallback
from answerback.errors import ConfigError, LedgerUnavailable, SchemaMismatch, UnsafeStorage
from answerback.receiver.connections import Connections
from answerback.receiver.sql_store import BLOCKED, REJECT, SQLConnection, SQLStore, rejected_row, seconds_to_us, to_us
from answerback.storage.connections import close_on_failure, use_wal
from answerback.storage.disk import file_id, fsync_directory, moved_error, unsafe_filesystem_reason
from answerback.storage.sqlite_errors import sqlite_unavailable

FORMAT = 1
"""Raised with each change that an older program would misread."""

_APPLICATION_ID = 0x41427263  # "ABrc"
_SCHEMA = (
    """
    CREATE TABLE answerback_callbacks (
        id INTEGER PRIMARY KEY, channel TEXT NOT NULL, callid TEXT NOT NULL, fingerprint BLOB NOT NULL UNIQUE, raw BLOB NOT NULL,
        received_us INTEGER NOT NULL, due_us INTEGER, duplicates INTEGER NOT NULL DEFAULT 0, failures INTEGER NOT NULL DEFAULT 0,
        delivered_us INTEGER, claim INTEGER
    )
    """,
    "CREATE INDEX answerback_callbacks_call ON answerback_callbacks (channel, callid)",
    "CREATE INDEX answerback_callbacks_received ON answerback_callbacks (received_us)",
    "CREATE INDEX answerback_callbacks_due ON answerback_callbacks (due_us) WHERE due_us IS NOT NULL",
    "CREATE INDEX answerback_callbacks_waiting ON answerback_callbacks (channel, callid) WHERE due_us IS NOT NULL",
    f"""
    CREATE TRIGGER answerback_callbacks_block AFTER INSERT ON answerback_callbacks WHEN EXISTS (
        SELECT 1 FROM answerback_callbacks WHERE channel = NEW.channel AND callid = NEW.callid AND due_us IS NOT NULL AND id < NEW.id
    ) BEGIN
        UPDATE answerback_callbacks SET due_us = {BLOCKED} WHERE id = NEW.id;
    END
    """,  # noqa: S608  # a number
    """
    CREATE TRIGGER answerback_callbacks_unblock AFTER UPDATE OF due_us ON answerback_callbacks WHEN NEW.due_us IS NULL BEGIN
        UPDATE answerback_callbacks SET due_us = NEW.delivered_us WHERE id = (
            SELECT min(id) FROM answerback_callbacks WHERE channel = NEW.channel AND callid = NEW.callid AND due_us IS NOT NULL
        );
    END
    """,
    """
    CREATE TABLE answerback_rejected (
        id INTEGER PRIMARY KEY, channel TEXT NOT NULL, raw BLOB NOT NULL, result INTEGER NOT NULL, reason TEXT NOT NULL,
        received_us INTEGER NOT NULL
    )
    """,
    f"PRAGMA application_id={_APPLICATION_ID}",
    f"PRAGMA user_version={FORMAT}",
)
_RECORD = f"""
    INSERT INTO answerback_callbacks (channel, callid, fingerprint, raw, received_us, due_us) VALUES {{rows}}
    ON CONFLICT (fingerprint) DO UPDATE SET duplicates = duplicates + 1, due_us = coalesce(due_us, (
        SELECT {BLOCKED} FROM answerback_callbacks AS other
        WHERE other.channel = excluded.channel AND other.callid = excluded.callid AND other.due_us IS NOT NULL
    ), excluded.due_us)
"""  # noqa: S608  # a number, and question marks
_ROW = "(?, ?, ?, ?, ?, ?)"
_LOCK_TIMEOUT_S = 5.0
_SYNCHRONOUS = {"NORMAL": 1, "FULL": 2}
_PRAGMAS = ("fullfsync=ON", "checkpoint_fullfsync=ON")


class SQLiteStore(SQLStore):
    """Callbacks in a SQLite file that only its owner may read; several processes may share it.

    What is delivered is deleted after `keep_days`, whole calls at a time; None keeps everything. Of rejected bodies the first
    `max_rejected` are kept. An event of a process that died is due again after `lease_s`.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        keep_days: float | None = 90,
        max_rejected: int = 1000,
        lease_s: float = 30.0,
        allow_unsafe_filesystem: bool = False,
    ) -> None:
        """Make the file where there is none. Raises ConfigError, UnsafeStorage, SchemaMismatch and LedgerUnavailable."""
        super().__init__(keep_days=keep_days, max_rejected=max_rejected, lease_s=lease_s)
        if str(path).startswith("sqlite:"):
            raise ConfigError(f"path: expected the path of a file, such as voice.db, got {path}")
        self.path = Path(path).absolute()
        self._connections = Connections(lambda synchronous: _connect(self.path, synchronous))
        if not allow_unsafe_filesystem and (problem := unsafe_filesystem_reason(self.path.parent)):
            raise UnsafeStorage(f"store, {self.path}: {problem}. For a trial, set allow_unsafe_filesystem")
        _make_file(self.path)
        self._file_id = file_id(str(self.path))
        try:
            with self._delivering() as connection:
                _ensure_format(connection, self.path)
        except LedgerUnavailable as error:
            if getattr(error.__cause__, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
                raise SchemaMismatch(f"store, {self.path}: this is no database of SQLite: name another file") from error
            raise
        self.close()  # or a fork would bring the connection along

    def record(self, batch: Sequence[ParsedCallback | RejectedCallback]) -> None:
        now_us = seconds_to_us(time.time())
        callbacks: list[object] = []
        rejected = [rejected_row(one, self._max_rejected) for one in batch if isinstance(one, RejectedCallback)]
        for one in batch:
            if isinstance(one, ParsedCallback):
                received_us = to_us(one.received_at)
                callbacks += (one.channel, one.callback.callid, one.fingerprint, one.raw, received_us, now_us)
        with self._use("FULL") as connection:
            if rejected:
                with _transaction(connection):
                    connection.executemany(REJECT, rejected)
            if callbacks:  # in one statement: each more would wait for the interpreter once more
                rows = ", ".join([_ROW] * (len(callbacks) // _ROW.count("?")))
                connection.execute(_RECORD.format(rows=rows), callbacks)
        if file_id(str(self.path)) != self._file_id:  # SQLite goes on writing a file that was moved or deleted
            raise moved_error(str(self.path))

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        super().close()
        self._connections.close()

    def _delivering(self) -> AbstractContextManager[sqlite3.Connection]:
        return self._use("NORMAL")

    def _lock(self, connection: SQLConnection) -> None:
        """Each statement is a transaction."""

    def _release(self, connection: SQLConnection, now_us: int, ended: Sequence[int] = ()) -> None:
        """The triggers do."""

    @contextmanager
    def _use(self, synchronous: str) -> Iterator[sqlite3.Connection]:
        """One of the two connections. Only what is recorded is synced: a delivery that a power failure undoes is repeated."""
        try:
            with self._connections.use(synchronous) as connection:
                yield connection
        except sqlite3.Error as error:
            raise sqlite_unavailable(error, self.path) from error


def _make_file(path: Path) -> None:
    """Make the file for its owner alone; one that is there is not opened: to close it would let go of SQLite's locks on it."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        fsync_directory(path.parent)
    except FileExistsError:
        if path.is_dir():
            raise ConfigError(
                f"store, {path}: this is a directory: name a file in it, such as {path / 'voice.db'}"
            ) from None
        if not os.access(path, os.R_OK | os.W_OK):
            raise ConfigError(f"store, {path}: this program may not read and write it") from None
    except OSError as error:
        raise ConfigError(f"store, {path}: {error.strerror}") from error


def _connect(path: Path, synchronous: str) -> sqlite3.Connection:
    """A connection. Raises UnsafeStorage where SQLite would not sync what is recorded."""
    place = f"file:{quote(str(path))}?mode=rw"
    connection = sqlite3.connect(
        place, uri=True, timeout=_LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    with close_on_failure(connection):
        use_wal(connection, _LOCK_TIMEOUT_S)
        for pragma in (*_PRAGMAS, f"synchronous={synchronous}"):
            connection.execute(f"PRAGMA {pragma}")
        found = _pragmas(connection, "journal_mode", "synchronous")
        if found != ["wal", _SYNCHRONOUS[synchronous]]:
            raise UnsafeStorage(
                f"store, {path}: SQLite has journal_mode and synchronous {found}, not wal and {synchronous}"
            )
    return connection


def _ensure_format(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables in a new file. Raises SchemaMismatch where it is another's, or one of another program."""
    with _transaction(connection):
        if connection.execute("SELECT 1 FROM sqlite_master").fetchone() is None:
            for statement in _SCHEMA:
                connection.execute(statement)
        found = _pragmas(connection, "application_id", "user_version")
    if found[0] != _APPLICATION_ID:
        raise SchemaMismatch(f"store, {path}: this is another program's database: name a file of its own")
    if found[1] != FORMAT:
        raise SchemaMismatch(
            f"store, {path}: it has format {found[1]}, this version of answerback {FORMAT}: install the one that made it, or name another file"
        )


def _pragmas(connection: sqlite3.Connection, *names: str) -> list[object]:
    return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    yield  # after an error the connection is closed, which rolls it back
    connection.execute("COMMIT")
