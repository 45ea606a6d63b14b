"""The stores that the behavioural suite runs on: a new one is one entry of BACKENDS."""

import atexit
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Protocol

import psycopg
from postgresql import PostgreSQL

from answerback.ledger import Ledger, open_database, open_ledger

ID_KEY = b"what the ids of the tests are keyed by"


class OpenLedger(Protocol):
    """Open the one store of a test, again and again; what is opened is closed at the test's end."""

    def __call__(self, *, quarantine_bytes: int = 2**20, quarantine_per_minute: int = 60_000) -> Ledger:
        """A ledger on the test's store, with these bounds."""


def sqlite(directory: Path) -> OpenLedger:
    """SQLite, a real file."""

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
    url = ledger_database(directory)

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


@cache
def _server() -> tuple[PostgreSQL, str]:
    """One for all suites of this process, and the name of a database that holds an empty ledger, to be copied."""
    server = PostgreSQL.start()
    atexit.register(server.close)
    template = server.create_database()
    open_database(template, allow_unsafe=True).close()
    return server, template.rpartition("/")[2]


_databases: list[str] = []
_KEPT = 20


@cache
def ledger_database(_place: Path) -> str:
    """The URL of the database, an empty ledger at first, that stands for a directory; old ones are dropped."""
    server, template = _server()
    if len(_databases) >= _KEPT:
        with suppress(psycopg.Error):
            server.drop_database(_databases.pop(0))
    _databases.append(server.create_database(template))
    return _databases[-1]
