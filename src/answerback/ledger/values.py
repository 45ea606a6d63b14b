"""What goes into the ledger's mouth and what comes out of it."""

from datetime import UTC, datetime
from enum import IntEnum, auto
from typing import Generic, TypeVar

import msgspec

from answerback.model import Kind

T = TypeVar("T")

_MICROSECONDS = 1_000_000


class Taken(IntEnum):
    """What became of one item of a batch; all but DROPPED are on disk."""

    STORED = auto()
    REPEATED = auto()
    QUARANTINED = auto()
    DROPPED = auto()


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """The ledger's word for one item: what became of it, and the id of its row."""

    taken: Taken
    id: int | None = None


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What the sender of a body is to be told, now that it is on disk. `kind` is None where it is no callback."""

    taken: Taken
    kind: Kind | None
    result: int = 0
    errmsg: str = "OK"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A callback as it stands in the ledger: the raw bytes, and how often they came again."""

    id: int
    kind: Kind
    identity: bytes
    received_at: datetime
    repeats: int
    repeated_at: datetime | None
    raw: bytes


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """A body that was refused, with what its sender was told."""

    id: int
    channel: str
    result: int
    reason: str
    received_at: datetime
    repeats: int
    repeated_at: datetime | None
    size_bytes: int
    raw: bytes


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Some items of a list, and where the next page starts, if there is one."""

    items: list[T]
    next_cursor: str | None


def to_us(when: datetime) -> int:
    """Aware time -> microseconds since 1970."""
    return round(when.timestamp() * _MICROSECONDS)


def from_us(when_us: int) -> datetime:
    """Microseconds since 1970 -> aware UTC."""
    return datetime.fromtimestamp(when_us / _MICROSECONDS, UTC)
