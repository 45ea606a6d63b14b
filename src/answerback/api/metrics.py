"""Prometheus metrics, made from the intake's plain numbers when they are asked for."""

import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from answerback.api.ledger_numbers import LedgerNumbers, Reading
from answerback.domain.histogram import Histogram
from answerback.domain.models import Endpoint, Kind
from answerback.intake import Committer, Meter
from answerback.ledger import Taken
from answerback.ledger.read.deliveries import Owed
from answerback.relay import Relay
from answerback.tencent.codes import Answered

if TYPE_CHECKING:
    from answerback.stream.metrics import Meter as StreamMeter

_NO_ANSWERS = dict.fromkeys([*product(("none", *Kind), [int(Answered.OK)]), *product(("none",), map(int, Answered))], 0)
"""What is known to come stands at 0 from the start: a series that is not there has no increase to be alarmed by."""

_RESULTS = ("delivered", "failed", "dead")


class _Collector(Collector):
    def __init__(self, meter: Meter, health: Committer, numbers: LedgerNumbers, relay: Relay) -> None:
        self._meter = meter
        self._relay = relay
        self._health = health
        self._numbers = numbers

    def collect(self) -> Iterable[Metric]:
        meter = self._meter
        answers = CounterMetricFamily(
            "answerback_answers", "Answers to callbacks, by kind and result.", labels=["kind", "result"]
        )
        for (kind, result), count in sorted({**_NO_ANSWERS, **meter.answers}.items()):
            answers.add_metric([kind, str(int(result))], count)
        taken = CounterMetricFamily(
            "answerback_callbacks", "Callbacks by what the ledger did with them.", labels=["taken"]
        )
        for name in ("STORED", "REPEATED", "QUARANTINED", "DROPPED"):
            taken.add_metric([name.lower()], meter.taken.get(name, 0))
        yield from (answers, taken)
        yield _histogram("answerback_answer_seconds", "From request to answer.", meter.answer_latency_s)
        yield _histogram("answerback_commit_seconds", "One batch's commit.", meter.commit_latency_s)
        yield _histogram("answerback_batch_size", "Callbacks in one commit.", meter.batch_sizes)
        yield _histogram("answerback_event_loop_lag_seconds", "How late the event loop is.", meter.loop_lag_s)
        yield CounterMetricFamily("answerback_commit_failures", "Batches that were not stored.", meter.commit_failures)
        yield CounterMetricFamily(
            "answerback_callbacks_set_aside", "Callbacks that the ledger refused, now in quarantine.", meter.set_aside
        )
        yield CounterMetricFamily("answerback_receive_timeouts", "Senders that were too slow.", meter.timeouts)
        yield CounterMetricFamily(
            "answerback_stalled_readers", "Readers that took nothing and were cut off.", meter.stalled_readers
        )
        yield GaugeMetricFamily("answerback_pending", "Callbacks waiting for their commit.", self._health.pending)
        yield GaugeMetricFamily("answerback_ready", "1 if a callback can be stored.", float(not self._health.failure))
        numbers = self._numbers.latest
        yield from self._attempts(numbers.endpoints)
        yield from self._owed(numbers)
        yield from _quarantine(numbers)
        yield _firing(numbers)
        yield GaugeMetricFamily(
            "answerback_ledger_numbers_age_seconds",
            "How long ago what is counted in the ledger was counted.",
            time.time() - numbers.at_s,
        )

    def _attempts(self, endpoints: Sequence[Endpoint]) -> Iterator[Metric]:
        meter = self._relay.meter
        yield GaugeMetricFamily(
            "answerback_relaying", "1 if it is this gateway that tells the endpoints.", float(self._relay.active)
        )
        attempts = CounterMetricFamily(
            "answerback_attempts", "Attempts to deliver, by endpoint and result.", labels=["endpoint", "result"]
        )
        none = dict.fromkeys(product((one.name for one in endpoints), _RESULTS), 0)
        for (endpoint, result), count in sorted({**none, **meter.attempts}.items()):
            attempts.add_metric([endpoint, result], count)
        latency = HistogramMetricFamily("answerback_attempt_seconds", "How long an attempt took.", labels=["endpoint"])
        for endpoint, buckets in sorted(meter.attempt_latency_s.items()):
            latency.add_metric([endpoint], _cumulative(buckets), buckets.total)
        yield from (attempts, latency)
        yield _histogram("answerback_delivery_seconds", "From stored to delivered.", meter.lag_s)

    def _owed(self, numbers: Reading) -> Iterator[Metric]:
        """Read from the ledger, so that it is true after a restart, too."""
        pending = GaugeMetricFamily("answerback_deliveries_pending", "Deliveries still owed.", labels=["endpoint"])
        dead = GaugeMetricFamily("answerback_deliveries_dead", "Deliveries that were given up.", labels=["endpoint"])
        age = GaugeMetricFamily(
            "answerback_oldest_pending_seconds", "Age of the oldest delivery that may go out.", labels=["endpoint"]
        )
        enabled = GaugeMetricFamily("answerback_endpoint_enabled", "1 if it is on.", labels=["endpoint"])
        paused = GaugeMetricFamily(
            "answerback_endpoint_paused", "1 if it is left alone after failures.", labels=["endpoint"]
        )
        resting, now_s = dict(self._relay.meter.paused), time.time()
        for endpoint in numbers.endpoints:
            mine = numbers.owed.get(endpoint.id, Owed())
            pending.add_metric([endpoint.name], mine.pending + mine.waiting)
            dead.add_metric([endpoint.name], mine.dead)
            age.add_metric([endpoint.name], now_s - mine.oldest_at.timestamp() if mine.oldest_at else 0.0)
            enabled.add_metric([endpoint.name], float(endpoint.enabled))
            paused.add_metric([endpoint.name], float(endpoint.name in resting or endpoint.paused_until is not None))
        yield from (pending, dead, age, enabled, paused)


def _firing(numbers: Reading) -> Metric:
    firing = GaugeMetricFamily("answerback_alert_firing", "1 while it lasts, by rule.", labels=["rule"])
    for state in numbers.alerts:
        firing.add_metric([state.rule], float(state.firing))
    return firing


def _quarantine(numbers: Reading) -> Iterator[Metric]:
    count, size_bytes = numbers.quarantine
    yield GaugeMetricFamily("answerback_quarantine_bodies", "Refused bodies that are kept.", count)
    yield GaugeMetricFamily("answerback_quarantine_bytes", "Their bytes.", size_bytes)


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

    def __init__(self, stream: "StreamMeter") -> None:
        self._stream = stream

    def collect(self) -> Iterable[Metric]:
        stream = self._stream
        yield _histogram("answerback_stream_ack_seconds", "From published to acknowledged.", stream.ack_latency_s)
        failovers = CounterMetricFamily(
            "answerback_stream_failovers", "Batches sent to another shard as well.", labels=["stream"]
        )
        for name, count in sorted(stream.failovers.items()):
            failovers.add_metric([name], count)
        drained = CounterMetricFamily(
            "answerback_stream_drained_callbacks", "Callbacks drained, by what the ledger did.", labels=["taken"]
        )
        for taken, count in sorted({**dict.fromkeys(Taken, 0), **stream.drained_callbacks}.items()):
            drained.add_metric([taken.name.lower()], count)
        pending = GaugeMetricFamily("answerback_stream_pending", "Batches that wait in a stream.", labels=["stream"])
        for name, count in sorted(stream.pending.items()):
            pending.add_metric([name], count)
        oldest = GaugeMetricFamily(
            "answerback_stream_oldest_seconds", "Age of the oldest batch that a stream holds.", labels=["stream"]
        )
        now_s = time.time()
        for name, oldest_us in sorted(stream.oldest_us.items()):
            oldest.add_metric([name], 0.0 if oldest_us is None else max(0.0, now_s - oldest_us / 1e6))
        yield from (failovers, drained, pending, oldest)
        yield CounterMetricFamily("answerback_stream_drained_batches", "Batches drained.", stream.drained_batches)
        yield CounterMetricFamily(
            "answerback_stream_skipped_batches",
            "Batches that came though the ledger held them.",
            stream.skipped_batches,
        )
        yield CounterMetricFamily(
            "answerback_stream_unreadable_batches", "Messages nobody here can read.", stream.unreadable_batches
        )
        yield CounterMetricFamily(
            "answerback_stream_left_batches", "Batches the ledger could not take; they stay.", stream.left_batches
        )
        yield GaugeMetricFamily("answerback_stream_lag_seconds", "Age of what was drained last.", stream.lag_s)
        yield GaugeMetricFamily("answerback_stream_held_batches", "Batches on their way here.", stream.held_batches)


def build_registry(
    meter: Meter, health: Committer, numbers: LedgerNumbers, relay: Relay, stream: "StreamMeter | None" = None
) -> CollectorRegistry:
    """A registry that reads the numbers at each scrape."""
    registry = CollectorRegistry()
    registry.register(_Collector(meter, health, numbers, relay))
    if stream is not None:
        registry.register(_StreamCollector(stream))
    return registry


def scrape(registry: CollectorRegistry) -> bytes:
    """The text that Prometheus reads."""
    return generate_latest(registry)
