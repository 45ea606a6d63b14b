"""`answerback inbox record` and the doctor: what a dead gateway has answered, and how it gets into the ledger."""

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from builders import key_press, status
from contract.backends import in_memory
from gateway import run
from recorder.harness import append, opened

from answerback.domain.batches import BatchItem
from answerback.inbox import INBOX_FILE
from answerback.ledger import open_sqlite


@pytest.fixture
def dead() -> Iterator[Path]:
    """The directory of a gateway that has ended before it had recorded what it answered."""
    with in_memory() as directory:
        asyncio.run(_answer(directory))
        yield directory


async def _answer(directory: Path) -> None:
    for key in "12":  # two starts
        async with opened(directory) as inbox:
            await append(inbox, [status(callid="a"), key_press(callid="a", key=key)], rows=2)


def record(place: Path, tmp_path: Path, *options: str, executed: bool = False) -> tuple[int, str]:
    """The exit status of the command, and what it says."""
    done = run("inbox", "record", str(place), "--data-dir", "data", *options, cwd=tmp_path, executed=executed)
    return done.returncode, done.stdout + done.stderr


def test_it_is_recorded_once(dead: Path, tmp_path: Path) -> None:
    """In order, as the reply says; what the ledger has is skipped the next time; the audit log tells of both."""
    status_, reported = record(dead, tmp_path, executed=True)
    assert (status_, "rows" in reported) == (0, True), reported
    again = json.loads(record(dead / INBOX_FILE, tmp_path, "--json")[1])
    assert again == {
        "file": str(dead / INBOX_FILE),
        "rows": 0,
        "unreadable_rows": 0,
        "callbacks": 0,
        "dispositions": {},
    }
    with closing(open_sqlite(tmp_path / "data", allow_unsafe_filesystem=True)) as ledger:
        assert ledger.call("a").keys == ("1", "2")
        assert sorted(entry.duplicates for entry in ledger.callbacks("a").items) == [0, 0, 1]
        events = [(event.action, event.target) for event in ledger.audit_events().items]
    assert events == [("inbox_recorded", "0 callbacks"), ("inbox_recorded", "4 callbacks")]


def test_rows_that_cannot_be_read_are_counted(dead: Path, tmp_path: Path) -> None:
    """The quarantine says which."""
    with closing(sqlite3.connect(dead / INBOX_FILE, isolation_level=None)) as file:
        file.execute("UPDATE rows SET payload = x'00' WHERE key = (SELECT min(key) FROM rows)")
    reported = json.loads(record(dead, tmp_path, "--json")[1])
    assert (reported["rows"], reported["unreadable_rows"]) == (4, 1)
    assert reported["dispositions"] == {"stored": 3, "quarantined": 1}
    assert "row 1 of log" in run("quarantine", "list", "--json", "--data-dir", "data", cwd=tmp_path).stdout


def test_a_gateway_s_own_inbox_is_left_to_it(dead: Path, tmp_path: Path) -> None:
    """The command says what to do."""

    async def record_meanwhile() -> tuple[int, str]:
        async with opened(dead):
            return await asyncio.to_thread(record, dead, tmp_path)

    status_, reported = asyncio.run(record_meanwhile())
    assert status_ == 1
    assert "a gateway uses this inbox and records it itself: stop it first" in reported


@pytest.mark.parametrize(
    ("content", "words"), [(None, "is not there"), (b"", "is empty"), (b"SQLite?" * 100, "inbox.db")]
)
def test_what_is_no_inbox(tmp_path: Path, content: bytes | None, words: str) -> None:
    """It is refused by name, and no ledger is made."""
    if content is not None:
        (tmp_path / INBOX_FILE).write_bytes(content)
    status_, reported = record(tmp_path / INBOX_FILE, tmp_path)
    assert (status_, words in reported) == (1, True), reported
    assert not (tmp_path / "data").exists()


def test_an_inbox_that_cannot_be_read_hides_no_calls(tmp_path: Path) -> None:
    """Commands say so, and show what the ledger has."""
    make_ledger(tmp_path)
    (tmp_path / "data" / INBOX_FILE).write_bytes(b"SQLite?" * 100)
    for arguments in (("calls", "list"), ("status",)):
        done = run(*arguments, "--json", "--data-dir", "data", cwd=tmp_path)
        assert (done.returncode, json.loads(done.stdout) is not None) == (0, True)
        assert done.stderr.startswith(
            "the inbox cannot be read, what waits in it is not known: the database is damaged"
        )


# The doctor.


def found_by_doctor(tmp_path: Path, inbox: Path, **settings: str) -> dict[str, dict[str, Any]]:
    """Its findings about `data` and that inbox, by check."""
    given = {"ANSWERBACK_INBOX__DIR": str(inbox) if inbox != Path() else ""} | {
        f"ANSWERBACK_{name}": value for name, value in settings.items()
    }
    done = run("doctor", "--json", "--data-dir", "data", cwd=tmp_path, settings=given)
    return {one["check"]: one for one in json.loads(done.stdout)["items"]}


def make_ledger(tmp_path: Path) -> None:
    """A ledger that knows of no inbox."""
    open_sqlite(tmp_path / "data", allow_unsafe_filesystem=True).close()


def test_the_doctor_finds_what_dead_gateways_left(dead: Path, tmp_path: Path) -> None:
    """Those of the start before, too; the remedy clears it."""
    make_ledger(tmp_path)
    with closing(sqlite3.connect(dead / INBOX_FILE, isolation_level=None)) as file:
        file.execute("UPDATE rows SET appended_us = appended_us - 3600000000")
    inbox = found_by_doctor(tmp_path, dead)["inbox"]
    assert (inbox["level"], "answerback inbox record" in inbox["remedy"]) == ("warning", True)
    assert "4 callbacks are not in the ledger yet" in inbox["finding"]
    assert "the oldest for 3,6" in inbox["finding"]
    assert "2 of them are of gateways that have ended" in inbox["finding"]
    stream = found_by_doctor(tmp_path, dead, STREAM__URL="nats://127.0.0.1:9")
    assert f"no gateway with these settings records them: answerback inbox record {dead}" in stream["inbox"]["remedy"]
    assert record(dead, tmp_path)[0] == 0
    assert found_by_doctor(tmp_path, dead)["inbox"]["level"] == "ok"


def test_the_doctor_finds_an_inbox_that_was_left_behind(dead: Path, tmp_path: Path) -> None:
    """Somebody set another inbox.dir, and did not move the files."""
    make_ledger(tmp_path)
    for file in dead.iterdir():
        shutil.copy(file, tmp_path / "data")
    place = found_by_doctor(tmp_path, tmp_path / "elsewhere")["inbox location"]
    assert (place["level"], place["finding"]) == (
        "warning",
        "4 callbacks wait in the inbox in data, which is not inbox.dir",
    )
    assert record(tmp_path / "data", tmp_path)[0] == 0
    assert found_by_doctor(tmp_path, tmp_path / "elsewhere")["inbox location"]["level"] == "ok"


def test_the_doctor_finds_an_inbox_that_is_nearly_full(tmp_path: Path) -> None:
    """Before callbacks are refused; and a disk that is too small for it."""
    make_ledger(tmp_path)

    async def fill(directory: Path) -> None:
        async with opened(directory) as inbox:
            await inbox.append([BatchItem("default", bytes(1_000_000), 1)])

    with in_memory() as directory:
        asyncio.run(fill(directory))
        found = found_by_doctor(tmp_path, directory, INBOX__MAX_BYTES="1048576", INBOX__RESERVE_BYTES=str(2**60))
    assert (found["inbox"]["level"], "callbacks are soon answered 503" in found["inbox"]["remedy"]) == ("error", True)
    assert (found["inbox space"]["level"], "reserve_bytes" in found["inbox space"]["remedy"]) == ("error", True)
    found = found_by_doctor(tmp_path, tmp_path / "data", INBOX__MAX_BYTES=str(2**60))
    assert (found["inbox space"]["level"], "inbox.max_bytes" in found["inbox space"]["remedy"]) == ("warning", True)


def test_the_doctor_reads_what_contradicts_itself(tmp_path: Path) -> None:
    """An inbox beside PostgreSQL on this machine's disk, settings without effect, a damaged inbox, a place that forgets."""
    postgresql = {"LEDGER__URL": "postgresql://answerback@127.0.0.1:9/nowhere", "LEDGER__LOCK_TIMEOUT_S": "0.01"}
    with in_memory() as directory:
        place = found_by_doctor(tmp_path, Path(), **postgresql)["inbox location"]
        assert (place["level"], place["remedy"].startswith("set inbox.dir to a directory on a persistent")) == (
            "warning",
            True,
        )
        assert found_by_doctor(tmp_path, directory, **postgresql)["inbox location"]["level"] == "ok"
        stream = found_by_doctor(tmp_path, directory, STREAM__URL="nats://127.0.0.1:9")["inbox location"]
        assert "inbox.dir: has no effect" in stream["finding"]
        (directory / INBOX_FILE).write_bytes(b"SQLite?" * 100)
        found = found_by_doctor(tmp_path, directory, LEDGER__ALLOW_UNSAFE_FILESYSTEM="")
        assert (found["inbox"]["level"], "inbox.db" in found["inbox"]["finding"]) == ("error", True)
        assert found["durable storage"]["remedy"] == "choose another inbox.dir"
