"""`answerback inbox record`: what a dead gateway has answered goes into the ledger that the settings name."""

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from builders import key_press, status
from contract.backends import in_memory
from gateway import run
from recorder.world import append, opened

from answerback.inbox import FILE_NAME
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
    again = json.loads(record(dead / FILE_NAME, tmp_path, "--json")[1])
    assert again == {
        "file": str(dead / FILE_NAME),
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
    with closing(sqlite3.connect(dead / FILE_NAME, isolation_level=None)) as file:
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
        (tmp_path / FILE_NAME).write_bytes(content)
    status_, reported = record(tmp_path / FILE_NAME, tmp_path)
    assert (status_, words in reported) == (1, True), reported
    assert not (tmp_path / "data").exists()
