"""The schema's history, run by Alembic inside one transaction: a kill half-way leaves the old schema."""

from pathlib import Path

from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection

OLDER: frozenset[str] = frozenset()
"""Every revision before HEAD; a test compares both with the files."""

HEAD = "0001"


def version(connection: Connection) -> str | None:
    """The revision of the ledger's schema; None for a new file."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Bring the schema up to `revision` in the connection's transaction."""
    from alembic import command  # a tenth of a second that only a changed schema needs
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
