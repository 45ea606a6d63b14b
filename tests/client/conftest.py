"""One gateway for all tests of the client, each of which is run with `Client` and with `AsyncClient`."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from client.drivers import Driver
from client.unruly_server import UnrulyServer
from gateway import Gateway
from receivers.process import Receive, Receiver
from receivers.webhook_receiver import relaying

from answerback.client import AsyncClient, Client

TOKEN = "tok-alerts-3k5Jq0ZtV2"
CONFIG = f"""
[channels.alerts]
token = "{TOKEN}"

[alerts.rules.few-answers]
metric = "answer_rate"
below = 0.6
"""


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with the channels `default` and `alerts`, and an alert rule."""
    home = tmp_path_factory.mktemp("client")
    config = home / "answerback.toml"
    config.write_text(CONFIG)
    with Gateway(home / "data", settings=relaying(), options=["--config", config]) as running:
        yield running


@pytest.fixture(params=[Client, AsyncClient], ids=["sync", "async"])
def driver(request: pytest.FixtureRequest) -> Iterator[Driver]:
    """Both sorts of clients, one after the other."""
    made = Driver(request.param)
    yield made
    made.close()


@pytest.fixture
def client(driver: Driver, gateway: Gateway) -> Any:
    """A client with the admin key."""
    return driver.make(gateway.url, gateway.key)


@pytest.fixture
def unruly() -> Iterator[UnrulyServer]:
    """A server that answers as it is told."""
    with UnrulyServer() as server:
        yield server


@pytest.fixture
def callid() -> str:
    """A call of which no callback has come yet."""
    return str(uuid.uuid4())


@pytest.fixture
def new_key(gateway: Gateway) -> Callable[..., str]:
    """Make a key with fewer rights."""

    def make(role: str, *, full_numbers: bool = False) -> str:
        with Client(gateway.url, gateway.key) as admin:
            return admin.keys.create(f"k-{uuid.uuid4().hex[:12]}", role=role, full_numbers=full_numbers).key

    return make


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where an export is saved."""
    return tmp_path / "calls.ndjson"


@pytest.fixture
def receive(tmp_path: Path) -> Iterator[Receive]:
    """Start receivers; they are killed at the end."""
    with ExitStack() as stack:

        def start(name: str = "receiver", **options: object) -> Receiver:
            return stack.enter_context(Receiver(tmp_path, name, **options))

        yield start
