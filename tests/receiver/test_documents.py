"""The programs that README and docs/receiver.md show do what they say, in both languages."""

import re
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from builders import failure, key_press, received, rejected
from gateway import OK, prompt
from gateway import key_press as key_press_body
from receiver.adapters import asgi
from receiver.stores import Place, django_store

from answerback.domain.models import RawCallback
from answerback.receiver import Receiver, SQLiteStore, Store

TOP = Path(__file__).parents[2]
GUIDES = ("docs/receiver.md", "docs/receiver.zh-CN.md")
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
