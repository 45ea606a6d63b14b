"""How the console writes amounts."""

import pytest

from answerback.console.render import format_size
from answerback.console.texts import texts


@pytest.mark.parametrize(
    ("size_bytes", "written"),
    [(68, "68 bytes"), (1023, "1023 bytes"), (1024, "1.0 KiB"), (1_500_000, "1.4 MiB"), (3 * 1024**3, "3.0 GiB")],
)
def test_a_size_has_its_unit(size_bytes: int, written: str) -> None:
    """Bytes by their word in the reader's language, more in binary units."""
    assert format_size(size_bytes, texts("en")) == written
    assert format_size(size_bytes, texts("zh")) == written.replace("bytes", "字节")
