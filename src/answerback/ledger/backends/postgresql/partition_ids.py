"""Ids that know their month, for a store whose big tables are cut by months.

On PostgreSQL a call's id is `month << 40 | number`: the month in which it was first seen, and a number from a sequence. Its
callbacks and deliveries get ids of the same month, so that all there is of a call lies in the partitions of one month, and
the month can be read from any of these ids. Month 0 holds what was copied from a ledger that counts from 1, as SQLite does.
"""

from datetime import UTC, datetime

SEQUENCE_BITS = 40
IDS_PER_MONTH = 1 << SEQUENCE_BITS
"""Ids of one month."""

MAX_SEQUENCE = IDS_PER_MONTH - 1

CALLS_PER_BLOCK = 8192
_FIRST_YEAR = 2020
_YEAR_MONTHS = 12
_MONTH_BLOCKS = IDS_PER_MONTH // CALLS_PER_BLOCK
_US = 1_000_000


def month_of_us(when_us: int) -> int:
    """The month of a time in microseconds: 1 is January 2020, UTC, and all before it."""
    when = datetime.fromtimestamp(when_us // _US, UTC)
    return max(1, (when.year - _FIRST_YEAR) * _YEAR_MONTHS + when.month)


def month_of_id(id_: int) -> int:
    """The month of an id; 0 where it has none."""
    return id_ >> SEQUENCE_BITS


def sequence_of(id_: int) -> int:
    """The number of an id within its month."""
    return id_ % IDS_PER_MONTH


def month_name(month: int) -> str:
    """As it ends the name of a partition: 2026_11."""
    if month == 0:
        return "copied"
    years, months = divmod(month - 1, _YEAR_MONTHS)
    return f"{_FIRST_YEAR + years}_{months + 1:02}"


def block_of(call_id: int) -> int:
    """The block of a call, in which its number is looked up by index: so many ids, or all those of a month."""
    month = call_id >> SEQUENCE_BITS
    return _MONTH_BLOCKS + month if month else call_id // CALLS_PER_BLOCK
