"""How the cloud's seconds pass: faster than ours, at once, or when a test says so."""

import asyncio
import heapq
import itertools
import time
from typing import Protocol


class Clock(Protocol):
    """Seconds of the cloud."""

    def now_s(self) -> float:
        """Unix time."""

    def signing_time_s(self) -> float:
        """Unix time as a sender should have it: what its signature is checked against."""

    async def wait(self, seconds: float) -> None:
        """Return after so many of the cloud's seconds."""


class FastClock:
    """Real time, `speed` times as fast; infinity: nothing takes any time, and still comes in its order."""

    def __init__(self, speed: float = 1.0) -> None:
        self._speed = speed

    def now_s(self) -> float:
        """Unix time; it does not run ahead."""
        return time.time()

    def signing_time_s(self) -> float:
        return time.time()

    async def wait(self, seconds: float) -> None:
        """Return after so many of the cloud's seconds."""
        await asyncio.sleep(seconds / self._speed)


class VirtualClock:
    """Stands still until it is moved. For tests: `advance` to the second, or `finish` whatever there is to wait for."""

    def __init__(self, now_s: float | None = None) -> None:
        self._now_s = time.time() if now_s is None else now_s
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    def now_s(self) -> float:
        """Unix time, as far as it was moved."""
        return self._now_s

    def signing_time_s(self) -> float:
        """This process's own time: moving the clock does not move that of the program under test."""
        return time.time()

    async def wait(self, seconds: float) -> None:
        """Return when the clock was moved so far."""
        moved: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (self._now_s + seconds, next(self._numbers), moved))
        await moved

    @property
    def next_s(self) -> float | None:
        """When the next wait is over; None: nobody waits."""
        while self._waiting and self._waiting[0][2].done():
            heapq.heappop(self._waiting)
        return self._waiting[0][0] if self._waiting else None

    def move_to(self, when_s: float) -> None:
        """Let time pass; whoever waits for a moment up to then goes on, in order."""
        while (next_s := self.next_s) is not None and next_s <= when_s:
            _, _, moved = heapq.heappop(self._waiting)
            self._now_s = max(self._now_s, next_s)
            moved.set_result(None)
        self._now_s = max(self._now_s, when_s)
