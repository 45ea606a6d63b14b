"""Read your writes: a reader waits until what was answered before is recorded, for a moment, and is told where it is not."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from answerback.http_protocol import App, Message, Receive, Send

if TYPE_CHECKING:
    from answerback.recorder import Recorder

LAG_HEADER = b"answerback-recorder-lag"


class ReadBarrier:
    """An ASGI application whose reads wait for the recorder, for `wait_s` at most."""

    def __init__(self, app: App, recorder: "Callable[[], Recorder | None]", wait_s: float) -> None:
        self._app = app
        self._recorder = recorder
        self._wait_s = wait_s

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request; one that came too early says by how many seconds."""
        recorder = self._recorder() if scope["method"] in ("GET", "HEAD") else None
        lag_s = 0.0 if recorder is None else await recorder.catch_up(self._wait_s)
        if lag_s == 0.0:
            await self._app(scope, receive, send)
            return

        async def send_with_lag(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (LAG_HEADER, f"{lag_s:.3f}".encode())]
            await send(message)

        await self._app(scope, receive, send_with_lag)
