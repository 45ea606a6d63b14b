"""Lines -> records: a line each, or an object of JSON over several; pure, and at constant memory.

What begins like an object and is none, because a line was cut off, is one record by its line alone, and what follows is read
anew. An array is a row of its elements, however long it is.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from json import JSONDecoder
from typing import NamedTuple

from answerback.imports.bodies import find_cut
from answerback.imports.texts import LONGEST_LINE, TextLine

LONGEST_OBJECT = 256 * 1024

_SEPARATORS = re.compile(r"[\s,\[\]\ufeff]*")
_OPENS = ("{", "[", ",", ":")
_MOST_BRACES = 8
_TOKEN = re.compile(
    r"[ \t\r\n]*+(?:(?P<string>\"(?:[^\"\\\x00-\x1f]|\\.)*+\")|(?P<literal>-?\d[\d.eE+-]*|true|false|null)"
    r"|(?P<mark>[{}\[\]:,]))"
)
_BLANK = re.compile(r"[ \t\r\n]*\Z")
_decode = JSONDecoder().raw_decode


class TextRecord(NamedTuple):
    """Some text and the number of the line in which it begins; `is_last` of that line."""

    line: int
    text: str
    is_last: bool


class JsonObject(NamedTuple):
    """An object of JSON, and how it was written."""

    value: dict[str, object]
    text: str


def find_objects(text: str) -> tuple[list[JsonObject], int]:
    """The objects that `text` begins with, with or without an array around them, and where what is none begins."""
    found: list[JsonObject] = []
    end = 0
    while True:
        start = _after_separators(text, end)
        if not text.startswith("{", start):
            return found, start
        try:
            value, end = _decode(text, start)
        except (ValueError, RecursionError):
            return found, start
        found.append(JsonObject(value, text[start:end]))


def split_records(lines: Iterable[TextLine]) -> Iterator[TextRecord]:
    coming = _PushbackIterator(_split_long_lines(lines))
    for record in coming:
        start = _find_unfinished(record.text) if record.is_last else None
        yield record if start is None else _join_lines(record, start, coming)


class _PushbackIterator(Iterator[TextRecord]):
    """The lines that come; what was taken too early is put back."""

    def __init__(self, lines: Iterator[TextRecord]) -> None:
        self._lines = lines
        self._waiting: deque[TextRecord] = deque()

    def __next__(self) -> TextRecord:
        return self._waiting.popleft() if self._waiting else next(self._lines)

    def put_back(self, lines: Sequence[TextRecord]) -> None:
        self._waiting.extendleft(reversed(lines))


def _join_lines(first: TextRecord, start: int, coming: _PushbackIterator) -> TextRecord:
    """The object that begins in a line, with all of its lines; that line alone where it turns out to be none."""
    begun, held = _NestingTracker(), [first]
    begun.feed(first.text, start)
    size = len(first.text) - start
    while size < LONGEST_OBJECT and (more := next(coming, None)) is not None:
        held.append(more)
        size += len(more.text)
        try:
            end = begun.feed(more.text)
        except ValueError:
            break
        if end is not None:
            if _after_separators(more.text, end) < len(more.text):
                coming.put_back([more._replace(text=more.text[end:])])
            return first._replace(text="\n".join([*(line.text for line in held[:-1]), more.text[:end]]))
    coming.put_back(held[1:])
    return first


def _split_long_lines(lines: Iterable[TextLine]) -> Iterator[TextRecord]:
    """Lines with their numbers; one that is too long in parts, between two callbacks of it."""
    number, rest = 1, ""
    for line in lines:
        text = rest + line.text
        if line.is_whole:
            yield TextRecord(number, text, is_last=True)
            number, rest = number + 1, ""
            continue
        found, cut = find_objects(text)
        if not found:
            cut = find_cut(text)
        if len(text) - cut >= 2 * LONGEST_LINE:  # whatever it is, it is too long
            cut = len(text)
        yield TextRecord(number, text[:cut], is_last=False)
        rest = text[cut:]


def _after_separators(text: str, start: int) -> int:
    separators = _SEPARATORS.match(text, start)
    return start if separators is None else separators.end()


def _find_unfinished(text: str) -> int | None:
    """Where an object begins that goes on in the next line, if one does."""
    _, start = find_objects(text)
    if start == len(text) or not (text.startswith("{", start) or text.rstrip().endswith(_OPENS)):
        return None
    for _ in range(_MOST_BRACES):
        start = text.find("{", start)
        if start < 0:
            return None
        try:
            end = _NestingTracker().feed(text, start)
        except ValueError:
            end = start + 1
        if end is None:
            return start
        start = end
    return None


class _NestingTracker:
    """A JSON value that comes line by line, as far as it is read."""

    def __init__(self) -> None:
        self._closing: list[str] = []
        self._needs = "value"

    def feed(self, text: str, start: int = 0) -> int | None:
        """Read on; where the value ends in `text`, or None where it goes on. Raises ValueError where it is none."""
        while token := _TOKEN.match(text, start):
            start = token.end()
            self._take(token)
            if not self._closing:
                return start
        if not _BLANK.match(text, start):
            raise ValueError("not JSON")
        return None

    def _take(self, token: re.Match[str]) -> None:
        mark, needs = token["mark"], self._needs
        if needs == "colon" and mark == ":":
            self._needs = "value"
        elif needs in ("key", "key or end") and token["string"]:
            self._needs = "colon"
        elif needs in ("value", "value or end") and mark in ("{", "["):
            self._closing.append("}" if mark == "{" else "]")
            self._needs = "key or end" if mark == "{" else "value or end"
        elif needs in ("value", "value or end") and not mark:
            self._needs = "comma or end"
        elif needs == "comma or end" and mark == ",":
            self._needs = "key" if self._closing[-1] == "}" else "value"
        elif needs.endswith("or end") and mark == self._closing[-1]:
            self._closing.pop()
            self._needs = "comma or end"
        else:
            raise ValueError("not JSON")
