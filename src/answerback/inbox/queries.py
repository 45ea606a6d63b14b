"""Reads rows, and says of every position that it cannot return what belongs there."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from typing import NamedTuple

from answerback.errors import UnavailableReason
from answerback.inbox.rows import Generation, InboxRow, Sealer, StoredRow, Totals, key_of, position_of, stored_bytes
from answerback.inbox.schema import INBOX_FILE
from answerback.storage.sqlite_errors import sqlite_reason, sqlite_unavailable

COLUMNS = "key, appended_us, callbacks, total_callbacks, total_bytes, checksum, payload"
_SELECT = f"SELECT {COLUMNS} FROM rows WHERE key > ? AND key <= ? ORDER BY key"  # noqa: S608  # constants
_SELECT_ONE = f"SELECT {COLUMNS} FROM rows WHERE key = ?"  # noqa: S608  # constants
_SELECT_SUMS = (
    "SELECT key, total_callbacks, total_bytes, appended_us, callbacks, length(payload) FROM rows "
    "WHERE key BETWEEN ? AND ? ORDER BY key"
)
_MOST_TRIED = 1000
"""So many positions are tried one by one at a time, where the file is damaged."""


def read_rows(
    connection: sqlite3.Connection, generation: Generation, after: int, max_callbacks: int, max_bytes: int
) -> list[InboxRow]:
    """The rows after a position, within the bounds but for the first; no transaction is left open.

    Raises LedgerUnavailable where the file as a whole cannot be read.
    """
    rows = _Collector(Sealer(generation.id, generation.number), after, max_callbacks, max_bytes)
    try:
        with closing(connection.execute(_SELECT, _keys(generation, after))) as found:
            is_end = rows.take(map(StoredRow._make, found))
        if is_end:
            rows.skip_to(generation.last)
    except sqlite3.DatabaseError as error:
        if sqlite_reason(error) is not UnavailableReason.DAMAGED:
            raise sqlite_unavailable(error, INBOX_FILE) from error
        _read_singly(connection, generation, rows)
    return rows.rows


def _read_singly(connection: sqlite3.Connection, generation: Generation, rows: "_Collector") -> None:
    """Read on one by one: what is on other pages than the damaged one is still there.

    Where not even the generation can be read, it is the file that is damaged, not a row.
    """
    try:
        connection.execute("SELECT id FROM generations WHERE number = ?", (generation.number,)).fetchall()
    except sqlite3.DatabaseError as error:
        raise sqlite_unavailable(error, INBOX_FILE) from error
    for position in range(rows.position + 1, min(generation.last, rows.position + _MOST_TRIED) + 1):
        try:
            found = connection.execute(_SELECT_ONE, (key_of(generation.number, position),)).fetchall()
        except sqlite3.DatabaseError as error:
            if sqlite_reason(error) is not UnavailableReason.DAMAGED:
                raise sqlite_unavailable(error, INBOX_FILE) from error
            found = []
        if not rows.take(map(StoredRow._make, found)):
            return
        rows.skip_to(position)


def _keys(generation: Generation, after: int) -> tuple[int, int]:
    return key_of(generation.number, after), key_of(generation.number, generation.last)


class _Collector:
    """Rows in succession, without a hole."""

    def __init__(self, sealer: Sealer, after: int, max_callbacks: int, max_bytes: int) -> None:
        self._sealer = sealer
        self._callbacks, self._bytes = max_callbacks, max_bytes
        self.position = after
        self.rows: list[InboxRow] = []

    def take(self, found: Iterable[StoredRow]) -> bool:
        """Add the rows; False where the bounds are reached before their end."""
        for row in found:
            intact = self._sealer.is_intact(row)
            if intact:
                self._callbacks -= row.callbacks
                self._bytes -= len(row.payload)
            if self.rows and (self._callbacks < 0 or self._bytes < 0):
                return False
            self.skip_to(row.position - 1)
            if intact:
                self.position = row.position
                self.rows.append(InboxRow(row.position, row.payload))
            else:
                self.skip_to(row.position)
        return True

    def skip_to(self, position: int) -> None:
        """Say that the rows up to `position` cannot be returned."""
        if position > self.position:
            if self.rows and self.rows[-1].payload is None:
                self.rows.pop()
            self.rows.append(InboxRow(position, None))
            self.position = position


class StoredGeneration(NamedTuple):
    """A generation as the file has it, with the sums before its first row, up to the last that was recorded, and up to its last.

    What was recorded is as of some seconds before the end of the process; only the ledger knows it exactly.
    """

    generation: Generation
    before: Totals
    recorded: Totals
    end: Totals


def read_generations(connection: sqlite3.Connection) -> list[StoredGeneration]:
    """All of them, oldest first."""
    rows = connection.execute("SELECT id, number, deleted, recorded FROM generations ORDER BY number").fetchall()
    return [_stored_generation(connection, *row) for row in rows]


def read_end(connection: sqlite3.Connection, number: int) -> Totals | None:
    """The sums up to the newest row of a generation; None where it has none."""
    row = connection.execute(f"{_SELECT_SUMS} DESC LIMIT 1", _all_keys(number)).fetchone()
    return None if row is None else Totals(position_of(row[0]), row[1], row[2], row[3])


def read_totals(connection: sqlite3.Connection, number: int, position: int) -> Totals | None:
    """The sums up to a position; None where its row is not there."""
    key = key_of(number, position)
    row = connection.execute(f"{_SELECT_SUMS} LIMIT 1", (key, key)).fetchone()
    return None if row is None else Totals(position, row[1], row[2], row[3])


def _stored_generation(
    connection: sqlite3.Connection, id_: bytes, number: int, deleted: int, recorded: int
) -> StoredGeneration:
    end = read_end(connection, number) or Totals(deleted, 0, 0, 0)
    before = end
    if first := connection.execute(f"{_SELECT_SUMS} LIMIT 1", _all_keys(number)).fetchone():
        key, total_callbacks, total_bytes, appended_us, callbacks, payload_bytes = first
        before = Totals(
            position_of(key) - 1, total_callbacks - callbacks, total_bytes - stored_bytes(payload_bytes), appended_us
        )
    known = read_totals(connection, number, recorded) or before
    return StoredGeneration(Generation(id_, number, end.position, deleted), before, known, end)


def _all_keys(number: int) -> tuple[int, int]:
    return key_of(number, 0), key_of(number + 1, 0) - 1
