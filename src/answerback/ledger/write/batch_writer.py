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
from answerback.domain.models import Call, Kind, Received, Rejected
from answerback.ledger.backends import bulk_sql
from answerback.ledger.backends.postgresql.text import storable_item
from answerback.ledger.rows import CALL_COLUMNS, READ_COLUMNS, call_of, call_row
from answerback.ledger.tables import call_key, callbacks, calls, saturated
from answerback.ledger.types import Receipt, Recorded, Taken, to_us
from answerback.ledger.write.key_order import comes_late, keys_in_order
from answerback.ledger.write.outbox import Outbox, Owing
from answerback.ledger.write.quarantine import Quarantine
from answerback.ledger.write.rollups import QUARANTINED, REPEATED, REVISED, STORED, Coming, Rollups

CALLBACK_COLUMNS = ("id", "call_id", "identity", "kind", "received_us", "repeats", "raw")

Key = tuple[str, str]
"""A call's channel and call_key."""

_repeated = (
    update(callbacks)
    .where(callbacks.c.id == bindparam("callback_id"))
    .values(repeats=saturated(callbacks.c.repeats, bindparam("times", type_=Integer)), repeated_us=bindparam("last_us"))
)


def record(
    connection: Connection,
    batch: Sequence[Received | Rejected],
    quarantine: Quarantine,
    outbox: Outbox,
    full: Collection[int] = (),
) -> Recorded:
    """Write `batch`, and what is owed because of it, in the connection's transaction. The caller commits."""
    if bulk_sql.on_postgresql(connection):
        batch = [storable_item(item) for item in batch]
    transaction = _Batch(connection, [item for item in batch if isinstance(item, Received)], outbox, full)
    receipts = [
        transaction.add(item) if isinstance(item, Received) else quarantine.take(connection, item) for item in batch
    ]
    for item, receipt in zip(batch, receipts, strict=True):
        if receipt.taken is Taken.QUARANTINED:
            transaction.coming.count(QUARANTINED, to_us(item.received_at), item.channel)
    transaction.write()
    return Recorded(receipts, transaction.owing.jobs, sorted(transaction.owing.behind), batch)


class _Batch:
    """The calls that a batch touches, and the rows that it owes the tables."""

    def __init__(
        self, connection: Connection, received: Sequence[Received], outbox: Outbox, full: Collection[int]
    ) -> None:
        self._connection = connection
        self._ids: dict[Key, int] = {}
        self._calls: dict[Key, Call] = {}
        self._loaded: dict[Key, tuple[Any, ...]] = {}
        self._known: dict[tuple[int, bytes], int] = {}
        self._changed: dict[Key, None] = {}
        self._callbacks: list[tuple[object, ...]] = []
        self._repeats: Counter[int] = Counter()
        self._repeated_us: dict[int, int] = {}
        self._presses: dict[Key, list[Received]] = {}
        self._late: set[Key] = set()
        self.coming = Coming()
        if received:
            self._load(received)
            self._callback_ids = bulk_sql.new_ids(connection, callbacks, len(received))
        self.owing = Owing(connection, outbox, self._ids.values(), full)

    def _load(self, received: Sequence[Received]) -> None:
        """Load the calls that exist already, and which of the batch's callbacks they hold already."""
        keys = list(dict.fromkeys((item.channel, call_key(item.callback.callid)) for item in received))
        found = bulk_sql.find(self._connection, calls, READ_COLUMNS, ("channel", "call_key"), keys, lock=True)
        rows = {(row[1], row[2]): row for row in found}
        self._call_ids = bulk_sql.new_ids(self._connection, calls, len(keys) - len(rows))
        if not rows:
            return
        self._ids = {key: row[0] for key, row in rows.items()}
        asked = dict.fromkeys(
            (self._ids[key], item.identity)
            for item in received
            if (key := (item.channel, call_key(item.callback.callid))) in rows
        )
        held = bulk_sql.find(
            self._connection, callbacks, ("id", "call_id", "identity"), ("call_id", "identity"), list(asked)
        )
        self._known = {(call_id, bytes(identity)): id_ for id_, call_id, identity in held}
        seen: dict[int, set[bytes]] = {}
        for call_id, identity in self._known:
            seen.setdefault(call_id, set()).add(identity)
        for key, row in rows.items():
            self._calls[key] = call_of(row, frozenset(seen.get(self._ids[key], ())))
        self._loaded = rows

    def add(self, item: Received) -> Receipt:
        """Fold one callback into its call."""
        key = (item.channel, call_key(item.callback.callid))
        before = self._calls.get(key)
        after = fold(before, item)
        if after is before:
            return self._repeat(self._known[self._ids[key], item.identity], item)
        received_us = to_us(item.received_at)
        if key not in self._ids:
            self._ids[key] = self._call_ids.of_time(received_us)
        self._calls[key] = after
        self._changed[key] = None
        if item.callback.kind is Kind.KEY:
            self._presses.setdefault(key, []).append(item)
            if comes_late(before, item):
                self._late.add(key)
        self.coming.count(STORED, received_us, item.channel)
        if before is not None and after.revisions > before.revisions:
            self.coming.count(REVISED, received_us, item.channel)
        call_id = self._ids[key]
        id_ = self._callback_ids.beside(call_id)
        self._known[call_id, item.identity] = id_
        self._callbacks.append((id_, call_id, item.identity, item.callback.kind.value, received_us, 0, item.raw))
        self.owing.tell(call_id, id_, item, before, after)
        return Receipt(Taken.STORED, id_)

    def _repeat(self, id_: int, item: Received) -> Receipt:
        self._repeats[id_] += 1
        self._repeated_us[id_] = to_us(item.received_at)
        self.coming.count(REPEATED, self._repeated_us[id_], item.channel)
        return Receipt(Taken.REPEATED, id_)

    def write(self) -> None:
        """Hand every owed row to the database."""
        for key in self._late:
            keys = keys_in_order(self._connection, key[0], self._ids[key], self._presses[key])
            self._calls[key] = msgspec.structs.replace(self._calls[key], keys=keys)
        rows = [call_row(self._ids[key], key[1], self._calls[key]) for key in self._changed]
        known = self._loaded
        new = [row for key, row in zip(self._changed, rows, strict=True) if key not in known]
        changed = [row for key, row in zip(self._changed, rows, strict=True) if key in known]
        with bulk_sql.together(self._connection, len(self._callbacks) + len(self.owing)):
            bulk_sql.insert(self._connection, calls, CALL_COLUMNS, new)
            bulk_sql.upsert(self._connection, calls, CALL_COLUMNS, ("channel", "call_key"), changed)
            bulk_sql.insert(self._connection, callbacks, CALLBACK_COLUMNS, self._callbacks)
            self.owing.write()
        if self._repeats:
            self._connection.execute(
                _repeated,
                [
                    {"callback_id": id_, "times": times, "last_us": self._repeated_us[id_]}
                    for id_, times in self._repeats.items()
                ],
            )
        with bulk_sql.together(self._connection, len(rows)):
            self._write_sums(rows)

    def _write_sums(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Bring the statistics up to the calls as they are now; last, for all writers meet there."""
        sums = Rollups()
        for key, row in zip(self._changed, rows, strict=True):
            sums.replace(self._loaded.get(key), row)
        bulk_sql.hold_sums(self._connection)
        sums.write(self._connection)
        self.coming.write(self._connection)
