"""The writing path: a batch of callbacks becomes one transaction.

Each call of the batch is loaded once, every callback is folded in, each changed call is written once for each slice of the
batch. A repeat only raises a counter. Statistics are written at the end, for all slices together.
"""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec
from sqlalchemy import Integer, bindparam, update
from sqlalchemy.engine import Connection

from answerback.domain.calls import fold
from answerback.domain.models import Call, CallbackKind, ParsedCallback, RejectedCallback
from answerback.ledger.backends.selection import bulk_sql, dialect_of
from answerback.ledger.rows import CALL_COLUMNS, READ_COLUMNS, call_of, call_row
from answerback.ledger.tables import call_key, callbacks, calls, saturating_add
from answerback.ledger.types import Disposition, Item, Receipt, RecordResult, to_us
from answerback.ledger.write.key_order import is_out_of_order, keys_in_order
from answerback.ledger.write.outbox import OutboxWriter
from answerback.ledger.write.quarantine import QuarantineWriter, refusal_of
from answerback.ledger.write.retention import find_pruned
from answerback.ledger.write.rollups import DUPLICATE, QUARANTINED, REVISED, STORED, IngestCounter, Rollups
from answerback.ledger.write.subscriptions import SubscriptionCache

CALLBACK_COLUMNS = ("id", "call_id", "fingerprint", "kind", "received_us", "duplicates", "raw")

_NO_ANNOTATION = (None,) * (len(READ_COLUMNS) - len(CALL_COLUMNS))

Row = tuple[Any, ...]
CallKey = tuple[str, str]
"""A call's channel and call_key."""

_add_duplicates = (
    update(callbacks)
    .where(callbacks.c.id == bindparam("callback_id"))
    .values(
        duplicates=saturating_add(callbacks.c.duplicates, bindparam("times", type_=Integer)),
        last_duplicate_us=bindparam("last_us"),
    )
)


PRUNED = "its call was deleted because of its age, and is already in the statistics"
"""Why a callback that came very late is in quarantine."""


def never() -> bool:
    """Nobody waits."""
    return False


def record(
    connection: Connection,
    slices: Sequence[Sequence[Item]],
    quarantine: QuarantineWriter,
    subscriptions: SubscriptionCache,
    saturated: Collection[int] = (),
    is_write_waiting: Callable[[], bool] = never,
) -> RecordResult:
    """Write `slices`, and the deliveries that follow from them, in the connection's transaction. The caller commits.

    It stops after the first slice at whose end another write is waiting.
    """
    slices = [dialect_of(connection).storable_batch(items) for items in slices]
    received = [item for items in slices for item in items if isinstance(item, ParsedCallback)]
    writer = BatchWriter(connection, received, subscriptions, saturated)
    recorded: list[Item] = []
    receipts: list[Receipt] = []
    done = 0
    for items in slices:
        recorded += items
        receipts += [writer.apply(item, quarantine) for item in items]
        writer.write()
        done += 1
        if is_write_waiting():
            break
    writer.write_statistics()
    return RecordResult(receipts, writer.outbox.jobs, sorted(writer.outbox.backlogged), recorded, slices=done)


class BatchWriter:
    """The calls that a batch touches, and the rows to be written because of it."""

    def __init__(
        self,
        connection: Connection,
        received: Sequence[ParsedCallback],
        subscriptions: SubscriptionCache,
        saturated: Collection[int],
    ) -> None:
        self._connection = connection
        self._ids: dict[CallKey, int] = {}
        self._calls: dict[CallKey, Call] = {}
        self._rows: dict[CallKey, Row] = {}
        """The calls that the ledger holds, as READ_COLUMNS."""
        self._pruned: set[CallKey] = set()
        """The calls that it held once, and that were deleted for their age."""
        self._known: dict[tuple[int, bytes], int] = {}
        self._changed: dict[CallKey, None] = {}
        self._callbacks: list[tuple[object, ...]] = []
        self._duplicates: Counter[int] = Counter()
        self._last_duplicate_us: dict[int, int] = {}
        self._key_presses: dict[CallKey, list[ParsedCallback]] = {}
        self._out_of_order: set[CallKey] = set()
        self._rollups = Rollups()
        self._ingest_counts = IngestCounter()
        if received:
            self._load(received)
            self._callback_ids = bulk_sql(connection).id_allocator(callbacks, len(received))
        self.outbox = OutboxWriter(connection, subscriptions, self._ids.values(), saturated)

    def _load(self, received: Sequence[ParsedCallback]) -> None:
        """Load the calls that exist already, and which of the batch's callbacks they hold already."""
        keys = list(dict.fromkeys((item.channel, call_key(item.callback.callid)) for item in received))
        found = bulk_sql(self._connection).select_many(calls, READ_COLUMNS, ("channel", "call_key"), keys, lock=True)
        rows = {(row[1], row[2]): row for row in found}
        self._pruned = find_pruned(self._connection, [key for key in keys if key not in rows])
        self._call_ids = bulk_sql(self._connection).id_allocator(calls, len(keys) - len(rows))
        if not rows:
            return
        self._ids = {key: row[0] for key, row in rows.items()}
        asked = dict.fromkeys(
            (self._ids[key], item.fingerprint)
            for item in received
            if (key := (item.channel, call_key(item.callback.callid))) in rows
        )
        held = bulk_sql(self._connection).select_many(
            callbacks, ("id", "call_id", "fingerprint"), ("call_id", "fingerprint"), list(asked)
        )
        self._known = {(call_id, bytes(fingerprint)): id_ for id_, call_id, fingerprint in held}
        seen: dict[int, set[bytes]] = {}
        for call_id, fingerprint in self._known:
            seen.setdefault(call_id, set()).add(fingerprint)
        for key, row in rows.items():
            self._calls[key] = call_of(row, frozenset(seen.get(self._ids[key], ())))
        self._rows = rows

    def apply(self, item: Item, quarantine: QuarantineWriter) -> Receipt:
        """Fold one callback into its call, or put into quarantine what cannot be."""
        if isinstance(item, RejectedCallback):
            return self._set_aside(quarantine, item)
        key = (item.channel, call_key(item.callback.callid))
        if key in self._pruned:
            return self._set_aside(quarantine, refusal_of(item, PRUNED))
        return self._fold(key, item)

    def _fold(self, key: CallKey, item: ParsedCallback) -> Receipt:
        before = self._calls.get(key)
        after = fold(before, item)
        if after is before:
            return self._count_duplicate(self._known[self._ids[key], item.fingerprint], item)
        received_us = to_us(item.received_at)
        if key not in self._ids:
            self._ids[key] = self._call_ids.for_time(received_us)
        self._calls[key] = after
        self._changed[key] = None
        if item.callback.kind is CallbackKind.KEY:
            self._key_presses.setdefault(key, []).append(item)
            if is_out_of_order(before, item):
                self._out_of_order.add(key)
        self._ingest_counts.count(STORED, received_us, item.channel)
        if before is not None and after.revisions > before.revisions:
            self._ingest_counts.count(REVISED, received_us, item.channel)
        call_id = self._ids[key]
        id_ = self._callback_ids.for_call(call_id)
        self._known[call_id, item.fingerprint] = id_
        self._callbacks.append((id_, call_id, item.fingerprint, item.callback.kind.value, received_us, 0, item.raw))
        self.outbox.enqueue_callback(call_id, id_, item, before, after)
        return Receipt(Disposition.STORED, id_)

    def _count_duplicate(self, id_: int, item: ParsedCallback) -> Receipt:
        self._duplicates[id_] += 1
        self._last_duplicate_us[id_] = to_us(item.received_at)
        self._ingest_counts.count(DUPLICATE, self._last_duplicate_us[id_], item.channel)
        return Receipt(Disposition.DUPLICATE, id_)

    def _set_aside(self, quarantine: QuarantineWriter, item: RejectedCallback) -> Receipt:
        receipt = quarantine.store(self._connection, item)
        if receipt.disposition is Disposition.QUARANTINED:
            self._ingest_counts.count(QUARANTINED, to_us(item.received_at), item.channel)
        return receipt

    def write(self) -> None:
        """Write the rows of what was applied since the last time."""
        for key in self._out_of_order:
            call = self._calls[key]
            keys = keys_in_order(self._connection, key[0], self._ids[key], self._key_presses[key], call.keys)
            self._calls[key] = msgspec.structs.replace(call, keys=keys)
        new: list[Row] = []
        changed: list[Row] = []
        for key in self._changed:
            before, row = self._rows.get(key), call_row(self._ids[key], key[1], self._calls[key])
            (new if before is None else changed).append(row)
            self._rows[key] = after = row + (_NO_ANNOTATION if before is None else before[len(row) :])
            self._rollups.replace(before, after)
        with bulk_sql(self._connection).pipelined(len(self._callbacks) + len(self.outbox)):
            bulk_sql(self._connection).insert(calls, CALL_COLUMNS, new)
            bulk_sql(self._connection).upsert(calls, CALL_COLUMNS, ("channel", "call_key"), changed)
            bulk_sql(self._connection).insert(callbacks, CALLBACK_COLUMNS, self._callbacks)
            self.outbox.write()
        if self._duplicates:
            self._connection.execute(
                _add_duplicates,
                [
                    {"callback_id": id_, "times": times, "last_us": self._last_duplicate_us[id_]}
                    for id_, times in self._duplicates.items()
                ],
            )
        for done in (self._changed, self._callbacks, self._duplicates, self._key_presses, self._out_of_order):
            done.clear()

    def write_statistics(self) -> None:
        """Bring the statistics up to the calls as they are now; last, for all writers meet there."""
        with bulk_sql(self._connection).pipelined():
            bulk_sql(self._connection).lock_rollups()
            self._rollups.write(self._connection)
            self._ingest_counts.write(self._connection)
