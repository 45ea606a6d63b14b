"""The ways into a receiver of which each passes the suite: one entry makes another one pass it, or fail."""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

import httpx
from fastapi import FastAPI
from flask import Flask
from receiver.stores import set_up_django
from starlette.applications import Starlette

from answerback.receiver import Receiver


class Answer(NamedTuple):
    """What a sender gets."""

    status: int
    headers: dict[str, str]
    body: bytes


Send = Callable[[str, str, bytes], Answer]
"""`send(method, path, body)`: one request of a sender's."""


def core(voice: Receiver) -> Send:
    """Without a framework."""

    def send(method: str, path: str, body: bytes) -> Answer:
        response = voice.receive(body, path.removeprefix("/voice/callback"), method)
        return Answer(response.status, dict(response.headers), response.body)

    return send


def core_async(voice: Receiver) -> Send:
    """Without a framework, in an event loop."""

    def send(method: str, path: str, body: bytes) -> Answer:
        response = asyncio.run(voice.areceive(body, path.removeprefix("/voice/callback"), method))
        return Answer(response.status, dict(response.headers), response.body)

    return send


def fastapi(voice: Receiver) -> Send:
    """Below a prefix of an application's."""
    app = FastAPI()
    app.include_router(voice.fastapi(), prefix="/tel")
    return asgi(app, "/tel")


def starlette(voice: Receiver) -> Send:
    """Among an application's routes."""
    return asgi(Starlette(routes=voice.starlette()))


def flask(voice: Receiver) -> Send:
    """Below a prefix of an application's."""
    app = Flask("theirs")
    app.register_blueprint(voice.flask(), url_prefix="/tel")

    def send(method: str, path: str, body: bytes) -> Answer:
        response = app.test_client().open(f"/tel{path}", method=method, data=body)
        return Answer(response.status_code, {name.lower(): value for name, value in response.headers}, response.data)

    return send


def django(voice: Receiver) -> Send:
    """Among an application's URLs."""
    set_up_django()
    from django.test import Client
    from django.urls import clear_url_caches, include, path, set_urlconf
    from receiver import django_urls

    django_urls.urlpatterns[:] = [path("tel/", include([voice.django()]))]
    clear_url_caches()
    set_urlconf(None)

    def send(method: str, path: str, body: bytes) -> Answer:
        response = Client().generic(method, f"/tel{path}", body, "application/json")
        return Answer(
            response.status_code, {name.lower(): value for name, value in response.headers.items()}, response.content
        )

    return send


def asgi(app: Any, prefix: str = "") -> Send:
    """An application, in an event loop of its own for each request."""

    def send(method: str, path: str, body: bytes) -> Answer:
        async def request() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://voice") as client:
                return await client.request(method, prefix + path, content=body)

        response = asyncio.run(request())
        return Answer(response.status_code, dict(response.headers), response.content)

    return send


ADAPTERS: dict[str, Callable[[Receiver], Send]] = {
    "core": core,
    "core, async": core_async,
    "fastapi": fastapi,
    "starlette": starlette,
    "flask": flask,
    "django": django,
}
