"""The ledger itself: opens the store, keeps its one writer, serves its readers.

Synchronous on purpose: SQLite is. `writer` calls `record` in a process of its own, the API reads from its threads.
"""

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec
from sqlalchemy import Engine, func, select
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from answerback.errors import LedgerUnavailable, LedgerVersion
from answerback.ledger import endpoints, history, keys, migrations, query, statements, stats
from answerback.ledger.keys import Deed
from answerback.ledger.outbox import Outbox
from answerback.ledger.quarantine import Quarantine
from answerback.ledger.record import record
from answerback.ledger.rollups import count_everything
from answerback.ledger.sqlite import refuse_unsafe_place, sqlite_engine, sync_directory, verify_durable
from answerback.ledger.tables import probes, quarantine
from answerback.ledger.values import Entry, Page, Quarantined, Receipt, Recorded, to_us
from answerback.model import ApiKey, Arrival, Attempt, Call, Delivery, Endpoint, Received, Rejected
from answerback.reading import read
from answerback.statistics import Statistics

T = TypeVar("T")

FILE_NAME = "ledger.db"
DEFAULT_QUARANTINE_BYTES = 64 * 1024 * 1024
DEFAULT_QUARANTINE_PER_MINUTE = 6_000
DEFAULT_LOCK_TIMEOUT_S = 2.0


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """Which ledger, and how: the arguments of `open_ledger` as a value that can be sent."""

    data_dir: str
    lock_timeout_s: float = DEFAULT_LOCK_TIMEOUT_S
    quarantine_bytes: int = DEFAULT_QUARANTINE_BYTES
    quarantine_per_minute: int = DEFAULT_QUARANTINE_PER_MINUTE
    allow_unsafe_place: bool = False

    def open(self, *, migrate: bool = False) -> "Ledger":
        """Open it, as `open_ledger` does."""
        given = msgspec.structs.asdict(self)
        return open_ledger(Path(given.pop("data_dir")), **given, migrate=migrate)


class Ledger:
    """The durable store of one gateway. Made by `open_ledger`; close it when done."""

    def __init__(self, engine: Engine, quarantine_bounds: Quarantine) -> None:
        self.engine = engine
        self._writer = engine.execution_options(writes=True)
        self._bounds = quarantine_bounds
        self._outbox = Outbox()
        self._connection: Connection | None = None
        self._anchor = engine.connect()  # as long as one is open SQLite keeps its shared memory, even on a full disk
        self._anchor.execute(select(probes.c.id)).all()
        self._anchor.rollback()
        self._writing = threading.Lock()

    def record(self, batch: Sequence[Received | Rejected]) -> list[Receipt]:
        """Store `batch` durably; return one receipt per item, in order.

        Returns only after the commit; a repeated callback keeps its first id. Safe to call from several threads,
        one at a time gets in.
        Raises LedgerUnavailable: nothing was stored, the caller may retry.
        """
        return self.take(batch).receipts

    def take(self, batch: Sequence[Received | Rejected], full: Collection[int] = (), *, tell: bool = True) -> Recorded:
        """Do what `record` does, and tell also what may go out because of it; to endpoints in `full`, only that it may.

        Without `tell` nobody is owed a word of it.
        """

        def work(connection: Connection, outbox: Outbox) -> Recorded:
            return record(connection, batch, self._bounds, outbox if tell else Outbox(), full)

        return self.write(work)

    def write(self, work: Callable[[Connection, Outbox], T]) -> T:
        """Do `work` in one transaction, committed when it returns. Raises LedgerUnavailable: nothing was done."""
        with self._transaction() as connection:
            self._outbox.refresh(connection)
            return work(connection, self._outbox)

    def read(self, work: Callable[[Connection], T]) -> T:
        """Do `work`, which only reads. Raises LedgerUnavailable."""
        with self._reading() as connection:
            return work(connection)

    def probe(self) -> None:
        """Commit a row that says nothing, to learn whether a callback could be stored now.

        Raises LedgerUnavailable with the reason.
        """
        with self._transaction() as connection:
            row = (1, to_us(datetime.now(UTC)))
            statements.upsert(connection, probes, ("id", "committed_us"), ("id",), [row])

    def call(self, callid: str, channel: str | None = None) -> Call:
        """What is known of a call. Raises NotFound, AmbiguousCall."""
        with self._reading() as connection:
            return query.find_call(connection, callid, channel)[1]

    def statistics(self, span: stats.Span) -> Statistics:
        """What the calls of a span come to."""
        return self.read(lambda connection: stats.find_statistics(connection, span))

    def differing(self, span: stats.Span, cursor: str | None = None, limit: int = 50) -> Page[Call]:
        """A page of the calls whose fee is not what is due, newest first. Raises InvalidCursor."""
        return self.read(lambda connection: stats.find_differing(connection, span, cursor, limit))

    def callbacks(self, callid: str, channel: str | None = None) -> list[Entry]:
        """The callbacks of a call as received, in order. Raises NotFound, AmbiguousCall."""
        with self._reading() as connection:
            return query.find_callbacks(connection, query.find_call(connection, callid, channel)[0])

    def calls(self, wanted: query.CallFilter | None = None, cursor: str | None = None, limit: int = 50) -> Page[Call]:
        """A page of calls, newest first. Raises InvalidCursor."""
        with self._reading() as connection:
            return query.find_calls(connection, wanted or query.CallFilter(), cursor, limit)

    def quarantined(self, channel: str | None = None, cursor: str | None = None, limit: int = 50) -> Page[Quarantined]:
        """A page of refused bodies, newest first. Raises InvalidCursor."""
        with self._reading() as connection:
            return query.find_quarantined(connection, channel, cursor, limit)

    def quarantined_body(self, id_: int) -> Quarantined:
        """One refused body. Raises NotFound."""
        with self._reading() as connection:
            return query.find_quarantined_body(connection, id_)

    def quarantined_ids(self) -> list[int]:
        """Every refused body's id, oldest first."""
        with self._reading() as connection:
            return list(connection.execute(select(quarantine.c.id).order_by(quarantine.c.id)).scalars())

    def drop_quarantined(self, ids: Sequence[int]) -> int:
        """Throw refused bodies away; how many there were."""
        with self._transaction() as connection:
            self._bounds.count_again()
            return connection.execute(
                quarantine.delete().where(quarantine.c.id.in_([id_ for id_ in ids if 0 <= id_ < query.LARGEST_ID]))
            ).rowcount

    def quarantine_size(self) -> tuple[int, int]:
        """How many bodies are in quarantine, and their bytes."""
        with self._reading() as connection:
            totals = select(func.count(), func.coalesce(func.sum(quarantine.c.size_bytes), 0)).select_from(quarantine)
            count, size_bytes = connection.execute(totals).one()
            return count, size_bytes

    def requeue(self, id_: int) -> Receipt:
        """Read a refused body once more; if it is a callback now, record it and take it out, in one transaction.

        It keeps the time it came in. Raises NotFound; CallbackRejected where it still cannot be understood.
        """
        return self.take_again(id_).receipts[0]

    def take_again(self, id_: int) -> Recorded:
        """Do what `requeue` does, and tell also what may go out because of it."""
        with self._transaction() as connection:
            self._outbox.refresh(connection)
            kept = query.find_quarantined_body(connection, id_)
            received = read(Arrival(kept.channel, kept.raw, kept.received_at))
            recorded = record(connection, [received], self._bounds, self._outbox)
            connection.execute(quarantine.delete().where(quarantine.c.id == id_))
            self._bounds.count_again()
            return recorded

    def endpoints(self) -> list[Endpoint]:
        """Every endpoint, by name."""
        return self.read(endpoints.find_endpoints)

    def endpoint(self, name: str) -> Endpoint:
        """One endpoint, by its name or its id as digits. Raises NotFound."""
        return self.read(lambda connection: endpoints.find_endpoint(connection, name))

    def owed(self) -> dict[int, history.Owed]:
        """Endpoint id -> what it is owed."""
        return self.read(history.owed_by_endpoint)

    def deliveries(self, wanted: history.DeliveryFilter, cursor: str | None = None, limit: int = 50) -> Page[Delivery]:
        """A page of deliveries, newest first. Raises InvalidCursor."""
        return self.read(lambda connection: history.find_deliveries(connection, wanted, cursor, limit))

    def delivery(self, id_: int) -> tuple[Delivery, list[Attempt]]:
        """One delivery and its attempts, in order. Raises NotFound."""
        return self.read(lambda connection: history.find_delivery(connection, id_))

    def keys(self) -> list[ApiKey]:
        """Every API key that was not revoked, by name."""
        return self.read(keys.find_keys)

    def key_of(self, digest: bytes) -> ApiKey | None:
        """The living API key with this SHA-256, if there is one."""
        return self.read(lambda connection: keys.find_key(connection, digest))

    def key_by_id(self, id_: int) -> ApiKey | None:
        """The living API key of that id, if there is one."""
        return self.read(lambda connection: keys.find_key_by_id(connection, id_))

    def deeds(self, cursor: str | None = None, limit: int = 50) -> Page[Deed]:
        """A page of what people did, newest first. Raises InvalidCursor."""
        return self.read(lambda connection: keys.find_deeds(connection, cursor, limit))

    def close(self) -> None:
        """Let go of the files."""
        self._forget_connection()
        self._anchor.close()
        self.engine.dispose()

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._writing, _translated(self.engine):
            if self._connection is None:
                self._connection = self._writer.connect()
            try:
                with self._connection.begin():
                    yield self._connection
            except (SQLAlchemyError, self.engine.dialect.loaded_dbapi.Error):
                self._bounds.count_again()
                self._outbox.forget()
                self._forget_connection()  # a fresh one has no half-done statement and re-reads a repaired file
                raise

    def _forget_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with _translated(self.engine), self.engine.connect() as connection:
            yield connection


@contextmanager
def _translated(engine: Engine) -> Iterator[None]:
    """A driver's errors as ours: the words of the database, never its parameters."""
    try:
        yield
    except DBAPIError as error:
        raise LedgerUnavailable(f"the ledger does not answer: {error.orig}") from error
    except SQLAlchemyError as error:
        raise LedgerUnavailable(f"the ledger does not answer: {type(error).__name__}") from error
    except engine.dialect.loaded_dbapi.Error as error:
        raise LedgerUnavailable(f"the ledger does not answer: {error}") from error


def open_ledger(
    data_dir: Path,
    *,
    lock_timeout_s: float = DEFAULT_LOCK_TIMEOUT_S,
    quarantine_bytes: int = DEFAULT_QUARANTINE_BYTES,
    quarantine_per_minute: int = DEFAULT_QUARANTINE_PER_MINUTE,
    allow_unsafe_place: bool = False,
    migrate: bool = False,
) -> Ledger:
    """Open the ledger in `data_dir`, new or not.

    A new one gets its schema; an older one only with `migrate`.
    Raises LedgerUnsafe where answers would not mean stored, LedgerVersion where the schema is not this program's,
    LedgerUnavailable where the directory or the file cannot be used.
    """
    if not allow_unsafe_place:
        refuse_unsafe_place(data_dir)
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerUnavailable(f"{data_dir}: cannot be made: {error.strerror}") from error
    path = data_dir / FILE_NAME
    engine = sqlite_engine(path, lock_timeout_s)
    try:
        with _translated(engine):
            with engine.connect() as connection:
                verify_durable(connection, path)
            _agree_on_schema(engine, path, migrate=migrate)
            sync_directory(data_dir)
            return Ledger(engine, Quarantine(quarantine_bytes, quarantine_per_minute))
    except LedgerUnavailable as error:
        engine.dispose()
        raise LedgerUnavailable(f"server.data_dir, {path}: {error}") from error
    except BaseException:
        engine.dispose()
        raise


def _agree_on_schema(engine: Engine, path: Path, *, migrate: bool) -> None:
    with engine.connect() as connection:
        version = migrations.version(connection)
        if version is not None and migrations.serves(connection, version):
            return
    if version is not None and version not in migrations.OLDER:
        raise LedgerVersion(f"{path}: its schema is {version}, newer than this program's {migrations.HEAD}: upgrade")
    if version is not None and not migrate:
        raise LedgerVersion(f"{path}: its schema is {version}, older than {migrations.HEAD}: run `answerback migrate`")
    with engine.execution_options(writes=True).begin() as connection:
        if version is not None:
            migrations.upgrade(connection)
            if version in migrations.UNCOUNTED:
                count_everything(connection)
        elif migrations.version(connection) is None:  # another process may have been first
            migrations.create(connection)
