"""The tables to copy, each with its key and the columns that show whether a row has changed."""

from functools import cached_property

import msgspec
from sqlalchemy import Table

from answerback.ledger import tables

Row = tuple[object, ...]
Key = tuple[object, ...]


class TableSpec(msgspec.Struct, frozen=True, dict=True):
    """One table. `mutable_columns` columns differ wherever a row of the same key does; empty: all of them are looked at.

    A `append_only` table may be larger than memory, and no row of it ever takes the place of another.
    """

    table: Table
    mutable_columns: tuple[str, ...] = ()
    append_only: bool = False

    @property
    def name(self) -> str:
        return str(self.table.name)

    @cached_property
    def key(self) -> tuple[str, ...]:
        """The columns that identify and order the rows."""
        return tuple(column.name for column in self.table.primary_key.columns)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """All of them, the key first."""
        return (*self.key, *(column.name for column in self.table.columns if column.name not in self.key))

    @cached_property
    def compare_columns(self) -> tuple[str, ...]:
        """The key columns, and those that show changes."""
        return (*self.key, *self.mutable_columns) if self.mutable_columns else self.columns

    def key_of(self, row: Row) -> Key:
        """The key of a row of `columns` or of `compare_columns`."""
        return row[: len(self.key)]


_MUTABLE_CALL_COLUMNS = tuple(
    column.name for column in tables.calls.c if column.name not in ("id", "channel", "mobile_block")
)

APPEND_ONLY_SPECS = (
    TableSpec(tables.calls, _MUTABLE_CALL_COLUMNS, append_only=True),
    TableSpec(tables.callbacks, ("duplicates", "last_duplicate_us", "erased_us"), append_only=True),
    TableSpec(
        tables.deliveries,
        ("state", "message_tag", "attempts", "failed_attempts", "due_us", "finished_us"),
        append_only=True,
    ),
    TableSpec(tables.attempts, append_only=True),
)

TABLE_SPECS = (
    *APPEND_ONLY_SPECS,
    TableSpec(tables.pruned_calls, append_only=True),
    TableSpec(tables.quarantine, ("digest", "duplicates", "last_duplicate_us")),
    *(
        TableSpec(table)
        for table in (
            tables.endpoints,
            tables.endpoint_revision,
            tables.api_keys,
            tables.spent_tokens,
            tables.audit_events,
            tables.alerts,
            tables.rollups,
            tables.rollup_breakdowns,
            tables.hourly_ingest,
            tables.log_positions,
            tables.erasures,
        )
    ),
)

EXCLUDED_TABLES = frozenset({"instances", "leases", "write_probes", "consumed_batches", "commit_tokens"})
"""What a ledger holds of the processes that serve it, and of the stream in front of it."""

IDENTITY_COLUMNS = {
    "calls": ("channel", "call_key"),
    "callbacks": ("call_id", "kind", "received_us"),
    "deliveries": ("call_id", "endpoint_id", "created_us"),
    "attempts": ("delivery_id", "started_us"),
    "endpoints": ("name", "created_us"),
    "api_keys": ("digest",),
    "audit_events": ("occurred_us", "actor"),
    "quarantine": ("received_us", "size_bytes"),
}
"""By what two ledgers know that a row of the same id is the same, also after somebody's number was erased from one."""
