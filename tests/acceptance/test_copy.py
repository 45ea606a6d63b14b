"""`answerback copy` as a user runs it: beside gateways, killed, and found out."""

import json
import random
import shutil
import signal
import sqlite3
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from threading import Event, Thread
from typing import Any

import psycopg
import pytest
from acceptance.test_cli_progress import on_a_terminal
from builders import received, status
from contract.delivery_helpers import accept, endpoint, load
from forking import launch
from gateway import OK, Gateway, environment, failure, prompt, run
from postgresql import PostgreSQL, database
from receivers.process import Receive, Receiver
from receivers.webhook_receiver import Business, relaying

from answerback.domain.models import ADMIN_KEY_FILE
from answerback.ledger import Ledger, open_postgresql, open_sqlite

_TABLES = ("calls", "callbacks", "deliveries", "attempts", "rollups")


class Store:
    """A ledger's place: a directory, or a database."""

    def __init__(self, directory: Path, url: str | None) -> None:
        self.directory = directory
        self.url = url

    def __str__(self) -> str:
        return self.url or f"sqlite:{self.directory}"

    def open(self) -> Ledger:
        """The ledger there."""
        if self.url:
            return open_postgresql(self.url, allow_unsafe=True)
        return open_sqlite(self.directory, allow_unsafe_filesystem=True)

    def gateway(self) -> Gateway:
        """A gateway that serves it, and whose relay tries again at once."""
        self.directory.parent.mkdir(exist_ok=True)
        store = {"ANSWERBACK_LEDGER__URL": self.url} if self.url else {}
        return Gateway(
            self.directory,
            settings=relaying("[0.5, 0.5, 0.5, 0.5, 0.5, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2]", breaker_threshold="10000")
            | store,
        )

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Do something to it behind everybody's back."""
        if self.url:
            with psycopg.connect(self.url) as connection:
                cursor = connection.execute(statement.encode())
                return cursor.fetchall() if cursor.description else []
        with closing(sqlite3.connect(self.directory / "ledger.db", timeout=10)) as file, file:
            return file.execute(statement).fetchall()

    def rows(self) -> int:
        """How many rows there are by now."""
        with suppress(psycopg.Error, sqlite3.Error):
            return sum(int(self.execute(f"SELECT count(*) FROM {table}")[0][0]) for table in _TABLES)
        return 0


@pytest.fixture(params=["up", pytest.param("down", marks=pytest.mark.soak)])
def stores(
    request: pytest.FixtureRequest, tmp_path: Path, postgresql_server: PostgreSQL
) -> Iterator[tuple[Store, Store]]:
    """From where to where: from SQLite to PostgreSQL, and the other way round."""
    with database(postgresql_server) as url:
        up = (Store(tmp_path / "old" / "data", None), Store(tmp_path / "new" / "data", url))
        yield (
            up
            if request.param == "up"
            else (
                Store(tmp_path / "old" / "data", url),
                Store(tmp_path / "new" / "data", None),
            )
        )


def copy(source: Store, target: Store, *options: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return run("copy", "--from", str(source), "--to", str(target), *options, cwd=Path("/tmp"))


def fill(store: Store, calls: int) -> None:
    """Calls, their callbacks, and their deliveries, of which some are delivered."""
    store.directory.parent.mkdir(parents=True)
    with closing(store.open()) as ledger:
        crm = endpoint(ledger)
        for first in range(0, calls, 1_000):
            callids = [str(uuid.uuid1()) for _ in range(min(1_000, calls - first))]
            ledger.record([received(status(callid=callid), after_s=first * 600) for callid in callids])
        accept(ledger, *load(ledger, crm, limit=500))


@pytest.mark.parametrize(("calls", "kills"), [(1_000, 1), pytest.param(5_000, 3, marks=pytest.mark.soak)])
def test_killed_anywhere_it_goes_on_from_there(stores: tuple[Store, Store], calls: int, kills: int) -> None:
    """SIGKILL at any moment, again and again: the last run makes both equal, and has less to do."""
    source, target = stores
    fill(source, calls)
    total, chance = source.rows(), random.Random()
    killed_at = sorted(chance.randrange(total) for _ in range(kills))
    for enough in killed_at:
        with TemporaryFile() as nowhere:
            arguments = ["copy", "--from", str(source), "--to", str(target)]
            process = launch(arguments, cwd=Path("/tmp"), env=environment(), stdout=nowhere, stderr=nowhere)
        while process.poll() is None and target.rows() <= enough:
            time.sleep(chance.random() / 100)
        process.send_signal(signal.SIGKILL)
        process.wait()
    last = copy(source, target, "--json")
    assert last.returncode == 0, (killed_at, last.stderr)
    said = json.loads(last.stdout)
    assert said["ready"], (killed_at, said)
    assert sum(table["added"] for table in said["synced"].values()) < total
    assert copy(source, target, "--verify-only").returncode == 0
    assert source.rows() == target.rows() == total


@contextmanager
def calling(gateway: Gateway) -> Iterator[Callable[[], list[str]]]:
    """The cloud calls back all the time; the calls of which the gateway has answered that it has them."""
    answered: list[str] = []
    ended = Event()

    def go_on() -> None:
        while not ended.is_set():
            callid = str(uuid.uuid1())
            if gateway.post(prompt(callid)).content == OK:
                answered.append(callid)
            gateway.post(failure(callid, failure_code=8) if len(answered) % 3 else prompt(callid))
            time.sleep(0.005)

    thread = Thread(target=go_on)
    thread.start()
    try:
        yield lambda: answered
    finally:
        ended.set()
        thread.join()


def move(source: Store, target: Store, old: Gateway, receiver: Receiver) -> list[str]:
    """Copy while calls come in and are delivered, then stop everything and copy the rest; the calls that were answered."""
    with calling(old) as answered:
        receiver.await_taken(20)
        first = copy(source, target)
        assert first.returncode == 0, first.stderr
        assert "is still being written, by " in first.stdout
        assert "1. stop the old gateway" in first.stdout
        with target.gateway() as early:
            assert "the copy into it is not finished" in early.reported["ledger_failure"]
        count = len(answered())
        while len(answered()) < count + 20:
            time.sleep(0.01)
        receiver.stop()
        while len(answered()) < count + 40:
            time.sleep(0.01)
    assert old.terminate() == 0
    last = copy(source, target)
    assert last.returncode == 0, last.stderr
    assert "The copy is complete: start the new gateway with" in last.stdout, last.stdout
    return answered()


def test_a_served_ledger_moves_without_losing_a_callback(stores: tuple[Store, Store], receive: Receive) -> None:
    """All that was answered is there; what was delivered is not repeated, what was not is delivered, under the same message id."""
    source, target = stores
    target.directory.mkdir(parents=True)
    receiver = receive()
    with source.gateway() as old:
        Business(old).add("crm", receiver.url)
        answered = move(source, target, old, receiver)
        shutil.copy(old.data_dir / ADMIN_KEY_FILE, target.directory)
    ids = set(source.execute("SELECT id, message_tag FROM deliveries"))
    with target.gateway() as new:
        receiver.start()
        assert new.post(prompt(answered[0])).content == OK
        business = Business(new)
        later = str(uuid.uuid1())
        business.hears(prompt(later))
        business.await_settled("crm", timeout_s=30)
        assert new.call(answered[0])["callid"] == answered[0]
    taken = [one for one in receiver.taken if one.status == 200]
    reported = [one.id for one in taken]
    assert len(reported) == len(set(reported)), "a delivery was told again"
    assert {one.callid for one in taken} == {*answered, later}
    assert {f"dlv_{id_}_{tag}" for id_, tag in ids} <= set(reported)


@pytest.mark.soak
def test_a_gateway_for_the_meantime_keeps_what_comes(tmp_path: Path, postgresql_url: str, receive: Receive) -> None:
    """As docs/copy.md has it: while the old one is stopped another takes callbacks, and they are brought in with --deliver."""
    source, target = Store(tmp_path / "old" / "data", None), Store(tmp_path / "new" / "data", postgresql_url)
    target.directory.mkdir(parents=True)
    receiver = receive()
    with source.gateway() as old, Gateway(tmp_path / "meantime") as meantime:
        Business(old).add("crm", receiver.url)
        Business(old).hears(prompt("before"))
        receiver.await_taken(1)
        assert old.terminate() == 0
        Business(meantime).hears(failure("before"), prompt("meanwhile"))
        assert copy(source, target).returncode == 0
        shutil.copy(old.data_dir / ADMIN_KEY_FILE, target.directory)
        with target.gateway() as new:
            file = tmp_path / "meantime.ndjson"
            exported = ("export", "callbacks", "--format", "ndjson", "--unmask", "--output", file)
            assert run(*exported, "--data-dir", meantime.data_dir, cwd=tmp_path).returncode == 0
            brought = run(
                "import", "--deliver", file, cwd=tmp_path, settings={"ANSWERBACK_LEDGER__URL": postgresql_url}
            )
            assert brought.returncode == 0, brought.stderr
            Business(new).await_settled("crm")
    assert receiver.callids == ["before", "before", "meanwhile"]


def test_what_differs_is_named(tmp_path: Path, postgresql_url: str) -> None:
    """A row that is not the source's any more: its table and id, status 1; without --verify-only the copy stays shut."""
    source, target = Store(tmp_path / "old" / "data", None), Store(tmp_path / "new" / "data", postgresql_url)
    fill(source, 100)
    assert copy(source, target).returncode == 0
    target.execute("UPDATE callbacks SET raw = fingerprint WHERE id IN (SELECT max(id) FROM callbacks)")
    ((last,),) = target.execute("SELECT max(id) FROM callbacks")
    for options, said in (("--verify-only", "differ in callbacks."), ("--verify", "No gateway will serve it.")):
        found = copy(source, target, options)
        assert found.returncode == 1
        assert f"1 row differs: {last}" in found.stdout
        assert said in found.stdout


def test_a_terminal_shows_how_far_it_is(tmp_path: Path) -> None:
    """A bar to its end for each stage, with rows and their rate."""
    source, target = Store(tmp_path / "old" / "data", None), Store(tmp_path / "new" / "data", None)
    fill(source, 100)
    shown = on_a_terminal("copy", "--from", str(source), "--to", str(target), cwd=tmp_path)
    assert "copying" in shown
    assert "comparing" in shown
    assert "100%" in shown
    assert "rows/s" in shown
