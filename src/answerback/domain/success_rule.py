"""The rule of an endpoint: which responses are success; pure."""

from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

MAX_RULE_CHARS = 512


class SuccessKind(StrEnum):
    """What is looked at: the vendor's contract, the status alone, a field of the JSON body, a text in the body."""

    CONTRACT = "contract"
    STATUS = "2xx"
    JSON = "json"
    TEXT = "text"


class SuccessRule(NamedTuple):
    """`path` are the names and indexes that lead to the JSON field, `expected` its value or the text."""

    kind: SuccessKind
    path: tuple[str, ...] = ()
    expected: str = ""


@lru_cache(maxsize=4_096)
def parse_success_rule(text: str) -> SuccessRule:
    """Parse `contract`, `2xx`, `json:path=value`, `text:words`. Raises ValueError that says what is expected."""
    kind, colon, rest = text.partition(":")
    if len(text) <= MAX_RULE_CHARS and text.isprintable():
        if text in (SuccessKind.CONTRACT, SuccessKind.STATUS):
            return SuccessRule(SuccessKind(text))
        if kind == SuccessKind.TEXT and rest:
            return SuccessRule(SuccessKind.TEXT, expected=rest)
        path, equals, expected = rest.partition("=")
        names = tuple(path.split("."))
        if kind == SuccessKind.JSON and colon and equals and all(names):
            return SuccessRule(SuccessKind.JSON, names, expected)
    raise ValueError(f"expected contract, 2xx, json:path=value or text:words, up to {MAX_RULE_CHARS} characters")
