"""Tests that are coroutines, run as the gateway runs: in uvloop, where nothing may go wrong unseen."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, ParamSpec

import uvloop

P = ParamSpec("P")

LONGEST_TEST_S = 60.0


def in_loop(test: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    """Run a test in a loop of its own; an exception that nobody takes fails it."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        unseen: list[dict[str, Any]] = []

        async def whole() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(context))
            async with asyncio.timeout(LONGEST_TEST_S):
                await test(*args, **kwargs)
            gc.collect()  # a task's exception that was never retrieved shows when the task is collected
            await asyncio.sleep(0)

        gc.freeze()  # what is there before costs the collection nothing
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(whole())
        finally:
            gc.unfreeze()
        assert not unseen, unseen

    return run


async def silence(seconds: float) -> None:
    """Give what must not come the time to come: that nothing happens is no event."""
    await asyncio.sleep(seconds)  # of all that is asserted to be missing afterwards


async def until(happened: Callable[[], object], timeout_s: float = 15.0, every_s: float = 0.005) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(timeout_s):
        while not happened():  # noqa: ASYNC110  # it happens at the other end of a socket
            await asyncio.sleep(every_s)
