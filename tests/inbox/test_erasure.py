"""What is blanked in the inbox's file: rows keep place, size and seal, and no byte of what was there is left."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from inbox.harness import config

from answerback.domain.batches import BatchItem, decode_batch
from answerback.domain.number_finder import NumberFinder
from answerback.inbox import INBOX_FILE, Inbox
from answerback.inbox.erasure import compact_inbox, count_inbox, erase_inbox
from answerback.inbox.rows import InboxRow

NEEDLE = b"13788888888"


def blank(body: bytes) -> bytes:
    """Stars in place of the needle."""
    return body.replace(NEEDLE, b"*" * len(NEEDLE))


def holds(directory: Path) -> list[str]:
    """The files with the needle."""
    return [path.name for path in sorted(directory.iterdir()) if NEEDLE in path.read_bytes()]


async def append(inbox: Inbox, rows: int, *, large: bool = False) -> None:
    """Append rows of two callbacks, of which one has the needle."""
    filling = b"x" * 9000 if large else b""
    for n in range(rows):
        await inbox.append(
            [BatchItem("default", b"%d %s %s" % (n, NEEDLE, filling), n), BatchItem("default", b"another's %d" % n, n)]
        )


async def read(inbox: Inbox, generation: bytes, after: int = 0) -> list[InboxRow]:
    """Rows of the file."""
    return await inbox.read(generation, after, 10_000, 2**30)


def test_rows_of_this_and_of_former_starts_are_blanked(tmp_path: Path) -> None:
    """Beside the gateway that appends; both can be read on as if nothing had been, also by the next start."""

    async def fill() -> None:
        inbox = Inbox.open(config(tmp_path))
        inbox.start()
        await append(inbox, 20)
        await append(inbox, 3, large=True)
        await inbox.stop(5)

    async def erase() -> None:
        inbox = Inbox.open(config(tmp_path))
        inbox.start()
        await append(inbox, 10)
        assert count_inbox(tmp_path / INBOX_FILE, blank) == 33
        assert await asyncio.to_thread(erase_inbox, tmp_path / INBOX_FILE, blank, lambda: None) == 33
        await asyncio.to_thread(compact_inbox, tmp_path / INBOX_FILE)
        assert holds(tmp_path) == []
        await inbox.append([BatchItem("default", b"later", 1)])
        older, present = inbox.generations
        rows = await read(inbox, older.id)
        assert [row.position for row in rows] == list(range(1, 24))
        bodies = [item.raw for row in rows for item in decode_batch(row.payload or b"").items]
        assert bodies[:2] == [b"0 *********** ", b"another's 0"]
        assert len(await read(inbox, present.id, 10)) == 1
        await inbox.stop(5)

    async def again() -> None:
        inbox = Inbox.open(config(tmp_path))
        inbox.start()
        oldest, older, _ = inbox.generations
        rows = [*await read(inbox, oldest.id), *await read(inbox, older.id)]
        assert [row.payload is None for row in rows] == [False] * (23 + 11)
        await inbox.stop(5)

    asyncio.run(fill())
    assert holds(tmp_path) == [INBOX_FILE]
    asyncio.run(erase())
    asyncio.run(again())
    assert holds(tmp_path) == []


def test_a_body_within_another_is_that_one_alone(tmp_path: Path) -> None:
    """Of two bodies of a row the longer one is somebody else's, though the shorter one is a part of it."""

    async def fill() -> None:
        inbox = Inbox.open(config(tmp_path))
        inbox.start()
        await inbox.append([BatchItem("default", body, 1) for body in (NEEDLE, b"9" + NEEDLE)])
        await inbox.stop(5)

    asyncio.run(fill())
    assert erase_inbox(tmp_path / INBOX_FILE, NumberFinder(NEEDLE.decode()).blank_body, lambda: None) == 1
    with closing(sqlite3.connect(tmp_path / INBOX_FILE)) as connection:
        (payload,) = connection.execute("SELECT payload FROM rows").fetchone()
    assert [item.raw for item in decode_batch(payload).items] == [b'"*********"', b"9" + NEEDLE]


def test_a_damaged_row_stays_damaged_without_it(tmp_path: Path) -> None:
    """It would be set aside, with its bytes."""

    async def fill() -> None:
        inbox = Inbox.open(config(tmp_path))
        inbox.start()
        await append(inbox, 2)
        await inbox.stop(5)

    asyncio.run(fill())
    with closing(sqlite3.connect(tmp_path / INBOX_FILE)) as careless, careless:
        careless.execute("UPDATE rows SET payload = x'ff' || payload WHERE key & 1 = 1")
    assert erase_inbox(tmp_path / INBOX_FILE, blank, lambda: None) == 2
    compact_inbox(tmp_path / INBOX_FILE)
    assert holds(tmp_path) == []

    async def look() -> None:
        inbox = Inbox.open(config(tmp_path))
        (older, _) = inbox.generations
        assert [row.payload is None for row in await read(inbox, older.id)] == [True, False]
        inbox.close()

    asyncio.run(look())
