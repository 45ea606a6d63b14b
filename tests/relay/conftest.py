"""What the relay's tests are given: certificates; and what they leave is ended."""

from collections.abc import Iterator

import pytest
from relay.certificates import Authority, found_authority
from relay.world import close_nursery


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that nobody trusts unless told to."""
    return found_authority(tmp_path_factory.mktemp("authority"), "ours")


@pytest.fixture(scope="session")
def other_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Another one."""
    return found_authority(tmp_path_factory.mktemp("other"), "theirs")


@pytest.fixture(scope="session", autouse=True)
def writers() -> Iterator[None]:
    """The writer that was made ready for a next test is ended after the last."""
    yield
    close_nursery()
