"""The format of the inbox's file, and the check that a commit to it is durable."""

import sqlite3
from pathlib import Path
from urllib.parse import quote

from answerback.errors import SchemaMismatch, UnsafeStorage
from answerback.inbox.rows import PAGE_BYTES
from answerback.storage.connections import close_on_failure

INBOX_FILE = "inbox.db"
FORMAT = 1
"""Raised with each change that an older program would misread; a newer program reads all formats up to its own."""

_APPLICATION_ID = 0x41426978  # "ABix"
_SCHEMA = (
    """
    CREATE TABLE generations (
        number INTEGER PRIMARY KEY, id BLOB NOT NULL, began_us INTEGER NOT NULL, deleted INTEGER NOT NULL, recorded INTEGER NOT NULL,
        failure TEXT, failing_since_us INTEGER
    )
    """,
    """
    CREATE TABLE rows (
        key INTEGER PRIMARY KEY, appended_us INTEGER NOT NULL, callbacks INTEGER NOT NULL, total_callbacks INTEGER NOT NULL,
        total_bytes INTEGER NOT NULL, checksum INTEGER NOT NULL, payload BLOB NOT NULL
    )
    """,
    "CREATE TABLE probes (id INTEGER PRIMARY KEY, noise BLOB NOT NULL)",
)
_MIN_VERSION = (3, 35, 0)
_LOCK_TIMEOUT_S = 2.0
_DURABLE = {"journal_mode": "wal", "synchronous": 2, "fullfsync": 1}


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """A connection that begins no transaction of its own; `mode` is SQLite's: ro, rw, or rwc, which makes a new file."""
    return sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?mode={mode}",
        uri=True,
        timeout=_LOCK_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )


def connect_writer(path: Path, mode: str, wal_bytes: int) -> sqlite3.Connection:
    """A connection whose commit is durable. Raises UnsafeStorage where SQLite does not do what that takes."""
    if sqlite3.sqlite_version_info < _MIN_VERSION:
        raise UnsafeStorage(
            f"SQLite {sqlite3.sqlite_version} is too old: install one from {'.'.join(map(str, _MIN_VERSION))} on"
        )
    connection = connect(path, mode)
    with close_on_failure(connection):
        for pragma in (
            f"page_size={PAGE_BYTES}",  # this and the next of a new file, before anything is in it
            "auto_vacuum=INCREMENTAL",
            "journal_mode=WAL",
            "synchronous=FULL",
            "fullfsync=ON",
            "checkpoint_fullfsync=ON",
            "secure_delete=FAST",  # else a deletion writes every page that it frees
            "wal_autocheckpoint=0",  # the appender does it, after it has answered
            f"journal_size_limit={wal_bytes}",
        ):
            connection.execute(f"PRAGMA {pragma}")
        _verify_durable(connection, path)
    return connection


def ensure_format(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables in a new file. Raises SchemaMismatch for a file that is no inbox, or one of a newer program."""
    if _pragma(connection, "application_id") == 0 and not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        connection.execute("BEGIN IMMEDIATE")
        for statement in (*_SCHEMA, f"PRAGMA application_id={_APPLICATION_ID}", f"PRAGMA user_version={FORMAT}"):
            connection.execute(statement)
        connection.execute("COMMIT")
    check_format(connection, path)


def check_format(connection: sqlite3.Connection, path: Path) -> None:
    """Raise SchemaMismatch for a file that is no inbox, or one of a newer program."""
    if _pragma(connection, "application_id") != _APPLICATION_ID:
        raise SchemaMismatch(f"{path} is not an inbox of Answerback: move it away, or choose another inbox.dir")
    if (found := _pragma(connection, "user_version")) > FORMAT:
        raise SchemaMismatch(
            f"{path} has format {found}, this program reads up to {FORMAT}: start the newer release that wrote it, "
            "or let that one record what is in it and move it away"
        )


def _verify_durable(connection: sqlite3.Connection, path: Path) -> None:
    for pragma, required in _DURABLE.items():
        if (found := _pragma(connection, pragma)) != required:
            raise UnsafeStorage(f"{path}: SQLite was built or set so that {pragma} is {found}, not {required}")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value
