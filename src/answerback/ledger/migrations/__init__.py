"""The schema's history, run by Alembic; a new ledger skips it. Either way inside one transaction.

So a kill half-way leaves the old schema, or none.
"""

from pathlib import Path

from sqlalchemy import Column, MetaData, PrimaryKeyConstraint, String, Table, inspect, text
from sqlalchemy.engine import Connection

from answerback.ledger.tables import metadata

OLDER = frozenset({"0001", "0002"})
"""Every revision before HEAD; a test compares both with the files."""

HEAD = "0003"

UNCOUNTED = frozenset({"0001", "0002"})
"""The revisions that kept no statistics."""


def version(connection: Connection) -> str | None:
    """The revision of the ledger's schema; None for a new file."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def create(connection: Connection) -> None:
    """Give a new ledger its schema at once, as if every revision had been run; a test holds the two equal."""
    metadata.create_all(connection)
    versions = Table("alembic_version", MetaData(), Column("version_num", String(32), nullable=False))
    versions.append_constraint(PrimaryKeyConstraint("version_num", name="alembic_version_pkc"))
    versions.create(connection)
    connection.execute(versions.insert().values(version_num=HEAD))


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Bring the schema up to `revision` in the connection's transaction."""
    from alembic import command  # a tenth of a second that only a changed schema needs
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
