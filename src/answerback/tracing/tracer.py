"""Trace a callback step by step: receive, publish, record, deliver. Belongs to one event loop.

What a callback is known by outside is 16 bytes, and so is the id of a trace: it is the same. So no context is sent along
or stored, and every process, and every attempt days later, is in the one trace. The span of a reception is known by the
trace and the time, which the ledger keeps: whatever follows has a parent that exists.

A span is made when its step has ended, for only then is its callback known. No attribute holds a phone number.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from opentelemetry.context import Context
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from answerback.domain.batches import BatchItem
from answerback.domain.calls import callback_fingerprint, public_id
from answerback.domain.endpoints import Endpoint
from answerback.domain.masking import mask_urls
from answerback.domain.models import CallbackKind
from answerback.domain.phone_numbers import mask_text
from answerback.errors import CallbackRejected
from answerback.ledger.types import DeliveryJob, Disposition
from answerback.tencent.callbacks import parse
from answerback.tracing.export import SpanExporter

if TYPE_CHECKING:
    from answerback.ledger.commands import TransactionTrace

Attributes = dict[str, str | int]

_NS = 1_000
_SAMPLED, _NOT_SAMPLED = TraceFlags(TraceFlags.SAMPLED), TraceFlags(TraceFlags.DEFAULT)
_NO_ERROR = Status()
_ids = RandomIdGenerator()
_propagator = TraceContextTextMapPropagator()


class Tracer:
    """Makes the spans of this process, of as many traces as `sample_ratio` says.

    `resource` identifies the process, which OpenTelemetry's variables may override; `id_key` is what the ids of traces
    are keyed by.
    """

    def __init__(
        self, exporter: SpanExporter, resource: Mapping[str, str], id_key: bytes, sample_ratio: float = 1.0
    ) -> None:
        self._exporter = exporter
        self._resource = Resource.create(dict(resource)).merge(OTELResourceDetector().detect())
        self._scope = InstrumentationScope("answerback", resource.get("service.version"))
        self._id_key = id_key
        self._sampler = TraceIdRatioBased(sample_ratio)

    def start(self) -> None:
        self._exporter.start()

    def stop(self, timeout_s: float) -> None:
        """Send the last ones, for as long as `timeout_s`; blocks."""
        self._exporter.stop(timeout_s)

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
        if (known := _parse(item)) is None or not self._is_sampled(trace_id := self._trace_id(known[0])):
            return
        attributes: Attributes = {
            "answerback.channel": item.channel,
            "answerback.kind": known[1],
            "answerback.result": result,
        }
        if status is not None:
            attributes |= {"http.request.method": "POST", "http.response.status_code": status}
        self.add(
            "receive",
            SpanKind.INTERNAL if status is None else SpanKind.SERVER,
            _context(trace_id, receive_span_id(trace_id, item.received_us)),
            None,
            (item.received_us, _now_us()),
            attributes,
            None if is_stored else "not known to be stored",
            find_links(headers),
        )

    def trace_publish(
        self, batch: Sequence[BatchItem], started_us: int, shards: Sequence[str], error: str | None = None
    ) -> None:
        """The stream has taken `batch`, in one message or more, or (`error`) is not known to have."""
        attributes: Attributes = {"messaging.system": "nats", "messaging.batch.message_count": len(batch)}
        if shards:
            attributes["messaging.destination.name"] = ", ".join(dict.fromkeys(shards))
        times_us = started_us, _now_us()
        for item in batch:
            if (known := _parse(item)) and self._is_sampled(trace_id := self._trace_id(known[0])):
                context = _context(trace_id, _ids.generate_span_id())
                self.add("publish", SpanKind.PRODUCER, context, item.received_us, times_us, attributes, error)

    def trace_record(self, transaction: "TransactionTrace") -> None:
        size = len(transaction.callbacks)
        attributes: dict[Disposition, Attributes] = {
            taken: {"answerback.disposition": taken.name.lower(), "answerback.batch_size": size}
            for taken in Disposition
        }
        times_us = transaction.started_us, transaction.ended_us
        for fingerprint, received_us, taken in transaction.callbacks:
            if self._is_sampled(trace_id := self._trace_id(fingerprint)):
                context = _context(trace_id, _ids.generate_span_id())
                self.add("record", SpanKind.INTERNAL, context, received_us, times_us, attributes[taken])

    def start_delivery(self, job: DeliveryJob, endpoint: Endpoint) -> "DeliverySpan":
        trace_id = self._trace_id(job.fingerprint)
        flags = _SAMPLED if self._is_sampled(trace_id) else _NOT_SAMPLED
        return DeliverySpan(self, _context(trace_id, _ids.generate_span_id(), flags), job, endpoint)

    def add(
        self,
        name: str,
        kind: SpanKind,
        context: SpanContext,
        received_us: int | None,
        times_us: tuple[int, int],
        attributes: Attributes,
        error: str | None = None,
        links: Sequence[Link] = (),
    ) -> None:
        """Have a span sent; it is the child of its callback's reception at `received_us`, if there was one."""
        trace_id = context.trace_id
        span = ReadableSpan(
            name=name,
            context=context,
            parent=None if received_us is None else _context(trace_id, receive_span_id(trace_id, received_us)),
            resource=self._resource,
            attributes=attributes,
            links=links,
            kind=kind,
            status=_NO_ERROR if error is None else Status(StatusCode.ERROR, error),
            start_time=times_us[0] * _NS,
            end_time=times_us[1] * _NS,
            instrumentation_scope=self._scope,
        )
        self._exporter.add(span)

    def _trace_id(self, fingerprint: bytes) -> int:
        return int.from_bytes(public_id(self._id_key, fingerprint), "big")

    def _is_sampled(self, trace_id: int) -> bool:
        """Whether this trace is sampled, by its id alone: every process decides the same."""
        return self._sampler.should_sample(None, trace_id, "").decision is Decision.RECORD_AND_SAMPLE


class DeliverySpan:
    """One attempt to deliver: the header that it carries, and its span once it has ended."""

    def __init__(self, tracer: Tracer, context: SpanContext, job: DeliveryJob, endpoint: Endpoint) -> None:
        self._tracer = tracer
        self._context = context
        self._job = job
        self._endpoint = endpoint
        self._began_us = _now_us()

    @property
    def traceparent(self) -> str:
        """The header that lets the receiver join the trace."""
        headers: dict[str, str] = {}
        _propagator.inject(headers, set_span_in_context(NonRecordingSpan(self._context), Context()))
        return headers["traceparent"]

    def end(self, status: int | None, error: str | None) -> None:
        if not self._context.trace_flags.sampled:
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
        self._tracer.add(
            "deliver",
            SpanKind.CLIENT,
            self._context,
            job.received_us,
            (self._began_us, _now_us()),
            attributes,
            None if error is None else mask_text(error),
        )


def receive_span_id(trace_id: int, received_us: int) -> int:
    """The id of a callback's `receive` span: a duplicate of it has another."""
    known = trace_id.to_bytes(16, "big") + received_us.to_bytes(8, "big", signed=True)
    return int.from_bytes(blake2b(known, digest_size=8).digest(), "big")


def _context(trace_id: int, span_id: int, flags: TraceFlags = _SAMPLED) -> SpanContext:
    return SpanContext(trace_id, span_id, is_remote=False, trace_flags=flags)


def find_links(headers: Iterable[tuple[bytes, bytes]]) -> tuple[Link, ...]:
    """A link to the sender's span, if these headers name one."""
    values = [value.decode("latin-1") for name, value in headers if name.lower() == b"traceparent"]
    if len(values) != 1:
        return ()
    sender = get_current_span(_propagator.extract({"traceparent": values[0]}, Context())).get_span_context()
    return (Link(sender),) if sender.is_valid else ()


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
