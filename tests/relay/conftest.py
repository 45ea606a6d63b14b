"""What the relay's tests are given: certificates, and a ledger that each directory stands for."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from contract.backends import in_memory
from relay.certificates import Authority, found_authority
from relay.harness import on


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that nobody trusts unless told to."""
    return found_authority(tmp_path_factory.mktemp("authority"), "ours")


@pytest.fixture(scope="session")
def other_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Another one."""
    return found_authority(tmp_path_factory.mktemp("other"), "theirs")


@pytest.fixture(autouse=True)
def backend(request: pytest.FixtureRequest) -> Iterator[None]:
    """What the directories of a test stand for."""
    with on(getattr(request, "param", "sqlite")):
        yield


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A directory in memory: what a ledger syncs is not the relay's affair."""
    with in_memory() as directory:
        yield directory
