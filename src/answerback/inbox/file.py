"""The inbox's file: opened durably and by one gateway, written by the append thread."""

import fcntl
import os
import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from answerback.errors import ConfigError, LedgerUnavailable, UnavailableReason
from answerback.inbox.backlog import RecorderFailure
from answerback.inbox.config import InboxConfig
from answerback.inbox.queries import read_end, read_generations
from answerback.inbox.rows import PAGE_BYTES, StoredRow, Totals, key_of, position_of
from answerback.inbox.schema import INBOX_FILE, connect, connect_writer, ensure_format
from answerback.storage.connections import close_on_failure
from answerback.storage.disk import (
    SQLiteFiles,
    check_wal,
    fsync_directory,
    nearest_existing_parent,
    require_durable_filesystem,
)
from answerback.storage.sqlite_errors import sqlite_unavailable

INBOX_LOCK = "inbox.lock"

_MAX_WAL_BYTES = 8 * 1024 * 1024
_SMALL_FRACTION = 8
_DELETED_ROWS = 256
_DELETED_BYTES = 8 * 1024 * 1024
"""A transaction deletes more than one appends, so that deletion keeps up."""
_ROW = "(?, ?, ?, ?, ?, ?, ?)"
_NEXT_DELETED = (
    "SELECT key, total_bytes FROM (SELECT key, total_bytes FROM rows WHERE key > ? AND key <= ? ORDER BY key LIMIT ?) "
    "WHERE total_bytes <= ? ORDER BY key DESC LIMIT 1"
)
_FIRST_DELETED = "SELECT key, total_bytes FROM rows WHERE key > ? AND key <= ? ORDER BY key LIMIT 1"


class Deletion(NamedTuple):
    """Rows of a generation that may go: those after `deleted`, up to `through`; `bytes` is the sum up to `deleted`."""

    number: int
    deleted: int
    through: int
    bytes: int
    is_whole: bool
    """Whether nothing is left of the generation then."""


class DeletionResult(NamedTuple):
    """How far a deletion came, and the sum up to there."""

    number: int
    position: int
    bytes: int


class InboxFile:
    """The file of one generation: it is written through one connection, which is replaced after every failure."""

    def __init__(self, config: InboxConfig) -> None:
        """Open the file, new or not, and begin a generation.

        Raises UnsafeStorage, SchemaMismatch, ConfigError where another gateway uses it, and LedgerUnavailable.
        """
        directory = config.directory
        if not config.allow_unsafe_filesystem:
            require_durable_filesystem(directory, "inbox.dir")
        self.path = directory / INBOX_FILE
        self.wal_bytes = 0
        self.max_wal_bytes = min(_MAX_WAL_BYTES, config.max_bytes // _SMALL_FRACTION)
        self.checkpoint_bytes = self.max_wal_bytes // 2
        self._directory = directory
        self._connection: sqlite3.Connection | None = None
        self._anchor: sqlite3.Connection | None = None
        _make_directory(directory)
        self._lock: int | None = lock_inbox(directory)
        try:
            self._open()
        except sqlite3.Error as error:
            self.close()
            raise sqlite_unavailable(error, f"inbox.dir, {self.path}") from error
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        check_wal(self.path)
        self._connection = connection = connect_writer(self.path, "rwc", self.max_wal_bytes)
        ensure_format(connection, self.path)
        fsync_directory(self._directory)
        stored = read_generations(connection)
        self.id = os.urandom(16)
        self.number = 1 + max((each.generation.number for each in stored), default=0)
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(
            "DELETE FROM generations WHERE NOT EXISTS (SELECT 1 FROM rows WHERE key > number << 40 AND key < (number + 1) << 40)"
        )
        connection.execute(
            "INSERT INTO generations VALUES (?, ?, ?, 0, 0, NULL, NULL)", (self.number, self.id, time.time_ns() // 1000)
        )
        connection.execute("COMMIT")
        self.older = [each for each in stored if each.generation.last > each.generation.deleted]
        self._anchor = connect(
            self.path, "ro"
        )  # as long as one is open SQLite keeps its shared memory, even on a full disk
        self._anchor.execute("SELECT 1 FROM generations").fetchall()
        self.files = SQLiteFiles(self.path)
        self._extend_wal()
        self.deleted = {each.generation.number: each.generation.deleted for each in self.older} | {self.number: 0}
        """How far rows were deleted, by the number of the generation; without those of which nothing is left."""

    def _extend_wal(self) -> None:
        """Give the write-ahead log its usual size at once: a sync is many times slower where the file has grown.

        What is behind its last commit SQLite does not read, zeros as little as the remains of earlier transactions. Where
        the disk has no room for it, it stays as it is: the first commit will say so.
        """
        self._writer.execute("BEGIN IMMEDIATE")
        with Path(f"{self.path}-wal").open("ab", buffering=0) as wal:
            size_bytes = wal.tell()
            zeros = bytes(max(0, self.checkpoint_bytes + PAGE_BYTES - size_bytes))
            try:
                is_extended = wal.write(zeros) == len(zeros)
                os.fsync(wal.fileno())
            except OSError:
                is_extended = False
            if not is_extended:
                wal.truncate(size_bytes)
        self._writer.execute("ROLLBACK")

    @property
    def is_open(self) -> bool:
        """Whether there is a connection, and the last use of it succeeded."""
        return self._connection is not None

    def reconnect(self) -> Totals | None:
        """After a failure: the sums up to the newest row that the file really has. None where the connection is good.

        A row whose commit failed may be there all the same. Raises LedgerUnavailable where the file was moved.
        """
        if self._connection is not None:
            return None
        self.files.check()  # or SQLite would open, or make, another file
        connection = connect_writer(self.path, "rw", self.max_wal_bytes)
        with close_on_failure(connection):
            end = read_end(connection, self.number) or Totals(0, 0, 0, 0)
        self._connection = connection
        return end

    def disconnect(self) -> None:
        """After a failure: a fresh connection has no half-done statement, and reads a repaired file anew."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def append(self, rows: Sequence[StoredRow], deletion: Deletion | None) -> DeletionResult | None:
        """Commit the rows, and a part of what may be deleted. Raises sqlite3.Error, LedgerUnavailable: nothing is stored."""
        deleted = None
        if deletion is None:
            self._insert(rows)  # its own transaction: each statement more has to wait for the interpreter once more
        else:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                deleted = self._delete(deletion)
                self._insert(rows)
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise
        self.files.check()
        return deleted

    def keep_recorded(self, positions: Mapping[int, int], failure: RecorderFailure | None) -> None:
        """Note how far generations are recorded, by their numbers, and why no further: for the next start, and for commands."""
        self._writer.execute("BEGIN IMMEDIATE")
        self._writer.executemany(
            "UPDATE generations SET recorded = ? WHERE number = ?",
            [(position, number) for number, position in positions.items()],
        )
        self._writer.execute(
            "UPDATE generations SET failure = ?, failing_since_us = ? WHERE number = ?",
            (*((failure.reason, failure.since_us) if failure else (None, None)), self.number),
        )
        self._writer.execute("COMMIT")

    def probe(self) -> None:
        """Commit a page of noise."""
        self._writer.execute("REPLACE INTO probes VALUES (1, randomblob(512))")
        self.files.check()

    def checkpoint(self) -> None:
        """Move what is in the write-ahead log to the database; the log is then written from its beginning again."""
        self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def measure(self) -> None:
        """See how large the write-ahead log is."""
        with suppress(OSError):
            self.wal_bytes = Path(f"{self.path}-wal").stat().st_size

    def free_bytes(self) -> int:
        """The space of the disk that is left to whoever is not root. Raises LedgerUnavailable."""
        try:
            disk = os.statvfs(self._directory)
        except OSError as error:
            self.files.check()  # they are gone where the directory is
            raise LedgerUnavailable(UnavailableReason.DISK_FAILED, f"{self._directory}: {error.strerror}") from error
        return disk.f_bavail * disk.f_frsize

    def shrink(self, slack_bytes: int, pages: int) -> bool:
        """Give up to `pages` free pages back to the disk; False where less is free than `slack_bytes` or half of the file."""
        ((free,),) = self._writer.execute("PRAGMA freelist_count").fetchall()
        ((total,),) = self._writer.execute("PRAGMA page_count").fetchall()
        if free * PAGE_BYTES <= slack_bytes or free * 2 < total:
            return False
        self._writer.executescript(f"PRAGMA incremental_vacuum({pages})")  # `execute` would stop after one page
        return True

    def close(self) -> None:
        """Close the file, once; the last to close it empties its write-ahead log."""
        if self._anchor is not None:
            self._anchor.close()
        self.disconnect()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def _writer(self) -> sqlite3.Connection:
        assert self._connection is not None  # noqa: S101  # `reconnect` comes first
        return self._connection

    def _insert(self, rows: Sequence[StoredRow]) -> None:
        if rows:
            values = [value for row in rows for value in row]
            self._writer.execute(f"INSERT INTO rows VALUES {', '.join([_ROW] * len(rows))}", values)  # noqa: S608  # question marks

    def _delete(self, deletion: Deletion) -> DeletionResult:
        after, through = key_of(deletion.number, deletion.deleted), key_of(deletion.number, deletion.through)
        bounds = (after, through)
        found = self._writer.execute(
            _NEXT_DELETED, (*bounds, _DELETED_ROWS, deletion.bytes + _DELETED_BYTES)
        ).fetchone()
        key, size_bytes = found or self._writer.execute(_FIRST_DELETED, bounds).fetchone() or (through, deletion.bytes)
        self._writer.execute("DELETE FROM rows WHERE key > ? AND key <= ?", (after, key))
        if key == through and deletion.is_whole:
            self._writer.execute("DELETE FROM generations WHERE number = ?", (deletion.number,))
        else:
            self._writer.execute(
                "UPDATE generations SET deleted = ? WHERE number = ?", (position_of(key), deletion.number)
            )
        return DeletionResult(deletion.number, position_of(key), size_bytes)


def _make_directory(directory: Path) -> None:
    """Make the directory, with its name as durable as what will be in it."""
    existing = nearest_existing_parent(directory)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerUnavailable(
            UnavailableReason.READ_ONLY, f"inbox.dir, {directory}: cannot be made: {error.strerror}"
        ) from error
    made = directory.resolve()
    while made != existing:
        made = made.parent
        fsync_directory(made)


def lock_inbox(directory: Path) -> int:
    """Lock the inbox until the descriptor is closed or the process ends."""
    path = directory / INBOX_LOCK
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LedgerUnavailable(UnavailableReason.READ_ONLY, f"inbox.dir, {path}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise ConfigError(
            f"inbox.dir, {directory}: another gateway uses the inbox there: stop it, or choose another inbox.dir"
        ) from error
    return lock
