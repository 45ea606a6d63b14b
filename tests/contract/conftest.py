"""The ledger that a test is about, on every backend."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from contract.backends import BACKENDS, OpenLedger

from answerback.ledger import Ledger


@pytest.fixture(params=BACKENDS)
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenLedger]:
    """The way to open the test's store, as often as it likes."""
    open_store = BACKENDS[request.param](tmp_path / "data")
    with ExitStack() as opened:

        def reopen(*, quarantine_bytes: int = 2**20, quarantine_per_minute: int = 60_000) -> Ledger:
            ledger = open_store(quarantine_bytes=quarantine_bytes, quarantine_per_minute=quarantine_per_minute)
            return opened.enter_context(closing(ledger))

        yield reopen


@pytest.fixture
def ledger(reopen: OpenLedger) -> Ledger:
    """An empty ledger."""
    return reopen()
