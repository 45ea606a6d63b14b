"""What the append thread does beside appending: deletes what was recorded, checkpoints, gives space back to the disk."""

import sqlite3
import time
from collections.abc import Callable, Sequence

import structlog

from answerback.errors import LedgerUnavailable, UnavailableReason
from answerback.inbox.backlog import RecorderFailure
from answerback.inbox.config import InboxConfig
from answerback.inbox.file import Deletion, DeletionResult, InboxFile
from answerback.inbox.retention import Retention
from answerback.inbox.rows import PAGE_BYTES, StoredRow, Totals
from answerback.storage.sqlite_errors import sqlite_reason, sqlite_unavailable

_SLACK_BYTES = 16 * 1024 * 1024
_SLACK_FRACTION = 8
_VACUUMED_PAGES = 256
_DELETED_ROWS = 256
_NEED_FRACTION = 0.5
_KEEP_EVERY_S = 10.0
"""How often it is noted how far the rows are recorded; why no further, with the next tick."""
_RESTART_EVERY_S = 1.0

log = structlog.get_logger("answerback.inbox")


class FileTidier:
    """Keeps the file small; each step is short, because senders may be waiting for the next commit."""

    def __init__(self, file: InboxFile, config: InboxConfig, retention: Retention) -> None:
        self._file = file
        self._config = config
        self._retention = retention
        self._slack_bytes = min(_SLACK_BYTES, config.max_bytes // _SLACK_FRACTION)
        self._ends = {each.generation.number: each.end for each in file.older}
        self._deleted = {
            each.generation.number: DeletionResult(each.generation.number, each.generation.deleted, each.before.bytes)
            for each in file.older
        }
        self._ends[file.number] = Totals(0, 0, 0, 0)
        self._deleted[file.number] = DeletionResult(file.number, 0, 0)
        self._stored_bytes = sum(self._ends[number].bytes - self._deleted[number].bytes for number in self._ends)
        self._logged_bytes = 0
        self._kept: tuple[dict[int, int], RecorderFailure | None] = ({}, None)
        self._kept_s = time.monotonic()
        self._restarted_s = float("-inf")
        self._is_disk_short = self._is_damaged = self._has_shrunk = False

    def check_reserve(self) -> None:
        """Raise LedgerUnavailable where less of the disk is free than has to be."""
        free_bytes = self._file.free_bytes()
        self._is_disk_short = free_bytes < self._config.reserve_bytes
        if self._is_disk_short:
            raise LedgerUnavailable(
                UnavailableReason.INBOX_FULL,
                f"{self._file.path}: {free_bytes / 1e6:,.1f} MB of its disk are free, less than inbox.reserve_bytes",
            )

    def append(self, rows: Sequence[StoredRow], end: Totals) -> None:
        """Commit the rows, and with them a part of what may be deleted once that is worth its statements."""
        deletion = self._next_deletion(time.monotonic(), is_tick=False)
        try:
            deleted = self._file.append(rows, deletion)
        except sqlite3.Error as error:
            if deletion is None or sqlite_reason(error) is not UnavailableReason.DAMAGED:
                raise
            self._stop_deleting(error)
            deleted = self._file.append(rows, None)
        size_bytes = end.bytes - self._ends[self._file.number].bytes
        self._stored_bytes += size_bytes
        self._logged_bytes += size_bytes + 2 * PAGE_BYTES  # the pages at the end of the table, and what leads to them
        self._ends[self._file.number] = end
        self._on_deleted(deleted)

    def step(self, *, is_tick: bool) -> bool:
        """Do the next thing that is due; False where nothing was, or the file is not open: the next append opens it."""
        return self._try(lambda: self._step(is_tick=is_tick))

    def finish(self) -> None:
        """Note how far the rows are recorded, and why no further, at the end."""
        self._try(self._keep_recorded)

    def _try(self, work: Callable[[], bool]) -> bool:
        try:
            return self._file.is_open and work()
        except (sqlite3.Error, LedgerUnavailable) as error:
            failure = error if isinstance(error, LedgerUnavailable) else sqlite_unavailable(error, self._file.path)
            log.warning("inbox_not_tidied", reason=str(failure.reason), detail=failure.detail)
            if failure.reason is UnavailableReason.DAMAGED:
                self._stop_deleting(error)
        except Exception:  # a bug of ours must not end the thread on which senders wait
            log.exception("inbox_not_tidied", reason=str(UnavailableReason.FAULT))
        self._file.disconnect()
        return False

    def _step(self, *, is_tick: bool) -> bool:
        if self._logged_bytes >= self._file.checkpoint_bytes:
            self._checkpoint()
            return True
        if not is_tick:
            return False
        self._file.measure()
        self._restart_wal()
        is_news = self._retention.failure != self._kept[1]
        if (is_news or time.monotonic() - self._kept_s >= _KEEP_EVERY_S) and self._keep_recorded():
            return True
        if (deletion := self._next_deletion(time.monotonic(), is_tick=True)) is not None:
            self._on_deleted(self._file.append((), deletion))
            return True
        if self._file.shrink(0 if self._is_disk_short else self._slack_bytes, _VACUUMED_PAGES):
            self._logged_bytes += _VACUUMED_PAGES * PAGE_BYTES
            self._has_shrunk = True
            return True
        if self._has_shrunk:
            self._checkpoint()  # only this makes the file shorter
        return False

    def _keep_recorded(self) -> bool:
        """Whether there was something new to note."""
        self._kept_s = time.monotonic()
        state = self._retention.recorded(), self._retention.failure
        if state == self._kept:
            return False
        self._file.keep_recorded(*state)
        self._kept = state
        self._logged_bytes += PAGE_BYTES
        return True

    def _checkpoint(self) -> None:
        self._file.checkpoint()
        self._file.measure()
        self._logged_bytes = 0
        self._has_shrunk = False

    def _restart_wal(self) -> None:
        """Shorten a write-ahead log that grew while somebody read for long; one that fills the inbox sees no commit that would."""
        if self._file.wal_bytes > self._file.max_wal_bytes and time.monotonic() - self._restarted_s >= _RESTART_EVERY_S:
            self._restarted_s = time.monotonic()
            self._checkpoint()
            self._file.probe()  # begins the log anew, and cuts it off, where all of it was moved
            self._file.measure()

    def _next_deletion(self, now_s: float, *, is_tick: bool) -> Deletion | None:
        """Of the oldest generation that has something to delete; few rows wait for the next tick."""
        if self._is_damaged:
            return None
        in_need = (
            self._is_disk_short or self._stored_bytes + self._file.wal_bytes > self._config.max_bytes * _NEED_FRACTION
        )
        for number, (_, position, size_bytes) in self._deleted.items():
            through = self._retention.deletable(number, now_s, in_need=in_need)
            if through - position >= (1 if is_tick else _DELETED_ROWS):
                is_whole = number != self._file.number and through >= self._ends[number].position
                return Deletion(number, position, through, size_bytes, is_whole)
        return None

    def _on_deleted(self, deleted: DeletionResult | None) -> None:
        if deleted is None:
            return
        number = deleted.number
        self._stored_bytes -= deleted.bytes - self._deleted[number].bytes
        self._logged_bytes += _DELETED_ROWS * PAGE_BYTES // 16
        self._deleted[number] = deleted
        self._file.deleted[number] = deleted.position
        if number != self._file.number and deleted.position >= self._ends[number].position:
            del self._deleted[number], self._ends[number], self._file.deleted[number]
            self._retention.forget(number)

    def _stop_deleting(self, error: Exception) -> None:
        if not self._is_damaged:
            log.error(
                "inbox_damaged", path=str(self._file.path), error=str(error), todo="restart with the file moved away"
            )
        self._is_damaged = True
