"""A store of each kind, each way into a receiver, and receivers that are closed in the end."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from receiver.adapters import ADAPTERS, Send
from receiver.stores import STORES

from answerback.receiver import ReadableStore, Receiver, Store

TOKEN = "K3v9sYpW2mQx7LdR5tZa"
URL = f"/voice/callback/{TOKEN}"

MakeReceiver = Callable[..., Receiver]


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ReadableStore]:
    """Each store in turn."""
    store = STORES[request.param](tmp_path)
    yield store
    getattr(store, "close", int)()


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest) -> Callable[[Receiver], Send]:
    """Each way in, in turn."""
    return ADAPTERS[request.param]


@pytest.fixture
def make_receiver() -> Iterator[MakeReceiver]:
    """Makes receivers with a token, whose handlers are called by `dispatch` alone unless `threads` says otherwise."""
    made: list[Receiver] = []

    def make(store: Store | str | None = None, **options: Any) -> Receiver:
        options = {"threads": 0} | ({} if "channels" in options else {"token": TOKEN}) | options
        made.append(Receiver(store=store, **options))
        return made[-1]

    yield make
    for receiver in made:
        assert receiver.close()
