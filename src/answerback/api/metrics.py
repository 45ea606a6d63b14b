"""Prometheus metrics, built from plain numbers at each scrape."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from answerback.api.ledger_numbers import LedgerGauges, LedgerSnapshot
from answerback.domain.endpoints import DeliveryBacklog, Endpoint
from answerback.domain.histogram import Histogram
from answerback.domain.models import CallbackKind
from answerback.inbox import Inbox
from answerback.intake import GroupCommitter, IntakeMetrics
from answerback.ledger import Disposition
from answerback.ledger.write.retention import CALL_TABLES
from answerback.recorder import Recorder, RecorderMetrics
from answerback.relay import Relay
from answerback.tencent.codes import ResponseCode

if TYPE_CHECKING:
    from answerback.stream.metrics import StreamMetrics

_ZERO_RESPONSES = dict.fromkeys(
    [*product(("none", *CallbackKind), [int(ResponseCode.OK)]), *product(("none",), map(int, ResponseCode))], 0
)
"""Known label values start at 0: a missing series has no increase to alert on."""

_NONE_PRUNED = dict.fromkeys((*CALL_TABLES, "quarantine", "audit_events"), 0)
_RESULTS = ("delivered", "failed", "dead")


class _IntakeCollector(Collector):
    """How callbacks are answered."""

    def __init__(self, metrics: IntakeMetrics, committer: GroupCommitter | None) -> None:
        self._metrics = metrics
        self._committer = committer

    def collect(self) -> Iterable[Metric]:
        metrics = self._metrics
        responses = CounterMetricFamily(
            "answerback_callback_responses", "Responses to callbacks, by kind and result.", labels=["kind", "result"]
        )
        for (kind, result), count in sorted({**_ZERO_RESPONSES, **metrics.responses}.items()):
            responses.add_metric([kind, str(int(result))], count)
        yield responses
        yield _histogram(
            "answerback_response_duration_seconds", "From request to response.", metrics.response_latency_s
        )
        yield _histogram(
            "answerback_commit_duration_seconds",
            "One batch's append to the inbox or the stream.",
            metrics.commit_latency_s,
        )
        yield _histogram("answerback_batch_size", "Callbacks in one commit.", metrics.batch_sizes)
        yield _histogram("answerback_event_loop_lag_seconds", "How late the event loop is.", metrics.loop_lag_s)
        yield CounterMetricFamily(
            "answerback_commit_failures",
            "Batches that could not be appended, and were answered 503.",
            metrics.commit_failures,
        )
        yield CounterMetricFamily(
            "answerback_rejections_dropped",
            "Refused bodies that were answered and not kept: there were too many.",
            metrics.rejections_dropped,
        )
        yield CounterMetricFamily(
            "answerback_callbacks_set_aside", "Callbacks that the ledger refused, now in quarantine.", metrics.set_aside
        )
        yield CounterMetricFamily(
            "answerback_request_timeouts", "Senders that were too slow.", metrics.request_timeouts
        )
        yield CounterMetricFamily(
            "answerback_stalled_readers", "Readers that took nothing and were cut off.", metrics.stalled_readers
        )
        if (committer := self._committer) is not None:
            yield GaugeMetricFamily(
                "answerback_intake_queue_depth", "Callbacks waiting for their commit.", committer.pending
            )
            yield GaugeMetricFamily(
                "answerback_up_for_writes", "1 if a callback can be stored.", float(not committer.failure)
            )


class _LedgerCollector(Collector):
    """What the ledger holds, and how it is delivered."""

    def __init__(self, numbers: LedgerGauges, relay: Relay, pruned: Mapping[str, int] | None) -> None:
        self._relay = relay
        self._numbers = numbers
        self._pruned = pruned

    def collect(self) -> Iterable[Metric]:
        numbers = self._numbers.latest
        yield from self._attempts(numbers.endpoints)
        yield from self._backlog(numbers)
        yield from _quarantine(numbers)
        yield _firing(numbers)
        if self._pruned is not None:
            pruned = CounterMetricFamily(
                "answerback_pruned_rows", "Rows that were deleted for their age, by table.", labels=["table"]
            )
            for table, count in sorted({**_NONE_PRUNED, **self._pruned}.items()):
                pruned.add_metric([table], count)
            yield pruned
        yield GaugeMetricFamily(
            "answerback_ledger_numbers_age_seconds",
            "How long ago what is counted in the ledger was counted.",
            time.time() - numbers.at_s,
        )

    def _attempts(self, endpoints: Sequence[Endpoint]) -> Iterator[Metric]:
        metrics = self._relay.metrics
        yield GaugeMetricFamily(
            "answerback_relay_active", "1 if this gateway delivers to the endpoints.", float(self._relay.is_active)
        )
        attempts = CounterMetricFamily(
            "answerback_delivery_attempts",
            "Attempts to deliver, by endpoint and result.",
            labels=["endpoint", "result"],
        )
        none = dict.fromkeys(product((one.name for one in endpoints), _RESULTS), 0)
        for (endpoint, result), count in sorted({**none, **metrics.attempts}.items()):
            attempts.add_metric([endpoint, result], count)
        latency = HistogramMetricFamily(
            "answerback_delivery_attempt_duration_seconds", "How long an attempt took.", labels=["endpoint"]
        )
        for endpoint, buckets in sorted(metrics.attempt_latency_s.items()):
            latency.add_metric([endpoint], _cumulative(buckets), buckets.total)
        yield from (attempts, latency)
        yield _histogram("answerback_delivery_lag_seconds", "From stored to delivered.", metrics.delivery_lag_s)

    def _backlog(self, numbers: LedgerSnapshot) -> Iterator[Metric]:
        """Read from the ledger, so that it is true after a restart, too."""
        pending = GaugeMetricFamily(
            "answerback_deliveries_pending", "Deliveries still to be made.", labels=["endpoint"]
        )
        dead = GaugeMetricFamily("answerback_deliveries_dead", "Dead deliveries.", labels=["endpoint"])
        age = GaugeMetricFamily(
            "answerback_delivery_oldest_pending_age_seconds",
            "Age of the oldest delivery that may go out.",
            labels=["endpoint"],
        )
        enabled = GaugeMetricFamily("answerback_endpoint_enabled", "1 if it is on.", labels=["endpoint"])
        paused = GaugeMetricFamily(
            "answerback_endpoint_paused", "1 while the circuit breaker is open.", labels=["endpoint"]
        )
        paused_names, now_s = dict(self._relay.metrics.paused), time.time()
        for endpoint in numbers.endpoints:
            mine = numbers.backlog.get(endpoint.id, DeliveryBacklog())
            pending.add_metric([endpoint.name], mine.pending + mine.blocked)
            dead.add_metric([endpoint.name], mine.dead)
            age.add_metric([endpoint.name], now_s - mine.oldest_at.timestamp() if mine.oldest_at else 0.0)
            enabled.add_metric([endpoint.name], float(endpoint.enabled))
            paused.add_metric(
                [endpoint.name], float(endpoint.name in paused_names or endpoint.paused_until is not None)
            )
        yield from (pending, dead, age, enabled, paused)


def _firing(numbers: LedgerSnapshot) -> Metric:
    firing = GaugeMetricFamily("answerback_alert_firing", "1 while it lasts, by rule.", labels=["rule"])
    for state in numbers.alerts:
        firing.add_metric([state.rule], float(state.firing))
    return firing


def _quarantine(numbers: LedgerSnapshot) -> Iterator[Metric]:
    count, size_bytes = numbers.quarantine
    yield GaugeMetricFamily("answerback_quarantine_bodies", "Refused bodies that are kept.", count)
    yield GaugeMetricFamily("answerback_quarantine_bytes", "Their bytes.", size_bytes)


def _dispositions(callbacks: Counter[Disposition]) -> Metric:
    recorded = CounterMetricFamily(
        "answerback_callbacks", "Callbacks by what the ledger did with them.", labels=["disposition"]
    )
    for disposition in Disposition:
        recorded.add_metric([disposition.name.lower()], callbacks[disposition])
    return recorded


def _histogram(name: str, words: str, buckets: Histogram) -> Metric:
    return HistogramMetricFamily(name, words, buckets=_cumulative(buckets), sum_value=buckets.total)


def _cumulative(buckets: Histogram) -> list[tuple[str, float]]:
    running, rows = 0, []
    for bound, count in zip([*map(str, buckets.bounds), "+Inf"], buckets.counts, strict=True):
        running += count
        rows.append((bound, float(running)))
    return rows


class _StreamCollector(Collector):
    """What a process says of the stream, where there is one."""

    def __init__(self, stream: "StreamMetrics") -> None:
        self._stream = stream

    def collect(self) -> Iterable[Metric]:
        stream = self._stream
        yield _histogram(
            "answerback_stream_ack_duration_seconds", "From published to acknowledged.", stream.ack_latency_s
        )
        failovers = CounterMetricFamily(
            "answerback_stream_failovers", "Batches sent to another shard as well.", labels=["stream"]
        )
        for name, count in sorted(stream.failovers.items()):
            failovers.add_metric([name], count)
        pending = GaugeMetricFamily(
            "answerback_stream_pending_batches", "Batches that wait in a stream.", labels=["stream"]
        )
        for name, count in sorted(stream.pending.items()):
            pending.add_metric([name], count)
        oldest = GaugeMetricFamily(
            "answerback_stream_oldest_age_seconds", "Age of the oldest batch that a stream holds.", labels=["stream"]
        )
        now_s = time.time()
        for name, oldest_us in sorted(stream.oldest_message_us.items()):
            oldest.add_metric([name], 0.0 if oldest_us is None else max(0.0, now_s - oldest_us / 1e6))
        yield from (failovers, pending, oldest)
        yield CounterMetricFamily(
            "answerback_stream_undecodable_batches",
            "Messages that this version cannot decode.",
            stream.undecodable_batches,
        )
        yield GaugeMetricFamily(
            "answerback_stream_in_flight_batches", "Batches on their way here.", stream.in_flight_batches
        )


class _RecorderCollector(Collector):
    """How far the ledger is behind what was answered; there is no recorder as long as the ledger was never open."""

    def __init__(self, recorder: Recorder | None, metrics: RecorderMetrics, inbox: Inbox | None) -> None:
        self._recorder = recorder
        self._metrics = metrics
        self._inbox = inbox

    def collect(self) -> Iterable[Metric]:
        recorder, metrics = self._recorder, self._metrics
        yield _dispositions(metrics.callbacks)
        yield _histogram(
            "answerback_recorder_batch_size", "Callbacks that one transaction recorded.", metrics.batch_sizes
        )
        yield _histogram(
            "answerback_recorder_batch_duration_seconds", "One transaction of the recorder.", metrics.batch_latency_s
        )
        yield CounterMetricFamily(
            "answerback_recorder_failures",
            "Transactions of the recorder that failed; their rows are tried again.",
            metrics.failures,
        )
        yield CounterMetricFamily(
            "answerback_recorder_repeated_batches",
            "Batches of a stream that the ledger had already.",
            metrics.repeated_batches,
        )
        yield GaugeMetricFamily(
            "answerback_recorder_up",
            "1 if what was answered can be recorded into the ledger.",
            float(recorder is not None and recorder.failure is None),
        )
        if self._inbox is not None:
            yield from self._measure_inbox(self._inbox)
        elif recorder is not None:
            yield _recorder_lag(recorder.lag_s)

    def _measure_inbox(self, inbox: Inbox) -> Iterator[Metric]:
        waiting = inbox.waiting()
        yield _recorder_lag(waiting.age_s)
        yield GaugeMetricFamily(
            "answerback_inbox_callbacks", "Callbacks that were answered and are not recorded yet.", waiting.callbacks
        )
        yield GaugeMetricFamily("answerback_inbox_bytes", "The size of those in the inbox.", waiting.bytes)
        yield GaugeMetricFamily(
            "answerback_inbox_max_bytes", "The size from which callbacks are answered 503.", inbox.max_bytes
        )
        yield CounterMetricFamily(
            "answerback_inbox_unreadable_rows",
            "Rows of the inbox that were damaged or missing; quarantine says which.",
            self._metrics.unreadable_rows,
        )


def _recorder_lag(seconds: float) -> Metric:
    return GaugeMetricFamily(
        "answerback_recorder_lag_seconds", "Age of the oldest callback that is not recorded.", seconds
    )


def build_registry(
    metrics: IntakeMetrics,
    committer: GroupCommitter | None,
    ledger: tuple[LedgerGauges, Relay, Mapping[str, int] | None] | None = None,
    stream: "StreamMetrics | None" = None,
    recorder: tuple[Recorder | None, RecorderMetrics, Inbox | None] | None = None,
) -> CollectorRegistry:
    """A registry that reads the numbers at each scrape; what is not there (yet) is not in it."""
    registry = CollectorRegistry()
    registry.register(_IntakeCollector(metrics, committer))
    if ledger is not None:
        registry.register(_LedgerCollector(*ledger))
    if stream is not None:
        registry.register(_StreamCollector(stream))
    if recorder is not None:
        registry.register(_RecorderCollector(*recorder))
    return registry


def scrape(registry: CollectorRegistry) -> bytes:
    """The text that Prometheus reads."""
    return generate_latest(registry)
