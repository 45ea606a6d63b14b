"""The stores that the behavioural suite runs on: a new one is one entry of BACKENDS.

A new ledger is a copy of an empty one: to make its schema takes longer than most tests.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Protocol

from contract.databases import ledger_database, lent_database

from answerback.ledger import FILE_NAME, Ledger, open_database, open_ledger

ID_KEY = b"what the ids of the tests are keyed by"


class OpenLedger(Protocol):
    """Open the one store of a test, again and again; what is opened is closed at the test's end."""

    def __call__(self, *, quarantine_bytes: int = 2**20, quarantine_per_minute: int = 60_000) -> Ledger:
        """A ledger on the test's store, with these bounds."""


def sqlite(directory: Path) -> OpenLedger:
    """SQLite, a real file."""
    ledger_file(directory)

    def reopen(*, quarantine_bytes: int = 2**20, quarantine_per_minute: int = 60_000) -> Ledger:
        return open_ledger(
            directory,
            quarantine_bytes=quarantine_bytes,
            quarantine_per_minute=quarantine_per_minute,
            allow_unsafe_place=True,  # the tests may run in memory
            id_key=ID_KEY,
        )

    return reopen


def postgresql(directory: Path) -> OpenLedger:
    """PostgreSQL, a database of a real server; each directory stands for one."""
    return database(ledger_database(directory))


def database(url: str) -> OpenLedger:
    """PostgreSQL, the database there."""

    def reopen(*, quarantine_bytes: int = 2**20, quarantine_per_minute: int = 60_000) -> Ledger:
        return open_database(
            url,
            quarantine_bytes=quarantine_bytes,
            quarantine_per_minute=quarantine_per_minute,
            allow_unsafe=True,  # the server of the tests does not sync
            id_key=ID_KEY,
        )

    return reopen


BACKENDS: dict[str, Callable[[Path], OpenLedger]] = {"sqlite": sqlite, "postgresql": postgresql}


@contextmanager
def lent_store(backend: str) -> Iterator[OpenLedger]:
    """An empty store for one test; what was opened of it must be closed by the end."""
    if backend == "postgresql":
        with lent_database() as url:
            yield database(url)
    else:
        with in_memory() as directory:
            yield BACKENDS[backend](directory)


@contextmanager
def in_memory() -> Iterator[Path]:
    """A directory for files whose syncs prove nothing; on disk where no file system is in memory."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="answerback-", dir=memory if memory.is_mount() else None) as directory:
        yield Path(directory)


def ledger_file(directory: Path) -> None:
    """Put an empty ledger into a directory that has none."""
    path = directory / FILE_NAME
    if not path.exists():
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_bytes(_empty_file())


@cache
def _empty_file() -> bytes:
    with in_memory() as directory:
        open_ledger(directory, allow_unsafe_place=True).close()
        return (directory / FILE_NAME).read_bytes()
