"""What people read: each message in English and Chinese, with times as their clocks show them. Pure."""

from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

import msgspec

from answerback.alerts.hysteresis import News
from answerback.alerts.texts import HEADINGS, span
from answerback.i18n import Text
from answerback.ledger.admin.alerts import Alert


class Mood(StrEnum):
    """How a message is meant; services show it by a colour or a sign."""

    FAILURE = "failure"
    WARNING = "warning"
    SUCCESS = "success"
    INFO = "info"


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message, in plain text."""

    mood: Mood
    title: str
    body: str


class Letterhead(msgspec.Struct, frozen=True, kw_only=True):
    """What messages have in common: the time zone of their readers, and where the console is, if that is known."""

    timezone: str
    console_url: str | None = None


_MOODS = {News.BEGAN: Mood.FAILURE, News.STILL: Mood.WARNING, News.ENDED: Mood.SUCCESS}
_PREFIXES = {
    News.BEGAN: Text("", ""),
    News.STILL: Text("still: ", "仍未恢复："),
    News.ENDED: Text("over: ", "已恢复："),
}


def compose(news: News, alert: Alert, channel: str | None, letterhead: Letterhead) -> Message:
    """What `news` of an alert say; `channel` is the one that its rule is about."""
    heading, prefix = HEADINGS[alert.when], _PREFIXES[news]
    when = _when(news, alert, letterhead.timezone)
    where = Text(f"channel {channel}", f"通道 {channel}") if channel else Text("all channels", "全部通道")
    english = f"{_sentence(alert.en)}\n{when.en}\nRule {alert.rule}, {where.en}."
    chinese = f"{alert.zh}。\n{when.zh}\n规则 {alert.rule}，{where.zh}。"
    return Message(
        mood=_MOODS[news],
        title=f"Answerback: {prefix.en}{heading.en} ({alert.rule}) · {prefix.zh}{heading.zh}",
        body="\n\n".join(filter(None, [english, chinese, letterhead.console_url])),
    )


def trial(letterhead: Letterhead) -> Message:
    """A message to try who is reached."""
    return Message(
        mood=Mood.INFO,
        title="Answerback: a test · 测试",
        body="\n\n".join(
            filter(
                None,
                [
                    "Alerts arrive here. Nothing is wrong.",
                    "告警会发送到这里。目前一切正常。",
                    letterhead.console_url,
                ],
            )
        ),
    )


def _when(news: News, alert: Alert, timezone: str) -> Text:
    since = _clock(alert.since, timezone)
    if news is not News.ENDED:
        return Text(f"Since {since}.", f"开始于 {since}。")
    began_at = alert.began_at or alert.since
    began, lasted = _clock(began_at, timezone), span(round((alert.since - began_at).total_seconds()))
    return Text(
        f"Over since {since}; it began at {began} and lasted {lasted.en}.",
        f"结束于 {since}；开始于 {began}，持续 {lasted.zh}。",
    )


def _clock(moment: datetime, timezone: str) -> str:
    return f"{moment.astimezone(ZoneInfo(timezone)):%Y-%m-%d %H:%M:%S} ({timezone})"


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."
