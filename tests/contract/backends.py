"""The stores that the behavioural suite runs on: a new one is one entry of BACKENDS.

A new ledger is a copy of an empty one: to make its schema takes longer than most tests.
"""

import atexit
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import Protocol

from contract.databases import emptied_database, ledger_database, lent_database
from hypothesis import settings
from postgresql import shared_server

from answerback.ledger import LEDGER_FILE, Ledger, open_postgresql, open_sqlite
from answerback.ledger.write.quarantine import QuarantineWriter

ID_KEY = b"what the ids of the tests are keyed by"


class OpenLedger(Protocol):
    """Open the one store of a test, again and again; what is opened is closed at the test's end."""

    def __call__(self, *, quarantine_bytes: int = 2**20, quarantine_per_minute: int = 60_000) -> Ledger:
        """A ledger on the test's store, with these bounds."""


def sqlite(directory: Path) -> OpenLedger:
    """SQLite, a real file."""
    ledger_file(directory)

    def reopen(*, quarantine_bytes: int = 2**20, quarantine_per_minute: int = 60_000) -> Ledger:
        return open_sqlite(
            directory,
            quarantine_bytes=quarantine_bytes,
            quarantine_per_minute=quarantine_per_minute,
            allow_unsafe_filesystem=True,  # the tests may run in memory
            id_key=ID_KEY,
        )

    return reopen


def postgresql(directory: Path) -> OpenLedger:
    """PostgreSQL, a database of a real server; each directory stands for one."""
    return database(ledger_database(directory))


def database(url: str) -> OpenLedger:
    """PostgreSQL, the database there."""

    def reopen(*, quarantine_bytes: int = 2**20, quarantine_per_minute: int = 60_000) -> Ledger:
        return open_postgresql(
            url,
            quarantine_bytes=quarantine_bytes,
            quarantine_per_minute=quarantine_per_minute,
            allow_unsafe=True,  # the server of the tests does not sync
            id_key=ID_KEY,
        )

    return reopen


def few_examples() -> settings:
    """For a property of which each example is many transactions, on each store: a quarter of what the profile says."""
    return settings(max_examples=settings().max_examples // 4)


BACKENDS: dict[str, Callable[[Path], OpenLedger]] = {"sqlite": sqlite, "postgresql": postgresql}


class Store:
    """A store that one test after the other has, emptied in between, and a ledger that stays open on it.

    To open one anew costs more than most tests: connections, and every statement, which SQLAlchemy compiles once an engine.
    """

    def __init__(self, reopen: OpenLedger, emptied: Callable[[Ledger], bool], remove: Callable[[], object]) -> None:
        self.reopen = reopen
        self.ledger = reopen()
        self._emptied = emptied
        self._remove = remove
        atexit.register(self.close)

    def empty(self) -> bool:
        """Take every row away, and have the ledger forget; whether the store is like a new one then."""
        as_new = self._emptied(self.ledger)
        transactions = self.ledger._transactions  # noqa: SLF001  # a new ledger knows nothing, on the old connections
        self.ledger = Ledger(self.ledger.engine, transactions, QuarantineWriter(2**20, 60_000), ID_KEY)
        return as_new

    def close(self) -> None:
        """Remove it."""
        atexit.unregister(self.close)
        self.ledger.close()
        self._remove()


_SCHEMA = "SELECT type, name, sql FROM sqlite_master ORDER BY name"


def new_store(backend: str) -> Store:
    """A store of its own, empty."""
    if backend == "postgresql":
        url = lent_database()
        return Store(database(url), emptied_database, partial(shared_server().drop_database, url))
    opened = ExitStack()
    directory = opened.enter_context(in_memory())
    store = Store(sqlite(directory), lambda _: _emptied_file(file, schema), opened.close)
    file = sqlite3.connect(directory / LEDGER_FILE, timeout=1, isolation_level=None)
    opened.callback(file.close)
    schema = file.execute(_SCHEMA).fetchall()
    return store


def _emptied_file(file: sqlite3.Connection, schema: list[object]) -> bool:
    """Take every row away; whether the schema is still that one, and nobody else writes."""
    with suppress(sqlite3.OperationalError):
        tables = file.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        deletes = (f"DELETE FROM {name};" for (name,) in tables if name not in {"schema_revision", "alembic_version"})
        file.executescript(f"BEGIN IMMEDIATE; {''.join(deletes)} COMMIT")
        return file.execute(_SCHEMA).fetchall() == schema
    return False


_free: dict[str, list[Store]] = {backend: [] for backend in BACKENDS}


@contextmanager
def lent_store(backend: str) -> Iterator[Store]:
    """An empty store for one test; what the test opened of it must be closed by the end, its own ledger stays open."""
    store = _free[backend].pop() if _free[backend] else new_store(backend)
    yield store
    if store.empty():
        _free[backend].append(store)
    else:
        store.close()


@contextmanager
def in_memory() -> Iterator[Path]:
    """A directory for files whose syncs prove nothing; on disk where no file system is in memory."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="answerback-", dir=memory if memory.is_mount() else None) as directory:
        yield Path(directory)


def ledger_file(directory: Path) -> None:
    """Put an empty ledger into a directory that has none."""
    path = directory / LEDGER_FILE
    if not path.exists():
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_bytes(_empty_file())


@cache
def _empty_file() -> bytes:
    with in_memory() as directory:
        open_sqlite(directory, allow_unsafe_filesystem=True).close()
        return (directory / LEDGER_FILE).read_bytes()
