"""What the dashboard shows: rows of panels, each with its queries."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from monitoring.promql import each, highest, increase, mean, narrowed, quantile, rate, total

_WINDOW = "$__rate_interval"
_SELECTED = 'job=~"$job",instance=~"$instance"'

LEFT_OUT: dict[str, str] = {}
"""Metrics that no panel shows, each with the reason. A metric that is in no panel has to stand here."""


class Query(NamedTuple):
    """One line, or one group of lines, of a panel."""

    expr: str
    legend: str


class Panel(NamedTuple):
    """One panel. `unit` is Grafana's word for it; `limit` is where a number turns from green to red."""

    title: str
    queries: tuple[Query, ...]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    limit: float | None = None
    low_is_bad: bool = False


class Row(NamedTuple):
    """Panels under one heading."""

    title: str
    panels: Sequence[Panel]


def rows() -> list[Row]:
    """The whole dashboard, top to bottom."""
    with narrowed(_SELECTED):
        return [
            Row("Now", list(_now())),
            Row("Intake", list(_intake())),
            Row("Recorder", list(_recorder())),
            Row("Ledger", list(_ledger())),
            Row("Stream", list(_stream())),
            Row("Relay", list(_relay())),
            Row("Quarantine", list(_quarantine())),
            Row("Processes", list(_processes())),
        ]


def _now() -> Iterator[Panel]:
    yield _number("Gateways that can store", total("up_for_writes"), limit=1, low_is_bad=True)
    yield _number("Gateways that deliver", total("relay_active"), limit=1, low_is_bad=True)
    yield _number("Answers per second", rate("callback_responses", _WINDOW), unit="reqps")
    yield _number("Answered 503, last hour", increase("callback_responses", "1h", result="3002"), limit=1)
    yield _number("Deliveries pending", f"sum({highest('deliveries_pending', by='endpoint')})")
    yield _number("Deliveries dead", f"sum({highest('deliveries_dead', by='endpoint')})", limit=1)


def _intake() -> Iterator[Panel]:
    yield _lines(
        "Answers by result", rate("callback_responses", _WINDOW, by="result"), "result {{result}}", unit="reqps"
    )
    yield _lines("Answers by kind", rate("callback_responses", _WINDOW, by="kind"), "{{kind}}", unit="reqps")
    yield _quantiles("From request to answer", "response_duration_seconds")
    yield Panel(
        "Callbacks that wait for their commit",
        (Query(each("intake_queue_depth"), "{{instance}}"), Query(each("intake_max_pending"), "{{instance}}, most")),
    )
    yield _quantiles("How late the event loop is", "event_loop_lag_seconds")
    yield _lines("Senders that were too slow", increase("request_timeouts", _WINDOW, by="instance"), "{{instance}}")
    yield _lines("Clients that stopped reading", increase("stalled_readers", _WINDOW, by="instance"), "{{instance}}")
    yield _quantiles("One batch's append to the log", "commit_duration_seconds")
    yield _lines("Callbacks in one append, mean", mean("batch_size", _WINDOW, by="instance"), "{{instance}}")
    yield _lines("Appends that failed", increase("commit_failures", _WINDOW, by="instance"), "{{instance}}")
    yield _lines("Refused bodies not kept", increase("rejections_dropped", _WINDOW, by="instance"), "{{instance}}")


def _recorder() -> Iterator[Panel]:
    yield _lines("How far the ledger is behind", each("recorder_lag_seconds"), "{{instance}}", unit="s")
    yield _lines("Answered and not recorded", each("inbox_callbacks"), "{{instance}}")
    yield Panel(
        "Size of that in the inbox",
        (Query(each("inbox_bytes"), "{{instance}}"), Query(each("inbox_max_bytes"), "{{instance}}, most")),
        unit="bytes",
    )
    yield _lines(
        "Callbacks by disposition", rate("callbacks", _WINDOW, by="disposition"), "{{disposition}}", unit="reqps"
    )
    yield _quantiles("One transaction", "recorder_batch_duration_seconds")
    yield _lines(
        "Callbacks in one transaction, mean", mean("recorder_batch_size", _WINDOW, by="instance"), "{{instance}}"
    )
    yield _lines("Recorders at work", each("recorder_up"), "{{instance}}")
    yield _lines("Transactions that failed", increase("recorder_failures", _WINDOW, by="instance"), "{{instance}}")
    yield _lines("Damaged rows", increase("inbox_unreadable_rows", _WINDOW, by="instance"), "{{instance}}")


def _ledger() -> Iterator[Panel]:
    yield _lines(
        "Age of the numbers counted in the ledger",
        each("ledger_numbers_age_seconds"),
        "{{instance}}",
        unit="s",
    )
    yield _lines(
        "Callbacks that the ledger refused",
        increase("callbacks_set_aside", _WINDOW, by="instance"),
        "{{instance}}",
    )
    yield _lines("Age of the oldest erasure that is not done", highest("erasure_oldest_age_seconds"), "age", unit="s")
    yield _lines("Deleted for their age", rate("pruned_rows", _WINDOW, by="table"), "{{table}}")


def _stream() -> Iterator[Panel]:
    yield _quantiles("From published to acknowledged", "stream_ack_duration_seconds")
    yield _lines("Batches that wait", highest("stream_pending_batches", by="stream"), "{{stream}}")
    yield Panel(
        "Batches that came again, or cannot be read",
        (
            Query(rate("recorder_repeated_batches", _WINDOW), "recorded before"),
            Query(rate("stream_undecodable_batches", _WINDOW), "undecodable"),
        ),
    )
    yield _lines("Batches in flight", each("stream_in_flight_batches"), "{{instance}}")
    yield _lines("Age of the oldest batch", highest("stream_oldest_age_seconds", by="stream"), "{{stream}}", unit="s")
    yield _lines("Sent to another shard as well", increase("stream_failovers", _WINDOW, by="stream"), "{{stream}}")


def _relay() -> Iterator[Panel]:
    yield _lines("Attempts by result", rate("delivery_attempts", _WINDOW, by="result"), "{{result}}", unit="reqps")
    yield _lines(
        "Attempts by endpoint", rate("delivery_attempts", _WINDOW, by="endpoint"), "{{endpoint}}", unit="reqps"
    )
    yield _quantiles("From stored to delivered", "delivery_lag_seconds")
    yield _lines(
        "How long an attempt takes, 99 %",
        quantile(0.99, "delivery_attempt_duration_seconds", _WINDOW, by="endpoint"),
        "{{endpoint}}",
        unit="s",
    )
    yield _lines("Deliveries pending", highest("deliveries_pending", by="endpoint"), "{{endpoint}}")
    yield _lines("Deliveries dead", highest("deliveries_dead", by="endpoint"), "{{endpoint}}")
    yield _lines(
        "Oldest pending delivery",
        highest("delivery_oldest_pending_age_seconds", by="endpoint"),
        "{{endpoint}}",
        unit="s",
    )
    yield Panel(
        "Endpoints off or paused",
        (
            Query(f"1 - {highest('endpoint_enabled', by='endpoint')}", "{{endpoint}} off"),
            Query(highest("endpoint_paused", by="endpoint"), "{{endpoint}} paused"),
        ),
    )
    yield _lines("Firing rules of the config file", highest("alert_firing", by="rule"), "{{rule}}")


def _quarantine() -> Iterator[Panel]:
    yield _lines("Bodies in quarantine", highest("quarantine_bodies"), "bodies", width=12)
    yield _lines("Their bytes", highest("quarantine_bytes"), "bytes", unit="bytes", width=12)


def _processes() -> Iterator[Panel]:
    cpu = f"rate(process_cpu_seconds_total{{{_SELECTED}}}[{_WINDOW}])"
    yield _both("CPU", cpu, rate("writer_cpu_seconds", _WINDOW, by="instance"))
    memory = f"process_resident_memory_bytes{{{_SELECTED}}}"
    yield _both("Memory", memory, each("writer_resident_memory_bytes"), unit="bytes")
    yield _both("Open files", f"process_open_fds{{{_SELECTED}}}", each("writer_open_fds"))
    started = f"process_start_time_seconds{{{_SELECTED}}}"
    yield _both("Age", f"time() - {started}", f"time() - {each('writer_start_time_seconds')}", unit="s", width=12)
    yield _lines("Processes by version", f"count by (version) ({each('build_info')})", "{{version}}", width=12)


def _both(title: str, gateway: str, writer: str, *, unit: str = "short", width: int = 8) -> Panel:
    """What gateways use, and what the processes that write their ledger do."""
    queries = (Query(gateway, "{{instance}}"), Query(writer, "{{instance}}, writer"))
    return Panel(title, queries, unit=unit, width=width)


def _lines(title: str, expr: str, legend: str, *, unit: str = "short", width: int = 8) -> Panel:
    return Panel(title, (Query(expr, legend),), unit=unit, width=width)


def _quantiles(title: str, name: str) -> Panel:
    shares = {"50 %": 0.5, "99 %": 0.99, "99.9 %": 0.999}
    queries = tuple(Query(quantile(share, name, _WINDOW), words) for words, share in shares.items())
    return Panel(title, queries, unit="s")


def _number(
    title: str, expr: str, *, unit: str = "short", limit: float | None = None, low_is_bad: bool = False
) -> Panel:
    return Panel(title, (Query(expr, title),), unit, "stat", 4, limit, low_is_bad)
