"""Tasks that exactly one process of the cluster runs, started and stopped as it gains and loses their leases."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping

import structlog

SingletonJob = Callable[[], Awaitable[None]]

_STOP_TIMEOUT_S = 1.0

log = structlog.get_logger("answerback.relay")


class SingletonTasks:
    """The singleton tasks that this process can run, and those that it runs now."""

    def __init__(self, jobs: Mapping[str, SingletonJob]) -> None:
        self._jobs = jobs
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def names(self) -> list[str]:
        return sorted(self._jobs)

    @property
    def active(self) -> list[str]:
        return sorted(self._tasks)

    def set_active(self, names: Collection[str]) -> None:
        """Run these tasks from now on, and no others."""
        for name in self._tasks.keys() - names:
            log.info("singleton_stopped", singleton=name)
            self._tasks.pop(name).cancel()
        for name in names:
            if name not in self._tasks:
                log.info("singleton_started", singleton=name)
                self._tasks[name] = asyncio.get_running_loop().create_task(self._run(name))

    async def stop(self) -> None:
        tasks = list(self._tasks.values())
        self.set_active(())
        if tasks:
            await asyncio.wait(tasks, timeout=_STOP_TIMEOUT_S)

    async def _run(self, name: str) -> None:
        try:
            await self._jobs[name]()
        except Exception:  # it starts again with the next lease; the others must not end with it
            log.exception("singleton_failed", singleton=name)
