"""A database connection that is being made ready."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from answerback.errors import UnavailableReason
from answerback.storage.sqlite_errors import sqlite_reason

_RETRY_S = 0.01


class Closable(Protocol):
    """A connection, the driver's or ours."""

    def close(self) -> None:
        """Close the connection."""


@contextmanager
def close_on_failure(connection: Closable) -> Iterator[None]:
    """Close a connection that cannot be made ready: nobody else knows of it yet."""
    try:
        yield
    except BaseException:
        connection.close()
        raise


def use_wal(connection: sqlite3.Connection, timeout_s: float) -> None:
    """Have a SQLite file use a write-ahead log. Raises sqlite3.Error.

    Where others open the new file at the same moment SQLite does not wait for their locks as it does elsewhere: this tries again, for `timeout_s`.
    """
    deadline_s = time.monotonic() + timeout_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").fetchall()
        except sqlite3.OperationalError as error:
            if sqlite_reason(error) is not UnavailableReason.LOCKED or time.monotonic() >= deadline_s:
                raise
            time.sleep(_RETRY_S)
        else:
            return
