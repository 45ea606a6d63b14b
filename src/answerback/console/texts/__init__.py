"""Every text of the console, in English and Chinese: one module per page, one flat set of names."""

from collections.abc import Mapping
from functools import cache

from answerback.console.texts import (
    alerts,
    call,
    calls,
    endpoints,
    first_run,
    frame,
    live,
    quarantine,
    settings,
    statistics,
)
from answerback.i18n import translate_all

PAGES = (frame, first_run, statistics, settings, calls, call, endpoints, quarantine, alerts, live)
"""The modules with the texts; no name is in two of them."""

__all__ = ["PAGES", "texts"]


@cache
def texts(language: str) -> Mapping[str, str]:
    """Name -> text, in one of `LANGUAGES`."""
    return translate_all({name: text for page in PAGES for name, text in page.TEXTS.items()}, language)
