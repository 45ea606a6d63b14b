"""How far each log of callbacks is recorded, written in the transaction that records it: so each row goes in once."""

from collections.abc import Iterable, Sequence

from sqlalchemy import delete, select, update
from sqlalchemy.engine import Connection

from answerback.errors import PositionConflict
from answerback.ledger.backends import bulk_sql
from answerback.ledger.tables import log_positions

_BEGIN = (
    "INSERT INTO log_positions (position, updated_us, log) VALUES (?, ?, ?) ON CONFLICT (log)"
    " DO UPDATE SET position = excluded.position, updated_us = excluded.updated_us WHERE log_positions.position = ?"
)
_ADVANCE = "UPDATE log_positions SET position = ?, updated_us = ? WHERE log = ? AND position = ?"


def advance_position(connection: Connection, log: bytes, after: int, position: int, now_us: int) -> None:
    """`log` is recorded up to `position`. Raises PositionConflict where it was not recorded up to `after` before."""
    cursor = bulk_sql.execute(connection, _ADVANCE if after else _BEGIN, (position, now_us, log, after))
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
