"""Reads the inbox of a gateway that runs, or of one that is dead, without changing it."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path

from answerback.errors import LedgerUnavailable, UnavailableReason
from answerback.inbox.backlog import InboxLag, RecorderFailure
from answerback.inbox.queries import StoredGeneration, read_generations, read_rows, read_totals
from answerback.inbox.rows import Generation, InboxRow
from answerback.inbox.schema import check_format, connect
from answerback.storage.connections import close_on_failure
from answerback.storage.disk import check_wal, has_content, missing_reason
from answerback.storage.sqlite_errors import sqlite_unavailable


class InboxReader:
    """A connection that only reads, for commands."""

    def __init__(self, path: Path) -> None:
        """Open the file at `path`. Raises LedgerUnavailable, SchemaMismatch."""
        self.path = path
        check_wal(path)
        if not has_content(path):
            raise LedgerUnavailable(UnavailableReason.MOVED, f"{path} {missing_reason(path)}")
        try:
            self._connection = connect(path, "ro")
            with close_on_failure(self._connection):
                check_format(self._connection, path)
        except sqlite3.Error as error:
            raise sqlite_unavailable(error, path) from error

    def generations(self) -> list[Generation]:
        """Those that have rows, and that of the last start, oldest first."""
        return [each.generation for each in self._read_generations()]

    def read(self, generation: Generation, after: int, max_callbacks: int, max_bytes: int) -> list[InboxRow]:
        """The rows of a generation after a position, without a hole, within the bounds but for the first."""
        return read_rows(self._connection, generation, after, max_callbacks, max_bytes)

    def waiting(self, recorded: Mapping[bytes, int]) -> InboxLag:
        """What is not recorded yet, given the ledger's position in each generation; those that are missing are as the file knows them."""
        rows = callbacks = size_bytes = 0
        oldest: list[int] = []
        for generation, before, known, end in self._read_generations():
            position = max(recorded.get(generation.id, known.position), before.position)
            if position >= end.position:
                continue
            at = read_totals(self._connection, generation.number, position) or before
            first = read_totals(self._connection, generation.number, position + 1)
            rows += end.position - position
            callbacks += end.callbacks - at.callbacks
            size_bytes += end.bytes - at.bytes
            oldest.append(first.appended_us if first else end.appended_us)
        return InboxLag(rows, callbacks, size_bytes, min(oldest, default=None))

    def failure(self) -> RecorderFailure | None:
        """Why nothing of it is recorded, as the last gateway noted it; None where it is, or nobody had tried."""
        newest = "SELECT failure, failing_since_us FROM generations ORDER BY number DESC LIMIT 1"
        try:
            found = self._connection.execute(newest).fetchone()
        except sqlite3.Error as error:
            raise sqlite_unavailable(error, self.path) from error
        return None if found is None or found[0] is None else RecorderFailure(*found)

    def close(self) -> None:
        self._connection.close()

    def _read_generations(self) -> list[StoredGeneration]:
        try:
            return read_generations(self._connection)
        except sqlite3.Error as error:
            raise sqlite_unavailable(error, self.path) from error
