"""The language of the command line: English stands in the code, Chinese in `texts_zh`, which is loaded when it is asked for."""

import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import Any

from answerback.i18n import Language, locale_language

_OPTION = "--lang"
_LONGEST = 2000
"""What is longer is no message of ours."""
_HAN, _OPENING, _CLOSING = "\u3400-\u9fff", "（“《「【", "，。、；：？！）”》」】…"
_CHINESE_WORD = re.compile(
    rf"\s*(?:[{_OPENING}]*(?:[{_HAN}]|[^\s{_HAN}{_OPENING}{_CLOSING}]+)|[{_OPENING}{_CLOSING}])[{_CLOSING}]*\s*"
)
"""What stays together at the end of a line: a character or a foreign word, with the punctuation around it."""

_chosen = Language.EN


def current_language() -> Language:
    """The language that was chosen."""
    return _chosen


def set_language(language: Language) -> None:
    """Speak `language` from now on."""
    global _chosen  # noqa: PLW0603  # a process speaks one language
    _chosen = language
    if language is Language.ZH:
        with suppress(ModuleNotFoundError):  # the extra is not installed, which is what will be said
            wrapping: Any = import_module("rich._wrap")
            wrapping.re_word = _CHINESE_WORD  # Rich takes a sentence without a blank for one word


def choose_language(arguments: list[str]) -> list[str]:
    """Choose the language by `--lang` or the locale; return the arguments with `--lang`, wherever it stands, in front."""
    option, others = _take_option(arguments)
    asked = option[-1].removeprefix(f"{_OPTION}=") if option else ""
    if asked in list(Language):
        set_language(Language(asked))
    else:
        set_language(locale_language(os.environ) if _is_chinese_printable() else Language.EN)
    return option + others


def _is_chinese_printable() -> bool:
    """Whether the encoding of the output has Chinese characters."""
    try:
        "中".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _take_option(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The last `--lang`, and all that is not one."""
    option: list[str] = []
    others: list[str] = []
    left = list(arguments)
    while left and left[0] != "--":
        if left[0].startswith(f"{_OPTION}="):
            option, left = left[:1], left[1:]
        elif left[0] == _OPTION and left[1:]:
            option, left = left[:2], left[2:]
        else:
            others.append(left.pop(0))
    return option, others + left


def tr(text: str, /, **values: object) -> str:
    """Return a text of the command line in the language that was chosen, with `values` in its places."""
    said = text if _chosen is Language.EN else _texts("help").get(text) or _texts("messages").get(text, text)
    return said.format(**values) if values else said


def tr_all(*texts: str) -> tuple[str, ...]:
    """The same for several."""
    return tuple(tr(text) for text in texts)


def tr_setting(description: str) -> str:
    """The description of a setting or of a section."""
    return description if _chosen is Language.EN else _texts("settings").get(description, description)


def tr_message(message: str) -> str:
    """Return what another part of the program, or the gateway, said in English.

    It is recognised by its pattern, in which each value is `{}`. Of `field: problem` the problem alone may be known.
    """
    return message if _chosen is Language.EN or len(message) > _LONGEST else _translate(message)


def _translate(message: str) -> str:
    if (said := _find(message)) is not None:
        return said
    subject, colon, problem = message.partition(": ")
    if colon and (said := _find(problem)) is not None:
        return f"{_translate_phrase(subject)}：{said}"
    if message.endswith(")"):  # a reason with its detail
        reason, _, detail = message[:-1].partition(" (")
        if (said := _find(reason)) is not None:
            return f"{said}（{_translate(detail)}）"
    if len(several := message.split("; ")) > 1 and (translated := [*map(_translate, several)]) != several:
        return "；".join(translated)
    if colon and (said := _translate(problem)) != problem:
        return f"{_translate_phrase(subject)}：{said}"
    return message


def _translate_phrase(subject: str) -> str:
    """What a problem is about; one word is the name of a setting or of an option."""
    return _translate(subject) if " " in subject else subject


def _find(message: str) -> str | None:
    """The Chinese of a message that is known as a whole."""
    if (known := _texts("errors").get(message)) is not None:
        return known
    for pattern, said in _patterns():
        if (values := _match(pattern, message)) is not None:
            return said.format(*map(_translate, values))
    return None


@cache
def _patterns() -> list[tuple[list[str], str]]:
    """The words between the values of each message that has some, and its Chinese; the most words first."""
    texts = sorted(_texts("errors").items(), key=lambda pair: -len(pair[0]))
    return [(text.split("{}"), said) for text, said in texts if "{}" in text]


def _match(pattern: list[str], message: str) -> list[str] | None:
    """The values of a message that has these words; each is as short as can be."""
    first, *between, last = pattern
    begin, end = len(first), len(message) - len(last)
    if begin > end or not (message.startswith(first) and message.endswith(last)):
        return None
    values = []
    for words in between:
        found = message.find(words, begin, end)
        if found < 0:
            return None
        values.append(message[begin:found])
        begin = found + len(words)
    return [*values, message[begin:end]]


@cache
def _texts(topic: str) -> Mapping[str, str]:
    texts: Mapping[str, str] = import_module(f"answerback.cli.texts_zh.{topic}").TEXTS
    return texts
