from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from builders import UUID1, received, status
from contract.backends import in_memory
from sqlalchemy import Connection, Dialect, Engine, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

from answerback.errors import LedgerUnavailable, SchemaMismatch
from answerback.ledger import LEDGER_FILE, Ledger, migrations, open_sqlite
from answerback.ledger.backends.sqlite.engine import sqlite_engine
from answerback.ledger.tables import metadata

VERSIONS = ("schema_revision", "alembic_version")
"""Where a ledger says what its schema is, and which program may serve it."""

Schema = dict[tuple[str, str], list[str]]


class Interrupted(Exception):
    """The power went."""


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A directory in memory: a transaction is whole there, too."""
    with in_memory() as directory:
        yield directory


def opened(directory: Path, *, migrate: bool = False) -> Ledger:
    """The ledger in `directory`."""
    return open_sqlite(directory, allow_unsafe_filesystem=True, migrate=migrate)


@contextmanager
def file_of(directory: Path) -> Iterator[Engine]:
    """The ledger's file, without the ledger."""
    engine = sqlite_engine(directory / LEDGER_FILE, 1)
    try:
        yield engine
    finally:
        engine.dispose()


def schema_of(engine: Engine) -> Schema:
    """Every object of the schema, by type and name: its SQL, with what is declared in a table sorted."""
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT type, name, sql FROM sqlite_master"))
        return {(kind, name): declared(sql or "") for kind, name, sql in rows}


def declared(sql: str) -> list[str]:
    """What stands before the parentheses of a CREATE TABLE, in them and behind; a column added later stands last."""
    if not sql.startswith("CREATE TABLE"):
        return [sql]
    head, _, rest = sql.partition("(")
    inside, _, tail = rest.rpartition(")")
    return [head.strip(), tail.strip(), *sorted(clauses(inside))]


def clauses(inside: str) -> Iterator[str]:
    """The columns and constraints of a table, however they are spaced."""
    depth, clause = 0, ""
    for character in f"{inside},":
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and not depth:
            yield " ".join(clause.split())
            clause = ""
        else:
            clause += character


def set_version(directory: Path, version: str) -> None:
    """Make the file's schema say that it is `version`."""
    with file_of(directory) as engine, engine.begin() as connection:
        for table in VERSIONS:
            connection.execute(text(f"UPDATE {table} SET version_num = :version"), {"version": version})


@contextmanager
def migrated(directory: Path) -> Iterator[Engine]:
    """A file that got its schema by every migration, one after the other."""
    with file_of(directory) as engine:
        with engine.execution_options(writes=True).begin() as connection:
            migrations.upgrade(connection)
        yield engine


def test_a_migrated_schema_is_a_fresh_one(tmp_path: Path) -> None:
    """The migrations make exactly the schema that a new ledger gets at once, version and all."""
    (tmp_path / "migrated").mkdir()
    with closing(opened(tmp_path / "fresh")) as ledger, migrated(tmp_path / "migrated") as engine:
        assert schema_of(ledger.engine) == schema_of(engine)
        for either in (ledger.engine, engine):
            with either.connect() as connection:
                assert migrations.version(connection) == migrations.HEAD


def test_alembic_finds_no_difference(tmp_path: Path) -> None:
    """Nothing is left for a migration to do: neither tables nor columns, types, indexes or constraints."""
    with migrated(tmp_path) as engine, engine.connect() as connection:
        ours = {"compare_type": True, "include_name": lambda name, *_: name not in VERSIONS}
        context = MigrationContext.configure(connection, opts=ours)
        assert compare_metadata(context, metadata) == []


def test_the_named_versions_are_those_of_the_files() -> None:
    """HEAD and OLDER name the migrations that there are, in one line without branches."""
    script = ScriptDirectory(str(Path(migrations.__file__).parent))
    revisions = [revision.revision for revision in script.walk_revisions()]
    assert script.get_heads() == [migrations.HEAD] == revisions[:1]
    assert frozenset(revisions[1:]) == migrations.OLDER
    assert [len(script.get_revisions(revision)) for revision in revisions] == [1] * len(revisions)


def test_the_first_revision_is_named_after_what_it_makes() -> None:
    """Whoever changes the schema before the first release is told its new name: a ledger of the old one is refused."""
    dialects: list[Dialect] = [sqlite.dialect(), postgresql.dialect()]  # type: ignore[no-untyped-call]
    statements: list[ExecutableDDLElement] = []
    for table in metadata.sorted_tables:
        statements += [CreateTable(table), *map(CreateIndex, sorted(table.indexes, key=lambda index: str(index.name)))]
    made = "".join(str(statement.compile(dialect=dialect)) for dialect in dialects for statement in statements)
    assert f"1_{sha256(made.encode()).hexdigest()[:8]}" == migrations.HEAD


def test_a_migration_says_what_it_is_for() -> None:
    """Each migration begins with its reason."""
    script = ScriptDirectory(str(Path(migrations.__file__).parent))
    assert [revision.revision for revision in script.walk_revisions() if not revision.doc] == []


def test_a_new_ledger_says_its_version(tmp_path: Path) -> None:
    """A new file gets the schema of today without being asked to migrate."""
    with closing(opened(tmp_path)) as ledger, ledger.engine.connect() as connection:
        assert migrations.version(connection) == migrations.HEAD


def test_a_new_file_can_shrink(tmp_path: Path) -> None:
    """It keeps what it takes to give pages back a few at a time; that cannot be had later without rewriting it."""
    incremental = 2
    with closing(opened(tmp_path)) as ledger, ledger.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA auto_vacuum").scalar() == incremental


def test_a_file_that_is_no_ledger_yet_has_no_version(tmp_path: Path) -> None:
    """Before the first migration there is no version."""
    with file_of(tmp_path) as engine, engine.connect() as connection:
        assert migrations.version(connection) is None


@pytest.mark.parametrize("migrate", [False, True])
def test_what_is_stored_stays_when_opened_again(tmp_path: Path, *, migrate: bool) -> None:
    """A ledger of today's schema is opened as it is; migrating it does nothing."""
    with closing(opened(tmp_path)) as ledger:
        ledger.record([received(status())])
        before = schema_of(ledger.engine)
    with closing(opened(tmp_path, migrate=migrate)) as ledger:
        assert ledger.call(UUID1).callid == UUID1
        assert schema_of(ledger.engine) == before


@pytest.mark.parametrize("migrate", [False, True])
@pytest.mark.parametrize("revision", ["0005", "9999"])
def test_another_schema_is_refused(tmp_path: Path, revision: str, *, migrate: bool) -> None:
    """What another program wrote is left alone, whether asked to migrate or not; the error says how to go on with either."""
    opened(tmp_path).close()
    set_version(tmp_path, revision)
    with pytest.raises(SchemaMismatch) as reported:
        opened(tmp_path, migrate=migrate)
    said = str(reported.value)
    assert f"{LEDGER_FILE}: its schema is {revision}, not this program's {migrations.HEAD}" in said
    assert all(
        way in said for way in ("newer program made it, upgrade", "answerback export callbacks", "answerback import")
    )
    with file_of(tmp_path) as engine, engine.connect() as connection:
        assert migrations.version(connection) == revision


def test_a_newer_schema_that_only_adds_is_served(tmp_path: Path) -> None:
    """A ledger whose floor this program reaches is served as it is, and its version stays that of the newer program."""
    opened(tmp_path).close()
    with file_of(tmp_path) as engine, engine.begin() as connection:
        connection.execute(text("UPDATE schema_revision SET version_num = '9999'"))
        connection.execute(text("ALTER TABLE calls ADD COLUMN mood TEXT"))
    with closing(opened(tmp_path)) as ledger:
        ledger.record([received(status())])
        assert ledger.call(UUID1).callid == UUID1
        with ledger.engine.connect() as connection:
            assert migrations.version(connection) == "9999"


def test_an_older_schema_waits_for_the_operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older schema is not changed behind the operator's back: the error names the command."""
    opened(tmp_path).close()
    set_version(tmp_path, "0000")
    monkeypatch.setattr(migrations, "OLDER", frozenset({"0000"}))
    with pytest.raises(SchemaMismatch, match=r"its schema is 0000, older than .*: run `answerback migrate`"):
        opened(tmp_path)
    with file_of(tmp_path) as engine, engine.connect() as connection:
        assert migrations.version(connection) == "0000"


Make = Callable[[Connection], None]


def statements_of(make: Make, directory: Path) -> list[str]:
    """The statements that make a new ledger's schema."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        seen.append(statement)

    with file_of(directory) as engine:
        event.listen(engine, "before_cursor_execute", note)
        with engine.execution_options(writes=True).begin() as connection:
            make(connection)
    return [statement for statement in seen if not statement.startswith(("PRAGMA", "SELECT", "BEGIN"))]


@pytest.mark.parametrize("make", [migrations.create, migrations.upgrade])
def test_an_interrupted_beginning_leaves_nothing_behind(tmp_path: Path, make: Make) -> None:
    """Made at once or migrated, whichever statement it stops at: nothing is there, and the next attempt comes further."""
    (tmp_path / "whole").mkdir()
    total = len(statements_of(make, tmp_path / "whole"))
    assert total > len(metadata.tables)
    stopped = tmp_path / "stopped"
    stopped.mkdir()
    for stop_at in range(1, total + 1):
        interrupt(make, stopped, stop_at)
        with file_of(stopped) as engine, engine.connect() as connection:
            assert connection.execute(text("SELECT count(*) FROM sqlite_master")).scalar() == 0
    with closing(opened(stopped)) as ledger:
        ledger.record([received(status())])
        assert ledger.call(UUID1).callid == UUID1


def interrupt(make: Make, directory: Path, stop_at: int) -> None:
    """Begin to make the schema, and stop right after the statement of that number."""
    done = 0

    def stop(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        nonlocal done
        done += not statement.startswith(("PRAGMA", "SELECT", "BEGIN"))
        if done == stop_at:
            raise Interrupted

    with file_of(directory) as engine:
        event.listen(engine, "after_cursor_execute", stop)
        with pytest.raises(Interrupted), engine.execution_options(writes=True).begin() as connection:
            make(connection)


def test_two_programs_may_meet_at_a_new_ledger(tmp_path: Path) -> None:
    """While one makes the schema the other waits its time or is told that it cannot have the file."""
    with file_of(tmp_path) as engine, engine.execution_options(writes=True).begin() as connection:
        migrations.upgrade(connection)
        with pytest.raises(LedgerUnavailable):
            open_sqlite(tmp_path, allow_unsafe_filesystem=True, lock_timeout_s=0.05)
    with closing(opened(tmp_path)) as ledger:
        ledger.probe()
