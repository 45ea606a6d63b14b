"""`answerback load`, as a person or a script uses it."""

import json
import os
import pty
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ending import ending
from gateway import COMMAND, Gateway, environment, run
from ports import port_of, reserve_port
from receivers.process import Receive

ALERTS_TOKEN = "tok-alerts-3k5Jq0ZtV2"


def load(url: str, *options: str | Path, cwd: Path, settings: Mapping[str, str] | None = None) -> tuple[int, Any]:
    """Run `answerback load --json`; its exit status and what it tells."""
    done = run("load", url, *options, "--json", cwd=cwd, settings=settings)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_load_measures_a_gateway_and_finds_all_that_it_took(gateway: Gateway) -> None:
    """Everything is accepted at the rate asked for, has a latency, and is in the ledger."""
    url = f"{gateway.url}/voice/callback"
    options = [
        "--rate",
        "300",
        "--duration",
        "1",
        "--mix",
        "--seed",
        "5",
        "--verify",
        gateway.url,
        "--key",
        gateway.key,
    ]
    status, reported = load(url, *options, cwd=gateway.data_dir)
    assert (status, reported["seed"]) == (0, 5)
    assert (reported["planned"], reported["sent"], reported["accepted"]) == (300, 300, 300)
    assert (reported["refused"], reported["unanswered"], reported["unsent"]) == (0, 0, 0)
    latencies = [reported["latency_ms"][name] for name in ("p50", "p90", "p99", "p99.9", "max")]
    assert 0 < latencies[0] <= latencies[-1]
    assert latencies == sorted(latencies)
    assert reported["achieved_rate"] == pytest.approx(min(300, 300 / reported["elapsed_s"]), rel=0.05)
    assert reported["verified"] == {"checked": 300, "found": 300, "missing": 0, "first_missing": [], "unreadable": []}


def test_load_prints_the_same_for_a_person(gateway: Gateway) -> None:
    """Without --json it is words; the key comes from the environment or from the file."""
    url = f"{gateway.url}/voice/callback/{ALERTS_TOKEN}"
    for options, settings in (
        (["--key-file", str(gateway.data_dir / "admin-key")], {}),
        ([], {"ANSWERBACK_KEY": gateway.key}),
    ):
        options += ["--rate", "100", "--duration", "0.2", "--verify", gateway.url]
        done = run("load", url, *options, cwd=gateway.data_dir, settings=settings)
        assert (done.returncode, done.stderr) == (0, "")
        for words in ("20 of 20", "p99.9 ", "20 of 20 accepted"):
            assert words in done.stdout
        assert gateway.key not in done.stdout


@pytest.mark.parametrize("kind", ["code", "key", "failure"])
def test_load_sends_one_kind(gateway: Gateway, receive: Receive, kind: str) -> None:
    """`--kind` sends nothing else."""
    receiver = receive()
    done = run("load", receiver.url, "--kind", kind, "--rate", "50", "--duration", "0.2", cwd=gateway.data_dir)
    assert done.returncode == 0
    keys = {"code": "voicecode_callback", "key": "voicekey_callback", "failure": "voice_failure_callback"}
    assert [one.type for one in receiver.await_taken(10)] == [keys[kind]] * 10


def test_verify_finds_what_a_lying_receiver_did_not_store(gateway: Gateway, receive: Receive) -> None:
    """A receiver that answers OK and stores nothing is found out: how many, and which."""
    liar = receive()
    options = ["--rate", "100", "--duration", "0.3", "--verify", gateway.url, "--key", gateway.key]
    status, reported = load(liar.url, *options, cwd=gateway.data_dir)
    assert (status, reported["accepted"]) == (1, 30)
    verified = reported["verified"]
    assert (verified["checked"], verified["found"], verified["missing"]) == (30, 0, 30)
    assert len(verified["first_missing"]) == 10
    assert set(verified["first_missing"]) <= set(liar.callids)
    done = run("load", liar.url, *options, cwd=gateway.data_dir)
    assert done.returncode == 1
    assert "30 accepted and not in the ledger" in done.stdout
    named = set(liar.callids[30:]) & set(done.stdout.split())
    assert len(named) == 10


def test_load_counts_rejections_by_their_words(receive: Receive, tmp_path: Path) -> None:
    """A receiver that refuses ends in status 1, with its answers counted."""
    receiver = receive(behaviour="flapping", status=503, answer='{"result":3002,"errmsg":"[later]"}')
    options = ["--rate", "100", "--duration", "0.2"]
    status, reported = load(receiver.url, *options, cwd=tmp_path)
    assert (status, reported["sent"], reported["accepted"], reported["refused"]) == (1, 20, 10, 10)
    assert reported["refusals"] == [{"count": 10, "status": 503, "result": 3002, "errmsg": "[later]"}]
    assert "[later]" in run("load", receiver.url, *options, cwd=tmp_path).stdout


def test_load_gives_up_on_a_receiver_that_never_answers(receive: Receive, tmp_path: Path) -> None:
    """Nothing hangs: what was sent is unanswered, and what found no connection was not sent."""
    receiver = receive(behaviour="slow", wait_s=60)
    options = ["--rate", "100", "--duration", "0.5", "--connections", "5", "--timeout", "0.6"]
    status, reported = load(receiver.url, *options, cwd=tmp_path)
    assert (status, reported["accepted"], reported["latency_ms"]) == (1, 0, None)
    assert 5 <= reported["unanswered"] == reported["sent"] <= 15
    assert reported["sent"] + reported["unsent"] == 50
    assert reported["unanswered_why"] == [{"count": reported["sent"], "reason": "no answer within 0.6 s"}]
    assert "not in time" in run("load", receiver.url, *options, cwd=tmp_path).stdout


def test_load_reports_that_nobody_listens(tmp_path: Path) -> None:
    """A closed port is one reason for all, in words."""
    with reserve_port() as nobody:
        url = f"http://127.0.0.1:{port_of(nobody)}/"
        status, reported = load(url, "--rate", "50", "--duration", "0.1", cwd=tmp_path)
    assert (status, reported["unanswered"]) == (1, 5)
    (why,) = reported["unanswered_why"]
    assert "Connect" in why["reason"]


def test_load_that_is_interrupted_reports_what_was_until_then(receive: Receive, tmp_path: Path) -> None:
    """Ctrl-C ends the sending, not the report."""
    receiver = receive()
    arguments = ending(COMMAND, "load", receiver.url, "--rate", "100", "--duration", "60", "--json")
    with subprocess.Popen(
        arguments, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        receiver.await_taken(20)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    reported = json.loads(out)
    assert process.returncode == 1
    assert b"interrupted" in err
    assert 15 <= reported["accepted"] <= reported["sent"] < 6000
    assert (reported["planned"], reported["sent"] + reported["unsent"]) == (6000, 6000)


def test_load_shows_how_far_it_is_on_a_terminal(receive: Receive, tmp_path: Path) -> None:
    """On a terminal the progress is drawn, on standard error only."""
    receiver = receive()
    ours, its = pty.openpty()
    arguments = ending(COMMAND, "load", receiver.url, "--rate", "20", "--duration", "1.2", "--json")
    settings = environment({"TERM": "xterm"})
    with subprocess.Popen(arguments, cwd=tmp_path, env=settings, stdout=subprocess.PIPE, stderr=its) as process:
        os.close(its)
        out, _ = process.communicate(timeout=30)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert json.loads(out)["accepted"] == 24
    assert "/24" in shown
    assert "0 refused" in shown


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--key", "wrong"], "401"),
        ([], "401"),
        (["--key-file", "missing"], "--key-file"),
        (["--verify", "gateway:8000"], "--verify"),
    ],
)
def test_load_asks_whether_it_may_verify_before_it_sends(
    gateway: Gateway, receive: Receive, options: list[str], words: str
) -> None:
    """A wrong key or gateway is reported at once, and nothing is sent."""
    receiver = receive()
    done = run("load", receiver.url, "--verify", gateway.url, *options, cwd=gateway.data_dir)
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr
    assert receiver.taken == []


def test_load_refuses_what_is_no_url(tmp_path: Path) -> None:
    """A URL without a scheme is named."""
    done = run("load", "127.0.0.1:8000/voice/callback", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "URL" in done.stderr
