import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from answerback.storage.connections import use_wal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A new file of SQLite's."""
    path = tmp_path / "new.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE any_ (one)")
    return path


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that waits for nobody, as SQLite itself does not where two switch at a time."""
    with closing(sqlite3.connect(path, timeout=0.0, isolation_level=None)) as connection:
        yield connection


@pytest.fixture
def other(path: Path) -> Iterator[sqlite3.Connection]:
    """Somebody else, who has the file for himself."""
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield other


def test_a_switch_waits_for_whoever_has_the_file(connection: sqlite3.Connection, other: sqlite3.Connection) -> None:
    """And is done once they let go."""
    letting_go = threading.Timer(0.05, other.execute, ("COMMIT",))
    letting_go.start()
    use_wal(connection, 20.0)
    letting_go.join()
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.usefixtures("other")
def test_a_switch_does_not_wait_for_ever(connection: sqlite3.Connection) -> None:
    """What the file is at the end of its time, the error says."""
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        use_wal(connection, 0.05)
