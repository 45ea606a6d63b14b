"""The programs that README and docs/receiver.md show do what they say, in both languages."""

import ast
import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from builders import failure, key_press, received, rejected
from ending import ending
from gateway import OK, prompt, run
from gateway import failure as failure_body
from gateway import key_press as key_press_body
from ports import port_of, reserve_port
from receiver.adapters import asgi
from receiver.stores import Place, django_store

from answerback.domain.models import RawCallback
from answerback.emulator.conformance.rules import RULES
from answerback.receiver import Receiver, SQLiteStore, Store

TOP = Path(__file__).parents[2]
GUIDES = ("docs/receiver.md", "docs/receiver.zh-CN.md")
FRAMEWORKS = ("fastapi", "flask", "django")
READMES = ("README.md", "README.zh-CN.md")


def blocks(name: str, language: str) -> list[str]:
    """The fenced blocks of a document."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (TOP / name).read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture(autouse=True)
def _in_a_place_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which may be in memory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("answerback.receiver.sqlite_store.unsafe_filesystem_reason", lambda _: None)


@pytest.mark.parametrize("name", READMES + GUIDES)
def test_the_first_program_prints_what_its_comments_say(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A status and a key press come by the callback URL that it names."""
    program = next(block for block in blocks(name, "python") if "Receiver" in block)
    assert program.count("\n") < 20
    found: dict[str, Any] = {}
    exec(compile(program, name, "exec"), found)
    (token,) = re.findall(r'token="(\w+)"', program)
    send = asgi(found["app"])
    with closing(found["voice"]) as voice:
        for body in (prompt("xxxxxx"), key_press_body("xxxxxx")):
            assert send("POST", f"/voice/callback/{token}", body).body == OK
        deadline_s = time.monotonic() + 30
        while voice.backlog().events:
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
    assert capsys.readouterr().out.splitlines() == re.findall(r"print\(.*\)  # (.*)", program)


@pytest.mark.parametrize("name", GUIDES)
def test_channels_have_their_tokens(name: str) -> None:
    """As the line with several says."""
    program = next(block for block in blocks(name, "python") if "channels=" in block)
    found: dict[str, Any] = {"Receiver": Receiver}
    exec(compile(program, name, "exec"), found)
    with closing(found["voice"]) as voice:
        assert voice.receive(prompt("a"), "9fHc4BnUe6TyXo1WqJ8k").body == OK
        assert voice.call("a", "alerts") is not None
        assert voice.call("a", "codes") is None


@pytest.mark.parametrize("name", GUIDES)
@pytest.mark.parametrize("store", ["SQLAlchemyStore", "DjangoStore"])
def test_the_stores_in_the_application_s_database_keep_what_they_answer(
    name: str, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the guide opens them; Django is set up before, with the application and its migration."""
    if store == "DjangoStore":
        opened = django_store(Place(tmp_path))
        monkeypatch.setattr("answerback.receiver.django.DjangoStore", lambda: opened)
    program = next(block for block in blocks(name, "python") if f"store={store}(" in block)
    found: dict[str, Any] = {}
    exec(compile(program, name, "exec"), found)
    with closing(found["voice"]) as voice:
        assert voice.receive(prompt("a"), "K3v9sYpW2mQx7LdR5tZa").body == OK
        assert voice.call("a").outcome == "answered"
    if "engine" in found:
        found["engine"].dispose()


@pytest.mark.parametrize("name", GUIDES)
def test_the_statements_do_what_they_say(name: str, tmp_path: Path) -> None:
    """What fails is shown, tried again, and given up."""
    (block,) = blocks(name, "sql")
    shows, tries, gives_up = (line.partition("--")[0].replace("17", "1") for line in block.splitlines())
    taken: list[int] = []

    def fails(_callbacks: Sequence[RawCallback], failures: int) -> float:
        taken.append(failures)
        return 3600

    with closing(SQLiteStore(tmp_path / "voice.db")) as store:
        store.record([received(key_press())])
        assert store.deliver(fails)
        assert not store.deliver(fails)
        with closing(sqlite3.connect(tmp_path / "voice.db", isolation_level=None)) as shell:
            assert [row[:3] for row in shell.execute(shows)] == [(1, key_press().callid, 1)]
            shell.execute(tries)
            assert store.deliver(fails)
            shell.execute(gives_up)
        assert taken == [0, 1]
        assert store.backlog().events == 0


@pytest.fixture(params=GUIDES)
def own_store(request: pytest.FixtureRequest, postgresql_url: str) -> Callable[[], Store]:
    """Opens the store that the guide writes, on a real PostgreSQL."""
    program = next(block for block in blocks(request.param, "python") if "class PostgreSQLStore" in block)
    found: dict[str, Any] = {}
    exec(compile(program, request.param, "exec"), found)

    class Pool:
        @staticmethod
        def connection() -> psycopg.Connection[Any]:
            return psycopg.connect(postgresql_url)

    return lambda: found["PostgreSQLStore"](Pool)


def test_the_store_of_the_guide_is_one(own_store: Callable[[], Store]) -> None:
    """In order, with retries and repeats, and of a call one event at a time, whoever asks."""
    store, other = own_store(), own_store()
    first, second, theirs = received(key_press()), received(failure()), received(key_press(callid="other"))
    store.record([first, second, first, rejected(b"{")])
    other.record([first, theirs])
    taken: list[tuple[list[bytes], int]] = []

    def take(callbacks: Sequence[RawCallback], failures: int) -> None:
        taken.append(([one.raw for one in callbacks], failures))

    def fails(callbacks: Sequence[RawCallback], _failures: int) -> float:
        assert [one.raw for one in callbacks] == [first.raw]
        assert other.deliver(take)
        assert not other.deliver(take)
        return 0

    assert store.deliver(fails)
    while other.deliver(take):
        pass
    assert taken == [([theirs.raw], 0), ([first.raw], 1), ([first.raw, second.raw], 0)]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_both_languages_show_the_same_program(framework: str) -> None:
    """But for comments."""
    pages = [f"docs/receiver-{framework}{language}.md" for language in ("", ".zh-CN")]
    programs = [[ast.dump(ast.parse(block)) for block in blocks(page, "python")] for page in pages]
    commands = [[re.sub(r" *#.*", "", block) for block in blocks(page, "sh")] for page in pages]
    assert (programs[0], commands[0]) == (programs[1], commands[1])


@pytest.mark.parametrize(("framework", "server"), [*((name, "") for name in FRAMEWORKS), ("django", "asgi")])
def test_the_program_of_a_framework_runs(framework: str, server: str, tmp_path: Path) -> None:
    """As its page starts it: it conforms, prints what happened once, and knows the call and that nothing waits."""
    page = f"docs/receiver-{framework}.md"
    (program,) = blocks(page, "python")
    commands, check, *others = blocks(page, "sh")
    if server == "asgi":
        program = program.replace("wsgi", "asgi")
        commands = "\n".join([*commands.splitlines()[:-1], others[0].splitlines()[-1]])
    (tmp_path / "app.py").write_text(program)
    *prepares, serves = commands.splitlines()[1:]
    kept = reserve_port()
    port = port_of(kept)
    prepared = "\n".join([*prepares, f"exec {serves.replace('8000', str(port))}"])
    url = f"http://127.0.0.1:{port}"
    variables = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(ending("sh", "-ec", prepared, by="TERM"), env=variables, stdout=log, stderr=log)
    try:
        await_until(lambda: answers(f"{url}/health") or process.poll() is not None)
        assert process.poll() is None, (tmp_path / "log").read_text()
        sends, conforms = (line.replace("http://127.0.0.1:8000", url).split()[1:] for line in check.splitlines())
        assert run(*sends, cwd=tmp_path).returncode == 0
        report = json.loads(run(*conforms, "--json", cwd=tmp_path).stdout)
        failed = [rule for rule in report["items"] if rule["level"] == "failed"]
        assert (failed, report["rules"]) == ([], len(RULES))
        for body in (key_press_body("mine"), prompt("mine")):
            assert httpx.post(conforms[1], content=body, trust_env=False, verify=False, timeout=30).content == OK
        await_until(lambda: httpx.get(f"{url}/health", trust_env=False, verify=False).json()["events"] == 0)
        call = httpx.get(f"{url}/calls/mine", trust_env=False, verify=False).json()
    finally:
        process.terminate()
        process.wait(30)
        kept.close()
    lines = (tmp_path / "log").read_text().splitlines()
    assert (call["outcome"], call["keys"]) == ("answered", ["1"])
    assert (lines.count("mine answered"), lines.count("mine confirmed")) == (1, 1)


def answers(url: str) -> bool:
    """Whether somebody answers there."""
    try:
        return httpx.get(url, trust_env=False, verify=False, timeout=30).status_code == 200
    except httpx.TransportError:
        return False


def await_until(is_so: Callable[[], bool]) -> None:
    """In a process of somebody else's."""
    deadline_s = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


Tried = tuple[str, int, int, list[str]]
CASES: dict[str, tuple[list[bytes], Tried, Tried]] = {
    "early": ([prompt("a")], ("sent", 0, 0, []), ("answered", 1, 0, [])),
    "repeat": ([prompt("a"), prompt("a")], ("answered", 2, 0, []), ("answered", 1, 0, [])),
    "missed twice": (
        [prompt("a", result="1", fee="0", mobile="13788888888"), failure_body("a")],
        ("failed", 0, 0, ["text to 13788888888"] * 2),
        ("unanswered", 0, 0, ["text to 13788888888"]),
    ),
    "late failure": (
        [prompt("a"), failure_body("a")],
        ("failed", 1, 0, ["text to 13788888888"]),
        ("answered", 1, 0, []),
    ),
    "no fee": (
        [prompt("a", result="1", fee="", mobile="13788888888")],
        ("sent", 0, 0, []),
        ("unanswered", 0, 0, ["text to 13788888888"]),
    ),
    "confirmed": ([key_press_body("a", "1"), prompt("a")], ("answered", 1, 1, []), ("answered", 1, 1, [])),
}


@pytest.mark.parametrize("name", ["docs/migrating.md", "docs/migrating.zh-CN.md"])
@pytest.mark.parametrize("case", CASES)
def test_what_a_handwritten_handler_loses(name: str, case: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Both programs of the page get the same callbacks: in the end the one has lost what the table says, the other nothing."""
    before, after = (block for block in blocks(name, "python") if "flask" in block)
    bodies, *expected = CASES[case]
    for program, path, ends in zip((before, after), ("", "/K3v9sYpW2mQx7LdR5tZa"), expected, strict=True):
        found: dict[str, Any] = {"__name__": "__main__"}
        exec(compile(program, name, "exec"), found)
        client, db = found["app"].test_client(), found["db"]
        sent = "INSERT INTO alerts (callid, state) VALUES ('a', 'sent')"
        if case != "early":
            db.execute(sent)
        for body in bodies:
            answer = client.post(f"/voice/callback{path}", data=body, content_type="application/json")
            is_lost = case == "no fee" and not path
            assert answer.status_code == 500 if is_lost else answer.get_json() == json.loads(OK)
        if case == "early":
            db.execute(sent)
        if "voice" in found:
            deadline_s = time.monotonic() + 30
            while found["voice"].backlog().events:
                assert time.monotonic() < deadline_s
                time.sleep(0.02)
            assert found["voice"].close()
        state = db.execute("SELECT state, fee, confirmed FROM alerts").fetchone()
        assert (*state, capsys.readouterr().out.splitlines()) == ends
        db.execute("DELETE FROM alerts")
        db.close()


@pytest.mark.parametrize("name", ["docs/migrating.md", "docs/migrating.zh-CN.md"])
def test_old_bodies_go_the_same_way(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As the page's loop has them: those that are there already are repeats, others that are no callbacks are said."""
    (program,) = (block for block in blocks(name, "python") if "old-callbacks" in block)
    Path("old-callbacks.ndjson").write_bytes(b"\n".join([prompt("a"), prompt("a"), b"{}"]))
    with closing(Receiver(token="K3v9sYpW2mQx7LdR5tZa", store="sqlite:voice.db", threads=0)) as voice:
        exec(compile(program, name, "exec"), {"voice": voice})
        assert voice.backlog().events == 1
    assert capsys.readouterr().out.startswith("400 no callback key")
