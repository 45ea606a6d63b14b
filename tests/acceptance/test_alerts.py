"""People are notified: a real gateway, and a real receiver of what Apprise sends."""

import itertools
import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from console_client import signed_in
from contract.databases import ledger_database
from gateway import OK, Gateway, failure, prompt, run
from postgresql import shared_server
from prometheus_client.parser import text_string_to_metric_families
from receivers.process import Receive, Receiver, await_true
from receivers.webhook_receiver import relaying

NUMBER = "13788888888"
PULSE_TOKEN = "tok-pulse-3k5Jq0ZtV2"
PULSE = f"""
[channels.pulse]
token = "{PULSE_TOKEN}"
[alerts.rules.pulse]
metric = "quarantine"
channel = "pulse"
repeat_interval_s = 0.001
"""
"""A rule that people are reminded of with every look, once there is something in quarantine by its channel."""
CHANNELS = {name: f"tok-{name}-9fW1xYbR7m" for name in ("few", "junk", "dead", "crm", "metric")}


class People:
    """Those who are notified, by a webhook: what they read so far, of one rule or of all but the pulse."""

    def __init__(self, receiver: Receiver, rule: str | None = None) -> None:
        self.receiver = receiver
        self._rule = rule

    @property
    def url(self) -> str:
        """Their Apprise URL."""
        return f"json://127.0.0.1:{self.receiver.port}/group-secret"

    @property
    def read(self) -> list[dict[str, Any]]:
        """Every message that their service took."""
        return [
            message
            for message in self._messages
            if ("(pulse)" not in message["title"] if self._rule is None else f"({self._rule})" in message["title"])
        ]

    @property
    def _messages(self) -> list[dict[str, Any]]:
        return [one.document for one in self.receiver.taken if one.status == 200]

    @property
    def titles(self) -> list[str]:
        """The English part of the titles."""
        return [message["title"].removeprefix("Answerback: ").partition(" · ")[0] for message in self.read]

    def await_read(self, count: int) -> dict[str, Any]:
        """Wait until they have read so many; the last."""
        await_true(lambda: len(self.read) >= count, lambda: f"read {self.titles}, not {count}")
        assert len(self.read) == count, self.titles
        return self.read[-1]

    def await_look(self) -> None:
        """Wait until a whole evaluation has passed that began after now: whatever it had to send was sent, and is kept."""

        def looks() -> int:
            return sum("(pulse)" in message["title"] for message in self._messages)

        before = looks()  # the first after these may have begun before now, and the second not be at its end
        await_true(lambda: looks() >= before + 3, lambda: f"no looks: {self._messages}")


@pytest.fixture
def people(receive: Receive) -> People:
    """People whose service takes everything."""
    return People(receive("people"))


def alerting(
    home: Path, rules: str, *people: People | str, settings: Mapping[str, str] | None = None, more: str = ""
) -> Gateway:
    """A gateway that tells people by these rules, and looks as often as it can."""
    urls = json.dumps([one if isinstance(one, str) else one.url for one in people])
    config = home / "alerts.toml"
    config.write_text(f"{more}\n[alerts]\nnotify = {urls}\nevaluation_interval_s = 0.1\n{rules}")
    return Gateway(home / "data", settings=settings, options=["--config", config])


SHARED = """
[alerts.rules.few]
metric = "answer_rate"
channel = "few"
below = 0.6
calls = 5
keep_firing_for_s = 0
[alerts.rules.junk]
metric = "quarantine"
channel = "junk"
above = 1
within_s = 3
keep_firing_for_s = 0
[alerts.rules.dead]
metric = "failures"
channel = "dead"
codes = [8]
for_s = 1
repeat_interval_s = 0.5
[alerts.rules.crm-down]
metric = "endpoint"
endpoint = "crm"
keep_firing_for_s = 0.5
[alerts.rules.metric]
metric = "quarantine"
channel = "metric"
[alerts.rules.never]
metric = "failures"
codes = [404]
"""


class Shared(NamedTuple):
    """One gateway for the rules that leave each other alone: each looks at a channel of its name."""

    gateway: Gateway
    reported: Receiver
    crm: Receiver
    """Refuses everything, and is an endpoint of the channel `crm`."""

    def people(self, rule: str) -> People:
        """Those who are notified, as far as it is by a rule."""
        return People(self.reported, rule)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """A gateway with a pulse."""
    home = tmp_path_factory.mktemp("alerts")
    with Receiver(home, "people") as reported, Receiver(home, "crm", behaviour="refusing", status=500) as crm:
        channels = "".join(f'[channels.{name}]\ntoken = "{token}"\n' for name, token in CHANNELS.items())
        endpoint = f'[endpoints.crm]\nchannel = "crm"\nurl = "{crm.url}"\n'
        settings = relaying(str([0.1] * 50), breaker_threshold="3", breaker_cooldowns_s="[0.3]")
        rules, more = SHARED + PULSE, channels + endpoint
        with alerting(home, rules, People(reported), settings=settings, more=more) as gateway:
            gateway.post(b"{", PULSE_TOKEN)
            yield Shared(gateway, reported, crm)


def state(gateway: Gateway, rule: str) -> dict[str, Any]:
    """A rule as /v1/alerts shows it."""
    (found,) = [item for item in gateway.items("/v1/alerts") if item["rule"] == rule]
    return found


def await_state(gateway: Gateway, rule: str, **fields: object) -> dict[str, Any]:
    """Wait until a rule has these fields; all of it."""
    await_true(
        lambda: fields.items() <= state(gateway, rule).items(), lambda: f"{fields} never came: {state(gateway, rule)}"
    )
    return state(gateway, rule)


def hears(gateway: Gateway, outcome: str, *callids: str, channel: str | None = None) -> None:
    """The cloud tells of calls that were answered, or were not."""
    changed = {} if outcome == "answered" else {"result": "1", "accept_time": "", "fee": ""}
    for callid in callids:
        assert gateway.post(prompt(callid, **changed), channel and CHANNELS[channel]).content == OK


JUNK = '[alerts.rules.junk]\nmetric = "quarantine"\nchannel = "default"\n' + PULSE
FEW = '[alerts.rules.few]\nmetric = "answer_rate"\nbelow = 0.6\ncalls = 5\nkeep_firing_for_s = 0\n'


def test_few_answers_begin_and_end_and_do_not_flap(shared: Shared) -> None:
    """One message when the rate falls, none while it wavers around the limit, one when it is well again."""
    gateway, people = shared.gateway, shared.people("few")
    hears(gateway, "answered", "a1", "a2", "a3", channel="few")
    assert await_state(gateway, "few", value=None)["firing"] is False
    hears(gateway, "unanswered", "u1", "u2", "u3", channel="few")
    began = people.await_read(1)
    assert began["title"] == "Answerback: low answer rate (few) · 接通率过低"
    assert began["message"].startswith("40% of the last 5 calls were answered; the limit is 60%.\nSince 20")
    assert "最近 5 通电话的接通率为 40%，下限为 60%。" in began["message"]
    assert "(Asia/Shanghai)" in began["message"]
    assert began["type"] == "failure"
    await_true(lambda: state(gateway, "few")["notified_at"], lambda: "not told")
    shown = await_state(gateway, "few", firing=True, value=0.4, error=None)
    assert shown["notified_at"] >= shown["since"]
    with signed_in(gateway, language="zh") as person:
        overview, rows = person.text(""), person.get("alerts").split("<tr ")[2:]
    assert "few · 最近 5 通电话的接通率为 40%，下限为 60%" in overview
    assert sorted(rows, key=lambda row: "state-bad" not in row) == rows
    row = next(row for row in rows if ">few<" in row)
    assert 'href="/console/failures"' in row
    assert "docs/runbook.zh-CN.md#answer_rate" in row

    hears(gateway, "answered", "a4", "a5", "a6", channel="few")  # 60 %: no longer under the limit, not clearly over
    await_state(gateway, "few", firing=True, value=0.6)
    hears(gateway, "unanswered", "u4", "u5", "u6", channel="few")
    await_state(gateway, "few", firing=True, value=0.4)
    hears(gateway, "answered", "a7", "a8", "a9", channel="few")
    await_state(gateway, "few", firing=True, value=0.6)
    people.await_look()
    assert len(people.read) == 1
    hears(gateway, "answered", "a10", channel="few")
    ended = people.await_read(2)
    assert ended["title"].startswith("Answerback: resolved: low answer rate (few) · 已恢复：")
    assert ended["type"] == "success"
    people.await_look()
    assert len(people.read) == 2
    await_state(gateway, "few", firing=False, error=None)


@pytest.mark.soak
def test_a_kill_makes_nobody_hear_it_twice_nor_miss_the_end(tmp_path: Path, people: People) -> None:
    """What was sent is on disk before the next evaluation: after SIGKILL there is silence until it is over."""
    with alerting(tmp_path, FEW + PULSE, people) as gateway:
        gateway.post(b"{", PULSE_TOKEN)
        hears(gateway, "unanswered", *(f"u{n}" for n in range(5)))
        people.await_read(1)
        before = await_state(gateway, "few", firing=True, error=None)
        people.await_look()
        gateway.kill()
        gateway.start()
        after = await_state(gateway, "few", firing=True, value=0.0)
        assert (after["since"], after["error"]) == (before["since"], None)
        people.await_look()
        assert people.titles == ["low answer rate (few)"]
        gateway.kill()
        gateway.start()
        hears(gateway, "answered", *(f"a{n}" for n in range(5)))
        people.await_read(2)
        assert people.titles[-1] == "resolved: low answer rate (few)"
        people.await_look()
        gateway.kill()
        gateway.start()
        people.await_look()
        assert len(people.read) == 2


def test_an_alert_on_an_endpoint_that_is_down_fires_until_it_is_up(shared: Shared) -> None:
    """Paused after failures in a row; over once it accepts its deliveries."""
    people = shared.people("crm-down")
    hears(shared.gateway, "answered", "a1", "a2", "a3", channel="crm")
    began = people.await_read(1)
    assert began["title"] == "Answerback: an endpoint has problems (crm-down) · 端点异常"
    assert "ndpoint crm is paused, consecutive failures: " in began["message"]
    people.await_look()
    shared.crm.restart(behaviour="obeying")
    ended = people.await_read(2)
    assert ended["title"].startswith("Answerback: resolved: an endpoint has problems")
    assert "No problems." in ended["message"]


def test_an_alert_on_junk_fires_and_its_end_can_be_waited_for(shared: Shared) -> None:
    """The quarantine grows: notified once however much more comes; over when none has come within the time."""
    people, token = shared.people("junk"), CHANNELS["junk"]
    shared.gateway.post(b"{", token)
    people.await_look()
    assert people.read == []
    junk = itertools.count()

    def is_read_of() -> bool:
        shared.gateway.post(f'{{"mobile": "{NUMBER}", "n": {next(junk)}'.encode(), token)
        return bool(people.read)

    await_true(is_read_of)  # within three seconds no evaluation may have come by
    assert "uarantined bodies: " in people.read[0]["message"]
    assert " within the last 3 s; the limit is 1." in people.read[0]["message"]
    shared.gateway.post(b"{]", token)
    people.await_read(2)
    assert people.titles == [
        "callbacks were quarantined (junk)",
        "resolved: callbacks were quarantined (junk)",
    ]
    assert NUMBER not in json.dumps(people.read)


def test_failures_have_to_hold_for_their_time_and_are_reminded_of(shared: Shared) -> None:
    """`for_s` delays the begin, `repeat_interval_s` tells again; other codes are none of its business."""
    gateway, people = shared.gateway, shared.people("dead")
    gateway.post(failure("other", failure_code=11), CHANNELS["dead"])
    gateway.post(failure("gone", failure_code=8, mobile=NUMBER), CHANNELS["dead"])
    await_true(lambda: len(people.read) >= 3, lambda: f"no reminders: {people.titles}")
    assert people.titles[:3] == ["many failed calls (dead)"] + ["still: many failed calls (dead)"] * 2
    shown = await_state(gateway, "dead", value=1.0, firing=True)
    sent_s = next(one.at_s for one in people.receiver.taken if "(dead)" in one.document["title"])
    assert sent_s - datetime.fromisoformat(shown["since"]).timestamp() >= 1
    assert NUMBER not in json.dumps(people.read)


def test_the_metric_follows_the_rules(shared: Shared) -> None:
    """1 while it lasts, by rule; a rule that never held is 0."""
    shared.gateway.post(b"{", CHANNELS["metric"])
    await_state(shared.gateway, "metric", firing=True)
    families = text_string_to_metric_families(shared.gateway.metrics())
    (firing,) = [family for family in families if family.name == "answerback_alert_firing"]
    values = {one.labels["rule"]: one.value for one in firing.samples}
    assert (values["metric"], values["never"]) == (1.0, 0.0)


def test_alerts_are_shown_to_nobody_without_a_key(shared: Shared) -> None:
    """Like everything below /v1."""
    assert shared.gateway.client.get("/v1/alerts").status_code == 401


def test_a_word_that_does_not_arrive_is_tried_again_without_its_url(
    tmp_path: Path, people: People, receive: Receive
) -> None:
    """The others hear it once; the error is shown; no URL is in the log, in /v1 or on the command line."""
    down = People(receive("down", behaviour="refusing", status=503))
    settings = {"ANSWERBACK_LOG__LEVEL": "debug"}
    with alerting(tmp_path, JUNK, people, down, settings=settings) as gateway:
        gateway.post(b"{")
        shown = await_state(gateway, "junk", firing=True, error="notify[1] json answered 503")
        assert shown["notified_at"]
        await_true(lambda: len(down.receiver.taken) >= 3, lambda: "was not tried again")
        assert len(people.read) == 1
        down.receiver.restart(behaviour="obeying")
        await_state(gateway, "junk", error=None)
        gateway.post(b"{", PULSE_TOKEN)
        people.await_look()
        assert (len(people.read), len(down.read)) == (1, 1)
        listed = run(
            "alerts", "list", "--config", tmp_path / "alerts.toml", "--data-dir", gateway.data_dir, cwd=tmp_path
        )
        assert (listed.returncode, listed.stderr) == (0, "")
        assert "junk" in listed.stdout
        assert "firing" in listed.stdout
        reported = gateway.stderr + gateway.stdout + listed.stdout + json.dumps(shown)
        assert "alert_send_failed" in gateway.stderr
        assert "group-secret" not in reported
        assert f":{down.receiver.port}" not in gateway.stderr


def test_a_slow_service_holds_up_neither_callbacks_nor_the_end(tmp_path: Path, receive: Receive) -> None:
    """While a word waits for its answer callbacks are stored, and SIGTERM ends the gateway."""
    slow = People(receive("slow", behaviour="slow", wait_s=60))
    with alerting(tmp_path, '[alerts.rules.junk]\nmetric = "quarantine"\n', slow) as gateway:
        gateway.post(b"{")
        slow.receiver.await_taken(1)
        began_s = time.monotonic()
        hears(gateway, "answered", *(f"a{n}" for n in range(20)))
        assert state(gateway, "junk")["error"] is None, "it is waited for still"
        assert gateway.terminate() == 0
        assert time.monotonic() - began_s < 15  # it would be waited for until 20


def test_of_two_gateways_one_sends_alerts_and_both_show_them(tmp_path: Path, people: People) -> None:
    """The second reads what the first keeps, and goes on when the first ends, without a second begin."""
    elsewhere = {"ANSWERBACK_INBOX__DIR": str(tmp_path / "second")}
    with alerting(tmp_path, JUNK, people) as first, alerting(tmp_path, JUNK, people, settings=elsewhere) as second:
        second.post(b"{", PULSE_TOKEN)
        second.post(b"{")
        people.await_read(1)
        await_true(lambda: state(first, "junk")["notified_at"], lambda: "not told")
        assert await_state(second, "junk", firing=True) == await_state(first, "junk", firing=True)
        first.terminate()
        people.await_look()
        assert state(second, "junk")["firing"] is True
        assert len(people.read) == 1


def test_a_rule_that_left_the_file_is_forgotten(tmp_path: Path, people: People) -> None:
    """Without a word; one that comes back begins anew."""
    rules = '[alerts.rules.junk]\nmetric = "quarantine"\n'
    with alerting(tmp_path, rules, people) as gateway:
        gateway.post(b"{")
        people.await_read(1)
    with alerting(tmp_path, "", people) as gateway:
        await_true(lambda: not gateway.rows("SELECT rule FROM alerts"), lambda: "it is not forgotten")
        assert gateway.items("/v1/alerts") == []
    with alerting(tmp_path, rules, people) as gateway:
        people.await_read(2)
        assert people.titles == ["callbacks were quarantined (junk)"] * 2


def test_rules_without_targets_are_measured_all_the_same(tmp_path: Path) -> None:
    """They are shown, and nobody is notified."""
    with alerting(tmp_path, '[alerts.rules.junk]\nmetric = "quarantine"\n') as gateway:
        gateway.post(b"{")
        assert await_state(gateway, "junk", firing=True)["notified_at"] is None


def test_an_invalid_url_ends_the_start_and_is_not_shown(tmp_path: Path) -> None:
    """Its place is named."""
    alerting(tmp_path, FEW, "json://127.0.0.1", "wecom://group-secret")
    done = run(
        "serve", "--config", tmp_path / "alerts.toml", "--data-dir", tmp_path / "data", "--port", "0", cwd=tmp_path
    )
    assert done.returncode == 1
    assert "alerts.notify[1]: is not a URL that Apprise can read" in done.stderr
    assert "group-secret" not in done.stderr + done.stdout


def test_everybody_can_be_tried_from_the_command_line(tmp_path: Path, people: People, receive: Receive) -> None:
    """Each gets a message that nothing is wrong; the output says who was reached, by place and scheme, and the status counts."""
    down = People(receive("down", behaviour="refusing", status=502))
    alerting(tmp_path, "", people, down, more='[server]\npublic_url = "https://voice.example.com/"')
    config = tmp_path / "alerts.toml"
    done = run("alerts", "test", "--config", config, "--json", cwd=tmp_path)
    assert done.returncode == 1
    assert json.loads(done.stdout)["items"] == [
        {"target": "notify[0] json", "arrived": True, "error": None},
        {"target": "notify[1] json", "arrived": False, "error": "answered 502"},
    ]
    (message,) = people.read
    assert message["title"] == "Answerback: a test · 测试"
    assert message["message"].endswith("https://voice.example.com/console/alerts")
    down.receiver.restart(behaviour="obeying")
    done = run("alerts", "test", "--config", config, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("arrived") == 2
    assert "group-secret" not in done.stdout


def test_a_test_without_targets_says_what_to_do(tmp_path: Path) -> None:
    """The setting is named."""
    done = run("alerts", "test", cwd=tmp_path)
    assert done.returncode == 1
    assert "alerts.notify: no targets are configured" in done.stderr


LAG = '[alerts.rules.lag]\nmetric = "recorder_lag"\nabove_s = 0.5\nkeep_firing_for_s = 0\nrepeat_interval_s = 0.1\n'
BEHIND, RECORDED = "the ledger is behind (lag)", "resolved: the ledger is behind (lag)"


def await_turns(people: People, *titles: str) -> None:
    """Wait until they have read these, reminders aside."""

    def turns() -> list[str]:
        return [title for title in people.titles if not title.startswith("still: ")]

    await_true(lambda: turns() == [*titles], lambda: f"read {turns()}")


def await_words(people: People, words: str) -> None:
    """Wait until they have read these, a pattern, in some message."""
    await_true(lambda: any(re.search(words, one["message"]) for one in people.read), lambda: str(people.read))


def test_an_alert_on_a_ledger_that_is_away_is_sent_all_the_same(tmp_path: Path, people: People) -> None:
    """While it is locked, and when it is away at the start already; the end is told of, too."""
    with alerting(tmp_path, LAG, people, settings={"ANSWERBACK_LEDGER__LOCK_TIMEOUT_S": "0.1"}) as gateway:
        await_state(gateway, "lag", firing=False, value=0.0)
        with gateway.locked("ledger.db"):
            hears(gateway, "answered", "locked")
            await_turns(people, BEHIND)
            assert people.read[0]["title"].startswith("Answerback: the ledger is behind (lag) · 账本落后")
            # The first may come before it is known why.
            await_words(people, r"has waited for \d+ s \(the database is locked\); the limit is 0.5 s.")
            await_words(people, r"尚未写入账本的回调已等待 \d+ 秒（the database is locked），上限为 0.5 秒")
            await_true(lambda: state(gateway, "lag")["notified_at"], lambda: "not told")
            assert state(gateway, "lag")["firing"] is True
        await_turns(people, BEHIND, RECORDED)
        gateway.kill()
        gateway.ledger.rename(tmp_path / "away.db")
        gateway.start()
        hears(gateway, "answered", "away")
        await_turns(people, BEHIND, RECORDED, BEHIND)
        assert re.search(r"has waited for \d+ s", people.read[-1]["message"])
        (tmp_path / "away.db").rename(gateway.ledger)
        await_turns(people, BEHIND, RECORDED, BEHIND, RECORDED)
        await_true(lambda: gateway.get("/v1/calls/away").status_code == 200)  # the API starts behind the recorder
        assert gateway.call("away")["outcome"] == "answered"
    listed = run("alerts", "list", "--data-dir", "data", "--config", "alerts.toml", cwd=tmp_path)
    assert "evaluated by each process itself" in listed.stdout


@contextmanager
def away(url: str) -> Iterator[None]:
    """A database to which nobody gets a connection, and in which nobody keeps one."""
    server, name = shared_server(), url.rpartition("/")[2].partition("?")[0]
    server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    try:
        server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        yield
    finally:
        server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


def test_an_alert_on_a_postgresql_that_is_away_is_sent(tmp_path: Path, people: People) -> None:
    """Though no process can hold the lease of the other alerts then."""
    url = ledger_database(tmp_path)
    settings = {"ANSWERBACK_LEDGER__URL": url, "ANSWERBACK_LEDGER__LOCK_TIMEOUT_S": "0.1"}
    with alerting(tmp_path, LAG, people, settings=settings) as gateway:
        await_state(gateway, "lag", firing=False, value=0.0)
        with away(url):
            hears(gateway, "answered", "away")
            await_turns(people, BEHIND)
        await_turns(people, BEHIND, RECORDED)
        assert gateway.call("away")["outcome"] == "answered"
