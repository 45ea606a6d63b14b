"""Each test of this layer is confined to code: tests/confinement.py says what that is."""

from collections.abc import Iterator

import pytest
from confinement import confined


@pytest.fixture(autouse=True)
def confinement() -> Iterator[None]:
    """Confine the test, and what it asks for."""
    with confined():
        yield
