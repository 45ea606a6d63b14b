"""The way to a ledger: a SQLite file or a PostgreSQL database, whose place and schema are checked first."""

from pathlib import Path

import msgspec
from sqlalchemy import Engine

from answerback.errors import LedgerUnavailable, LedgerUnsafe, UnavailableReason
from answerback.ledger import migrations
from answerback.ledger.backends import bulk_sql
from answerback.ledger.backends.driver_errors import translated
from answerback.ledger.backends.postgresql.schema import hold_schema
from answerback.ledger.backends.postgresql.server import is_postgresql, postgresql_engine, spoken
from answerback.ledger.backends.postgresql.server import verify_durable as verify_database
from answerback.ledger.backends.sqlite.engine import (
    SQLiteTransactions,
    refuse_unsafe_place,
    sqlite_engine,
    sync_directory,
    verify_durable,
)
from answerback.ledger.backends.sqlite.files import FileIds, file_id, is_filled, missing, moved
from answerback.ledger.ledger import Ledger
from answerback.ledger.write.quarantine import Quarantine

FILE_NAME = "ledger.db"
_USED = "admin-key"  # made once the ledger is there: see `access`
DEFAULT_QUARANTINE_BYTES = 64 * 1024 * 1024
DEFAULT_QUARANTINE_PER_MINUTE = 6_000
DEFAULT_LOCK_TIMEOUT_S = 2.0


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """Which ledger, and how: a SQLite file in `data_dir`, or the database that `store` names. It can be sent.

    `id_key` is what the ids that leave it are keyed by; without it no callback has one.
    """

    data_dir: str
    store: str | None = None
    lock_timeout_s: float = DEFAULT_LOCK_TIMEOUT_S
    quarantine_bytes: int = DEFAULT_QUARANTINE_BYTES
    quarantine_per_minute: int = DEFAULT_QUARANTINE_PER_MINUTE
    allow_unsafe_place: bool = False
    file_ids: FileIds | None = None
    """The files that another process has opened: these, or none."""
    id_key: bytes | None = None

    def __repr__(self) -> str:
        return f"Opening({self.place})"

    @property
    def place(self) -> str:
        """Where the ledger is, in words that hold no secret."""
        return str(Path(self.data_dir) / FILE_NAME) if self.store is None else spoken(self.store)

    def open(self, *, migrate: bool = False, patient: bool = False, new_ledger: bool = False) -> Ledger:
        """Open it, as `open_ledger` and `open_database` do; a database that is away is no error to who is `patient`."""
        bounds = (self.quarantine_bytes, self.quarantine_per_minute)
        if self.store is not None:
            return open_database(
                self.store,
                retry_s=2 * self.lock_timeout_s,
                quarantine_bytes=bounds[0],
                quarantine_per_minute=bounds[1],
                allow_unsafe=self.allow_unsafe_place,
                id_key=self.id_key,
                migrate=migrate,
                patient=patient,
            )
        return open_ledger(
            Path(self.data_dir),
            lock_timeout_s=self.lock_timeout_s,
            quarantine_bytes=bounds[0],
            quarantine_per_minute=bounds[1],
            allow_unsafe_place=self.allow_unsafe_place,
            id_key=self.id_key,
            migrate=migrate,
            new_ledger=new_ledger,
            file_ids=self.file_ids,
        )


def open_ledger(
    data_dir: Path,
    *,
    lock_timeout_s: float = DEFAULT_LOCK_TIMEOUT_S,
    quarantine_bytes: int = DEFAULT_QUARANTINE_BYTES,
    quarantine_per_minute: int = DEFAULT_QUARANTINE_PER_MINUTE,
    allow_unsafe_place: bool = False,
    id_key: bytes | None = None,
    migrate: bool = False,
    new_ledger: bool = False,
    file_ids: FileIds | None = None,
) -> Ledger:
    """Open the ledger in `data_dir`, new or not.

    A new one gets its schema; an older one only with `migrate`. Where the directory was used before, a new one is made only
    with `new_ledger`. `file_ids`: the files that another process has opened, which it has to be.
    Raises LedgerUnsafe where answers would not mean stored, LedgerVersion where the schema is not this program's,
    LedgerUnavailable where the directory or the file cannot be used.
    """
    if not allow_unsafe_place:
        refuse_unsafe_place(data_dir)
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerUnavailable(
            UnavailableReason.READ_ONLY, f"server.data_dir, {data_dir}: cannot be made: {error.strerror}"
        ) from error
    path = data_dir / FILE_NAME
    if not is_filled(path) and (data_dir / _USED).exists() and not new_ledger:
        raise LedgerUnavailable(
            UnavailableReason.MOVED,
            f"server.data_dir, {data_dir}: it was used before, for it holds {_USED}, but {FILE_NAME} {missing(path)}: put it "
            "back, from a backup if need be, or begin a new one with `answerback serve --new-ledger`",
        )
    if file_ids is not None and file_id(str(path)) != file_ids[0]:
        raise moved(str(path))
    engine = sqlite_engine(path, lock_timeout_s)
    try:
        with translated(engine):
            with engine.connect() as connection:
                verify_durable(connection, path)
            _agree_on_schema(engine, path, migrate=migrate)
            sync_directory(data_dir)
            transactions = SQLiteTransactions(engine, file_ids)
            bounds = Quarantine(quarantine_bytes, quarantine_per_minute)
            return Ledger(engine, transactions, bounds, id_key)
    except LedgerUnavailable as error:
        engine.dispose()
        raise LedgerUnavailable(error.reason, f"server.data_dir, {path}: {error.detail}") from error
    except BaseException:
        engine.dispose()
        raise


def open_database(
    store: str,
    *,
    retry_s: float = 2 * DEFAULT_LOCK_TIMEOUT_S,
    quarantine_bytes: int = DEFAULT_QUARANTINE_BYTES,
    quarantine_per_minute: int = DEFAULT_QUARANTINE_PER_MINUTE,
    allow_unsafe: bool = False,
    id_key: bytes | None = None,
    migrate: bool = False,
    patient: bool = False,
) -> Ledger:
    """Open the ledger in the PostgreSQL database at the URL `store`, empty or not.

    An empty one gets its schema; an older one is changed only with `migrate`. What fails for a passing reason is tried again
    for `retry_s`. Raises ExtraMissing, LedgerUnsafe, LedgerVersion, and LedgerUnavailable where there is no way to it, unless
    `patient`: then the ledger answers from when it is there, and was not checked.
    """
    if not is_postgresql(store):
        raise LedgerUnsafe(
            f"ledger.store: expected postgresql://user:password@host/database, not {store.partition(':')[0]}:"
        )
    from answerback.ledger.backends.postgresql.transactions import Transactions as PostgreSQLTransactions

    place = spoken(store)
    writing = postgresql_engine(store, writes=True)
    try:
        with translated(writing):
            with writing.connect() as connection:
                verify_database(connection, allow_unsafe=allow_unsafe)
            _agree_on_schema(writing, place, migrate=migrate)
    except LedgerUnavailable as error:
        if not patient:
            writing.dispose()
            raise LedgerUnavailable(error.reason, f"ledger.store, {place}: {error.detail}") from error
    except LedgerUnsafe as error:
        writing.dispose()
        raise LedgerUnsafe(f"ledger.store, {place}: {error}") from error
    except BaseException:
        writing.dispose()
        raise
    transactions = PostgreSQLTransactions(writing, retry_s)
    bounds = Quarantine(quarantine_bytes, quarantine_per_minute)
    return Ledger(postgresql_engine(store, writes=False), transactions, bounds, id_key)


def _agree_on_schema(engine: Engine, place: Path | str, *, migrate: bool) -> None:
    with engine.connect() as connection:
        version = migrations.version(connection)
        if version is not None and migrations.serves(connection, version):
            return
    if version is not None and not (migrate and version in migrations.OLDER):
        migrations.refuse(version, place)
    with engine.execution_options(writes=True).begin() as connection:
        if bulk_sql.on_postgresql(connection):
            hold_schema(connection)
        if version is not None:
            migrations.upgrade(connection)
        elif migrations.version(connection) is None:  # another process may have been first
            migrations.create(connection)
