"""The live feed of activity: one poller of the ledger serves all subscribers, and stops when there are none."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple, TypeVar
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy.engine import Connection

from answerback.console.links import Links
from answerback.errors import AnswerbackError, LedgerUnavailable
from answerback.ledger.client import LedgerReader
from answerback.ledger.read.deliveries import ActivityEvent, activity_position, activity_since

T = TypeVar("T")

MAX_SUBSCRIBERS = 64
MAX_SUBSCRIBERS_PER_KEY = 8
"""So many tabs with one key, so that no key takes all the places."""

MAX_BATCH_EVENTS = 100
INITIAL_ITEMS = 50

_HEARTBEAT_S = 15.0
_QUEUE_SIZE = 20
_MAX_STREAM_S = 300.0  # then the browser comes again, and its session is looked at anew
_CURSOR = re.compile(r"(\d{1,18})-(\d{1,18})")

_encode = msgspec.json.Encoder().encode


class FeedCursor(NamedTuple):
    """A position in the feed: the ids of the last callback and of the last attempt."""

    callback_id: int
    attempt_id: int

    def __str__(self) -> str:
        return f"{self.callback_id}-{self.attempt_id}"


class FeedItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """One event as it is shown; the page has the texts for its codes. `callee` is the number, or else the callid."""

    clock: str
    at: str
    channel: str
    href: str
    callee: str
    kind: str | None = None
    outcome: str | None = None
    endpoint: str | None = None
    event: str | None = None
    error: str | None = None
    status: int | None = None
    milliseconds: float | None = None
    delivery_id: int | None = None


class FeedBatch(NamedTuple):
    """What came since the last poll, oldest first, up to `cursor`; `skipped` came too fast to be shown."""

    events: Sequence[ActivityEvent]
    cursor: FeedCursor
    skipped: int


class TooManySubscribers(AnswerbackError):
    """The feed, or a key, has as many subscribers as it may."""


class Subscriber:
    """An open page, which shows `channel` or all of them. `closed` is set once it gets no more events."""

    def __init__(self, cursor: FeedCursor, channel: str | None, key_name: str) -> None:
        self.cursor = cursor
        self.key_name = key_name
        self.channel = channel
        self.queue: asyncio.Queue[FeedBatch] = asyncio.Queue(_QUEUE_SIZE)
        self.closed = asyncio.Event()

    def put(self, batch: FeedBatch) -> None:
        """Queue a batch; a subscriber that does not keep up is closed, and may come back with its cursor."""
        try:
            self.queue.put_nowait(batch)
        except asyncio.QueueFull:
            self.closed.set()

    def take_new(self, batch: FeedBatch) -> list[ActivityEvent]:
        """The events of a batch that are after the cursor, and of the channel; moves the cursor."""
        unseen = [
            one
            for one in batch.events
            if one.sequence > (self.cursor.attempt_id if one.callback_kind is None else self.cursor.callback_id)
            and self.channel in (None, one.channel)
        ]
        self.cursor = FeedCursor(*map(max, self.cursor, batch.cursor))
        return unseen


class ActivityFeed:
    """Polls the ledger every `poll_s` while there are subscribers, and hands each batch to all of them."""

    def __init__(self, ledger: LedgerReader, zone: ZoneInfo, links: Links, poll_s: float = 0.5) -> None:
        self._ledger = ledger
        self._zone = zone
        self._links = links
        self._poll_s = poll_s
        self._subscribers: set[Subscriber] = set()
        self._poll_task: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()
        self._closed = False

    def latest(self, channel: str | None) -> tuple[list[FeedItem], FeedCursor]:
        """The last events, newest first, and the cursor after them; blocks. Raises LedgerUnavailable."""
        batch = self._ledger.read(_read_latest, INITIAL_ITEMS * (1 if channel is None else 10))
        mine = [one for one in batch.events if channel in (None, one.channel)]
        return [build_feed_item(one, self._zone, self._links) for one in reversed(mine[-INITIAL_ITEMS:])], batch.cursor

    async def subscribe(self, after: FeedCursor | None, channel: str | None, key_name: str) -> Subscriber:
        """Add a subscriber to what comes after `after`, or from now on. Raises TooManySubscribers, LedgerUnavailable."""
        async with self._lock:  # no batch is handed out between this read and the next poll
            if self._closed or len(self._subscribers) >= MAX_SUBSCRIBERS:
                raise TooManySubscribers(f"{MAX_SUBSCRIBERS} subscribers already")
            if sum(subscriber.key_name == key_name for subscriber in self._subscribers) >= MAX_SUBSCRIBERS_PER_KEY:
                raise TooManySubscribers(f"{MAX_SUBSCRIBERS_PER_KEY} subscribers already with the key {key_name}")
            batch = await asyncio.to_thread(self._ledger.read, _read_initial, after)
            subscriber = Subscriber(
                batch.cursor if after is None else FeedCursor(*map(min, after, batch.cursor)), channel, key_name
            )
            subscriber.put(batch)
            self._subscribers.add(subscriber)
            if self._poll_task is None:
                self._poll_task = asyncio.get_running_loop().create_task(self._poll(batch.cursor))
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

    async def stream(self, subscriber: Subscriber) -> AsyncIterator[bytes]:
        """A subscriber's server-sent events, until it is closed."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + _MAX_STREAM_S
        yield b"retry: 2000\n\n"
        while not subscriber.closed.is_set() and loop.time() < until_s:
            try:
                async with asyncio.timeout(_HEARTBEAT_S):
                    batch = await subscriber.queue.get()
            except TimeoutError:
                yield b": still here\n\n"
                continue
            items = [build_feed_item(one, self._zone, self._links) for one in subscriber.take_new(batch)]
            if items or batch.skipped:
                data = _encode({"items": items, "skipped": batch.skipped})
                yield b"id: %b\nevent: activity\ndata: %b\n\n" % (str(subscriber.cursor).encode(), data)

    async def _poll(self, cursor: FeedCursor) -> None:
        try:
            while True:
                await asyncio.sleep(self._poll_s)
                async with self._lock:
                    cursor = await self._poll_once(cursor)
        finally:  # should it fail, all come back, and it begins anew
            if self._poll_task is asyncio.current_task():
                self._poll_task = None
                for subscriber in self._subscribers:
                    subscriber.closed.set()

    async def _poll_once(self, cursor: FeedCursor) -> FeedCursor:
        try:
            batch = await asyncio.to_thread(self._ledger.read, _read_since, cursor)
        except LedgerUnavailable:
            return cursor
        if batch.events:
            for subscriber in self._subscribers:
                subscriber.put(batch)
        return batch.cursor


def parse_cursor(text: str) -> FeedCursor | None:
    """`17-4` as an event's id has it; None where it is none of ours."""
    match = _CURSOR.fullmatch(text)
    return None if match is None else FeedCursor(int(match[1]), int(match[2]))


def build_feed_item(event: ActivityEvent, zone: ZoneInfo, links: Links) -> FeedItem:
    """An event as everybody may see it: its number masked, its time by the clock of `zone`."""
    one = event.masked()
    local = one.at.astimezone(zone)  # of our own clock: far from the end of time
    return FeedItem(
        clock=f"{local:%H:%M:%S}.{local.microsecond // 1000:03}",
        at=local.isoformat(),
        channel=one.channel,
        href=links.call(one.callid, one.channel) if one.callid == event.callid else "",
        callee=one.mobile or one.callid,
        kind=one.callback_kind,
        outcome=one.outcome,
        endpoint=one.endpoint,
        event=one.event,
        error=one.error,
        status=one.status,
        milliseconds=None if one.duration_s is None else round(one.duration_s * 1000, 1),
        delivery_id=one.delivery_id,
    )


def _read_since(connection: Connection, cursor: FeedCursor) -> FeedBatch:
    """What came after `cursor`; of more than can be shown, the newest."""
    last = activity_position(connection)
    start = FeedCursor(*(max(seen, newest - MAX_BATCH_EVENTS) for seen, newest in zip(cursor, last, strict=True)))
    happened, after = activity_since(connection, start, MAX_BATCH_EVENTS)
    return FeedBatch(happened, FeedCursor(*after), sum(start) - sum(cursor))


def _read_initial(connection: Connection, after: FeedCursor | None) -> FeedBatch:
    """The first batch of a new subscriber: what came after `after`, or nothing."""
    if after is None:
        return FeedBatch((), FeedCursor(*activity_position(connection)), 0)
    return _read_since(connection, FeedCursor(*map(min, after, activity_position(connection))))


def _read_latest(connection: Connection, count: int) -> FeedBatch:
    last = activity_position(connection)
    start = FeedCursor(*(max(0, newest - count) for newest in last))
    happened, after = activity_since(connection, start, count)
    return FeedBatch(happened, FeedCursor(*after), 0)
