"""Sends spans to a collector by OTLP over HTTP, from the thread of OpenTelemetry's batch processor.

Whoever adds a span never waits: what there is no room for, or what the collector does not take in time, is dropped and
counted. It is logged when that begins and when it is over, not each time.
"""

import logging
import threading
from collections.abc import Sequence

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult

MAX_QUEUE_SIZE = 16_384
"""Spans that wait to be sent; more are dropped."""

_MAX_BATCH_SIZE = 128  # to encode more at once would hold Python's lock for longer than an answer should wait
_EVERY_MS = 1000
_LIBRARY = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
_MAX_REASON_CHARS = 300

log = structlog.get_logger("answerback.tracing")


class SpanExporter(OTLPSpanExporter):
    """Sends what is added, from `start` to `stop`.

    `endpoint` is the collector's whole URL; None: as OpenTelemetry's variables have it.
    """

    def __init__(self, endpoint: str | None) -> None:
        super().__init__(endpoint=endpoint)
        self._reasons = _ReasonFilter()
        self._queued = self._overflowed = 0  # counted by whoever adds
        self._taken = self._sent = self._failed = 0  # counted by the processor's thread
        self._is_failing = False

    def start(self) -> None:
        logging.getLogger(_LIBRARY).addFilter(self._reasons)
        self._processor = BatchSpanProcessor(
            self,
            max_queue_size=MAX_QUEUE_SIZE,
            schedule_delay_millis=_EVERY_MS,
            max_export_batch_size=_MAX_BATCH_SIZE,
        )

    def add(self, span: ReadableSpan) -> None:
        """Have it sent soon, or drop it where too many wait; the processor would do that uncounted."""
        if self._queued - self._taken >= MAX_QUEUE_SIZE:
            self._overflowed += 1
            return
        self._queued += 1
        self._processor.on_end(span)

    def stop(self, timeout_s: float) -> None:
        """Send what waits, for as long as `timeout_s`; blocks."""
        stopping = threading.Thread(target=self._processor.shutdown, daemon=True)
        stopping.start()
        stopping.join(timeout_s)
        if stopping.is_alive():
            self.shutdown()  # type: ignore[no-untyped-call]  # ends its pauses between tries
        if unsent := self._queued - self._sent + self._overflowed:
            log.warning("spans_dropped", spans=unsent)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch; the processor calls this in its thread."""
        self._taken += len(spans)
        result = super().export(spans)
        is_taken = result is SpanExportResult.SUCCESS
        if is_taken:
            self._sent += len(spans)
        else:
            self._failed += len(spans)
        if is_taken == self._is_failing:
            self._is_failing = not is_taken
            if is_taken:
                log.info("span_export_recovered", dropped_so_far=self._failed + self._overflowed)
            else:
                log.warning("span_export_failed", reason=self._reasons.last, dropped="until the collector takes them")
        return result


class _ReasonFilter(logging.Filter):
    """Keeps why the library could not send, which it only logs; and keeps that out of the log."""

    last = "no reason given"

    def filter(self, record: logging.LogRecord) -> bool:
        self.last = record.getMessage()[:_MAX_REASON_CHARS]
        return False
