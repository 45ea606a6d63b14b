"""When to look again: after a while, or sooner where something says so; and the clock that leases are counted by."""

import asyncio
import time


def clock_s() -> float:
    """Seconds that have passed for the world: also those in which this process, or the machine, was asleep."""
    return time.clock_gettime(_CLOCK)


_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Pace:
    """The pauses of somebody who looks again and again."""

    def __init__(self) -> None:
        self._sooner = asyncio.Event()

    def hurry(self) -> None:
        """End the pause that is, or leave out the next one."""
        self._sooner.set()

    async def rest(self, pause_s: float) -> None:
        """Wait for so long, or until somebody hurries."""
        try:
            async with asyncio.timeout(pause_s):
                await self._sooner.wait()
        except TimeoutError:
            pass
        self._sooner.clear()
