"""A store in a SQLite file of its own: one table of callbacks, each of which is its own outbox entry.

A callback waits for the handlers while it has a `due_us`. Of each call only the oldest that waits has a time there; it is moved on to the end of
the lease while somebody has it. Those behind it are BLOCKED until it is done.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from answerback.disk import file_id, fsync_directory, moved_error, unsafe_filesystem_reason
from answerback.domain.models import ParsedCallback, RawCallback, RejectedCallback
from answerback.errors import ConfigError, LedgerUnavailable, SchemaMismatch, UnsafeStorage
from answerback.receiver.store import Backlog, Handle
from answerback.sqlite_errors import sqlite_unavailable

FORMAT = 1
"""Raised with each change that an older program would misread."""

_APPLICATION_ID = 0x41427263  # "ABrc"
_SCHEMA = (
    """
    CREATE TABLE callbacks (
        id INTEGER PRIMARY KEY, channel TEXT NOT NULL, callid TEXT NOT NULL, fingerprint BLOB NOT NULL UNIQUE, raw BLOB NOT NULL,
        received_us INTEGER NOT NULL, duplicates INTEGER NOT NULL DEFAULT 0, due_us INTEGER, failures INTEGER NOT NULL DEFAULT 0,
        delivered_us INTEGER
    )
    """,
    "CREATE INDEX callbacks_call ON callbacks (channel, callid)",
    "CREATE INDEX callbacks_received ON callbacks (received_us)",
    "CREATE INDEX callbacks_due ON callbacks (due_us) WHERE due_us IS NOT NULL",
    """
    CREATE TABLE rejected (
        id INTEGER PRIMARY KEY, channel TEXT NOT NULL, raw BLOB NOT NULL, result INTEGER NOT NULL, reason TEXT NOT NULL,
        received_us INTEGER NOT NULL
    )
    """,
    f"PRAGMA application_id={_APPLICATION_ID}",
    f"PRAGMA user_version={FORMAT}",
)
_BLOCKED = 2**62
_RECORD = """
    INSERT INTO callbacks (channel, callid, fingerprint, raw, received_us, due_us)
    VALUES (?1, ?2, ?3, ?4, ?5, CASE WHEN EXISTS (
        SELECT 1 FROM callbacks WHERE channel = ?1 AND callid = ?2 AND due_us IS NOT NULL
    ) THEN ?7 ELSE ?6 END)
    ON CONFLICT (fingerprint) DO UPDATE SET duplicates = duplicates + 1, due_us = coalesce(due_us, excluded.due_us)
"""
_REJECT = """
    INSERT INTO rejected (channel, raw, result, reason, received_us)
    SELECT ?, ?, ?, ?, ? WHERE (SELECT count(*) FROM rejected) < ?
"""
_CLAIM = """
    UPDATE callbacks SET due_us = ?2 WHERE id = (SELECT id FROM callbacks WHERE due_us <= ?1 ORDER BY due_us LIMIT 1)
    RETURNING id, channel, callid, raw, received_us, failures, delivered_us
"""
_DONE = "UPDATE callbacks SET due_us = NULL, failures = 0, delivered_us = ?3 WHERE id = ?1 AND due_us = ?2"
_UNBLOCK = """
    UPDATE callbacks SET due_us = ? WHERE id = (
        SELECT min(id) FROM callbacks WHERE channel = ? AND callid = ? AND due_us IS NOT NULL
    )
"""
_RETRY = "UPDATE callbacks SET due_us = ?3, failures = failures + 1 WHERE id = ?1 AND due_us = ?2"
_RENEW = "UPDATE callbacks SET due_us = ?3 WHERE id = ?1 AND due_us = ?2"
_HISTORY = "SELECT raw, received_us FROM callbacks WHERE channel = ? AND callid = ? AND id < ? ORDER BY id"
_BACKLOG = """
    SELECT count(*), min(CASE WHEN delivered_us IS NULL THEN received_us END) FROM callbacks WHERE due_us IS NOT NULL
"""
_PRUNE = """
    DELETE FROM callbacks WHERE id IN (
        SELECT id FROM callbacks AS old WHERE received_us < ?1 AND NOT EXISTS (
            SELECT 1 FROM callbacks AS kept WHERE kept.channel = old.channel AND kept.callid = old.callid
            AND (kept.due_us IS NOT NULL OR kept.received_us >= ?1)
        ) ORDER BY received_us LIMIT ?2
    )
"""
_PRUNED_ROWS = 500
_PRUNE_INTERVAL_S = 60.0
_LOCK_TIMEOUT_S = 5.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Lease:
    """The right to hand over one event until `until_us`."""

    def __init__(self, id: int, channel: str, callid: str, until_us: int) -> None:
        self.id, self.channel, self.callid, self.until_us = id, channel, callid, until_us


class _Process:
    """What belongs to one process: connections must not be used, nor closed, across a fork."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.writing = (
            threading.Lock()
        )  # within the process it hands over at once, where SQLite would sleep and try again
        self.recording: sqlite3.Connection | None = None
        self.idle: list[sqlite3.Connection] = []
        self.leases: set[_Lease] = set()
        self.renewer: threading.Thread | None = None
        self.closed = threading.Event()
        self.pruned_s = 0.0


class SQLiteStore:
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
        self.path = Path(path).absolute()
        self._keep_days = keep_days
        self._max_rejected = max_rejected
        self._lease_s = lease_s
        if not allow_unsafe_filesystem and (problem := unsafe_filesystem_reason(self.path.parent)):
            raise UnsafeStorage(
                f"store, {self.path}: {problem}. Choose another, or set allow_unsafe_filesystem for a trial"
            )
        _make_file(self.path)
        self._file_id = file_id(str(self.path))
        with self._translated():
            connection = self._connect("FULL")
            try:
                _ensure_format(connection, self.path)
            finally:
                connection.close()
        self._inherited: list[_Process] = []
        self._current = _Process()

    def record(self, batch: Sequence[ParsedCallback | RejectedCallback]) -> None:
        process, now_us = self._process(), _us(time.time())
        callbacks = [
            (one.channel, one.callback.callid, one.fingerprint, one.raw, _us_of(one.received_at), now_us, _BLOCKED)
            for one in batch
            if isinstance(one, ParsedCallback)
        ]
        rejected = [
            (one.channel, one.raw, one.result, one.reason, _us_of(one.received_at), self._max_rejected)
            for one in batch
            if isinstance(one, RejectedCallback)
        ]
        with self._translated(), process.writing:
            connection, process.recording = process.recording or self._connect("FULL"), None
            try:
                with _transaction(connection):
                    connection.executemany(_RECORD, callbacks)
                    connection.executemany(_REJECT, rejected)
            except BaseException:
                connection.close()  # a fresh one has no half-done statement
                raise
            process.recording = connection
        self._check_file()

    def deliver(self, handle: Handle) -> bool:
        process = self._process()
        with self._connection(process) as connection:
            claimed = self._claim(process, connection)
            if claimed is None:
                self._prune(process, connection)
                return False
        lease, callbacks, failures = claimed
        try:
            retry_s = handle(callbacks, failures)
            with self._connection(process) as connection:
                self._finish(process, connection, lease, retry_s)
        finally:
            process.leases.discard(lease)
        return True

    def callbacks(self, channel: str, callid: str) -> Sequence[RawCallback]:
        with self._connection(self._process()) as connection:
            return _history(connection, channel, callid)

    def backlog(self) -> Backlog:
        with self._connection(self._process()) as connection:
            events, oldest_us = connection.execute(_BACKLOG).fetchone()
        return Backlog(events, 0.0 if oldest_us is None else max(0.0, time.time() - oldest_us / 1e6))

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        process, self._current = self._process(), _Process()
        process.closed.set()
        for connection in [*process.idle, *filter(None, [process.recording])]:
            connection.close()

    def _claim(self, process: _Process, connection: sqlite3.Connection) -> tuple[_Lease, list[RawCallback], int] | None:
        now_us = _us(time.time())
        if connection.execute("SELECT 1 FROM callbacks WHERE due_us <= ? LIMIT 1", (now_us,)).fetchone() is None:
            return None
        until_us = now_us + _us(self._lease_s)
        with process.writing:
            rows = connection.execute(_CLAIM, (now_us, until_us)).fetchall()
        if not rows:
            return None
        ((id_, channel, callid, raw, received_us, failures, delivered_us),) = rows
        earlier = _history(connection, channel, callid, _BLOCKED if delivered_us else id_)
        lease = _Lease(id_, channel, callid, until_us)
        process.leases.add(lease)
        if process.renewer is None:
            process.renewer = threading.Thread(
                target=self._renew, args=(process,), name="answerback-leases", daemon=True
            )
            process.renewer.start()
        return lease, [*earlier, RawCallback(channel, raw, _time_of(received_us))], failures

    def _finish(self, process: _Process, connection: sqlite3.Connection, lease: _Lease, retry_s: float | None) -> None:
        """Keep what became of an event; nothing where its lease has ended, for then somebody else has it."""
        now_us = _us(time.time())
        with process.writing, _transaction(connection):
            if retry_s is not None:
                connection.execute(_RETRY, (lease.id, lease.until_us, now_us + _us(retry_s)))
            elif connection.execute(_DONE, (lease.id, lease.until_us, now_us)).rowcount:
                connection.execute(_UNBLOCK, (now_us, lease.channel, lease.callid))

    def _renew(self, process: _Process) -> None:
        """Move the ends of the leases on while their handlers run."""
        while not process.closed.wait(self._lease_s / 3):
            if not process.leases:
                continue
            try:
                with self._connection(process) as connection, process.writing:
                    until_us = _us(time.time() + self._lease_s)
                    for lease in process.leases.copy():
                        if connection.execute(_RENEW, (lease.id, lease.until_us, until_us)).rowcount:
                            lease.until_us = until_us
            except LedgerUnavailable:  # the next time, or the lease ends
                continue

    def _prune(self, process: _Process, connection: sqlite3.Connection) -> None:
        if self._keep_days is None or time.monotonic() < process.pruned_s + _PRUNE_INTERVAL_S:
            return
        before_us = _us(time.time() - self._keep_days * 86400)
        with process.writing:
            deleted = connection.execute(_PRUNE, (before_us, _PRUNED_ROWS)).rowcount
            connection.execute("DELETE FROM rejected WHERE received_us < ?", (before_us,))
        if deleted < _PRUNED_ROWS:
            process.pruned_s = time.monotonic()

    def _process(self) -> _Process:
        if self._current.pid != os.getpid():
            self._inherited.append(self._current)
            self._current = _Process()
        return self._current

    @contextmanager
    def _connection(self, process: _Process) -> Iterator[sqlite3.Connection]:
        """A connection whose commits are synced with the next callback that is recorded: a delivery may be repeated, not lost."""
        with self._translated():
            connection = process.idle.pop() if process.idle else self._connect("NORMAL")
            try:
                yield connection
            except BaseException:
                connection.close()
                raise
            if process.closed.is_set():
                connection.close()
            else:
                process.idle.append(connection)

    def _connect(self, synchronous: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{quote(str(self.path))}?mode=rw",
            uri=True,
            timeout=_LOCK_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
        )
        for pragma in ("journal_mode=WAL", f"synchronous={synchronous}", "fullfsync=ON", "checkpoint_fullfsync=ON"):
            connection.execute(f"PRAGMA {pragma}")
        found = [connection.execute(f"PRAGMA {pragma}").fetchone()[0] for pragma in ("journal_mode", "synchronous")]
        if found != ["wal", {"NORMAL": 1, "FULL": 2}[synchronous]]:
            connection.close()
            raise UnsafeStorage(f"store, {self.path}: SQLite has journal_mode and synchronous {found}")
        return connection

    def _check_file(self) -> None:
        """SQLite goes on writing a file that was moved or deleted: what was recorded is lost then, whatever the commit says."""
        if file_id(str(self.path)) != self._file_id:
            raise moved_error(str(self.path))

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise sqlite_unavailable(error, self.path) from error


def _make_file(path: Path) -> None:
    """Make the file for its owner alone; one that is there is not touched: to close it would let go of SQLite's locks on it."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise ConfigError(f"store, {path}: {error.strerror}") from error
    fsync_directory(path.parent)


def _ensure_format(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables in a new file. Raises SchemaMismatch where it is another's, or one of a newer program."""
    with _transaction(connection):
        if connection.execute("SELECT 1 FROM sqlite_master").fetchone() is None:
            for statement in _SCHEMA:
                connection.execute(statement)
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        (found,) = connection.execute("PRAGMA user_version").fetchone()
    if application_id != _APPLICATION_ID:
        raise SchemaMismatch(f"store, {path}: it is the file of another program: choose a path of its own")
    if found != FORMAT:
        raise SchemaMismatch(f"store, {path}: it has format {found}, this program has {FORMAT}")


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _history(connection: sqlite3.Connection, channel: str, callid: str, before: int = _BLOCKED) -> list[RawCallback]:
    rows = connection.execute(_HISTORY, (channel, callid, before))
    return [RawCallback(channel, raw, _time_of(received_us)) for raw, received_us in rows]


def _us(seconds: float) -> int:
    return int(seconds * 1e6)


def _us_of(when: datetime) -> int:
    return (when - _EPOCH) // timedelta(microseconds=1)


def _time_of(us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=us)
