"""Statistics kept with the calls they are of, API keys, what people did, and alerts."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _partial(name: str, table: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


def _span() -> list[sa.Column[object]]:
    return [
        sa.Column("hours", sa.SmallInteger, nullable=False, comment="how long: an hour, or a day of UTC"),
        sa.Column("start_hour", sa.Integer, nullable=False, comment="since when: hours since 1970, UTC"),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
    ]


def upgrade() -> None:
    op.add_column(
        "calls",
        sa.Column("fee_difference", sa.Integer, comment="billed minutes over the due ones; null: as due, or not known"),
    )
    _partial("ix_calls_fee", "calls", ["first_seen_us", "id"], "fee_difference IS NOT NULL")
    _partial("ix_calls_failure", "calls", ["failure_code", "first_seen_us", "id"], "failure_code IS NOT NULL")
    _partial("ix_calls_reference", "calls", ["reference"], "reference IS NOT NULL")
    _partial("ix_calls_overdue", "calls", ["overdue_us"], "overdue_us IS NOT NULL")
    op.create_table(
        "rollups",
        *_span(),
        sa.Column("calls", sa.Integer, nullable=False),
        sa.Column("fee_minutes", sa.BigInteger, nullable=False),
        sa.Column("due_minutes", sa.BigInteger, nullable=False, comment="of those calls whose fee can be checked"),
        sa.Column("differing", sa.Integer, nullable=False, comment="calls whose fee is not what is due"),
        sa.Column("excess_minutes", sa.BigInteger, nullable=False, comment="sum of their differences"),
        sa.Column("overdue", sa.Integer, nullable=False, comment="calls that were told to be overdue"),
        sa.Column("ring_calls", sa.Integer, nullable=False, comment="calls whose ring time is known"),
        sa.Column("ring_s", sa.BigInteger, nullable=False),
        sa.Column("talk_calls", sa.Integer, nullable=False, comment="calls whose talk time is known"),
        sa.Column("talk_s", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("hours", "start_hour", "channel", "kind", "outcome", name="pk_rollups"),
        comment="what the calls first seen in a span come to; written with the callbacks that change them",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "rollup_details",
        *_span(),
        sa.Column(
            "counts",
            sa.Text,
            nullable=False,
            comment="JSON object: code:8, carrier:China Mobile, region:CN-GD, ring:15, talk:10 -> calls",
        ),
        sa.PrimaryKeyConstraint("hours", "start_hour", "channel", "kind", "outcome", name="pk_rollup_details"),
        comment="the same calls by what has many values",
    )
    op.create_table(
        "arrivals",
        sa.Column("hour", sa.Integer, nullable=False, comment="in which they came: hours since 1970, UTC"),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("callbacks", sa.Integer, nullable=False),
        sa.Column("repeats", sa.Integer, nullable=False),
        sa.Column("revisions", sa.Integer, nullable=False),
        sa.Column("quarantined", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("hour", "channel", name="pk_arrivals"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "api_keys",
        sa.Column("id", Id, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False, comment="SHA-256 of the key"),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("full_numbers", sa.SmallInteger, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("revoked_us", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("digest", name="uq_api_keys_digest"),
    )
    _partial("uq_api_keys_name", "api_keys", ["name"], "revoked_us IS NULL", unique=True)
    op.create_table(
        "deeds",
        sa.Column("id", Id, nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("who", sa.Text, nullable=False, comment="the key's name"),
        sa.Column("deed", sa.Text, nullable=False, comment="numbers_revealed, exported, key_created, key_revoked, ..."),
        sa.Column("about", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_deeds"),
        comment="what people did that is to be accounted for",
    )
    op.create_table(
        "alerts",
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("firing", sa.SmallInteger, nullable=False),
        sa.Column("since_us", sa.BigInteger, nullable=False, comment="when it last began or ended"),
        sa.Column("value", sa.Text, nullable=False, comment="JSON: what was measured last"),
        sa.Column("told_us", sa.BigInteger, comment="when people were last told"),
        sa.PrimaryKeyConstraint("rule", name="pk_alerts"),
    )
