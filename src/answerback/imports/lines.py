"""A line of a file -> the callback in it, or why there is none; pure.

A line is the vendor's JSON itself, one of our own export of callbacks, or one of an access log that holds the body.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from answerback.imports.bodies import find_body
from answerback.imports.times import time_in, time_of
from answerback.tencent.callbacks import CALLBACK_KEYS

_TOKEN = re.compile(r"/voice/callback/([A-Za-z0-9_-]{16,128})(?![A-Za-z0-9_-])")
_DEEPEST = 8

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A body, and what the line says besides: when, by which channel or token. `exported` lines are our own."""

    raw: bytes
    at: datetime | None = None
    channel: str | None = None
    token: str | None = None
    exported: bool = False


def find(line: bytes) -> Found | None:
    """The callback in `line`, not yet read; None where there is none."""
    text = line.decode("utf-8", "surrogateescape").removeprefix("\ufeff").strip()
    if text.startswith("{"):
        try:
            document = _decode(text)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            document = None
        if isinstance(document, dict):
            return _in_document(document, text)
    body = find_body(text)
    if body is None:
        return None
    raw, start = body
    return Found(raw=raw, at=time_in(text[:start]) or time_in(text), token=_token_in(text))


def _in_document(document: dict[str, Any], text: str) -> Found | None:
    if not document.keys().isdisjoint(CALLBACK_KEYS):
        return Found(raw=text.encode("utf-8", "surrogateescape"))
    raw = document.get("raw")
    if isinstance(raw, str) and "received_at" in document:
        channel = document.get("channel")
        return Found(
            raw=raw.encode(),
            at=time_of(document),
            channel=channel if isinstance(channel, str) else None,
            exported=True,
        )
    for body in _bodies_in(document, _DEEPEST):
        return Found(raw=body, at=time_of(document) or time_in(text), token=_token_in(text))
    return None


def _bodies_in(value: Any, depth: int) -> Iterator[bytes]:
    """Callbacks in a log line's JSON, at any depth: as text, escaped once more or not, or as the object itself."""
    if isinstance(value, str):
        if body := find_body(value):
            yield body[0]
    elif isinstance(value, dict) and not value.keys().isdisjoint(CALLBACK_KEYS):
        yield _encode(value)
    elif isinstance(value, dict | list) and depth:
        for item in value.values() if isinstance(value, dict) else value:
            yield from _bodies_in(item, depth - 1)


def _token_in(text: str) -> str | None:
    """The channel's secret in the URL of the request, if it is in the line."""
    found = _TOKEN.search(text)
    return found[1] if found else None
