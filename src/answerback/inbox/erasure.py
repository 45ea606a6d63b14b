"""Blank out of the inbox's file what is to be erased, beside the gateway that appends to it.

Rows keep their place and their size: what is blanked takes as many bytes. So nothing that the gateway knows of the file changes, and a ledger
that goes back is recorded again without what was erased.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import msgspec

from answerback.domain.batches import BatchDecodeError, decode_batch
from answerback.errors import LedgerUnavailable, UnavailableReason
from answerback.inbox.queries import COLUMNS
from answerback.inbox.rows import Sealer, StoredRow
from answerback.inbox.schema import check_format, connect
from answerback.storage.connections import close_on_failure
from answerback.storage.sqlite_errors import sqlite_unavailable

_encode = msgspec.msgpack.Encoder().encode

Blank = Callable[[bytes], bytes]
"""A body without what is to be erased, of the same size."""

_ROWS_PER_PAGE = 64
_VACUUM_BYTES = 64 * 1024 * 1024
"""Up to this size the file is written anew at once: whoever appends waits as long. A larger one only gives up its free pages."""
_PAGES_PER_STEP = 256
_LOCK_TIMEOUT_MS = 10_000
_CHECKPOINT_S = 60.0
_CHECKPOINT_RETRY_S = 0.1


def count_inbox(path: Path, blank: Blank) -> int:
    """How many callbacks in the inbox would change."""
    try:
        with closing(connect(path, "ro")) as connection:
            check_format(connection, path)
            return sum(_blanked(row.payload, blank)[1] for rows in _pages(connection) for row in rows)
    except sqlite3.Error as error:
        raise sqlite_unavailable(error, path) from error


def erase_inbox(path: Path, blank: Blank, on_step: Callable[[], None]) -> int:
    """Blank every callback that the inbox holds, recorded or not; how many were changed. Raises LedgerUnavailable."""
    erased = 0
    try:
        with closing(_writer(path)) as connection:
            generations = dict(connection.execute("SELECT number, id FROM generations"))
            for rows in _pages(connection):
                on_step()
                erased += _erase(connection, generations, rows, blank)
    except sqlite3.Error as error:
        raise sqlite_unavailable(error, path) from error
    return erased


def compact_inbox(path: Path) -> None:
    """Leave nothing of former rows in the free space of the file, and empty its write-ahead log. Raises LedgerUnavailable."""
    try:
        with closing(_writer(path)) as connection:
            if path.stat().st_size <= _VACUUM_BYTES:
                connection.execute("VACUUM")
            while connection.execute("PRAGMA freelist_count").fetchone()[0]:
                connection.executescript(f"PRAGMA incremental_vacuum({_PAGES_PER_STEP})")
            deadline_s = time.monotonic() + _CHECKPOINT_S
            while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                if time.monotonic() > deadline_s:
                    raise LedgerUnavailable(UnavailableReason.LOCKED, f"{path}: its write-ahead log cannot be emptied")
                time.sleep(_CHECKPOINT_RETRY_S)
    except sqlite3.Error as error:
        raise sqlite_unavailable(error, path) from error


def _writer(path: Path) -> sqlite3.Connection:
    connection = connect(path, "rw")
    with close_on_failure(connection):
        for pragma in (f"busy_timeout={_LOCK_TIMEOUT_MS}", "synchronous=FULL", "fullfsync=ON", "secure_delete=ON"):
            connection.execute(f"PRAGMA {pragma}")
        check_format(connection, path)
    return connection


def _pages(connection: sqlite3.Connection) -> Iterator[list[StoredRow]]:
    """The rows that there are, a few at a time."""
    connection.text_factory = bytes  # a damaged row may have become anything
    after = -1
    (upto,) = connection.execute("SELECT coalesce(max(key), -1) FROM rows").fetchone()
    query = f"SELECT {COLUMNS} FROM rows WHERE key > ? AND key <= ? ORDER BY key LIMIT {_ROWS_PER_PAGE}"  # noqa: S608  # constants
    while rows := list(map(StoredRow._make, connection.execute(query, (after, upto)).fetchall())):
        yield rows
        after = rows[-1].key


def _erase(
    connection: sqlite3.Connection, generations: dict[int, bytes], rows: Sequence[StoredRow], blank: Blank
) -> int:
    """Write the rows that change, in one transaction; one that was deleted meanwhile stays so."""
    erased, changed = 0, []
    for row in rows:
        payload, callbacks = _blanked(row.payload, blank)
        if callbacks:
            erased += callbacks
            sealer = Sealer(generations.get(row.number, b""), row.number)
            checksum = sealer.reseal(row, payload) if sealer.is_intact(row) else row.checksum
            changed.append((payload, checksum, row.key))
    if changed:
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany("UPDATE rows SET payload = ?, checksum = ? WHERE key = ?", changed)
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
    return erased


def _blanked(payload: bytes, blank: Blank) -> tuple[bytes, int]:
    """A batch without what is to be erased, and how many of its callbacks held it; one that cannot be decoded is one body."""
    try:
        bodies = [item.raw for item in decode_batch(payload).items]
    except BatchDecodeError:
        blanked = blank(payload)
        return blanked, int(blanked != payload)
    count = 0
    for body in bodies:
        if (blanked := blank(body)) != body:
            payload = payload.replace(_encode(body), _encode(blanked))  # with its length: another may contain it
            count += 1
    return payload, count
