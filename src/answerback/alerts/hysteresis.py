"""When an alert fires and is resolved, and which notifications are due. Pure.

Each target gets one notification when a rule fires and one when it resolves, with reminders between the two.
A target that missed the first still gets the second, which says when it began.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from answerback.domain.alert_rules import BaseRule
from answerback.ledger.admin.alerts import Alert


class AlertPhase(StrEnum):
    """What a notification is about."""

    FIRING = "firing"
    REMINDER = "reminder"
    RESOLVED = "resolved"


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule measured, as a number and in words: whether it is as bad as the rule says, or clearly over.

    Neither means that the value is between the two, or unknown: then nothing changes.
    """

    value: float | None
    breached: bool
    resolved: bool
    en: str
    zh: str


def advance(alert: Alert, measurement: Measurement, now: datetime, rule: BaseRule) -> Alert:
    """The alert after a measurement: it fires or is resolved when that has held for the rule's time."""
    seen = msgspec.structs.replace(
        alert, value=measurement.value, en=measurement.en, zh=measurement.zh, pending_since=None
    )
    if not (measurement.resolved if alert.firing else measurement.breached):
        return seen
    turning_at = alert.pending_since or max(now, alert.since)
    if now - turning_at < timedelta(seconds=rule.keep_firing_for_s if alert.firing else rule.for_s):
        return msgspec.structs.replace(seen, pending_since=turning_at)
    started_at = alert.started_at if alert.firing else turning_at
    return msgspec.structs.replace(seen, firing=not alert.firing, since=turning_at, started_at=started_at)


def due_phase(alert: Alert, target: str, now: datetime, repeat_interval_s: float) -> AlertPhase | None:
    """What is to be sent to a target now, if anything."""
    last_sent_at = alert.last_sent_at.get(target)
    if not alert.firing:
        return AlertPhase.RESOLVED if target in alert.last_sent_at else None
    if last_sent_at is None:
        return AlertPhase.FIRING
    return (
        AlertPhase.REMINDER
        if repeat_interval_s and now - last_sent_at >= timedelta(seconds=repeat_interval_s)
        else None
    )


def mark_sent(alert: Alert, target: str, now: datetime) -> Alert:
    """The alert after a notification was sent to a target."""
    others = {name: at for name, at in alert.last_sent_at.items() if name != target}
    last_sent_at = others | {target: now} if alert.firing else others
    return msgspec.structs.replace(alert, last_sent_at=last_sent_at, notified_at=now)


def mark_failed(alert: Alert, target: str) -> Alert:
    """The alert after a notification failed: the target gets another, of the end at the latest."""
    return msgspec.structs.replace(alert, last_sent_at={target: None, **alert.last_sent_at})


def keep_targets(alert: Alert, targets: Collection[str]) -> Alert:
    """The alert without targets that are gone."""
    return msgspec.structs.replace(
        alert, last_sent_at={name: at for name, at in alert.last_sent_at.items() if name in targets}
    )
