"""Transactions on PostgreSQL, beside those of other processes, and again where they fail for no fault of theirs.

A transaction is alone (nobody else writes meanwhile, as on SQLite) or beside others: then it holds the rows of its calls
itself, in order of their ids, before it looks at what belongs to them.

When the connection breaks during a commit nobody has said whether it was done. So each transaction leaves a mark of its own in a
row of its process, and a new connection looks which one is there. It does so by a commit, which waits for whoever still holds the
row, and for the standby where commits do. A transaction's id would not tell: after a crash PostgreSQL gives it to another.

The mark is left before any number for a row is drawn: so a reader who leaves out what is younger than the oldest transaction
under way sees rows in the order of their numbers (`deliveries.happened_since`).
"""

import threading
import time
from collections.abc import Callable
from secrets import token_hex
from typing import TypeVar

from sqlalchemy import Engine, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from answerback.errors import LedgerUnavailable, UnavailableReason
from answerback.ledger.backends.driver_errors import closed_on_failure, meaning, sqlstate
from answerback.ledger.backends.postgresql.schema import forget_months

T = TypeVar("T")

_WRITERS = 0x616E73_00
_ALONE, _BESIDE = (f"SELECT pg_advisory_xact_lock{kind}({_WRITERS})" for kind in ("", "_shared"))
_alone, _beside = text(_ALONE), text(_BESIDE)
_leave = "WITH mark AS (UPDATE writers SET mark = :mark WHERE id = :id) "
_alone_marked, _beside_marked = text(_leave + _ALONE), text(_leave + _BESIDE)
_last_mark = text(
    "INSERT INTO writers (id, mark, seen_us) VALUES (:id, '', :now_us)"
    " ON CONFLICT (id) DO UPDATE SET seen_us = :now_us RETURNING mark"
)
_never_idle = text("SET idle_in_transaction_session_timeout = '5s'")
"""We never wait within a transaction. If this machine stops in the middle of one, all who write alone wait for it, and so does whoever
is to take over our leases, until the server has ended it."""
_forget_dead = text("DELETE FROM writers WHERE seen_us < :before_us")

_PAUSES_S = (0.0, 0.01, 0.05, 0.1, 0.2)
_NOW_STANDBY = "25006"
_ANEW_S = 24 * 3600
_DEAD_US = 30 * _ANEW_S * 1_000_000  # a process connects anew each day; one that has not for so long has ended


class CommitUnknown(LedgerUnavailable):
    """The connection broke while a transaction was committed, and nobody can tell any more whether it was."""

    def __init__(self) -> None:
        super().__init__(UnavailableReason.COMMIT_UNKNOWN)


class Transactions:
    """The one writing connection of a process."""

    files = None

    def __init__(self, engine: Engine, retry_s: float) -> None:
        self._engine = engine
        self._retry_s = retry_s
        self._connection: Connection | None = None
        self._id = token_hex(8)
        self._mark = ""
        self._connected_s = 0.0
        self._writing = threading.Lock()

    def write(
        self,
        work: Callable[[Connection], T],
        undone: Callable[[], None],
        *,
        beside: bool = False,
        repeatable: bool = False,
    ) -> T:
        """Do `work` and commit it, again and again for a while where it is worth it; `undone` is called each time it was not.

        `repeatable`: to do it twice does no harm, so it leaves no mark. Raises what the driver raised last, and CommitUnknown where
        nobody knows whether it was done.
        """
        with self._writing:
            deadline_s = time.monotonic() + self._retry_s
            attempt = 0
            while True:
                try:
                    done = self._once(work, beside=beside, marked=not repeatable)
                except Exception as error:
                    undone()
                    if _lost(error):
                        self._forget()
                    pause_s = _PAUSES_S[min(attempt, len(_PAUSES_S) - 1)]
                    if not meaning(error).passes or time.monotonic() + pause_s > deadline_s:
                        raise
                    time.sleep(pause_s)
                    attempt += 1
                else:
                    return done

    def close(self) -> None:
        """Let go of the connection."""
        self._forget()
        self._engine.dispose()

    def _once(self, work: Callable[[Connection], T], *, beside: bool, marked: bool) -> T:
        if time.monotonic() - self._connected_s > _ANEW_S:
            self._forget()
        connection = self._connected()
        transaction = connection.begin()
        mark = token_hex(8)
        try:
            if marked:
                connection.execute(_beside_marked if beside else _alone_marked, {"mark": mark, "id": self._id})
            else:
                connection.execute(_beside if beside else _alone)
            result = work(connection)
        except BaseException:
            self._roll_back()
            raise
        try:
            transaction.commit()
        except (SQLAlchemyError, self._engine.dialect.loaded_dbapi.Error) as error:
            if not _lost(error):
                raise
            self._forget()
            if marked and self._last_mark() == mark:
                return result
            raise
        return result

    def _last_mark(self) -> str:
        """The mark of the last transaction that was committed. Raises CommitUnknown where the server stays away."""
        deadline_s = time.monotonic() + self._retry_s
        while time.monotonic() < deadline_s:
            try:
                self._connected()
            except (SQLAlchemyError, self._engine.dialect.loaded_dbapi.Error):
                self._forget()
                time.sleep(_PAUSES_S[-1])
            else:
                return self._mark
        raise CommitUnknown

    def _connected(self) -> Connection:
        """The connection; a new one begins with a commit that shows what the one before has left."""
        if self._connection is None:
            connection = self._engine.connect()
            now_us = time.time_ns() // 1000
            with closed_on_failure(connection), connection.begin():
                connection.execute(_never_idle)
                self._mark = str(connection.execute(_last_mark, {"id": self._id, "now_us": now_us}).scalar_one())
                connection.execute(_forget_dead, {"before_us": now_us - _DEAD_US})
            self._connection, self._connected_s = connection, time.monotonic()
        return self._connection

    def _roll_back(self) -> None:
        connection = self._connection
        if connection is None:
            return
        if connection.invalidated:
            self._forget()
        else:
            forget_months(connection)
            try:
                if connection.in_transaction():
                    connection.rollback()
            except SQLAlchemyError:
                self._forget()

    def _forget(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()


def _lost(error: Exception) -> bool:
    """Whether the connection is gone."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return meaning(error).reason is UnavailableReason.UNREACHABLE or sqlstate(error) == _NOW_STANDBY
