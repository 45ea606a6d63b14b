"""Bring one table of the target up to the source's: what is there is compared, what is not is carried over.

How far a former copy came is told by the tables themselves, so it may be killed anywhere.
"""

from collections.abc import Callable

import msgspec

from answerback.store_copy.connection import PAGE, Side
from answerback.store_copy.paging import differing, stretches
from answerback.store_copy.tables import Key, Shape

Advance = Callable[[int], None]
"""Is told how many of the source's rows were dealt with."""


class Carried(msgspec.Struct):
    """What was done to one table: rows it did not have, rows that had changed, rows the source has no more."""

    added: int = 0
    changed: int = 0
    removed: int = 0

    def count(self, gone: list[Key], wanted: list[Key]) -> None:
        """Count the rows of one step."""
        changed = len(set(gone).intersection(wanted))
        self.changed += changed
        self.added += len(wanted) - changed
        self.removed += len(gone) - changed


def carry(source: Side, target: Side, shape: Shape, advance: Advance) -> Carried:
    """Bring a table up to the source's."""
    return (_carry_growing if shape.growing else _carry_bounded)(source, target, shape, advance)


def _carry_growing(source: Side, target: Side, shape: Shape, advance: Advance) -> Carried:
    """Compare up to the target's last row, then add what is above it."""
    carried = Carried()
    last = target.last_key(shape)
    if last is not None:
        for ours, theirs in stretches(source, target, shape, shape.told_by, last):
            gone, wanted = differing(shape, ours, theirs)
            if gone or wanted:
                target.replace(shape, gone, source.rows_of(shape, shape.columns, wanted))
                carried.count(gone, wanted)
            advance(len(ours))
    while rows := source.rows(shape, shape.columns, last):
        target.replace(shape, (), rows)
        carried.added += len(rows)
        last = shape.key_of(rows[-1])
        advance(len(rows))
    return carried


def _carry_bounded(source: Side, target: Side, shape: Shape, advance: Advance) -> Carried:
    """First all goes that has to, for what comes may have its name, or its digest."""
    carried, gone, wanted = Carried(), list[Key](), list[Key]()
    for ours, theirs in stretches(source, target, shape, shape.told_by):
        less, more = differing(shape, ours, theirs)
        gone += less
        wanted += more
        advance(len(ours))
    for start in range(0, len(gone), PAGE):
        target.replace(shape, gone[start : start + PAGE], ())
    for start in range(0, len(wanted), PAGE):
        target.replace(shape, (), source.rows_of(shape, shape.columns, wanted[start : start + PAGE]))
    carried.count(gone, wanted)
    return carried
