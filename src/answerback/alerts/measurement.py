"""A rule and the ledger make a number, a judgement, and words."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import singledispatch
from typing import NamedTuple

from sqlalchemy.engine import Connection

from answerback.alerts.hysteresis import Measurement
from answerback.alerts.texts import format_codes, format_count, format_duration, format_percent
from answerback.domain.alert_rules import (
    COUNT_HYSTERESIS,
    AnswerRateRule,
    BaseRule,
    CountRule,
    EndpointRule,
    FailuresRule,
    FeesRule,
    OverdueRule,
    QuarantineRule,
    RecorderLagRule,
)
from answerback.domain.endpoints import DISABLED_DELIBERATELY
from answerback.domain.phone_numbers import mask_text
from answerback.i18n import Text
from answerback.ledger.read import alert_metrics
from answerback.ledger.read.alert_metrics import MAX_COUNTED, EndpointBacklog

_MAX_PROBLEMS = 5


class MeasureContext(NamedTuple):
    """What a measurement reads: a connection of the ledger, the channels, and the time."""

    connection: Connection
    channels: Sequence[str]
    now: datetime


@singledispatch
def measure(rule: BaseRule, context: MeasureContext) -> Measurement:
    raise TypeError(f"{type(rule).__name__} at {context.now}: no such rule")


@measure.register
def _(rule: AnswerRateRule, context: MeasureContext) -> Measurement:
    answered, settled = alert_metrics.count_answered(
        context.connection, [rule.channel] if rule.channel else context.channels, rule.calls
    )
    if settled < rule.calls:
        words = Text(
            f"{settled:,} calls have an outcome so far, of {rule.calls:,} required",
            f"目前有结果的通话 {settled:,} 通，需要 {rule.calls:,} 通",
        )
        return Measurement(value=None, breached=False, resolved=False, en=words.en, zh=words.zh)
    rate = answered / settled
    return Measurement(
        value=rate,
        breached=rule.is_breached(rate),
        resolved=rule.is_resolved(rate),
        en=f"{format_percent(rate)} of the last {settled:,} calls were answered; the limit is {format_percent(rule.below)}",
        zh=f"最近 {settled:,} 通电话的接通率为 {format_percent(rate)}，下限为 {format_percent(rule.below)}",
    )


@measure.register
def _(rule: FailuresRule, context: MeasureContext) -> Measurement:
    number = alert_metrics.count_failures(
        context.connection, rule.codes, rule.channel, _window_start(rule, context.now), rule.above
    )
    which = format_codes(rule.codes)
    return _count_measurement(rule, number, Text(f"calls that failed with {which.en}", f"通电话失败（{which.zh}）"))


@measure.register
def _(rule: QuarantineRule, context: MeasureContext) -> Measurement:
    number = alert_metrics.count_quarantined(
        context.connection, rule.channel, _window_start(rule, context.now), rule.above
    )
    return _count_measurement(rule, number, Text("quarantined bodies", "个请求体进入隔离区"))


@measure.register
def _(rule: OverdueRule, context: MeasureContext) -> Measurement:
    number = alert_metrics.count_overdue(context.connection, rule.channel, _window_start(rule, context.now), rule.above)
    return _count_measurement(rule, number, Text("calls that became overdue", "通电话逾期"))


@measure.register
def _(rule: FeesRule, context: MeasureContext) -> Measurement:
    minutes, differing = alert_metrics.sum_fee_mismatches(
        context.connection, rule.channel, _window_start(rule, context.now)
    )
    within = format_duration(rule.within_s)
    return Measurement(
        value=float(minutes),
        breached=rule.is_breached(minutes),
        resolved=rule.is_resolved(minutes),
        en=f"minutes difference between billed and due: {minutes:,} within the last {within.en}, in calls: {differing:,};"
        f" the limit is {rule.above:,}",
        zh=f"最近 {within.zh}有 {differing:,} 通电话的计费分钟数与应计不符，共差 {minutes:,} 分钟，上限为 {rule.above:,}",
    )


@measure.register
def _(rule: EndpointRule, context: MeasureContext) -> Measurement:
    found = alert_metrics.find_endpoint_backlogs(
        context.connection,
        rule.endpoint,
        rule.channel,
        context.now - timedelta(seconds=rule.pending_s * COUNT_HYSTERESIS),
        rule.dead,
    )
    problems = [problem for backlog in found for problem in _find_problems(backlog, rule, context.now, 1.0)]
    uneasy = any(
        problem for backlog in found for problem in _find_problems(backlog, rule, context.now, COUNT_HYSTERESIS)
    )
    words = _join_problems(problems) if problems else Text("no problems", "一切正常")
    return Measurement(
        value=float(len(problems)), breached=bool(problems), resolved=not uneasy, en=words.en, zh=words.zh
    )


def measure_recorder_lag(rule: RecorderLagRule, lag_s: float, failure: str | None) -> Measurement:
    """For how long the oldest callback has waited to be recorded, and why if that is known."""
    lag, limit = format_duration(round(lag_s)), format_duration(rule.above_s)
    why = Text("", "") if failure is None else Text(f" ({failure})", f"（{failure}）")
    return Measurement(
        value=lag_s,
        breached=rule.is_breached(lag_s),
        resolved=rule.is_resolved(lag_s),
        en=f"the oldest callback that is not in the ledger yet has waited for {lag.en}{why.en}; the limit is {limit.en}",
        zh=f"最早一条尚未写入账本的回调已等待 {lag.zh}{why.zh}，上限为 {limit.zh}",
    )


def _window_start(rule: CountRule, now: datetime) -> datetime:
    return now - timedelta(seconds=rule.within_s)


def _count_measurement(rule: CountRule, number: int, what: Text) -> Measurement:
    shown, within = format_count(number, max(MAX_COUNTED, rule.above + 1)), format_duration(rule.within_s)
    return Measurement(
        value=float(number),
        breached=rule.is_breached(number),
        resolved=rule.is_resolved(number),
        en=f"{what.en}: {shown.en} within the last {within.en}; the limit is {rule.above:,}",
        zh=f"最近 {within.zh}有 {shown.zh} {what.zh}，上限为 {rule.above:,}",
    )


def _find_problems(backlog: EndpointBacklog, rule: EndpointRule, now: datetime, share: float) -> Iterator[Text]:
    """The problems of an endpoint where a limit is this share of the rule's."""
    endpoint, name = backlog.endpoint, backlog.endpoint.name
    if not endpoint.enabled:
        if endpoint.disabled_reason not in DISABLED_DELIBERATELY:
            reason = mask_text(endpoint.disabled_reason or "")
            yield Text(f"endpoint {name} was disabled: {reason}", f"端点 {name} 已停用：{reason}")
        return
    if endpoint.paused_until is not None:
        yield Text(
            f"endpoint {name} is paused, consecutive failures: {endpoint.consecutive_failures:,}",
            f"端点 {name} 连续失败 {endpoint.consecutive_failures:,} 次，已暂停",
        )
    waited_s = (now - backlog.oldest_at).total_seconds() if backlog.oldest_at else 0.0
    if waited_s > rule.pending_s * share:
        waited = format_duration(round(waited_s))
        yield Text(
            f"a delivery to endpoint {name} has been pending for {waited.en}", f"端点 {name} 有投递已等待 {waited.zh}"
        )
    if rule.dead is not None and backlog.dead > rule.dead * share:
        dead = format_count(backlog.dead, max(MAX_COUNTED, rule.dead + 1))
        yield Text(f"dead deliveries to endpoint {name}: {dead.en}", f"端点 {name} 有 {dead.zh} 条死信")


def _join_problems(problems: Sequence[Text]) -> Text:
    shown, more = problems[:_MAX_PROBLEMS], len(problems) - _MAX_PROBLEMS
    rest = [Text(f"{more} more", f"另有 {more} 项")] if more > 0 else []
    lines = [*shown, *rest]
    return Text("; ".join(line.en for line in lines), "；".join(line.zh for line in lines))
