"""What only SQLite tells: whether its commit means stored."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from builders import received, status
from contract.backends import sqlite
from sqlalchemy import Engine

from answerback.errors import LedgerUnavailable, UnsafeStorage
from answerback.ledger import LEDGER_FILE, LedgerConfig, open_sqlite
from answerback.ledger.backends.sqlite.engine import sqlite_engine, verify_durable
from answerback.storage.disk import FileIds, file_id

FILE = "some.db"


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory on disk."""
    return tmp_path_factory.mktemp("disk")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine on a new file, as the ledger makes it."""
    engine = sqlite_engine(tmp_path / FILE, 1)
    yield engine
    engine.dispose()


def test_the_ledger_s_own_settings_pass(engine: Engine) -> None:
    """WAL and FULL, on every connection of the pool."""
    for _ in range(2):
        with engine.connect() as connection:
            verify_durable(connection, Path(FILE))


@pytest.mark.parametrize(
    ("pragma", "reason"),
    [
        ("synchronous=OFF", "synchronous is 0, not FULL"),
        ("synchronous=NORMAL", "synchronous is 1, not FULL"),
        ("journal_mode=MEMORY", "journal_mode is memory"),
        ("journal_mode=DELETE", "journal_mode is delete"),
    ],
)
def test_a_setting_that_loses_answers_is_refused(engine: Engine, pragma: str, reason: str) -> None:
    """A SQLite that would not sync each commit is refused, and the error says which setting it is."""
    connection = engine.raw_connection()
    with closing(connection):
        connection.cursor().execute(f"PRAGMA {pragma}")
    with engine.connect() as reused, pytest.raises(UnsafeStorage, match=f"{FILE}: .*{reason}"):
        verify_durable(reused, Path(FILE))


def test_every_connection_of_a_ledger_syncs(tmp_path: Path) -> None:
    """The writer's connection, too: FULL is 2."""
    with closing(sqlite(tmp_path)()) as ledger:
        ledger.probe()
        for options in ({}, {"writes": True}):
            with ledger.engine.execution_options(**options).connect() as connection:
                assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
                assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def moved_away(file: Path) -> Callable[[], object]:
    """Rename it; what is returned puts it back."""
    aside = file.with_name("aside")
    file.rename(aside)
    return lambda: aside.rename(file)


def unlinked(file: Path) -> Callable[[], object]:
    """Unlink it; another name keeps it, so that it can be put back."""
    spare = file.with_name("spare")
    spare.hardlink_to(file)
    file.unlink()
    return lambda: spare.rename(file)


def replaced(file: Path) -> Callable[[], object]:
    """Put a copy in its place, as `mv backup.db ledger.db` does."""
    back = moved_away(file)
    shutil.copy(file.with_name("aside"), file)
    return back


def directory_replaced(file: Path) -> Callable[[], object]:
    """Another directory, with a ledger of its own, under the same name."""
    directory, aside = file.parent, file.parent.with_name("aside")
    directory.rename(aside)
    open_sqlite(directory, allow_unsafe_filesystem=True).close()

    def back() -> None:
        shutil.rmtree(directory)
        aside.rename(directory)

    return back


LOSSES = {
    "moved": (moved_away, ""),
    "unlinked": (unlinked, ""),
    "replaced": (replaced, ""),
    "log unlinked": (unlinked, "-wal"),
    "index unlinked": (unlinked, "-shm"),
    "directory replaced": (directory_replaced, ""),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_ledger_that_is_not_at_its_path_takes_nothing(tmp_path: Path, loss: str) -> None:
    """Lost before or within a transaction, nothing is reported as stored, and nobody reads; put back, all goes on."""
    data = tmp_path / "data"
    lose, suffix = LOSSES[loss]
    file = data / f"{LEDGER_FILE}{suffix}"
    rolled_back: list[Callable[[], object]] = []
    with closing(sqlite(data)()) as ledger:
        ledger.record([received(status(callid="before"))])
        for lost_within in (True, False):
            if not lost_within:
                rolled_back.append(lose(file))
            with pytest.raises(LedgerUnavailable, match="moved or replaced"):
                ledger.write(lambda _c, _o, within=lost_within: rolled_back.append(lose(file)) if within else None)  # type: ignore[misc]
            with pytest.raises(LedgerUnavailable, match="moved or replaced"):
                ledger.call("before")
            rolled_back.pop()()
        ledger.record([received(status(callid="after"))])
        assert {call.callid for call in ledger.calls().items} == {"before", "after"}
    with closing(sqlite(data)()) as ledger:
        assert {call.callid for call in ledger.calls().items} == {"before", "after"}


@pytest.mark.parametrize("lose", [moved_away, replaced])
def test_another_process_opens_the_same_files_or_none(
    tmp_path: Path, lose: Callable[[Path], Callable[[], object]]
) -> None:
    """A writer that is started again does not begin to write another file, nor make one."""
    with closing(sqlite(tmp_path)()) as ledger:
        ledger_config = LedgerConfig(data_dir=str(tmp_path), allow_unsafe_filesystem=True, file_ids=ledger.file_ids)
        back = lose(tmp_path / LEDGER_FILE)
        with pytest.raises(LedgerUnavailable, match="moved or replaced"):
            ledger_config.open()
        back()
        ledger_config.open().close()


@pytest.mark.parametrize("content", [b"no database" * 1000, b"", None], ids=["damaged", "empty", "replaced"])
def test_what_cannot_be_opened_is_closed(tmp_path: Path, content: bytes | None) -> None:
    """Nothing keeps the file open while the error is reported."""
    file = tmp_path / LEDGER_FILE
    if content is None:
        sqlite(tmp_path)().close()
    else:
        file.write_bytes(content)
    ids: FileIds = [file_id(str(file)), None, None]
    with pytest.raises(LedgerUnavailable) as reported:  # and its frames: nothing is closed because nobody refers to it
        open_sqlite(tmp_path, allow_unsafe_filesystem=True, file_ids=ids)
    held = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.exists()]
    assert not [path for path in held if path.is_relative_to(tmp_path)], reported
