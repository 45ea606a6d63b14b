"""Each test of this layer is confined to code: tests/confinement.py says what that is."""

from collections.abc import Generator

import pytest
from confinement import confined


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, bool, bool]:
    """Confine the test and its fixtures."""
    with confined():
        return (yield)
