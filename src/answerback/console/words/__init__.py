"""Every text of the console, in English and Chinese: one module per page, one flat set of names."""

from collections.abc import Mapping
from functools import cache

from answerback.console.words import (
    call,
    calls,
    endpoints,
    failures,
    fees,
    frame,
    live,
    overview,
    quarantine,
    settings,
)
from answerback.console.words.text import LANGUAGES, Text

PAGES = (frame, overview, failures, fees, settings, calls, call, endpoints, quarantine, live)
"""The modules with the texts; no name is in two of them."""

__all__ = ["LANGUAGES", "PAGES", "Text", "words"]


@cache
def words(language: str) -> Mapping[str, str]:
    """Name -> text, in one of `LANGUAGES`."""
    place = Text._fields.index(language)
    return {name: text[place] for page in PAGES for name, text in page.TEXTS.items()}
