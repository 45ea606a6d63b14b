"""Endpoints and deliveries on the command line, the live view, the metrics, and two gateways on one data directory."""

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from forking import Forked, launch
from gateway import OK, Gateway, environment, key_press, prompt, run
from prometheus_client.parser import text_string_to_metric_families
from receivers.process import Receive, Receiver, await_true
from receivers.webhook_receiver import Business, relaying

NUMBER = "13788888888"
MASKED = "137****8888"


def cli(business: Business, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `answerback` beside the gateway."""
    data_dir = business.gateway.data_dir
    return run(*arguments, "--data-dir", data_dir, cwd=data_dir.parent)


def said(business: Business, *arguments: str) -> str:
    """What a command says that succeeds and has nothing to complain of."""
    done = cli(business, *arguments)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def as_json(business: Business, *arguments: str) -> Any:
    """The same with --json."""
    return json.loads(said(business, *arguments, "--json"))


# Endpoints.


def test_the_life_of_an_endpoint_on_the_command_line(business: Business, receive: Receive, callid: str) -> None:
    """Added, listed, shown, tried, switched, given a new secret, removed: each takes effect in the running gateway."""
    receiver, name = receive(), business.name("crm")
    options = ["--channel", business.channel, "--kind", "prompt", "--kind", "key", "--outcome", "answered"]
    options += ["--timeout", "3.5", "--concurrency", "2", "--notify-on-update", "--format", "standard"]
    options += ["--header", "X-Token: s3cret", "--header", "X-Team: voice", "--success", "2xx"]
    text = said(business, "endpoints", "add", name, receiver.url, *options)
    assert f"endpoint {name} of channel {business.channel} is on: {receiver.url}" in text
    secret = next(word for word in text.split() if word.startswith("whsec_"))
    view = business.endpoint("crm")
    assert (view["kinds"], view["outcomes"], view["notify_on_update"]) == (["prompt", "key"], ["answered"], True)
    assert (view["timeout_s"], view["concurrency"], view["success"]) == (3.5, 2, "2xx")
    assert view["headers"] == {"X-Token": "…", "X-Team": "…"}

    filters = ["--failure-code", "8", "--number-prefix", "138", "--number-prefix", "+852", "--reference-prefix", "a-"]
    filters += ["--retry-delay", "5", "--retry-delay", "0.5", "--proxy", "direct"]
    few = as_json(business, "endpoints", "add", business.name("few"), receiver.url, *filters)
    assert (few["failure_codes"], few["number_prefixes"], few["reference_prefixes"]) == ([8], ["138", "+852"], ["a-"])
    assert (few["retry_schedule_s"], few["proxy"]) == ([5, 0.5], "direct")

    listed = said(business, "endpoints", "list")
    assert any(name in line and receiver.url in line and " on " in line for line in listed.splitlines())
    assert name in [item["name"] for item in as_json(business, "endpoints", "list")["items"]]
    assert as_json(business, "endpoints", "show", name) == view

    tested = said(business, "endpoints", "test", name)
    assert "delivered in " in tested
    assert all(
        line in tested for line in (f"POST {receiver.url}\n", "X-Token: …\n", "HTTP 200\n", '{"result":0,"errmsg"')
    )

    assert f"endpoint {name} of channel {business.channel} is off (manually)" in said(
        business, "endpoints", "disable", name
    )
    other = receive("other")
    business.add("other", other.url)
    business.hears(prompt(callid))
    other.await_taken(1)
    assert len(receiver.taken) == 1
    assert f"endpoint {name} of channel {business.channel} is on" in said(business, "endpoints", "enable", name)
    assert receiver.await_taken(2)[1].callid == callid

    rotated = as_json(business, "endpoints", "rotate-secret", name)
    assert rotated["secret"].startswith("whsec_")
    assert rotated["secret"] != secret
    assert said(business, "endpoints", "remove", name) == f"endpoint {name} is removed\n"
    assert business.ask("GET", f"endpoints/{name}").status_code == 404


def test_a_test_that_fails_has_status_1(business: Business, receive: Receive) -> None:
    """`endpoints test` says why an endpoint does not take a callback, for people and for scripts."""
    receiver = receive("bad", behaviour="refusing", status=200, answer='{"result":7,"errmsg":"not you"}')
    business.add("crm", receiver.url, format="tencent")
    done = cli(business, "endpoints", "test", business.name("crm"))
    assert done.returncode == 1
    assert "answered result 7: not you" in done.stdout


def test_what_others_say_is_shown_as_they_said_it(
    business: Business, receive: Receive, tmp_path: Path, callid: str
) -> None:
    """Brackets in an errmsg, a callid or a URL are no markup: shown as they are, by every command, and no fault."""
    words, strange = "[/] [not] [red]you", f"[/b] [{callid}]"
    receiver = receive("bad", behaviour="refusing", status=200, answer=json.dumps({"result": 7, "errmsg": words}))
    url, name, log = f"{receiver.url}?of=[/b]", business.name("crm"), tmp_path / "tail"
    business.add("crm", url, format="tencent")
    with tailing(business, log, "--endpoint", name):
        business.hears(prompt(strange))
        business.await_state("crm", strange, "dead")
        (one,) = business.deliveries("crm")
        tried = cli(business, "endpoints", "test", name)
        assert (tried.returncode, words in tried.stdout, tried.stderr) == (1, True, "")
        assert url in said(business, "endpoints", "list")
        assert url in said(business, "endpoints", "enable", name)
        assert strange in said(business, "deliveries", "list", "--endpoint", name)
        assert words in said(business, "deliveries", "show", str(one["id"]))
        await_true(lambda: words in log.read_text(), lambda: f"tail shows {log.read_text()!r}")
    assert strange in log.read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["endpoints", "add", "Bad Name", "https://1.1.1.1/"], "name: "),
        (["endpoints", "add", "crm", "http://[::1]/"], "relay.allowed_networks can allow it"),
        (
            ["endpoints", "add", "crm", "https://1.1.1.1/", "--channel", "nowhere"],
            "channel: there is no channel nowhere",
        ),
        (["endpoints", "add", "crm", "https://1.1.1.1/", "--timeout", "0"], "timeout_s: "),
        (["endpoints", "show", "nobody"], "no endpoint nobody"),
        (["endpoints", "remove", "a b?c"], "no endpoint a b?c"),
        (["deliveries", "list", "--endpoint", "nobody"], "no endpoint nobody"),
        (["deliveries", "show", "987654321"], "no delivery 987654321"),
        (["deliveries", "show", "x"], "expected a delivery's id"),
    ],
    ids=lambda value: "-".join(value)[:40] if isinstance(value, list) else "",
)
def test_what_is_wrong_is_said_in_one_line(business: Business, arguments: list[str], words: str) -> None:
    """A mistake is one line on standard error that names what is at fault, and exit status 1."""
    done = cli(business, *arguments)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("answerback: ")
    assert words in done.stderr


def test_without_a_running_gateway_nothing_can_be_changed(tmp_path: Path) -> None:
    """What changes something needs the gateway, and says so; what only looks does not. Also after a SIGKILL."""
    gateway = Gateway(tmp_path / "data")
    business = Business(gateway)
    never = run("endpoints", "list", "--data-dir", tmp_path / "data", cwd=tmp_path)
    assert (never.returncode, "there is no ledger" in never.stderr) == (1, True)
    with gateway.start():
        business.add("crm", "https://1.1.1.1/")
        gateway.terminate()
    for killed, words in ((False, "no gateway is running here"), (True, "no gateway answers at http")):
        if killed:
            gateway.start().kill()
        for arguments in (["endpoints", "enable", "default-crm"], ["deliveries", "replay", "1"]):
            done = cli(business, *arguments)
            assert (done.returncode, words in done.stderr) == (1, True), done.stderr
            assert done.stderr.count("\n") == 1
        assert [item["name"] for item in as_json(business, "endpoints", "list")["items"]] == ["default-crm"]


# Deliveries.


def test_deliveries_are_listed_and_shown(business: Business, receive: Receive, callid: str) -> None:
    """What was delivered to whom, with every attempt; filters and pages; the webhook-id is as good as the number."""
    receiver = receive("late", behaviour="refusing", fail_first=1, answer='{"result":1,\n"errmsg":"[not] yet"}')
    name = business.name("crm")
    business.add("crm", receiver.url)
    business.hears(prompt(callid, mobile=NUMBER), key_press(callid))
    business.await_settled("crm")
    first, second = business.deliveries("crm")

    text = said(business, "deliveries", "list", "--endpoint", name)
    assert [line.split()[0] for line in text.splitlines()[1:]] == [str(second["id"]), str(first["id"])]
    assert all(word in text for word in (callid, "voice.call.answered", "voice.call.key_pressed", "delivered"))
    assert as_json(business, "deliveries", "list", "--endpoint", name)["items"] == [second, first]
    assert as_json(business, "deliveries", "list", "--callid", callid, "--state", "dead")["items"] == []
    page = as_json(business, "deliveries", "list", "--channel", business.channel, "--limit", "1")
    assert page["items"] == [second]
    rest = as_json(
        business, "deliveries", "list", "--channel", business.channel, "--cursor", page["next_cursor"], "--limit", "1"
    )
    assert (rest["items"], rest["next_cursor"]) == ([first], None)

    shown = said(business, "deliveries", "show", first["message_id"])
    assert first["message_id"] in shown
    assert "answered 500 Internal Server Error" in shown
    assert "[not] yet" in shown
    assert NUMBER not in shown
    reported = as_json(business, "deliveries", "show", str(first["id"]))
    assert reported == business.delivery(first["id"])
    assert [one["http_status"] for one in reported["attempt_log"]] == [500, 200]


# Live.


@contextmanager
def tailing(business: Business, log: Path, *options: str, executed: bool = False) -> Iterator[Forked]:
    """`answerback tail` as a process of its own that writes to `log`; see `forking.launch` for `executed`."""
    arguments: list[str | Path] = ["tail", "--data-dir", business.gateway.data_dir, *options]
    said = log.with_suffix(".err")
    with log.open("wb") as out, said.open("wb") as err:
        process = launch(arguments, cwd=log.parent, env=environment(), stdout=out, stderr=err, executed=executed)
    try:
        await_true(lambda: "Ctrl-C" in said.read_text(), said.read_text)
        yield process
    finally:
        process.kill()
        process.wait()


def test_tail_shows_what_happens(business: Business, receive: Receive, callid: str, tmp_path: Path) -> None:
    """A callback, a failed attempt and a successful one appear within moments, with the number masked; Ctrl-C ends it."""
    receiver = receive("late", behaviour="refusing", fail_first=1)
    business.add("crm", receiver.url)
    log = tmp_path / "tail"
    with tailing(business, log, "--channel", business.channel, executed=True) as process:
        business.hears(prompt(callid, mobile=NUMBER))
        await_true(lambda: log.read_text().count("\n") >= 3, lambda: f"it shows {log.read_text()!r}")
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    callback, failed, delivered = log.read_text().splitlines()
    assert all(word in callback for word in ("callback", "prompt", callid, MASKED, "answered"))
    assert all(word in failed for word in (callid, business.name("crm"), "failed", "answered 500"))
    assert all(word in delivered for word in (callid, business.name("crm"), "delivered", " ms"))
    assert NUMBER not in log.read_text()


def test_tail_as_json_and_filtered(business: Business, receive: Receive, callid: str, tmp_path: Path) -> None:
    """A JSON object a line, only the failures at one endpoint, the number in full if that is asked for."""
    receiver = receive("bad", behaviour="refusing", fail_first=1)
    business.add("crm", receiver.url)
    business.add("log", receive().url)
    log = tmp_path / "tail"
    options = ["--json", "--failures", "--endpoint", business.name("crm"), "--unmask"]
    with tailing(business, log, *options) as process:
        business.hears(prompt(callid, mobile=NUMBER))
        business.await_settled("crm", "log")
        receiver.restart(behaviour="refusing", fail_first=1)
        business.hears(prompt(f"last-{callid}"))
        await_true(lambda: f"last-{callid}" in log.read_text(), log.read_text)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    line, last = map(json.loads, log.read_text().splitlines())
    assert last["callid"] == f"last-{callid}"
    assert (line["callid"], line["endpoint"], line["mobile"]) == (callid, business.name("crm"), NUMBER)
    assert (line["http_status"], line["error"]) == (500, "answered 500 Internal Server Error")


# Metrics.


def samples(gateway: Gateway) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample of /metrics."""
    text = gateway.metrics()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_by_endpoint(business: Business, receive: Receive, callid: str) -> None:
    """The backlog, its age, the attempts by result and their time; no callid and no number is among them."""
    good, bad = receive("good"), receive("bad", behaviour="refusing")
    business.add("good", good.url)
    business.add("bad", bad.url)
    business.add("off", good.url, enabled=False)
    business.hears(prompt(callid, mobile=NUMBER), key_press(callid))
    business.await_settled("good", "bad")
    found = samples(business.gateway)

    def value(name: str, endpoint: str, **labels: str) -> float | None:
        return found.get((f"answerback_{name}", frozenset({"endpoint": business.name(endpoint), **labels}.items())))

    assert value("delivery_attempts_total", "good", result="delivered") == 2
    assert (
        value("delivery_attempts_total", "bad", result="failed"),
        value("delivery_attempts_total", "bad", result="dead"),
    ) == (6, 2)
    assert value("delivery_attempt_duration_seconds_count", "bad") == 8
    assert value("delivery_attempt_duration_seconds_sum", "good") != 0
    assert [value("deliveries_pending", name) for name in ("good", "bad", "off")] == [0, 0, 2]
    assert [value("deliveries_dead", name) for name in ("good", "bad", "off")] == [0, 2, 0]
    assert [value("endpoint_enabled", name) for name in ("good", "bad", "off")] == [1, 1, 0]
    assert [value("endpoint_paused", name) for name in ("good", "bad", "off")] == [0, 0, 0]
    assert value("delivery_oldest_pending_age_seconds", "good") == 0
    assert 0 < (value("delivery_oldest_pending_age_seconds", "off") or 0) < 60
    assert value("delivery_attempts_total", "off", result="delivered") == 0
    assert found["answerback_relay_active", frozenset()] == 1
    assert found["answerback_delivery_lag_seconds_count", frozenset()] >= 2
    text = business.gateway.metrics()
    assert NUMBER not in text
    assert callid not in text


# Two gateways on one data directory.


@pytest.mark.parametrize("how", [pytest.param("ended", marks=pytest.mark.soak), "killed"])
def test_one_of_two_gateways_relays_and_the_other_takes_over(tmp_path: Path, how: str) -> None:
    """Both take callbacks, one of them delivers, and when that one is gone the other goes on; nothing is delivered twice."""
    settings = relaying()
    first = Gateway(tmp_path / "data", settings=settings)
    second = Gateway(tmp_path / "data", settings=settings | {"ANSWERBACK_INBOX__DIR": str(tmp_path / "second")})
    second._starts = 100  # noqa: SLF001  # its logs lie beside those of the first
    with Receiver(tmp_path) as receiver, first.start(), second.start():
        one, other = Business(first), Business(second)
        one.add("crm", receiver.url)
        refused = other.ask("POST", "endpoints", {"name": "late", "url": receiver.url})
        assert (refused.status_code, "another gateway" in refused.json()["detail"]) == (409, True)
        assert [item["name"] for item in other.asks("GET", "endpoints")["items"]] == ["default-crm"]
        one.hears(prompt("by-first"))
        other.hears(prompt("by-second"))
        receiver.await_taken(2)
        one.await_settled("crm")
        assert "delivered in" in said(one, "endpoints", "test", "default-crm")
        if how == "ended":
            assert first.terminate() == 0
        else:
            first.kill()
        answer = second.post(prompt("between"))
        assert answer.content == OK
        receiver.await_taken(4)
        other.await_settled("crm")
        assert sorted(receiver.callids) == ["answerback-test", "between", "by-first", "by-second"]
        assert other.switch("crm", on=True)["enabled"]
        await_true(lambda: (tmp_path / "data" / "gateway-url").read_text() == second.url)
        assert "delivered in" in said(other, "endpoints", "test", "default-crm")


def test_a_gateway_that_does_not_relay_may_end(tmp_path: Path) -> None:
    """The second gateway leaves without taking the first one's place or its address with it."""
    settings = relaying()
    first = Gateway(tmp_path / "data", settings=settings)
    second = Gateway(tmp_path / "data", settings=settings | {"ANSWERBACK_INBOX__DIR": str(tmp_path / "second")})
    second._starts = 100  # noqa: SLF001  # its logs lie beside those of the first
    with Receiver(tmp_path) as receiver, first.start():
        business = Business(first)
        with second.start():
            assert second.terminate() == 0
        assert "is on" in said(business, "endpoints", "add", "default-crm", receiver.url)
        business.hears(prompt("call-1"))
        receiver.await_taken(1)
