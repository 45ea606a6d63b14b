"""The two languages of a report."""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple


class Lang(StrEnum):
    """A language of the report."""

    EN = "en"
    ZH = "zh"


class Words(NamedTuple):
    """The same in both languages."""

    en: str
    zh: str

    def by(self, lang: Lang) -> str:
        """What it is in `lang`."""
        return self.zh if lang is Lang.ZH else self.en


def lang_of(environ: Mapping[str, str]) -> Lang:
    """The language that the locale's variables ask for; English where it is none of ours."""
    locale = next(filter(None, (environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
    return Lang.ZH if locale.startswith("zh") else Lang.EN
