"""A store of each kind, each way into a receiver, and receivers that are closed in the end."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest
from postgresql import shared_server
from receiver.adapters import ADAPTERS, Send
from receiver.stores import STORES, Place, close

from answerback.receiver import ReadableStore, Receiver, Store

TOKEN = "K3v9sYpW2mQx7LdR5tZa"
URL = f"/voice/callback/{TOKEN}"

MakeReceiver = Callable[..., Receiver]


@cache
def _database() -> str:
    return shared_server().create_database()


def place_for(name: str, home: Path) -> Place:
    """An empty place for a store of STORES. The database is always the same: it costs more to make than what is in it."""
    if "postgresql" not in name:
        return Place(home)
    with psycopg.connect(_database()) as connection:
        connection.execute("DROP TABLE IF EXISTS answerback_callbacks, answerback_rejected, django_migrations")
    return Place(home, _database())


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ReadableStore]:
    """Each store in turn."""
    store = STORES[request.param](place_for(request.param, tmp_path))
    yield store
    close(store)


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest) -> Callable[[Receiver], Send]:
    """Each way in, in turn."""
    return ADAPTERS[request.param]


@pytest.fixture
def make_receiver(request: pytest.FixtureRequest) -> Iterator[MakeReceiver]:
    """Makes receivers with a token, whose handlers are called by `dispatch` alone unless `threads` says otherwise."""
    if "store" in request.fixturenames:
        request.getfixturevalue("store")  # which is closed after them
    made: list[Receiver] = []

    def make(store: Store | str | None = None, **options: Any) -> Receiver:
        options = {"threads": 0} | ({} if "channels" in options else {"token": TOKEN}) | options
        made.append(Receiver(store=store, **options))
        return made[-1]

    yield make
    for receiver in made:
        assert receiver.close()
