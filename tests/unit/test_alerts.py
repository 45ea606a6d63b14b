import asyncio
import json
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from apprise.decorators import notify
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from answerback.alerts import MessageContext, compose_test_message, open_targets, targets
from answerback.alerts.hysteresis import (
    AlertPhase,
    Measurement,
    advance,
    due_phase,
    keep_targets,
    mark_failed,
    mark_sent,
)
from answerback.alerts.messages import Severity, compose_message
from answerback.alerts.texts import format_count, format_duration, format_percent
from answerback.config import load_settings
from answerback.domain.alert_rules import METRICS, AnswerRateRule, EndpointRule, FailuresRule, QuarantineRule
from answerback.errors import ConfigError, MissingExtra
from answerback.ledger.admin.alerts import Alert

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
SECRET = "s3cr3t-key-of-the-group"


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def at(seconds: float) -> datetime:
    """That long after noon."""
    return NOON + timedelta(seconds=seconds)


# The settings.


def refused(match: str, **alerts: Any) -> str:
    """What is said of these alerts."""
    with pytest.raises(ConfigError, match=match) as caught:
        load_settings(overrides={"alerts": alerts})
    return str(caught.value)


def rule(**fields: Any) -> Any:
    """The only rule of a configuration, as it is read."""
    return load_settings(overrides={"alerts": {"rules": {"mine": fields}}}).alerts.rules["mine"]


def test_the_rules_of_the_documents_are_read(directory: Path) -> None:
    """The config file of docs/alerts.md is one."""
    text = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text(encoding="utf-8")
    (example,) = [block.split("```")[0] for block in text.split("```toml\n")[1:] if "[alerts]" in block]
    (directory / "answerback.toml").write_text(f'[channels.alerts]\ntoken = "0123456789abcdef"\n{example}')
    settings = load_settings()
    assert {one.metric for one in settings.alerts.rules.values()} == set(METRICS)
    assert len(open_targets([url.get_secret_value() for url in settings.alerts.notify])) == 3


def test_a_rule_needs_little() -> None:
    """What is left out has a default: at once, with a pause before the end, and a reminder."""
    mine = rule(metric="quarantine")
    assert (mine.channel, mine.above, mine.within_s, mine.resolve_below) == (None, 0, 3600, None)
    assert (mine.for_s, mine.keep_firing_for_s, mine.repeat_interval_s) == (0, 60, 21_600)
    assert rule(metric="answer_rate", below=0.6).calls == 100
    assert (rule(metric="endpoint").endpoint, rule(metric="endpoint").pending_s) == (None, 300)


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        (
            {},
            r"^alerts\.rules\.mine\.metric: expected one of answer_rate, failures, endpoint, quarantine, fees, overdue, recorder_lag$",
        ),
        ({"metric": "weather"}, r"^alerts\.rules\.mine\.metric: expected one of answer_rate, "),
        ({"metric": "answer_rate"}, r"^alerts\.rules\.mine\.below: "),
        ({"metric": "answer_rate", "below": 1.1}, r"^alerts\.rules\.mine\.below: "),
        ({"metric": "answer_rate", "below": 0}, r"^alerts\.rules\.mine\.below: "),
        ({"metric": "answer_rate", "below": float("nan")}, r"^alerts\.rules\.mine\.below: "),
        ({"metric": "answer_rate", "below": 0.6, "calls": 0}, r"^alerts\.rules\.mine\.calls: "),
        ({"metric": "answer_rate", "below": 0.6, "calls": 10_001}, r"^alerts\.rules\.mine\.calls: "),
        (
            {"metric": "answer_rate", "below": 0.6, "above": 1},
            r"^alerts\.rules\.mine\.above: there is no such setting$",
        ),
        (
            {"metric": "answer_rate", "below": 0.6, "resolve_above": 0.5},
            r"^alerts\.rules\.mine\.resolve_above: is less than below",
        ),
        ({"metric": "failures"}, r"^alerts\.rules\.mine\.codes: "),
        ({"metric": "failures", "codes": []}, r"^alerts\.rules\.mine\.codes: "),
        ({"metric": "failures", "codes": ["x"]}, r"^alerts\.rules\.mine\.codes\.0: "),
        ({"metric": "fees", "above": -1}, r"^alerts\.rules\.mine\.above: "),
        (
            {"metric": "fees", "above": 5, "resolve_below": 6},
            r"^alerts\.rules\.mine\.resolve_below: is more than above",
        ),
        ({"metric": "overdue", "within_s": 0}, r"^alerts\.rules\.mine\.within_s: "),
        ({"metric": "endpoint", "pending_s": -1}, r"^alerts\.rules\.mine\.pending_s: "),
        ({"metric": "quarantine", "for_s": -1}, r"^alerts\.rules\.mine\.for_s: "),
        ({"metric": "quarantine", "repeat_interval_s": float("inf")}, r"^alerts\.rules\.mine\.repeat_interval_s: "),
        ({"metric": "recorder_lag", "channel": "default"}, r"^alerts\.rules\.mine\.channel: has no effect"),
        ({"metric": "recorder_lag", "above_s": 0}, r"^alerts\.rules\.mine\.above_s: "),
        ({"metric": "quarantine", "channel": "codes"}, r"^alerts\.rules\.mine\.channel: there is no channel codes$"),
    ],
)
def test_an_invalid_rule_is_refused_by_the_name_of_its_field(fields: dict[str, Any], match: str) -> None:
    """The error says where it is, with the rule's own name, and what it may be."""
    refused(match, rules={"mine": fields})


@pytest.mark.parametrize("metric", METRICS)
def test_a_rule_may_be_called_as_what_it_measures(metric: str) -> None:
    """The name of a rule is not taken for its `metric`, nor left out of the error."""
    refused(
        rf"^alerts\.rules\.{metric}\.keep_firing_for_s: ",
        rules={metric: {"metric": metric, "keep_firing_for_s": -1, "below": 1, "codes": [1]}},
    )


def test_the_alerts_themselves_are_checked() -> None:
    """A name that is none, a pause that is none, a setting that there is not."""
    refused(r"^alerts\.rules\.Few Answers: a name is ", rules={"Few Answers": {"metric": "quarantine"}})
    refused(r"^alerts\.evaluation_interval_s: ", evaluation_interval_s=0)
    assert SECRET not in refused(r"^alerts\.notify: ", notify=f"wecombot://{SECRET}")
    assert SECRET not in refused(r"^alerts\.notify\.0: ", notify=[{"url": SECRET}])
    refused(r"^alerts\.unknown: there is no such setting$", unknown=[])


def test_rules_can_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists are JSON, numbers are read, names are written with underscores."""
    for name, value in {
        "NOTIFY": f'["wecombot://{SECRET}"]',
        "RULES__FEW_ANSWERS__METRIC": "answer_rate",
        "RULES__FEW_ANSWERS__BELOW": "0.6",
        "RULES__NUMBERS__METRIC": "failures",
        "RULES__NUMBERS__CODES": "[8, 15]",
    }.items():
        monkeypatch.setenv(f"ANSWERBACK_ALERTS__{name}", value)
    alerts = load_settings().alerts
    assert alerts.notify == (SecretStr(f"wecombot://{SECRET}"),)
    assert alerts.rules["few_answers"] == AnswerRateRule(below=0.6)
    assert alerts.rules["numbers"] == FailuresRule(codes=(8, 15))
    monkeypatch.setenv("ANSWERBACK_ALERTS__RULES__NUMBERS__CODES", "many")
    with pytest.raises(ConfigError, match=r"^environment: .*alerts"):
        load_settings()


# The URLs.


@pytest.mark.parametrize("invalid", [f"wecom://{SECRET}", "hooks.example.com", "", "mailto://", f"wecombot:{SECRET}"])
def test_a_url_that_apprise_cannot_read_is_named_and_not_shown(invalid: str) -> None:
    """The place in the list is enough to find it: what is in it is a secret."""
    with pytest.raises(ConfigError, match=r"^alerts\.notify\[1\]: is not a URL that Apprise can read") as caught:
        open_targets(["json://127.0.0.1", invalid])
    assert SECRET not in str(caught.value)


def test_without_apprise_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Apprise is an extra: whoever names nobody to tell does without it."""
    monkeypatch.setitem(sys.modules, "apprise", None)
    assert open_targets([]) == []
    with pytest.raises(MissingExtra, match=r'^alerts\.notify needs Apprise: pip install "answerback\[alerts\]"$'):
        open_targets(["json://127.0.0.1"])


def test_the_services_of_the_issue_are_known() -> None:
    """WeCom, DingTalk, Lark, mail, webhook; each is called by its place and its scheme."""
    urls = [
        f"wecombot://{SECRET}",
        "dingtalk://abcdef0123456789",
        f"lark://{SECRET}",
        "mailto://user:password@example.com",
        "jsons://hooks.example.com/voice",
    ]
    assert [target.name for target in open_targets(urls)] == [
        "notify[0] wecombot",
        "notify[1] dingtalk",
        "notify[2] lark",
        "notify[3] mailto",
        "notify[4] jsons",
    ]


def test_a_url_is_never_shown() -> None:
    """The settings hide it, however they are printed."""
    settings = load_settings(overrides={"alerts": {"notify": [f"wecombot://{SECRET}"]}})
    assert SECRET not in f"{settings} {settings!r} {settings.model_dump_json()}"


def test_what_nobody_takes_is_an_error_without_the_url() -> None:
    """A port at which nothing listens."""
    (target,) = open_targets([f"json://127.0.0.1:9/{SECRET}"])

    async def send() -> str | None:
        return await target.send(compose_test_message(MessageContext(timezone="UTC")))

    assert asyncio.run(send()) == "could not be reached, or refused the message"


def test_a_service_that_hangs_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop goes on, the wait ends, the next word waits for no second thread, and later ones arrive."""
    monkeypatch.setattr(targets, "_TIMEOUT_S", 0.2)
    hangs, arrived = threading.Event(), []

    @notify(on="hanging")  # type: ignore[no-untyped-call, untyped-decorator]  # Apprise says nothing of it
    def hang(body: str, *_args: object, **_options: object) -> bool:
        hangs.wait(10)
        arrived.append(body)
        return True

    async def live() -> list[str | None]:
        (target,) = open_targets(["hanging://"])
        message = compose_test_message(MessageContext(timezone="UTC"))
        sending = asyncio.create_task(target.send(message))
        beats = 0
        while not sending.done():
            await asyncio.sleep(0.01)
            beats += 1
        assert beats > 5
        said = [await sending, await target.send(message)]
        hangs.set()
        while (last := await target.send(message)) == said[1]:  # noqa: ASYNC110  # it ends in a thread of Apprise's
            await asyncio.sleep(0.01)
        return [*said, last]

    assert asyncio.run(live()) == ["did not answer within 0 s", "is still busy with the message before", None]
    assert len(arrived) == 2


def test_a_service_that_breaks_is_an_error() -> None:
    """Whatever a plug-in raises, and where it refuses without a word."""

    @notify(on="breaking")  # type: ignore[no-untyped-call, untyped-decorator]  # as above
    def fail(*_args: object, **_options: object) -> bool:
        raise ZeroDivisionError(SECRET)

    async def send() -> str | None:
        (target,) = open_targets(["breaking://"])
        return await target.send(compose_test_message(MessageContext(timezone="UTC")))

    said = asyncio.run(send())
    assert said
    assert SECRET not in said


# Begin and end.

LOOKS = st.lists(
    st.tuples(st.sampled_from(["over", "between", "clear"]), st.integers(1, 90), st.booleans()), max_size=60
)
"""What is measured, after how long, and whether a word would arrive."""

RULES = st.builds(
    QuarantineRule,
    for_s=st.sampled_from([0, 30, 120]),
    keep_firing_for_s=st.sampled_from([0, 60, 200]),
    repeat_interval_s=st.sampled_from([0, 100, 1_000]),
)
TARGET = "notify[0] json"


def measured(what: str) -> Measurement:
    """A measure by what it says."""
    return Measurement(value=1, breached=what == "over", resolved=what == "clear", en=what, zh=what)


def lived(
    looks: Sequence[tuple[str, int, bool]], by: QuarantineRule
) -> list[tuple[str, datetime, Alert, AlertPhase | None]]:
    """What was measured, metric, the alert after it, and what the target heard then."""
    alert, now, story = Alert(rule="mine", metric="quarantine", since=NOON), NOON, []
    for what, pause_s, arrives in looks:
        now += timedelta(seconds=pause_s)
        alert = advance(alert, measured(what), now, by)
        news = due_phase(alert, TARGET, now, by.repeat_interval_s)
        if news is not None:
            alert = mark_sent(alert, TARGET, now) if arrives else mark_failed(alert, TARGET)
        story.append((what, now, alert, news if arrives else None))
    return story


@given(LOOKS, RULES)
def test_a_firing_alert_is_sent_once_until_its_end(looks: list[tuple[str, int, bool]], by: QuarantineRule) -> None:
    """Nobody hears of a begin twice without an end between, whatever arrives and whatever does not."""
    reported = [news for _, _, _, news in lived(looks, by) if news in (AlertPhase.FIRING, AlertPhase.RESOLVED)]
    assert (AlertPhase.FIRING, AlertPhase.FIRING) not in pairwise(reported)


@given(LOOKS, RULES)
def test_it_turns_only_when_the_measure_says_so_long_enough(
    looks: list[tuple[str, int, bool]], by: QuarantineRule
) -> None:
    """It never ends while the condition holds or is between, never begins without it, and never before its time."""
    before, steady_since, last = False, NOON, ""
    for what, now, alert, _ in lived(looks, by):
        steady_since = now if what != last else steady_since
        last = what
        if alert.firing != before:
            assert what == ("over" if alert.firing else "clear")
            assert (now - steady_since).total_seconds() >= (by.for_s if alert.firing else by.keep_firing_for_s)
        before = alert.firing


@given(LOOKS, RULES)
def test_it_begins_and_ends_where_it_is_due(looks: list[tuple[str, int, bool]], by: QuarantineRule) -> None:
    """After the rule's time of the same measure it has turned."""
    for what, due in (("over", True), ("clear", False)):
        steady = [*looks, (what, 1, True), (what, 300, True)]
        assert lived(steady, by)[-1][2].firing is due


@given(LOOKS, RULES)
def test_everybody_hears_the_end_at_last(looks: list[tuple[str, int, bool]], by: QuarantineRule) -> None:
    """Once it is over and words arrive, nobody is owed one, and whoever heard of a begin has heard of its end."""
    story = lived([*looks, ("clear", 1, True), ("clear", 300, True)], by)
    reported = [news for _, _, _, news in story if news is not None]
    assert story[-1][2].last_sent_at == {}
    assert not reported or reported[-1] is AlertPhase.RESOLVED


@given(LOOKS, RULES)
def test_times_never_go_back(looks: list[tuple[str, int, bool]], by: QuarantineRule) -> None:
    """`since` only rises, and an end is not before its begin."""
    before = NOON
    for _, now, alert, _ in lived(looks, by):
        assert before <= alert.since <= now
        assert alert.started_at is None or alert.started_at <= alert.since
        before = alert.since


@given(LOOKS, RULES)
def test_reminders_keep_their_pause(looks: list[tuple[str, int, bool]], by: QuarantineRule) -> None:
    """Not sooner than the rule says after the last word, and never where it says never."""
    last = NOON
    for _, now, _, news in lived(looks, by):
        if news is AlertPhase.REMINDER:
            assert by.repeat_interval_s
            assert (now - last).total_seconds() >= by.repeat_interval_s
        last = now if news is not None else last


def test_an_alert_that_could_not_be_sent_is_sent_at_its_end() -> None:
    """The end says metric it began: nothing is lost because the network was away, too."""
    by = QuarantineRule(keep_firing_for_s=0)
    story = lived([("over", 1, False), ("over", 1, False), ("clear", 1, True)], by)
    assert [news for _, _, _, news in story] == [None, None, AlertPhase.RESOLVED]


def test_a_target_that_is_new_hears_what_lasts_and_not_what_is_over() -> None:
    """One that was added to the config file meanwhile, and one that was taken out of it."""
    firing = Alert(rule="mine", metric="fees", since=NOON, firing=True, last_sent_at={TARGET: NOON, "gone": NOON})
    assert due_phase(firing, "notify[1] json", at(1), 0) is AlertPhase.FIRING
    assert due_phase(Alert(rule="mine", metric="fees", since=NOON), "notify[1] json", at(1), 0) is None
    assert keep_targets(firing, [TARGET]).last_sent_at == {TARGET: NOON}


@given(st.floats(0, 1), st.floats(0.01, 1))
def test_an_answer_rate_is_not_low_and_well_at_once(rate: float, below: float) -> None:
    """Between the two there is a margin of five points; all calls answered is always well."""
    by = AnswerRateRule(below=below)
    assert not (by.is_breached(rate) and by.is_resolved(rate))
    assert by.is_resolved(1.0)
    assert by.is_resolved(rate) == (rate >= min(1.0, below + 0.05))


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_a_count_is_not_high_and_well_at_once(number: int, above: int) -> None:
    """It is over at 80 % of the limit; nothing at all is always well."""
    by = QuarantineRule(above=above)
    assert not (by.is_breached(number) and by.is_resolved(number))
    assert by.is_resolved(0)
    assert by.is_resolved(number) == (number <= above * 0.8)


def test_the_end_can_be_set() -> None:
    """`resolve_above` and `resolve_below` are where it ends, in place of the margin."""
    assert AnswerRateRule(below=0.5, resolve_above=0.9).is_resolved(0.9)
    assert not AnswerRateRule(below=0.5, resolve_above=0.9).is_resolved(0.89)
    assert not QuarantineRule(above=10, resolve_below=2).is_resolved(3)
    assert QuarantineRule(above=10, resolve_below=2).is_resolved(2)


# What people read.

ENDED = Alert(
    rule="few-answers",
    metric="answer_rate",
    since=at(720),
    started_at=NOON,
    value=0.7,
    en="70% of the last 100 calls were answered; the limit is 60%",
    zh="最近 100 通电话的接通率为 70%，下限为 60%",
)
BEGAN = Alert(
    rule="few-answers",
    metric="answer_rate",
    since=NOON,
    firing=True,
    value=0.41,
    en="41% of the last 100 calls were answered; the limit is 60%",
    zh="最近 100 通电话的接通率为 41%，下限为 60%",
)


def test_a_message_says_what_how_much_since_when_and_where() -> None:
    """In both languages, in the readers' time, with the way to the console."""
    head = MessageContext(timezone="Asia/Shanghai", console_url="https://voice.example.com/console")
    message = compose_message(AlertPhase.FIRING, BEGAN, "alerts", head)
    assert message.severity is Severity.FAILURE
    assert message.title == "Answerback: low answer rate (few-answers) · 接通率过低"
    assert message.body == (
        "41% of the last 100 calls were answered; the limit is 60%.\n"
        "Since 2026-05-01 20:00:00 (Asia/Shanghai).\n"
        "Rule few-answers, channel alerts.\n"
        "What to do: docs/runbook.md#answer_rate\n\n"
        "最近 100 通电话的接通率为 41%，下限为 60%。\n"
        "开始于 2026-05-01 20:00:00 (Asia/Shanghai)。\n"
        "规则 few-answers，通道 alerts。\n"
        "处理办法：docs/runbook.zh-CN.md#answer_rate\n\n"
        "https://voice.example.com/console"
    )


def test_the_end_says_how_long_it_lasted() -> None:
    """So that whoever missed the begin knows all of it."""
    message = compose_message(AlertPhase.RESOLVED, ENDED, None, MessageContext(timezone="UTC"))
    assert message.severity is Severity.SUCCESS
    assert message.title == "Answerback: resolved: low answer rate (few-answers) · 已恢复：接通率过低"
    assert (
        "Resolved at 2026-05-01 12:12:00 (UTC); it began at 2026-05-01 12:00:00 (UTC) and lasted 12 min."
        in message.body
    )
    assert "持续 12 分钟" in message.body
    assert "all channels" in message.body
    assert "console" not in message.body


def test_a_reminder_says_that_it_lasts() -> None:
    """It is not taken for a new one."""
    message = compose_message(AlertPhase.REMINDER, BEGAN, None, MessageContext(timezone="UTC"))
    assert (message.severity, "still: " in message.title, "仍未恢复：" in message.title) == (
        Severity.WARNING,
        True,
        True,
    )


def test_numbers_are_said_as_people_say_them() -> None:
    """Spans in their own unit, shares in percent, a count that was cut off as that."""
    spans = (0, 59, 60, 90, 120, 3600, 5400, 86_400, 180_000)
    assert [format_duration(s).en for s in spans] == [
        "0 s",
        "59 s",
        "1 min",
        "90 s",
        "2 min",
        "1 h",
        "90 min",
        "1 d",
        "2.1 d",
    ]
    assert format_duration(300).zh == "5 分钟"
    assert (format_percent(0.415), format_percent(1.0)) == ("41.5%", "100%")
    assert (format_count(1_234, 100_000).en, format_count(100_000, 100_000).en) == ("1,234", "at least 100,000")


def test_the_settings_are_one_json_document_without_secrets() -> None:
    """Rules are part of what is dumped, each with its `metric`."""
    settings = load_settings(overrides={"alerts": {"rules": {"crm": {"metric": "endpoint", "endpoint": "crm"}}}})
    assert settings.alerts.rules["crm"] == EndpointRule(endpoint="crm")
    assert json.loads(settings.model_dump_json())["alerts"]["rules"]["crm"]["metric"] == "endpoint"
