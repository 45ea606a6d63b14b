"""What people read: each message in English and Chinese, with times as their clocks show them. Pure."""

from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

import msgspec

from answerback.alerts.hysteresis import AlertPhase
from answerback.alerts.texts import HEADINGS, format_duration
from answerback.i18n import Text
from answerback.ledger.admin.alerts import Alert


class Severity(StrEnum):
    """The severity of a message, as Apprise has it."""

    FAILURE = "failure"
    WARNING = "warning"
    SUCCESS = "success"
    INFO = "info"


class AlertMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One message, in plain text."""

    severity: Severity
    title: str
    body: str


class MessageContext(msgspec.Struct, frozen=True, kw_only=True):
    """What all messages need: the time zone, where the documents are, and the console, if that is known."""

    timezone: str
    console_url: str | None = None
    documents: str = "docs"


_SEVERITIES = {
    AlertPhase.FIRING: Severity.FAILURE,
    AlertPhase.REMINDER: Severity.WARNING,
    AlertPhase.RESOLVED: Severity.SUCCESS,
}
_PREFIXES = {
    AlertPhase.FIRING: Text("", ""),
    AlertPhase.REMINDER: Text("still: ", "仍未恢复："),
    AlertPhase.RESOLVED: Text("resolved: ", "已恢复："),
}


def compose_message(phase: AlertPhase, alert: Alert, channel: str | None, context: MessageContext) -> AlertMessage:
    """The message about a `phase` of an alert; `channel` is the one of its rule."""
    heading, prefix = HEADINGS[alert.metric], _PREFIXES[phase]
    when = _time_sentence(phase, alert, context.timezone)
    where = Text(f"channel {channel}", f"通道 {channel}") if channel else Text("all channels", "全部通道")
    english = f"{_capitalize(alert.en)}\n{when.en}\nRule {alert.rule}, {where.en}."
    chinese = f"{alert.zh}。\n{when.zh}\n规则 {alert.rule}，{where.zh}。"
    if phase is not AlertPhase.RESOLVED:
        english += f"\nWhat to do: {context.documents}/runbook.md#{alert.metric}"
        chinese += f"\n处理办法：{context.documents}/runbook.zh-CN.md#{alert.metric}"
    return AlertMessage(
        severity=_SEVERITIES[phase],
        title=f"Answerback: {prefix.en}{heading.en} ({alert.rule}) · {prefix.zh}{heading.zh}",
        body="\n\n".join(filter(None, [english, chinese, context.console_url])),
    )


def compose_test_message(context: MessageContext) -> AlertMessage:
    return AlertMessage(
        severity=Severity.INFO,
        title="Answerback: a test · 测试",
        body="\n\n".join(
            filter(
                None, ["Alerts arrive here. Nothing is wrong.", "告警会发送到这里。目前一切正常。", context.console_url]
            )
        ),
    )


def _time_sentence(phase: AlertPhase, alert: Alert, timezone: str) -> Text:
    since = _format_time(alert.since, timezone)
    if phase is not AlertPhase.RESOLVED:
        return Text(f"Since {since}.", f"开始于 {since}。")
    started_at = alert.started_at or alert.since
    began, lasted = (
        _format_time(started_at, timezone),
        format_duration(round((alert.since - started_at).total_seconds())),
    )
    return Text(
        f"Resolved at {since}; it began at {began} and lasted {lasted.en}.",
        f"恢复于 {since}；开始于 {began}，持续 {lasted.zh}。",
    )


def _format_time(moment: datetime, timezone: str) -> str:
    return f"{moment.astimezone(ZoneInfo(timezone)):%Y-%m-%d %H:%M:%S} ({timezone})"


def _capitalize(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."
