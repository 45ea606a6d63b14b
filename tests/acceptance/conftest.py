"""One gateway for the tests that leave each other's calls alone, and one that tells businesses of them."""

import itertools
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from gateway import Gateway
from receivers.process import Receive, Receiver
from receivers.webhook_receiver import Business, relaying

ALERTS_TOKEN = "tok-alerts-3k5Jq0ZtV2"
CODES_TOKEN = "tok-codes-9fW1xYbR7m"

_BUSINESSES = 300
_numbers = itertools.count()


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with the open channel `default` and two that have a token, `alerts` and `codes`."""
    home = tmp_path_factory.mktemp("gateway")
    config = home / "channels.toml"
    config.write_text(f'[channels.alerts]\ntoken = "{ALERTS_TOKEN}"\n[channels.codes]\ntoken = "{CODES_TOKEN}"\n')
    with Gateway(home / "data", options=["--config", config]) as running:
        yield running


@pytest.fixture
def callid() -> str:
    """A call of which no callback has come yet."""
    return str(uuid.uuid1())


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data directory that does not exist yet."""
    return tmp_path / "data"


@pytest.fixture(scope="session")
def relaying_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with many channels, each for one business; it gives up after pauses of 0.05, 0.1 and 0.2 s."""
    home = tmp_path_factory.mktemp("relaying")
    config = home / "channels.toml"
    config.write_text("".join(f'[channels.b{n}]\ntoken = "{_token(n)}"\n' for n in range(_BUSINESSES)))
    settings = relaying("[0.05, 0.1, 0.2]", breaker_threshold="100")
    with Gateway(home / "data", settings=settings, options=["--config", config]) as running:
        yield running


@pytest.fixture(scope="session")
def new_business(relaying_gateway: Gateway) -> Callable[[], Business]:
    """Give a business with a channel of its own, which nobody has used yet."""

    def give() -> Business:
        number = next(_numbers)
        return Business(relaying_gateway, f"b{number}", _token(number))

    return give


@pytest.fixture
def business(new_business: Callable[[], Business]) -> Business:
    """A business with a channel of its own."""
    return new_business()


@pytest.fixture
def other_business(new_business: Callable[[], Business]) -> Business:
    """Another one."""
    return new_business()


def _token(number: int) -> str:
    return f"tok-business-{number:08}"


@pytest.fixture(scope="session")
def bare_pytest() -> list[str | Path]:
    """Pytest as those have it who install this package, without the plugins of its own tests: they take seconds to import."""
    ours = ("schemathesis", "anyio", "hypothesispytest", "xdist", "xdist.looponfail")
    return [sys.executable, "-m", "pytest", "-q", *(f"-pno:{name}" for name in ours)]


@pytest.fixture
def receive(tmp_path: Path) -> Iterator[Receive]:
    """Start receivers: by name, with the options of the script; they are killed at the end."""
    with ExitStack() as stack:

        def start(name: str = "receiver", **options: object) -> Receiver:
            return stack.enter_context(Receiver(tmp_path, name, **options))

        yield start
