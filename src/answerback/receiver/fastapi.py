"""A receiver's callback URL in FastAPI and Starlette."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from answerback.domain.channels import CALLBACK_PATH
from answerback.receiver.body import MAX_READ_BYTES
from answerback.receiver.receiver import Receiver


def router(receiver: Receiver) -> APIRouter:
    """The callback URL, and handlers that run from the application's start to its end."""

    @asynccontextmanager
    async def lifespan(_app: object) -> AsyncIterator[None]:
        receiver.start()
        yield
        await run_in_threadpool(receiver.close)

    return APIRouter(routes=list(routes(receiver)), lifespan=lifespan)


def routes(receiver: Receiver) -> list[Route]:
    """The callback URL, whatever the method: without a token, and with one."""

    class CallbackUrl:  # as a class, for Starlette takes a function to be one of requests
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            body = await _read(receive, receiver.max_body_bytes + 1)
            if body is None:
                return
            response = await receiver.areceive(body, scope["path_params"].get("token", ""), scope["method"])
            body, headers = response.body, [(name.encode(), value.encode()) for name, value in response.headers]
            headers.append((b"content-length", str(len(body)).encode()))
            await send({"type": "http.response.start", "status": response.status, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    return [Route(path, CallbackUrl()) for path in (CALLBACK_PATH, f"{CALLBACK_PATH}/{{token:path}}")]


async def _read(receive: Receive, max_bytes: int) -> bytes | None:
    """The body, or its first `max_bytes`; None where its sender has left."""
    body, read_bytes, has_more = b"", 0, True
    while has_more and read_bytes < MAX_READ_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunk = message.get("body", b"")
        read_bytes += len(chunk)
        body += chunk[: max_bytes - len(body)]
        has_more = message.get("more_body", False)
    return body
