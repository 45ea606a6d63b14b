"""Ids of traces and spans; pure.

What a callback is known by outside is 16 bytes, and so is the id of a trace: it is the same. So no context is sent along
or stored, and every process, and every attempt days later, is in the one trace. The span of a reception is known by the
trace and the time, which the ledger keeps: whatever follows has a parent that exists.
"""

import re
from collections.abc import Iterable
from hashlib import blake2b
from os import urandom
from typing import NamedTuple

SPAN_BYTES = 8

_TRACE_BYTES = 16
_TRACEPARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_FIRST_VERSION, _NO_VERSION = b"00", b"ff"


class SpanId(NamedTuple):
    """A span of anybody's, as W3C Trace Context names it."""

    trace: bytes
    span: bytes


def new_span_id() -> bytes:
    return urandom(SPAN_BYTES)


def receive_span_id(trace: bytes, received_us: int) -> bytes:
    """The id of a callback's `receive` span: a duplicate of it has another."""
    return blake2b(trace + received_us.to_bytes(8, "big", signed=True), digest_size=SPAN_BYTES).digest()


def sampling_bound(sample_ratio: float) -> int:
    """The bound below which `is_sampled` samples a trace."""
    return round(sample_ratio * 2**64)


def is_sampled(trace: bytes, bound: int) -> bool:
    """Whether this trace is sampled: OpenTelemetry's own `TraceIdRatioBased` decides the same, in every process."""
    return int.from_bytes(trace[SPAN_BYTES:], "big") < bound


def format_traceparent(trace: bytes, span: bytes, *, sampled: bool) -> str:
    """The header that lets whoever gets it join the trace. Source: W3C Trace Context, "traceparent Header"."""
    return f"00-{trace.hex()}-{span.hex()}-{'01' if sampled else '00'}"


def parse_traceparent(headers: Iterable[tuple[bytes, bytes]]) -> SpanId | None:
    """The sender's span from these headers; None if there is none, or it is invalid."""
    values = [value.strip() for name, value in headers if name.lower() == b"traceparent"]
    found = _TRACEPARENT.fullmatch(values[0]) if len(values) == 1 else None
    if found is None or found[1] == _NO_VERSION or (found[1] == _FIRST_VERSION and found[5]):
        return None
    span = SpanId(bytes.fromhex(found[2].decode()), bytes.fromhex(found[3].decode()))
    return span if any(span.trace) and any(span.span) else None
