"""`answerback backup` and `restore`: all that was answered before the backup is in it, once, whatever goes on meanwhile."""

import itertools
import json
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from builders import received, status
from contract.databases import ledger_database
from gateway import OK, Gateway, prompt, run
from receivers.process import await_true

from answerback.config import load_settings
from answerback.errors import LedgerUnavailable
from answerback.ledger import open_sqlite
from answerback.service.backup import make_backup
from answerback.service.restore import restore_backup

SETTINGS = {"ANSWERBACK_LEDGER__LOCK_TIMEOUT_S": "0.2"}
BATCHES = 4


@contextmanager
def load(gateway: Gateway) -> Iterator[list[str]]:
    """Callbacks that come in all the while; the callids of those that were answered."""
    answered: list[str] = []
    is_over = threading.Event()

    def send(sender: int) -> None:
        for number in itertools.count():
            if is_over.is_set():
                return
            assert gateway.post(prompt(f"{sender}-{number}")).content == OK
            answered.append(f"{sender}-{number}")

    senders = [threading.Thread(target=send, args=(sender,)) for sender in range(BATCHES)]
    for sender in senders:
        sender.start()
    try:
        while len(answered) < 200:
            senders[0].join(0.01)
        yield answered
    finally:
        is_over.set()
        for sender in senders:
            sender.join()


def command(home: Path, *arguments: str | Path, **settings: str) -> tuple[int, str]:
    """The exit status of a command, and what it says."""
    done = run(*arguments, cwd=home, settings=settings)
    return done.returncode, done.stdout + done.stderr


def reported(home: Path, *arguments: str | Path, **settings: str) -> dict[str, Any]:
    """What it prints as JSON."""
    status, said = command(home, *arguments, "--json", **settings)
    assert status == 0, said
    found: dict[str, Any] = json.loads(said)
    return found


class Backups:
    """A gateway under load, and two backups of it: one made meanwhile, one while its ledger was locked."""

    def __init__(self, home: Path) -> None:
        self.home = home
        with Gateway(home / "data", settings=SETTINGS) as gateway:
            with load(gateway) as answered:
                self.before = list(answered)
                self.under_load = reported(home, "backup", "under-load", "--data-dir", "data")
            with gateway.locked("ledger.db"):
                self.waiting = [f"waiting-{number}" for number in range(5)]
                for callid in self.waiting:
                    assert gateway.post(prompt(callid)).content == OK
                self.while_locked = reported(home, "backup", "while-locked", "--data-dir", "data")
            self.all = [*answered, *self.waiting]
            self.in_use = command(home, "restore", "under-load", "--data-dir", "data")
            self.key = gateway.key


@pytest.fixture(scope="module")
def backups(tmp_path_factory: pytest.TempPathFactory) -> Backups:
    """They are made once."""
    return Backups(tmp_path_factory.mktemp("backup"))


def calls_of(gateway: Gateway) -> list[str]:
    """The calls that a gateway has once its inbox is recorded; nothing was recorded twice."""
    (found,) = gateway.rows("SELECT sum(duplicates) FROM callbacks")
    assert found == (0,)
    return sorted(callid for (callid,) in gateway.rows("SELECT callid FROM calls"))


def test_a_backup_under_load_has_what_was_answered_before_it(backups: Backups, tmp_path: Path) -> None:
    """Restored, it serves: the same key opens it, and every callback is there once."""
    made = backups.under_load
    assert [file["name"] for file in made["files"]] == ["inbox.db", "ledger.db", "server-secret", "admin-key"]
    assert made["rows"]["calls"] + made["waiting"] >= len(backups.before)
    restored = reported(tmp_path, "restore", backups.home / "under-load", "--data-dir", "data")
    assert restored["rows"] == made["rows"]
    with Gateway(tmp_path / "data") as gateway:
        found = calls_of(gateway)
        assert set(backups.before) <= set(found) <= set(backups.all)
        assert gateway.key == backups.key
        assert gateway.call(backups.before[0])["outcome"] == "answered"
        assert gateway.post(prompt("after")).content == OK
    assert (tmp_path / "data/admin-key").stat().st_mode & 0o077 == 0


def test_a_backup_has_what_waits_in_the_inbox(backups: Backups, tmp_path: Path) -> None:
    """The restored gateway records it; so it is when its first start is killed and the next one goes on."""
    assert backups.while_locked["waiting"] >= len(backups.waiting)
    status, said = command(tmp_path, "restore", backups.home / "while-locked", "--data-dir", "data")
    assert (status, "verified" in said, "answerback keys list" in said) == (0, True, True), said
    with Gateway(tmp_path / "data") as gateway:
        gateway.kill()
        gateway.start()
        assert calls_of(gateway) == sorted(backups.all)


def test_what_leaves_the_inbox_between_the_two_copies_is_in_the_ledger(tmp_path: Path) -> None:
    """A callback that waits when the inbox is copied, and is recorded and deleted before the ledger is, is in both, and shown once."""
    settings = SETTINGS | {"ANSWERBACK_INBOX__KEEP_S": "0.001"}
    with Gateway(tmp_path / "data", settings=settings) as gateway, ExitStack() as held:
        held.enter_context(gateway.locked("ledger.db"))
        assert gateway.post(prompt("between")).content == OK
        steps: list[str] = []

        def progress(step: str, done: int, total: int) -> None:
            if not steps:  # the first file's copy is of a moment that is over
                held.close()
                gateway.await_recorded()
                for number in itertools.count():  # rows are deleted with a later append
                    if not is_in_inbox(gateway, "between"):
                        break
                    assert gateway.post(prompt(f"later-{number}")).content == OK
                    gateway.await_recorded()
            steps.append(f"{step} {done} {total}")

        made = make_backup(
            load_settings(overrides={"server": {"data_dir": tmp_path / "data"}}), tmp_path / "made", progress
        )
    assert made.waiting == 0
    reported(tmp_path, "restore", "made", "--data-dir", "again")
    with Gateway(tmp_path / "again") as gateway:
        assert "between" in calls_of(gateway)


def is_in_inbox(gateway: Gateway, callid: str) -> bool:
    """Whether the inbox has a row with a callback of that call."""
    with closing(sqlite3.connect(f"file:{gateway.data_dir / 'inbox.db'}?mode=ro", uri=True)) as connection:
        found = connection.execute("SELECT 1 FROM rows WHERE instr(payload, CAST(? AS BLOB)) > 0", (callid,))
        return found.fetchone() is not None


def test_a_copy_is_of_one_moment_however_long_it_takes(tmp_path: Path) -> None:
    """What is written between its steps is not in it, and does not make it begin again."""
    with closing(open_sqlite(tmp_path / "data", allow_unsafe_filesystem=True)) as ledger:
        ledger.record([received(status(callid=f"call-{n}")) for n in range(15_000)])
        copied: list[int] = []

        def progress(step: str, done: int, _total: int) -> None:
            if step == "copy ledger.db":
                copied.append(done)
                ledger.record([received(status(callid=f"meanwhile-{done}"))])

        settings = load_settings(overrides={"server": {"data_dir": tmp_path / "data"}})
        assert make_backup(settings, tmp_path / "made", progress).rows["calls"] == 15_000
    assert len(copied) > 1
    assert copied == sorted(set(copied))


def test_a_restore_overwrites_nothing(backups: Backups, tmp_path: Path) -> None:
    """Neither what a gateway uses, nor what is there; a backup, too, wants a directory of its own."""
    status, said = backups.in_use
    assert (status, "another gateway uses the inbox there: stop it" in said) == (1, True), said
    (tmp_path / "data").mkdir()
    (tmp_path / "data/ledger.db").write_bytes(b"something")
    for arguments in (
        ("restore", backups.home / "under-load", "--data-dir", "data"),
        ("backup", "data", "--data-dir", backups.home / "data"),
    ):
        status, said = command(tmp_path, *arguments)
        assert (status, "it is not empty, it holds ledger.db" in said) == (1, True), said
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["ledger.db"]


def test_a_restore_that_is_cut_short_is_taken_for_nothing(backups: Backups, tmp_path: Path) -> None:
    """A failure leaves nothing. Before that no gateway would make a new ledger there: the admin key says that there was one."""
    settings = load_settings(
        overrides={"server": {"data_dir": tmp_path / "data"}, "ledger": {"allow_unsafe_filesystem": True}}
    )
    found: list[str] = []

    def progress(step: str, _done: int, _total: int) -> None:
        if step == "restore ledger.db":
            found.extend(path.name for path in (tmp_path / "data").iterdir())
            with pytest.raises(LedgerUnavailable, match="moved or replaced"):
                open_sqlite(tmp_path / "data", allow_unsafe_filesystem=True)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore_backup(settings, backups.home / "under-load", progress)
    assert set(found) == {"admin-key", "server-secret", "inbox.db", "inbox.lock"}
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["inbox.lock"]
    restore_backup(settings, backups.home / "under-load", lambda *_: None)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ledger.db", "ledger.db is not as it was when the backup was made"),
        ("inbox.db", "inbox.db is not as it was"),
        ("backup.json", "is not a complete backup"),
    ],
)
def test_a_damaged_backup_is_not_restored(backups: Backups, tmp_path: Path, name: str, words: str) -> None:
    """One byte is enough; nothing is made."""
    shutil.copytree(backups.home / "under-load", tmp_path / "copy")
    damaged = tmp_path / "copy" / name
    if name == "backup.json":
        damaged.unlink()
    else:
        with damaged.open("r+b") as file:
            file.seek(4200)
            file.write(b"\xff")
    status, said = command(tmp_path, "restore", "copy", "--data-dir", "data")
    assert (status, words in said) == (1, True), said
    assert not (tmp_path / "data").exists()


@pytest.mark.soak
def test_a_backup_of_a_damaged_ledger_fails(backups: Backups, tmp_path: Path) -> None:
    """It would be worth nothing: it is said now, and nothing of it is left."""
    shutil.copytree(backups.home / "under-load", tmp_path / "data")
    with (tmp_path / "data/ledger.db").open("r+b") as file:
        file.seek(8192)
        file.write(b"\xff" * 4096)
    status, said = command(tmp_path, "backup", "made", "--data-dir", "data")
    assert (status, "the database is damaged" in said) == (1, True), said
    assert not (tmp_path / "made").exists()


def test_a_ledger_in_postgresql_is_left_to_its_own_tools(backups: Backups, tmp_path: Path) -> None:
    """The inbox and the secrets are copied all the same, and the command says what is not in it."""
    postgresql = {"ANSWERBACK_LEDGER__URL": "postgresql://answerback@127.0.0.1:9/nowhere"}
    made = reported(tmp_path, "backup", "made", "--data-dir", backups.home / "data", **postgresql)
    assert [file["name"] for file in made["files"]] == ["inbox.db", "server-secret", "admin-key"]
    assert "with its own tools (pg_dump)" in made["left_out"][0]
    status, said = command(tmp_path, "restore", "made", "--data-dir", "data")
    assert (status, "the ledger of this backup is in PostgreSQL" in said) == (1, True), said
    status, said = command(tmp_path, "restore", backups.home / "under-load", "--data-dir", "data", **postgresql)
    assert (status, "the backup has a SQLite ledger" in said) == (1, True), said
    inbox = {"ANSWERBACK_INBOX__DIR": str(tmp_path / "elsewhere")}
    assert reported(tmp_path, "restore", "made", "--data-dir", "data", **postgresql, **inbox)["waiting"] is None
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["admin-key", "server-secret"]
    assert sorted(path.name for path in (tmp_path / "elsewhere").iterdir()) == ["inbox.db", "inbox.lock"]


def test_a_disk_is_lost_and_postgresql_is_not(tmp_path: Path) -> None:
    """The restored inbox has rows that the database holds already, and others that it does not: each is recorded once."""
    url = ledger_database(tmp_path)
    settings = {"ANSWERBACK_LEDGER__URL": url}
    with Gateway(tmp_path / "data", settings=settings) as gateway:
        for callid in ("before", "too"):
            assert gateway.post(prompt(callid)).content == OK
        await_calls(url, 2)
        with psycopg.connect(url) as connection:
            connection.execute("LOCK TABLE log_positions")
            assert gateway.post(prompt("waits")).content == OK
            reported(tmp_path, "backup", "made", "--data-dir", "data", **settings)
            gateway.kill()
    reported(tmp_path, "restore", "made", "--data-dir", "again", **settings)
    with Gateway(tmp_path / "again", settings=settings):
        await_calls(url, 3)
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT count(*), sum(duplicates) FROM callbacks").fetchone() == (3, 0)


def await_calls(url: str, count: int) -> None:
    """Wait until the database has so many calls."""

    def calls() -> int:
        with psycopg.connect(url) as connection:
            return len(connection.execute("SELECT 1 FROM calls").fetchall())

    await_true(lambda: calls() == count, lambda: f"{calls()} calls, not {count}")
