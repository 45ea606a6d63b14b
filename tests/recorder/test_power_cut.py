"""The power goes at any moment: each callback that was answered is recorded once by then or by the next start."""

import asyncio
import os
import random
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from inbox.disk_model import Disk, Event, record_events
from recorder.harness import InlineClient, opened, recorded, recording
from sqlalchemy import select

from answerback.errors import LedgerUnavailable
from answerback.ledger import open_sqlite
from answerback.ledger.tables import call_key, callbacks, calls

VICTIM = Path(__file__).with_name("power_cut_victim.py")
SEED = int(os.environ.get("SEED", str(random.randrange(2**32))))


async def started_again(home: Path) -> dict[str, int]:
    """What the ledger holds once the next start has recorded all: how often the callback of each call came again."""
    repeats = select(calls.c.call_key, callbacks.c.duplicates).join(callbacks, callbacks.c.call_id == calls.c.id)
    with closing(open_sqlite(home / "ledger", allow_unsafe_filesystem=True)) as ledger:
        async with opened(home / "inbox") as inbox, recording(inbox, InlineClient(ledger)) as (recorder, _):
            await recorded(recorder)
        return ledger.read(lambda connection: dict(map(tuple, connection.execute(repeats))))


def cut_everywhere(events: list[Event], share: float) -> int:
    """Cut the power before each sync, with so much of what was not synced, and look what the next start knows; how often that was."""
    chance, disk, cuts = random.Random(SEED), Disk(Path("/disk")), 0
    answered: set[str] = set()
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    for number, event in enumerate(events):
        if event.what == "S" and answered:
            with tempfile.TemporaryDirectory(dir=memory) as place:
                disk.leave(Path(place), chance, share)
                found = asyncio.run(started_again(Path(place)))
            assert found.keys() >= answered, f"SEED={SEED} event {number}"
            assert set(found.values()) == {0}, f"SEED={SEED} event {number}"
            cuts += 1
        if event.what == "A":
            answered.add(call_key(f"c{event.offset}"))
        disk.take(event)
    return cuts


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> list[Event]:
    """What a real process does to its files, and when it answers, in order."""
    return record_events(tmp_path_factory.mktemp("victim"), VICTIM)


@pytest.mark.parametrize(
    "share",
    [0.0, *(pytest.param(share, marks=pytest.mark.soak) for share in (0.5, 1.0))],
    ids="{} of what was not synced".format,
)
def test_a_power_cut(events: list[Event], share: float) -> None:
    """Rows that have left the inbox are in the ledger; what the ledger lacks, its position of the log included, the inbox still has."""
    assert cut_everywhere(events, share) > 60


@pytest.mark.soak
def test_a_sync_that_is_left_out_is_found(events: list[Event]) -> None:
    """The test above can fail: a ledger that does not sync its commits loses what has left the inbox."""
    careless = [event for event in events if event.what != "S" or not event.path.endswith("ledger.db-wal")]
    with pytest.raises((AssertionError, LedgerUnavailable)):
        cut_everywhere(careless, 0.0)
