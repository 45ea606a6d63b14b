"""What a text is."""

from collections.abc import Mapping
from typing import NamedTuple


class Text(NamedTuple):
    """One text in every language; the fields are the languages' codes."""

    en: str
    zh: str


LANGUAGES: Mapping[str, str] = {"en": "English", "zh": "中文"}
"""Code -> how the language calls itself."""
