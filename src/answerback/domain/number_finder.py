"""Find one person's number in text and in bodies, however it is spelled, and blank it out; pure.

What was found is replaced by stars that take as many bytes, so that nothing else moves. A longer number that merely
contains it is somebody else's, as is the same number of another country where that is named.
"""

import json
import re
import sys
import unicodedata
from collections.abc import Iterator
from functools import cache
from typing import Any

from answerback.domain.masking import JSON_TOKEN
from answerback.domain.phone_numbers import ANY_MARKS, DIGIT, MIN_DIGITS, parse_number

_COUNTRY_DIGITS = 3
_BEFORE = 64
"""Characters before a number that are looked at: a country code, and marks, each escaped as far as it may be."""

_CHINESE = {"零": 0, "〇": 0, "一": 1, "幺": 1, "二": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9}
_PLUS = r"(?:[+＋]|%(?:25){0,2}2B|\\{1,4}(?:u00|x)2b|&\#(?:43|x2b);)"
_ESCAPE_AT_END = re.compile(r"(?:\\u[0-9a-f]{4}|\\x[0-9a-f]{2}|%[0-9a-f]{2})\Z", re.IGNORECASE)
_WITHIN_ESCAPE = re.compile(r"\\(?:u[0-9a-f]{0,3}|x[0-9a-f]?)\Z", re.IGNORECASE)
_DIGIT_AT_END = re.compile(rf"{DIGIT}\Z", re.IGNORECASE)
_DIGIT = re.compile(DIGIT, re.IGNORECASE)
_PLUS_AT_END = re.compile(rf"{_PLUS}\Z", re.IGNORECASE)
_NO_DIGITS = bytes(set(range(256)) - set(b"0123456789"))
_NUMBER_FIELD, _COUNTRY_FIELD = "mobile", "nationcode"


class NumberFinder:
    """Finds the spellings of one number; `number` is the one with its country code, however it was typed."""

    def __init__(self, number: str) -> None:
        """Raises ValueError where `number` is not a phone number that some country has."""
        parsed = parse_number(number)
        if parsed is None or len(parsed[1]) < MIN_DIGITS:
            raise ValueError(
                "expected a phone number with its country, such as +8613788888888, or one of China without"
            )
        code, self._national = parsed
        self.number = f"+{code}{self._national}"
        self._digits = self._national.rstrip("0").encode()  # a float may have its zeros in the exponent
        self._codes = frozenset({"", code, f"+{code}", f"00{code}"})
        self._values = frozenset({int(self._national), int(code + self._national)})
        self._plus_is_another = parse_number(f"+{self._national}") is not None
        self._body = re.compile(ANY_MARKS.join(map(_digit_pattern, self._national)), re.IGNORECASE)
        zero = _digit_pattern("0")
        own_code = ANY_MARKS.join(map(_digit_pattern, code))
        international = rf"(?:{_PLUS}|{zero}{ANY_MARKS}{zero})"
        self._own_prefix = re.compile(
            rf"(?:{international}{ANY_MARKS})?{own_code}{ANY_MARKS}(?:[(（]?{zero}[)）]?{ANY_MARKS})?\Z"
            rf"|{zero}{ANY_MARKS}\Z",
            re.IGNORECASE,
        )
        self._other_country = re.compile(
            rf"(?:{_PLUS}|(?<![0-9]){zero}{zero}){ANY_MARKS}{DIGIT}(?:{ANY_MARKS}{DIGIT}){{0,{_COUNTRY_DIGITS - 1}}}{ANY_MARKS}\Z",
            re.IGNORECASE,
        )

    def is_in(self, text: str) -> bool:
        """Whether the number is somewhere in `text`."""
        return next(self._spans(text), None) is not None

    def is_callee(self, nationcode: str, mobile: str) -> bool:
        """Whether the two fields name the number: without a country code it is meant, with another's it is not."""
        return self.is_in(mobile) and not self._is_of_another(nationcode, mobile)

    def blank_text(self, text: str) -> str:
        """`text` with stars in place of the number, as many bytes in UTF-8; the very `text` where it is not in it."""
        pieces, end = [], 0
        for start, stop in self._spans(text):
            pieces += [text[end:start], _stars(text[start:stop])]
            end = stop
        return "".join([*pieces, text[end:]]) if pieces else text

    def blank_body(self, body: bytes) -> bytes:
        """The same for a body that came in, of any bytes. JSON stays JSON: a number in it becomes a text of stars."""
        if not self._may_hold(body):
            return body
        text = body.decode("utf-8", "surrogateescape")
        bare = text.removeprefix("\ufeff")
        try:
            document = json.loads(bare)
        except (ValueError, RecursionError):
            blanked = self.blank_text(text)
        else:
            blanked = text[: len(text) - len(bare)] + self._blank_json(bare, document)
        return body if blanked is text or blanked == text else blanked.encode("utf-8", "surrogateescape")

    def _may_hold(self, body: bytes) -> bool:
        """A quick check: in plain ASCII the digits come one after the other, whatever stands between them."""
        is_plain = body.isascii() and not any(escape in body for escape in (b"%", b"\\", b"&#"))
        return not is_plain or self._digits in body.translate(None, _NO_DIGITS)

    def _blank_json(self, text: str, document: Any) -> str:
        others = set(self._others_mobiles(document))
        name = ""

        def rewrite(found: re.Match[str]) -> str:
            nonlocal name
            spelled = found[0]
            if found["name"] is not None:
                name = json.loads(found["text"])
                return self.blank_text(found["text"]) + found["name"]
            if found["text"] is None and found["number"] is None:
                return spelled
            if name == _NUMBER_FIELD and spelled in others:
                return spelled
            if found["text"] is not None:
                return self.blank_text(spelled)
            is_it = _integer(spelled) in self._values or self.is_in(spelled)
            return f'"{"*" * (len(spelled) - 2)}"' if is_it else spelled

        return JSON_TOKEN.sub(rewrite, text)

    def _others_mobiles(self, document: Any) -> Iterator[str]:
        """The mobiles that stand beside another country's code, as JSON spells them; not one that stands beside ours, too."""
        pairs = list(_callees(document))
        ours = {json.dumps(mobile) for code, mobile in pairs if not self._is_of_another(code, str(mobile))}
        yield from {json.dumps(mobile) for _, mobile in pairs} - ours

    def _is_of_another(self, nationcode: str, mobile: str) -> bool:
        """Whether a country's code beside the number says that it is not ours, and the number itself names none."""
        code = unicodedata.normalize("NFKC", nationcode).strip()
        return code not in self._codes and not re.search(rf"{_PLUS}|\A\s*00", mobile, re.IGNORECASE)

    def _spans(self, text: str) -> Iterator[tuple[int, int]]:
        position = 0
        while (found := self._body.search(text, position)) is not None:
            start, end = found.span()
            if self._is_whole(text, start, end):
                yield start, end
                position = end
            else:
                position = start + 1

    def _is_whole(self, text: str, start: int, end: int) -> bool:
        """Whether what was found is not a part of a longer number, or of another country's."""
        if _DIGIT.match(text, end) is not None:
            return False
        before = text[max(0, start - _BEFORE) : start]
        if _WITHIN_ESCAPE.search(before):
            return False
        own = self._own_prefix.search(before)
        if own is not None and not _ends_in_digit(before[: own.start()]):
            return True
        if _ends_in_digit(before):
            return False
        if _PLUS_AT_END.search(before):
            return not self._plus_is_another
        return self._other_country.search(before) is None


def _ends_in_digit(text: str) -> bool:
    """Whether a digit comes right before, however it is escaped; the digits of other escapes are none."""
    if _DIGIT_AT_END.search(text) is None:
        return False
    escape = _ESCAPE_AT_END.search(text)
    return escape is None or _DIGIT.fullmatch(escape[0]) is not None


def _stars(text: str) -> str:
    return "*" * len(text.encode("utf-8", "surrogateescape"))


def _integer(spelled: str) -> int | None:
    """The whole number that a JSON number stands for; None where it is none, or beyond all phone numbers."""
    try:
        value = float(spelled)
    except ValueError:
        return None
    return int(value) if value.is_integer() else None


def _callees(document: Any) -> Iterator[tuple[str, str | int]]:
    """Each object's country code and mobile."""
    if isinstance(document, dict):
        mobile = document.get(_NUMBER_FIELD)
        if isinstance(mobile, str | int) and not isinstance(mobile, bool):
            code = document.get(_COUNTRY_FIELD)
            yield "" if code is None else str(code), mobile
        for value in document.values():
            yield from _callees(value)
    elif isinstance(document, list):
        for item in document:
            yield from _callees(item)


@cache
def _characters() -> tuple[str, ...]:
    """For each digit, every character that stands for it, in whatever script."""
    characters = [""] * 10
    for digit in filter(str.isdigit, map(chr, range(sys.maxunicode + 1))):
        characters[unicodedata.digit(digit)] += digit
    for character, value in _CHINESE.items():
        characters[value] += character
    return tuple(map(re.escape, characters))


@cache
def _digit_pattern(digit: str) -> str:
    """A digit in every form in which it may have come in: plain, of another script, escaped for JSON, HTML or a URL."""
    return (
        rf"(?:[{_characters()[int(digit)]}]|%(?:25){{0,2}}3{digit}|%EF%BC%9{digit}"
        rf"|\\{{1,4}}(?:u003|uff1|x3){digit}|&\#(?:{48 + int(digit)}|x3{digit});)"
    )
