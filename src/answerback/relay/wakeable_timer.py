"""A timer that can be woken early, and the clock that leases are counted by."""

import asyncio
import time


def boottime_s() -> float:
    """Seconds since boot, including those in which the machine or this process was asleep."""
    return time.clock_gettime(_CLOCK)


_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class WakeableTimer:
    """The pause of a polling loop."""

    def __init__(self) -> None:
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """End the present pause, or skip the next one."""
        self._woken.set()

    async def wait(self, timeout_s: float) -> None:
        """Wait for so long, or until `wake` is called."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._woken.wait()
        except TimeoutError:
            pass
        self._woken.clear()
