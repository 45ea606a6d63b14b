"""The ledger that a test is about, on every backend."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from contract.backends import BACKENDS, OpenLedger, Store, in_memory, lent_store

from answerback.ledger import Ledger


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A directory in memory: only `test_sqlite_durability` is about what the disk keeps."""
    with in_memory() as directory:
        yield directory


@pytest.fixture(params=BACKENDS)
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """The store of the test, empty at first."""
    with lent_store(request.param) as store:
        yield store


@pytest.fixture
def reopen(store: Store) -> Iterator[OpenLedger]:
    """The way to open the test's store, as often as it likes."""
    with ExitStack() as opened:

        def reopen(*, quarantine_bytes: int = 2**20, quarantine_per_minute: int = 60_000) -> Ledger:
            ledger = store.reopen(quarantine_bytes=quarantine_bytes, quarantine_per_minute=quarantine_per_minute)
            return opened.enter_context(closing(ledger))

        yield reopen


@pytest.fixture
def ledger(store: Store) -> Ledger:
    """An empty ledger, which the test leaves open."""
    return store.ledger
