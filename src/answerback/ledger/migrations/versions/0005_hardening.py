"""What attacks and use have shown to be needed; it only adds."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def _partial(name: str, table: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, sqlite_where=condition, postgresql_where=condition)


def upgrade() -> None:
    op.add_column(
        "calls",
        sa.Column(
            "missing",
            sa.SmallInteger,
            comment="which numbers no callback told, though their text is empty: see rows.py",
        ),
    )
    op.add_column(
        "calls",
        sa.Column(
            "keys_total", sa.Integer, nullable=False, server_default="0", comment="key presses, kept in keys or not"
        ),
    )
    op.execute(
        "UPDATE calls SET keys_total = ("
        "SELECT count(*) FROM callbacks WHERE callbacks.call_id = calls.id AND callbacks.kind = 'key'"
        ") WHERE keys <> '[]'"
    )
    op.create_index("ix_quarantine_size_bytes", "quarantine", ["size_bytes"])
    _partial("ix_deliveries_call_due", "deliveries", ["call_id", "state", "endpoint_id"], "state = 'pending'")
    _partial("ix_deliveries_call_waiting", "deliveries", ["call_id", "endpoint_id", "state", "id"], "state = 'waiting'")
    op.add_column(
        "endpoints",
        sa.Column("retargeted_us", sa.BigInteger, comment="when what goes there, or where, was last changed"),
    )
    op.create_table(
        "ended_sessions",
        sa.Column("id", sa.Text, nullable=False, comment="the token of a session of the console"),
        sa.Column("expires_us", sa.BigInteger, nullable=False, comment="when it would have ended by itself"),
        sa.PrimaryKeyConstraint("id", name="pk_ended_sessions"),
        comment="the sessions that were signed out of",
    )
