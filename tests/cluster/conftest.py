"""A PostgreSQL and its standby for all tests of this process, whole again at the start of each that asks for it."""

from collections.abc import Iterator

import pytest
from cluster.primary_standby import Pair


@pytest.fixture(scope="session")
def lasting_pair() -> Iterator[Pair]:
    """The two servers, in whatever state the last test has left them."""
    with Pair() as pair:
        yield pair


@pytest.fixture(scope="module")
def pair(lasting_pair: Pair) -> Pair:
    """A new database on the two, both of which run."""
    lasting_pair.mend()
    lasting_pair.begin()
    return lasting_pair
