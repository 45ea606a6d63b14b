"""Live: the activity feed as server-sent events."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from answerback.console.context import RequestContext
from answerback.console.model.feed_items import FeedItem, build_feed_item
from answerback.console.routing import PageRouter
from answerback.console.session import Session, Sessions
from answerback.domain.endpoints import EventType
from answerback.domain.models import CallbackKind, Outcome
from answerback.errors import LedgerUnavailable
from answerback.feed.activity_feed import ActivityFeed, Subscriber, TooManySubscribers
from answerback.feed.event_stream import HEARTBEAT, EventStream
from answerback.ledger.read.activity import ActivityCursor, ActivityEvent

INITIAL_ITEMS = 50

_REFRESH_S = 5
_MAX_STREAM_S = 300.0
_SESSION_CHECK_S = 3.0
_TEXT_NAMES = (
    "live_callback",
    "live_delivery",
    "live_pause",
    "live_go_on",
    "live_buffered",
    "live_delivered",
    "live_failed",
    "live_skipped",
    "live_on",
    "live_paused",
    "live_lost",
    "live_ended",
)

_encode = msgspec.json.Encoder().encode


def build_routes(router: PageRouter) -> list[Route]:
    feed = router.deps.feed
    build_item = partial(build_feed_item, zone=router.deps.zone, links=router.deps.links)

    async def show(context: RequestContext) -> Response:
        channel = context.query.get("channel")
        batch = await feed.latest(INITIAL_ITEMS * (1 if channel is None else 10))
        items = [build_item(one) for one in reversed(batch.events) if channel in (None, one.channel)][:INITIAL_ITEMS]
        refresh_s = _REFRESH_S if context.query.get("refresh") else None
        return context.render("live.html", feed_values(context, items, batch.end, channel) | {"refresh_s": refresh_s})

    async def events(context: RequestContext) -> Response:
        after = ActivityCursor.parse(context.request.headers.get("last-event-id") or context.query.get("after", ""))
        try:
            subscriber = await feed.subscribe(after, context.principal.name)
        except TooManySubscribers as error:
            return Response(str(error), 503, {"Retry-After": str(error.retry_after_s)}, "text/plain")
        shown = _events(feed, subscriber, context.query.get("channel"), build_item)
        return EventStream(feed, subscriber, shown, _wait_for_sign_out(context, router.sessions))

    return [router.page("/live", show), router.page("/live/events", events)]


def feed_values(
    context: RequestContext, items: Sequence[FeedItem], cursor: ActivityCursor, channel: str | None = None
) -> dict[str, Any]:
    """What the list of activity is rendered from: `items`, newest first, and where the stream goes on."""
    return {
        "items": items,
        "cursor": cursor,
        "channel": channel,
        "channels": context.deps.channels,
        "most_lines": INITIAL_ITEMS * 4,
        "codes": _script_texts(context),
    }


def _script_texts(context: RequestContext) -> dict[str, str]:
    """The words that the script needs: for what happens, and for itself."""
    prefixes: dict[str, type[CallbackKind | Outcome | EventType]] = {
        "kind": CallbackKind,
        "outcome": Outcome,
        "event": EventType,
    }
    names = [f"{prefix}_{code.value}" for prefix, codes in prefixes.items() for code in codes]
    return {name: context.t[name] for name in (*names, *_TEXT_NAMES)}


async def _events(
    feed: ActivityFeed, subscriber: Subscriber, channel: str | None, show: Callable[[ActivityEvent], FeedItem]
) -> AsyncIterator[bytes]:
    """A subscriber's events; after a while the browser is to come again, and its session is looked at anew."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + _MAX_STREAM_S
    yield b"retry: 2000\n\n"
    async for batch in feed.batches(subscriber, skip=True):
        if batch is None:
            yield HEARTBEAT
        elif (items := [show(one) for one in batch.events if channel in (None, one.channel)]) or batch.skipped:
            data = _encode({"items": items, "skipped": batch.skipped})
            yield b"id: %b\nevent: activity\ndata: %b\n\n" % (str(batch.end).encode(), data)
        if loop.time() > until_s:
            return


async def _wait_for_sign_out(context: RequestContext, sessions: Sessions) -> None:
    """Until the session has ended."""
    session: Session | None = context.session
    while session is not None:
        await asyncio.sleep(_SESSION_CHECK_S)
        with suppress(LedgerUnavailable):
            session = await context.run_in_thread(sessions.find, context.request.cookies)
