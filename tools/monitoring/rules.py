"""The alert rules: what somebody should be woken by, or look at in the morning."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from monitoring.promql import each, growth, highest, increase, quantile, rate, seen

JOB = "answerback"
RUNBOOK = "docs/runbook.md"
PROJECT = Path(__file__).parents[2] / "pyproject.toml"
CRITICAL, WARNING, INFO = "critical", "warning", "info"


class AlertRule(NamedTuple):
    """One rule of Prometheus'. `holds_for` is how long it has to hold; docs/runbook.md has a section of its name."""

    name: str
    expr: str
    holds_for: str
    severity: str
    summary: str
    description: str


def alert_rules() -> Iterator[AlertRule]:
    """All of them, the worst first."""
    yield from _intake()
    yield from _recorder()
    yield from _quarantine()
    yield from _erasures()
    yield from _stream()
    yield from _relay()


def _intake() -> Iterator[AlertRule]:
    yield AlertRule(
        "AnswerbackDown",
        f'up{{job="{JOB}"}} == 0',
        "30s",
        CRITICAL,
        "{{ $labels.instance }} does not answer",
        "A process of Answerback is gone or hangs. If no other one answers callbacks, they are being lost.",
    )
    yield AlertRule(
        "AnswerbackGone",
        "absent(answerback_up_for_writes)",
        "1m",
        CRITICAL,
        "no gateway is scraped at all",
        "Either none is running, or Prometheus cannot find them.",
    )
    yield AlertRule(
        "AnswerbackCannotStore",
        f"{each('up_for_writes')} == 0",
        "10s",
        CRITICAL,
        "{{ $labels.instance }} cannot store callbacks",
        "Every callback that it gets is answered 503. GET /readyz says why.",
    )
    yield AlertRule(
        "AnswerbackAnswers503",
        f"{increase('callback_responses', '5m', result='3002')} > 0",
        "0s",
        CRITICAL,
        "{{ $value | humanize }} callbacks were answered 503 within 5 minutes",
        "The cloud was asked to send them again, and may not do so.",
    )
    yield AlertRule(
        "AnswerbackCommitsFail",
        f"{increase('commit_failures', '5m')} > 0",
        "0s",
        WARNING,
        "{{ $value | humanize }} commits failed within 5 minutes",
        "The callbacks in them were answered 503. The log says why: storage_unavailable.",
    )
    yield AlertRule(
        "AnswerbackCommitsSlow",
        f"{quantile(0.99, 'commit_duration_seconds', '5m', by='instance')} > 1",
        "5m",
        WARNING,
        "one commit in a hundred takes {{ $value | humanizeDuration }} on {{ $labels.instance }}",
        "The disk of the inbox, or the stream, is in trouble.",
    )
    yield AlertRule(
        "AnswerbackLoopLate",
        f"{quantile(0.99, 'event_loop_lag_seconds', '5m', by='instance')} > 0.25",
        "5m",
        WARNING,
        "the event loop of {{ $labels.instance }} is {{ $value | humanizeDuration }} late",
        "It answers the callbacks. The machine has too little CPU, or something blocks the loop.",
    )
    yield AlertRule(
        "AnswerbackBacklog",
        f"{each('intake_queue_depth')} > 0.5 * {each('intake_max_pending')}",
        "30s",
        WARNING,
        "{{ $value | humanize }} callbacks wait for their commit on {{ $labels.instance }}",
        "This is half of the limit, intake.max_pending. Past the limit callbacks are answered 503.",
    )
    yield AlertRule(
        "AnswerbackSlowSenders",
        f"{increase('request_timeouts', '15m')} > 10",
        "0s",
        INFO,
        "{{ $value | humanize }} requests did not arrive in time within 15 minutes",
        "A bad network path to the cloud, or somebody who keeps connections open on purpose.",
    )


def _recorder() -> Iterator[AlertRule]:
    yield AlertRule(
        "AnswerbackInboxFull",
        f"{each('inbox_bytes')} > 0.5 * {each('inbox_max_bytes')}",
        "30s",
        CRITICAL,
        "the inbox of {{ $labels.instance }} is more than half full",
        "The ledger does not keep up, or is away. When the inbox is full (inbox.max_bytes), callbacks are answered 503.",
    )
    yield AlertRule(
        "AnswerbackRecorderStalled",
        f"{each('recorder_up')} == 0",
        "1m",
        CRITICAL,
        "{{ $labels.instance }} cannot record into the ledger",
        "Callbacks are answered and kept in the inbox or the stream, but not shown and not delivered. The log says why: recorder_stalled.",
    )
    yield AlertRule(
        "AnswerbackRecorderLag",
        f"{each('recorder_lag_seconds')} > 60",
        "1m",
        WARNING,
        "the ledger is {{ $value | humanizeDuration }} behind what {{ $labels.instance }} records",
        "It is away, slow or locked, or callbacks come in faster than they are recorded.",
    )
    yield AlertRule(
        "AnswerbackInboxDamaged",
        f"{increase('inbox_unreadable_rows', '15m')} > 0",
        "0s",
        CRITICAL,
        "{{ $value | humanize }} rows of an inbox were damaged or missing within 15 minutes",
        "Their callbacks were answered OK, and cannot be recorded. Quarantine says which rows, the log rows_unreadable.",
    )
    yield AlertRule(
        "AnswerbackRejectionsDropped",
        f"{increase('rejections_dropped', '15m')} > 0",
        "0s",
        WARNING,
        "{{ $value | humanize }} refused bodies were answered and not kept within 15 minutes",
        "Too many arrive. If a callback is among them, it is lost.",
    )


def _erasures() -> Iterator[AlertRule]:
    yield AlertRule(
        "AnswerbackErasureLate",
        f"{highest('erasure_oldest_age_seconds')} > 3600",
        "5m",
        WARNING,
        "an erasure has not been done for {{ $value | humanizeDuration }}",
        "Somebody's number is still stored. answerback status says what keeps it from being erased.",
    )


def _quarantine() -> Iterator[AlertRule]:
    yield AlertRule(
        "AnswerbackSetAside",
        f"{increase('callbacks_set_aside', '15m')} > 0",
        "0s",
        CRITICAL,
        "the ledger refused {{ $value | humanize }} callbacks within 15 minutes",
        "They are in quarantine, and in no call. The log says why: callbacks_set_aside.",
    )
    yield AlertRule(
        "AnswerbackQuarantineFull",
        f"{increase('callbacks', '15m', disposition='dropped')} > 0",
        "0s",
        CRITICAL,
        "{{ $value | humanize }} rejected bodies were not kept within 15 minutes",
        "Quarantine is full, or too many arrive. If a callback is among them, it is lost.",
    )
    yield AlertRule(
        "AnswerbackQuarantined",
        f"{increase('callbacks', '15m', disposition='quarantined')} > 0",
        "0s",
        WARNING,
        "{{ $value | humanize }} bodies could not be parsed within 15 minutes",
        "A scanner has found the URL, or the cloud has changed something.",
    )


def _stream() -> Iterator[AlertRule]:
    yield AlertRule(
        "AnswerbackStreamStuck",
        f"{highest('stream_oldest_age_seconds', by='stream')} > 300",
        "1m",
        CRITICAL,
        "a batch has been in {{ $labels.stream }} for {{ $value | humanizeDuration }}",
        "Its callbacks were answered OK and are not in the ledger yet: no recorder runs, or none can read this batch.",
    )
    yield AlertRule(
        "AnswerbackNoRecorder",
        f"{seen('stream_ack_duration_seconds', '5m')} > 0 unless {rate('callbacks', '5m')} > 0",
        "2m",
        CRITICAL,
        "callbacks go into the stream, and no recorder writes them to the ledger",
        "They are answered and safe, but not visible and not delivered. Start processes with the role recorder.",
    )
    yield AlertRule(
        "AnswerbackStreamUndecodable",
        f"{increase('stream_undecodable_batches', '15m')} > 0",
        "0s",
        CRITICAL,
        "the stream holds messages that this version cannot read",
        "They stay there. A newer version or another program has published them.",
    )
    yield AlertRule(
        "AnswerbackStreamFailover",
        f"{increase('stream_failovers', '5m', by='stream')} > 0",
        "0s",
        WARNING,
        "{{ $labels.stream }} did not acknowledge in time",
        "Its leader moved, or a NATS node is slow or gone. The batches went to another shard.",
    )


def _relay() -> Iterator[AlertRule]:
    yield AlertRule(
        "AnswerbackNoRelay",
        f"{highest('relay_active')} == 0",
        "1m",
        CRITICAL,
        "no gateway delivers to the endpoints",
        "Callbacks are answered and stored, and their deliveries wait.",
    )
    yield AlertRule(
        "AnswerbackEndpointPaused",
        f"{highest('endpoint_paused', by='endpoint')} == 1",
        "5m",
        WARNING,
        "the endpoint {{ $labels.endpoint }} is paused after failures",
        "Its receiver is down, or rejects every delivery.",
    )
    yield AlertRule(
        "AnswerbackEndpointOff",
        f"{highest('endpoint_enabled', by='endpoint')} == 0",
        "5m",
        INFO,
        "the endpoint {{ $labels.endpoint }} is off",
        "Its deliveries wait indefinitely. Somebody disabled it, or it answered 410.",
    )
    yield AlertRule(
        "AnswerbackDeliveriesLate",
        f"{highest('delivery_oldest_pending_age_seconds', by='endpoint')} > 600",
        "5m",
        WARNING,
        "the endpoint {{ $labels.endpoint }} gets its deliveries {{ $value | humanizeDuration }} late",
        "Choose a limit that your business can live with.",
    )
    yield AlertRule(
        "AnswerbackDeliveriesDead",
        f"{growth('deliveries_dead', '15m', by='endpoint')} > 0",
        "0s",
        CRITICAL,
        "deliveries to {{ $labels.endpoint }} are dead",
        "All their attempts failed. Fix the receiver, then: answerback deliveries replay --endpoint NAME --all-dead.",
    )
    yield AlertRule(
        "AnswerbackRuleFiring",
        f"{highest('alert_firing', by='rule')} == 1",
        "0s",
        INFO,
        "the rule {{ $labels.rule }} of the config file is firing",
        "Answerback itself has sent a message to the targets of alerts.notify.",
    )


def runbook_url() -> str:
    """Where the runbook is: below `repository` of pyproject.toml, as the package's other addresses; a path while that is empty."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))
    repository = project["tool"]["hatch"]["metadata"]["hooks"]["custom"]["repository"].rstrip("/")
    return f"{repository}/blob/main/{RUNBOOK}" if repository else RUNBOOK


def rules_document() -> dict[str, Any]:
    """deploy/prometheus/rules.yaml as data."""
    return {"groups": [{"name": "answerback", "interval": "10s", "rules": [_written(rule) for rule in alert_rules()]}]}


def _written(rule: AlertRule) -> dict[str, Any]:
    return {
        "alert": rule.name,
        "expr": rule.expr,
        "for": rule.holds_for,
        "labels": {"severity": rule.severity},
        "annotations": {
            "summary": rule.summary,
            "description": rule.description,
            "runbook_url": f"{runbook_url()}#{rule.name.lower()}",
        },
    }
