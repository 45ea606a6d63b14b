"""The stores that the behavioural suite runs on: a new one is one entry of BACKENDS."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from answerback.ledger import Ledger, open_ledger


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
        )

    return reopen


BACKENDS: dict[str, Callable[[Path], OpenLedger]] = {"sqlite": sqlite}
