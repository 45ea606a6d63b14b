"""Read your writes: a reader waits until what was answered before is recorded, for a moment, and is told where it is not."""

from collections.abc import Awaitable, Callable

from answerback.http_protocol import RECORDER_LAG_S, App, Message, Receive, Send

LAG_HEADER = b"answerback-recorder-lag"

_NOT_FROM_THE_LEDGER = ("/static/", "/sign-in", "/openapi.json")


class ReadBarrier:
    """An ASGI application whose reads wait to `catch_up`, which says by how many seconds the ledger is behind then."""

    def __init__(self, app: App, catch_up: Callable[[], Awaitable[float]]) -> None:
        self._app = app
        self._catch_up = catch_up

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request; one that came too early says by how many seconds."""
        reads = scope["method"] in ("GET", "HEAD") and not any(part in scope["path"] for part in _NOT_FROM_THE_LEDGER)
        lag_s = await self._catch_up() if reads else 0.0
        if lag_s == 0.0:
            await self._app(scope, receive, send)
            return
        scope[RECORDER_LAG_S] = lag_s

        async def send_with_lag(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (LAG_HEADER, f"{lag_s:.3f}".encode())]
            await send(message)

        await self._app(scope, receive, send_with_lag)
