"""The schema of the first release, as ledger/tables declares it: until there is that release, a change is made there.

With the release it is written out here, and each later change is a revision of its own.
"""

from alembic import op

from answerback.ledger import migrations
from answerback.ledger.backends.selection import dialect_of

revision = migrations.HEAD
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind()
    dialect_of(connection).create_tables(connection)
