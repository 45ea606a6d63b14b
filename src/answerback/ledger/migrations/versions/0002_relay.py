"""Endpoints, what they are owed, and what the business says of a call."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _partial(name: str, table: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


def upgrade() -> None:
    op.add_column("calls", sa.Column("due_us", sa.BigInteger, comment="when the business expects to know"))
    op.add_column("calls", sa.Column("overdue_us", sa.BigInteger, comment="when it was told that it is overdue"))
    op.add_column(
        "calls",
        sa.Column("referred_us", sa.BigInteger, comment="when the business last said what it knows of the call"),
    )
    _partial("ix_calls_due", "calls", ["due_us"], "due_us IS NOT NULL AND overdue_us IS NULL AND outcome = 'pending'")
    op.create_table(
        "endpoints",
        sa.Column("id", Id, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("definition", sa.Text, nullable=False, comment="JSON object: url, format, filters, limits"),
        sa.Column("enabled", sa.SmallInteger, nullable=False),
        sa.Column("disabled_reason", sa.Text),
        sa.Column("secret", sa.Text, nullable=False),
        sa.Column("old_secret", sa.Text),
        sa.Column("old_secret_until_us", sa.BigInteger, comment="until then both secrets sign"),
        sa.Column("from_config", sa.SmallInteger, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("changed_us", sa.BigInteger, nullable=False),
        sa.Column("removed_us", sa.BigInteger, comment="its history stays"),
        sa.Column("failures", sa.Integer, nullable=False, comment="in a row, when it was paused"),
        sa.Column("paused_until_us", sa.BigInteger),
        sa.Column("revision", sa.BigInteger, nullable=False, comment="of endpoint_changes, by its last change"),
        sa.PrimaryKeyConstraint("id", name="pk_endpoints"),
    )
    op.create_index("ix_endpoints_revision", "endpoints", ["revision"])
    _partial("uq_endpoints_name", "endpoints", ["name"], "removed_us IS NULL", unique=True)
    op.create_table(
        "endpoint_changes",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_endpoint_changes"),
        comment="one row, raised by every change of an endpoint, so that each process sees which to read again",
    )
    op.create_table(
        "deliveries",
        sa.Column("id", Id, nullable=False),
        sa.Column("endpoint_id", Id, nullable=False),
        sa.Column("call_id", Id, nullable=False),
        sa.Column("callback_id", Id, comment="null: it tells of the call, not of a callback"),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("tag", sa.Text, nullable=False, comment="what makes its message id its own, should ids start anew"),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False, comment="attempts that count towards giving up"),
        sa.Column("due_us", sa.BigInteger, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("settled_us", sa.BigInteger, comment="when it was delivered or given up"),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
        sa.ForeignKeyConstraint(["endpoint_id"], ["endpoints.id"], name="fk_deliveries_endpoint_id"),
        sa.ForeignKeyConstraint(["call_id"], ["calls.id"], name="fk_deliveries_call_id"),
    )
    op.create_index("ix_deliveries_call_id_endpoint_id", "deliveries", ["call_id", "endpoint_id"])
    op.create_index("ix_deliveries_endpoint_id_id", "deliveries", ["endpoint_id", "id"])
    _partial("ix_deliveries_due", "deliveries", ["endpoint_id", "due_us", "id"], "state = 'pending'")
    _partial("ix_deliveries_waiting", "deliveries", ["endpoint_id", "state", "id"], "state = 'waiting'")
    _partial("ix_deliveries_dead", "deliveries", ["endpoint_id", "state", "id"], "state = 'dead'")
    op.create_table(
        "attempts",
        sa.Column("id", Id, nullable=False),
        sa.Column("delivery_id", Id, nullable=False),
        sa.Column("began_us", sa.BigInteger, nullable=False),
        sa.Column("duration_us", sa.BigInteger, nullable=False),
        sa.Column("status", sa.SmallInteger, comment="of HTTP; null: there was no answer"),
        sa.Column("answer", sa.LargeBinary, nullable=False, comment="its first bytes"),
        sa.Column("error", sa.Text, comment="in plain words; null: delivered"),
        sa.PrimaryKeyConstraint("id", name="pk_attempts"),
        sa.ForeignKeyConstraint(["delivery_id"], ["deliveries.id"], name="fk_attempts_delivery_id"),
    )
    op.create_index("ix_attempts_delivery_id", "attempts", ["delivery_id"])
