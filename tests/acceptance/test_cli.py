"""The command line, as a person or a script uses it."""

import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from forking import launch
from gateway import OK, SEED, Gateway, environment, failure, key_press, prompt, run
from ports import port_of, reserve_port
from receivers.process import await_true

TOKEN = "tok-alerts-3k5Jq0ZtV2"
NUMBER = "13788888888"
MASKED = "137****8888"


class Place:
    """A data directory that was filled and left, and the command line run beside it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.data_dir = home / "data"

    def run(self, *arguments: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run `answerback` on the data directory."""
        return run(*arguments, "--data-dir", self.data_dir, cwd=self.home, settings=settings)

    def text(self, *arguments: str | Path, **settings: str) -> str:
        """What a command prints that succeeds and has nothing to complain of."""
        done = self.run(*arguments, **settings)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def json(self, *arguments: str | Path, **settings: str) -> Any:
        """The same with --json."""
        return json.loads(self.text(*arguments, "--json", **settings))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Three calls, one of them in two channels, and two bodies in quarantine, left by SIGKILL a minute ago."""
    place = Place(tmp_path_factory.mktemp("place"))
    with Gateway(place.data_dir, settings={"ANSWERBACK_CHANNELS__ALERTS__TOKEN": TOKEN}) as running:
        for body in (prompt("call-1", mobile=NUMBER), key_press("call-1", "7"), failure("call-2", failure_code=5)):
            assert running.post(body).content == OK
        for token in (None, TOKEN):
            assert running.post(prompt("call-3", mobile=NUMBER, result="1"), token).content == OK
        assert running.post(b"[1]").status_code == 400
        assert running.post(prompt("call-4", mobile=NUMBER, result="8")).status_code == 400
        running.await_recorded()
    with closing(sqlite3.connect(place.data_dir / "ledger.db")) as ledger, ledger:
        ledger.execute(
            "UPDATE instances SET heartbeat_us = heartbeat_us - 60000000"
        )  # it does not fall silent meanwhile
    return place


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """Check that a command failed with one line on standard error and nothing else; return the line."""
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("answerback: ")
    return done.stderr


def test_a_callback_survives_a_kill_and_is_found_by_its_callid(tmp_path: Path) -> None:
    """Start, post, kill -9, start again: the call is there, over HTTP and on the command line."""
    arguments = ["serve", "--port", "0", "--data-dir", "kept"]
    for start in range(2):
        out = tmp_path / f"out-{start}"
        with out.open("wb") as file:
            process = launch(arguments, cwd=tmp_path, env=environment(), stdout=file, stderr=file, executed=start == 0)
        try:
            while "Paste a callback URL" not in out.read_text():
                assert process.poll() is None, out.read_text()
                time.sleep(0.02)
            url = next(word for word in out.read_text().split() if word.endswith("/voice/callback"))
            if start == 0:
                assert httpx.post(url, content=SEED, trust_env=False, verify=False).content == OK
                assert "Admin key" in out.read_text()
            else:
                assert "Admin key" not in out.read_text()
                key = (tmp_path / "kept" / "admin-key").read_text().strip()
                found = httpx.get(
                    url.replace("/voice/callback", "/v1/calls/xxxxxx"),
                    headers={"Authorization": f"Bearer {key}"},
                    timeout=30,
                    trust_env=False,
                    verify=False,
                )
                assert (found.json()["outcome"], found.json()["talk_seconds"]) == ("answered", 10)
        finally:
            process.kill()
            process.wait()
    shown = run("calls", "show", "xxxxxx", "--data-dir", "kept", cwd=tmp_path)
    assert shown.returncode == 0
    assert "answered" in shown.stdout
    assert "2016-08-03 04:06:51 UTC" in shown.stdout


def test_it_runs_as_a_module(tmp_path: Path) -> None:
    """`python -m answerback` is the command."""
    module = [sys.executable, "-m", "answerback"]
    shown = subprocess.run(
        [*module, "--version"], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True
    )
    assert shown.stdout.startswith("answerback ")
    wrong = subprocess.run(
        [*module, "calls", "show"], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert (wrong.returncode, "python -m answerback calls show" in wrong.stderr) == (2, True)


# Sending.


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], {"kind": "prompt", "outcome": "answered", "ring_seconds": 15, "talk_seconds": 10, "fee_minutes": 1}),
        (["--result", "1"], {"kind": "prompt", "outcome": "unanswered", "talk_seconds": None, "fee_minutes": 0}),
        (["--kind", "code", "--result", "2"], {"kind": "code", "outcome": "failed"}),
        (["--kind", "key", "--key", "9"], {"kind": "key", "outcome": "pending", "keys": ["9"]}),
        (["--kind", "failure", "--failure-code", "8"], {"failure_code": 8, "failure_reason": "空号"}),
    ],
    ids=str,
)
def test_send_sends_each_kind(gateway: Gateway, callid: str, options: list[str], expected: dict[str, object]) -> None:
    """Each kind of callback is sent as the cloud would, and accepted."""
    url = f"{gateway.url}/voice/callback"
    done = run("send", url, "--callid", callid, *options, "--mobile", "13911112222", cwd=gateway.data_dir)
    assert done.returncode == 0, done.stderr
    assert "accepted" in done.stdout
    call = gateway.call(callid)
    assert call["mobile"] == "13911112222"
    assert expected.items() <= call.items()


def test_send_sends_many_at_a_time(gateway: Gateway) -> None:
    """`--count` sends so many, each about a new call, and the answers are summed up."""
    before = gateway.rows("SELECT count(*) FROM calls")[0][0]
    url = f"{gateway.url}/voice/callback"
    done = run("send", url, "--count", "200", "--concurrency", "20", cwd=gateway.data_dir)
    assert done.returncode == 0, done.stderr
    assert "200" in done.stdout
    reported = json.loads(run("send", url, "--count", "30", "--json", cwd=gateway.data_dir).stdout)
    assert (reported["sent"], reported["accepted"], len(reported["answers"])) == (30, 30, 30)
    assert reported["answers"][0] | {"seconds": 0} == {
        "accepted": True,
        "status": 200,
        "result": 0,
        "answer": '{"result":0,"errmsg":"OK"}',
        "error": None,
        "seconds": 0,
    }
    assert gateway.rows("SELECT count(*) FROM calls")[0][0] == before + 230


def test_send_reports_a_rejection(gateway: Gateway) -> None:
    """A refused callback is shown with its reason, and the exit status is 1."""
    done = run("send", f"{gateway.url}/voice/callback/no-such-token-at-all", "--json", cwd=gateway.data_dir)
    assert done.returncode == 1
    reported = json.loads(done.stdout)
    assert (reported["sent"], reported["accepted"]) == (1, 0)
    assert (reported["answers"][0]["status"], reported["answers"][0]["result"]) == (404, 1019)


def test_send_reports_that_nobody_listens(tmp_path: Path) -> None:
    """Where nobody answers the exit status is 1, without a stack trace."""
    with reserve_port() as nobody:
        done = run("send", f"http://127.0.0.1:{port_of(nobody)}/voice/callback", cwd=tmp_path)
    assert done.returncode == 1
    assert "no answer: Connection refused" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "http://"])
def test_send_refuses_what_is_no_url(tmp_path: Path, url: str) -> None:
    """An invalid URL ends with exit status 1 and no stack trace."""
    done = run("send", url, cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


# Looking.


def test_calls_are_listed_with_masked_numbers(place: Place) -> None:
    """The list shows each call, newest first, with its number masked unless asked for in full."""
    text = place.text("calls", "list")
    assert [line.split()[2] for line in text.splitlines()[1:]] == ["call-3", "call-3", "call-2", "call-1"]
    assert MASKED in text
    assert NUMBER not in text
    assert "10 s" in text
    assert "nobody picked up" in text
    assert NUMBER in place.text("calls", "list", "--unmask")


def test_calls_are_filtered_and_paged(place: Place) -> None:
    """The filters of the API are options here, and --json has its shape."""
    assert [call["callid"] for call in place.json("calls", "list", "--outcome", "failed")["items"]] == ["call-2"]
    assert len(place.json("calls", "list", "--channel", "alerts")["items"]) == 1
    assert len(place.json("calls", "list", "--mobile", NUMBER, "--kind", "prompt")["items"]) == 3
    assert place.text("calls", "list", "--since", "2999-01-01") == "no calls\n"
    first = place.json("calls", "list", "--limit", "3", "--until", "2999-01-01")
    assert len(first["items"]) == 3
    assert "more: --cursor" in place.text("calls", "list", "--limit", "3")
    rest = place.json("calls", "list", "--cursor", first["next_cursor"])
    assert ([call["callid"] for call in rest["items"]], rest["next_cursor"]) == (["call-1"], None)
    assert rest["items"][0]["mobile"] == MASKED


def test_a_call_is_shown(place: Place) -> None:
    """One call is shown with every field; the number is masked unless asked for in full."""
    text = place.text("calls", "show", "call-1")
    assert MASKED in text
    assert NUMBER not in text
    call = place.json("calls", "show", "call-1", "--unmask")
    assert (call["mobile"], call["outcome"], call["keys"], call["talk_seconds"]) == (NUMBER, "answered", ["7"], 10)


def test_a_call_of_two_channels_wants_the_channel(place: Place) -> None:
    """Where two channels hold the callid, the command names them and asks for one."""
    line = complaint(place.run("calls", "show", "call-3"))
    assert "alerts, default" in line
    assert place.json("calls", "show", "call-3", "--channel", "alerts")["channel"] == "alerts"


def test_the_callbacks_of_a_call_are_shown(place: Place) -> None:
    """Its bodies are shown as received, with numbers masked unless asked for in full."""
    text = place.text("callbacks", "show", "call-1")
    assert "voiceprompt_callback" in text
    assert MASKED in text
    assert NUMBER not in text
    items = place.json("callbacks", "show", "call-1", "--unmask")["items"]
    assert [item["raw"] for item in items] == [
        prompt("call-1", mobile=NUMBER).decode(),
        key_press("call-1", "7").decode(),
    ]
    masked = place.json("callbacks", "show", "call-1")["items"][0]
    assert (masked["raw_base64"], NUMBER in masked["raw"]) == (None, False)


def test_the_quarantine_is_listed_and_shown(place: Place) -> None:
    """Refused bodies are listed with the reason, and shown with their bytes."""
    text = place.text("quarantine", "list")
    assert "voiceprompt_callback.result" in text
    items = place.json("quarantine", "list")["items"]
    assert [item["result"] for item in items] == [3004, 1011]
    shown = place.text("quarantine", "show", str(items[0]["id"]))
    assert MASKED in shown
    assert NUMBER not in shown
    full = place.json("quarantine", "show", str(items[0]["id"]), "--unmask")
    assert full["raw"] == prompt("call-4", mobile=NUMBER, result="8").decode()
    assert place.json("quarantine", "list", "--limit", "1")["next_cursor"]
    assert place.text("quarantine", "list", "--channel", "alerts") == "nothing in quarantine\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("calls", "show", "nobody"),
        ("calls", "list", "--cursor", "nonsense"),
        ("quarantine", "show", str(10**30)),
        ("quarantine", "requeue", "999"),
    ],
    ids=" ".join,
)
def test_what_is_not_there_is_said_in_one_line(place: Place, arguments: tuple[str, ...]) -> None:
    """Nothing by that id: one line on standard error and exit status 1."""
    complaint(place.run(*arguments))


def test_what_can_be_read_after_a_fix_goes_to_its_call(tmp_path: Path) -> None:
    """Retrying reads each body once more: a callback goes to its call at the time it came in, junk stays."""
    place = Place(tmp_path)
    with Gateway(place.data_dir) as running:
        for body in (b"junk", b"to be a callback"):
            assert running.post(body).status_code == 400
        running.await_recorded()
    with closing(sqlite3.connect(place.data_dir / "ledger.db")) as ledger, ledger:
        ledger.execute("UPDATE quarantine SET raw = ?, received_us = 1700000000000000 WHERE id = 2", (prompt("late"),))
    done = place.run("quarantine", "requeue", "--json")
    assert done.returncode == 1
    junk, late = json.loads(done.stdout)["items"]
    assert (junk["id"], junk["disposition"]) == (1, None)
    assert junk["reason"].startswith("the body is not JSON")
    assert late == {"id": 2, "disposition": "stored", "reason": None}
    assert place.json("calls", "show", "late")["first_seen_at"] == "2023-11-14T22:13:20Z"
    assert [item["id"] for item in place.json("quarantine", "list")["items"]] == [1]
    again = place.run("quarantine", "requeue", "1")
    assert (again.returncode, "still refused" in again.stdout) == (1, True)


# Operating.


def test_migrate_makes_the_schema_and_may_be_repeated(tmp_path: Path) -> None:
    """Migrating an empty or a current directory succeeds and says the schema's version."""
    place = Place(tmp_path)
    reported = place.json("migrate")
    assert reported["schema"] in place.text("migrate")
    with Gateway(place.data_dir) as running:
        assert running.post(SEED).content == OK
        assert place.json("migrate") == reported, "beside a gateway, too, which goes on"
        assert running.post(prompt("after")).content == OK
        assert running.call("after")["outcome"] == "answered"


def test_a_ledger_of_another_version_is_refused(tmp_path: Path) -> None:
    """A schema that this program does not know is not touched: the start says so and answers, commands and the doctor say so."""
    place = Place(tmp_path)
    place.text("migrate")
    with closing(sqlite3.connect(place.data_dir / "ledger.db")) as ledger, ledger:
        (known,) = ledger.execute("SELECT version_num FROM schema_revision").fetchone()
        for table in ("schema_revision", "alembic_version"):
            ledger.execute(f"UPDATE {table} SET version_num = '9999'")
    with Gateway(place.data_dir) as gateway:
        assert "9999" in gateway.reported["ledger_failure"]
        assert gateway.post(SEED).content == OK
        assert gateway.get("/v1/calls").json()["detail"].endswith("the database has the schema of another version")
    assert "9999" in complaint(place.run("calls", "list"))
    done = place.run("doctor")
    assert (done.returncode, "9999" in done.stdout) == (1, True)
    with Gateway(place.data_dir) as gateway:
        with closing(sqlite3.connect(place.data_dir / "ledger.db")) as ledger, ledger:
            for table in ("schema_revision", "alembic_version"):
                ledger.execute(f"UPDATE {table} SET version_num = ?", (known,))
        await_true(lambda: gateway.get("/v1/calls/xxxxxx").status_code == 200)  # answered before by the one that ended
        assert len(gateway.rows("SELECT 1 FROM callbacks")) == 1


def test_the_doctor_finds_nothing_wrong(place: Place) -> None:
    """On a sound directory nothing is bad, and every check says what it looked at."""
    findings = {item["check"]: item for item in place.json("doctor")["items"]}
    for check in ("ledger", "permissions", "callback URL", "clock"):
        assert findings[check]["level"] == "ok", findings[check]
    assert findings.keys() >= {"durable storage", "disk space", "open files"}
    assert "WAL, synchronous=FULL" in place.text("doctor")


def test_the_doctor_finds_what_is_open(place: Place) -> None:
    """A key that others can read and a bare URL open to the world are warned of, with what to do."""
    key = place.data_dir / "admin-key"
    key.chmod(0o644)
    try:
        items = place.json("doctor", ANSWERBACK_SERVER__HOST="0.0.0.0")["items"]
    finally:
        key.chmod(0o600)
    findings = {item["check"]: item for item in items}
    assert (findings["permissions"]["level"], findings["permissions"]["remedy"]) == ("warning", f"chmod go= {key}")
    assert "0644" in findings["permissions"]["finding"]
    assert findings["callback URL"]["level"] == "warning"
    assert "channels.default.token" in findings["callback URL"]["remedy"]
    with_token = place.json(
        "doctor", ANSWERBACK_SERVER__HOST="0.0.0.0", ANSWERBACK_CHANNELS__DEFAULT__TOKEN="tok-default-8sQ2mN4vB6"
    )
    assert {item["check"]: item["level"] for item in with_token["items"]}["callback URL"] == "ok"


@pytest.fixture
def in_memory() -> Iterator[Path]:
    """A directory on a file system in memory."""
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("no /dev/shm on this system")
    directory = Path(tempfile.mkdtemp(dir="/dev/shm"))
    yield directory
    shutil.rmtree(directory)


def test_the_doctor_finds_a_place_that_forgets(in_memory: Path) -> None:
    """A data directory in memory is an error: exit status 1, and nothing is made there."""
    done = run("doctor", "--data-dir", in_memory / "data", "--json", cwd=in_memory)
    assert done.returncode == 1
    place = json.loads(done.stdout)["items"][0]
    assert (place["check"], place["level"]) == ("durable storage", "error")
    assert "tmpfs" in place["finding"]
    assert not (in_memory / "data").exists()


def test_the_channels_are_listed_without_their_tokens(place: Place) -> None:
    """The callback URLs show their secret only when asked for it."""
    settings = {
        "ANSWERBACK_CHANNELS__ALERTS__TOKEN": TOKEN,
        "ANSWERBACK_SERVER__PUBLIC_URL": "https://hook.example.com/",
    }
    items = {item["channel"]: item["callback_url"] for item in place.json("channels", "list", **settings)["items"]}
    assert items["default"] == "https://hook.example.com/voice/callback"
    assert TOKEN not in place.text("channels", "list", **settings)
    full = {
        item["channel"]: item["callback_url"] for item in place.json("channels", "list", "--full", **settings)["items"]
    }
    assert full["alerts"] == f"https://hook.example.com/voice/callback/{TOKEN}"


def test_config_show_hides_secrets(place: Place) -> None:
    """Every setting is shown with its value, its variable and its meaning; tokens stay hidden."""
    settings = {
        "ANSWERBACK_CHANNELS__ALERTS__TOKEN": TOKEN,
        "ANSWERBACK_INTAKE__MAX_PENDING": "77",
        "ANSWERBACK_RELAY__ALLOWED_NETWORKS": '["10.0.0.0/8"]',
    }
    items = {item["setting"]: item for item in place.json("config", "show", **settings)["items"]}
    assert items["intake.max_pending"]["value"] == "77"
    assert items["intake.max_pending"]["variable"] == "ANSWERBACK_INTAKE__MAX_PENDING"
    assert items["server.data_dir"]["value"] == str(place.data_dir)
    assert items["relay.allowed_networks"]["value"] == '["10.0.0.0/8"]'
    assert items["relay.breaker_cooldowns_s"]["value"] == "[5, 15, 30, 60]"
    assert all(item["meaning"] for item in items.values())
    text = place.text("config", "show", **settings)
    assert "ANSWERBACK_LOG__LEVEL" in text
    assert TOKEN not in text


def test_settings_are_taken_from_the_line_then_the_environment_then_the_file(tmp_path: Path) -> None:
    """The command line goes before the environment, and that before answerback.toml."""
    (tmp_path / "answerback.toml").write_text('[server]\nport = 1111\nhost = "::1"\ndata_dir = "from-the-file"\n')
    variables = {"ANSWERBACK_SERVER__PORT": "2222", "ANSWERBACK_SERVER__DATA_DIR": "from-the-environment"}
    done = run("config", "show", "--json", "--data-dir", "from-the-line", cwd=tmp_path, settings=variables)
    values = {item["setting"]: item["value"] for item in json.loads(done.stdout)["items"]}
    assert values["server.data_dir"] == "from-the-line"
    assert values["server.port"] == "2222"
    assert values["server.host"] == "::1"


# What is wrong is said in one line.


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    """A taken port ends the start with the setting and the reason."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = str(listener.getsockname()[1])
        done = run("serve", "--port", port, "--data-dir", "data", cwd=tmp_path)
    line = complaint(done)
    assert "server.port" in line
    assert f"127.0.0.1:{port}" in line


def test_a_first_start_that_fails_does_not_use_up_the_key(tmp_path: Path) -> None:
    """The admin key is printed by the first start that succeeds, even after one that could not listen."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        complaint(run("serve", "--port", str(listener.getsockname()[1]), "--data-dir", "data", cwd=tmp_path))
    with Gateway(tmp_path / "data") as running:
        assert running.reported["admin_key"] == running.key


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[server]\nprot = 1\n", "server.prot"),
        ("[intake]\nmax_batch = 0\n", "intake.max_batch"),
        ('[channels.alerts]\ntoken = "short"\n', "channels.alerts.token"),
        (
            '[channels.a]\ntoken = "0123456789abcdef"\n[channels.b]\ntoken = "0123456789abcdef"\n',
            "channels.b.token",
        ),
        ("server = [\n", "answerback.toml"),
    ],
)
def test_an_invalid_setting_in_the_file_is_named(tmp_path: Path, text: str, word: str) -> None:
    """A setting that is unknown or invalid is named, and nothing is started; a secret is not repeated."""
    (tmp_path / "answerback.toml").write_text(text)
    line = complaint(run("serve", "--port", "0", cwd=tmp_path))
    assert word in line
    assert "0123456789abcdef" not in line
    assert not (tmp_path / "answerback-data").exists()


@pytest.mark.parametrize(
    ("variable", "value", "word"),
    [
        ("ANSWERBACK_SERVER__PROT", "1", "server.prot"),
        ("ANSWERBACK_SEVER__PORT", "1", "ANSWERBACK_SEVER__PORT"),
        ("ANSWERBACK_LOG__LEVEL", "loud", "log.level"),
    ],
)
def test_an_invalid_variable_is_named(tmp_path: Path, variable: str, value: str, word: str) -> None:
    """The same for a variable of the environment."""
    assert word in complaint(run("serve", "--port", "0", cwd=tmp_path, settings={variable: value}))


def test_a_configuration_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A file that was asked for must be there."""
    assert "missing.toml" in complaint(run("serve", "--config", "missing.toml", cwd=tmp_path))


@pytest.mark.parametrize("arguments", [("calls", "list"), ("quarantine", "requeue")], ids=" ".join)
def test_a_data_directory_without_a_ledger_is_named(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """A command that looks makes no ledger where there is none: it says where it looked."""
    line = complaint(run(*arguments, "--data-dir", "elsewhere", cwd=tmp_path))
    assert "server.data_dir" in line
    assert "elsewhere" in line
    assert not (tmp_path / "elsewhere").exists()


def test_a_data_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A path through a file ends the start with the path and the reason."""
    (tmp_path / "file").write_text("")
    assert "file/data" in complaint(run("serve", "--port", "0", "--data-dir", "file/data", cwd=tmp_path))


def test_a_start_that_fails_leaves_no_process_behind(tmp_path: Path) -> None:
    """The writer, which is started before the settings are read, has ended with the command."""
    ended = run("serve", "--config", "nowhere.toml", cwd=tmp_path, executed=True)
    assert "nowhere.toml" in complaint(ended)
    assert [one for one in psutil.pids() if _directory(one) == tmp_path] == []


def _directory(pid: int) -> Path | None:
    try:
        return Path("/proc", str(pid), "cwd").readlink()
    except OSError:
        return None


def test_a_file_that_is_no_ledger_is_named(tmp_path: Path) -> None:
    """Some other file by the ledger's name is not overwritten."""
    other = tmp_path / "data" / "ledger.db"
    other.parent.mkdir()
    other.write_bytes(b"not a database" * 1000)
    with Gateway(tmp_path / "data") as gateway:
        assert "is not a database" in gateway.reported["ledger_failure"]
        assert gateway.post(SEED).content == OK
    assert other.read_bytes() == b"not a database" * 1000


CHINESE = {"LC_ALL": "zh_CN.UTF-8"}


@pytest.mark.parametrize(
    ("arguments", "settings", "words"),
    [
        (
            ("--help",),
            CHINESE,
            ("用法：answerback", "选项", "显示本帮助并退出。", "命令", "掌握每通语音电话的结果", "通话及其结果。"),
        ),
        (("serve", "--help"), CHINESE, ("监听地址，默认 127.0.0.1。",)),
        (("endpoints", "add", "--help", "--lang", "zh"), {}, ("添加端点；", "[必填]", "参数")),
        (("load", "--help"), CHINESE, ("[默认：500.0]", "[环境变量：ANSWERBACK_KEY]", "发送之后")),
        (
            ("--lang", "en", "calls", "list", "--help"),
            CHINESE,
            ("Usage: answerback calls list", "List calls, newest first."),
        ),
        (("keys",), CHINESE, ("用法：answerback keys", "API 密钥及其角色。")),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_help_is_in_the_language_of_the_locale_or_of_lang(
    tmp_path: Path, arguments: tuple[str, ...], settings: dict[str, str], words: tuple[str, ...]
) -> None:
    """With Typer's own headings; --lang may stand anywhere and outweighs the locale. No flag seems to take a value."""
    done = run(*arguments, cwd=tmp_path, settings=settings)
    text = done.stdout + done.stderr
    for word in words:
        assert word in text
    assert "<bool>" not in text


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("calls list", ("首次获知 (UTC)", "通道", "call-1")),
        ("calls show none", ("answerback: 没有通话 none",)),
        ("calls show call-3", ("多个通道都有 callid call-3",)),
        ("callbacks show call-1 --limit x", ("'--limit' 的值无效：应为整数", "用法：answerback callbacks show")),
        ("quarantine list", ("收到时间 (UTC)", "原因")),
        ("doctor", ("怎么办", "持久存储", "一次提交用了", "token")),
        ("status", ("表结构", "没有端点")),
        ("stats", ("接通率", "尚无结果", "失败原因")),
        ("endpoints test crm", ("没有网关应答",)),
        ("config show", ("环境变量", "监听地址", "接收一个完整请求的时限")),
        ("prune --dry-run", ("retention：没有设置，所以全部保留",)),
        ("lst", ("没有命令 'lst'",)),
    ],
)
def test_commands_speak_chinese(place: Place, command: str, words: tuple[str, ...]) -> None:
    """Tables, hints and errors, on standard output and on standard error."""
    done = place.run(*command.split(), **CHINESE)
    for word in words:
        assert word in done.stdout + done.stderr


@pytest.mark.parametrize("command", ["calls list", "calls show call-1", "doctor", "status", "stats", "config show"])
def test_json_is_the_same_in_every_language(place: Place, command: str) -> None:
    """What programs read has the same names and the same words."""
    english, chinese = (place.json(*command.split(), **settings) for settings in ({}, CHINESE))
    assert _words(english) == _words(chinese)


def test_the_status_of_a_ledger_that_is_gone(tmp_path: Path) -> None:
    """It is to be put back, and something else says what waits; nobody is asked for another directory."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/admin-key").write_text("ab_x")
    done = run("status", "--data-dir", "data", cwd=tmp_path)
    assert (done.returncode, "put it back" in done.stderr) == (1, True), done
    assert "answerback doctor shows what waits in the inbox" in done.stderr


def test_no_encoding_of_the_output_ends_a_command(tmp_path: Path) -> None:
    """What it has not is printed as an escape; Chinese is spoken unasked only where it can be printed."""
    ascii_only = CHINESE | {"PYTHONIOENCODING": "ascii"}
    unasked = run("doctor", cwd=tmp_path, settings=ascii_only)
    assert (unasked.returncode, "durable storage" in unasked.stdout) == (0, True), unasked
    asked = run("--lang", "zh", "doctor", cwd=tmp_path, settings=ascii_only)
    assert (asked.returncode, "\\u6301\\u4e45\\u5b58\\u50a8" in asked.stdout) == (0, True), asked


def _words(document: Any) -> str:
    """A JSON document without its numbers: some are times."""
    return re.sub(r"\d+", "", json.dumps(document, ensure_ascii=False))


def test_help_lists_every_command_and_completion(tmp_path: Path) -> None:
    """--help lists the commands and how to install shell completion, which works."""
    text = run("--help", cwd=tmp_path).stdout
    words = "serve emulate load conform send calls callbacks endpoints deliveries tail quarantine migrate doctor channels config"
    for word in (*words.split(), "--install-completion", "--show-completion", "--version"):
        assert word in text
    script = run(cwd=tmp_path, settings={"_ANSWERBACK_COMPLETE": "source_bash"})
    assert "complete" in script.stdout
    assert run("--version", cwd=tmp_path).stdout.startswith("answerback ")
