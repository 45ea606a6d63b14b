"""The power goes at any moment: whatever was answered is there, and nothing torn passes for what was appended."""

import os
import random
import tempfile
from collections import defaultdict
from contextlib import closing
from pathlib import Path

import pytest
from inbox.disk_model import Disk, Event, record_events
from inbox.harness import ALL, bodies, config
from inbox.power_cut_bodies import body

from answerback.errors import LedgerUnavailable
from answerback.inbox import INBOX_FILE, Inbox, InboxReader

HERE = Path(__file__).parent
SEED = int(os.environ.get("SEED", str(random.randrange(2**32))))


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> list[Event]:
    """What a real process does to its files, and when it answers, in order."""
    found = record_events(tmp_path_factory.mktemp("victim"), HERE / "power_cut_victim.py")
    assert {event.what for event in found} >= {*"CWSUAR"}, "it records what the process does"
    return found


def left_rows(place: Path) -> dict[tuple[int, int], list[bytes] | None]:
    """What the next start finds."""
    Inbox.open(config(place)).close()
    with closing(InboxReader(place / INBOX_FILE)) as reader:
        return {
            (each.number, row.position): bodies(row)
            for each in reader.generations()
            for row in reader.read(each, each.deleted, ALL, ALL)
        }


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0], ids="{} of what was not synced".format)
def test_a_power_cut(events: list[Event], share: float) -> None:
    """Before each sync and after it, with nothing, a part, or all of what was written since the one before."""
    chance = random.Random(SEED)
    disk = Disk(Path("/disk"))
    answered: set[tuple[int, int]] = set()
    recorded: dict[int, int] = defaultdict(int)
    cuts = 0
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    for number, event in enumerate(events):
        if event.what == "S" or (event.what == "A" and events[number - 1].what != "A"):
            with tempfile.TemporaryDirectory(dir=memory) as place:
                disk.leave(Path(place), chance, share)
                found = left_rows(Path(place) / "inbox")
            expected = {key for key in answered if key[1] > recorded[key[0]]}
            assert found.keys() >= expected, f"SEED={SEED} event {number}"
            for (generation, position), content in found.items():
                assert content == [body(generation, position)], f"SEED={SEED} event {number}"
            cuts += 1
        if event.what in "AR":
            generation, position = event.offset >> 32, event.offset & 0xFFFFFFFF
            if event.what == "A":
                answered.add((generation, position))
            else:
                recorded[generation] = max(recorded[generation], position)
        disk.take(event)
    assert cuts > 100
    assert len(answered) == 120


@pytest.mark.parametrize("file", ["inbox.db", "inbox.db-wal"])
def test_a_sync_that_is_left_out_is_found(events: list[Event], file: str) -> None:
    """The tests above can fail: a process that does not sync one of the files loses what it answered."""
    careless = [event for event in events if event.what != "S" or not event.path.endswith(file)]
    with pytest.raises((AssertionError, LedgerUnavailable)):
        test_a_power_cut(careless, 0.0)
