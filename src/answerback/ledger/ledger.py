"""The ledger itself: its one way to write, and its readers.

Synchronous on purpose. `writer` calls it in a process of its own, the API reads from its threads.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Protocol, TypeVar

import msgspec
from sqlalchemy import Engine, func, select
from sqlalchemy.engine import Connection

from answerback.domain.calls import public_id
from answerback.domain.models import ApiKey, Arrival, Attempt, Call, Delivery, Endpoint, Received, Rejected
from answerback.domain.statistics import Statistics
from answerback.errors import CallbackRejected, Conflict, LedgerUnavailable, UnavailableReason
from answerback.ledger.admin import api_keys, endpoints, sessions
from answerback.ledger.admin.audit import Actor, AuditAction, AuditEvent, find_events, record_event
from answerback.ledger.backends import bulk_sql
from answerback.ledger.backends.driver_errors import translated
from answerback.ledger.backends.sqlite.files import FileIds, LedgerFiles
from answerback.ledger.read import calls as query
from answerback.ledger.read import deliveries as history
from answerback.ledger.read import statistics as stats
from answerback.ledger.tables import probes, quarantine
from answerback.ledger.types import Entry, Page, Quarantined, Receipt, Recorded, to_us
from answerback.ledger.write import retention
from answerback.ledger.write.batch_writer import record
from answerback.ledger.write.bisection import REFUSED, Record, may_be_taken_apart, record_apart
from answerback.ledger.write.consumed_batches import Batch, read_all, take_new
from answerback.ledger.write.outbox import Outbox
from answerback.ledger.write.quarantine import Quarantine
from answerback.ledger.write.retention import Month
from answerback.tencent.parsing import read

T = TypeVar("T")


class Transactions(Protocol):
    """How one backend writes."""

    def write(
        self,
        work: Callable[[Connection], T],
        undone: Callable[[], None],
        *,
        beside: bool = False,
        repeatable: bool = False,
    ) -> T:
        """Do `work` in a transaction, committed when it returns; `undone` is called each time it was not.

        Beside others, if the backend can: `work` holds what it changes. `repeatable`: to do it twice does no harm.
        """

    @property
    def files(self) -> LedgerFiles | None:
        """The files that it writes, where there are any."""

    def close(self) -> None:
        """Let go of what it holds."""


class Ledger:
    """The durable store of one gateway. Made by `open_ledger`; close it when done."""

    def __init__(
        self, engine: Engine, transactions: Transactions, quarantine_bounds: Quarantine, id_key: bytes | None = None
    ) -> None:
        self.engine = engine
        self._transactions = transactions
        self._bounds = quarantine_bounds
        self._id_key = id_key
        self._outbox = Outbox(id_key)

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
        return self._take(lambda _: batch, full, tell=tell)

    def take_batches(self, batches: Sequence[Batch], full: Collection[int] = ()) -> tuple[Collection[bytes], Recorded]:
        """Do what `take` does with what batches of the stream hold, and tell which of them were new.

        One that the ledger holds already is passed over.
        """
        items = read_all({batch.id: batch for batch in batches}.values())
        new: set[bytes] = set()

        def new_items(connection: Connection) -> list[Received | Rejected]:
            new.clear()
            new.update(take_new(connection, batches))
            return [item for id_, item in items if id_ in new]

        recorded = self._take(new_items, full, repeatable=True)
        return new, recorded

    def _take(
        self,
        batch: Callable[[Connection], Sequence[Received | Rejected]],
        full: Collection[int],
        *,
        tell: bool = True,
        repeatable: bool = False,
    ) -> Recorded:
        """Record what `batch` finds in the transaction; where it is refused for what is in it, all but that."""

        def writing(connection: Connection, outbox: Outbox) -> Record:
            return lambda items: record(connection, items, self._bounds, outbox if tell else Outbox(), full)

        def work(connection: Connection, outbox: Outbox) -> Recorded:
            return writing(connection, outbox)(batch(connection))

        def work_apart(connection: Connection, outbox: Outbox) -> Recorded:
            return record_apart(connection, batch(connection), writing(connection, outbox), self._bounds.count_again)

        try:
            return self.write(work, beside=True, repeatable=repeatable)
        except Exception as error:
            if not may_be_taken_apart(error):
                raise
            return self.write(work_apart, repeatable=repeatable)

    def write(
        self,
        work: Callable[[Connection, Outbox], T],
        *,
        beside: bool = False,
        repeatable: bool = False,
    ) -> T:
        """Do `work` in one transaction, committed when it returns. Raises LedgerUnavailable: nothing was done.

        Alone, or `beside` other processes where the backend can: then it has to hold the calls that it changes.
        """

        def with_outbox(connection: Connection) -> T:
            self._outbox.refresh(connection)
            return work(connection, self._outbox)

        with translated(self.engine):
            return self._transactions.write(with_outbox, self._undone, beside=beside, repeatable=repeatable)

    def _undone(self) -> None:
        """A transaction was: what was learned in it may not hold."""
        self._bounds.count_again()
        self._outbox.forget()

    def read(self, work: Callable[[Connection], T]) -> T:
        """Do `work`, which only reads. Raises LedgerUnavailable."""
        with self._reading() as connection:
            return work(connection)

    def probe(self) -> None:
        """Commit a row that says nothing, to learn whether a callback could be stored now.

        Raises LedgerUnavailable with the reason.
        """
        row = (1, to_us(datetime.now(UTC)))
        self.write(
            lambda connection, _: bulk_sql.upsert(connection, probes, ("id", "committed_us"), ("id",), [row]),
            beside=True,
            repeatable=True,
        )

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

    def callbacks(
        self, callid: str, channel: str | None = None, cursor: str | None = None, limit: int = 50
    ) -> Page[Entry]:
        """A page of a call's callbacks as received, in order. Raises NotFound, AmbiguousCall, InvalidCursor."""
        with self._reading() as connection:
            page = query.find_callbacks(connection, query.find_call(connection, callid, channel)[0], cursor, limit)
        return msgspec.structs.replace(page, items=list(map(self._known_outside, page.items)))

    def _known_outside(self, entry: Entry) -> Entry:
        if self._id_key is None:
            return entry
        return msgspec.structs.replace(entry, public_id=public_id(self._id_key, entry.identity))

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

    def drop_quarantined(self, ids: Sequence[int], actor: Actor) -> int:
        """Throw refused bodies away; how many there were."""
        known = [id_ for id_ in ids if 0 <= id_ < query.LARGEST_ID]

        def work(connection: Connection, _: Outbox) -> int:
            self._bounds.count_again()
            gone = quarantine.delete().where(quarantine.c.id.in_(known)).returning(quarantine.c.id)
            if dropped := sorted(connection.execute(gone).scalars()):
                words = ("quarantined body",) if len(dropped) == 1 else (len(dropped), "quarantined bodies")
                record_event(connection, actor, AuditAction.QUARANTINE_DROPPED, datetime.now(UTC), *words, *dropped)
            return len(dropped)

        return self.write(work)

    def quarantine_size(self) -> tuple[int, int]:
        """How many bodies are in quarantine, and their bytes."""
        with self._reading() as connection:
            totals = select(func.count(), func.coalesce(func.sum(quarantine.c.size_bytes), 0)).select_from(quarantine)
            count, size_bytes = connection.execute(totals).one()
            return count, size_bytes

    def requeue(self, id_: int, actor: Actor) -> Receipt:
        """Read a refused body once more; if it is a callback now, record it and take it out, in one transaction.

        It keeps the time it came in. Raises NotFound; CallbackRejected where it still cannot be understood.
        """
        return self.take_again(id_, actor).receipts[0]

    def take_again(self, id_: int, actor: Actor) -> Recorded:
        """Do what `requeue` does, and tell also what may go out because of it."""
        kept = self.quarantined_body(id_)

        def work(connection: Connection, outbox: Outbox) -> Recorded:
            query.find_quarantined_body(connection, id_)  # it may be gone by now
            recorded = record(connection, [received], self._bounds, outbox)
            connection.execute(quarantine.delete().where(quarantine.c.id == id_))
            about = ("quarantined body", id_, "of", kept.channel)
            record_event(connection, actor, AuditAction.QUARANTINE_RETRIED, datetime.now(UTC), *about)
            self._bounds.count_again()
            return recorded

        received = read(Arrival(kept.channel, kept.raw, kept.received_at))
        try:
            return self.write(work)
        except LedgerUnavailable as error:
            if error.reason is not UnavailableReason.VALUE:
                raise
            raise CallbackRejected(REFUSED) from error

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
        """One delivery and its last attempts, in order. Raises NotFound."""
        return self.read(lambda connection: history.find_delivery(connection, id_))

    def keys(self) -> list[ApiKey]:
        """Every API key that was not revoked, by name."""
        return self.read(api_keys.find_keys)

    def key_of(self, digest: bytes) -> ApiKey | None:
        """The living API key with this SHA-256, if there is one."""
        return self.read(lambda connection: api_keys.find_key(connection, digest))

    def key_of_session(self, session: str, key_id: int) -> ApiKey | None:
        """The living API key of that id, unless its session was ended."""
        return self.read(lambda connection: sessions.find_key(connection, session, key_id))

    def has_ended(self, session: str) -> bool:
        """Whether a session of the console was ended."""
        return self.read(lambda connection: sessions.has_ended(connection, session))

    def audit_events(self, cursor: str | None = None, limit: int = 50) -> Page[AuditEvent]:
        """A page of who did what, newest first. Raises InvalidCursor."""
        return self.read(lambda connection: find_events(connection, cursor, limit))

    def months_before(self, when: datetime) -> list[Month]:
        """The months that are over before the one of `when`. Raises Conflict where the ledger is not cut by months."""
        self._require_months()
        return self.read(lambda connection: retention.months_before(connection, to_us(when)))

    def make_months(self, count: int) -> None:
        """On PostgreSQL: make the partitions of this month and of the next ones, `count` in all. Raises LedgerUnavailable."""
        self.write(lambda connection, _: retention.make_months(connection, datetime.now(UTC), count))

    def drop_month(self, month: int, actor: Actor) -> Iterator[int]:
        """Let go of a month: its callbacks and deliveries at once, then its calls; how many so far, as it goes on."""
        self._require_months()
        self.write(lambda connection, _: retention.drop_month(connection, month, actor, datetime.now(UTC)))
        gone = 0
        while some := self.write(lambda connection, _: retention.forget_calls(connection, month)):
            gone += some
            yield gone

    def _require_months(self) -> None:
        if self.engine.dialect.name != "postgresql":
            raise Conflict("a SQLite ledger is not cut by months: it keeps everything; `answerback copy` moves it up")

    @property
    def file_ids(self) -> FileIds | None:
        """Which files it has opened; None where it is a database."""
        return None if self._transactions.files is None else self._transactions.files.ids

    def close(self) -> None:
        """Let go of the files, or of the connections."""
        self._transactions.close()
        self.engine.dispose()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with translated(self.engine), self.engine.connect() as connection:
            yield connection
