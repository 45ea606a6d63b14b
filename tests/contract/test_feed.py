"""The live view's feed on a real ledger: one reader for all who look, and nobody holds up the others."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from threading import Event
from typing import Any, Concatenate, ParamSpec, TypeVar
from zoneinfo import ZoneInfo

import pytest
from builders import received, status
from sqlalchemy.engine import Connection

from answerback.console.links import Links
from answerback.console.model.activity_feed import (
    MAX_SUBSCRIBERS,
    MAX_SUBSCRIBERS_PER_KEY,
    ActivityFeed,
    FeedBatch,
    FeedCursor,
    Subscriber,
    TooManySubscribers,
)
from answerback.errors import LedgerUnavailable, UnavailableReason
from answerback.ledger import Ledger
from answerback.ledger.read.deliveries import activity_since

P = ParamSpec("P")
T = TypeVar("T")

ZONE = ZoneInfo("Asia/Shanghai")


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


async def callids(events: AsyncIterator[bytes]) -> list[str]:
    """The calls of the next event that tells of some."""
    async for event in events:
        for line in event.decode().splitlines():
            if line.startswith("data: "):
                data: dict[str, Any] = json.loads(line.removeprefix("data: "))
                return [one["href"].partition("?")[0].rpartition("/")[2] for one in data["items"]]
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
        feed = ActivityFeed(reading, ZONE, Links())
        viewers = [await feed.subscribe(None, None, f"key-{n}") for n in range(10)]
        before = reading.reads
        reading.hear("one")
        streams = [feed.stream(viewer) for viewer in viewers]
        assert [await callids(stream) for stream in streams] == [["one"]] * 10
        assert reading.reads - before <= 3
        for viewer in viewers:
            feed.unsubscribe(viewer)
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        _, reading_on = await asyncio.wait(tasks, timeout=10)
        assert not reading_on

    run(test)


def test_who_does_not_keep_up_is_let_go(reading: Reading) -> None:
    """The others go on receiving, and a subscriber that was dropped may come back from where it was."""

    async def test() -> None:
        feed = ActivityFeed(reading, ZONE, Links(), poll_s=0.02)
        slow, quick = await feed.subscribe(None, None, "admin"), await feed.subscribe(None, None, "admin")
        stream, place = feed.stream(quick), slow.cursor
        number = 0
        while not slow.closed.is_set():
            reading.hear(f"call-{number}")
            assert await callids(stream) == [f"call-{number}"]
            number += 1
        assert not quick.closed.is_set()
        feed.unsubscribe(slow)
        again = feed.stream(await feed.subscribe(place, None, "admin"))
        assert await callids(again) == [f"call-{reported}" for reported in range(number)]
        feed.close()

    run(test)


def test_a_newcomer_misses_nothing_and_sees_nothing_twice(reading: Reading) -> None:
    """While others receive, whatever the moment."""

    async def test() -> None:
        feed = ActivityFeed(reading, ZONE, Links())
        first = await feed.subscribe(None, None, "admin")
        place = first.cursor
        for number in range(5):
            reading.hear(f"call-{number}")
            viewer = await feed.subscribe(place, None, "admin")
            seen: list[str] = []
            stream = feed.stream(viewer)
            while len(seen) <= number:
                seen += await callids(stream)
            assert seen == [f"call-{reported}" for reported in range(number + 1)]
        feed.close()

    run(test)


def test_a_ledger_that_is_away_is_waited_for(reading: Reading) -> None:
    """What came meanwhile is shown once it is back."""

    async def test() -> None:
        feed = ActivityFeed(reading, ZONE, Links(), poll_s=0.02)
        stream = feed.stream(await feed.subscribe(None, None, "admin"))
        reading.fails = True
        reading.hear("meanwhile")
        assert await asyncio.to_thread(reading.failed.wait, 10)
        reading.fails = False
        assert await callids(stream) == ["meanwhile"]
        reading.fails = True
        with pytest.raises(LedgerUnavailable):
            await feed.subscribe(None, None, "admin")
        feed.close()

    run(test)


def test_there_is_an_end_to_how_many_may_look(reading: Reading) -> None:
    """And to looking at all, once the gateway stops."""

    async def test() -> None:
        feed = ActivityFeed(reading, ZONE, Links())
        viewers = [await feed.subscribe(None, None, f"key-{n}") for n in range(MAX_SUBSCRIBERS)]
        with pytest.raises(TooManySubscribers):
            await feed.subscribe(None, None, "admin")
        feed.unsubscribe(viewers[0])
        await feed.subscribe(None, None, "admin")
        feed.close()
        assert all(viewer.closed.is_set() for viewer in viewers)
        with pytest.raises(TooManySubscribers):
            await feed.subscribe(None, None, "admin")

    run(test)


def test_one_key_does_not_take_the_room_of_the_others(reading: Reading) -> None:
    """So many may look with it, and one less lets in one more."""

    async def test() -> None:
        feed = ActivityFeed(reading, ZONE, Links())
        viewers = [await feed.subscribe(None, None, "tabs") for _ in range(MAX_SUBSCRIBERS_PER_KEY)]
        with pytest.raises(TooManySubscribers, match="subscribers already with the key tabs"):
            await feed.subscribe(None, None, "tabs")
        await feed.subscribe(None, None, "other")
        feed.unsubscribe(viewers[0])
        await feed.subscribe(None, None, "tabs")
        feed.close()

    run(test)


def test_a_place_of_the_future_is_now(reading: Reading) -> None:
    """Of a ledger that was restored from a backup: what comes next is shown."""

    async def test() -> None:
        feed = ActivityFeed(reading, ZONE, Links())
        viewer = await feed.subscribe(FeedCursor(10**9, 10**9), None, "admin")
        stream = feed.stream(viewer)
        reading.hear("next")
        assert await callids(stream) == ["next"]
        feed.close()

    run(test)


def test_nothing_is_shown_but_what_is_of_the_channel(ledger: Ledger) -> None:
    """The place moves on all the same."""
    ledger.record([received(status(callid="mine"), channel="a"), received(status(callid="other"), channel="b")])
    feed = ActivityFeed(ledger, ZONE, Links())
    lines, place = feed.latest("a")
    assert [line.channel for line in lines] == ["a"]
    assert place == FeedCursor(2, 0)
    viewer = Subscriber(FeedCursor(0, 0), "a", "admin")
    news = FeedBatch(ledger.read(lambda connection: activity_since(connection, (0, 0), 10)[0]), place, 0)
    assert [one.callid for one in viewer.take_new(news)] == ["mine"]
    assert viewer.take_new(news) == []
    assert viewer.cursor == place
