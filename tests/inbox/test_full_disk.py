"""A disk without space, a real one."""

import asyncio
from pathlib import Path

import pytest
from inbox.harness import append, config, in_file, items, read, started, used_bytes
from small_disk import fill

from answerback.errors import LedgerUnavailable, UnavailableReason
from answerback.inbox import Inbox

BODY = bytes(20_000)


async def refusal(inbox: Inbox) -> LedgerUnavailable:
    """Append until nothing more is taken; why."""
    with pytest.raises(LedgerUnavailable) as raised:
        await append(inbox, *[BODY] * 10_000)
    return raised.value


def test_a_full_disk(small_disk: Path) -> None:
    """What finds no room is refused and not there; once there is room all goes on, and what was answered is read."""

    async def scenario() -> None:
        async with started(config(small_disk / "inbox")) as inbox:
            await append(inbox, b"before")
            filler = fill(small_disk)
            assert (await refusal(inbox)).reason is UnavailableReason.DISK_FULL
            answered = inbox.present.last
            filler.unlink()
            await inbox.append(items(b"after"))
            found = await read(inbox)
            assert found[1] == [b"before"]
            assert found[inbox.present.last] == [b"after"]
            assert all(found[position] == [BODY] for position in range(2, answered + 1))
        assert in_file(small_disk / "inbox")[1] == [*found.values()]

    asyncio.run(scenario())


def test_the_reserve_is_kept(small_disk: Path) -> None:
    """The inbox stops before the disk is full, and its space is given back once what waits is recorded."""
    reserve_bytes = 4 * 1024 * 1024

    async def scenario() -> None:
        async with started(config(small_disk / "inbox", reserve_bytes=reserve_bytes)) as inbox:
            assert (await refusal(inbox)).reason is UnavailableReason.INBOX_FULL
            used = used_bytes(small_disk / "inbox")
            inbox.mark_recorded(inbox.present.id, inbox.present.last)
            async with asyncio.timeout(10):
                while True:
                    try:
                        await inbox.append(items(b"after"))
                    except LedgerUnavailable:
                        await asyncio.sleep(0.1)
                    else:
                        break
            assert used_bytes(small_disk / "inbox") < used

    asyncio.run(scenario())
