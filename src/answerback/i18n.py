"""Texts in English and Chinese, and which of the two a browser or a locale asks for."""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple


class Language(StrEnum):
    """A language that people read; the first is the one for whoever asks for neither."""

    EN = "en"
    ZH = "zh"


LANGUAGES: Mapping[str, str] = {Language.EN: "English", Language.ZH: "中文"}
"""Code -> how the language calls itself."""


class Text(NamedTuple):
    """One text in every language; the fields are the languages' codes."""

    en: str
    zh: str

    def translate(self, language: str) -> str:
        return self[Text._fields.index(language)]


def translate_all(texts: Mapping[str, Text], language: str) -> Mapping[str, str]:
    """Name -> text in `language`."""
    place = Text._fields.index(language)
    return {name: text[place] for name, text in texts.items()}


def browser_language(accept_language: str) -> str:
    """The language that a header `Accept-Language` weighs most."""
    weighted = [_weighted(part) for part in accept_language.split(",")]
    known = [(weight, language) for language, weight in weighted if weight > 0 and language in LANGUAGES]
    return max(known, key=lambda one: one[0])[1] if known else Language.EN


def locale_language(environ: Mapping[str, str]) -> Language:
    """The language that the locale's variables ask for."""
    locale = next(filter(None, (environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
    return Language.ZH if locale.startswith("zh") else Language.EN


def _weighted(part: str) -> tuple[str, float]:
    """`zh-CN;q=0.8` -> ("zh", 0.8)."""
    tag, _, parameters = part.partition(";")
    name, _, value = parameters.strip().partition("=")
    try:
        weight = float(value) if name.strip().lower() == "q" else 1.0
    except ValueError:
        weight = 0.0
    return tag.strip().partition("-")[0].lower(), weight
