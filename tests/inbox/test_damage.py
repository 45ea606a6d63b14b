"""What is damaged, missing or another's is told of, and everything else is still read."""

import asyncio
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from ending import ending
from inbox.harness import ALL, append, config, execute, in_file, items, read, started

from answerback.errors import ConfigError, LedgerUnavailable, SchemaMismatch, UnavailableReason, UnsafeStorage
from answerback.inbox import INBOX_FILE, Inbox, InboxReader
from answerback.inbox.rows import PAGE_BYTES

FIRST = 1 << 40
"""The key of the first row of the first generation is one more."""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where a gateway that has ended has left nine rows."""

    async def scenario() -> None:
        async with started(config(tmp_path)) as inbox:
            await append(inbox, *(b"%d" % number + b"." * 3000 for number in range(1, 10)))

    asyncio.run(scenario())
    return tmp_path


def numbers(directory: Path) -> dict[int, int | None]:
    """What the next start, and a command, read of these rows."""

    async def scenario() -> dict[int, int | None]:
        async with started(config(directory)) as inbox:
            found = await read(inbox, inbox.generations[0].id)
            assert [*found.values()] == in_file(directory)[1]
            return {at: None if bodies is None else int(bodies[0].rstrip(b".")) for at, bodies in found.items()}

    return asyncio.run(scenario())


def intact(*positions: int) -> dict[int, int | None]:
    """The rows at these positions, as they were appended."""
    return {position: position for position in positions}


@pytest.mark.parametrize(
    "tampering",
    [
        f"UPDATE rows SET payload = zeroblob(length(payload)) WHERE key = {FIRST + 4}",
        f"UPDATE rows SET payload = CAST(substr(payload, 1, 2000) AS BLOB) WHERE key = {FIRST + 4}",
        f"UPDATE rows SET payload = (SELECT payload FROM rows WHERE key = {FIRST + 5}) WHERE key = {FIRST + 4}",
        f"UPDATE rows SET payload = 'text' WHERE key = {FIRST + 4}",
        f"UPDATE rows SET callbacks = 1000 WHERE key = {FIRST + 4}",
        f"UPDATE rows SET checksum = 0 WHERE key = {FIRST + 4}",
        f"DELETE FROM rows WHERE key = {FIRST + 4}",
    ],
)
def test_a_row_that_was_changed(directory: Path, tampering: str) -> None:
    """It is returned without its payload; those before and behind it are as they were."""
    execute(directory, tampering)
    assert numbers(directory) == intact(1, 2, 3) | {4: None} | intact(5, 6, 7, 8, 9)


def test_rows_that_are_missing(directory: Path) -> None:
    """Those in succession are one row without payload, which ends where they do."""
    execute(
        directory,
        f"DELETE FROM rows WHERE key BETWEEN {FIRST + 1} AND {FIRST + 2} OR key BETWEEN {FIRST + 5} AND {FIRST + 7}",
    )
    assert numbers(directory) == {2: None} | intact(3, 4) | {7: None} | intact(8, 9)


def test_rows_of_another_generation(directory: Path) -> None:
    """What was copied from another file does not pass for what was appended here."""
    execute(directory, "UPDATE generations SET id = zeroblob(16)")
    assert numbers(directory) == {9: None}


def test_a_page_that_is_damaged(directory: Path) -> None:
    """Rows of other pages are read; here each row has one of its own."""
    path = directory / INBOX_FILE
    content = path.read_bytes()
    page = content.index(b"5...") // PAGE_BYTES
    path.write_bytes(content[: page * PAGE_BYTES] + b"\xff" * PAGE_BYTES + content[(page + 1) * PAGE_BYTES :])
    assert numbers(directory) == intact(1, 2, 3, 4) | {5: None} | intact(6, 7, 8, 9)


def test_a_damaged_page_keeps_nobody_from_appending(directory: Path) -> None:
    """What was recorded can then not be deleted; new rows are still appended and read."""
    path = directory / INBOX_FILE
    content = path.read_bytes()
    page = content.index(b"5...") // PAGE_BYTES
    path.write_bytes(content[: page * PAGE_BYTES] + b"\xff" * PAGE_BYTES + content[(page + 1) * PAGE_BYTES :])

    async def scenario() -> None:
        async with started(config(directory, keep_s=0)) as inbox:
            inbox.mark_recorded(inbox.generations[0].id, 9)
            await append(inbox, b"new")
            await asyncio.sleep(1.1)  # a tick, in which the deletion fails
            await append(inbox, b"newer")
            assert await read(inbox) == {1: [b"new"], 2: [b"newer"]}
        assert in_file(directory)[2] == [[b"new"], [b"newer"]]

    asyncio.run(scenario())


def test_a_file_that_is_damaged_as_a_whole(directory: Path) -> None:
    """The start says so; rows are not given up one by one."""
    path = directory / INBOX_FILE
    path.write_bytes(b"\xff" * 4096 + path.read_bytes()[4096:])
    with pytest.raises(LedgerUnavailable) as raised:
        Inbox.open(config(directory))
    assert raised.value.reason is UnavailableReason.DAMAGED
    assert f"inbox.dir, {path}" in raised.value.detail


def test_a_newer_format_is_refused(directory: Path) -> None:
    """With what to do; also to commands. It is closed again at once."""
    execute(directory, "PRAGMA user_version=2")
    path = directory / INBOX_FILE
    for opening in (lambda: Inbox.open(config(directory)), lambda: InboxReader(path)):
        with pytest.raises(SchemaMismatch, match=r"has format 2, this program reads up to 1") as raised:
            opening()
        assert "start the newer release" in str(raised.value)
        assert str(path) not in {str(fd.readlink()) for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink()}


def test_another_database_is_refused(tmp_path: Path) -> None:
    """A file that is no inbox is left as it is."""
    execute(tmp_path, "CREATE TABLE something (a)")
    with pytest.raises(SchemaMismatch, match="is not an inbox of Answerback"):
        Inbox.open(config(tmp_path))
    assert execute(tmp_path, "SELECT name FROM sqlite_master") == [("something",)]


def test_a_log_without_its_file_is_refused(directory: Path) -> None:
    """SQLite would throw it away."""
    path = directory / INBOX_FILE
    path.rename(directory / "elsewhere")
    (directory / f"{INBOX_FILE}-wal").write_bytes(b"frames")
    with pytest.raises(LedgerUnavailable) as raised:
        Inbox.open(config(directory))
    assert "inbox.db-wal is the log of inbox.db" in raised.value.detail


def test_an_inbox_has_one_gateway(directory: Path) -> None:
    """A second is refused, in this process or another, and told where; commands read beside it; it is free after a death."""
    opened = (
        f"from inbox.harness import *; from pathlib import Path; inbox = Inbox.open(config(Path({str(directory)!r})))"
    )
    command = ending(sys.executable, "-c", f"{opened}; print('open', flush=True); input()")
    tests = Path(__file__).parents[1]
    with subprocess.Popen(
        command, cwd=tests, env={"PYTHONPATH": str(tests)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(ConfigError, match=f"inbox.dir, {directory}: another gateway uses the inbox there"):
            Inbox.open(config(directory))
        with closing(InboxReader(directory / INBOX_FILE)) as reader:
            assert [(each.number, each.last) for each in reader.generations()] == [(1, 9), (2, 0)]
        other.kill()
    inbox = Inbox.open(config(directory))
    with pytest.raises(ConfigError, match="another gateway"):
        Inbox.open(config(directory))
    inbox.close()


def test_an_unsafe_disk_is_refused() -> None:
    """One that lives in memory, by the name of the setting."""
    with (
        tempfile.TemporaryDirectory(dir="/dev/shm") as place,
        pytest.raises(UnsafeStorage, match=r"tmpfs.*Choose another inbox\.dir"),
    ):
        Inbox.open(config(Path(place), allow_unsafe_filesystem=False))


def test_a_disk_that_cannot_hold_a_write_ahead_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What SQLite reports is what counts, not what it was asked for."""
    monkeypatch.setattr("answerback.inbox.schema._DURABLE", {"synchronous": 3})
    with pytest.raises(UnsafeStorage, match="synchronous is 2, not 3"):
        Inbox.open(config(tmp_path))


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
def test_a_file_that_was_moved(tmp_path: Path, suffix: str) -> None:
    """Nothing counts as stored while a path does not name its file; once it does, all goes on, and what was written is read."""

    async def scenario() -> None:
        async with started(config(tmp_path)) as inbox:
            await append(inbox, b"before")
            path, elsewhere = tmp_path / f"{INBOX_FILE}{suffix}", tmp_path / "elsewhere"
            path.rename(elsewhere)
            for attempt in (inbox.append(items(b"while away")), inbox.append(items(b"still away")), inbox.probe()):
                with pytest.raises(LedgerUnavailable) as raised:
                    await attempt
                assert raised.value.reason is UnavailableReason.MOVED
                assert str(path) in raised.value.detail
            elsewhere.rename(path)
            await append(inbox, b"after")
            found = await read(inbox)
            assert found[1] == [b"before"]
            assert found[inbox.present.last] == [b"after"]
            assert [*found] == [*range(1, inbox.present.last + 1)]
        assert in_file(tmp_path)[1] == [*found.values()]

    asyncio.run(scenario())


def test_a_directory_that_was_moved(tmp_path: Path) -> None:
    """It is told as what it is; once the directory is back, all goes on."""
    home, elsewhere = tmp_path / "inbox", tmp_path / "elsewhere"

    async def scenario() -> None:
        async with started(config(home)) as inbox:
            await append(inbox, b"before")
            home.rename(elsewhere)
            for attempt in (inbox.append(items(b"while away")), inbox.probe()):
                with pytest.raises(LedgerUnavailable) as raised:
                    await attempt
                assert raised.value.reason is UnavailableReason.MOVED
            elsewhere.rename(home)
            await append(inbox, b"after")
            assert await read(inbox) == {1: [b"before"], 2: [b"after"]}

    asyncio.run(scenario())


def test_a_file_that_was_replaced(tmp_path: Path) -> None:
    """Another file in its place is not written to, nor read."""

    async def scenario() -> None:
        async with started(config(tmp_path)) as inbox:
            await append(inbox, b"before")
            path = tmp_path / INBOX_FILE
            path.rename(tmp_path / "elsewhere")
            path.write_bytes((tmp_path / "elsewhere").read_bytes())
            for attempt in (inbox.append(items(b"a")), inbox.append(items(b"b"))):
                with pytest.raises(LedgerUnavailable, match="moved or replaced"):
                    await attempt
            inbox.mark_recorded(inbox.present.id, 1)
            with pytest.raises(LedgerUnavailable, match="moved or replaced"):
                await inbox.read(inbox.present.id, 0, ALL, ALL)

    asyncio.run(scenario())


def test_a_locked_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else writes to it: nothing is stored until that ends, and nothing of what was refused is there."""
    monkeypatch.setattr("answerback.inbox.schema._LOCK_TIMEOUT_S", 0.05)

    async def scenario() -> None:
        async with started(config(tmp_path)) as inbox:
            await append(inbox, b"before")
            with closing(sqlite3.connect(tmp_path / INBOX_FILE, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                for attempt in (inbox.append(items(b"refused")), inbox.probe()):
                    with pytest.raises(LedgerUnavailable) as raised:
                        await attempt
                    assert raised.value.reason is UnavailableReason.LOCKED
            await append(inbox, b"after")
            assert await read(inbox) == {1: [b"before"], 2: [b"after"]}
        assert in_file(tmp_path) == {1: [[b"before"], [b"after"]]}

    asyncio.run(scenario())
