from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from builders import UUID1, received, status
from sqlalchemy import Connection, Engine, event, text

from answerback.errors import LedgerUnavailable, LedgerVersion
from answerback.ledger import FILE_NAME, Ledger, migrations, open_ledger
from answerback.ledger.sqlite import sqlite_engine
from answerback.ledger.tables import metadata

Schema = dict[tuple[str, str], str]


class Interrupted(Exception):
    """The power went."""


def opened(directory: Path, *, migrate: bool = False) -> Ledger:
    """The ledger in `directory`."""
    return open_ledger(directory, allow_unsafe_place=True, migrate=migrate)


@contextmanager
def file_of(directory: Path) -> Iterator[Engine]:
    """The ledger's file, without the ledger."""
    engine = sqlite_engine(directory / FILE_NAME, 1)
    try:
        yield engine
    finally:
        engine.dispose()


def schema_of(engine: Engine) -> Schema:
    """Every object of the schema, by type and name: its SQL, with the constraints of a table sorted."""
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT type, name, sql FROM sqlite_master"))
        return {(kind, name): ordered(sql or "") for kind, name, sql in rows}


def ordered(sql: str) -> str:
    """The lines of a CREATE TABLE: columns in their order, then constraints in any fixed one."""
    lines = [line.strip().rstrip(",") for line in sql.splitlines()]
    return "\n".join(sorted(filter(None, lines), key=lambda line: line if line.startswith("CONSTRAINT") else ""))


def set_version(directory: Path, version: str) -> None:
    """Make the file's schema say that it is `version`."""
    with file_of(directory) as engine, engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :version"), {"version": version})


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
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_the_named_versions_are_those_of_the_files() -> None:
    """HEAD and OLDER name the migrations that there are, in one line without branches."""
    script = ScriptDirectory(str(Path(migrations.__file__).parent))
    revisions = [revision.revision for revision in script.walk_revisions()]
    assert script.get_heads() == [migrations.HEAD] == revisions[:1]
    assert frozenset(revisions[1:]) == migrations.OLDER
    assert [len(script.get_revisions(revision)) for revision in revisions] == [1] * len(revisions)


def test_a_migration_says_what_it_is_for() -> None:
    """Each migration begins with its reason."""
    script = ScriptDirectory(str(Path(migrations.__file__).parent))
    assert [revision.revision for revision in script.walk_revisions() if not revision.doc] == []


def test_a_new_ledger_says_its_version(tmp_path: Path) -> None:
    """A new file gets the schema of today without being asked to migrate."""
    with closing(opened(tmp_path)) as ledger, ledger.engine.connect() as connection:
        assert migrations.version(connection) == migrations.HEAD


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
def test_a_newer_schema_is_refused(tmp_path: Path, *, migrate: bool) -> None:
    """What a later program wrote is left alone, whether asked to migrate or not: upgrade the program."""
    opened(tmp_path).close()
    set_version(tmp_path, "9999")
    with pytest.raises(
        LedgerVersion, match=f"{FILE_NAME}: its schema is 9999, newer than .* {migrations.HEAD}: upgrade"
    ):
        opened(tmp_path, migrate=migrate)
    with file_of(tmp_path) as engine, engine.connect() as connection:
        assert migrations.version(connection) == "9999"


def test_an_older_schema_waits_for_the_operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older schema is not changed behind the operator's back: the error names the command."""
    opened(tmp_path).close()
    set_version(tmp_path, "0000")
    monkeypatch.setattr(migrations, "OLDER", frozenset({"0000"}))
    with pytest.raises(LedgerVersion, match=r"its schema is 0000, older than .*: run `answerback migrate`"):
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
    """Made at once or migrated, whichever statement it stops at: nothing is there, and the next open makes it whole."""
    (tmp_path / "whole").mkdir()
    total = len(statements_of(make, tmp_path / "whole"))
    assert total > len(metadata.tables)
    for stop_at in range(1, total + 1):
        directory = tmp_path / f"stopped-{stop_at}"
        directory.mkdir()
        interrupt(make, directory, stop_at)
        with file_of(directory) as engine, engine.connect() as connection:
            assert connection.execute(text("SELECT count(*) FROM sqlite_master")).scalar() == 0
        with closing(opened(directory)) as ledger:
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
            open_ledger(tmp_path, allow_unsafe_place=True, lock_timeout_s=0.05)
    with closing(opened(tmp_path)) as ledger:
        ledger.probe()
