"""For pytest: the fixture `voice_cloud`, Tencent Cloud's voice service in your tests. docs/emulator.md shows its use."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from answerback.testing import VoiceCloud


@pytest.fixture
def voice_cloud() -> "Iterator[VoiceCloud]":
    """A cloud of this test's own; its time passes when the test says so."""
    from answerback.errors import MissingExtra  # neither is for every test session that has Answerback installed

    try:
        from answerback.testing import VoiceCloud
    except MissingExtra as error:
        pytest.fail(str(error), pytrace=False)

    with VoiceCloud() as cloud:
        yield cloud
