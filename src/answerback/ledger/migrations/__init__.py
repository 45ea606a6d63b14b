"""The schema's history, run by Alembic; a new ledger skips it. Either way inside one transaction.

So a kill half-way leaves the old schema, or none.

A ledger says two things of its schema. `schema_revision` is what it is. `alembic_version` is its floor: the oldest program
that may serve it. A migration that only adds (a table, a column that may be null, an index) leaves the floor where it is, so
that the programs of before and after it serve the ledger side by side while they are replaced one by one.
"""

from pathlib import Path

from sqlalchemy import Column, MetaData, PrimaryKeyConstraint, String, Table, inspect, select
from sqlalchemy.engine import Connection

from answerback.ledger.postgresql import schema
from answerback.ledger.tables import metadata

OLDER = frozenset({"0001", "0002", "0003", "0004"})
"""Every revision before HEAD; a test compares both with the files."""

HEAD = "0005"

FLOOR = "0003"
"""The oldest revision whose program may serve a ledger of HEAD."""

UNCOUNTED = frozenset({"0001", "0002"})
"""The revisions that kept no statistics."""

UNFINISHED = f"copying {HEAD}"
"""What a ledger says for both while `answerback copy` fills it: no program, older or newer, takes it for its own."""


def _version_table(name: str) -> Table:
    """Such a table as Alembic makes."""
    table = Table(name, MetaData(), Column("version_num", String(32), nullable=False))
    table.append_constraint(PrimaryKeyConstraint("version_num", name=f"{name}_pkc"))
    return table


_revision, _floor = _version_table("schema_revision"), _version_table("alembic_version")


def version(connection: Connection) -> str | None:
    """The revision of the ledger's schema; None for a new file. One that had no floor yet says it in its place."""
    return _said(connection, _revision) or _said(connection, _floor)


def serves(connection: Connection, revision: str) -> bool:
    """Whether this program may serve a ledger of that revision: its own, or one that only added to it."""
    return revision == HEAD or (revision not in OLDER and _said(connection, _floor) in {*OLDER, HEAD})


def _said(connection: Connection, table: Table) -> str | None:
    if not inspect(connection).has_table(table.name):
        return None
    said: str | None = connection.execute(select(table.c.version_num)).scalar()
    return said


def _say(connection: Connection, table: Table, revision: str) -> None:
    table.create(connection, checkfirst=True)
    connection.execute(table.delete())
    connection.execute(table.insert().values(version_num=revision))


def shut(connection: Connection) -> None:
    """Let no program serve the ledger: it is not whole yet."""
    _say(connection, _revision, UNFINISHED)
    _say(connection, _floor, UNFINISHED)


def unshut(connection: Connection) -> None:
    """The ledger is whole."""
    _say(connection, _revision, HEAD)
    _say(connection, _floor, FLOOR)


def create(connection: Connection) -> None:
    """Give a new ledger its schema at once, as if every revision had been run; a test holds the two equal."""
    if connection.dialect.name == "postgresql":
        schema.create(connection)
    else:
        metadata.create_all(connection, checkfirst=False)
    unshut(connection)


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Bring the schema up to `revision` in the connection's transaction."""
    from alembic import command  # a tenth of a second that only a changed schema needs
    from alembic.config import Config

    before = version(connection)
    if before is not None:
        _say(connection, _revision, before)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
    reached = version(connection)
    _say(connection, _floor, FLOOR if reached == HEAD else reached or "")
