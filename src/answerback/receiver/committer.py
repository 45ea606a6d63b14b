"""Group commit: what gathers while the store commits is the next batch."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import NamedTuple

from answerback.domain.models import ParsedCallback, RejectedCallback
from answerback.errors import LedgerUnavailable, UnavailableReason
from answerback.receiver.handlers import log_failure
from answerback.receiver.store import Store

_MAX_BATCH = 512
_MAX_PENDING = 10_000


Recorded = Future[None] | asyncio.Future[None]
"""Where a thread, or a task of an event loop, waits."""


class _Pending(NamedTuple):
    """What waits to be recorded, and what its sender waits for."""

    received: ParsedCallback | RejectedCallback
    recorded: Recorded


class Committer(threading.Thread):
    """The one thread of a process that records; an event loop that waits for it is not blocked."""

    def __init__(self, store: Store, on_recorded: Callable[[], None]) -> None:
        super().__init__(name="answerback-committer", daemon=True)
        self._store = store
        self._on_recorded = on_recorded
        self._queue: SimpleQueue[_Pending | None] = SimpleQueue()

    def submit(self, received: ParsedCallback | RejectedCallback, recorded: Recorded) -> None:
        """Have it recorded; `recorded` raises LedgerUnavailable where it was not."""
        if self._queue.qsize() >= _MAX_PENDING:
            raise LedgerUnavailable(UnavailableReason.OVERLOADED)
        self._queue.put(_Pending(received, recorded))

    def stop(self) -> None:
        """End once everything that was submitted is recorded."""
        self._queue.put(None)

    def run(self) -> None:
        """Record until stopped."""
        is_stopping = False
        while not is_stopping:
            batch, is_stopping = self._gather()
            failure = self._record([one.received for one in batch]) if batch else None
            _resolve(batch, failure)
            if failure is None:
                self._on_recorded()

    def _gather(self) -> tuple[list[_Pending], bool]:
        """What waits, and whether to stop after it."""
        batch: list[_Pending] = []
        pending = self._queue.get()
        while pending is not None:
            batch.append(pending)
            if len(batch) == _MAX_BATCH:
                return batch, False
            try:
                pending = self._queue.get_nowait()
            except Empty:
                return batch, False
        return batch, True

    def _record(self, batch: Sequence[ParsedCallback | RejectedCallback]) -> LedgerUnavailable | None:
        try:
            self._store.record(batch)
        except LedgerUnavailable as error:
            return error
        except Exception as error:  # noqa: BLE001  # a store may raise anything, and each sender is answered
            log_failure("callbacks not recorded", error)
            return LedgerUnavailable(UnavailableReason.FAULT)
        return None


def _resolve(batch: Sequence[_Pending], failure: LedgerUnavailable | None) -> None:
    """Wake all who wait; those of an event loop at once, for to wake it costs more than they do."""
    waiting: dict[asyncio.AbstractEventLoop | None, list[Recorded]] = {}
    for _, recorded in batch:
        loop = recorded.get_loop() if isinstance(recorded, asyncio.Future) else None
        waiting.setdefault(loop, []).append(recorded)
    _settle(waiting.pop(None, ()), failure)
    for loop, futures in waiting.items():
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(_settle, futures, failure)  # type: ignore[union-attr]  # None is gone


def _settle(futures: Sequence[Recorded], failure: LedgerUnavailable | None) -> None:
    for recorded in futures:
        if recorded.done():  # who asked has left
            continue
        recorded.set_result(None) if failure is None else recorded.set_exception(failure)
