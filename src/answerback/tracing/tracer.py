"""Trace a callback step by step: receive, publish, record, deliver. Belongs to one event loop.

A span is added when its step has ended, for only then is its callback known. No attribute holds a phone number.
"""

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog

from answerback.domain.batches import BatchItem
from answerback.domain.calls import callback_fingerprint, public_id
from answerback.domain.endpoints import Endpoint
from answerback.domain.masking import mask_urls
from answerback.domain.models import CallbackKind
from answerback.domain.phone_numbers import mask_text
from answerback.errors import CallbackRejected, ConfigError, MissingExtra
from answerback.ledger.types import DeliveryJob, Disposition
from answerback.tencent.callbacks import parse
from answerback.tracing.ids import (
    SpanId,
    format_traceparent,
    is_sampled,
    new_span_id,
    parse_traceparent,
    receive_span_id,
    sampling_bound,
)
from answerback.tracing.span import Attributes, Span, SpanKind, SpanSink

if TYPE_CHECKING:
    from answerback.ledger.commands import TransactionTrace

_DISABLED = "OTEL_SDK_DISABLED"
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")

log = structlog.get_logger("answerback.tracing")


class DeliverySpan:
    """One attempt to deliver: the header that it carries, and its span once it has ended."""

    def __init__(self, sink: SpanSink | None, trace: bytes, job: DeliveryJob, endpoint: Endpoint) -> None:
        self._sink = sink
        self._job = job
        self._endpoint = endpoint
        self._id = SpanId(trace, new_span_id())
        self._began_us = _now_us()
        self.traceparent = format_traceparent(*self._id, sampled=sink is not None)

    def end(self, status: int | None, error: str | None) -> None:
        if self._sink is None:
            return
        job = self._job
        attributes: Attributes = {
            "answerback.endpoint": self._endpoint.name,
            "answerback.message_id": job.message_id,
            "answerback.attempt": job.attempts + 1,
            "http.request.method": "POST",
            **_address(self._endpoint.config.url),
        }
        if status is not None:
            attributes["http.response.status_code"] = status
        self._sink.add(
            Span(
                name="deliver",
                kind=SpanKind.CLIENT,
                id=self._id,
                parent=None if job.received_us is None else receive_span_id(self._id.trace, job.received_us),
                started_us=self._began_us,
                ended_us=_now_us(),
                attributes=attributes,
                error=None if error is None else mask_text(error),
            )
        )


class Tracer:
    """Makes the spans of this process, of as many traces as `sample_ratio` says; `id_key` is what their ids are keyed by."""

    def __init__(self, sink: SpanSink, id_key: bytes, sample_ratio: float = 1.0) -> None:
        self._sink = sink
        self._id_key = id_key
        self._sampling_bound = sampling_bound(sample_ratio)

    def start(self) -> None:
        self._sink.start()

    def stop(self, timeout_s: float) -> None:
        """Send the last ones, for as long as `timeout_s`; blocks."""
        self._sink.stop(timeout_s)

    def trace_receive(
        self,
        item: BatchItem,
        result: int,
        status: int | None = None,
        headers: Iterable[tuple[bytes, bytes]] = (),
        *,
        is_stored: bool = True,
    ) -> None:
        """A callback was answered by HTTP `status`, or (None) handed in.

        What is not a callback has no fingerprint, and no trace.
        """
        if (known := _parse(item)) is None or not self._is_sampled(trace := self._trace_id(known[0])):
            return
        attributes: Attributes = {
            "answerback.channel": item.channel,
            "answerback.kind": known[1],
            "answerback.result": result,
        }
        if status is not None:
            attributes |= {"http.request.method": "POST", "http.response.status_code": status}
        self._sink.add(
            Span(
                name="receive",
                kind=SpanKind.INTERNAL if status is None else SpanKind.SERVER,
                id=SpanId(trace, receive_span_id(trace, item.received_us)),
                parent=None,
                started_us=item.received_us,
                ended_us=_now_us(),
                attributes=attributes,
                error=None if is_stored else "not known to be stored",
                link=parse_traceparent(headers),
            )
        )

    def trace_publish(
        self, batch: Sequence[BatchItem], started_us: int, shards: Sequence[str], error: str | None = None
    ) -> None:
        """The stream has taken `batch`, in one message or more, or (`error`) is not known to have."""
        attributes: Attributes = {"messaging.system": "nats", "messaging.batch.message_count": len(batch)}
        if shards:
            attributes["messaging.destination.name"] = ", ".join(dict.fromkeys(shards))
        callbacks = [(known[0], item.received_us, attributes) for item in batch if (known := _parse(item))]
        self._add_batch_spans("publish", SpanKind.PRODUCER, callbacks, started_us, error)

    def trace_record(self, transaction: "TransactionTrace") -> None:
        """A transaction was committed."""
        size = len(transaction.callbacks)
        attributes: dict[Disposition, Attributes] = {
            taken: {"answerback.disposition": taken.name.lower(), "answerback.batch_size": size}
            for taken in Disposition
        }
        callbacks = [
            (fingerprint, received_us, attributes[taken]) for fingerprint, received_us, taken in transaction.callbacks
        ]
        self._add_batch_spans(
            "record", SpanKind.INTERNAL, callbacks, transaction.started_us, None, transaction.ended_us
        )

    def start_delivery(self, job: DeliveryJob, endpoint: Endpoint) -> DeliverySpan:
        """An attempt begins."""
        trace = self._trace_id(job.fingerprint)
        return DeliverySpan(self._sink if self._is_sampled(trace) else None, trace, job, endpoint)

    def _trace_id(self, fingerprint: bytes) -> bytes:
        return public_id(self._id_key, fingerprint)

    def _is_sampled(self, trace: bytes) -> bool:
        return is_sampled(trace, self._sampling_bound)

    def _add_batch_spans(
        self,
        name: str,
        kind: SpanKind,
        callbacks: Iterable[tuple[bytes, int, Attributes]],
        started_us: int,
        error: str | None,
        ended_us: int | None = None,
    ) -> None:
        """Add the same step of several callbacks, each in its own trace."""
        ended_us = _now_us() if ended_us is None else ended_us
        for fingerprint, received_us, attributes in callbacks:
            if self._is_sampled(trace := self._trace_id(fingerprint)):
                self._sink.add(
                    Span(
                        name=name,
                        kind=kind,
                        id=SpanId(trace, new_span_id()),
                        parent=receive_span_id(trace, received_us),
                        started_us=started_us,
                        ended_us=ended_us,
                        attributes=attributes,
                        error=error,
                    )
                )


def _parse(item: BatchItem) -> tuple[bytes, CallbackKind] | None:
    """Fingerprint and kind of a callback; None where it is none."""
    try:
        callback = parse(item.raw)
    except CallbackRejected:
        return None
    return callback_fingerprint(item.channel, callback), callback.kind


@lru_cache(maxsize=4096)
def _address(url: str) -> Attributes:
    """Where an endpoint is, without what may be a secret: no user, no path, no query."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return {"url.full": mask_urls(url), "server.address": parts.hostname or "", "server.port": port}


def _now_us() -> int:
    return time.time_ns() // 1000


def open_tracer(
    endpoint: str | None, sample_ratio: float, resource: Callable[[], Mapping[str, str]], id_key: bytes
) -> Tracer | None:
    """A tracer, not yet started; None where no collector is named, by `endpoint` or by OpenTelemetry's variables.

    `resource` identifies this process, `id_key` keys the ids of traces. Raises MissingExtra, ConfigError.
    """
    if os.environ.get(_DISABLED, "").strip().lower() == "true":
        return None
    if endpoint is None and not any(os.environ.get(name, "").strip() for name in _ENDPOINTS):
        return None
    try:
        from answerback.tracing.export import SpanExporter
    except ImportError as error:
        missing = 'needs OpenTelemetry: pip install "answerback[otel]"'
        if endpoint is not None:
            raise MissingExtra(f"tracing.endpoint {missing}") from error
        log.warning("tracing_disabled", reason=f"OTEL_EXPORTER_OTLP_ENDPOINT {missing}")  # it may be meant for others
        return None
    try:
        return Tracer(SpanExporter(endpoint, resource()), id_key, sample_ratio)
    except ValueError as error:
        raise ConfigError(f"tracing, OTEL_EXPORTER_OTLP_*: {error}") from error
