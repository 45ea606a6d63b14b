"""Prometheus metrics, built from plain numbers at each scrape."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from itertools import product
from typing import TYPE_CHECKING, TypeVar

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily as Counter
from prometheus_client.core import GaugeMetricFamily as Gauge
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from answerback.api.ledger_gauges import LedgerGauges, LedgerSnapshot
from answerback.domain.endpoints import DeliveryBacklog, Endpoint
from answerback.domain.histogram import Histogram
from answerback.domain.models import CallbackKind
from answerback.inbox import Inbox
from answerback.intake import GroupCommitter, IntakeMetrics
from answerback.ledger import Disposition
from answerback.ledger.write.retention import CALL_TABLES
from answerback.recorder import Recorder, RecorderMetrics
from answerback.relay import Relay
from answerback.relay.metrics import RelayMetrics
from answerback.tencent.codes import ResponseCode

if TYPE_CHECKING:
    from answerback.stream.metrics import StreamMetrics

Family = TypeVar("Family", Counter, Gauge)

_VERSION = version("answerback")

_ZERO_RESPONSES = dict.fromkeys(
    [
        *product(CallbackKind, map(int, (ResponseCode.OK, ResponseCode.UNAVAILABLE))),
        *product(("none",), map(int, ResponseCode)),
    ],
    0,
)
"""Every combination of labels that may come starts at 0: a missing series has no increase to alert on."""

_NONE_PRUNED = dict.fromkeys((*CALL_TABLES, "quarantine", "audit_events"), 0)
_RESULTS = ("delivered", "failed", "dead")


def build_registry(
    metrics: IntakeMetrics,
    committer: GroupCommitter | None,
    ledger: tuple[LedgerGauges, Relay, Mapping[str, int]] | None = None,
    stream: "StreamMetrics | None" = None,
    recorder: tuple[Recorder | None, RecorderMetrics, Inbox | None] | None = None,
    writer_pid: int | None = None,
) -> CollectorRegistry:
    """A registry that reads the numbers at each scrape; what is not there (yet) is not in it."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    registry.register(_FunctionCollector(partial(_program, writer_pid)))
    registry.register(_FunctionCollector(partial(_intake, metrics, committer)))
    if ledger is not None:
        registry.register(_FunctionCollector(partial(_ledger, *ledger)))
    if stream is not None:
        registry.register(_FunctionCollector(partial(_stream, stream)))
    if recorder is not None:
        registry.register(_FunctionCollector(partial(_recorder, *recorder)))
    return registry


def scrape(registry: CollectorRegistry) -> bytes:
    """The text that Prometheus reads."""
    return generate_latest(registry)


class _FunctionCollector(Collector):
    """Calls a function for the metrics of a scrape."""

    def __init__(self, read: Callable[[], Iterable[Metric]]) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        return self._read()


def _program(writer_pid: int | None) -> Iterator[Metric]:
    """Which program this is, and what its writer uses: `process_*` is the gateway's own process."""
    build = Gauge("answerback_build_info", "1, by the version of the program.", labels=["version"])
    yield _add_samples(build, [([_VERSION], 1.0)])
    if writer_pid is None:
        return
    used = {
        sample.name: sample.value
        for metric in ProcessCollector(pid=lambda: writer_pid, registry=None).collect()
        for sample in metric.samples
    }
    if not used:  # it has ended just now
        return
    yield Counter(
        "answerback_writer_cpu_seconds",
        "CPU time of the process that writes the ledger.",
        used["process_cpu_seconds_total"],
    )
    yield Gauge("answerback_writer_resident_memory_bytes", "Its memory.", used["process_resident_memory_bytes"])
    yield Gauge("answerback_writer_start_time_seconds", "When it started.", used["process_start_time_seconds"])
    if "process_open_fds" in used:
        yield Gauge("answerback_writer_open_fds", "Its open files.", used["process_open_fds"])


def _intake(metrics: IntakeMetrics, committer: GroupCommitter | None) -> Iterator[Metric]:
    """How callbacks are answered."""
    responses = sorted({**_ZERO_RESPONSES, **metrics.responses}.items())
    yield _add_samples(
        Counter(
            "answerback_callback_responses", "Responses to callbacks, by kind and result.", labels=["kind", "result"]
        ),
        (([kind, str(int(result))], count) for (kind, result), count in responses),
    )
    yield _histogram("answerback_response_duration_seconds", "From request to response.", metrics.response_latency_s)
    yield _histogram(
        "answerback_commit_duration_seconds", "One batch's append to the inbox or the stream.", metrics.commit_latency_s
    )
    yield _histogram("answerback_batch_size", "Callbacks in one commit.", metrics.batch_sizes)
    yield _histogram("answerback_event_loop_lag_seconds", "How late the event loop is.", metrics.loop_lag_s)
    yield Counter(
        "answerback_commit_failures",
        "Batches that could not be appended, and were answered 503.",
        metrics.commit_failures,
    )
    yield Counter(
        "answerback_rejections_dropped",
        "Refused bodies that were answered and not kept: there were too many.",
        metrics.rejections_dropped,
    )
    yield Counter(
        "answerback_callbacks_set_aside", "Callbacks that the ledger refused, now in quarantine.", metrics.set_aside
    )
    yield Counter("answerback_request_timeouts", "Senders that were too slow.", metrics.request_timeouts)
    yield Counter("answerback_stalled_readers", "Readers that took nothing and were cut off.", metrics.stalled_readers)
    if committer is not None:
        yield Gauge("answerback_intake_queue_depth", "Callbacks waiting for their commit.", committer.pending)
        yield Gauge(
            "answerback_intake_max_pending",
            "So many may wait; one more is answered 503.",
            committer.max_pending,
        )
        yield Gauge("answerback_up_for_writes", "1 if a callback can be stored.", float(not committer.failure))


def _ledger(numbers: LedgerGauges, relay: Relay, pruned: Mapping[str, int]) -> Iterator[Metric]:
    """What the ledger holds, and how it is delivered."""
    latest = numbers.latest
    yield Gauge("answerback_relay_active", "1 if this gateway delivers to the endpoints.", float(relay.is_active))
    yield from _attempts(latest.endpoints, relay.metrics)
    yield from _backlog(latest, relay.metrics)
    count, size_bytes = latest.quarantine
    yield Gauge("answerback_quarantine_bodies", "Refused bodies that are kept.", count)
    yield Gauge("answerback_quarantine_bytes", "Their bytes.", size_bytes)
    yield _add_samples(
        Gauge("answerback_alert_firing", "1 while it lasts, by rule.", labels=["rule"]),
        (([state.rule], float(state.firing)) for state in latest.alerts),
    )
    yield _add_samples(
        Counter("answerback_pruned_rows", "Rows that were deleted for their age, by table.", labels=["table"]),
        (([table], rows) for table, rows in sorted({**_NONE_PRUNED, **pruned}.items())),
    )
    yield Gauge(
        "answerback_erasure_oldest_age_seconds",
        "Age of the oldest erasure that is not done; 0: there is none.",
        time.time() - latest.erasures[0].requested_at.timestamp() if latest.erasures else 0.0,
    )
    yield Gauge(
        "answerback_ledger_numbers_age_seconds",
        "How long ago what is counted in the ledger was counted.",
        time.time() - latest.at_s,
    )


def _attempts(endpoints: Sequence[Endpoint], metrics: RelayMetrics) -> Iterator[Metric]:
    none = dict.fromkeys(product((one.name for one in endpoints), _RESULTS), 0)
    yield _add_samples(
        Counter(
            "answerback_delivery_attempts",
            "Attempts to deliver, by endpoint and result.",
            labels=["endpoint", "result"],
        ),
        sorted({**none, **metrics.attempts}.items()),
    )
    latency = HistogramMetricFamily(
        "answerback_delivery_attempt_duration_seconds", "How long an attempt took.", labels=["endpoint"]
    )
    for endpoint, buckets in sorted(metrics.attempt_latency_s.items()):
        latency.add_metric([endpoint], _cumulative(buckets), buckets.total)
    yield latency
    yield _histogram("answerback_delivery_lag_seconds", "From stored to delivered.", metrics.delivery_lag_s)


def _backlog(numbers: LedgerSnapshot, metrics: RelayMetrics) -> Iterator[Metric]:
    """Read from the ledger, so that it is true after a restart, too."""
    paused, now_s = dict(metrics.paused), time.time()
    backlogs = [(one, numbers.backlog.get(one.id, DeliveryBacklog())) for one in numbers.endpoints]

    def by_endpoint(family: Gauge, value: Callable[[Endpoint, DeliveryBacklog], float]) -> Gauge:
        return _add_samples(family, (([one.name], value(one, mine)) for one, mine in backlogs))

    def oldest_age_s(_: Endpoint, mine: DeliveryBacklog) -> float:
        return now_s - mine.oldest_at.timestamp() if mine.oldest_at else 0.0

    def is_paused(one: Endpoint, _: DeliveryBacklog) -> float:
        return float(one.name in paused or one.paused_until is not None)

    yield by_endpoint(
        Gauge("answerback_deliveries_pending", "Deliveries still to be made.", labels=["endpoint"]),
        lambda _, mine: mine.pending + mine.blocked,
    )
    yield by_endpoint(
        Gauge("answerback_deliveries_dead", "Dead deliveries.", labels=["endpoint"]), lambda _, mine: mine.dead
    )
    yield by_endpoint(
        Gauge(
            "answerback_delivery_oldest_pending_age_seconds",
            "Age of the oldest delivery that may go out.",
            labels=["endpoint"],
        ),
        oldest_age_s,
    )
    yield by_endpoint(
        Gauge("answerback_endpoint_enabled", "1 if it is on.", labels=["endpoint"]),
        lambda one, _: float(one.enabled),
    )
    yield by_endpoint(
        Gauge("answerback_endpoint_paused", "1 while the circuit breaker is open.", labels=["endpoint"]), is_paused
    )


def _stream(stream: "StreamMetrics") -> Iterator[Metric]:
    """What a process says of the stream, where there is one."""
    yield _histogram("answerback_stream_ack_duration_seconds", "From published to acknowledged.", stream.ack_latency_s)
    yield _add_samples(
        Counter("answerback_stream_failovers", "Batches sent to another shard as well.", labels=["stream"]),
        (([name], count) for name, count in sorted(stream.failovers.items())),
    )
    yield _add_samples(
        Gauge("answerback_stream_pending_batches", "Batches that wait in a stream.", labels=["stream"]),
        (([name], count) for name, count in sorted(stream.pending.items())),
    )
    now_s = time.time()
    yield _add_samples(
        Gauge(
            "answerback_stream_oldest_age_seconds", "Age of the oldest batch that a stream holds.", labels=["stream"]
        ),
        (
            ([name], 0.0 if oldest_us is None else max(0.0, now_s - oldest_us / 1e6))
            for name, oldest_us in sorted(stream.oldest_message_us.items())
        ),
    )
    yield Counter(
        "answerback_stream_undecodable_batches", "Messages that this version cannot decode.", stream.undecodable_batches
    )
    yield Gauge("answerback_stream_in_flight_batches", "Batches on their way here.", stream.in_flight_batches)


def _recorder(recorder: Recorder | None, metrics: RecorderMetrics, inbox: Inbox | None) -> Iterator[Metric]:
    """How far the ledger is behind what was answered; there is no recorder as long as the ledger was never open."""
    yield _add_samples(
        Counter("answerback_callbacks", "Callbacks by what the ledger did with them.", labels=["disposition"]),
        (([disposition.name.lower()], metrics.callbacks[disposition]) for disposition in Disposition),
    )
    yield _histogram("answerback_recorder_batch_size", "Callbacks that one transaction recorded.", metrics.batch_sizes)
    yield _histogram(
        "answerback_recorder_batch_duration_seconds", "One transaction of the recorder.", metrics.batch_latency_s
    )
    yield Counter(
        "answerback_recorder_failures",
        "Transactions of the recorder that failed; their rows are tried again.",
        metrics.failures,
    )
    yield Counter(
        "answerback_recorder_repeated_batches",
        "Batches of a stream that the ledger had already.",
        metrics.repeated_batches,
    )
    can_record = float(recorder is not None and recorder.failure is None)
    yield Gauge("answerback_recorder_up", "1 if what was answered can be recorded into the ledger.", can_record)
    waiting = None if inbox is None else inbox.waiting()
    lag_s = waiting.age_s if waiting is not None else None if recorder is None else recorder.lag_s
    if lag_s is not None:
        yield Gauge("answerback_recorder_lag_seconds", "Age of the oldest callback that is not recorded.", lag_s)
    if inbox is not None and waiting is not None:
        yield Gauge(
            "answerback_inbox_callbacks", "Callbacks that were answered and are not recorded yet.", waiting.callbacks
        )
        yield Gauge("answerback_inbox_bytes", "The size of those in the inbox.", waiting.bytes)
        yield Gauge("answerback_inbox_max_bytes", "The size from which callbacks are answered 503.", inbox.max_bytes)
        yield Counter(
            "answerback_inbox_unreadable_rows",
            "Rows of the inbox that were damaged or missing; quarantine says which.",
            metrics.unreadable_rows,
        )


def _add_samples(family: Family, samples: Iterable[tuple[Sequence[str], float]]) -> Family:
    """`family` with a sample for each combination of its labels' values."""
    for values, number in samples:
        family.add_metric(values, number)
    return family


def _histogram(name: str, words: str, buckets: Histogram) -> Metric:
    return HistogramMetricFamily(name, words, buckets=_cumulative(buckets), sum_value=buckets.total)


def _cumulative(buckets: Histogram) -> list[tuple[str, float]]:
    running, rows = 0, []
    for bound, count in zip([*map(str, buckets.bounds), "+Inf"], buckets.counts, strict=True):
        running += count
        rows.append((bound, float(running)))
    return rows
