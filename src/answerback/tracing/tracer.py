"""Tells of a callback's way, step by step: received, published, recorded, delivered. Lives in one event loop.

A step is told of when it has ended, for then alone it is known whose it was. No attribute holds a phone number.
"""

import time
from collections.abc import Iterable, Sequence
from functools import lru_cache
from urllib.parse import urlsplit

from answerback.domain.calls import public_id
from answerback.domain.masking import mask_urls
from answerback.domain.models import Arrival, Endpoint, Received
from answerback.domain.phone_numbers import mask_text
from answerback.ledger import Job, Taken, Verdict
from answerback.ledger.commands import Witnessed
from answerback.ledger.types import to_us
from answerback.tencent.parsing import understand
from answerback.tracing.ids import (
    SpanId,
    is_sampled,
    new_span,
    read_traceparent,
    reception,
    threshold,
    write_traceparent,
)
from answerback.tracing.span import Attributes, Side, Sink, Span


class Attempt:
    """One attempt to deliver: the header that it carries, and its span once it has ended."""

    def __init__(self, sink: Sink | None, trace: bytes, job: Job, endpoint: Endpoint) -> None:
        self._sink = sink
        self._job = job
        self._endpoint = endpoint
        self._id = SpanId(trace, new_span())
        self._began_us = _now_us()
        self.traceparent = write_traceparent(*self._id, sampled=sink is not None)

    def ended(self, status: int | None, error: str | None) -> None:
        """Tell of it."""
        if self._sink is None:
            return
        job = self._job
        attributes: Attributes = {
            "answerback.endpoint": self._endpoint.name,
            "answerback.message_id": job.message_id,
            "answerback.attempt": job.attempts + 1,
            "http.request.method": "POST",
            **_address(self._endpoint.definition.url),
        }
        if status is not None:
            attributes["http.response.status_code"] = status
        self._sink.add(
            Span(
                name="deliver",
                side=Side.CLIENT,
                id=self._id,
                parent=None if job.received_us is None else reception(self._id.trace, job.received_us),
                began_us=self._began_us,
                ended_us=_now_us(),
                attributes=attributes,
                error=None if error is None else mask_text(error),
            )
        )


class Tracer:
    """Makes the spans of this process, of as many traces as `sample_ratio` says; `id_key` is what their ids are keyed by."""

    def __init__(self, sink: Sink, id_key: bytes, sample_ratio: float = 1.0) -> None:
        self._sink = sink
        self._id_key = id_key
        self._below = threshold(sample_ratio)

    def start(self) -> None:
        """Begin to send spans away."""
        self._sink.start()

    def stop(self, timeout_s: float) -> None:
        """Send the last ones, for as long as `timeout_s`; blocks."""
        self._sink.stop(timeout_s)

    def received(
        self,
        arrival: Arrival,
        verdict: Verdict | None,
        result: int,
        status: int | None = None,
        headers: Iterable[tuple[bytes, bytes]] = (),
    ) -> None:
        """A callback was answered by HTTP `status`, or (None) handed in; without `verdict` it is not known to be stored.

        What is no callback has no identity, and no trace.
        """
        known = _identify(arrival, verdict)
        if known is None or not self._takes(trace := self._trace_of(known[0])):
            return
        kind = known[1]
        received_us = to_us(arrival.received_at)
        attributes: Attributes = {
            "answerback.channel": arrival.channel,
            "answerback.kind": kind,
            "answerback.result": result,
        }
        if status is not None:
            attributes |= {"http.request.method": "POST", "http.response.status_code": status}
        self._sink.add(
            Span(
                name="receive",
                side=Side.INTERNAL if status is None else Side.SERVER,
                id=SpanId(trace, reception(trace, received_us)),
                parent=None,
                began_us=received_us,
                ended_us=_now_us(),
                attributes=attributes,
                error="not known to be stored" if verdict is None else None,
                link=read_traceparent(headers),
            )
        )

    def published(
        self,
        batch: Sequence[Arrival],
        verdicts: Sequence[Verdict],
        began_us: int,
        shards: Sequence[str],
        error: str | None = None,
    ) -> None:
        """The stream has taken `batch`, in one message or more, or (`error`) is not known to have."""
        attributes: Attributes = {"messaging.system": "nats", "messaging.batch.message_count": len(batch)}
        if shards:
            attributes["messaging.destination.name"] = ", ".join(dict.fromkeys(shards))
        callbacks = [
            (verdict.identity, to_us(arrival.received_at), attributes)
            for arrival, verdict in zip(batch, verdicts, strict=True)
            if verdict.identity
        ]
        self._together("publish", Side.PRODUCER, callbacks, began_us, error)

    def recorded(self, witnessed: Witnessed) -> None:
        """A transaction was committed."""
        size = len(witnessed.callbacks)
        attributes: dict[Taken, Attributes] = {
            taken: {"answerback.taken": taken.name.lower(), "answerback.batch_size": size} for taken in Taken
        }
        callbacks = [(identity, received_us, attributes[taken]) for identity, received_us, taken in witnessed.callbacks]
        self._together("record", Side.INTERNAL, callbacks, witnessed.began_us, None, witnessed.ended_us)

    def delivering(self, job: Job, endpoint: Endpoint) -> Attempt:
        """An attempt begins."""
        trace = self._trace_of(job.identity)
        return Attempt(self._sink if self._takes(trace) else None, trace, job, endpoint)

    def _trace_of(self, identity: bytes) -> bytes:
        return public_id(self._id_key, identity)

    def _takes(self, trace: bytes) -> bool:
        return is_sampled(trace, self._below)

    def _together(
        self,
        name: str,
        side: Side,
        callbacks: Iterable[tuple[bytes, int, Attributes]],
        began_us: int,
        error: str | None,
        ended_us: int | None = None,
    ) -> None:
        """Tell the same step of several callbacks, each in its own trace."""
        ended_us = _now_us() if ended_us is None else ended_us
        for identity, received_us, attributes in callbacks:
            if self._takes(trace := self._trace_of(identity)):
                self._sink.add(
                    Span(
                        name=name,
                        side=side,
                        id=SpanId(trace, new_span()),
                        parent=reception(trace, received_us),
                        began_us=began_us,
                        ended_us=ended_us,
                        attributes=attributes,
                        error=error,
                    )
                )


def _identify(arrival: Arrival, verdict: Verdict | None) -> tuple[bytes, str] | None:
    """Identity and kind; where nobody could say what became of it, it is read here, so that its repeat joins it."""
    if verdict is None:
        item = understand(arrival)
        return (item.identity, item.callback.kind) if isinstance(item, Received) else None
    return (verdict.identity, verdict.kind) if verdict.kind is not None and verdict.identity else None


@lru_cache(maxsize=4096)
def _address(url: str) -> Attributes:
    """Where an endpoint is, without what may be a secret: no user, no path, no query."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return {
        "url.full": mask_urls(url),
        "server.address": parts.hostname or "",
        "server.port": port,
    }


def _now_us() -> int:
    return time.time_ns() // 1000
