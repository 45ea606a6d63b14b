"""The schema's history, run by Alembic; a new ledger skips it. Either way inside one transaction.

So a kill half-way leaves the old schema, or none.

A ledger says two things of its schema. `schema_revision` is what it is. `alembic_version` is its floor: the oldest program
that may serve it. A migration that only adds (a table, a column that may be null, an index) leaves the floor where it is, so
that the programs of before and after it serve the ledger side by side while they are replaced one by one.
"""

from pathlib import Path
from typing import NoReturn

from sqlalchemy import Column, MetaData, PrimaryKeyConstraint, String, Table, inspect, select
from sqlalchemy.engine import Connection

from answerback.errors import SchemaMismatch
from answerback.ledger.backends.selection import dialect_of

HEAD = "1_ca54466f"
"""The schema of this program. Until the first release there is one revision, whose name follows from what it makes."""

OLDER: frozenset[str] = frozenset()
"""Every revision before HEAD; a test compares both with the files."""

FLOOR = HEAD
"""The oldest revision whose program may serve a ledger of HEAD."""

COPY_IN_PROGRESS = f"copying {HEAD}"
"""What a ledger says for both while `answerback copy` fills it: no program, older or newer, takes it for its own."""


def _version_table(name: str) -> Table:
    """Such a table as Alembic makes."""
    table = Table(name, MetaData(), Column("version_num", String(32), nullable=False))
    table.append_constraint(PrimaryKeyConstraint("version_num", name=f"{name}_pkc"))
    return table


_revision, _floor = _version_table("schema_revision"), _version_table("alembic_version")


def version(connection: Connection) -> str | None:
    """The revision of the ledger's schema; None for a new file. One that had no floor yet says it in its place."""
    return _read_version(connection, _revision) or _read_version(connection, _floor)


def is_compatible(connection: Connection, revision: str) -> bool:
    """Whether this program may serve a ledger of that revision: its own, or one that only added to it."""
    return revision == HEAD or (revision not in OLDER and _read_version(connection, _floor) in {*OLDER, HEAD})


def refuse(revision: str, place: object) -> NoReturn:
    """Raise SchemaMismatch with what to do about a ledger that this program may not serve."""
    if revision == COPY_IN_PROGRESS:
        raise SchemaMismatch(
            f"{place}: the copy into it is not finished: stop the old gateway, run `answerback copy` again"
        )
    if revision in OLDER:
        raise SchemaMismatch(f"{place}: its schema is {revision}, older than {HEAD}: run `answerback migrate`")
    raise SchemaMismatch(
        f"{place}: its schema is {revision}, not this program's {HEAD}. If a newer program made it, upgrade. If an older one "
        f"did: `answerback export callbacks --format ndjson` with that program, `answerback import` with this one, into a new ledger"
    )


def _read_version(connection: Connection, table: Table) -> str | None:
    if not inspect(connection).has_table(table.name):
        return None
    said: str | None = connection.execute(select(table.c.version_num)).scalar()
    return said


def _write_version(connection: Connection, table: Table, revision: str) -> None:
    table.create(connection, checkfirst=True)
    connection.execute(table.delete())
    connection.execute(table.insert().values(version_num=revision))


def begin_copy(connection: Connection) -> None:
    """Let no program serve the ledger: it is not whole yet."""
    _write_version(connection, _revision, COPY_IN_PROGRESS)
    _write_version(connection, _floor, COPY_IN_PROGRESS)


def end_copy(connection: Connection) -> None:
    """The ledger is whole."""
    _write_version(connection, _revision, HEAD)
    _write_version(connection, _floor, FLOOR)


def create(connection: Connection) -> None:
    """Give a new ledger its schema at once, as if every revision had been run; a test holds the two equal."""
    dialect_of(connection).create_tables(connection)
    end_copy(connection)


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Bring the schema up to `revision` in the connection's transaction."""
    from alembic import command  # a tenth of a second that only a changed schema needs
    from alembic.config import Config

    before = version(connection)
    if before is not None:
        _write_version(connection, _revision, before)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
    reached = version(connection)
    _write_version(connection, _floor, FLOOR if reached == HEAD else reached or "")
