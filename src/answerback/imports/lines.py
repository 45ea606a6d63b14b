"""A record of a file -> the callbacks in it; pure.

A record is the vendor's JSON itself, one of our own export of callbacks, or one of an access log that holds the bodies.
"""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from typing import Any, NamedTuple

import msgspec

from answerback.imports.bodies import find_bodies, to_bytes
from answerback.imports.records import JsonObject, find_objects
from answerback.imports.times import document_time, find_time
from answerback.tencent.callbacks import CALLBACK_KEYS

_TOKEN = re.compile(r"/voice/callback/([A-Za-z0-9_-]{16,128})(?![A-Za-z0-9_-])")
_DEEPEST = 8


class ExtractedCallback(msgspec.Struct, frozen=True, kw_only=True):
    """A body, and what the line says besides: when, by which channel or token. `exported` lines are our own."""

    raw: bytes
    at: datetime | None = None
    channel: str | None = None
    token: str | None = None
    exported: bool = False


class ExtractResult(NamedTuple):
    """What is in a record: its callbacks, not yet read, and how many begin in it but are not whole."""

    found: list[ExtractedCallback]
    broken: int = 0


def extract_callbacks(text: str, zone: tzinfo = UTC) -> ExtractResult:
    """The callbacks of a record; times that name no zone are of `zone`."""
    objects, end = find_objects(text)
    if objects and end == len(text):
        findings = [_extract_from_document(one, zone) for one in objects]
        return ExtractResult([one for each in findings for one in each.found], sum(each.broken for each in findings))
    bodies = list(find_bodies(text))
    found = [
        ExtractedCallback(
            raw=body.raw, at=find_time(text[: body.start], zone) or find_time(text, zone), token=_find_token(text)
        )
        for body in bodies
        if body.raw is not None
    ]
    return ExtractResult(found, len(bodies) - len(found))


def _extract_from_document(one: JsonObject, zone: tzinfo) -> ExtractResult:
    document = one.value
    if not document.keys().isdisjoint(CALLBACK_KEYS):  # the body itself, or with what a log added to it
        return ExtractResult(
            [ExtractedCallback(raw=to_bytes(one.text), at=document_time(document, zone), token=_find_token(one.text))]
        )
    raw, channel = document.get("raw"), document.get("channel")
    if isinstance(raw, str) and "received_at" in document:
        return ExtractResult(
            [
                ExtractedCallback(
                    raw=to_bytes(raw),
                    at=document_time(document, zone),
                    channel=channel if isinstance(channel, str) else None,
                    exported=True,
                )
            ]
        )
    bodies = list(_find_nested_bodies(document, _DEEPEST))
    at, token = document_time(document, zone) or find_time(one.text, zone), _find_token(one.text)
    found = [ExtractedCallback(raw=body, at=at, token=token) for body in bodies if body is not None]
    return ExtractResult(found, len(bodies) - len(found))


def _find_nested_bodies(value: Any, depth: int) -> Iterator[bytes | None]:
    """Callbacks in a log line's JSON, at any depth: as text, escaped once more or not, or as the object itself."""
    if isinstance(value, str):
        yield from (body.raw for body in find_bodies(value))
    elif isinstance(value, dict) and not value.keys().isdisjoint(CALLBACK_KEYS):
        yield to_bytes(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    elif isinstance(value, dict | list) and depth:
        for item in value.values() if isinstance(value, dict) else value:
            yield from _find_nested_bodies(item, depth - 1)


def _find_token(text: str) -> str | None:
    """The channel's secret in the URL of the request, if it is in the line."""
    found = _TOKEN.search(text)
    return found[1] if found else None
