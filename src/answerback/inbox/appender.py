"""The thread that writes the inbox: what gathers while it commits is the next commit; it tidies up in between."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import NamedTuple

import structlog

from answerback.errors import LedgerUnavailable, UnavailableReason
from answerback.inbox.config import InboxConfig
from answerback.inbox.file import InboxFile
from answerback.inbox.retention import Retention
from answerback.inbox.rows import Sealer, StoredRow, Totals
from answerback.inbox.tidier import FileTidier
from answerback.storage.sqlite_errors import sqlite_unavailable

_TICK_S = 1.0
_MOST_ROWS = 64
_MOST_BYTES = 4 * 1024 * 1024

log = structlog.get_logger("answerback.inbox")


class Append(NamedTuple):
    """A batch on its way to the file; one without payload is a probe."""

    payload: bytes
    callbacks: int
    appended_us: int
    stored: "asyncio.Future[None]"


class Commit(NamedTuple):
    """What became of batches that were committed together: their rows, none where `failure` says why.

    `end` is what the generation comes to: more than was known where a row is there whose commit had failed.
    """

    appends: Sequence[Append]
    rows: Sequence[StoredRow]
    end: Totals
    failure: LedgerUnavailable | None


class Appender(threading.Thread):
    """Commits what is put into its queue, in order, and reports each commit in the event loop."""

    def __init__(
        self,
        file: InboxFile,
        config: InboxConfig,
        retention: Retention,
        loop: asyncio.AbstractEventLoop,
        on_commit: Callable[[Commit], None],
    ) -> None:
        super().__init__(name="inbox", daemon=True)
        self._file = file
        self._sealer = Sealer(file.id, file.number)
        self._config = config
        self.loop = loop
        self._on_commit = on_commit
        self._queue: SimpleQueue[Append | None] = SimpleQueue()
        self._end = Totals(0, 0, 0, 0)
        self._tidying = FileTidier(file, config, retention)
        self._ticked_s = time.monotonic()
        self._is_stopping = False
        self.stopped: asyncio.Future[None] = loop.create_future()

    def put(self, append: Append) -> None:
        """Have it committed, after those before it."""
        self._queue.put(append)

    def stop(self) -> None:
        """End once everything that was put is committed."""
        self._queue.put(None)

    def run(self) -> None:
        """Commit until stopped."""
        while not self._is_stopping:
            has_stored = False
            if appends := self._gather():
                commit = self._commit(appends)
                has_stored = commit.failure is None
                self._report(self._on_commit, commit)
            self._tidy(is_idle=not has_stored)
        self._tidying.finish()
        self._file.close()
        self._report(self._on_stopped)

    def _gather(self) -> list[Append]:
        """What waits, if only for a tick; as much of it as fits into a transaction."""
        appends: list[Append] = []
        size_bytes = 0
        try:
            next_ = self._queue.get(timeout=_TICK_S)
            while next_ is not None:
                appends.append(next_)
                size_bytes += len(next_.payload)
                if len(appends) == _MOST_ROWS or size_bytes >= _MOST_BYTES:
                    return appends
                next_ = self._queue.get_nowait()
            self._is_stopping = True
        except Empty:
            pass
        return appends

    def _commit(self, appends: list[Append]) -> Commit:
        try:
            return Commit(appends, self._store(appends), self._end, None)
        except sqlite3.Error as error:
            failure = sqlite_unavailable(error, self._file.path)
        except LedgerUnavailable as error:
            failure = error
            if failure.reason is UnavailableReason.INBOX_FULL:
                return Commit(appends, (), self._end, failure)
        except Exception as error:  # a bug of ours must not leave a sender without a response
            log.exception("append_failed")
            failure = LedgerUnavailable(UnavailableReason.FAULT, type(error).__name__)
        self._file.disconnect()
        return Commit(appends, (), self._end, failure)

    def _store(self, appends: list[Append]) -> list[StoredRow]:
        found = self._file.reconnect()
        if found is not None and found.position > self._end.position:
            log.warning("unanswered_rows_kept", rows=found.position - self._end.position)  # their commit had failed
            self._end = found
        self._tidying.check_reserve()
        rows: list[StoredRow] = []
        end = self._end
        for each in appends:
            if each.payload:
                row = self._sealer.seal(end, each.appended_us, each.callbacks, each.payload)
                rows.append(row)
                end = Totals(row.position, row.total_callbacks, row.total_bytes, row.appended_us)
        if rows:
            self._tidying.append(rows, end)
            self._end = end
        else:
            self._file.probe()
        return rows

    def _tidy(self, *, is_idle: bool) -> None:
        now_s = time.monotonic()
        is_tick = is_idle or now_s - self._ticked_s >= _TICK_S
        if is_tick:
            self._ticked_s = now_s
        while self._tidying.step(is_tick=is_tick) and is_idle and not self._is_stopping and self._queue.empty():
            pass

    def _report(self, callback: Callable[..., None], *arguments: object) -> None:
        try:
            self.loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError:  # the loop was closed: nobody waits any more
            self._is_stopping = True

    def _on_stopped(self) -> None:
        if not self.stopped.done():
            self.stopped.set_result(None)
