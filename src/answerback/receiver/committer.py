"""Group commit: what gathers while the store commits is the next batch."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import NamedTuple

from answerback.domain.models import ParsedCallback, RejectedCallback
from answerback.errors import LedgerUnavailable, UnavailableReason
from answerback.receiver.store import Store

_MAX_BATCH = 512
_MAX_PENDING = 10_000

Failure = Exception | None


class _Pending(NamedTuple):
    """What waits to be recorded, and where its sender waits."""

    received: ParsedCallback | RejectedCallback
    recorded: "Future[Failure] | asyncio.Future[Failure]"


class Committer(threading.Thread):
    """The one thread of a process that records; an event loop that waits for it is not blocked."""

    def __init__(self, store: Store, on_recorded: Callable[[], None]) -> None:
        super().__init__(name="answerback-committer", daemon=True)
        self._store = store
        self._on_recorded = on_recorded
        self._queue: SimpleQueue[_Pending | None] = SimpleQueue()

    def submit(self, received: ParsedCallback | RejectedCallback) -> "Future[Failure]":
        """Have it recorded; the result is why it was not."""
        recorded: Future[Failure] = Future()
        self._put(_Pending(received, recorded))
        return recorded

    def submit_async(self, received: ParsedCallback | RejectedCallback) -> "asyncio.Future[Failure]":
        """The same, from an event loop."""
        recorded: asyncio.Future[Failure] = asyncio.get_running_loop().create_future()
        self._put(_Pending(received, recorded))
        return recorded

    def stop(self) -> None:
        """End once everything that was submitted is recorded."""
        self._queue.put(None)

    def run(self) -> None:
        """Record until stopped."""
        is_stopping = False
        while not is_stopping:
            batch, is_stopping = self._gather()
            if batch:
                failure = self._record([one.received for one in batch])
                _resolve(batch, failure)
                if failure is None:
                    self._on_recorded()

    def _put(self, pending: _Pending) -> None:
        if self._queue.qsize() >= _MAX_PENDING:
            raise LedgerUnavailable(UnavailableReason.OVERLOADED)
        self._queue.put(pending)

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

    def _record(self, batch: Sequence[ParsedCallback | RejectedCallback]) -> Failure:
        try:
            self._store.record(batch)
        except Exception as error:  # noqa: BLE001  # a store may raise anything, and each sender is answered
            return error
        return None


def _resolve(batch: Sequence[_Pending], failure: Failure) -> None:
    """Tell all who wait; those of one event loop together."""
    waiting: dict[asyncio.AbstractEventLoop, list[asyncio.Future[Failure]]] = {}
    for _, recorded in batch:
        if isinstance(recorded, asyncio.Future):
            waiting.setdefault(recorded.get_loop(), []).append(recorded)
        else:
            recorded.set_result(failure)
    for loop, futures in waiting.items():
        try:
            loop.call_soon_threadsafe(_set_results, futures, failure)
        except RuntimeError:  # the loop was closed: nobody waits any more
            continue


def _set_results(futures: Sequence["asyncio.Future[Failure]"], failure: Failure) -> None:
    for recorded in futures:
        if not recorded.done():  # who asked may have left
            recorded.set_result(failure)
