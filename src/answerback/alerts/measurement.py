"""A rule and the ledger make a number, a judgement, and words."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import singledispatch
from typing import NamedTuple

from sqlalchemy.engine import Connection

from answerback.alerts.hysteresis import Measured
from answerback.alerts.texts import codes, count, percent, span
from answerback.domain.alert_rules import (
    SHARE,
    AnswerRateRule,
    AnyRule,
    CountRule,
    EndpointRule,
    FailuresRule,
    FeesRule,
    OverdueRule,
    QuarantineRule,
)
from answerback.domain.models import OFF_ON_PURPOSE
from answerback.domain.phone_numbers import mask_text
from answerback.i18n import Text
from answerback.ledger.read import alert_metrics
from answerback.ledger.read.alert_metrics import MOST_COUNTED, Health

_MOST_TROUBLES = 5


class Look(NamedTuple):
    """A look at the ledger: by which connection, at which channels there are, and when."""

    connection: Connection
    channels: Sequence[str]
    now: datetime


@singledispatch
def measure(rule: AnyRule, look: Look) -> Measured:
    """Measure what a rule is about."""
    raise TypeError(f"{type(rule).__name__} at {look.now}: no such rule")


@measure.register
def _(rule: AnswerRateRule, look: Look) -> Measured:
    answered, settled = alert_metrics.count_answered(
        look.connection, [rule.channel] if rule.channel else look.channels, rule.calls
    )
    if settled < rule.calls:
        words = Text(
            f"{settled:,} calls have an outcome so far, of {rule.calls:,} that it takes",
            f"目前有结果的通话 {settled:,} 通，需要 {rule.calls:,} 通",
        )
        return Measured(value=None, over=False, clear=False, en=words.en, zh=words.zh)
    rate = answered / settled
    return Measured(
        value=rate,
        over=rule.is_over(rate),
        clear=rule.is_clear(rate),
        en=f"{percent(rate)} of the last {settled:,} calls were answered; the limit is {percent(rule.below)}",
        zh=f"最近 {settled:,} 通通话的接通率为 {percent(rate)}，下限为 {percent(rule.below)}",
    )


@measure.register
def _(rule: FailuresRule, look: Look) -> Measured:
    number = alert_metrics.count_failures(look.connection, rule.codes, rule.channel, _since(rule, look.now), rule.above)
    which = codes(rule.codes)
    return _counted(rule, number, Text(f"calls that failed with {which.en}", f"通通话失败（{which.zh}）"))


@measure.register
def _(rule: QuarantineRule, look: Look) -> Measured:
    number = alert_metrics.count_quarantined(look.connection, rule.channel, _since(rule, look.now), rule.above)
    return _counted(rule, number, Text("bodies that went to quarantine", "个请求体进入隔离区"))


@measure.register
def _(rule: OverdueRule, look: Look) -> Measured:
    number = alert_metrics.count_overdue(look.connection, rule.channel, _since(rule, look.now), rule.above)
    return _counted(rule, number, Text("calls that became overdue", "通通话逾期无结果"))


@measure.register
def _(rule: FeesRule, look: Look) -> Measured:
    minutes, differing = alert_metrics.sum_differences(look.connection, rule.channel, _since(rule, look.now))
    within = span(rule.within_s)
    return Measured(
        value=float(minutes),
        over=rule.is_over(minutes),
        clear=rule.is_clear(minutes),
        en=f"minutes between billed and due: {minutes:,} within the last {within.en}, calls concerned: {differing:,};"
        f" the limit is {rule.above:,}",
        zh=f"最近 {within.zh}有 {differing:,} 通通话的计费分钟数与应计不符，共差 {minutes:,} 分钟，上限为 {rule.above:,}",
    )


@measure.register
def _(rule: EndpointRule, look: Look) -> Measured:
    found = alert_metrics.find_health(
        look.connection, rule.endpoint, rule.channel, look.now - timedelta(seconds=rule.pending_s * SHARE), rule.dead
    )
    troubles = [trouble for health in found for trouble in _troubles(health, rule, look.now, 1.0)]
    uneasy = any(trouble for health in found for trouble in _troubles(health, rule, look.now, SHARE))
    words = _listed(troubles) if troubles else Text("all is well", "一切正常")
    return Measured(value=float(len(troubles)), over=bool(troubles), clear=not uneasy, en=words.en, zh=words.zh)


def _since(rule: CountRule, now: datetime) -> datetime:
    return now - timedelta(seconds=rule.within_s)


def _counted(rule: CountRule, number: int, what: Text) -> Measured:
    shown, within = count(number, max(MOST_COUNTED, rule.above + 1)), span(rule.within_s)
    return Measured(
        value=float(number),
        over=rule.is_over(number),
        clear=rule.is_clear(number),
        en=f"{what.en}: {shown.en} within the last {within.en}; the limit is {rule.above:,}",
        zh=f"最近 {within.zh}有 {shown.zh} {what.zh}，上限为 {rule.above:,}",
    )


def _troubles(health: Health, rule: EndpointRule, now: datetime, share: float) -> Iterator[Text]:
    """What is wrong with an endpoint where a limit is this share of the rule's."""
    endpoint, name = health.endpoint, health.endpoint.name
    if not endpoint.enabled:
        if endpoint.disabled_reason not in OFF_ON_PURPOSE:
            reason = mask_text(endpoint.disabled_reason or "")
            yield Text(f"endpoint {name} was switched off: {reason}", f"端点 {name} 已被关闭：{reason}")
        return
    if endpoint.paused_until is not None:
        yield Text(
            f"endpoint {name} is paused, failures in a row: {endpoint.failures:,}",
            f"端点 {name} 连续失败 {endpoint.failures:,} 次，已暂停",
        )
    waited_s = (now - health.oldest_at).total_seconds() if health.oldest_at else 0.0
    if waited_s > rule.pending_s * share:
        waited = span(round(waited_s))
        yield Text(
            f"a delivery to endpoint {name} has been pending for {waited.en}", f"端点 {name} 有投递已等待 {waited.zh}"
        )
    if rule.dead is not None and health.dead > rule.dead * share:
        dead = count(health.dead, max(MOST_COUNTED, rule.dead + 1))
        yield Text(f"dead deliveries to endpoint {name}: {dead.en}", f"端点 {name} 有 {dead.zh} 条投递已放弃")


def _listed(troubles: Sequence[Text]) -> Text:
    shown, more = troubles[:_MOST_TROUBLES], len(troubles) - _MOST_TROUBLES
    rest = [Text(f"{more} more", f"另有 {more} 项")] if more > 0 else []
    lines = [*shown, *rest]
    return Text("; ".join(line.en for line in lines), "；".join(line.zh for line in lines))
