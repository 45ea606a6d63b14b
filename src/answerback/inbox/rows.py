"""A row of the inbox: a batch as it was answered, numbered and with a checksum; pure."""

import struct
import zlib
from typing import NamedTuple

import msgspec

_POSITION_BITS = 40
_CHECKED = struct.Struct(">5q").pack

# How SQLite lays a row out, with pages of 4,096 bytes. Source: sqlite.org/fileformat2.html, "B-tree Pages".
PAGE_BYTES = 4096
_LEAF_BYTES = PAGE_BYTES - 8
_MAX_LOCAL_BYTES = PAGE_BYTES - 35
_MIN_LOCAL_BYTES = (PAGE_BYTES - 12) * 32 // 255 - 23
_OVERFLOW_BYTES = PAGE_BYTES - 4
_HEAD_BYTES = 44


class Generation(msgspec.Struct, frozen=True, gc=False):
    """What one start of a gateway has appended.

    `last` is the position of its newest row, 0 where it has none; up to `deleted`, rows were recorded and then deleted.
    """

    id: bytes
    number: int
    last: int
    deleted: int


class InboxRow(msgspec.Struct, frozen=True, gc=False):
    """A batch; `payload` is None where all from the row before this one up to `position` are missing, damaged, or unreadable."""

    position: int
    payload: bytes | None


class StoredRow(NamedTuple):
    """A row as the file has it. The totals are those of its generation up to this row, which they include."""

    key: int
    appended_us: int
    callbacks: int
    total_callbacks: int
    total_bytes: int
    checksum: int
    payload: bytes

    @property
    def number(self) -> int:
        """The number of its generation."""
        return self.key >> _POSITION_BITS

    @property
    def position(self) -> int:
        """The row's number within its generation, from 1."""
        return position_of(self.key)


class Totals(NamedTuple):
    """What a generation holds up to a position, and when that was appended."""

    position: int
    callbacks: int
    bytes: int
    appended_us: int


class Sealer:
    """Makes and checks the rows of one generation: a row of another, or at another place, does not pass."""

    def __init__(self, generation: bytes, number: int) -> None:
        self._number = number
        self._seed = zlib.crc32(generation)

    def seal(self, before: Totals, appended_us: int, callbacks: int, payload: bytes) -> StoredRow:
        """The row that follows what `before` is the sum of."""
        fields = (
            key_of(self._number, before.position + 1),
            appended_us,
            callbacks,
            before.callbacks + callbacks,
            before.bytes + stored_bytes(len(payload)),
        )
        return StoredRow(*fields, self._checksum(fields, payload), payload)

    def reseal(self, row: StoredRow, payload: bytes) -> int:
        """The checksum of an intact row with another payload."""
        return self._checksum(row[:5], payload)

    def is_intact(self, row: StoredRow) -> bool:
        """Whether the row is as it was made."""
        try:
            return self._checksum(row[:5], row.payload) == row.checksum
        except (struct.error, TypeError):  # a value of another type
            return False

    def _checksum(self, fields: tuple[int, int, int, int, int], payload: bytes) -> int:
        return zlib.crc32(payload, zlib.crc32(_CHECKED(*fields), self._seed))


def key_of(number: int, position: int) -> int:
    """The primary key of a row: all generations in one sequence."""
    return number << _POSITION_BITS | position


def position_of(key: int) -> int:
    """The position that a primary key stands for."""
    return key & (1 << _POSITION_BITS) - 1


def totals_of(row: StoredRow) -> Totals:
    """The sums up to `row`."""
    return Totals(row.position, row.total_callbacks, row.total_bytes, row.appended_us)


def stored_bytes(payload_bytes: int) -> int:
    """The size in the file of a row with such a payload: whole pages are divided among the rows that fit."""
    size = local = payload_bytes + _HEAD_BYTES
    if size > _MAX_LOCAL_BYTES:
        local = _MIN_LOCAL_BYTES + (size - _MIN_LOCAL_BYTES) % _OVERFLOW_BYTES
        if local > _MAX_LOCAL_BYTES:
            local = _MIN_LOCAL_BYTES
    return PAGE_BYTES // (_LEAF_BYTES // local) + -(-(size - local) // _OVERFLOW_BYTES) * PAGE_BYTES
