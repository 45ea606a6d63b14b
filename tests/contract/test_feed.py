"""The activity feed on a real ledger: one reader for all who look, and nobody holds up the others."""

import asyncio
from collections.abc import AsyncIterator, Callable
from threading import Event
from typing import Any, Concatenate, ParamSpec, TypeVar

import pytest
from builders import received, status
from sqlalchemy.engine import Connection

from answerback.errors import LedgerUnavailable, UnavailableReason
from answerback.feed.activity_feed import (
    MAX_SUBSCRIBERS,
    MAX_SUBSCRIBERS_PER_KEY,
    ActivityFeed,
    FeedBatch,
    TooManySubscribers,
)
from answerback.ledger import Ledger
from answerback.ledger.read.activity import ActivityCursor

P = ParamSpec("P")
T = TypeVar("T")


class Reading:
    """A ledger that counts how often it is read; `fails` as long as that is set."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.reads = 0
        self.fails = False
        self.failed = Event()

    def read(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Read, or not."""
        self.reads += 1
        if self.fails:
            self.failed.set()
            raise LedgerUnavailable(UnavailableReason.UNREACHABLE)
        return self.ledger.read(work, *args, **kwargs)

    def hear(self, *callids: str) -> None:
        """A callback about each call comes in."""
        self.ledger.record([received(status(callid=callid)) for callid in callids])


@pytest.fixture
def reading(ledger: Ledger) -> Reading:
    """An empty ledger, whose reads are counted."""
    return Reading(ledger)


async def callids(batches: AsyncIterator[FeedBatch | None]) -> list[str]:
    """The calls of the next batch."""
    async for batch in batches:
        if batch is not None and batch.events:
            return [one.callid for one in batch.events]
    raise AssertionError("the stream ended")


def run(test: Callable[[], Any]) -> None:
    """Run an async test to its end, within reason."""

    async def within_reason() -> None:
        async with asyncio.timeout(20):
            await test()

    asyncio.run(within_reason())


def test_the_ledger_is_read_once_for_all(reading: Reading) -> None:
    """Ten who look cost as much as one, and nobody costs nothing."""

    async def test() -> None:
        feed = ActivityFeed(reading)
        viewers = [await feed.subscribe(None, f"key-{n}") for n in range(10)]
        before = reading.reads
        reading.hear("one")
        streams = [feed.batches(viewer, skip=True) for viewer in viewers]
        assert [await callids(stream) for stream in streams] == [["one"]] * 10
        assert reading.reads - before <= 6
        for viewer in viewers:
            feed.unsubscribe(viewer)
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        _, reading_on = await asyncio.wait(tasks, timeout=10)
        assert not reading_on

    run(test)


def test_who_does_not_keep_up_misses_nothing(reading: Reading) -> None:
    """A subscriber holds a position alone: whenever it comes, everything is there, once and in order; the others do not wait for it."""

    async def test() -> None:
        feed = ActivityFeed(reading, poll_s=0.02)
        slow, quick = await feed.subscribe(None, "admin"), await feed.subscribe(None, "admin")
        stream, late = feed.batches(quick, skip=True), feed.batches(slow, skip=False)
        expected = []
        for number in range(12):
            expected += [f"call-{number}-{one}" for one in range(40)]
            reading.hear(*expected[-40:])
            assert await callids(stream) == expected[-40:]
        seen: list[str] = []
        while len(seen) < len(expected):
            seen += await callids(late)
        assert seen == expected
        feed.close()

    run(test)


def test_who_is_behind_may_go_on_with_the_newest(reading: Reading) -> None:
    """And is told how many were left out."""

    async def test() -> None:
        feed = ActivityFeed(reading)
        reading.hear(*(f"call-{number}" for number in range(150)))
        viewer = await feed.subscribe(ActivityCursor(10, 0), "admin")
        batch = await anext(feed.batches(viewer, skip=True))
        assert batch is not None
        assert (batch.skipped, len(batch.events), batch.events[-1].callid) == (40, 100, "call-149")
        feed.close()

    run(test)


def test_a_newcomer_misses_nothing_and_sees_nothing_twice(reading: Reading) -> None:
    """While others receive, whatever the moment."""

    async def test() -> None:
        feed = ActivityFeed(reading)
        first = await feed.subscribe(None, "admin")
        place = first.cursor
        for number in range(5):
            reading.hear(f"call-{number}")
            viewer = await feed.subscribe(place, "admin")
            seen: list[str] = []
            stream = feed.batches(viewer, skip=True)
            while len(seen) <= number:
                seen += await callids(stream)
            assert seen == [f"call-{reported}" for reported in range(number + 1)]
        feed.close()

    run(test)


def test_a_ledger_that_is_away_is_waited_for(reading: Reading) -> None:
    """What came meanwhile is shown once it is back."""

    async def test() -> None:
        feed = ActivityFeed(reading, poll_s=0.02)
        stream = feed.batches(await feed.subscribe(None, "admin"), skip=True)
        reading.fails = True
        reading.hear("meanwhile")
        assert await asyncio.to_thread(reading.failed.wait, 10)
        reading.fails = False
        assert await callids(stream) == ["meanwhile"]
        reading.fails = True
        with pytest.raises(LedgerUnavailable):
            await feed.subscribe(None, "admin")
        feed.close()

    run(test)


def test_there_is_an_end_to_how_many_may_look(reading: Reading) -> None:
    """And to looking at all, once the gateway stops."""

    async def test() -> None:
        feed = ActivityFeed(reading)
        viewers = [await feed.subscribe(None, f"key-{n}") for n in range(MAX_SUBSCRIBERS)]
        with pytest.raises(TooManySubscribers):
            await feed.subscribe(None, "admin")
        feed.unsubscribe(viewers[0])
        await feed.subscribe(None, "admin")
        feed.close()
        assert all(viewer.closed.is_set() for viewer in viewers)
        with pytest.raises(TooManySubscribers):
            await feed.subscribe(None, "admin")

    run(test)


def test_one_key_does_not_take_the_room_of_the_others(reading: Reading) -> None:
    """So many may look with it, and one less lets in one more."""

    async def test() -> None:
        feed = ActivityFeed(reading)
        viewers = [await feed.subscribe(None, "tabs") for _ in range(MAX_SUBSCRIBERS_PER_KEY)]
        with pytest.raises(TooManySubscribers, match="subscribers already with the key tabs"):
            await feed.subscribe(None, "tabs")
        await feed.subscribe(None, "other")
        feed.unsubscribe(viewers[0])
        await feed.subscribe(None, "tabs")
        feed.close()

    run(test)


def test_a_place_of_the_future_is_now(reading: Reading) -> None:
    """Of a ledger that was restored from a backup: what comes next is shown."""

    async def test() -> None:
        feed = ActivityFeed(reading)
        viewer = await feed.subscribe(ActivityCursor(10**9, 10**9), "admin")
        stream = feed.batches(viewer, skip=True)
        reading.hear("next")
        assert await callids(stream) == ["next"]
        feed.close()

    run(test)
