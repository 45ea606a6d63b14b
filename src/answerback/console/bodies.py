"""The bytes of a body as a reader may see them: JSON set out in lines, text, or bytes; numbers hidden; pure."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from answerback.model import Failure, KeyPress, Kind, Status
from answerback.numbers import mask, mask_text
from answerback.tencent.callbacks import CALLBACK_KEYS, parse

_BOM = b"\xef\xbb\xbf"
_NAMES = ("mobile", "call_from")
_CALLID = "callid"  # made of digits, and nobody's number
_LEAST_DIGITS = 7
_LONG_RUN = re.compile(r"\d{11,}")
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_ROW_BYTES = 16
_MOST_BYTES = 4096
_LONGEST_TEXT = 65_536


class Body(NamedTuple):
    """What to show of a body. `form` is "json", "text" or "bytes"; `cut` tells that this is only its beginning."""

    text: str
    form: str
    has_bom: bool
    cut: bool


class Difference(NamedTuple):
    """A field that another callback of the same sort tells otherwise; None where it does not tell it."""

    field: str
    before: str | None
    after: str | None


def body_of(raw: bytes, *, full_numbers: bool) -> Body:
    """The body to be shown. Numbers are hidden under any name: those of the contract's, and what is as long as one."""
    plain = raw.removeprefix(_BOM)
    has_bom = len(plain) < len(raw)
    try:
        text, form = _json(plain, full_numbers=full_numbers), "json"
    except _UNREADABLE:
        text, form = _text_or_bytes(plain, full_numbers=full_numbers)
    return Body(text[:_LONGEST_TEXT], form, has_bom, len(text) > _LONGEST_TEXT or len(plain) > _LONGEST_TEXT)


def document_text(document: object, *, full_numbers: bool) -> str:
    """A value of the business's as JSON, set out in lines."""
    shown = document if full_numbers else _hidden(document, [])
    return json.dumps(shown, ensure_ascii=False, indent=2)


def callback_of(raw: bytes) -> Status | KeyPress | Failure:
    """The callback that a body of the ledger tells."""
    return parse(raw)


def fields_of(raw: bytes) -> Mapping[str, Any]:
    """The fields of a callback by the vendor's names."""
    document = msgspec.json.decode(raw.removeprefix(_BOM))
    fields: Mapping[str, Any] = next(document[key] for key in CALLBACK_KEYS if key in document)
    return fields


def differences(before: bytes, after: bytes, *, full_numbers: bool) -> list[Difference]:
    """What two callbacks of one call tell otherwise, by the vendor's names."""
    old, new = fields_of(before), fields_of(after)
    hide = str if full_numbers else mask
    return [
        Difference(field, *(_spelled(field, one.get(field, ...), hide) for one in (old, new)))
        for field in dict.fromkeys((*old, *new))
        if old.get(field, ...) != new.get(field, ...)
    ]


def sort_of(kind: Kind) -> str | None:
    """Which callbacks are compared with each other: statuses, failures; keys with nothing."""
    return {Kind.KEY: None, Kind.FAILURE: "failure"}.get(kind, "status")


def _spelled(field: str, value: Any, hide: Any) -> str | None:
    if value is ...:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return hide(text) if field in _NAMES else text if hide is str else _without(text, [], field)


def _json(plain: bytes, *, full_numbers: bool) -> str:
    """The JSON text set out in lines; where numbers are hidden, it is written anew from its values."""
    document = msgspec.json.decode(plain)
    if full_numbers:
        return msgspec.json.format(plain, indent=2).decode()
    numbers = {number for number in _numbers(document) if len(number) >= _LEAST_DIGITS}
    hidden = _hidden(document, sorted(numbers, key=len, reverse=True))
    return json.dumps(hidden, ensure_ascii=False, indent=2)


def _numbers(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for one in value:
            yield from _numbers(one)
    elif isinstance(value, dict):
        for name, one in value.items():
            if name in _NAMES and isinstance(one, str | int):
                yield str(one)
            yield from _numbers(one)


def _hidden(value: Any, numbers: list[str], name: str = "") -> Any:
    """`value` with every number in it masked, wherever it stands; `name` is the one that it stands under."""
    if isinstance(value, dict):
        return {_hidden(key, numbers): _hidden(one, numbers, key) for key, one in value.items()}
    if isinstance(value, list):
        return [_hidden(one, numbers) for one in value]
    if isinstance(value, bool) or not isinstance(value, str | int):
        return value
    text = str(value)
    hidden = mask(text) if name in _NAMES else _without(text, numbers, name)
    return value if hidden == text else hidden


def _without(text: str, numbers: list[str], name: str) -> str:
    for number in numbers:
        text = text.replace(number, mask(number))
    return text if name == _CALLID else _LONG_RUN.sub(lambda run: mask(run.group()), text)


def _text_or_bytes(plain: bytes, *, full_numbers: bool) -> tuple[str, str]:
    hide = str if full_numbers else mask_text
    try:
        text = plain.decode()
    except UnicodeDecodeError:
        return _dump(hide(plain[:_MOST_BYTES].decode("latin-1")).encode("latin-1")), "bytes"
    return hide(text), "text"


def _dump(raw: bytes) -> str:
    """Offset, bytes in hex, and the letters among them."""
    rows = []
    for start in range(0, len(raw), _ROW_BYTES):
        row = raw[start : start + _ROW_BYTES]
        letters = "".join(chr(byte) if 0x20 <= byte < 0x7F else "·" for byte in row)  # noqa: PLR2004  # printable ASCII
        rows.append(f"{start:04x}  {row.hex(' '):<{_ROW_BYTES * 3 - 1}}  {letters}")
    return "\n".join(rows)
