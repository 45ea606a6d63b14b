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
from answerback.imports.records import Object, objects_in
from answerback.imports.times import time_in, time_of
from answerback.tencent.callbacks import CALLBACK_KEYS

_TOKEN = re.compile(r"/voice/callback/([A-Za-z0-9_-]{16,128})(?![A-Za-z0-9_-])")
_DEEPEST = 8


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A body, and what the line says besides: when, by which channel or token. `exported` lines are our own."""

    raw: bytes
    at: datetime | None = None
    channel: str | None = None
    token: str | None = None
    exported: bool = False


class Finding(NamedTuple):
    """What is in a record: its callbacks, not yet read, and how many begin in it but are not whole."""

    found: list[Found]
    broken: int = 0


def find(text: str, zone: tzinfo = UTC) -> Finding:
    """The callbacks of a record; times that name no zone are of `zone`."""
    objects, end = objects_in(text)
    if objects and end == len(text):
        findings = [_in_document(one, zone) for one in objects]
        return Finding([one for each in findings for one in each.found], sum(each.broken for each in findings))
    bodies = list(find_bodies(text))
    found = [
        Found(raw=body.raw, at=time_in(text[: body.start], zone) or time_in(text, zone), token=_token_in(text))
        for body in bodies
        if body.raw is not None
    ]
    return Finding(found, len(bodies) - len(found))


def _in_document(one: Object, zone: tzinfo) -> Finding:
    document = one.value
    if not document.keys().isdisjoint(CALLBACK_KEYS):  # the body itself, or with what a log added to it
        return Finding([Found(raw=to_bytes(one.text), at=time_of(document, zone), token=_token_in(one.text))])
    raw, channel = document.get("raw"), document.get("channel")
    if isinstance(raw, str) and "received_at" in document:
        return Finding(
            [
                Found(
                    raw=to_bytes(raw),
                    at=time_of(document, zone),
                    channel=channel if isinstance(channel, str) else None,
                    exported=True,
                )
            ]
        )
    bodies = list(_bodies_in(document, _DEEPEST))
    at, token = time_of(document, zone) or time_in(one.text, zone), _token_in(one.text)
    found = [Found(raw=body, at=at, token=token) for body in bodies if body is not None]
    return Finding(found, len(bodies) - len(found))


def _bodies_in(value: Any, depth: int) -> Iterator[bytes | None]:
    """Callbacks in a log line's JSON, at any depth: as text, escaped once more or not, or as the object itself."""
    if isinstance(value, str):
        yield from (body.raw for body in find_bodies(value))
    elif isinstance(value, dict) and not value.keys().isdisjoint(CALLBACK_KEYS):
        yield to_bytes(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    elif isinstance(value, dict | list) and depth:
        for item in value.values() if isinstance(value, dict) else value:
            yield from _bodies_in(item, depth - 1)


def _token_in(text: str) -> str | None:
    """The channel's secret in the URL of the request, if it is in the line."""
    found = _TOKEN.search(text)
    return found[1] if found else None
