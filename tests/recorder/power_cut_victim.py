"""An inbox, its recorder and a ledger in a process of their own: appends, records, deletes, starts again, and says what it has answered."""

import asyncio
import os
import sys
from contextlib import closing
from pathlib import Path

from builders import status
from inbox.disk_model import Event
from recorder.harness import InlineClient, append, opened, recording

from answerback.ledger import open_sqlite

STARTS = 2
APPENDS = 30
PAUSE_S = 0.06


async def _live(home: Path, record: int, start: int) -> None:
    with closing(open_sqlite(home / "ledger", allow_unsafe_filesystem=True)) as ledger:
        async with opened(home / "inbox", keep_s=0.0) as inbox, recording(inbox, InlineClient(ledger)):
            for number in range(start * APPENDS, (start + 1) * APPENDS):
                await append(inbox, [status(callid=f"c{number}")])
                os.write(record, Event("A", "", number, b"").encode())
                await asyncio.sleep(PAUSE_S)  # one batch each, not one of all


def main(home: Path, record: str) -> None:
    """Live a few times."""
    os.umask(0o077)
    handle = os.open(record, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for start in range(STARTS):
        asyncio.run(_live(home, handle, start))


main(Path(sys.argv[1]), sys.argv[2])
