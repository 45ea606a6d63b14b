"""What is told of one step on a callback's way."""

from enum import StrEnum
from typing import Protocol

import msgspec

from answerback.tracing.ids import SpanId

Attributes = dict[str, str | int]


class Side(StrEnum):
    """Which side of a conversation a span is; OpenTelemetry calls it the span's kind."""

    SERVER = "SERVER"
    CLIENT = "CLIENT"
    PRODUCER = "PRODUCER"
    INTERNAL = "INTERNAL"


class Span(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A step that has ended. `error` None: it went well. `link`: a span of somebody else's trace that led to it."""

    name: str
    side: Side
    id: SpanId
    parent: bytes | None
    began_us: int
    ended_us: int
    attributes: Attributes
    error: str | None = None
    link: SpanId | None = None


class Sink(Protocol):
    """Where spans go."""

    def add(self, span: Span) -> None:
        """Take it, or drop and count it; returns at once."""

    def start(self) -> None:
        """Begin to send."""

    def stop(self, timeout_s: float) -> None:
        """Send what waits, for as long as `timeout_s`; blocks."""
