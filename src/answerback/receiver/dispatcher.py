"""The threads that hand events to the handlers, from the store and behind the answer."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from contextvars import copy_context
from typing import Any

from answerback.domain.models import RawCallback
from answerback.receiver.handlers import Run
from answerback.receiver.log import ReceiverLog
from answerback.receiver.store import Store

Deliver = Callable[[Sequence[RawCallback], int, Run], float | None]


def deliver_due(store: Store, deliver: Deliver, runner: asyncio.Runner, is_stopping: Callable[[], bool]) -> int:
    """Hand over what is due, one event after the other, each in a context of its own; how many there were."""
    count = 0

    def handle(callbacks: Sequence[RawCallback], failures: int) -> float | None:
        nonlocal count
        count += 1
        return copy_context().run(deliver, callbacks, failures, run)

    def run(coroutine: Coroutine[Any, Any, None]) -> None:
        runner.run(coroutine, context=copy_context())  # else all have the runner's, with what others have set there

    while not is_stopping() and store.deliver(handle):
        pass
    return count


class EventDispatcher:
    """`threads` threads, each with an event loop of its own for handlers that are coroutine functions."""

    def __init__(self, store: Store, log: ReceiverLog, deliver: Deliver, threads: int, poll_s: float) -> None:
        self._store = store
        self._log = log
        self._deliver = deliver
        self._poll_s = poll_s
        self._is_stopping = False
        self._woken = [threading.Event() for _ in range(threads)]
        self._threads = [
            threading.Thread(target=self._run, args=(woken,), name="answerback-dispatcher", daemon=True)
            for woken in self._woken
        ]
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Something may be due."""
        for woken in self._woken:
            woken.set()

    def stop(self, ends_s: float) -> bool:
        """Let each thread end after the event that it is at; whether all have by then, of the monotonic clock."""
        self._is_stopping = True
        self.wake()
        for thread in self._threads:
            if thread is not threading.current_thread():  # a handler may close the receiver
                thread.join(max(0.0, ends_s - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self, woken: threading.Event) -> None:
        with asyncio.Runner() as runner:
            while not self._is_stopping:
                woken.clear()
                try:
                    deliver_due(self._store, self._deliver, runner, lambda: self._is_stopping)
                except BaseException as error:  # noqa: BLE001  # the store may be away: what is due stays due
                    self._log.failure("events cannot be delivered", error)
                if not self._is_stopping:
                    woken.wait(self._poll_s)
