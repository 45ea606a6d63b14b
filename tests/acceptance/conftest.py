"""One gateway for the tests that leave each other's calls alone."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from gateway import Gateway

ALERTS_TOKEN = "tok-alerts-3k5Jq0ZtV2"
CODES_TOKEN = "tok-codes-9fW1xYbR7m"


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
    """A call that nobody has told of yet."""
    return str(uuid.uuid1())


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data directory that does not exist yet."""
    return tmp_path / "data"
