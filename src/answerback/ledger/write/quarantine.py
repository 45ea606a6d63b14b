"""Bodies that could not be understood: kept, bounded, counted.

The oldest stay and the newest are dropped when the room or the rate is used up: the first bodies of a flood tell
what it is, and nobody can push out what was there before.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import blake2b

from sqlalchemy import func, insert, select, update
from sqlalchemy.engine import Connection

from answerback.domain.models import ParsedCallback, RejectedCallback
from answerback.ledger.admin.audit import Actor, AuditAction, record_event
from answerback.ledger.read.paging import MAX_ID
from answerback.ledger.tables import quarantine, saturating_add
from answerback.ledger.types import Disposition, Receipt, to_us
from answerback.tencent.codes import ResponseCode

_SECONDS = 60.0
_RESYNC_S = 5.0
_ROW_BYTES = 256  # what the smallest body takes, with its reason and its index entries
_MIN_BODIES = 1000


class QuarantineWriter:
    """The bounds of the quarantine table, and the way into it."""

    def __init__(self, max_bytes: int, max_per_minute: int) -> None:
        self.set_bounds(max_bytes, max_per_minute)
        self._allowance = float(max_per_minute)
        self._refilled_s = time.monotonic()
        self._used_bytes = self._used_bodies = 0
        self._synced_s = float("-inf")

    def set_bounds(self, max_bytes: int, max_per_minute: int) -> None:
        """Change the bounds; what is kept already stays."""
        self._max_bytes = max_bytes
        self._max_bodies = max(_MIN_BODIES, max_bytes // _ROW_BYTES)
        self._max_per_minute = max_per_minute

    def store(self, connection: Connection, item: RejectedCallback) -> Receipt:
        """Keep `item`, count it where the same bytes are kept already, or drop it where there is no room."""
        digest = blake2b(item.raw, key=item.channel.encode()[:64], digest_size=16).digest()
        known = connection.execute(select(quarantine.c.id).where(quarantine.c.digest == digest)).scalar()
        if known is not None:
            connection.execute(
                update(quarantine)
                .where(quarantine.c.id == known)
                .values(
                    duplicates=saturating_add(quarantine.c.duplicates, 1), last_duplicate_us=to_us(item.received_at)
                )
            )
            return Receipt(Disposition.DUPLICATE, known)
        if not self._admits(connection, len(item.raw)) and item.bounded:
            return Receipt(Disposition.DROPPED)
        id_ = connection.execute(
            insert(quarantine)
            .returning(quarantine.c.id)
            .values(
                channel=item.channel,
                digest=digest,
                result=item.result,
                reason=item.reason,
                received_us=to_us(item.received_at),
                duplicates=0,
                size_bytes=len(item.raw),
                raw=item.raw,
            )
        ).scalar_one()
        return Receipt(Disposition.QUARANTINED, id_)

    def _admits(self, connection: Connection, size_bytes: int) -> bool:
        now = time.monotonic()
        refill = (now - self._refilled_s) * self._max_per_minute / _SECONDS
        self._allowance, self._refilled_s = min(float(self._max_per_minute), self._allowance + refill), now
        if now - self._synced_s > _RESYNC_S:  # another process may have emptied it
            totals = select(func.count(), func.coalesce(func.sum(quarantine.c.size_bytes), 0)).select_from(quarantine)
            self._used_bodies, self._used_bytes = connection.execute(totals).one()
            self._synced_s = now
        full = self._used_bytes + size_bytes > self._max_bytes or self._used_bodies >= self._max_bodies
        if full or self._allowance < 1:
            return False
        self._allowance -= 1
        self._used_bytes += size_bytes
        self._used_bodies += 1
        return True

    def delete(self, connection: Connection, ids: Sequence[int], actor: Actor) -> int:
        """Throw refused bodies away; how many there were."""
        self.invalidate_count()
        known = [id_ for id_ in ids if 0 <= id_ < MAX_ID]
        gone = quarantine.delete().where(quarantine.c.id.in_(known)).returning(quarantine.c.id)
        if dropped := sorted(connection.execute(gone).scalars()):
            words = ("quarantined body",) if len(dropped) == 1 else (len(dropped), "quarantined bodies")
            record_event(connection, actor, AuditAction.QUARANTINE_DELETED, datetime.now(UTC), *words, *dropped)
        return len(dropped)

    def invalidate_count(self) -> None:
        """Forget what is thought to be there: a transaction was undone, or something was taken out."""
        self._synced_s = float("-inf")


def refusal_of(item: ParsedCallback, reason: str) -> RejectedCallback:
    """A callback that was answered and cannot be recorded, to be kept whatever else the quarantine holds."""
    return RejectedCallback(
        channel=item.channel,
        raw=item.raw,
        result=ResponseCode.INVALID_FIELD,
        reason=reason,
        received_at=item.received_at,
        bounded=False,
    )
