"""What only SQLite tells: whether its commit means stored."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from contract.backends import sqlite
from sqlalchemy import Engine

from answerback.errors import LedgerUnsafe
from answerback.ledger.sqlite import sqlite_engine, verify_durable

FILE = "some.db"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine on a new file, as the ledger makes it."""
    engine = sqlite_engine(tmp_path / FILE, 1)
    yield engine
    engine.dispose()


def test_the_ledger_s_own_settings_pass(engine: Engine) -> None:
    """WAL and FULL, on every connection of the pool."""
    for _ in range(2):
        with engine.connect() as connection:
            verify_durable(connection, Path(FILE))


@pytest.mark.parametrize(
    ("pragma", "reason"),
    [
        ("synchronous=OFF", "synchronous is 0, not FULL"),
        ("synchronous=NORMAL", "synchronous is 1, not FULL"),
        ("journal_mode=MEMORY", "journal_mode is memory"),
        ("journal_mode=DELETE", "journal_mode is delete"),
    ],
)
def test_a_setting_that_loses_answers_is_refused(engine: Engine, pragma: str, reason: str) -> None:
    """A SQLite that would not sync each commit is refused, and the error says which setting it is."""
    connection = engine.raw_connection()
    with closing(connection):
        connection.cursor().execute(f"PRAGMA {pragma}")
    with engine.connect() as reused, pytest.raises(LedgerUnsafe, match=f"{FILE}: .*{reason}"):
        verify_durable(reused, Path(FILE))


def test_every_connection_of_a_ledger_syncs(tmp_path: Path) -> None:
    """The writer's connection, too: FULL is 2."""
    with closing(sqlite(tmp_path)()) as ledger:
        ledger.probe()
        for options in ({}, {"writes": True}):
            with ledger.engine.execution_options(**options).connect() as connection:
                assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
                assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
