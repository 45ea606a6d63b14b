"""An ASGI application that is built by its first request."""

import asyncio
import gc
from collections.abc import Awaitable, Callable

from answerback.gc_tuning import freeze_gc
from answerback.intake.app import Message, Receive, Send

App = Callable[[Message, Receive, Send], Awaitable[None]]


class LazyApp:
    """An ASGI application that its first request has built, in a thread; requests that come meanwhile wait for it.

    It is not built before all else has started.

    If building fails, those requests fail, and the next one tries again.
    """

    def __init__(self, build: Callable[[], App], is_started: asyncio.Event) -> None:
        self._build = build
        self._is_started = is_started
        self._app: App | None = None
        self._building: asyncio.Task[App] | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await (self._app or await self._get_app())(scope, receive, send)

    async def _get_app(self) -> App:
        building = self._building = self._building or asyncio.create_task(self._load())
        try:
            self._app = await asyncio.shield(building)  # a client that disconnects must not cancel it for the others
        finally:
            if building.done() and self._building is building:
                self._building = None
        return self._app

    async def _load(self) -> App:
        await self._is_started.wait()
        return await asyncio.to_thread(self._load_now)

    def _load_now(self) -> App:
        gc.disable()  # as at the start, what is loaded stays
        try:
            return self._build()
        finally:
            freeze_gc()
