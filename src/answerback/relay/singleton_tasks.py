"""What one process of all does: each duty is work without an end, which is begun and ended as its lease comes and goes."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping

import structlog

Work = Callable[[], Awaitable[None]]

_END_S = 1.0

log = structlog.get_logger("answerback.relay")


class Duties:
    """The duties that this process can take, and the work of those that it has."""

    def __init__(self, works: Mapping[str, Work]) -> None:
        self._works = works
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def names(self) -> list[str]:
        """All that it can take."""
        return sorted(self._works)

    @property
    def held(self) -> list[str]:
        """Those that it has."""
        return sorted(self._tasks)

    def have(self, names: Collection[str]) -> None:
        """Do these from now on, and no others."""
        for name in self._tasks.keys() - names:
            log.info("duty_ended", duty=name)
            self._tasks.pop(name).cancel()
        for name in names:
            if name not in self._tasks:
                log.info("duty_began", duty=name)
                self._tasks[name] = asyncio.get_running_loop().create_task(self._work(name))

    async def stop(self) -> None:
        """End all, and wait for that."""
        tasks = list(self._tasks.values())
        self.have(())
        if tasks:
            await asyncio.wait(tasks, timeout=_END_S)

    async def _work(self, name: str) -> None:
        try:
            await self._works[name]()
        except Exception:  # it is begun again where the lease comes anew; the others must not end with it
            log.exception("duty_failed", duty=name)
