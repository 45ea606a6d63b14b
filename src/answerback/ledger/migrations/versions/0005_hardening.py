"""What attacks and use have shown to be needed; it only adds."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "calls",
        sa.Column(
            "missing",
            sa.SmallInteger,
            comment="which numbers no callback told, though their text is empty: see rows.py",
        ),
    )
