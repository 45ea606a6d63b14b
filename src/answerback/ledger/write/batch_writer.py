"""The writing path: a batch of callbacks becomes one transaction.

Each call of the batch is loaded once, every callback is folded in, each changed call is written once. A
repeat only raises a counter.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from sqlalchemy import Integer, bindparam, update
from sqlalchemy.engine import Connection

from answerback.domain.calls import fold
from answerback.domain.models import Call, CallbackKind, ParsedCallback, RejectedCallback
from answerback.ledger.backends import bulk_sql
from answerback.ledger.backends.dialect import storable_batch
from answerback.ledger.rows import CALL_COLUMNS, READ_COLUMNS, call_of, call_row
from answerback.ledger.tables import call_key, callbacks, calls, saturating_add
from answerback.ledger.types import Disposition, Receipt, RecordResult, to_us
from answerback.ledger.write.key_order import is_out_of_order, keys_in_order
from answerback.ledger.write.outbox import OutboxWriter
from answerback.ledger.write.quarantine import Quarantine
from answerback.ledger.write.rollups import DUPLICATE, QUARANTINED, REVISED, STORED, IngestCounter, Rollups
from answerback.ledger.write.subscriptions import SubscriptionCache

CALLBACK_COLUMNS = ("id", "call_id", "fingerprint", "kind", "received_us", "duplicates", "raw")

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


def record(
    connection: Connection,
    batch: Sequence[ParsedCallback | RejectedCallback],
    quarantine: Quarantine,
    subscriptions: SubscriptionCache,
    saturated: Collection[int] = (),
) -> RecordResult:
    """Write `batch`, and the deliveries that follow from it, in the connection's transaction. The caller commits."""
    batch = storable_batch(connection, batch)
    writer = BatchWriter(
        connection, [item for item in batch if isinstance(item, ParsedCallback)], subscriptions, saturated
    )
    receipts = [
        writer.apply(item) if isinstance(item, ParsedCallback) else quarantine.store(connection, item) for item in batch
    ]
    for item, receipt in zip(batch, receipts, strict=True):
        if receipt.disposition is Disposition.QUARANTINED:
            writer.ingest_counts.count(QUARANTINED, to_us(item.received_at), item.channel)
    writer.write()
    return RecordResult(receipts, writer.outbox.jobs, sorted(writer.outbox.backlogged), batch)


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
        self._loaded: dict[CallKey, tuple[Any, ...]] = {}
        self._known: dict[tuple[int, bytes], int] = {}
        self._changed: dict[CallKey, None] = {}
        self._callbacks: list[tuple[object, ...]] = []
        self._duplicates: Counter[int] = Counter()
        self._last_duplicate_us: dict[int, int] = {}
        self._key_presses: dict[CallKey, list[ParsedCallback]] = {}
        self._out_of_order: set[CallKey] = set()
        self.ingest_counts = IngestCounter()
        if received:
            self._load(received)
            self._callback_ids = bulk_sql.id_allocator(connection, callbacks, len(received))
        self.outbox = OutboxWriter(connection, subscriptions, self._ids.values(), saturated)

    def _load(self, received: Sequence[ParsedCallback]) -> None:
        """Load the calls that exist already, and which of the batch's callbacks they hold already."""
        keys = list(dict.fromkeys((item.channel, call_key(item.callback.callid)) for item in received))
        found = bulk_sql.select_many(self._connection, calls, READ_COLUMNS, ("channel", "call_key"), keys, lock=True)
        rows = {(row[1], row[2]): row for row in found}
        self._call_ids = bulk_sql.id_allocator(self._connection, calls, len(keys) - len(rows))
        if not rows:
            return
        self._ids = {key: row[0] for key, row in rows.items()}
        asked = dict.fromkeys(
            (self._ids[key], item.fingerprint)
            for item in received
            if (key := (item.channel, call_key(item.callback.callid))) in rows
        )
        held = bulk_sql.select_many(
            self._connection, callbacks, ("id", "call_id", "fingerprint"), ("call_id", "fingerprint"), list(asked)
        )
        self._known = {(call_id, bytes(fingerprint)): id_ for id_, call_id, fingerprint in held}
        seen: dict[int, set[bytes]] = {}
        for call_id, fingerprint in self._known:
            seen.setdefault(call_id, set()).add(fingerprint)
        for key, row in rows.items():
            self._calls[key] = call_of(row, frozenset(seen.get(self._ids[key], ())))
        self._loaded = rows

    def apply(self, item: ParsedCallback) -> Receipt:
        """Fold one callback into its call."""
        key = (item.channel, call_key(item.callback.callid))
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
        self.ingest_counts.count(STORED, received_us, item.channel)
        if before is not None and after.revisions > before.revisions:
            self.ingest_counts.count(REVISED, received_us, item.channel)
        call_id = self._ids[key]
        id_ = self._callback_ids.for_call(call_id)
        self._known[call_id, item.fingerprint] = id_
        self._callbacks.append((id_, call_id, item.fingerprint, item.callback.kind.value, received_us, 0, item.raw))
        self.outbox.enqueue_callback(call_id, id_, item, before, after)
        return Receipt(Disposition.STORED, id_)

    def _count_duplicate(self, id_: int, item: ParsedCallback) -> Receipt:
        self._duplicates[id_] += 1
        self._last_duplicate_us[id_] = to_us(item.received_at)
        self.ingest_counts.count(DUPLICATE, self._last_duplicate_us[id_], item.channel)
        return Receipt(Disposition.DUPLICATE, id_)

    def write(self) -> None:
        for key in self._out_of_order:
            keys = keys_in_order(self._connection, key[0], self._ids[key], self._key_presses[key])
            self._calls[key] = msgspec.structs.replace(self._calls[key], keys=keys)
        rows = [call_row(self._ids[key], key[1], self._calls[key]) for key in self._changed]
        known = self._loaded
        new = [row for key, row in zip(self._changed, rows, strict=True) if key not in known]
        changed = [row for key, row in zip(self._changed, rows, strict=True) if key in known]
        with bulk_sql.pipelined(self._connection, len(self._callbacks) + len(self.outbox)):
            bulk_sql.insert(self._connection, calls, CALL_COLUMNS, new)
            bulk_sql.upsert(self._connection, calls, CALL_COLUMNS, ("channel", "call_key"), changed)
            bulk_sql.insert(self._connection, callbacks, CALLBACK_COLUMNS, self._callbacks)
            self.outbox.write()
        if self._duplicates:
            self._connection.execute(
                _add_duplicates,
                [
                    {"callback_id": id_, "times": times, "last_us": self._last_duplicate_us[id_]}
                    for id_, times in self._duplicates.items()
                ],
            )
        with bulk_sql.pipelined(self._connection, len(rows)):
            self._write_rollups(rows)

    def _write_rollups(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Bring the statistics up to the calls as they are now; last, for all writers meet there."""
        sums = Rollups()
        for key, row in zip(self._changed, rows, strict=True):
            sums.replace(self._loaded.get(key), row)
        bulk_sql.lock_rollups(self._connection)
        sums.write(self._connection)
        self.ingest_counts.write(self._connection)
