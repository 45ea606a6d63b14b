"""Compare one table of both ledgers to the last byte."""

import msgspec

from answerback.store_copy.connection import Side
from answerback.store_copy.paging import differing, stretches
from answerback.store_copy.table_sync import Advance
from answerback.store_copy.tables import Key, Shape


class Difference(msgspec.Struct, frozen=True):
    """Rows of a table that are not the same in both, from the first of their keys to the last."""

    rows: int
    first: str
    last: str


class Verified(msgspec.Struct, frozen=True):
    """How many rows a table of each ledger has, and how they differ, if they do."""

    source_rows: int
    target_rows: int
    difference: Difference | None = None


def verify(source: Side, target: Side, shape: Shape, advance: Advance) -> Verified:
    """Read a table of both, all columns of all rows, in order of the keys."""
    source_rows = target_rows = differ = 0
    first = last = None
    for ours, theirs in stretches(source, target, shape, shape.columns):
        source_rows += len(ours)
        target_rows += len(theirs)
        for key in _sorted(*differing(shape, ours, theirs)):
            differ += 1
            first, last = first or key, key
        advance(len(ours))
    if first is None or last is None:
        return Verified(source_rows, target_rows)
    return Verified(source_rows, target_rows, difference=Difference(differ, _spelled(first), _spelled(last)))


def _sorted(gone: list[Key], wanted: list[Key]) -> list[Key]:
    return sorted({*gone, *wanted})


def _spelled(key: Key) -> str:
    return "/".join(str(part) for part in key)
