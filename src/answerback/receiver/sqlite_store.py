"""A store in a SQLite file of its own: one table of callbacks, each of which is its own outbox entry.

A callback waits for the handlers while it has a `due_us`. Of each call only the oldest that waits has a time there; it is moved on to the end of
the lease while somebody has it. Those behind it are BLOCKED until it is done.
"""

import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from answerback.disk import file_id, fsync_directory, moved_error, unsafe_filesystem_reason
from answerback.domain.models import ParsedCallback, RawCallback, RejectedCallback
from answerback.errors import ConfigError, LedgerUnavailable, SchemaMismatch, UnsafeStorage
from answerback.receiver.store import Backlog, Handle
from answerback.sqlite_errors import sqlite_unavailable

FORMAT = 1
"""Raised with each change that an older program would misread."""

_BLOCKED = 2**62
_APPLICATION_ID = 0x41427263  # "ABrc"
_SCHEMA = (
    """
    CREATE TABLE callbacks (
        id INTEGER PRIMARY KEY, channel TEXT NOT NULL, callid TEXT NOT NULL, fingerprint BLOB NOT NULL UNIQUE, raw BLOB NOT NULL,
        received_us INTEGER NOT NULL, due_us INTEGER, duplicates INTEGER NOT NULL DEFAULT 0, failures INTEGER NOT NULL DEFAULT 0,
        delivered_us INTEGER, claim INTEGER
    )
    """,
    "CREATE INDEX callbacks_call ON callbacks (channel, callid)",
    "CREATE INDEX callbacks_received ON callbacks (received_us)",
    "CREATE INDEX callbacks_due ON callbacks (due_us) WHERE due_us IS NOT NULL",
    f"""
    CREATE TRIGGER callbacks_block AFTER INSERT ON callbacks WHEN EXISTS (
        SELECT 1 FROM callbacks WHERE channel = NEW.channel AND callid = NEW.callid AND due_us IS NOT NULL AND id < NEW.id
    ) BEGIN
        UPDATE callbacks SET due_us = {_BLOCKED} WHERE id = NEW.id;
    END
    """,  # noqa: S608  # a number
    """
    CREATE TRIGGER callbacks_unblock AFTER UPDATE OF due_us ON callbacks WHEN NEW.due_us IS NULL BEGIN
        UPDATE callbacks SET due_us = NEW.delivered_us WHERE id = (
            SELECT min(id) FROM callbacks WHERE channel = NEW.channel AND callid = NEW.callid AND due_us IS NOT NULL
        );
    END
    """,
    """
    CREATE TABLE rejected (
        id INTEGER PRIMARY KEY, channel TEXT NOT NULL, raw BLOB NOT NULL, result INTEGER NOT NULL, reason TEXT NOT NULL,
        received_us INTEGER NOT NULL
    )
    """,
    f"PRAGMA application_id={_APPLICATION_ID}",
    f"PRAGMA user_version={FORMAT}",
)
_RECORD = f"""
    INSERT INTO callbacks (channel, callid, fingerprint, raw, received_us, due_us) VALUES {{rows}}
    ON CONFLICT (fingerprint) DO UPDATE SET duplicates = duplicates + 1, due_us = coalesce(due_us, (
        SELECT {_BLOCKED} FROM callbacks AS other
        WHERE other.channel = excluded.channel AND other.callid = excluded.callid AND other.due_us IS NOT NULL
    ), excluded.due_us)
"""  # noqa: S608  # a number, and question marks
_ROW = "(?, ?, ?, ?, ?, ?)"
_REJECT = """
    INSERT INTO rejected (channel, raw, result, reason, received_us)
    SELECT ?, ?, ?, ?, ? WHERE (SELECT count(*) FROM rejected) < ?
"""
_ANY_DUE = "SELECT 1 FROM callbacks WHERE due_us <= ? LIMIT 1"
_CLAIM = """
    UPDATE callbacks SET due_us = ?2, claim = ?3 WHERE id IN (SELECT id FROM callbacks WHERE due_us <= ?1 ORDER BY due_us LIMIT ?4)
"""
_CLAIMED = """
    SELECT id, channel, raw, received_us, failures FROM callbacks WHERE due_us = ? AND claim = ? ORDER BY id
"""
_DONE = "UPDATE callbacks SET due_us = NULL, failures = 0, delivered_us = ? WHERE claim = ? AND id IN ({ids})"
_RETRY = "UPDATE callbacks SET due_us = ?, failures = failures + 1 WHERE claim = ? AND id = ?"
_MOVE = "UPDATE callbacks SET due_us = ? WHERE claim = ? AND id IN ({ids})"
_CALLBACKS = "SELECT raw, received_us FROM callbacks WHERE channel = ? AND callid = ? ORDER BY id"
_EARLIER = """
    SELECT claimed.id, channel, earlier.raw, earlier.received_us
    FROM callbacks AS claimed JOIN callbacks AS earlier USING (channel, callid)
    WHERE claimed.due_us = ? AND claimed.claim = ? AND earlier.delivered_us IS NOT NULL ORDER BY earlier.id
"""
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
_MAX_CLAIMED = 64
_SLICE_S = 0.02
"""Events are claimed one by one, but for handlers that are so fast: of these up to _MAX_CLAIMED, which makes a commit of many."""
_PRUNED_ROWS = 500
_PRUNE_INTERVAL_S = 60.0
_LOCK_TIMEOUT_S = 5.0
_SYNCHRONOUS = {"NORMAL": 1, "FULL": 2}
_PRAGMAS = ("journal_mode=WAL", "fullfsync=ON", "checkpoint_fullfsync=ON")
_DAY_S = 86_400
_EPOCH, _US = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


class _Event(NamedTuple):
    """An event that was claimed: `claim` is the random number that says by whom, as long as nobody else has claimed it."""

    id: int
    claim: int
    callbacks: list[RawCallback]
    failures: int


class _Process:
    """What belongs to one process: a connection must be neither used nor closed across a fork."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.connections: dict[str, sqlite3.Connection] = {}
        self.locks = {level: threading.Lock() for level in ("FULL", "NORMAL")}
        self.running: set[tuple[int, int]] = set()
        self.renewer: threading.Thread | None = None
        self.closed = threading.Event()
        self.claimed_at_once = 1
        self.prune_at_s = 0.0


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
        self._inherited: list[_Process] = []
        self._current = _Process()
        if not allow_unsafe_filesystem and (problem := unsafe_filesystem_reason(self.path.parent)):
            raise UnsafeStorage(f"store, {self.path}: {problem}. For a trial, set allow_unsafe_filesystem")
        _make_file(self.path)
        self._file_id = file_id(str(self.path))
        with self._connection() as connection:
            _ensure_format(connection, self.path)
        self.close()  # or a fork would bring the connection along

    def record(self, batch: Sequence[ParsedCallback | RejectedCallback]) -> None:
        now_us = _us(time.time())
        callbacks: list[object] = []
        rejected: list[tuple[object, ...]] = []
        for one in batch:
            received_us = (one.received_at - _EPOCH) // _US
            if isinstance(one, ParsedCallback):
                callbacks += (one.channel, one.callback.callid, one.fingerprint, one.raw, received_us, now_us)
            else:
                rejected.append((one.channel, one.raw, one.result, one.reason, received_us, self._max_rejected))
        with self._connection("FULL") as connection:
            if rejected:
                with _transaction(connection):
                    connection.executemany(_REJECT, rejected)
            if callbacks:  # in one statement: each more would wait for the interpreter once more
                rows = ", ".join([_ROW] * (len(callbacks) // _ROW.count("?")))
                connection.execute(_RECORD.format(rows=rows), callbacks)
        if file_id(str(self.path)) != self._file_id:  # SQLite goes on writing a file that was moved or deleted
            raise moved_error(str(self.path))

    def deliver(self, handle: Handle) -> bool:
        began_s, process = time.monotonic(), self._process()
        events = self._claim(process.claimed_at_once)
        if not events:
            self._prune()
            return False
        results: list[float | None] = []
        try:
            for event in events:
                with self._renewed(process, event):
                    results.append(handle(event.callbacks, event.failures))
                if time.monotonic() > began_s + _SLICE_S:
                    break
        finally:
            self._finish(events, results)
        is_fast = time.monotonic() < began_s + _SLICE_S
        process.claimed_at_once = min(2 * process.claimed_at_once, _MAX_CLAIMED) if is_fast else 1
        return True

    def callbacks(self, channel: str, callid: str) -> Sequence[RawCallback]:
        with self._connection() as connection:
            return [_callback(channel, *row) for row in connection.execute(_CALLBACKS, (channel, callid))]

    def backlog(self) -> Backlog:
        with self._connection() as connection:
            events, oldest_us = connection.execute(_BACKLOG).fetchone()
        return Backlog(events, 0.0 if oldest_us is None else max(0.0, time.time() - oldest_us / 1e6))

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        process = self._process()
        with process.locks["FULL"], process.locks["NORMAL"]:
            self._current = _Process()
            process.closed.set()
            while process.connections:
                process.connections.popitem()[1].close()

    def _claim(self, limit: int) -> list[_Event]:
        now_us, claim = _us(time.time()), secrets.randbits(62)
        until_us = now_us + _us(self._lease_s)
        with self._connection() as connection:
            if connection.execute(_ANY_DUE, (now_us,)).fetchone() is None:  # that locks nothing
                return []
            connection.execute(_CLAIM, (now_us, until_us, claim, limit))
            claimed = connection.execute(_CLAIMED, (until_us, claim)).fetchall()
            events = {id_: _Event(id_, claim, [], failures) for id_, _, _, _, failures in claimed}
            for id_, channel, raw, received_us in connection.execute(_EARLIER, (until_us, claim)):
                events[id_].callbacks.append(_callback(channel, raw, received_us))
            for id_, channel, raw, received_us, _ in claimed:
                events[id_].callbacks.append(_callback(channel, raw, received_us))
            return list(events.values())

    def _finish(self, events: Sequence[_Event], results: Sequence[float | None]) -> None:
        """Keep what became of the first events, and give back the others; but for those that somebody else has claimed meanwhile."""
        now_us, claim = _us(time.time()), events[0].claim
        ended = list(zip(events, results, strict=False))
        done = [event.id for event, retry_s in ended if retry_s is None]
        with self._connection() as connection:
            if done:
                connection.execute(_DONE.format(ids=_ids(done)), (now_us, claim))
            for event, retry_s in ended:
                if retry_s is not None:
                    connection.execute(_RETRY, (now_us + _us(retry_s), claim, event.id))
            if rest := [event.id for event in events[len(ended) :]]:
                connection.execute(_MOVE.format(ids=_ids(rest)), (now_us, claim))

    @contextmanager
    def _renewed(self, process: _Process, event: _Event) -> Iterator[None]:
        """Move the end of the lease on while a handler runs."""
        running = (event.id, event.claim)
        process.running.add(running)
        if process.renewer is None:
            process.renewer = threading.Thread(
                target=self._renew, args=(process,), name="answerback-leases", daemon=True
            )
            process.renewer.start()
        try:
            yield
        finally:
            process.running.discard(running)

    def _renew(self, process: _Process) -> None:
        while not process.closed.wait(self._lease_s / 3):
            for id_, claim in process.running.copy():
                with suppress(LedgerUnavailable), self._connection() as connection:  # else the next time, or it ends
                    until_us = _us(time.time() + self._lease_s)
                    connection.execute(f"{_MOVE.format(ids=id_)} AND due_us > ?", (until_us, claim, _us(time.time())))

    def _prune(self) -> None:
        process = self._process()
        if self._keep_days is None or time.monotonic() < process.prune_at_s:
            return
        before_us = _us(time.time() - self._keep_days * _DAY_S)
        with self._connection() as connection:
            deleted = connection.execute(_PRUNE, (before_us, _PRUNED_ROWS)).rowcount
            connection.execute("DELETE FROM rejected WHERE received_us < ?", (before_us,))
        if deleted < _PRUNED_ROWS:
            process.prune_at_s = time.monotonic() + _PRUNE_INTERVAL_S

    def _process(self) -> _Process:
        if self._current.pid != os.getpid():
            self._inherited.append(self._current)
            self._current = _Process()
        return self._current

    @contextmanager
    def _connection(self, synchronous: str = "NORMAL") -> Iterator[sqlite3.Connection]:
        """One of two connections of this process, to one thread at a time; a fresh one after a failure. Raises LedgerUnavailable.

        Only what is recorded is synced: a delivery that a power failure undoes is repeated.
        """
        process = self._process()
        with process.locks[synchronous]:
            connection = process.connections.pop(synchronous, None)
            try:
                connection = connection or _connect(self.path, synchronous)
                yield connection
            except sqlite3.Error as error:
                raise sqlite_unavailable(error, self.path) from error
            else:
                process.connections[synchronous], connection = connection, None
            finally:
                if connection is not None:
                    connection.close()


def _make_file(path: Path) -> None:
    """Make the file for its owner alone; one that is there is not opened: to close it would let go of SQLite's locks on it."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        fsync_directory(path.parent)
    except FileExistsError:
        return
    except OSError as error:
        raise ConfigError(f"store, {path}: {error.strerror}") from error


def _connect(path: Path, synchronous: str) -> sqlite3.Connection:
    """A connection. Raises UnsafeStorage where SQLite would not sync what is recorded."""
    place = f"file:{quote(str(path))}?mode=rw"
    connection = sqlite3.connect(
        place, uri=True, timeout=_LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    try:
        for pragma in (*_PRAGMAS, f"synchronous={synchronous}"):
            connection.execute(f"PRAGMA {pragma}")
        found = _pragmas(connection, "journal_mode", "synchronous")
    except BaseException:
        connection.close()
        raise
    if found != ["wal", _SYNCHRONOUS[synchronous]]:
        connection.close()
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
        raise SchemaMismatch(f"store, {path}: this is another program's file: choose one of its own")
    if found[1] != FORMAT:
        raise SchemaMismatch(f"store, {path}: it has format {found[1]}, this program has {FORMAT}")


def _pragmas(connection: sqlite3.Connection, *names: str) -> list[object]:
    return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    yield  # after an error the connection is closed, which rolls it back
    connection.execute("COMMIT")


def _callback(channel: str, raw: bytes, received_us: int) -> RawCallback:
    return RawCallback(channel, raw, _EPOCH + received_us * _US)


def _ids(ids: Sequence[int]) -> str:
    return ", ".join(map(str, ids))


def _us(seconds: float) -> int:
    return int(seconds * 1e6)
