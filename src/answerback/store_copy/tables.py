"""What is copied: each table with its key, and the columns that tell whether a row has changed."""

from functools import cached_property

import msgspec
from sqlalchemy import Table

from answerback.ledger import tables

Row = tuple[object, ...]
Key = tuple[object, ...]


class Shape(msgspec.Struct, frozen=True, dict=True):
    """One table. `telling` columns differ wherever a row of the same key does; empty: all of them are looked at.

    A `growing` table may be larger than memory, and no row of it ever takes the place of another.
    """

    table: Table
    telling: tuple[str, ...] = ()
    growing: bool = False

    @property
    def name(self) -> str:
        """The table's name."""
        return str(self.table.name)

    @cached_property
    def key(self) -> tuple[str, ...]:
        """The columns by which rows are told apart and put in order."""
        return tuple(column.name for column in self.table.primary_key.columns)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """All of them, the key first."""
        return (*self.key, *(column.name for column in self.table.columns if column.name not in self.key))

    @cached_property
    def told_by(self) -> tuple[str, ...]:
        """The key, and what tells of changes."""
        return (*self.key, *self.telling) if self.telling else self.columns

    def key_of(self, row: Row) -> Key:
        """The key of a row of `columns` or of `told_by`."""
        return row[: len(self.key)]


_CHANGING = tuple(
    column.name for column in tables.calls.c if column.name not in ("id", "channel", "call_key", "callid", "block")
)

GROWING = (
    Shape(tables.calls, _CHANGING, growing=True),
    Shape(tables.callbacks, ("repeats", "repeated_us"), growing=True),
    Shape(tables.deliveries, ("state", "attempts", "failures", "due_us", "settled_us"), growing=True),
    Shape(tables.attempts, ("delivery_id",), growing=True),
)

SHAPES = (
    *GROWING,
    Shape(tables.quarantine, ("digest", "repeats", "repeated_us")),
    *(
        Shape(table)
        for table in (
            tables.endpoints,
            tables.endpoint_changes,
            tables.api_keys,
            tables.ended_sessions,
            tables.audit_events,
            tables.alerts,
            tables.rollups,
            tables.rollup_details,
            tables.arrivals,
        )
    ),
)

LEFT_OUT = frozenset({"members", "leases", "probes", "drained", "writers"})
"""What a ledger holds of the processes that serve it, and of the stream in front of it."""

IDENTITIES = {
    "calls": ("channel", "call_key"),
    "callbacks": ("call_id", "identity"),
    "deliveries": ("call_id", "endpoint_id", "tag"),
    "attempts": ("delivery_id", "began_us"),
    "endpoints": ("name", "created_us"),
    "api_keys": ("digest",),
    "deeds": ("at_us", "who"),
    "quarantine": ("digest",),
}
"""By what two ledgers know that a row of the same id is the same."""
