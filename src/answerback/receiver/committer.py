"""Group commit: what gathers while the store commits is the next batch."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import NamedTuple

from answerback.domain.models import ParsedCallback, RejectedCallback
from answerback.errors import LedgerUnavailable, UnavailableReason
from answerback.receiver.log import ReceiverLog
from answerback.receiver.store import Store

_MAX_BATCH = 512
_MAX_PENDING = 10_000
_MAX_PENDING_BYTES = 64 * 1024 * 1024


RecordFuture = Future[None] | asyncio.Future[None]
"""Where a thread, or a task of an event loop, waits."""


class _PendingCallback(NamedTuple):
    """What waits to be recorded, and what its sender waits for."""

    received: ParsedCallback | RejectedCallback
    recorded: RecordFuture


class Committer(threading.Thread):
    """The one thread of a process that records; an event loop that waits for it is not blocked."""

    def __init__(self, store: Store, log: ReceiverLog, on_recorded: Callable[[], None]) -> None:
        super().__init__(name="answerback-committer", daemon=True)
        self._store = store
        self._log = log
        self._on_recorded = on_recorded
        self._changed = threading.Condition()
        self._queue: deque[_PendingCallback] = deque()
        self._bytes = 0  # of what waits and of what is being recorded
        self._is_stopping = False

    def submit(self, received: ParsedCallback | RejectedCallback, recorded: RecordFuture) -> None:
        """Have it recorded; `recorded` raises LedgerUnavailable where it was not. Raises it where too much waits already."""
        with self._changed:
            size_bytes = len(received.raw)
            if len(self._queue) >= _MAX_PENDING or 0 < self._bytes > _MAX_PENDING_BYTES - size_bytes:
                raise LedgerUnavailable(UnavailableReason.OVERLOADED)
            self._queue.append(_PendingCallback(received, recorded))
            self._bytes += size_bytes
            self._changed.notify()

    def stop(self) -> None:
        """End once everything that was submitted is recorded."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify()

    def run(self) -> None:
        """Record until stopped."""
        while batch := self._gather():
            failure = self._record([one.received for one in batch])
            with self._changed:
                self._bytes -= sum(len(one.received.raw) for one in batch)
            _resolve(batch, failure)
            if failure is None:
                self._on_recorded()

    def _gather(self) -> list[_PendingCallback]:
        """What waits, once something does; nothing where it is to stop."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._is_stopping)
            return [self._queue.popleft() for _ in range(min(len(self._queue), _MAX_BATCH))]

    def _record(self, batch: Sequence[ParsedCallback | RejectedCallback]) -> LedgerUnavailable | None:
        try:
            self._store.record(batch)
        except LedgerUnavailable as error:
            return error
        except BaseException as error:  # noqa: BLE001  # a store may raise anything: each sender is answered, and the thread goes on
            self._log.failure("callbacks not recorded", error)
            return LedgerUnavailable(UnavailableReason.FAULT)
        return None


def _resolve(batch: Sequence[_PendingCallback], failure: LedgerUnavailable | None) -> None:
    """Wake all who wait; those of an event loop at once, for to wake it costs more than they do."""
    waiting: dict[asyncio.AbstractEventLoop | None, list[RecordFuture]] = {}
    for _, recorded in batch:
        loop = recorded.get_loop() if isinstance(recorded, asyncio.Future) else None
        waiting.setdefault(loop, []).append(recorded)
    _settle(waiting.pop(None, ()), failure)
    for loop, futures in waiting.items():
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(_settle, futures, failure)  # type: ignore[union-attr]  # None is gone


def _settle(futures: Sequence[RecordFuture], failure: LedgerUnavailable | None) -> None:
    for recorded in futures:
        if recorded.done():  # who asked has left
            continue
        recorded.set_result(None) if failure is None else recorded.set_exception(failure)
