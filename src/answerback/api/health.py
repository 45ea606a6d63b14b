"""/healthz, /readyz and /metrics: the gateway's own health. Plain ASGI, so that they do not load the API."""

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from answerback.http_protocol import Message, Send

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

PATHS = ("/healthz", "/readyz", "/metrics")

_JSON = b"application/json"
_TEXT = b"text/plain; version=0.0.4; charset=utf-8"


class HealthApp:
    """Serves the three paths without a key. prometheus_client is imported by the first scrape.

    `failure` says why the process is not ready; `registry` makes what a scrape reads.
    """

    def __init__(self, failure: Callable[[], str | None], registry: "Callable[[], CollectorRegistry]") -> None:
        self._failure = failure
        self._registry = registry
        self._scrapes = ThreadPoolExecutor(1, "metrics")  # its own, so that slow readers hold up no scrape

    async def __call__(self, scope: Message, _receive: object, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        if method != "GET":
            await _answer(send, 405, {"detail": f"{method} is not allowed at this address: GET"}, (b"allow", b"GET"))
        elif path == "/metrics":
            text = await asyncio.get_running_loop().run_in_executor(self._scrapes, self._scrape)
            await _send(send, 200, _TEXT, text)
        elif path == "/healthz":
            await _answer(send, 200, {"status": "alive"})
        elif (failure := self._failure()) is None:
            await _answer(send, 200, {"status": "ready"})
        else:
            await _answer(send, 503, {"status": "not ready", "reason": failure})

    def _scrape(self) -> bytes:
        from answerback.api.metrics import scrape

        return scrape(self._registry())


async def _answer(send: Send, status: int, fields: dict[str, str], *headers: tuple[bytes, bytes]) -> None:
    await _send(send, status, _JSON, json.dumps(fields, ensure_ascii=False).encode(), *headers)


async def _send(send: Send, status: int, media_type: bytes, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    described = [(b"content-type", media_type), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": described})
    await send({"type": "http.response.body", "body": body})
