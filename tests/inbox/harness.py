"""An inbox in an event loop of its own, and what the tests of it look at."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

from answerback.domain.batches import BatchItem, decode_batch
from answerback.inbox import INBOX_FILE, Inbox, InboxConfig, InboxReader, InboxRow

ALL = 1_000_000_000
"""More callbacks, or bytes, than a test reads."""


def config(
    directory: Path,
    *,
    max_bytes: int = 64 * 1024 * 1024,
    reserve_bytes: int = 0,
    keep_s: float = 600.0,
    allow_unsafe_filesystem: bool = True,
) -> InboxConfig:
    """Settings that accept any disk: the tests may run in memory."""
    return InboxConfig(
        directory=directory,
        max_bytes=max_bytes,
        reserve_bytes=reserve_bytes,
        keep_s=keep_s,
        allow_unsafe_filesystem=allow_unsafe_filesystem,
    )


@asynccontextmanager
async def started(settings: InboxConfig) -> AsyncIterator[Inbox]:
    """An inbox that runs, and is stopped at the end."""
    inbox = Inbox.open(settings)
    inbox.start()
    try:
        yield inbox
    finally:
        await inbox.stop(10)


def items(*bodies: bytes) -> list[BatchItem]:
    """Bodies as the intake appends them."""
    return [BatchItem("default", body, 1) for body in bodies]


def bodies(row: InboxRow) -> list[bytes] | None:
    """The bodies in a row; None where it cannot be read."""
    return None if row.payload is None else [item.raw for item in decode_batch(row.payload).items]


async def append(inbox: Inbox, *bodies_of_rows: bytes) -> None:
    """Append each body as a row of its own, and wait until all are stored."""
    for each in bodies_of_rows:
        await inbox.append(items(each))


async def read(inbox: Inbox, generation: bytes | None = None, after: int = 0) -> dict[int, list[bytes] | None]:
    """What a generation, by default the present one, has after a position."""
    rows = await inbox.read(generation or inbox.present.id, after, ALL, ALL)
    return {row.position: bodies(row) for row in rows}


def in_file(directory: Path) -> dict[int, list[list[bytes] | None]]:
    """What a command reads: the rows of every generation, by its number."""
    with closing(InboxReader(directory / INBOX_FILE)) as reader:
        return {
            each.number: [bodies(row) for row in reader.read(each, each.deleted, ALL, ALL)]
            for each in reader.generations()
        }


def execute(directory: Path, sql: str, values: Sequence[object] = ()) -> list[tuple[object, ...]]:
    """Run a statement in the file, as somebody does who tampers with it."""
    with closing(sqlite3.connect(directory / INBOX_FILE, isolation_level=None)) as connection:
        return connection.execute(sql, values).fetchall()


def used_bytes(directory: Path) -> int:
    """The size of the inbox on the disk."""
    return sum(path.stat().st_size for path in directory.glob(f"{INBOX_FILE}*"))


async def until_rows(directory: Path, count: int) -> None:
    """Wait until the file has so many rows."""
    deadline_s = time.monotonic() + 10
    while execute(directory, "SELECT count(*) FROM rows") != [(count,)]:
        assert time.monotonic() < deadline_s, execute(directory, "SELECT count(*) FROM rows")
        await asyncio.sleep(0.05)
