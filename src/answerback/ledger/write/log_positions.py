"""How far each log of callbacks is recorded, written in the transaction that records it: so each row goes in once."""

from collections.abc import Iterable, Sequence

from sqlalchemy import bindparam, delete, select, text, update
from sqlalchemy.engine import Connection

from answerback.errors import PositionConflict
from answerback.ledger.tables import log_positions

_lock = text(
    "INSERT INTO log_positions (log, position, updated_us) VALUES (:log, 0, :now_us)"
    " ON CONFLICT (log) DO UPDATE SET updated_us = excluded.updated_us RETURNING position"
)
_move = (
    update(log_positions).where(log_positions.c.log == bindparam("of_log")).values(position=bindparam("new_position"))
)


def lock_position(connection: Connection, log: bytes, position: int, now_us: int) -> None:
    """Let nobody else record `log` before the transaction ends. Raises PositionConflict where it is not at `position`."""
    held: int = connection.execute(_lock, {"log": log, "now_us": now_us}).scalar_one()
    if held != position:
        raise PositionConflict(f"log {log.hex()} is recorded up to {held}, not {position}")


def move_position(connection: Connection, log: bytes, position: int) -> None:
    """`log`, whose position this transaction has locked, is recorded up to `position`."""
    connection.execute(_move, {"of_log": log, "new_position": position})


def find_positions(connection: Connection, logs: Sequence[bytes]) -> dict[bytes, int]:
    """How far each of `logs` is recorded: 0 where nothing of it is."""
    known = select(log_positions.c.log, log_positions.c.position).where(log_positions.c.log.in_(logs))
    return dict.fromkeys(logs, 0) | {bytes(log): position for log, position in connection.execute(known)}


def forget_logs(connection: Connection, keep: Iterable[bytes], now_us: int, before_us: int) -> None:
    """Forget the logs that nobody has recorded or kept since `before_us`; those of `keep` are kept as of now."""
    kept = log_positions.c.log.in_(list(keep))
    connection.execute(update(log_positions).where(kept).values(updated_us=now_us))
    connection.execute(delete(log_positions).where(~kept, log_positions.c.updated_us < before_us))
