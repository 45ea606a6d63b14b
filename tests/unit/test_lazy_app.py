"""An application that its first request has built."""

import asyncio
import threading
from typing import Any

import pytest

from answerback.http_protocol import App
from answerback.service.lazy_app import LazyApp

Message = Any


class Building:
    """Builds an application that notes its requests; `may_end` holds it up, `failures` go wrong first."""

    def __init__(self, failures: int = 0) -> None:
        self.times = 0
        self.failures = failures
        self.began = threading.Event()
        self.may_end = threading.Event()
        self.thread: threading.Thread | None = None
        self.answered: list[str] = []

    def __call__(self) -> App:
        """Build it."""
        self.times += 1
        self.thread = threading.current_thread()
        self.began.set()
        assert self.may_end.wait(30)
        if self.times <= self.failures:
            raise ImportError("no such library")

        async def app(scope: Message, _receive: object, _send: object) -> None:
            self.answered.append(scope["path"])

        return app


async def ask(app: LazyApp, path: str) -> None:
    """Send a request, of which only the path counts."""

    async def nothing(*_: object) -> Any:
        raise AssertionError

    await app({"path": path}, nothing, nothing)


def started() -> asyncio.Event:
    """The event of a gateway that has started."""
    event = asyncio.Event()
    event.set()
    return event


def test_it_is_built_once_in_a_thread_and_early_requests_wait() -> None:
    """All that come while it is built are answered by the one that was built."""

    async def play() -> None:
        build = Building()
        app = LazyApp(build, started(), lambda: None)
        waiting = [asyncio.create_task(ask(app, path)) for path in "abc"]
        assert await asyncio.to_thread(build.began.wait, 30)
        assert build.answered == []
        build.may_end.set()
        await asyncio.gather(*waiting)
        await ask(app, "d")
        assert (build.times, build.answered) == (1, ["a", "b", "c", "d"])
        assert build.thread is not threading.main_thread()

    asyncio.run(play())


def test_nothing_is_built_before_the_rest_has_started() -> None:
    """A request that comes during the start waits for its end."""

    async def play() -> None:
        build, is_started = Building(), asyncio.Event()
        build.may_end.set()
        asking = asyncio.create_task(ask(LazyApp(build, is_started, lambda: None), "a"))
        for _ in range(10):
            await asyncio.sleep(0)
        assert build.times == 0
        is_started.set()
        await asking
        assert build.answered == ["a"]

    asyncio.run(play())


def test_who_hangs_up_leaves_it_to_the_others() -> None:
    """The first request is given up while it builds; the second one is answered by the same building."""

    async def play() -> None:
        build = Building()
        app = LazyApp(build, started(), lambda: None)
        first, second = (asyncio.create_task(ask(app, path)) for path in "ab")
        assert await asyncio.to_thread(build.began.wait, 30)
        first.cancel()
        build.may_end.set()
        await second
        with pytest.raises(asyncio.CancelledError):
            await first
        assert (build.times, build.answered) == (1, ["b"])

    asyncio.run(play())


def test_what_could_not_be_built_is_tried_again() -> None:
    """The error is that of the requests that waited; the next one builds once more."""

    async def play() -> None:
        build = Building(failures=1)
        build.may_end.set()
        app = LazyApp(build, started(), lambda: None)
        reported = await asyncio.gather(ask(app, "a"), ask(app, "b"), return_exceptions=True)
        assert [type(error) for error in reported] == [ImportError, ImportError]
        await ask(app, "c")
        assert (build.times, build.answered) == (2, ["c"])

    asyncio.run(play())
