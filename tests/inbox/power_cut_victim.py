"""A gateway's inbox in a process of its own: appends, records, restarts, and says in the record what it has answered."""

import asyncio
import os
import sys
from pathlib import Path

from inbox.disk_model import Event
from inbox.harness import config, items, started
from inbox.power_cut_bodies import body

from answerback.inbox import Inbox

ROUNDS = 3
APPENDS = 40


async def _live(directory: Path, record: int, generation: int) -> None:
    def tell(what: str, position: int) -> None:
        os.write(record, Event(what, "", generation << 32 | position, b"").encode())

    async def append(inbox: Inbox, position: int) -> None:
        await inbox.append(items(body(generation, position)))
        tell("A", position)

    async with started(config(directory, max_bytes=512 * 1024, keep_s=0)) as inbox:
        for older in inbox.generations[:-1]:
            os.write(record, Event("R", "", older.number << 32 | older.last, b"").encode())
            inbox.mark_recorded(older.id, older.last)
        for first in range(1, APPENDS, 4):
            await asyncio.gather(*(append(inbox, position) for position in range(first, first + 4)))
            if first % 16 == 13:
                tell("R", first)
                inbox.mark_recorded(inbox.present.id, first)
        if generation < ROUNDS:
            await asyncio.sleep(1.1)  # a tick, in which what was recorded is deleted


def main(directory: Path, record: str) -> None:
    """Live a few times; the last ends without being stopped."""
    os.umask(0o077)
    handle = os.open(record, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for generation in range(1, ROUNDS + 1):
        asyncio.run(_live(directory / "inbox", handle, generation))


main(Path(sys.argv[1]), sys.argv[2])
