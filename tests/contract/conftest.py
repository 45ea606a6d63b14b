"""The ledger that a test is about, on every backend."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from contract.backends import BACKENDS, OpenLedger, in_memory, lent_store

from answerback.ledger import Ledger


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A directory in memory: only `test_sqlite_durability` is about what the disk keeps."""
    with in_memory() as directory:
        yield directory


@pytest.fixture(params=BACKENDS)
def reopen(request: pytest.FixtureRequest) -> Iterator[OpenLedger]:
    """The way to open the test's store, as often as it likes."""
    with ExitStack() as opened:
        open_store = opened.enter_context(lent_store(request.param))

        def reopen(*, quarantine_bytes: int = 2**20, quarantine_per_minute: int = 60_000) -> Ledger:
            ledger = open_store(quarantine_bytes=quarantine_bytes, quarantine_per_minute=quarantine_per_minute)
            return opened.enter_context(closing(ledger))

        yield reopen


@pytest.fixture
def ledger(reopen: OpenLedger) -> Ledger:
    """An empty ledger."""
    return reopen()
