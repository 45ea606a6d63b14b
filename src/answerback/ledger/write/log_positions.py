"""How far each log of callbacks is recorded, written in the transaction that records it: so each row goes in once.

Of a stream the ids of its batches are kept as well: one that comes once more changes nothing at all.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from sqlalchemy import delete, select, update
from sqlalchemy.engine import Connection

from answerback.errors import PositionConflict
from answerback.ledger.backends.selection import bulk_sql
from answerback.ledger.tables import consumed_batches, log_positions

_BEGIN = (
    "INSERT INTO log_positions (position, updated_us, log) VALUES (?, ?, ?) ON CONFLICT (log)"
    " DO UPDATE SET position = excluded.position, updated_us = excluded.updated_us WHERE log_positions.position = ?"
)
_ADVANCE = "UPDATE log_positions SET position = ?, updated_us = ? WHERE log = ? AND position = ?"


def advance_position(connection: Connection, log: bytes, after: int, position: int, now_us: int) -> None:
    """`log` is recorded up to `position`. Raises PositionConflict where it was not recorded up to `after` before."""
    cursor = bulk_sql(connection).execute(_ADVANCE if after else _BEGIN, (position, now_us, log, after))
    if not cursor.rowcount:
        held = find_positions(connection, [log])[log]
        raise PositionConflict(f"log {log.hex()} is recorded up to {held}, not {after}")


def find_positions(connection: Connection, logs: Sequence[bytes]) -> dict[bytes, int]:
    """How far each of `logs` is recorded: 0 where nothing of it is."""
    known = select(log_positions.c.log, log_positions.c.position).where(log_positions.c.log.in_(logs))
    return dict.fromkeys(logs, 0) | {bytes(log): position for log, position in connection.execute(known)}


def forget_logs(connection: Connection, keep: Iterable[bytes], now_us: int, before_us: int) -> None:
    """Forget the logs that nobody has recorded or kept since `before_us`; those of `keep` are kept as of now."""
    kept = log_positions.c.log.in_(list(keep))
    connection.execute(update(log_positions).where(kept).values(updated_us=now_us))
    connection.execute(delete(log_positions).where(~kept, log_positions.c.updated_us < before_us))


def claim_new_batches(connection: Connection, published_us: Mapping[bytes, int]) -> set[bytes]:
    """The ids of those that the ledger does not hold yet; from now on it does, if the transaction commits.

    They go in sorted, so that of two recorders with the same batches one waits for the other.
    """
    if not published_us:
        return set()
    values = [value for id_ in sorted(published_us) for value in (id_, published_us[id_])]
    rows = ", ".join(["(?, ?)"] * len(published_us))
    sql = (
        f"INSERT INTO consumed_batches (batch_id, published_us) VALUES {rows} ON CONFLICT DO NOTHING RETURNING batch_id"  # noqa: S608  # marks for values
    )
    return {bytes(id_) for (id_,) in bulk_sql(connection).execute(sql, tuple(values)).fetchall()}


def find_recorded(connection: Connection, ids: Collection[bytes]) -> list[bytes]:
    """Which of these batches were recorded."""
    known = select(consumed_batches.c.batch_id).where(consumed_batches.c.batch_id.in_(ids))
    return [bytes(id_) for id_ in connection.execute(known).scalars()]


def forget_batches(connection: Connection, ids: Collection[bytes]) -> None:
    """Hold these no longer; one that comes again is recorded."""
    if ids:
        connection.execute(delete(consumed_batches).where(consumed_batches.c.batch_id.in_(ids)))


def prune_batches(connection: Connection, before_us: int, limit: int) -> int:
    """Forget up to `limit` of the batches published before `before_us`; how many there were."""
    old = (
        select(consumed_batches.c.batch_id)
        .where(consumed_batches.c.published_us < before_us)
        .order_by(consumed_batches.c.published_us)
    )
    ids = connection.execute(old.limit(limit)).scalars().all()
    forget_batches(connection, ids)
    return len(ids)
