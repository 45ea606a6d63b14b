"""A copy of all that a gateway keeps on this machine, made while it runs: the inbox, then the ledger, then its secrets.

In this order nothing is missing between the two: what had left the inbox when it was copied is in the ledger that is copied after it.
What is in both is recorded once, because the ledger holds its position in the inbox.
"""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

import msgspec

from answerback.auth.server_secret import SERVER_SECRET_FILE
from answerback.config import Settings
from answerback.domain.models import ADMIN_KEY_FILE
from answerback.errors import ConfigError, LedgerUnavailable, UnavailableReason
from answerback.inbox import INBOX_FILE, InboxReader
from answerback.ledger import LEDGER_FILE
from answerback.service.factories import inbox_config
from answerback.storage.disk import check_wal, fsync_directory, has_content, nearest_existing_parent
from answerback.storage.sqlite_errors import sqlite_unavailable

MANIFEST_FILE = "backup.json"
FORMAT = 1
DATABASES = (INBOX_FILE, LEDGER_FILE)
SECRETS = (SERVER_SECRET_FILE, ADMIN_KEY_FILE)

_TABLES = ("calls", "callbacks", "deliveries")
_PAGES = 2048
_CHUNK_BYTES = 4 * 1024 * 1024
_COPY_TIMEOUT_S = 30.0

Progress = Callable[[str, int, int], None]
"""Called with what is done, how much of it, and of how much; the same for bytes and pages."""


class BackupFile(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    size_bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a backup. It is written last: without it a backup is not whole."""

    format: int
    program: str
    made_at: datetime
    files: list[BackupFile]
    rows: dict[str, int]
    """Of the ledger's tables; empty where the ledger is in PostgreSQL."""
    waiting: int | None
    """Callbacks in the inbox that the ledger of this backup does not have; None where that is not in it."""
    left_out: list[str]
    """What is kept elsewhere, in words."""


def make_backup(settings: Settings, directory: Path, progress: Progress) -> Manifest:
    """Make a backup in `directory`, which must be new or empty, and verify it.

    Raises ConfigError, and LedgerUnavailable where a file cannot be read, or its copy is damaged; then nothing is left of it.
    """
    sources = _find_sources(settings)
    require_empty(directory)
    need_bytes = sum(_size_bytes(path) for path in sources.values())
    require_space(directory, need_bytes)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _removed_on_failure(directory):
        for name, path in sources.items():
            if name in DATABASES:
                _copy_database(path, directory / name, progress)
            else:
                shutil.copyfile(path, directory / name)
        for name in sources:
            if name in DATABASES:
                check_database(directory / name, progress)
        rows, positions = _read_ledger(directory / LEDGER_FILE) if LEDGER_FILE in sources else ({}, None)
        manifest = Manifest(
            format=FORMAT,
            program=version("answerback"),
            made_at=datetime.now(UTC),
            files=[_describe_file(directory / name, progress) for name in sources],
            rows=rows,
            waiting=_count_waiting(directory / INBOX_FILE, positions),
            left_out=_left_out(settings, sources),
        )
        (directory / MANIFEST_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
        for name in (*sources, MANIFEST_FILE):
            sync_file(directory / name)
        fsync_directory(directory)
    fsync_directory(directory.resolve().parent)
    return manifest


def require_empty(directory: Path, *, but_for: str = "") -> None:
    """Raise ConfigError where there is something in `directory` already, other than a file that does not count."""
    found = sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []
    if directory.exists() and not directory.is_dir():
        raise ConfigError(f"{directory}: it is a file, not a directory")
    if inside := [name for name in found if name not in ("lost+found", but_for)]:
        raise ConfigError(f"{directory}: it is not empty, it holds {inside[0]}: name a directory that is new or empty")


def require_space(directory: Path, need_bytes: int) -> None:
    """Raise ConfigError where the disk of `directory` has less room."""
    free_bytes = shutil.disk_usage(nearest_existing_parent(directory)).free
    if free_bytes < need_bytes:
        raise ConfigError(f"{directory}: {need_bytes:,} bytes are needed, {free_bytes:,} are free")


def check_database(path: Path, progress: Progress) -> None:
    """Have SQLite check the whole file. Raises LedgerUnavailable where it is damaged."""
    progress(f"check {path.name}", 0, 0)
    try:
        with closing(_open_copy(path)) as connection:
            found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        raise sqlite_unavailable(error, path) from error
    if found != "ok":
        raise LedgerUnavailable(UnavailableReason.DAMAGED, f"{path}: {found}")


def hash_file(path: Path, progress: Progress) -> str:
    """The SHA-256 of a file, as hexadecimal digits."""
    done, size_bytes, digest = 0, path.stat().st_size, sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            done += len(chunk)
            progress(f"hash {path.name}", done, size_bytes)
    return digest.hexdigest()


def sync_file(path: Path) -> None:
    """Have the disk keep the file."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _find_sources(settings: Settings) -> dict[str, Path]:
    """What is there to be copied, in the order in which that is to be done. Raises ConfigError."""
    data_dir = settings.server.data_dir
    inbox, ledger = inbox_config(settings).directory / INBOX_FILE, data_dir / LEDGER_FILE
    if settings.ledger.url is None and not has_content(ledger):
        raise ConfigError(f"server.data_dir: there is no ledger at {ledger}; name it with --data-dir")
    found = {INBOX_FILE: inbox} if has_content(inbox) else {}
    if settings.ledger.url is None:
        found[LEDGER_FILE] = ledger
    return found | {name: data_dir / name for name in SECRETS if has_content(data_dir / name)}


def _left_out(settings: Settings, sources: dict[str, Path]) -> list[str]:
    found = []
    if settings.ledger.url is not None:
        found.append("the ledger, which is in PostgreSQL: back it up now, after this, with its own tools (pg_dump)")
    if settings.stream.url is not None:
        found.append("the stream, which has the callbacks that are not recorded yet")
    if settings.server.secret is not None and SERVER_SECRET_FILE not in sources:
        found.append("server.secret, which is in the settings")
    if settings.server.admin_key is not None and ADMIN_KEY_FILE not in sources:
        found.append("server.admin_key, which is in the settings")
    return [*found, "the settings, with the certificates that they name"]


def _size_bytes(path: Path) -> int:
    return sum(part.stat().st_size for part in (path, Path(f"{path}-wal")) if part.exists())


@contextmanager
def _removed_on_failure(directory: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        for path in directory.iterdir():
            if path.is_file():
                path.unlink()
        with suppress(OSError):
            directory.rmdir()
        raise


def _copy_database(source: Path, target: Path, progress: Progress) -> None:
    """Copy a database as it is at one moment, however much is written to it meanwhile."""
    check_wal(source)
    try:
        with (
            closing(
                sqlite3.connect(_uri(source, "mode=ro"), uri=True, timeout=_COPY_TIMEOUT_S, isolation_level=None)
            ) as reads,
            closing(sqlite3.connect(target, isolation_level=None)) as writes,
        ):
            writes.execute("PRAGMA synchronous=OFF")  # it is synced as a whole when it is done
            reads.execute("BEGIN")
            reads.execute("SELECT 1 FROM sqlite_master").fetchall()  # from here on it reads this moment

            def advance(_status: int, remaining: int, total: int) -> None:
                progress(f"copy {source.name}", total - remaining, total)

            reads.backup(writes, pages=_PAGES, progress=advance)
            writes.execute("PRAGMA journal_mode=DELETE").fetchall()  # so that nobody who reads it makes files beside it
    except sqlite3.Error as error:
        raise sqlite_unavailable(error, source) from error


def _read_ledger(path: Path) -> tuple[dict[str, int], dict[bytes, int]]:
    """The number of rows by table, and the positions in the logs."""
    try:
        with closing(_open_copy(path)) as connection:
            rows = {
                table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608  # constants
                for table in _TABLES
            }
            return rows, dict(connection.execute("SELECT log, position FROM log_positions"))
    except sqlite3.Error as error:
        raise sqlite_unavailable(error, path) from error


def _count_waiting(inbox: Path, positions: dict[bytes, int] | None) -> int | None:
    if positions is None:
        return None
    if not inbox.exists():
        return 0
    with closing(InboxReader(inbox)) as reader:
        return reader.waiting(positions).callbacks


def _describe_file(path: Path, progress: Progress) -> BackupFile:
    return BackupFile(name=path.name, size_bytes=path.stat().st_size, sha256=hash_file(path, progress))


def _open_copy(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(_uri(path, "immutable=1"), uri=True, isolation_level=None)


def _uri(path: Path, query: str) -> str:
    return f"file:{quote(str(path.absolute()))}?{query}"
