"""Sends spans to a collector by OTLP over HTTP, from a thread of its own; the only module that knows OpenTelemetry.

Whoever adds a span never waits: what there is no room for, or what the collector does not take in time, is dropped and
counted. It is logged when that begins and when it is over, not each time.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Mapping

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, Status, StatusCode, TraceFlags
from opentelemetry.trace import SpanKind as OtelSpanKind

from answerback.tracing.ids import SpanId
from answerback.tracing.span import Span, SpanKind

MAX_QUEUE_SIZE = 16_384
"""Spans that wait to be sent; more are dropped."""

_MAX_BATCH_SIZE = 128  # to encode more at once would hold Python's lock for longer than an answer should wait
_EVERY_S = 1.0
_NS = 1_000
_LIBRARY = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
_MAX_REASON_CHARS = 300
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_KINDS = {kind: OtelSpanKind[kind.value] for kind in SpanKind}

log = structlog.get_logger("answerback.tracing")


class SpanExporter:
    """Sends what is added, from `start` to `stop`.

    `endpoint` is the collector's whole URL; None: as OpenTelemetry's variables have it. `resource` identifies this
    process; those variables may override it.
    """

    def __init__(self, endpoint: str | None, resource: Mapping[str, str]) -> None:
        self._exporter = OTLPSpanExporter(endpoint=endpoint)
        self._resource = Resource.create(dict(resource)).merge(OTELResourceDetector().detect())
        self._scope = InstrumentationScope("answerback", resource.get("service.version"))
        self._waiting: deque[Span] = deque()
        self._wake = threading.Event()
        self._reasons = _ReasonFilter()
        self._stopping = self._is_failing = False
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)
        self.dropped = 0
        """Spans that no collector has got."""

    def start(self) -> None:
        library = logging.getLogger(_LIBRARY)
        library.addFilter(self._reasons)
        self._thread.start()

    def add(self, span: Span) -> None:
        """Have it sent soon, or drop it where too many wait."""
        if len(self._waiting) >= MAX_QUEUE_SIZE:
            self.dropped += 1
            return
        self._waiting.append(span)
        if len(self._waiting) == _MAX_BATCH_SIZE:
            self._wake.set()

    def stop(self, timeout_s: float) -> None:
        """Send what waits, for as long as `timeout_s`; blocks."""
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout_s)
        self._exporter.shutdown()  # type: ignore[no-untyped-call]  # ends its pauses between tries
        unsent = self.dropped + len(self._waiting)
        if unsent:
            log.warning("spans_dropped", spans=unsent)

    def _run(self) -> None:
        while not self._stopping or self._waiting:
            if len(self._waiting) < _MAX_BATCH_SIZE and not self._stopping:
                self._wake.wait(_EVERY_S)
                self._wake.clear()
            batch = [self._waiting[n] for n in range(min(len(self._waiting), _MAX_BATCH_SIZE))]
            if batch:
                self._send(batch)
                time.sleep(0)  # whoever waits for Python's lock goes first

    def _send(self, batch: list[Span]) -> None:
        taken = self._exporter.export([self._translate(span) for span in batch]) is SpanExportResult.SUCCESS
        for _ in batch:  # only now: what is on its way when the time is up counts as not sent
            self._waiting.popleft()
        if not taken:
            self.dropped += len(batch)
        if taken == self._is_failing:
            self._is_failing = not taken
            if taken:
                log.info("span_export_recovered", dropped_so_far=self.dropped)
            else:
                log.warning("span_export_failed", reason=self._reasons.last, dropped="until the collector takes them")

    def _translate(self, span: Span) -> ReadableSpan:
        return ReadableSpan(
            name=span.name,
            context=_context(span.id),
            parent=None if span.parent is None else _context(SpanId(span.id.trace, span.parent)),
            resource=self._resource,
            attributes=span.attributes,
            links=() if span.link is None else (Link(_context(span.link, remote=True)),),
            kind=_KINDS[span.kind],
            status=Status() if span.error is None else Status(StatusCode.ERROR, span.error),
            start_time=span.started_us * _NS,
            end_time=span.ended_us * _NS,
            instrumentation_scope=self._scope,
        )


class _ReasonFilter(logging.Filter):
    """Keeps why the library could not send, which it only logs; and keeps that out of the log."""

    last = "no reason given"

    def filter(self, record: logging.LogRecord) -> bool:
        self.last = record.getMessage()[:_MAX_REASON_CHARS]
        return False


def _context(id_: SpanId, *, remote: bool = False) -> SpanContext:
    trace, span = int.from_bytes(id_.trace, "big"), int.from_bytes(id_.span, "big")
    return SpanContext(trace, span, is_remote=remote, trace_flags=_SAMPLED)
