"""Read your writes: who asks waits until what was answered before is recorded, for a moment, and is told where it is not.

So does who acts: a replay has the calls that were answered before it, a new endpoint none of them.
"""

from collections.abc import Awaitable, Callable

from answerback.http_protocol import RECORDER_LAG_S, App, Message, Receive, Send

LAG_HEADER = b"answerback-recorder-lag"

_NOT_OF_THE_LEDGER = ("/static/", "/sign-in", "/openapi.json", "/v1/callbacks")


class ReadBarrier:
    """An ASGI application that waits to `catch_up`, which says by how many seconds the ledger is behind then."""

    def __init__(self, app: App, catch_up: Callable[[], Awaitable[float]]) -> None:
        self._app = app
        self._catch_up = catch_up

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request; one that came too early says by how many seconds."""
        is_of_the_ledger = not any(part in scope["path"] for part in _NOT_OF_THE_LEDGER)
        lag_s = await self._catch_up() if is_of_the_ledger else 0.0
        if lag_s == 0.0:
            await self._app(scope, receive, send)
            return
        scope[RECORDER_LAG_S] = lag_s

        async def send_with_lag(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (LAG_HEADER, f"{lag_s:.3f}".encode())]
            await send(message)

        await self._app(scope, receive, send_with_lag)
