"""What happens, told to everybody who looks: one reader of the ledger for all of them, and none while nobody does."""

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
from answerback.ledger.read.deliveries import Happened, happened_since, last_happened
from answerback.schemas.calls import view_of_activity

T = TypeVar("T")

MOST_VIEWERS = 64
MOST_OF_ONE = 8
"""Who look with the same key: so many tabs, and nobody takes all the room."""

MOST_AT_ONCE = 100
SHOWN_AT_FIRST = 50

_HEARTBEAT_S = 15.0
_QUEUE = 20
_LONGEST_S = 300.0  # then the browser comes again, and its session is looked at anew
_PLACE = re.compile(r"(\d{1,18})-(\d{1,18})")

_encode = msgspec.json.Encoder().encode


class Place(NamedTuple):
    """How far somebody has seen: the ids of the last callback and of the last attempt."""

    callback_id: int
    attempt_id: int

    def __str__(self) -> str:
        return f"{self.callback_id}-{self.attempt_id}"


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One happening as it is shown; the words for its codes are the page's. `who` is the number, or else the callid."""

    clock: str
    at: str
    channel: str
    href: str
    who: str
    kind: str | None = None
    outcome: str | None = None
    endpoint: str | None = None
    event: str | None = None
    error: str | None = None
    status: int | None = None
    milliseconds: float | None = None
    delivery_id: int | None = None


class News(NamedTuple):
    """What came since the last look, oldest first, up to `place`; `missed` came too fast to be shown."""

    happened: Sequence[Happened]
    place: Place
    missed: int


class FeedFull(AnswerbackError):
    """So many look already that nobody more can."""


class Viewer:
    """One who looks at the happenings of `channel`, or of all, with the key `who`. `gone` is set once they are told no more."""

    def __init__(self, place: Place, channel: str | None, who: str) -> None:
        self.place = place
        self.who = who
        self.channel = channel
        self.waiting: asyncio.Queue[News] = asyncio.Queue(_QUEUE)
        self.gone = asyncio.Event()

    def offer(self, news: News) -> None:
        """Hand over what came; who does not keep up is let go, and may come back from where they were."""
        try:
            self.waiting.put_nowait(news)
        except asyncio.QueueFull:
            self.gone.set()

    def unseen(self, news: News) -> list[Happened]:
        """What of the news this viewer has not seen yet, and wants to."""
        unseen = [
            one
            for one in news.happened
            if one.number > (self.place.attempt_id if one.callback is None else self.place.callback_id)
            and self.channel in (None, one.channel)
        ]
        self.place = Place(*map(max, self.place, news.place))
        return unseen


class Feed:
    """Reads what is new, every `poll_s` while somebody looks, and hands it to all who do."""

    def __init__(self, ledger: LedgerReader, zone: ZoneInfo, links: Links, poll_s: float = 0.5) -> None:
        self._ledger = ledger
        self._zone = zone
        self._links = links
        self._poll_s = poll_s
        self._viewers: set[Viewer] = set()
        self._polling: asyncio.Task[None] | None = None
        self._looking = asyncio.Lock()
        self._closed = False

    def latest(self, channel: str | None) -> tuple[list[Line], Place]:
        """The last happenings, newest first, and the place after them; blocks. Raises LedgerUnavailable."""
        news = self._ledger.read(
            lambda connection: _latest(connection, SHOWN_AT_FIRST * (1 if channel is None else 10))
        )
        mine = [one for one in news.happened if channel in (None, one.channel)]
        return [line_of(one, self._zone, self._links) for one in reversed(mine[-SHOWN_AT_FIRST:])], news.place

    async def join(self, after: Place | None, channel: str | None, who: str) -> Viewer:
        """Begin to tell somebody what comes after `after`, or from now on. Raises FeedFull, LedgerUnavailable."""
        async with self._looking:  # nothing is handed out between this look and the next one of all
            if self._closed or len(self._viewers) >= MOST_VIEWERS:
                raise FeedFull(f"{MOST_VIEWERS} people look already")
            if sum(viewer.who == who for viewer in self._viewers) >= MOST_OF_ONE:
                raise FeedFull(f"{MOST_OF_ONE} look already with the key {who}")
            news = await asyncio.to_thread(self._ledger.read, lambda connection: _for_newcomer(connection, after))
            viewer = Viewer(news.place if after is None else Place(*map(min, after, news.place)), channel, who)
            viewer.offer(news)
            self._viewers.add(viewer)
            if self._polling is None:
                self._polling = asyncio.get_running_loop().create_task(self._poll(news.place))
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """Stop telling somebody."""
        viewer.gone.set()
        self._viewers.discard(viewer)
        if not self._viewers and self._polling is not None:
            self._polling.cancel()
            self._polling = None

    def close(self) -> None:
        """Let everybody go, at once."""
        self._closed = True
        for viewer in list(self._viewers):
            self.leave(viewer)

    async def stream(self, viewer: Viewer) -> AsyncIterator[bytes]:
        """The viewer's events as they go over the wire, until they are let go."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + _LONGEST_S
        yield b"retry: 2000\n\n"
        while not viewer.gone.is_set() and loop.time() < until_s:
            try:
                async with asyncio.timeout(_HEARTBEAT_S):
                    news = await viewer.waiting.get()
            except TimeoutError:
                yield b": still here\n\n"
                continue
            lines = [line_of(one, self._zone, self._links) for one in viewer.unseen(news)]
            if lines or news.missed:
                data = _encode({"lines": lines, "missed": news.missed})
                yield b"id: %b\nevent: happened\ndata: %b\n\n" % (str(viewer.place).encode(), data)

    async def _poll(self, place: Place) -> None:
        try:
            while True:
                await asyncio.sleep(self._poll_s)
                async with self._looking:
                    place = await self._look(place)
        finally:  # should it fail, all come back, and it begins anew
            if self._polling is asyncio.current_task():
                self._polling = None
                for viewer in self._viewers:
                    viewer.gone.set()

    async def _look(self, place: Place) -> Place:
        try:
            news = await asyncio.to_thread(self._ledger.read, lambda connection: _since(connection, place))
        except LedgerUnavailable:
            return place
        if news.happened:
            for viewer in self._viewers:
                viewer.offer(news)
        return news.place


def read_place(text: str) -> Place | None:
    """`17-4` as an event's id has it; None where it is none of ours."""
    match = _PLACE.fullmatch(text)
    return None if match is None else Place(int(match[1]), int(match[2]))


def line_of(happened: Happened, zone: ZoneInfo, links: Links) -> Line:
    """A happening as everybody may see it: its number masked, its time by the clock of `zone`."""
    one = view_of_activity(happened, full_numbers=False)
    local = one.at.astimezone(zone)  # of our own clock: far from the end of time
    return Line(
        clock=f"{local:%H:%M:%S}.{local.microsecond // 1000:03}",
        at=local.isoformat(),
        channel=one.channel,
        href=links.call(one.callid, one.channel) if one.callid == happened.callid else "",
        who=one.mobile or one.callid,
        kind=one.callback,
        outcome=one.outcome,
        endpoint=one.endpoint,
        event=one.event,
        error=one.error,
        status=one.status,
        milliseconds=None if one.duration_s is None else round(one.duration_s * 1000, 1),
        delivery_id=one.delivery_id,
    )


def _since(connection: Connection, place: Place) -> News:
    """What came after `place`; of more than can be shown, the newest."""
    last = last_happened(connection)
    start = Place(*(max(seen, newest - MOST_AT_ONCE) for seen, newest in zip(place, last, strict=True)))
    happened, after = happened_since(connection, start, MOST_AT_ONCE)
    return News(happened, Place(*after), sum(start) - sum(place))


def _for_newcomer(connection: Connection, after: Place | None) -> News:
    """What somebody missed who saw everything up to `after`, or nothing."""
    if after is None:
        return News((), Place(*last_happened(connection)), 0)
    return _since(connection, Place(*map(min, after, last_happened(connection))))


def _latest(connection: Connection, count: int) -> News:
    last = last_happened(connection)
    start = Place(*(max(0, newest - count) for newest in last))
    happened, after = happened_since(connection, start, count)
    return News(happened, Place(*after), 0)
