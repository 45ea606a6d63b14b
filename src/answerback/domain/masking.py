"""What a reader without the right to full numbers sees of each field: decided here, once for the API, the console, exports, the log.

Pure: a value goes in, the same value without anybody's number comes out.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from html import escape
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from answerback.domain.phone_numbers import mask_number, mask_phone_like, mask_text

_NUMBERS = ("mobile", "call_from")
_CALLID = "callid"
_TIMES = ("accept_time", "start_calltime", "end_calltime")
_LONGEST_TIME = 10  # Unix seconds until the year 2286; what is longer under a time's name may be a number
_LEAST_KNOWN = 5  # what is shorter stands in other values by chance
_MOST_KNOWN = 100  # no callback names so many, and each is looked for in each value
_LEAST_COUNT = 1_000_000
_LEAST_SECRET = 4
_SCHEMES = frozenset({"Basic", "Bearer", "Digest"})
_URL = re.compile(
    r"""(https?://)(?:[^\s/?\#"'<>@]*@)?(\[[0-9a-f:.]+\](?::\d+)?|[^\s/?\#"'<>@,;:)]+(?::\d+)?)"""
    r"""(?:[/?\#](?:[^\s"'<>]*[^\s"'<>:,.;)])?)?""",
    re.IGNORECASE,
)
JSON_TOKEN = re.compile(r'(?P<text>"(?:[^"\\]|\\.)*+")(?P<name>[ \t\r\n]*+:)?|(?P<number>-?\d[\d.eE+-]*+)|[{}]')


def mask_json(document: Any, name: str = "", known: tuple[str, ...] = ()) -> Any:
    """`document`, any JSON value, without the numbers in its texts, its numbers and its names.

    `name` is the one that it stands under, `known` are numbers that are hidden wherever they stand.
    """
    if isinstance(document, dict):
        return {_mask_name(key, known): mask_json(value, key, known) for key, value in document.items()}
    if isinstance(document, list):
        return [mask_json(item, name, known) for item in document]
    if isinstance(document, str):
        return _mask_text_of(name, document, known)
    if isinstance(document, bool) or not isinstance(document, int | float):
        return document
    spelled = _format_number(document)
    masked = _mask_number_of(name, spelled, known)
    return document if masked == spelled else masked


def mask_raw_body(body: str) -> str:
    """Hide the numbers in a body that was sent; JSON stays JSON, with its spaces, and a number that is hidden becomes a text.

    Of JSON the callid and the times stay: they look like numbers, and are what a reader is after.
    """
    bare = body.removeprefix("\ufeff")
    try:
        known = _named_numbers(json.loads(bare))
    except (ValueError, RecursionError):
        return mask_text(body)
    name, outer = "", []

    def rewrite(found: re.Match[str]) -> str:
        nonlocal name
        spelled = found[0]
        if spelled == "{":
            outer.append(name)
        elif spelled == "}":
            name = outer.pop()
        elif found["name"] is not None:
            name = json.loads(found["text"])
            return _masked_token(found["text"], name, _mask_name(name, known)) + found["name"]
        else:
            value = json.loads(spelled)
            return _masked_token(spelled, value, mask_json(value, name, known))
        return spelled

    return body[: len(body) - len(bare)] + JSON_TOKEN.sub(rewrite, bare)


def mask_urls(text: str) -> str:
    """Leave of every URL in `text` scheme, host and port: in user, path and query secrets live."""
    return _URL.sub(lambda found: found[1] + found[2], text)


def mask_token(url: str) -> str:
    """A callback URL without the secret of its channel, if it has one."""
    base, path, token = url.partition("/voice/callback/")
    return f"{base}{path}…" if token else url


def mask_path(text: str, url: str) -> str:
    """Hide path and query of `url` where `text` repeats them, as many answers do; "" is no URL."""
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    whole = [
        f"{parts.path}?{parts.query}",
        parts.path,
        path,
        parts.query,
        *(value for _, value in parse_qsl(parts.query)),
    ]
    for piece in sorted({piece for piece in whole if len(piece) >= _LEAST_SECRET}, key=len, reverse=True):
        text = text.replace(piece, "…").replace(escape(piece), "…")
    return text


def mask_values(text: str, values: Iterable[str]) -> str:
    """Hide header values, and each word of theirs such as a token behind `Bearer`, as they are, in JSON or in HTML."""
    pieces = {piece for value in values for piece in (value, *value.split()) if len(piece) >= _LEAST_SECRET}
    pieces -= _SCHEMES
    for piece in sorted(pieces, key=len, reverse=True):
        for spelled in (piece, json.dumps(piece)[1:-1], escape(piece)):
            text = text.replace(spelled, "…")
    return text


def _masked_token(spelled: str, value: Any, masked: Any) -> str:
    """A value as JSON spells it, or as it is masked; what is escaped stays so, it may be half a pair."""
    return spelled if masked == value else json.dumps(masked, ensure_ascii="\\" in spelled)


def _mask_name(name: str, known: tuple[str, ...]) -> str:
    return mask_text(_mask_known(name, known))


def _mask_text_of(name: str, text: str, known: tuple[str, ...]) -> str:
    if name in _NUMBERS:
        return mask_number(text)
    text = _mask_known(text, known)
    if name == _CALLID:
        return mask_phone_like(text)
    if name in _TIMES and len(text) <= _LONGEST_TIME and text.isdecimal():
        return text
    return mask_text(text)


def _mask_number_of(name: str, spelled: str, known: tuple[str, ...]) -> str:
    """A JSON number, as text: each side of a decimal point is masked by itself, as it may be a phone number."""
    return ".".join(_mask_text_of(name, part, known) for part in spelled.split("."))


def _format_number(number: float) -> str:
    return str(int(number)) if isinstance(number, float) and number.is_integer() else str(number)


def _mask_known(text: str, known: tuple[str, ...]) -> str:
    for number in known:
        if number in text:
            text = text.replace(number, mask_number(number))
    return text


def _named_numbers(document: Any) -> tuple[str, ...]:
    """The numbers that a body names as such, the longest first; of a body with too many only where it names them."""
    found = {number for number in _find_numbers(document) if len(number) >= _LEAST_KNOWN}
    return tuple(sorted(found, key=len, reverse=True)) if len(found) <= _MOST_KNOWN else ()


def _find_numbers(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        for name, value in document.items():
            if name in _NUMBERS and isinstance(value, str | int | float):
                yield value if isinstance(value, str) else _format_number(value)
            yield from _find_numbers(value)
    elif isinstance(document, list):
        for item in document:
            yield from _find_numbers(item)


def _mask_each(texts: list[str]) -> list[str]:
    return [mask_text(text) for text in texts]


def _mask_count(count: int) -> int | None:
    """No code is a million, nobody talks so long: it is somebody's number in the wrong field."""
    return count if abs(count) < _LEAST_COUNT else None


MASKS: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {
        "response_body": mask_text,
        "call_from": mask_number,
        "callid": mask_phone_like,
        "disabled_reason": mask_text,
        "error": mask_text,
        "failure_code": _mask_count,
        "failure_reason": mask_text,
        "fee_minutes": _mask_count,
        "keys": _mask_each,
        "last_error": mask_text,
        "metadata": mask_json,
        "mobile": mask_number,
        "nationcode": mask_text,
        "raw": mask_raw_body,
        "reason": mask_text,
        "reference": mask_phone_like,
        "reference_prefixes": lambda prefixes: [mask_phone_like(prefix) for prefix in prefixes],
        "ring_seconds": _mask_count,
        "talk_seconds": _mask_count,
    }
)
"""The mask of each field, by its name in /v1; a field that is not here holds no number."""


def mask_fields(fields: Mapping[str, Any], *, full_numbers: bool) -> dict[str, Any]:
    """`fields` as a reader may see them."""
    if full_numbers:
        return dict(fields)
    return {
        name: MASKS[name](value) if name in MASKS and value is not None else value for name, value in fields.items()
    }
