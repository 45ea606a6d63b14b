"""`answerback import`, as an operator uses it who moves in with a history."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gateway import OK, Gateway, code, failure, key_press, prompt, run
from receivers.process import Receive
from receivers.webhook_receiver import Business, relaying

TOKEN = "tok-alerts-3k5Jq0ZtV2"
CHANNELS = {
    "ANSWERBACK_CHANNELS__ALERTS__TOKEN": TOKEN,
    "ANSWERBACK_CHANNELS__MASKED__TOKEN": "tok-masked-4nD8sK1xPo",
    "ANSWERBACK_CHANNELS__NEWS__TOKEN": "tok-news-6uL2vR9wQe",
}


def nginx(body: bytes, path: str = "/voice/callback", at: str = "23/Nov/2025:15:31:52 +0800") -> bytes:
    """A line of nginx's access log, with escape=default."""
    escaped = "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\x{b:02X}" for b in body)
    return f'10.0.0.1 - - [{at}] "POST {path} HTTP/1.1" 200 26 "-" "Go-http-client" "{escaped}"\n'.encode()


def imported(cwd: Path, *arguments: str | Path) -> dict[str, Any]:
    """Run `answerback import --json` on cwd/data to its end; what it tells."""
    done = run("import", *arguments, "--json", "--data-dir", cwd / "data", cwd=cwd, settings=CHANNELS)
    assert (done.returncode, done.stderr) == (0, "")
    reported: dict[str, Any] = json.loads(done.stdout)
    return reported


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """An access log with four callbacks in two channels, and three lines of other things."""
    path = tmp_path / "access.log"
    path.write_bytes(
        b"".join(
            [
                nginx(prompt("call-1")),
                nginx(key_press("call-1", "7")),
                b'10.0.0.1 - - [23/Nov/2025:15:31:52 +0800] "GET / HTTP/1.1" 200 2 "-" "curl" "-"\n',
                nginx(failure("call-2", failure_reason="空号"), f"/voice/callback/{TOKEN}"),
                nginx(code("call-3", result="9")),
                nginx(code("call-3"), "/voice/callback/tok-unknown-000000"),
                b"\n",
                nginx(code("call-3", fee=...), at="24/Nov/2025:00:00:00 +0800"),
            ]
        )
    )
    return path


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway beside which an import runs: its calls are told apart by their callids or channels."""
    home = tmp_path_factory.mktemp("beside")
    with Gateway(home / "data", settings=CHANNELS | relaying()) as running:
        yield running


@pytest.fixture
def home(gateway: Gateway) -> Path:
    """Where the data directory of that gateway is."""
    return gateway.data_dir.parent


def test_an_access_log_becomes_calls_once(tmp_path: Path, log: Path) -> None:
    """In their channels and at their times, where statistics put them, too; an import that was broken off is run again."""
    reported = imported(tmp_path, log)
    assert {name: reported[name] for name in ("files", "lines", "callbacks", "stored", "repeated", "skipped")} == {
        "files": 1,
        "lines": 8,
        "callbacks": 4,
        "stored": 4,
        "repeated": 0,
        "skipped": 3,
    }
    assert sum(reported["reasons"].values()) == 3
    reasons = [(skip["line"], skip["reason"]) for skip in reported["examples"]]
    assert [line for line, _ in reasons] == [3, 5, 6]
    assert reasons[0][1] == "no callback in it"
    assert "voicecode_callback.result" in reasons[1][1]
    assert "token" in reasons[2][1]
    again = imported(tmp_path, log, log)
    assert (again["stored"], again["repeated"]) == (0, 8)
    with Gateway(tmp_path / "data", settings=CHANNELS) as gateway:
        call = gateway.call("call-1")
        assert (call["outcome"], call["keys"], call["first_seen_at"]) == ("answered", ["7"], "2025-11-23T07:31:52Z")
        assert call["revisions"] == 0
        assert gateway.call("call-2")["channel"] == "alerts"
        assert gateway.call("call-2")["failure_reason"] == "空号"
        assert gateway.call("call-3")["first_seen_at"] == "2025-11-23T16:00:00Z"
        assert len(gateway.items("/v1/calls")) == 3
        rows = gateway.get("/v1/exports/statistics.ndjson").text.splitlines()
        assert {json.loads(row)["hour"] for row in rows} == {"2025-11-23T07:00:00Z", "2025-11-23T16:00:00Z"}
        assert gateway.items("/v1/quarantine") == []


def test_a_dry_run_only_reads(tmp_path: Path, log: Path) -> None:
    """It tells the same of the lines, and makes no ledger."""
    reported = imported(tmp_path, log, "--dry-run")
    assert (reported["callbacks"], reported["skipped"], reported["stored"], reported["dry_run"]) == (4, 3, 0, True)
    assert not (tmp_path / "data").exists()


def test_the_vendors_json_goes_by_the_time_of_the_call(
    tmp_path: Path, home: Path, gateway: Gateway, callid: str
) -> None:
    """A line that is a body and nothing else: when the call ended; gzipped, into the channel that is named."""
    path = tmp_path / "callbacks.ndjson.gz"
    path.write_bytes(gzip.compress(prompt(callid) + b"\n" + failure(f"{callid}-2") + b"\n"))
    assert imported(home, path, "--channel", "alerts")["stored"] == 2
    call = gateway.call(callid)
    assert (call["channel"], call["first_seen_at"], call["ended_at"]) == (
        "alerts",
        "2016-08-03T04:07:01Z",
        "2016-08-03T04:07:01Z",
    )


def test_what_one_ledger_exports_another_imports(tmp_path: Path) -> None:
    """The same calls, field for field."""
    bodies = [prompt("call-1", mobile="+8613788888888"), key_press("call-1", "2"), key_press("call-1", "1")]
    bodies += [
        failure("call-2"),
        prompt("call-2", result="2", accept_time="", fee=""),
        code("call-3"),
        code("call-3", fee="2"),
    ]
    (tmp_path / "old").mkdir()
    with Gateway(tmp_path / "old" / "data", settings=CHANNELS) as old:
        for body in bodies:
            for token in (None, TOKEN):
                assert old.post(body, token).content == OK
        calls = old.items("/v1/calls")
        file = tmp_path / "callbacks.ndjson"
        file.write_bytes(old.get("/v1/exports/callbacks.ndjson").content)
    assert imported(tmp_path, file)["stored"] == 14
    with Gateway(tmp_path / "data", settings=CHANNELS) as new:
        assert new.items("/v1/calls") == calls
        assert new.get("/v1/exports/callbacks.ndjson").content == file.read_bytes()


def test_an_export_with_masked_numbers_is_refused(tmp_path: Path, gateway: Gateway) -> None:
    """Stars would become the calls' numbers."""
    token = CHANNELS["ANSWERBACK_CHANNELS__MASKED__TOKEN"]
    assert gateway.post(prompt("call-1", mobile="13788888888"), token).content == OK
    options: list[str | Path] = ["--format", "ndjson", "--channel", "masked", "--data-dir", gateway.data_dir]
    done = run("export", "callbacks", *options, cwd=tmp_path, settings=CHANNELS)
    (tmp_path / "masked").write_text(done.stdout)
    reported = imported(tmp_path, tmp_path / "masked", "--dry-run")
    assert (reported["callbacks"], reported["skipped"]) == (0, 1)
    assert "export the callbacks with full numbers" in reported["examples"][0]["reason"]


def test_nothing_is_dropped_in_silence(tmp_path: Path, home: Path, gateway: Gateway) -> None:
    """Several on a line, arrays, objects over lines, in three encodings: each is recorded, or counted with its reason."""
    array = json.dumps([json.loads(prompt(f"array-{n}")) for n in range(700)])
    pretty = json.dumps([json.loads(failure(f"pretty-{n}", failure_reason="停机")) for n in range(3)], indent=2)
    bad = json.dumps([json.loads(body) for body in (prompt("good"), prompt("bad", result="7"), prompt("bad", fee="x"))])
    logged = b"2025-11-23 15:31:52 INFO got " + prompt("log-1") + b" then " + prompt("log-2") + b"\n"
    (tmp_path / "array.json").write_text(array)
    (tmp_path / "pretty.json").write_bytes(pretty.encode("gbk"))
    (tmp_path / "bad.json").write_bytes(bad.encode("utf-16"))
    (tmp_path / "app.log").write_bytes(logged)
    files = [tmp_path / name for name in ("array.json", "pretty.json", "bad.json", "app.log")]
    reported = imported(home, *files, "--timezone", "Asia/Shanghai")
    assert (reported["callbacks"], reported["stored"], reported["skipped"], sum(reported["reasons"].values())) == (
        706,
        706,
        2,
        2,
    )
    assert {(Path(one["file"]).name, one["line"]) for one in reported["examples"]} == {("bad.json", 1)}
    assert {reason.partition(":")[0] for reason in reported["reasons"]} == {
        "voiceprompt_callback.result",
        "voiceprompt_callback.fee",
    }
    assert gateway.call("array-699")["outcome"] == "answered"
    assert gateway.call("pretty-2")["failure_reason"] == "停机"
    assert {gateway.call(f"log-{n}")["first_seen_at"] for n in (1, 2)} == {"2025-11-23T07:31:52Z"}


def test_the_good_part_of_a_file_that_is_cut_off_is_recorded(tmp_path: Path, gateway: Gateway) -> None:
    """Then the fault is reported, and the command fails; what is in the other files is recorded, too."""
    whole = gzip.compress(b"".join(prompt(f"cut-{n}", mobile=f"{n * 7919:011}") + b"\n" for n in range(3000)))
    (tmp_path / "cut.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "whole").write_bytes(prompt("whole"))
    files = (tmp_path / "cut.gz", tmp_path / "whole")
    done = run("import", *files, "--json", "--data-dir", gateway.data_dir, cwd=tmp_path, settings=CHANNELS)
    reported = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (1, f"answerback: {reported['faults'][0]}\n")
    assert reported["faults"] == [f"{tmp_path}/cut.gz: cannot be read to its end: the gzip file is truncated"]
    assert reported["stored"] == reported["callbacks"] > 1000
    assert gateway.call("cut-1000")["outcome"] == gateway.call("whole")["outcome"] == "answered"


def test_history_is_not_delivered_unless_asked_for(
    tmp_path: Path, home: Path, gateway: Gateway, receive: Receive
) -> None:
    """Beside a running gateway, which shows the calls at once; endpoints hear of them only with --deliver."""
    news = Business(gateway, "news", CHANNELS["ANSWERBACK_CHANNELS__NEWS__TOKEN"])
    news.add("crm", receive().url)
    undelivered = {"new"}
    for age, options in (("old", []), ("older", ["--deliver"])):
        path = tmp_path / f"{age}.ndjson"
        path.write_bytes(b"".join(prompt(f"{age}-{n}") + b"\n" for n in range(3)))
        imported(home, path, "--channel", "news", *options)
        assert gateway.call(f"{age}-1")["outcome"] == "answered"
        news.hears(prompt("new"))
        undelivered |= {f"{age}-{n}" for n in range(3)} if options else set()
        assert {one["callid"] for one in news.deliveries()} == undelivered


def test_people_get_a_table(tmp_path: Path, log: Path) -> None:
    """What became of the lines, and the first that were skipped, by their number."""
    done = run("import", log, "--data-dir", tmp_path / "data", cwd=tmp_path, settings=CHANNELS)
    assert done.returncode == 0
    for words in (
        "callbacks",
        "recorded",
        "known already",
        "not recorded",
        "1 × no callback in it",
        f"{log}:3: no callback in it",
    ):
        assert words in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.log"], "nowhere.log: cannot be read: No such file or directory"),
        (["nowhere.log", "--encoding", "klingon"], "--encoding: there is no encoding klingon"),
        (["nowhere.log", "--timezone", "Moon"], "--timezone: expected a name such as Asia/Shanghai"),
        (
            ["nowhere.log", "--channel", "nobody"],
            "--channel: there is no channel nobody: one of default, alerts, masked, news",
        ),
    ],
)
def test_it_says_what_is_wrong(tmp_path: Path, arguments: list[str], words: str) -> None:
    """In one line."""
    done = run("import", *arguments, "--data-dir", tmp_path / "data", cwd=tmp_path, settings=CHANNELS)
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr
