"""Prometheus metrics, made from the intake's plain numbers when they are asked for."""

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from answerback.api.ports import Buckets, Health, Meter, Shelf


class _Collector(Collector):
    def __init__(self, meter: Meter, health: Health, ledger: Shelf) -> None:
        self._meter = meter
        self._health = health
        self._ledger = ledger

    def collect(self) -> Iterable[Metric]:
        meter = self._meter
        answers = CounterMetricFamily(
            "answerback_answers", "Answers to callbacks, by kind and result.", labels=["kind", "result"]
        )
        for (kind, result), count in sorted(meter.answers.items()):
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
        yield CounterMetricFamily("answerback_commit_failures", "Batches that were not stored.", meter.commit_failures)
        yield CounterMetricFamily("answerback_receive_timeouts", "Senders that were too slow.", meter.timeouts)
        yield GaugeMetricFamily("answerback_pending", "Callbacks waiting for their commit.", self._health.pending)
        yield GaugeMetricFamily("answerback_ready", "1 if a callback can be stored.", float(not self._health.failure))
        yield from self._quarantine()

    def _quarantine(self) -> Iterator[Metric]:
        count, size_bytes = self._ledger.quarantine_size()
        yield GaugeMetricFamily("answerback_quarantine_bodies", "Refused bodies that are kept.", count)
        yield GaugeMetricFamily("answerback_quarantine_bytes", "Their bytes.", size_bytes)


def _histogram(name: str, words: str, buckets: Buckets) -> Metric:
    running, rows = 0, []
    for bound, count in zip([*map(str, buckets.bounds), "+Inf"], buckets.counts, strict=True):
        running += count
        rows.append((bound, running))
    return HistogramMetricFamily(name, words, buckets=rows, sum_value=buckets.total)


def build_registry(meter: Meter, health: Health, ledger: Shelf) -> CollectorRegistry:
    """A registry that reads the numbers at each scrape."""
    registry = CollectorRegistry()
    registry.register(_Collector(meter, health, ledger))
    return registry


def scrape(registry: CollectorRegistry) -> bytes:
    """The text that Prometheus reads."""
    return generate_latest(registry)
