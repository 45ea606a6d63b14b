"""What the relay's tests are given: certificates; and what they leave is ended."""

from collections.abc import Iterator

import pytest
from contract.backends import BACKENDS
from relay.certificates import Authority, found_authority
from relay.world import close_nursery, on

ON_EVERY_BACKEND = ("test_dispatcher", "test_overdue", "test_pressure", "test_registry")


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


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what has a ledger on every backend."""
    if metafunc.module.__name__.rpartition(".")[2] in ON_EVERY_BACKEND:
        metafunc.parametrize("backend", BACKENDS, indirect=True)


@pytest.fixture(scope="session", autouse=True)
def writers() -> Iterator[None]:
    """The writer that was made ready for a next test is ended after the last."""
    yield
    close_nursery()
