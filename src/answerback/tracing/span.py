"""A span: one step of a callback."""

from enum import StrEnum
from typing import Protocol

import msgspec

from answerback.tracing.ids import SpanId

Attributes = dict[str, str | int]


class SpanKind(StrEnum):
    """OpenTelemetry's kind of a span."""

    SERVER = "SERVER"
    CLIENT = "CLIENT"
    PRODUCER = "PRODUCER"
    INTERNAL = "INTERNAL"


class Span(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A step that has ended. `error` is None on success; `link` is a span of another trace that led to it."""

    name: str
    kind: SpanKind
    id: SpanId
    parent: bytes | None
    started_us: int
    ended_us: int
    attributes: Attributes
    error: str | None = None
    link: SpanId | None = None


class SpanSink(Protocol):
    """Where spans go."""

    def add(self, span: Span) -> None:
        """Queue the span, or drop and count it; returns at once."""

    def start(self) -> None:
        """Begin to send."""

    def stop(self, timeout_s: float) -> None:
        """Send what waits, for as long as `timeout_s`; blocks."""
