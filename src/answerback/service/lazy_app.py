"""An ASGI application that is built by its first request."""

import asyncio
import gc
from collections.abc import Callable
from html import escape

import msgspec

from answerback.gc_tuning import freeze_gc
from answerback.http_protocol import App, Message, Receive, Send


class LazyApp:
    """An ASGI application that its first request has built, in a thread; requests that come meanwhile wait for it.

    It is not built before `is_settled`; as long as there is a reason for it that it is `unavailable`, requests are answered 503.

    If building fails, those requests fail, and the next one tries again.
    """

    def __init__(
        self, build: Callable[[], App], is_settled: asyncio.Event, unavailable: Callable[[], str | None]
    ) -> None:
        self._build = build
        self._is_settled = is_settled
        self._unavailable = unavailable
        self._app: App | None = None
        self._building: asyncio.Task[App] | None = None
        self._is_frozen = False

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        app = self._app
        if app is None:
            await self._is_settled.wait()
            if (reason := self._unavailable()) is not None:
                await _refuse(scope, send, reason)
                return
            app = await self._get_app()
        await app(scope, receive, send)

    def reset(self) -> None:
        """Have the next request build it anew; those under way go on with what they have."""
        self._app = self._building = None

    async def _get_app(self) -> App:
        building = self._building = self._building or asyncio.create_task(self._load())
        try:
            app = await asyncio.shield(building)  # a client that disconnects must not cancel it for the others
            if self._building is building:  # else it is out of date
                self._app = app
            return app
        finally:
            if building.done() and self._building is building:
                self._building = None

    async def _load(self) -> App:
        return await asyncio.to_thread(self._load_now)

    def _load_now(self) -> App:
        if self._is_frozen:
            return self._build()
        gc.disable()  # as at the start, what is loaded stays
        try:
            return self._build()
        finally:
            freeze_gc()
            self._is_frozen = True


_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><meta http-equiv="refresh" content="5"><title>Answerback</title>
<body style="font: 1rem/1.6 system-ui; max-width: 40rem; margin: 4rem auto; padding: 0 1rem; overflow-wrap: anywhere">
<h1 style="font-size: 1.25rem">The ledger is away · <span lang="zh-CN">账本暂不可用</span></h1>
<p>Callbacks are answered and kept, and recorded as soon as it is back; this page looks again by itself. <code>answerback doctor</code> on this
gateway's machine says more.
<p lang="zh-CN">回调照常应答并保存，账本恢复后自动补记；本页会自动刷新。详情请在网关所在机器上运行 <code>answerback doctor</code>。
<p><code>{}</code>
"""


async def _refuse(scope: Message, send: Send, reason: str) -> None:
    """Say why there is nothing to be seen: to browsers by a page, to programs as a Problem."""
    if any(name == b"accept" and b"text/html" in value for name, value in scope["headers"]):
        media_type, body = b"text/html; charset=utf-8", _PAGE.format(escape(reason)).encode()
    else:
        media_type = b"application/json"
        body = msgspec.json.encode(
            {"detail": f"the ledger is away, callbacks are answered and kept until it is back: {reason}"}
        )
    headers = [
        (b"content-type", media_type),
        (b"content-length", str(len(body)).encode()),
        (b"retry-after", b"2"),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})
