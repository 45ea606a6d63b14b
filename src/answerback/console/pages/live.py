"""Live: the activity feed as server-sent events."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import suppress
from typing import Any

from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from answerback.console.context import RequestContext
from answerback.console.model.activity_feed import (
    INITIAL_ITEMS,
    ActivityFeed,
    FeedCursor,
    FeedItem,
    Subscriber,
    TooManySubscribers,
    parse_cursor,
)
from answerback.console.routing import PageRouter
from answerback.console.session import Session, Sessions
from answerback.domain.endpoints import EventType
from answerback.domain.models import CallbackKind, Outcome
from answerback.errors import LedgerUnavailable

_REFRESH_S = 5
_FINISH_TIMEOUT_S = 1.0
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


def build_routes(router: PageRouter) -> list[Route]:
    feed = ActivityFeed(router.deps.ledger, router.deps.zone, router.deps.links)
    router.deps.shutdown_callbacks.append(feed.close)

    async def show(context: RequestContext) -> Response:
        channel = context.query.get("channel")
        items, cursor = await context.run_in_thread(feed.latest, channel)
        refresh_s = _REFRESH_S if context.query.get("refresh") else None
        return context.render("live.html", feed_values(context, items, cursor, channel) | {"refresh_s": refresh_s})

    async def events(context: RequestContext) -> Response:
        after = parse_cursor(context.request.headers.get("last-event-id") or context.query.get("after", ""))
        try:
            subscriber = await feed.subscribe(after, context.query.get("channel"), context.principal.name)
        except TooManySubscribers as error:
            return Response(str(error), 503, {"Retry-After": "60"}, "text/plain")
        return EventStream(feed, subscriber, _wait_for_sign_out(context, router.sessions))

    return [router.page("/live", show), router.page("/live/events", events)]


def feed_values(
    context: RequestContext, items: Sequence[FeedItem], cursor: FeedCursor, channel: str | None = None
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


class EventStream(Response):
    """A stream of events: until the browser disconnects or falls behind, `sign_out` ends, or the gateway stops."""

    media_type = "text/event-stream"

    def __init__(self, feed: ActivityFeed, subscriber: Subscriber, sign_out: Coroutine[Any, Any, None]) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._feed = feed
        self._subscriber = subscriber
        self._sign_out = sign_out

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events; a reader who takes nothing is cut off even in the middle of one."""
        _ = scope
        sending = asyncio.ensure_future(self._send(send, self._feed.stream(self._subscriber)))
        endings = [
            asyncio.ensure_future(end)
            for end in (_wait_for_disconnect(receive), self._subscriber.closed.wait(), self._sign_out)
        ]
        try:
            await asyncio.wait([sending, *endings], return_when=asyncio.FIRST_COMPLETED)
            if not self._subscriber.queue.full():
                async with asyncio.timeout(_FINISH_TIMEOUT_S):
                    await self._finish(sending, send)
        except TimeoutError:  # nobody takes it
            return
        finally:
            self._feed.unsubscribe(self._subscriber)
            for task in (sending, *endings):
                task.cancel()
            await asyncio.gather(sending, *endings, return_exceptions=True)

    async def _send(self, send: Send, events: AsyncIterator[bytes]) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for event in events:
            await send({"type": "http.response.body", "body": event, "more_body": True})

    @staticmethod
    async def _finish(sending: asyncio.Future[None], send: Send) -> None:
        """End the answer in due form, so that the browser comes back by itself."""
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _wait_for_sign_out(context: RequestContext, sessions: Sessions) -> None:
    """Until the session has ended."""
    session: Session | None = context.session
    while session is not None:
        await asyncio.sleep(_SESSION_CHECK_S)
        with suppress(LedgerUnavailable):
            session = await context.run_in_thread(sessions.find, context.request.cookies)
