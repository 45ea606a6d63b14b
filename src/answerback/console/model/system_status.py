"""The status of the system: the store, the recorder, the endpoints, the backlog, the quarantine, the alerts."""

from typing import NamedTuple

from answerback.console.dependencies import ConsoleDependencies
from answerback.domain.endpoints import Endpoint
from answerback.ledger.read.deliveries import DeliveryBacklogs
from answerback.recorder import InboxRecorder

_MAX_COUNTED = 100
_PENDING_WARNING = 1_000
RECORDER_BEHIND_S = 3.0
"""Up to then the ledger is as good as current."""
_TONES = ("good", "warn", "bad")


class StatusCheck(NamedTuple):
    """The result of a check. `text_name` names its text, with `amount` after it; `tone` is good, warn or bad, `reason` says why."""

    text_name: str
    tone: str
    amount: str
    section: str
    reason: str = ""


def check_system(deps: ConsoleDependencies) -> list[StatusCheck]:
    """Run all checks. Blocks for as long as the ledger does. Raises LedgerUnavailable."""
    ledger = deps.ledger
    refused = ledger.quarantined(None, None, _MAX_COUNTED)
    kept = f"{len(refused.items)}{'+' if refused.next_cursor else ''}"
    firing = sum(alert.firing for alert in deps.alerts.states())
    return [
        _check_store(deps.log_failure()),
        *_check_recorder(deps.recorder),
        *_check_endpoints(ledger.endpoints(), ledger.backlog()),
        StatusCheck("status_quarantine", "warn" if refused.items else "good", kept, "quarantine"),
        StatusCheck("status_alerts", "bad" if firing else "good", str(firing), "alerts"),
    ]


def worst_tone(checks: list[StatusCheck]) -> str:
    return max((check.tone for check in checks), key=_TONES.index)


def _check_store(failure: str | None) -> StatusCheck:
    return (
        StatusCheck("status_store", "good", "", "settings")
        if failure is None
        else StatusCheck("status_no_store", "bad", "", "settings", failure)
    )


def _check_recorder(recorder: InboxRecorder | None) -> list[StatusCheck]:
    if recorder is None:
        return []
    waiting = recorder.lag
    amount = f"{waiting.callbacks:,}" if waiting.callbacks else ""
    if recorder.failure is not None:
        return [StatusCheck("status_stalled", "bad", amount, "settings", str(recorder.failure))]
    if waiting.age_s >= RECORDER_BEHIND_S:
        return [StatusCheck("status_behind", "warn", amount, "settings")]
    return [StatusCheck("status_recorded", "good", "", "settings")]


def _check_endpoints(endpoints: list[Endpoint], backlog: DeliveryBacklogs) -> list[StatusCheck]:
    if not endpoints:
        return [StatusCheck("status_no_endpoints", "good", "", "endpoints")]
    failing = sum(endpoint.enabled and endpoint.paused_until is not None for endpoint in endpoints)
    left = sum(not endpoint.enabled and backlog[endpoint.id].pending > 0 for endpoint in endpoints)
    well = f"{len(endpoints) - failing - left}/{len(endpoints)}"
    waiting = sum(each.pending + each.blocked for each in backlog.values())
    dead = sum(each.dead for each in backlog.values())
    found = [
        StatusCheck("status_endpoints", "bad" if failing else "warn" if left else "good", well, "endpoints"),
        StatusCheck("status_waiting", "warn" if waiting > _PENDING_WARNING else "good", f"{waiting:,}", "endpoints"),
    ]
    return [*found, StatusCheck("status_dead", "warn", f"{dead:,}", "endpoints")] if dead else found
