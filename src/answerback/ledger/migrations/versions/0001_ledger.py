"""Calls, their callbacks, and the quarantine."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "calls",
        sa.Column("id", Id, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("call_key", sa.Text, nullable=False, comment="the callid, made to sort by time: see call_key()"),
        sa.Column("callid", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("nationcode", sa.Text, nullable=False),
        sa.Column("mobile", sa.Text, nullable=False),
        sa.Column("call_from", sa.Text, nullable=False),
        sa.Column("result", sa.SmallInteger),
        sa.Column("started_at", sa.BigInteger),
        sa.Column("answered_at", sa.BigInteger),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("fee_minutes", sa.Integer),
        sa.Column("failure_code", sa.Integer),
        sa.Column("failure_reason", sa.Text),
        sa.Column("keys", sa.Text, nullable=False, comment="JSON array, in order of arrival"),
        sa.Column("revisions", sa.Integer, nullable=False),
        sa.Column("first_seen_us", sa.BigInteger, nullable=False),
        sa.Column("updated_us", sa.BigInteger, nullable=False),
        sa.Column(
            "block",
            sa.Integer,
            nullable=False,
            comment="id // CALLS_PER_BLOCK: keeps ix_calls_block_mobile append-mostly",
        ),
        sa.Column("reference", sa.Text),
        sa.Column("metadata", sa.Text, comment="JSON object"),
        sa.PrimaryKeyConstraint("id", name="pk_calls"),
        sa.UniqueConstraint("channel", "call_key", name="uq_calls_channel_call_key"),
    )
    op.create_index("ix_calls_first_seen_us_id", "calls", ["first_seen_us", "id"])
    op.create_index("ix_calls_class", "calls", ["channel", "kind", "outcome", "first_seen_us", "id"])
    op.create_index("ix_calls_block_mobile", "calls", ["block", "mobile"])
    op.create_table(
        "callbacks",
        sa.Column("id", Id, nullable=False),
        sa.Column("call_id", Id, nullable=False),
        sa.Column("identity", sa.LargeBinary(16), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("received_us", sa.BigInteger, nullable=False),
        sa.Column("repeats", sa.Integer, nullable=False),
        sa.Column("repeated_us", sa.BigInteger, comment="when the last repeat came"),
        sa.Column("raw", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_callbacks"),
        sa.ForeignKeyConstraint(["call_id"], ["calls.id"], name="fk_callbacks_call_id"),
        sa.UniqueConstraint("call_id", "identity", name="uq_callbacks_call_id_identity"),
    )
    op.create_table(
        "quarantine",
        sa.Column("id", Id, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary(16), nullable=False, comment="of channel and raw"),
        sa.Column("result", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("received_us", sa.BigInteger, nullable=False),
        sa.Column("repeats", sa.Integer, nullable=False),
        sa.Column("repeated_us", sa.BigInteger),
        sa.Column("size_bytes", sa.Integer, nullable=False),
        sa.Column("raw", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_quarantine"),
        sa.UniqueConstraint("digest", name="uq_quarantine_digest"),
    )
    op.create_index("ix_quarantine_received_us_id", "quarantine", ["received_us", "id"])
    op.create_table(
        "probes",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("committed_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_probes"),
        comment="one row, rewritten to learn whether a commit succeeds",
    )
