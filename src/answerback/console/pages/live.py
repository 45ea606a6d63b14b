"""Live: what happens, as it happens, told to browsers as server-sent events."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from typing import Any

from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from answerback.console.context import Visit
from answerback.console.model.activity_feed import SHOWN_AT_FIRST, Feed, FeedFull, Viewer, read_place
from answerback.console.routing import Site
from answerback.console.session import Session, Sessions
from answerback.domain.models import Event, Kind, Outcome
from answerback.errors import LedgerUnavailable

_REFRESH_S = 5
_GOODBYE_S = 1.0
_LOOKS_AGAIN_S = 3.0
_WORDS = (
    "live_callback",
    "live_delivery",
    "live_pause",
    "live_go_on",
    "live_held",
    "live_delivered",
    "live_failed",
    "live_missed",
    "live_on",
    "live_paused",
    "live_lost",
    "live_ended",
)


def routes(site: Site) -> list[Route]:
    """The page and its stream of events."""
    feed = Feed(site.given.ledger, site.given.zone, site.given.links)
    site.given.farewells.append(feed.close)

    async def show(visit: Visit) -> Response:
        channel = visit.query.get("channel")
        lines, place = await visit.read(feed.latest, channel)
        told = {
            "lines": lines,
            "place": place,
            "channel": channel,
            "channels": visit.given.channels,
            "refresh_s": _REFRESH_S if visit.query.get("refresh") else None,
            "most_lines": SHOWN_AT_FIRST * 4,
            "codes": _codes(visit),
        }
        return visit.render("live.html", told)

    async def events(visit: Visit) -> Response:
        after = read_place(visit.request.headers.get("last-event-id") or visit.query.get("after", ""))
        try:
            viewer = await feed.join(after, visit.query.get("channel"), visit.reader.name)
        except FeedFull as error:
            return Response(str(error), 503, {"Retry-After": "60"}, "text/plain")
        return EventStream(feed, viewer, _signed_out(visit, site.sessions))

    return [site.page("/live", show), site.page("/live/events", events)]


def _codes(visit: Visit) -> dict[str, str]:
    """The words that the script needs: for what happens, and for itself."""
    prefixes: dict[str, type[Kind | Outcome | Event]] = {"kind": Kind, "outcome": Outcome, "event": Event}
    names = [f"{prefix}_{code.value}" for prefix, codes in prefixes.items() for code in codes]
    return {name: visit.t[name] for name in (*names, *_WORDS)}


class EventStream(Response):
    """The answer that goes on: until the reader leaves or falls behind, `signed_out` ends, or the gateway stops."""

    media_type = "text/event-stream"

    def __init__(self, feed: Feed, viewer: Viewer, signed_out: Coroutine[Any, Any, None]) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._feed = feed
        self._viewer = viewer
        self._signed_out = signed_out

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events; a reader who takes nothing is cut off even in the middle of one."""
        _ = scope
        sending = asyncio.ensure_future(self._send(send, self._feed.stream(self._viewer)))
        endings = [asyncio.ensure_future(end) for end in (_left(receive), self._viewer.gone.wait(), self._signed_out)]
        try:
            await asyncio.wait([sending, *endings], return_when=asyncio.FIRST_COMPLETED)
            if not self._viewer.waiting.full():
                async with asyncio.timeout(_GOODBYE_S):
                    await self._say_goodbye(sending, send)
        except TimeoutError:  # nobody takes it
            return
        finally:
            self._feed.leave(self._viewer)
            for task in (sending, *endings):
                task.cancel()
            await asyncio.gather(sending, *endings, return_exceptions=True)

    async def _send(self, send: Send, events: AsyncIterator[bytes]) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for event in events:
            await send({"type": "http.response.body", "body": event, "more_body": True})

    @staticmethod
    async def _say_goodbye(sending: asyncio.Future[None], send: Send) -> None:
        """End the answer in due form, so that the browser comes back by itself."""
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _signed_out(visit: Visit, sessions: Sessions) -> None:
    """Until the session has ended."""
    session: Session | None = visit.session
    while session is not None:
        await asyncio.sleep(_LOOKS_AGAIN_S)
        with suppress(LedgerUnavailable):
            session = await visit.read(sessions.find, visit.request.cookies)
