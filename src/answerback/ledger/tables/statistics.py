"""What calls and callbacks add up to, hour by hour and day by day."""

from typing import Any

from sqlalchemy import BigInteger, Column, Integer, PrimaryKeyConstraint, SmallInteger, Table, Text

from answerback.ledger.tables.base import metadata

_rollup_key = ("bucket_hours", "bucket_start_hour", "channel", "kind", "outcome")

hourly_ingest = Table(
    "hourly_ingest",
    metadata,
    Column("hour", Integer, nullable=False, comment="in which they came: hours since 1970, UTC"),
    Column("channel", Text, nullable=False),
    Column("callbacks", Integer, nullable=False),
    Column("duplicates", Integer, nullable=False),
    Column("revisions", Integer, nullable=False),
    Column("quarantined", Integer, nullable=False),
    PrimaryKeyConstraint("hour", "channel"),
    sqlite_with_rowid=False,
)


def _rollup_columns() -> list[Column[Any]]:
    return [
        Column("bucket_hours", SmallInteger, nullable=False, comment="how long: an hour, or a day of UTC"),
        Column("bucket_start_hour", Integer, nullable=False, comment="since when: hours since 1970, UTC"),
        Column("channel", Text, nullable=False),
        Column("kind", Text, nullable=False),
        Column("outcome", Text, nullable=False),
    ]


rollups = Table(
    "rollups",
    metadata,
    *_rollup_columns(),
    Column("calls", Integer, nullable=False),
    Column("fee_minutes", BigInteger, nullable=False),
    Column("due_minutes", BigInteger, nullable=False, comment="of those calls whose fee can be checked"),
    Column("fee_mismatches", Integer, nullable=False, comment="calls whose fee is not what is due"),
    Column("overbilled_minutes", BigInteger, nullable=False, comment="sum of their differences"),
    Column("overdue", Integer, nullable=False, comment="calls that were marked as overdue"),
    Column("ring_calls", Integer, nullable=False, comment="calls whose ring time is known"),
    Column("ring_s", BigInteger, nullable=False),
    Column("talk_calls", Integer, nullable=False, comment="calls whose talk time is known"),
    Column("talk_s", BigInteger, nullable=False),
    PrimaryKeyConstraint(*_rollup_key),
    comment="what the calls first seen in a span come to; written with the callbacks that change them",
    sqlite_with_rowid=False,
)

rollup_breakdowns = Table(
    "rollup_breakdowns",
    metadata,
    *_rollup_columns(),
    Column(
        "counts",
        Text,
        nullable=False,
        comment="JSON object: code:8, carrier:China Mobile, region:CN-GD, ring:15, talk:10 -> calls",
    ),
    PrimaryKeyConstraint(*_rollup_key),
    comment="the same calls by what has many values",  # with a row id: two rows fit a page, where they would overflow
)
