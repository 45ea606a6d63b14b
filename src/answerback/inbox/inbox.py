"""The embedded log: a callback is answered once its batch is in this file, and recorded into the ledger behind that."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from answerback.domain.batches import BatchItem, encode_batch
from answerback.errors import LedgerUnavailable, ResourceNotFound, UnavailableReason
from answerback.inbox.appender import Append, Appender, Commit
from answerback.inbox.backlog import Backlog, InboxLag, RecorderFailure
from answerback.inbox.config import InboxConfig
from answerback.inbox.file import InboxFile
from answerback.inbox.queries import read_rows
from answerback.inbox.retention import Retention
from answerback.inbox.rows import Generation, InboxRow, stored_bytes
from answerback.inbox.schema import connect
from answerback.storage.sqlite_errors import sqlite_unavailable

_ROOM_FRACTION = 16


class Inbox:
    """The inbox of one process, used by its event loop: appends are committed, and files read, in threads of its own."""

    in_flight = 2
    """How many batches may be on their way at a time: one is committed while the next waits in the thread's queue."""

    def __init__(self, file: InboxFile, config: InboxConfig) -> None:
        self._file = file
        self._config = config
        self._retention = Retention(config.keep_s)
        self._backlog = Backlog(file.older, Generation(file.id, file.number, 0, 0))
        self._appender: Appender | None = None
        self._reading = ThreadPoolExecutor(1, "inbox-read")
        self._queued_bytes = 0
        self._is_closed = self._is_full = False
        self.on_appended: Callable[[], None] = lambda: None
        """Called in the event loop after each commit."""

    @classmethod
    def open(cls, config: InboxConfig) -> "Inbox":
        """Open the inbox in `config.directory`, new or not, lock it, and begin a generation.

        Raises UnsafeStorage where an append would not mean stored, SchemaMismatch where the file is not this program's,
        ConfigError where another gateway has it, LedgerUnavailable where the directory or the file cannot be used.
        """
        return cls(InboxFile(config), config)

    def start(self) -> None:
        """Begin to append, on behalf of the running loop."""
        loop = asyncio.get_running_loop()
        self._appender = Appender(self._file, self._config, self._retention, loop, self._on_commit)
        self._appender.start()

    def append(self, items: Sequence[BatchItem]) -> "asyncio.Future[None]":
        """Append `items` as one row; resolves, in the order of the calls, once it is durable.

        LedgerUnavailable, raised or in the future: nothing of it counts as stored.
        """
        now_us = time.time_ns() // 1000
        payload = encode_batch([b"", now_us, items])
        self._check_room(stored_bytes(len(payload)))
        self._queued_bytes += stored_bytes(len(payload))
        return self._put(payload, len(items), now_us)

    def check(self) -> None:
        """Raise LedgerUnavailable where the file was moved or replaced."""
        self._file.files.check()

    async def probe(self) -> None:
        """Commit nothing of note. Raises LedgerUnavailable."""
        self._check_room(0)
        await self._put(b"", 0, 0)

    @property
    def present(self) -> Generation:
        """The generation of this start."""
        return self.generations[-1]

    @property
    def generations(self) -> list[Generation]:
        """Those that have rows, and the present one, oldest first."""
        return self._backlog.generations(self._file.deleted)

    async def read(self, generation: bytes, after: int, max_callbacks: int, max_bytes: int) -> list[InboxRow]:
        """The rows of a generation after a position, without a hole, within the bounds but for the first.

        The newest come from memory. Raises LedgerUnavailable; ResourceNotFound for a generation that has no rows any more.
        """
        found = self._backlog.find(generation)
        if found is None:
            raise ResourceNotFound(f"inbox: no generation {generation.hex()}")
        rows = found.tail.read(after, max_callbacks, max_bytes)
        if rows is not None:
            return rows
        wanted = Generation(found.id, found.number, found.end.position, 0)
        return await asyncio.get_running_loop().run_in_executor(
            self._reading, self._read_file, wanted, after, max_callbacks, max_bytes
        )

    def mark_recorded(self, generation: bytes, position: int) -> None:
        """The ledger has the rows up to `position`: they are deleted after `keep_s`, or sooner where room is needed.

        A position before the one of the last call is that of a ledger which went back: the rows after it wait again.
        """
        if (found := self._backlog.find(generation)) is not None:
            self._backlog.record(found, position)
            self._retention.mark(found.number, found.recorded.position, time.monotonic())

    def note_failure(self, reason: str | None) -> RecorderFailure | None:
        """Keep for commands why nothing is recorded now, None where it is; returns it with the time since when."""
        before, now_us = self._retention.failure, time.time_ns() // 1000
        failure = None if reason is None else RecorderFailure(reason, before.since_us if before else now_us)
        self._retention.failure = failure
        return failure

    @property
    def max_bytes(self) -> int:
        """What may wait at most; past it nothing more is appended."""
        return self._config.max_bytes

    def waiting(self) -> InboxLag:
        """What is not recorded yet."""
        return self._backlog.waiting()

    async def stop(self, timeout_s: float) -> None:
        """Append what was given, up to `timeout_s`, and close the file."""
        self._is_closed = True
        if self._appender is None:
            self.close()
            return
        self._reading.shutdown(wait=False)
        self._appender.stop()
        await asyncio.wait([self._appender.stopped], timeout=timeout_s)

    def close(self) -> None:
        """Close the file of an inbox that was not started."""
        self._reading.shutdown()
        self._file.close()

    def _put(self, payload: bytes, callbacks: int, now_us: int) -> "asyncio.Future[None]":
        if self._appender is None or self._is_closed:
            raise LedgerUnavailable(UnavailableReason.FAULT, "the inbox is closed")
        stored: asyncio.Future[None] = self._appender.loop.create_future()
        self._appender.put(Append(payload, callbacks, now_us, stored))
        return stored

    def _check_room(self, size_bytes: int) -> None:
        """Raise LedgerUnavailable where it is full: it stays so until some room is free, or answers would change with each size."""
        waiting_bytes = self._backlog.bytes + self._queued_bytes + self._file.wal_bytes
        room_bytes = self._config.max_bytes // _ROOM_FRACTION if self._is_full else 0
        self._is_full = waiting_bytes + size_bytes + room_bytes > self._config.max_bytes
        if self._is_full:
            raise LedgerUnavailable(
                UnavailableReason.INBOX_FULL,
                f"{self._file.path}: {self._backlog.bytes / 1e6:,.1f} MB wait to be recorded, its write-ahead log has "
                f"{self._file.wal_bytes / 1e6:,.1f} MB, inbox.max_bytes is {self._config.max_bytes / 1e6:,.1f} MB",
            )

    def _on_commit(self, commit: Commit) -> None:
        is_news = self._backlog.add(commit.rows, commit.end)
        for each in commit.appends:
            self._queued_bytes -= stored_bytes(len(each.payload)) if each.payload else 0
            if each.stored.done():
                continue
            if commit.failure is None:
                each.stored.set_result(None)
            else:
                each.stored.set_exception(commit.failure)
        if is_news:
            self.on_appended()

    def _read_file(self, generation: Generation, after: int, max_callbacks: int, max_bytes: int) -> list[InboxRow]:
        try:
            self._file.files.check()
            connection = connect(self._file.path, "ro")
            try:
                rows = read_rows(connection, generation, after, max_callbacks, max_bytes)
            finally:
                connection.close()
            self._file.files.check()
        except sqlite3.Error as error:
            raise sqlite_unavailable(error, self._file.path) from error
        return rows
