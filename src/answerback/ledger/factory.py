"""The way to a ledger: a SQLite file or a PostgreSQL database, whose place and schema are checked first."""

from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Engine

from answerback.domain.models import ADMIN_KEY_FILE
from answerback.errors import LedgerUnavailable, UnavailableReason, UnsafeStorage
from answerback.ledger import migrations
from answerback.ledger.backends.driver_errors import translate_driver_errors
from answerback.ledger.backends.postgresql.server import is_postgresql, postgresql_engine, redact_url
from answerback.ledger.backends.postgresql.server import verify_durable as verify_database
from answerback.ledger.backends.postgresql.transactions import PostgreSQLTransactions
from answerback.ledger.backends.selection import dialect_of
from answerback.ledger.backends.sqlite.engine import SQLiteTransactions, sqlite_engine, verify_durable
from answerback.ledger.ledger import Ledger
from answerback.ledger.write.quarantine import QuarantineWriter
from answerback.storage.disk import (
    FileIds,
    file_id,
    fsync_directory,
    has_content,
    missing_reason,
    moved_error,
    require_durable_filesystem,
)

LEDGER_FILE = "ledger.db"


class LedgerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Which ledger, and how: a SQLite file in `data_dir`, or the database that `url` names. It can be sent.

    `id_key` is what the ids that leave it are keyed by; without it no callback has one.
    """

    data_dir: str
    url: str | None = None
    lock_timeout_s: float = 2.0
    quarantine_bytes: int = 64 * 1024 * 1024
    quarantine_per_minute: int = 6_000
    allow_unsafe_filesystem: bool = False
    file_ids: FileIds | None = None
    """The files that another process has opened: these, or none."""
    id_key: bytes | None = None

    def __repr__(self) -> str:
        return f"LedgerConfig({self.location})"

    @property
    def location(self) -> str:
        """Where the ledger is, in words that hold no secret."""
        return str(Path(self.data_dir) / LEDGER_FILE) if self.url is None else redact_url(self.url)

    def quarantine(self) -> QuarantineWriter:
        return QuarantineWriter(self.quarantine_bytes, self.quarantine_per_minute)

    def open(self, *, migrate: bool = False, allow_offline: bool = False, new_ledger: bool = False) -> Ledger:
        """Open it, new or not.

        A new one gets its schema; an older one only with `migrate`. Raises SchemaMismatch where the schema is not this program's, UnsafeStorage
        where answers would not mean stored, LedgerUnavailable where it cannot be reached, MissingExtra.

        Where a data directory was used before, a new file is made in it only with `new_ledger`. A database that is away is no error to who is
        `allow_offline`: then the ledger answers from when it is there, and was not checked.
        """
        if self.url is not None:
            return _open_database(self, self.url, migrate=migrate, allow_offline=allow_offline)
        return _open_file(self, Path(self.data_dir), migrate=migrate, new_ledger=new_ledger)


def open_sqlite(data_dir: Path, *, migrate: bool = False, new_ledger: bool = False, **options: Any) -> Ledger:
    """Open the ledger in `data_dir`, as `LedgerConfig.open` does; `options` are its fields."""
    return LedgerConfig(data_dir=str(data_dir), **options).open(migrate=migrate, new_ledger=new_ledger)


def open_postgresql(url: str, *, allow_unsafe: bool = False, migrate: bool = False, **options: Any) -> Ledger:
    """Open the ledger in the PostgreSQL database at the URL `url`, as `LedgerConfig.open` does; `options` are its fields."""
    return LedgerConfig(data_dir="", url=url, allow_unsafe_filesystem=allow_unsafe, **options).open(migrate=migrate)


def _open_file(config: LedgerConfig, data_dir: Path, *, migrate: bool, new_ledger: bool) -> Ledger:
    if not config.allow_unsafe_filesystem:
        require_durable_filesystem(data_dir)
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerUnavailable(
            UnavailableReason.READ_ONLY, f"server.data_dir, {data_dir}: cannot be made: {error.strerror}"
        ) from error
    path = data_dir / LEDGER_FILE
    if not has_content(path) and (data_dir / ADMIN_KEY_FILE).exists() and not new_ledger:
        raise LedgerUnavailable(
            UnavailableReason.MOVED,
            f"server.data_dir, {data_dir}: it was used before, as it contains {ADMIN_KEY_FILE}, but {LEDGER_FILE} {missing_reason(path)}: put it "
            "back, from a backup if need be, or begin a new one with `answerback serve --new-ledger`",
        )
    if config.file_ids is not None and file_id(str(path)) != config.file_ids[0]:
        raise moved_error(str(path))
    engine = sqlite_engine(path, config.lock_timeout_s)
    try:
        with translate_driver_errors(engine):
            with engine.connect() as connection:
                verify_durable(connection, path)
            _ensure_schema(engine, path, migrate=migrate)
            fsync_directory(data_dir)
            transactions = SQLiteTransactions(engine, config.file_ids)
            return Ledger(engine, transactions, config.quarantine(), config.id_key)
    except LedgerUnavailable as error:
        engine.dispose()
        raise LedgerUnavailable(error.reason, f"server.data_dir, {path}: {error.detail}") from error
    except BaseException:
        engine.dispose()
        raise


def _open_database(config: LedgerConfig, url: str, *, migrate: bool, allow_offline: bool) -> Ledger:
    """What fails for a passing reason is tried again for twice `lock_timeout_s`."""
    if not is_postgresql(url):
        raise UnsafeStorage(
            f"ledger.url: expected postgresql://user:password@host/database, not {url.partition(':')[0]}:"
        )
    place = redact_url(url)
    writing = postgresql_engine(url, writes=True)
    try:
        with translate_driver_errors(writing):
            with writing.connect() as connection:
                verify_database(connection, allow_unsafe=config.allow_unsafe_filesystem)
            _ensure_schema(writing, place, migrate=migrate)
    except LedgerUnavailable as error:
        if not allow_offline:
            writing.dispose()
            raise LedgerUnavailable(error.reason, f"ledger.url, {place}: {error.detail}") from error
    except UnsafeStorage as error:
        writing.dispose()
        raise UnsafeStorage(f"ledger.url, {place}: {error}") from error
    except BaseException:
        writing.dispose()
        raise
    transactions = PostgreSQLTransactions(writing, 2 * config.lock_timeout_s)
    return Ledger(postgresql_engine(url, writes=False), transactions, config.quarantine(), config.id_key)


def _ensure_schema(engine: Engine, location: Path | str, *, migrate: bool) -> None:
    with engine.connect() as connection:
        version = migrations.version(connection)
        if version is not None and migrations.is_compatible(connection, version):
            return
    if version is not None and not (migrate and version in migrations.OLDER):
        migrations.refuse(version, location)
    with engine.execution_options(writes=True).begin() as connection:
        dialect_of(connection).lock_schema(connection)
        if version is not None:
            migrations.upgrade(connection)
        elif migrations.version(connection) is None:  # another process may have been first
            migrations.create(connection)
