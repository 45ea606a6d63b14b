"""What is appended is there, in order, for whoever reads it; what is recorded goes; what does not fit is refused."""

import asyncio
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from inbox.harness import ALL, append, bodies, config, execute, in_file, items, read, started, until_rows, used_bytes
from relay.waiting import until
from structlog.testing import capture_logs

from answerback.errors import LedgerUnavailable, ResourceNotFound, UnavailableReason
from answerback.inbox import INBOX_FILE, Inbox, InboxReader, RecorderFailure
from answerback.inbox.rows import PAGE_BYTES

BODY = b'{"voiceprompt_callback":{}}'
MIB = 1024 * 1024


async def fill(inbox: Inbox, *, recorded: bool = False) -> None:
    """Append until no more is taken, whether it is `recorded` or not."""
    while True:
        await inbox.append(items(bytes(3000)))
        if recorded:
            inbox.mark_recorded(inbox.present.id, inbox.present.last)


def test_what_is_appended_is_read(tmp_path: Path) -> None:
    """From memory, from the file, and by another process's reader, in the order of the calls."""

    async def scenario() -> None:
        async with started(config(tmp_path)) as inbox:
            stored = [inbox.append(items(b"%d" % number, b"more")) for number in range(100)]
            done = []
            for number, future in enumerate(stored):
                future.add_done_callback(lambda _, number=number: done.append(number))  # type: ignore[misc]
            await asyncio.gather(*stored)
            assert done == [*range(100)]
            expected = [[b"%d" % number, b"more"] for number in range(100)]
            assert [*(await read(inbox)).items()] == [*enumerate(expected, 1)]
            assert in_file(tmp_path) == {1: expected}
            present = inbox.present.id
        async with started(config(tmp_path)) as inbox:
            assert [*(await read(inbox, present)).values()] == expected

    asyncio.run(scenario())


def test_batches_that_wait_are_committed_together(tmp_path: Path) -> None:
    """What gathers while one is committed goes with the next sync; each is its own row, and the loop hears of all at once."""

    async def scenario() -> None:
        commits = []
        async with started(config(tmp_path)) as inbox:
            inbox.on_appended = lambda: commits.append(inbox.present.last)
            await asyncio.gather(*(inbox.append(items(BODY)) for _ in range(60)))
        assert commits[-1] == 60
        assert len(commits) <= 3

    asyncio.run(scenario())


def test_a_read_is_bounded(tmp_path: Path) -> None:
    """By callbacks and by bytes, but for the first row; the same from memory and from the file."""

    async def scenario() -> None:
        async with started(config(tmp_path)) as inbox:
            for _ in range(10):
                await inbox.append(items(BODY, BODY, BODY))
            present = inbox.present
            size_bytes = len((await inbox.read(present.id, 0, 1, 1))[0].payload or b"")
            with closing(InboxReader(tmp_path / INBOX_FILE)) as reader:
                for after, callbacks, most_bytes, last in (
                    (0, 1, ALL, 1),
                    (0, 8, ALL, 2),
                    (0, 9, ALL, 3),
                    (4, ALL, 1, 5),
                    (4, ALL, 2 * size_bytes, 6),
                    (9, ALL, ALL, 10),
                    (10, ALL, ALL, None),
                ):
                    found = await inbox.read(present.id, after, callbacks, most_bytes)
                    assert (found[-1].position if found else None) == last
                    assert reader.read(present, after, callbacks, most_bytes) == found

    asyncio.run(scenario())


def test_each_start_begins_a_generation(tmp_path: Path) -> None:
    """With an id of its own and the next number; those without rows are gone at the next start."""

    async def scenario() -> None:
        ids = []
        for number in (1, 2):
            async with started(config(tmp_path)) as inbox:
                assert inbox.present.number == number
                await append(inbox, b"from %d" % number)
                ids.append(inbox.present.id)
        async with started(config(tmp_path)):
            pass
        async with started(config(tmp_path)) as inbox:
            assert [(each.number, each.last) for each in inbox.generations] == [(1, 1), (2, 1), (4, 0)]
            assert [each.id for each in inbox.generations[:2]] == ids
            assert await read(inbox, ids[1]) == {1: [b"from 2"]}
            with pytest.raises(ResourceNotFound):
                await read(inbox, bytes(16))

    asyncio.run(scenario())


def test_what_is_recorded_is_deleted(tmp_path: Path) -> None:
    """After `keep_s`, also while nothing is appended; a generation of which nothing is left disappears."""

    async def scenario() -> None:
        async with started(config(tmp_path)) as inbox:
            await append(inbox, b"a", b"b")
        async with started(config(tmp_path, keep_s=0.5)) as inbox:
            older, present = inbox.generations
            await append(inbox, b"c", b"d", b"e")
            inbox.mark_recorded(older.id, 2)
            inbox.mark_recorded(present.id, 2)
            assert execute(tmp_path, "SELECT count(*) FROM rows") == [(5,)]
            await until_rows(tmp_path, 1)
            assert [(each.number, each.deleted, each.last) for each in inbox.generations] == [(2, 2, 3)]
            assert await read(inbox, after=2) == {3: [b"e"]}
            assert await read(inbox, after=0) == {2: None, 3: [b"e"]}, "deleted rows are told, not passed over"

    asyncio.run(scenario())


def test_what_is_recorded_stays_for_a_while(tmp_path: Path) -> None:
    """A ledger that went back gets it again, as long as nothing else needs the room."""

    async def scenario() -> None:
        async with started(config(tmp_path)) as inbox:
            await append(inbox, *(b"%d" % number for number in range(600)))
            inbox.mark_recorded(inbox.present.id, 600)
            await append(inbox, b"after")
            assert len(await read(inbox)) == 601

    asyncio.run(scenario())


def test_a_ledger_that_went_back_is_behind(tmp_path: Path) -> None:
    """With a position before the one of the last time the rows after it wait again, and stay, as long as that takes."""

    async def scenario() -> None:
        async with started(config(tmp_path, keep_s=0.2, max_bytes=2 * MIB)) as inbox:
            await append(inbox, *(b"%d" % number for number in range(600)))
            inbox.mark_recorded(inbox.present.id, 600)
            assert inbox.waiting().rows == 0
            inbox.mark_recorded(inbox.present.id, 100)
            assert (inbox.waiting().rows, inbox.waiting().callbacks) == (500, 500)
            assert inbox.waiting().oldest_us is not None
            while len(await read(inbox)) > 501:  # noqa: ASYNC110  # the first hundred go, and are one gap
                await asyncio.sleep(0.05)
            await append(inbox, b"after")
            rows = await inbox.read(inbox.present.id, 100, 10_000, 100_000_000)
            assert [row.position for row in rows] == list(range(101, 602))
            assert all(row.payload is not None for row in rows)

    asyncio.run(scenario())


def test_a_full_inbox_refuses(tmp_path: Path) -> None:
    """Nothing beyond `max_bytes` is taken, the write-ahead log counted; what is recorded makes room at once."""

    async def scenario() -> None:
        async with started(config(tmp_path, max_bytes=2 * MIB)) as inbox:
            with pytest.raises(LedgerUnavailable) as raised:
                await fill(inbox)
            assert raised.value.reason is UnavailableReason.INBOX_FULL
            assert "inbox.max_bytes is 2.1 MB" in raised.value.detail
            with pytest.raises(LedgerUnavailable, match="the inbox is full"):
                inbox.append(items(bytes(60_000)))
            inbox.mark_recorded(inbox.present.id, 1)
            for attempt in (inbox.append, lambda _: inbox.probe()):  # what is full stays so until some room is free
                with pytest.raises(LedgerUnavailable, match="the inbox is full"):
                    await attempt(items(b"small"))
            assert used_bytes(tmp_path) < 2.5 * MIB
            for _ in range(5):  # over and over: deleted rows leave room in the file
                inbox.mark_recorded(inbox.present.id, inbox.present.last)
                for _ in range(10):
                    await asyncio.gather(*(inbox.append(items(bytes(3000))) for _ in range(30)))
            assert used_bytes(tmp_path) < 4 * MIB

    asyncio.run(scenario())


async def is_appended(inbox: Inbox, body: bytes) -> bool:
    """Whether there was room for it."""
    try:
        await append(inbox, body)
    except LedgerUnavailable:
        return False
    return True


def test_a_reader_that_stays_long_fills_the_inbox_no_longer_than_it_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read cannot be given back: it counts as the write-ahead log. Then that is cut off, though nothing is left to be done."""
    monkeypatch.setattr("answerback.inbox.appender._TICK_S", 0.01)
    monkeypatch.setattr("answerback.inbox.tidier._KEEP_EVERY_S", 0.01)
    monkeypatch.setattr("answerback.inbox.tidier._RESTART_EVERY_S", 0.01)

    async def scenario() -> None:
        async with started(config(tmp_path, max_bytes=2 * MIB, keep_s=0)) as inbox:
            await append(inbox, BODY)
            with closing(sqlite3.connect(tmp_path / INBOX_FILE, isolation_level=None)) as reader:
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM rows").fetchall()
                with pytest.raises(LedgerUnavailable, match="the inbox is full") as raised:
                    await fill(inbox, recorded=True)
                assert "0.0 MB wait to be recorded, its write-ahead log has 2." in raised.value.detail
                await until(lambda: execute(tmp_path, "SELECT count(*) FROM rows") == [(0,)])
                recorded = "SELECT max(recorded) FROM generations"
                await until(lambda: execute(tmp_path, recorded) == [(inbox.present.last,)])
            await until(lambda: used_bytes(tmp_path) < MIB)
            async with asyncio.timeout(10):
                while not await is_appended(inbox, b"after"):  # noqa: ASYNC110  # the log is measured at the next tick
                    await asyncio.sleep(0.01)

    asyncio.run(scenario())


def test_the_reserve_is_left_to_the_ledger(tmp_path: Path) -> None:
    """Where less of the disk is free than `reserve_bytes` nothing is taken, and a probe says why."""

    async def scenario() -> None:
        async with started(config(tmp_path, reserve_bytes=10**18)) as inbox:
            for attempt in (inbox.append(items(BODY)), inbox.probe()):
                with pytest.raises(LedgerUnavailable) as raised:
                    await attempt
                assert raised.value.reason is UnavailableReason.INBOX_FULL
                assert "less than inbox.reserve_bytes" in raised.value.detail
            assert inbox.present.last == 0

    asyncio.run(scenario())


def test_after_an_outage_the_file_shrinks(tmp_path: Path) -> None:
    """What waited is recorded and deleted, and its space goes back to the disk."""

    async def scenario() -> None:
        async with started(config(tmp_path, keep_s=0, max_bytes=16 * MIB)) as inbox:
            await asyncio.gather(*(inbox.append(items(bytes(100_000))) for _ in range(100)))
            inbox.mark_recorded(inbox.present.id, 100)
            await until_rows(tmp_path, 0)
            deadline_s = time.monotonic() + 10
            while used_bytes(tmp_path) > 4 * MIB:
                assert time.monotonic() < deadline_s
                await asyncio.sleep(0.05)
            await append(inbox, BODY)
            assert await read(inbox, after=100) == {101: [BODY]}

    asyncio.run(scenario())


def test_a_fault_beside_appending_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that nobody thought of, as the file is tidied up: it is logged, and what comes is appended."""
    monkeypatch.setattr("answerback.inbox.appender._TICK_S", 0.01)
    monkeypatch.delattr("answerback.inbox.file.InboxFile.shrink")

    async def scenario() -> None:
        async with started(config(tmp_path)) as inbox:
            with capture_logs() as logs:
                await append(inbox, b"before")
                await until(lambda: [line for line in logs if line["event"] == "inbox_not_tidied"])
                await append(inbox, b"after")
            assert await read(inbox) == {1: [b"before"], 2: [b"after"]}

    asyncio.run(scenario())


def test_what_waits_is_counted(tmp_path: Path) -> None:
    """Rows, callbacks, bytes and the age of the oldest, of all generations; by a command as by the gateway itself."""

    async def scenario() -> None:
        async with started(config(tmp_path)) as inbox:
            await inbox.append(items(BODY, BODY))
            older = inbox.present.id
        async with started(config(tmp_path)) as inbox:
            await inbox.append(items(BODY))
            between_us = time.time_ns() // 1000
            await inbox.append(items(BODY, BODY, BODY))
            waiting = inbox.waiting()
            assert (waiting.rows, waiting.callbacks) == (3, 6)
            with closing(InboxReader(tmp_path / INBOX_FILE)) as reader:
                assert reader.waiting({}) == waiting
                inbox.mark_recorded(older, 1)
                inbox.mark_recorded(inbox.present.id, 1)
                recorded = inbox.waiting()
                assert (recorded.rows, recorded.callbacks) == (1, 3)
                assert between_us <= (recorded.oldest_us or 0) <= time.time_ns() // 1000
                assert 0 <= recorded.age_s < 60
                assert reader.waiting({older: 1, inbox.present.id: 1}) == recorded
                inbox.mark_recorded(inbox.present.id, 2)
                assert inbox.waiting() == reader.waiting({older: 1, inbox.present.id: 2})
                assert (inbox.waiting().rows, inbox.waiting().bytes, inbox.waiting().age_s) == (0, 0, 0)

    asyncio.run(scenario())


@pytest.mark.parametrize("dies", [False, True])
def test_the_next_start_knows_what_waits_before_it_has_asked_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, dies: bool
) -> None:
    """Rows that are kept though they are recorded do not wait; a command that cannot ask the ledger says the same."""
    monkeypatch.setattr("answerback.inbox.tidier._KEEP_EVERY_S", 0.0)
    monkeypatch.setattr("answerback.inbox.appender._TICK_S", 0.01)

    async def first_start() -> None:
        async with started(config(tmp_path / "first")) as inbox:
            for number in range(4):
                await inbox.append(items(*[BODY] * (number + 1)))
            inbox.mark_recorded(inbox.present.id, 3)
            if dies:
                with closing(sqlite3.connect(tmp_path / "first" / INBOX_FILE)) as file:
                    recorded = "SELECT max(recorded) FROM generations"
                    await until(lambda: file.execute(recorded).fetchone() == (3,))
                shutil.copytree(tmp_path / "first", tmp_path / "second", ignore=shutil.ignore_patterns("*-shm"))

    async def second_start() -> None:
        async with started(config(tmp_path / ("second" if dies else "first"))) as inbox:
            waiting = inbox.waiting()
            assert (waiting.rows, waiting.callbacks) == (1, 4)
            with closing(InboxReader(inbox._file.path)) as reader:  # noqa: SLF001  # which of the two it is
                assert reader.waiting({}) == waiting
            (older, _) = inbox.generations
            inbox.mark_recorded(older.id, 1)  # the ledger went back
            assert inbox.waiting().rows == 3

    asyncio.run(first_start())
    asyncio.run(second_start())


def test_a_command_reads_why_nothing_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error met last, and since when there is one; kept at the end too, and the next start begins without."""
    monkeypatch.setattr("answerback.inbox.appender._TICK_S", 0.01)

    def kept() -> RecorderFailure | None:
        with closing(InboxReader(tmp_path / INBOX_FILE)) as reader:
            return reader.failure()

    async def scenario() -> None:
        async with started(config(tmp_path)) as inbox:
            await append(inbox, BODY)
            assert kept() is None
            locked = inbox.note_failure("locked")
            await until(lambda: kept() == locked)
            full = inbox.note_failure("full")
            await until(lambda: kept() == full)
            assert locked is not None
            assert full == RecorderFailure("full", locked.since_us)
            assert inbox.note_failure(None) is None
            await until(lambda: kept() is None)
            last = inbox.note_failure("away")
        assert kept() == last
        async with started(config(tmp_path)):
            assert kept() is None

    asyncio.run(scenario())


@pytest.mark.parametrize("size_bytes", [100, 1300, 2100, 5000, 30_000])
def test_bytes_are_those_of_the_file(tmp_path: Path, size_bytes: int) -> None:
    """What a row is counted as is what it takes on the disk, within an eighth."""

    async def scenario() -> None:
        async with started(config(tmp_path)) as inbox:
            await asyncio.gather(*(inbox.append(items(bytes(size_bytes))) for _ in range(1 + 600_000 // size_bytes)))
            counted = inbox.waiting().bytes
        ((pages,),) = execute(tmp_path, "PRAGMA page_count")
        assert isinstance(pages, int)
        assert counted == pytest.approx(pages * PAGE_BYTES, rel=0.125)

    asyncio.run(scenario())


def test_stopping_appends_what_was_given(tmp_path: Path) -> None:
    """What was given before is stored and answered; what comes after is refused, and another gateway may have the inbox."""

    async def scenario() -> None:
        inbox = Inbox.open(config(tmp_path))
        inbox.start()
        stored = [inbox.append(items(b"%d" % number)) for number in range(200)]
        await inbox.stop(10)
        await asyncio.gather(*stored)
        with pytest.raises(LedgerUnavailable, match="see the log"):
            inbox.append(items(BODY))
        async with started(config(tmp_path)) as other:
            assert other.generations[0].last == 200

    asyncio.run(scenario())


def test_old_rows_come_from_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory holds the newest rows alone; older ones are read back, and both join without a seam."""
    monkeypatch.setattr("answerback.inbox.backlog._TAIL_BYTES", 10_000)

    async def scenario() -> None:
        async with started(config(tmp_path)) as inbox:
            await append(inbox, *(b"%d" % number + bytes(1000) for number in range(50)))
            found, after = [], 0
            while rows := await inbox.read(inbox.present.id, after, 7, ALL):
                found += [body.rstrip(b"\0") for row in rows for body in bodies(row) or ()]
                after = rows[-1].position
            assert found == [b"%d" % number for number in range(50)]

    asyncio.run(scenario())
