"""Server-sent events to one subscriber."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from answerback.feed.activity_feed import ActivityFeed, Subscriber

HEARTBEAT = b": still here\n\n"

_FINISH_TIMEOUT_S = 1.0


class EventStream(Response):
    """`chunks` of events: until the client disconnects, `revoked` ends, or the gateway stops."""

    media_type = "text/event-stream"

    def __init__(
        self,
        feed: ActivityFeed,
        subscriber: Subscriber,
        chunks: AsyncIterator[bytes],
        revoked: Coroutine[Any, Any, None],
    ) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no", "Cache-Control": "no-store"})
        del self.headers["content-length"]
        self._feed = feed
        self._subscriber = subscriber
        self._chunks = chunks
        self._revoked = revoked

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events; what is being sent when the stream ends is cut off."""
        _ = scope
        sending = asyncio.ensure_future(self._send(send))
        endings = [
            asyncio.ensure_future(end)
            for end in (_wait_for_disconnect(receive), self._subscriber.closed.wait(), self._revoked)
        ]
        try:
            await asyncio.wait([sending, *endings], return_when=asyncio.FIRST_COMPLETED)
            async with asyncio.timeout(_FINISH_TIMEOUT_S):
                await self._finish(sending, send)
        except TimeoutError:  # nobody takes it
            return
        finally:
            self._feed.unsubscribe(self._subscriber)
            for task in (sending, *endings):
                task.cancel()
            await asyncio.gather(sending, *endings, return_exceptions=True)

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for chunk in self._chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})

    @staticmethod
    async def _finish(sending: asyncio.Future[None], send: Send) -> None:
        """End the answer in due form, so that the client comes back by itself."""
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
