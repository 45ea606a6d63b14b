"""When an alert begins and ends, and who is to be told of it. Pure.

What begins is told once, what ends is told once, to everybody who is to hear of it; between the two people are reminded.
Whoever could not be told of the begin is told of the end all the same: it says when it began.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from answerback.domain.alert_rules import AnyRule
from answerback.ledger.admin.alerts import Alert


class News(StrEnum):
    """What somebody is to be told."""

    BEGAN = "began"
    STILL = "still"
    ENDED = "ended"


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule measured, as a number and in words: whether it is as bad as the rule says, or clearly over.

    Neither means that it is between the two, or that it cannot be told: then everything stays as it is.
    """

    value: float | None
    over: bool
    clear: bool
    en: str
    zh: str


def step(alert: Alert, measured: Measured, now: datetime, rule: AnyRule) -> Alert:
    """The alert after a look: it turns when the measure has said so for the rule's time."""
    seen = msgspec.structs.replace(alert, value=measured.value, en=measured.en, zh=measured.zh, turning_at=None)
    if not (measured.clear if alert.firing else measured.over):
        return seen
    turning_at = alert.turning_at or max(now, alert.since)
    if now - turning_at < timedelta(seconds=rule.quiet_s if alert.firing else rule.for_s):
        return msgspec.structs.replace(seen, turning_at=turning_at)
    began_at = alert.began_at if alert.firing else turning_at
    return msgspec.structs.replace(seen, firing=not alert.firing, since=turning_at, began_at=began_at)


def news_for(alert: Alert, target: str, now: datetime, remind_s: float) -> News | None:
    """What a target is to be told now, if anything."""
    heard_at = alert.told.get(target)
    if not alert.firing:
        return News.ENDED if target in alert.told else None
    if heard_at is None:
        return News.BEGAN
    return News.STILL if remind_s and now - heard_at >= timedelta(seconds=remind_s) else None


def heard(alert: Alert, target: str, now: datetime) -> Alert:
    """The alert after its news arrived at a target."""
    others = {name: at for name, at in alert.told.items() if name != target}
    told = others | {target: now} if alert.firing else others
    return msgspec.structs.replace(alert, told=told, told_at=now)


def missed(alert: Alert, target: str) -> Alert:
    """The alert after its news did not arrive: the target is owed a word, of the end at the latest."""
    return msgspec.structs.replace(alert, told={target: None, **alert.told})


def among(alert: Alert, targets: Collection[str]) -> Alert:
    """The alert without those who are not to be told any more."""
    return msgspec.structs.replace(alert, told={name: at for name, at in alert.told.items() if name in targets})
