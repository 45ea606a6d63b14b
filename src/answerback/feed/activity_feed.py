"""One poller of the ledger for all subscribers, which stops when there are none; each subscriber takes what comes at its own pace.

A subscriber holds a position, not a queue: one that is slow costs no memory, and reads the ledger by itself until it has caught up.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from sqlalchemy.engine import Connection

from answerback.errors import AnswerbackError, LedgerUnavailable
from answerback.ledger.client import LedgerReader
from answerback.ledger.read.activity import (
    BEGINNING,
    PAGE_EVENTS,
    ActivityCursor,
    ActivityEvent,
    CommitHorizon,
    activity_position,
    read_activity,
)

MAX_SUBSCRIBERS = 64
MAX_SUBSCRIBERS_PER_KEY = 8
"""So many with one key, so that no key takes all the places."""

HEARTBEAT_S = 15.0
_FIRST_POSITION_S = 0.02


class FeedBatch(NamedTuple):
    """Events in order, all that there are between two positions; `skipped` more in front of them are left out."""

    start: ActivityCursor
    events: Sequence[ActivityEvent]
    end: ActivityCursor
    skipped: int = 0

    def from_position(self, cursor: ActivityCursor) -> "FeedBatch":
        """What is behind `cursor`."""
        start = cursor.highest(self.start)
        return FeedBatch(start, [one for one in self.events if start.is_before(one)], start.highest(self.end))


class TooManySubscribers(AnswerbackError):
    """The feed, or a key, has as many subscribers as it may."""

    retry_after_s = 60


class Subscriber:
    """Somebody who takes what comes after `cursor`. `closed` is set once there is no more."""

    def __init__(self, cursor: ActivityCursor, key_name: str) -> None:
        self.cursor = cursor
        self.key_name = key_name
        self.closed = asyncio.Event()


class ActivityFeed:
    """Looks every `poll_s` what is new, while there are subscribers, and keeps the newest events for all of them."""

    def __init__(self, ledger: LedgerReader, poll_s: float = 0.5) -> None:
        self._ledger = ledger
        self._poll_s = poll_s
        self._horizon = CommitHorizon()
        self._newest = FeedBatch(BEGINNING, (), BEGINNING)
        self._changed = asyncio.Event()
        self._subscribers: set[Subscriber] = set()
        self._poll_task: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()
        self._closed = False

    async def latest(self, count: int) -> FeedBatch:
        """The last `count` callbacks and attempts. Raises LedgerUnavailable."""
        async with self._lock:
            end = await self._look()
        start = end.back(count)
        events, _ = await asyncio.to_thread(self._ledger.read, read_activity, start, end, count)
        return FeedBatch(start, events, end)

    async def subscribe(self, after: ActivityCursor | None, key_name: str) -> Subscriber:
        """Add a subscriber to what comes after `after`, or from now on. Raises TooManySubscribers, LedgerUnavailable."""
        async with self._lock:
            if self._closed or len(self._subscribers) >= MAX_SUBSCRIBERS:
                raise TooManySubscribers(f"{MAX_SUBSCRIBERS} subscribers already")
            if sum(subscriber.key_name == key_name for subscriber in self._subscribers) >= MAX_SUBSCRIBERS_PER_KEY:
                raise TooManySubscribers(f"{MAX_SUBSCRIBERS_PER_KEY} subscribers already with the key {key_name}")
            now = await self._look()
            if after is None:
                after = now
            elif not now.covers(after):  # another gateway is further, or the ledger went back
                after = after.lowest(await asyncio.to_thread(self._ledger.read, activity_position))
            subscriber = Subscriber(after, key_name)
            self._subscribers.add(subscriber)
            if self._poll_task is None:
                self._poll_task = asyncio.get_running_loop().create_task(self._poll())
        return subscriber

    def unsubscribe(self, subscriber: Subscriber) -> None:
        subscriber.closed.set()
        self._subscribers.discard(subscriber)
        if not self._subscribers and self._poll_task is not None:
            self._poll_task.cancel()
            self._poll_task = None

    def close(self) -> None:
        self._closed = True
        for subscriber in list(self._subscribers):
            self.unsubscribe(subscriber)

    async def batches(self, subscriber: Subscriber, *, skip: bool) -> AsyncIterator[FeedBatch | None]:
        """What comes, for ever; None: nothing came for a while. With `skip`, a subscriber that is behind goes on with the newest."""
        cursor = subscriber.cursor
        while True:
            changed = self._changed
            if cursor.covers(self._newest.end):
                try:
                    async with asyncio.timeout(HEARTBEAT_S):
                        await changed.wait()
                except TimeoutError:
                    yield None
                continue
            batch = self._newest.from_position(cursor)
            if skip:
                batch = batch._replace(skipped=sum(batch.start) - sum(cursor))
            elif batch.start != cursor:
                try:
                    batch = await asyncio.to_thread(self._ledger.read, _read_batch, cursor, self._newest.end)
                except LedgerUnavailable:
                    await asyncio.sleep(self._poll_s)
                    continue
            cursor = batch.end
            yield batch

    async def _poll(self) -> None:
        try:
            while True:
                await asyncio.sleep(self._poll_s)
                async with self._lock:
                    try:
                        await self._look()
                    except LedgerUnavailable:
                        continue
        finally:  # should it fail, all come back, and it begins anew
            if self._poll_task is asyncio.current_task():
                self._poll_task = None
                for subscriber in self._subscribers:
                    subscriber.closed.set()

    async def _look(self) -> ActivityCursor:
        """Read what is new; returns where that ends."""
        while (now := await asyncio.to_thread(self._ledger.read, self._horizon.advance)) is None:  # noqa: ASYNC110
            await asyncio.sleep(_FIRST_POSITION_S)
        if now != self._newest.end:
            self._newest = await asyncio.to_thread(self._ledger.read, _read_newest, self._newest, now)
            self._changed.set()
            self._changed = asyncio.Event()
        return self._newest.end


def _read_batch(connection: Connection, after: ActivityCursor, until: ActivityCursor) -> FeedBatch:
    events, end = read_activity(connection, after, until)
    return FeedBatch(after, events, end)


def _read_newest(connection: Connection, known: FeedBatch, now: ActivityCursor) -> FeedBatch:
    """The newest events up to `now`, or, where bodies are large, up to as many as are read at a time."""
    start = now.back(PAGE_EVENTS)
    if now.covers(known.end) and known.end.covers(start):
        events, end = read_activity(connection, known.end, now)
        events = [*known.events, *events]
        start = known.start
        for dropped in events[: -2 * PAGE_EVENTS]:
            start = start.after(dropped)
        return FeedBatch(start, events[-2 * PAGE_EVENTS :], end)
    return _read_batch(connection, start, now)
