"""Who serves the ledger, who may do what, and what the stream has brought: for more than one process."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "members",
        sa.Column("id", sa.Text, nullable=False, comment="made anew by each start"),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("roles", sa.Text, nullable=False, comment="JSON array"),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("started_us", sa.BigInteger, nullable=False),
        sa.Column("beat_us", sa.BigInteger, nullable=False, comment="when it last said that it lives"),
        sa.Column("state", sa.Text, nullable=False, comment="JSON object: what it says of itself"),
        sa.PrimaryKeyConstraint("id", name="pk_members"),
        comment="the processes that serve this ledger",
    )
    op.create_table(
        "leases",
        sa.Column(
            "name", sa.Text, nullable=False, comment="what one process at a time may do: endpoint:12, overdue, alerts"
        ),
        sa.Column("holder", sa.Text, nullable=False, comment="a member; empty: nobody"),
        sa.Column("until_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_leases"),
    )
    op.create_table(
        "writers",
        sa.Column("id", sa.Text, nullable=False, comment="made anew by each start"),
        sa.Column(
            "mark",
            sa.Text,
            nullable=False,
            comment="of its last transaction: on PostgreSQL it tells whether that was committed",
        ),
        sa.Column("seen_us", sa.BigInteger, nullable=False, comment="when it last connected"),
        sa.PrimaryKeyConstraint("id", name="pk_writers"),
    )
    op.create_table(
        "drained",
        sa.Column("batch", sa.LargeBinary(16), nullable=False),
        sa.Column("published_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("batch", name="pk_drained"),
        comment="the batches of the stream that are in this ledger, as long as they may come once more",
    )
    op.create_index("ix_drained_published_us", "drained", ["published_us"])
