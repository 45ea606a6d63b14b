"""SIGHUP: a running gateway takes over what has changed in its config file, all of it or nothing."""

import json
import os
import pty
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from builders import received, status
from ending import ending
from gateway import COMMAND, OK, START_TIMEOUT_S, Gateway, environment, prompt, run
from postgresql import shared_server
from receivers.process import Receive, Receiver, await_true

from answerback.ledger import open_sqlite

FIRST, SECOND, OTHER = "first-0123456789ab", "second-0123456789ab", "other-0123456789ab"
LIMIT_S = 15.0


class Configured:
    """A gateway and its config file."""

    def __init__(self, home: Path, *options: str) -> None:
        self.file = home / "answerback.toml"
        self.file.write_text(channels(crm=FIRST))
        self.gateway = Gateway(
            home / "data", settings={"ANSWERBACK_LOG__FORMAT": "json"}, options=["--config", self.file, *options]
        )

    def events(self, *names: str) -> list[dict[str, Any]]:
        """What the log says of these events."""
        lines = [json.loads(line) for line in self.gateway.stderr.splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] in names]

    def reload(self, *parts: str) -> dict[str, Any]:
        """Write the file, send SIGHUP, and return what the log says when that is done."""
        self.file.write_text("\n".join(parts))
        outcomes = ("config_reloaded", "config_refused")
        before = len(self.events(*outcomes))
        self.gateway.send_signal(signal.SIGHUP)
        deadline_s = time.monotonic() + LIMIT_S
        while len(found := self.events(*outcomes)) == before:
            assert time.monotonic() < deadline_s, self.gateway.stderr
            time.sleep(0.02)
        return found[-1]


def channels(**tokens: str) -> str:
    """The channels as the file has them."""
    return "\n".join(f'[channels.{name}]\ntoken = "{token}"' for name, token in tokens.items())


def endpoint(receiver: Receiver, name: str = "crm", **more: str) -> str:
    """An endpoint of the channel crm."""
    settings = {"channel": '"crm"', "url": f'"http://127.0.0.1:{receiver.port}/path-secret"', **more}
    return f"[endpoints.{name}]\n" + "\n".join(f"{key} = {value}" for key, value in settings.items())


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Configured]:
    """One gateway for all."""
    home = tmp_path_factory.mktemp("reload")
    with closing(open_sqlite(home / "data", allow_unsafe_filesystem=True)) as ledger:
        old = msgspec.structs.replace(
            received(status(callid="too-old")), received_at=datetime.now(UTC) - timedelta(days=100)
        )
        ledger.record([old])
    configured = Configured(home)
    with configured.gateway:
        yield configured


@pytest.fixture
def configured(shared: Configured) -> Configured:
    """It, with its one channel and nothing else."""
    if shared.file.read_text() != channels(crm=FIRST):
        shared.reload(channels(crm=FIRST))
    return shared


@pytest.fixture
def receiver(receive: Receive) -> Receiver:
    """A receiver of webhooks."""
    return receive("first")


def test_channels_change_while_callbacks_are_answered(configured: Configured) -> None:
    """A new token opens the channel, the former one no longer does, a new channel is there everywhere; nobody is refused meanwhile."""
    gateway, is_done = configured.gateway, threading.Event()
    answers: list[bytes] = []

    def post() -> None:
        while not is_done.is_set():
            answers.append(gateway.post(prompt(f"reload-{len(answers)}")).content)

    posting = threading.Thread(target=post)
    posting.start()
    said = configured.reload(channels(crm=SECOND, shop=OTHER))
    is_done.set()
    posting.join()
    assert said["changes"] == ["channels.crm.token: changed", "channels.shop: added"]
    assert set(answers) == {OK}
    assert gateway.post(prompt("by-the-old"), FIRST).status_code == 404
    assert gateway.post(prompt("by-the-new"), SECOND).content == OK
    assert gateway.post(prompt("at-the-shop"), OTHER).content == OK
    assert gateway.call("at-the-shop", channel="shop")["channel"] == "shop"
    assert SECOND not in gateway.stderr


def test_endpoints_change_while_deliveries_go_out(configured: Configured, receiver: Receiver, receive: Receive) -> None:
    """An endpoint is added, moved to another URL, and disabled when it is gone from the file."""
    gateway = configured.gateway
    said = configured.reload(channels(crm=FIRST), endpoint(receiver))
    assert said["changes"] == ["endpoints.crm: added"]
    assert gateway.post(prompt("to-the-first"), FIRST).content == OK
    await_true(lambda: [taken.callid for taken in receiver.taken] == ["to-the-first"])
    other = receive("other")
    said = configured.reload(channels(crm=FIRST), endpoint(other, timeout_s="5"))
    assert said["changes"] == ["endpoints.crm.url: changed", "endpoints.crm.timeout_s: 10.0 -> 5.0"]
    assert gateway.post(prompt("to-the-other"), FIRST).content == OK
    await_true(lambda: [taken.callid for taken in other.taken] == ["to-the-other"])
    assert "path-secret" not in gateway.stderr
    configured.reload(channels(crm=FIRST))
    (known,) = (one for one in gateway.items("/v1/endpoints") if one["name"] == "crm")
    assert (known["enabled"], known["disabled_reason"]) == (False, "removed from the config file")


def test_rules_and_targets_of_alerts_change(configured: Configured, receiver: Receiver) -> None:
    """A rule that is added fires, to the target that is added with it; one that is gone is shown no more."""
    alerts = f"""
[alerts]
evaluation_interval_s = 0.1
notify = ["json://127.0.0.1:{receiver.port}/hidden"]
[alerts.rules.junk]
metric = "quarantine"
"""
    configured.reload(channels(crm=FIRST), alerts)
    configured.gateway.post(b"junk")
    await_true(lambda: any("(junk)" in taken.document["title"] for taken in receiver.taken))
    assert "/hidden" not in configured.gateway.stderr
    lag = '[alerts.rules.lag]\nmetric = "recorder_lag"\nabove_s = 60'
    said = configured.reload(channels(crm=FIRST), lag)
    assert "alerts.notify: changed" in said["changes"]
    await_true(lambda: [one["rule"] for one in configured.gateway.items("/v1/alerts")] == ["lag"])


def test_limits_change(configured: Configured) -> None:
    """Fewer refused bodies are kept from then on."""
    configured.reload(channels(crm=FIRST), "[quarantine]\nmax_per_minute = 1\nmax_bytes = 1000")
    for number in range(3):
        configured.gateway.post(b"refused %d" % number)
    assert "answerback_rejections_dropped_total 0.0" not in configured.gateway.get("/metrics").text


def test_retention_and_log_change(configured: Configured) -> None:
    """What is too old by the new setting is deleted at once; what the log shows is changed."""
    gateway = configured.gateway
    assert gateway.get("/v1/calls/too-old").status_code == 200
    said = configured.reload(channels(crm=FIRST), "[retention]\ncalls_days = 30\n[log]\nlevel = 'debug'")
    assert set(said["changes"]) == {"retention.calls_days: - -> 30.0", 'log.level: "info" -> "debug"'}
    gone = "it rests nine times as long as each step takes"
    await_true(lambda: gateway.get("/v1/calls/too-old").status_code == 404, lambda: gone, timeout_s=60)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[server]\nport = 1\nroles = ['api']", "server.roles: cannot be changed without a restart"),
        ("[intake]\nmax_pending = 0", "intake.max_pending: Input should be greater than or equal to 1"),
        ("[retention]\ncalls_dayz = 3", "retention.calls_dayz: there is no such setting"),
        ("[channels.crm", "answerback.toml: "),
        ("[certificates.own]\nca_file = '/nowhere'", "certificates.own.ca_file: /nowhere: No such file or directory"),
        ("[alerts]\nnotify = ['nothing://']\n[alerts.rules.junk]\nmetric = 'quarantine'", "alerts.notify"),
    ],
)
def test_a_file_with_a_fault_changes_nothing(configured: Configured, text: str, reason: str) -> None:
    """The reason names the setting; a channel that is right beside it is not taken over either."""
    said = configured.reload(channels(shop=OTHER), text)
    assert said["event"] == "config_refused"
    assert reason in said["reason"]
    assert configured.gateway.post(prompt("refused"), OTHER).status_code == 404
    assert configured.gateway.post(prompt("accepted"), FIRST).content == OK


def test_an_endpoint_that_is_refused_changes_nothing(configured: Configured, receiver: Receiver) -> None:
    """One of that name which is not the file's: neither it nor the channel beside it is touched."""
    gateway = configured.gateway
    made = gateway.client.post(
        "/v1/endpoints",
        json={"name": "mine", "channel": "crm", "url": "http://8.8.8.8/"},
        headers={"Authorization": f"Bearer {gateway.key}"},
    )
    assert made.status_code == 201, made.text
    said = configured.reload(channels(crm=SECOND), endpoint(receiver, "mine"))
    assert "endpoints.mine: an endpoint of that name exists" in said["reason"]
    assert gateway.post(prompt("kept"), FIRST).content == OK
    assert gateway.post(prompt("not-taken"), SECOND).status_code == 404


def test_a_file_that_did_not_change_changes_nothing(configured: Configured) -> None:
    """The log says that there was nothing to do."""
    assert configured.reload(channels(crm=FIRST))["changes"] == []


def test_each_process_of_a_cluster_takes_over_its_part(tmp_path: Path, receiver: Receiver) -> None:
    """One answers by the new token, another delivers to the new endpoint."""
    database = ("--database-url", shared_server().create_database())
    assert run("migrate", *database, cwd=tmp_path).returncode == 0
    homes = {name: tmp_path / name for name in ("front", "relay")}
    for home in homes.values():
        home.mkdir()
    front = Configured(homes["front"], *database, "--roles", "intake,recorder")
    relay = Configured(homes["relay"], *database, "--roles", "relay,api")
    with front.gateway, relay.gateway:
        for process in (front, relay):
            said = process.reload(channels(crm=FIRST, shop=OTHER), endpoint(receiver, channel='"shop"'))
            assert said["event"] == "config_reloaded"
        assert front.gateway.post(prompt("at-the-shop"), OTHER).content == OK
        await_true(lambda: [taken.callid for taken in receiver.taken] == ["at-the-shop"])


def test_a_closed_terminal_ends_the_gateway(tmp_path: Path) -> None:
    """What comes then is SIGHUP as well; there is nobody left to look at it."""
    command = [str(COMMAND), "serve", "--port", "0", "--data-dir", str(tmp_path / "data")]
    pid, terminal = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs the tests by nohup ignores it
        os.execve(command[0], command, environment())
    shown = b""
    while b"voice application.\r\n" not in shown:  # the last that it prints
        shown += os.read(terminal, 65536)
    os.close(terminal)
    assert os.waitpid(pid, 0)[1] == 0


def test_a_gateway_works_where_it_cannot_say_so(tmp_path: Path) -> None:
    """Output that nobody takes, here a terminal that was closed before, neither ends it nor makes its end a failure."""
    theirs, ours = pty.openpty()
    os.close(theirs)
    data = tmp_path / "data"
    command = ending(COMMAND, "serve", "--port", "0", "--data-dir", data)
    with subprocess.Popen(command, stdin=ours, stdout=ours, stderr=ours, env=environment()) as gateway:
        os.close(ours)
        await_true((data / "gateway-url").exists, timeout_s=START_TIMEOUT_S)
        answer = httpx.post(f"{(data / 'gateway-url').read_text().strip()}/voice/callback", content=prompt("unheard"))
        assert answer.content == OK
        gateway.terminate()
    assert gateway.returncode == 0
