"""The ledger is away under load: nobody is refused, and all that was answered is recorded once when it is back.

A run of all tests does it for a second, twice, and `make crash` more often: a quarter of ROUNDS. `make soak` does it for a
minute, ten times, and with PostgreSQL.
"""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
from crash.load import Load, check, check_rows
from gateway import Gateway
from postgresql import PostgreSQL
from receivers.process import await_true
from relay.waiting import until

SETTLE_TIMEOUT_S = 120.0


class Length(NamedTuple):
    """How often the ledger is away, and for how long."""

    rounds: int
    away_s: float


ROUNDS = int(os.environ.get("ROUNDS", "4"))
LENGTHS = [
    Length(max(2, ROUNDS // 4), 1.0),
    pytest.param(Length(10, 60.0), marks=[pytest.mark.soak, pytest.mark.timeout(1800)]),
]

Away = Callable[[], AbstractContextManager[None]]


@contextmanager
def _moved(gateway: Gateway) -> Iterator[None]:
    aside = gateway.ledger.rename(gateway.data_dir.with_name("aside.db"))
    yield
    aside.rename(gateway.ledger)


@contextmanager
def _stopped(server: PostgreSQL) -> Iterator[None]:
    server.stop()
    yield
    server.restart()


async def _load_while(away: Away, load: Load, gateway: Gateway, away_s: float) -> None:
    """Load before, while it is away, and after; nobody is refused."""
    sending = asyncio.create_task(load.run(gateway))
    await load.go_on()
    with away():
        before = len(load.answered)
        await asyncio.sleep(away_s)  # how long it is away is what is tested
        await until(lambda: len(load.answered) > before + 20 * away_s)
        assert gateway.get("/readyz").status_code == 200
    await load.go_on()
    load.stop()
    await sending
    assert not load.refused


def _await_recorded(gateway: Gateway) -> None:
    await_true(
        lambda: "\nanswerback_inbox_callbacks 0.0\n" in gateway.client.get("/metrics").text,
        lambda: gateway.stderr,
        SETTLE_TIMEOUT_S,
        0.05,
    )


@pytest.mark.parametrize("length", LENGTHS)
def test_sqlite_is_away(tmp_path: Path, length: Length) -> None:
    """Another process holds the file, or it is moved and put back."""
    load = Load(pause_s=0.01)
    with Gateway(tmp_path / "data") as gateway:
        for number in range(length.rounds):
            away = (partial(gateway.locked, "ledger.db"), partial(_moved, gateway))[number % 2]
            asyncio.run(_load_while(away, load, gateway, length.away_s))
            _await_recorded(gateway)
            check(gateway, load)
        assert load.answered.keys() == load.sent.keys()


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_postgresql_is_away(tmp_path: Path) -> None:
    """It is stopped and started again."""
    load = Load(pause_s=0.01)
    with closing(PostgreSQL.start()) as server:
        settings = {"ANSWERBACK_LEDGER__URL": server.create_database()}
        with Gateway(tmp_path / "data", settings=settings) as gateway:
            for _ in range(10):
                asyncio.run(_load_while(partial(_stopped, server), load, gateway, 60.0))
                _await_recorded(gateway)
                check_rows(
                    partial(server.execute, database=settings["ANSWERBACK_LEDGER__URL"].rpartition("/")[2]), load
                )
