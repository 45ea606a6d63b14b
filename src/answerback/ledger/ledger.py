"""The ledger itself: its one way to write, and its readers.

Synchronous on purpose. `writer` calls it in a process of its own, the API reads from its threads.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Concatenate, ParamSpec, TypeVar

import msgspec
from sqlalchemy import Engine
from sqlalchemy.engine import Connection

from answerback.domain.calls import public_id
from answerback.domain.endpoints import Attempt, Delivery, Endpoint
from answerback.domain.models import ApiKey, Call, Page, QuarantineItem, StoredCallback
from answerback.domain.statistics import Statistics
from answerback.errors import CallbackRejected, LedgerUnavailable, UnavailableReason
from answerback.ledger.admin import api_keys, endpoints, sessions
from answerback.ledger.admin.audit import Actor, AuditEvent, find_events
from answerback.ledger.backends.driver_errors import translate_driver_errors
from answerback.ledger.backends.selection import bulk_sql
from answerback.ledger.backends.transactions import Transactions
from answerback.ledger.read import calls, deliveries, statistics
from answerback.ledger.read.callbacks import find_callbacks
from answerback.ledger.read.quarantine import (
    find_quarantined,
    find_quarantined_body,
    find_requeueable_ids,
    measure_quarantine,
)
from answerback.ledger.read.statistics import HourRange
from answerback.ledger.tables import write_probes
from answerback.ledger.types import Item, Receipt, RecordResult, to_us
from answerback.ledger.write.batch_writer import never, record
from answerback.ledger.write.bisection import REFUSED, can_bisect, record_bisected
from answerback.ledger.write.log_positions import advance_position, claim_new_batches, forget_batches
from answerback.ledger.write.log_rows import LogRow, LogSlice, parse_slices
from answerback.ledger.write.quarantine import QuarantineWriter
from answerback.ledger.write.requeue import parse_again, requeue
from answerback.ledger.write.subscriptions import SubscriptionCache
from answerback.storage.disk import FileIds

P = ParamSpec("P")
T = TypeVar("T")


class Ledger:
    """The durable store of one gateway. Made by `open_ledger`; close it when done."""

    def __init__(
        self,
        engine: Engine,
        transactions: Transactions,
        quarantine_bounds: QuarantineWriter,
        id_key: bytes | None = None,
    ) -> None:
        self.engine = engine
        self._transactions = transactions
        self.quarantine_bounds = quarantine_bounds
        self._id_key = id_key
        self._subscriptions = SubscriptionCache(id_key)
        self.is_write_waiting: Callable[[], bool] = never
        """Whether somebody waits for his turn to write: a log is then recorded up to the end of a slice."""

    def record(self, batch: Sequence[Item]) -> list[Receipt]:
        """Store `batch` durably; return one receipt per item, in order.

        Returns only after the commit; a repeated callback keeps its first id. Safe to call from several threads,
        one at a time gets in.
        Raises LedgerUnavailable: nothing was stored, the caller may retry.
        """
        return self.record_batch(batch).receipts

    def record_batch(
        self,
        batch: Sequence[Item],
        saturated: Collection[int] = (),
        *,
        enqueue_deliveries: bool = True,
    ) -> RecordResult:
        """Do what `record` does, and return also the jobs that follow from it; of endpoints in `saturated`, only that it may.

        Without `enqueue_deliveries` nothing of it is delivered.
        """
        return self._record(lambda _: [batch], saturated, enqueue_deliveries=enqueue_deliveries)

    def record_log(
        self, log: bytes, after: int, rows: Sequence[LogRow], saturated: Collection[int] = ()
    ) -> tuple[Sequence[LogSlice], RecordResult]:
        """Do what `record_batch` does with what rows of `log` hold, in slices; return those that were recorded.

        The position moves from `after` to that of the last of them in the same transaction; a log without a name has none. A batch
        whose id the ledger holds already is passed over. Raises PositionConflict.
        """
        read: list[LogSlice] = []
        for one in parse_slices(log, after, rows):
            read.append(one)
            if self.is_write_waiting():
                break
        ids = {id_: published_us for one in read for id_, published_us in one.batches.items()}
        slices = read

        def find_new(connection: Connection) -> list[Sequence[Item]]:
            nonlocal slices
            slices, held = read, ids.keys() - claim_new_batches(connection, ids)
            if held:
                known = [row for row in rows if row[0] <= read[-1].position]
                slices = list(parse_slices(log, after, known, held))
            return [one.items for one in slices]

        def advance(connection: Connection, done: int) -> None:
            forget_batches(connection, [id_ for one in slices[done:] for id_ in one.batches])
            if log and done:
                advance_position(connection, log, after, slices[done - 1].position, to_us(datetime.now(UTC)))

        recorded = self._record(find_new, saturated, then=advance, is_write_waiting=self.is_write_waiting)
        return slices[: recorded.slices], recorded

    def _record(
        self,
        find_slices: Callable[[Connection], Sequence[Sequence[Item]]],
        saturated: Collection[int],
        *,
        then: Callable[[Connection, int], None] = lambda _connection, _done: None,
        is_write_waiting: Callable[[], bool] = never,
        enqueue_deliveries: bool = True,
    ) -> RecordResult:
        """Record what `find_slices` finds in the transaction; where it is refused for what is in it, all but that.

        `then` is called before the commit with the number of slices that were recorded.
        """

        def recorder(connection: Connection, subscriptions: SubscriptionCache) -> partial[RecordResult]:
            wanted = subscriptions if enqueue_deliveries else SubscriptionCache()
            return partial(
                record, connection, quarantine=self.quarantine_bounds, subscriptions=wanted, saturated=saturated
            )

        def work(connection: Connection, subscriptions: SubscriptionCache) -> RecordResult:
            slices = find_slices(connection)
            recorded = recorder(connection, subscriptions)(slices, is_write_waiting=is_write_waiting)
            then(connection, recorded.slices)
            return recorded

        def work_bisected(connection: Connection, subscriptions: SubscriptionCache) -> RecordResult:
            slices, forget = find_slices(connection), self.quarantine_bounds.invalidate_count
            recorded = record_bisected(
                connection, slices, recorder(connection, subscriptions), forget, is_write_waiting
            )
            then(connection, recorded.slices)
            return recorded

        try:
            return self.write(work, shared=True)
        except Exception as error:
            if not can_bisect(error):
                raise
            return self.write(work_bisected)

    def write(
        self,
        work: Callable[[Connection, SubscriptionCache], T],
        *,
        shared: bool = False,
        idempotent: bool = False,
    ) -> T:
        """Do `work` in one transaction, committed when it returns. Raises LedgerUnavailable: nothing was done.

        Exclusive, or `shared` with other processes where the backend can: then it has to lock the calls that it changes.
        """

        def with_subscriptions(connection: Connection) -> T:
            self._subscriptions.refresh(connection)
            return work(connection, self._subscriptions)

        with translate_driver_errors(self.engine):
            return self._transactions.write(with_subscriptions, self._on_rollback, shared=shared, idempotent=idempotent)

    def _on_rollback(self) -> None:
        """A transaction was: what was learned in it may not hold."""
        self.quarantine_bounds.invalidate_count()
        self._subscriptions.clear()

    def read(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do `work`, which only reads, with a connection and these arguments. Raises LedgerUnavailable."""
        with translate_driver_errors(self.engine), self.engine.connect() as connection:
            return work(connection, *args, **kwargs)

    def probe(self) -> None:
        """Commit a row that says nothing, to learn whether a callback could be stored now.

        Raises LedgerUnavailable with the reason.
        """
        row = (1, to_us(datetime.now(UTC)))
        self.write(
            lambda connection, _: bulk_sql(connection).upsert(write_probes, ("id", "committed_us"), ("id",), [row]),
            shared=True,
            idempotent=True,
        )

    def call(self, callid: str, channel: str | None = None) -> Call:
        """What is known of a call. Raises ResourceNotFound, AmbiguousCall."""
        return self.read(lambda connection: calls.find_call(connection, callid, channel)[1])

    def statistics(self, hour_range: HourRange) -> Statistics:
        """What the calls of a span come to."""
        return self.read(statistics.find_statistics, hour_range)

    def fee_mismatches(self, hour_range: HourRange, cursor: str | None = None, limit: int = 50) -> Page[Call]:
        """A page of the calls whose fee is not what is due, newest first. Raises InvalidCursor."""
        return self.read(statistics.find_fee_mismatches, hour_range, cursor, limit)

    def callbacks(
        self, callid: str, channel: str | None = None, cursor: str | None = None, limit: int = 50
    ) -> Page[StoredCallback]:
        """A page of a call's callbacks as received, in order. Raises ResourceNotFound, AmbiguousCall, InvalidCursor."""
        page = self.read(
            lambda connection: find_callbacks(
                connection, calls.find_call(connection, callid, channel)[0], cursor, limit
            )
        )
        return msgspec.structs.replace(page, items=list(map(self._with_public_id, page.items)))

    def _with_public_id(self, entry: StoredCallback) -> StoredCallback:
        if self._id_key is None:
            return entry
        return msgspec.structs.replace(entry, public_id=public_id(self._id_key, entry.fingerprint))

    def calls(self, wanted: calls.CallFilter | None = None, cursor: str | None = None, limit: int = 50) -> Page[Call]:
        """A page of calls, newest first. Raises InvalidCursor."""
        return self.read(calls.find_calls, wanted or calls.CallFilter(), cursor, limit)

    def quarantined(
        self, channel: str | None = None, cursor: str | None = None, limit: int = 50
    ) -> Page[QuarantineItem]:
        """A page of refused bodies, newest first. Raises InvalidCursor."""
        return self.read(find_quarantined, channel, cursor, limit)

    def quarantined_body(self, id_: int) -> QuarantineItem:
        """One refused body. Raises ResourceNotFound."""
        return self.read(find_quarantined_body, id_)

    def requeueable_ids(self) -> list[int]:
        """The id of everything in quarantine that can be parsed again, oldest first."""
        return self.read(find_requeueable_ids)

    def delete_quarantined(self, ids: Sequence[int], actor: Actor) -> int:
        """Throw refused bodies away; how many there were."""
        return self.write(lambda connection, _: self.quarantine_bounds.delete(connection, ids, actor))

    def quarantine_size(self) -> tuple[int, int]:
        """How many bodies are in quarantine, and their bytes."""
        return self.read(measure_quarantine)

    def requeue(self, id_: int, actor: Actor) -> Receipt:
        """Read a refused body once more; if it is a callback now, record it and take it out, in one transaction.

        It keeps the time it came in. Rows of a log that can be decoded now are recorded body by body, and the best receipt is returned.
        Raises ResourceNotFound; CallbackRejected where it still cannot be understood.
        """
        return min(self.reprocess_quarantined(id_, actor).receipts, key=lambda receipt: receipt.disposition)

    def reprocess_quarantined(self, id_: int, actor: Actor) -> RecordResult:
        """Do what `requeue` does, and return also the jobs that follow from it."""
        kept = self.quarantined_body(id_)
        received = parse_again(kept)
        try:
            return self.write(
                lambda connection, subscriptions: requeue(
                    connection, kept, received, actor, self.quarantine_bounds, subscriptions
                )
            )
        except LedgerUnavailable as error:
            if error.reason is not UnavailableReason.VALUE:
                raise
            raise CallbackRejected(REFUSED) from error

    def endpoints(self) -> list[Endpoint]:
        """Every endpoint, by name."""
        return self.read(endpoints.find_endpoints)

    def endpoint(self, name: str) -> Endpoint:
        """One endpoint, by its name or its id as digits. Raises ResourceNotFound."""
        return self.read(endpoints.find_endpoint, name)

    def backlog(self) -> deliveries.DeliveryBacklogs:
        """Endpoint id -> its backlog."""
        return self.read(deliveries.backlog_by_endpoint)

    def deliveries(
        self, wanted: deliveries.DeliveryFilter, cursor: str | None = None, limit: int = 50
    ) -> Page[Delivery]:
        """A page of deliveries, newest first. Raises InvalidCursor."""
        return self.read(deliveries.find_deliveries, wanted, cursor, limit)

    def delivery(self, id_: int) -> tuple[Delivery, list[Attempt]]:
        """One delivery and its last attempts, in order. Raises ResourceNotFound."""
        return self.read(deliveries.find_delivery, id_)

    def keys(self) -> list[ApiKey]:
        """Every API key that was not revoked, by name."""
        return self.read(api_keys.find_keys)

    def key_of(self, digest: bytes) -> ApiKey | None:
        """The living API key with this SHA-256, if there is one."""
        return self.read(api_keys.find_key, digest)

    def key_of_session(self, session: str, key_id: int) -> ApiKey | None:
        """The living API key of that id, unless its session was ended."""
        return self.read(sessions.find_session_key, session, key_id)

    def has_ended(self, session: str) -> bool:
        """Whether a session of the console was ended."""
        return self.read(sessions.has_ended, session)

    def audit_events(self, cursor: str | None = None, limit: int = 50) -> Page[AuditEvent]:
        """A page of who did what, newest first. Raises InvalidCursor."""
        return self.read(find_events, cursor, limit)

    @property
    def file_ids(self) -> FileIds | None:
        """Which files it has opened; None where it is a database."""
        return None if self._transactions.files is None else self._transactions.files.ids

    def close(self) -> None:
        self._transactions.close()
        self.engine.dispose()
