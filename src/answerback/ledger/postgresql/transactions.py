"""Transactions on PostgreSQL, beside those of other processes, and again where they fail for no fault of theirs.

A transaction is alone (nobody else writes meanwhile, as on SQLite) or beside others: then it holds the rows of its calls
itself, in order of their ids, before it looks at what belongs to them.

A transaction takes its id before any number for a row: so a reader who leaves out what is younger than the oldest
transaction under way sees rows in the order of their numbers (`history.happened_since`).

When the connection breaks during a commit nobody has said whether it was done. The server knows, by the transaction's id, as
long as it is the same one; after a failover it may have given the id to another.
"""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Engine, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from answerback.errors import LedgerUnavailable
from answerback.ledger.postgresql.schema import forget_months

T = TypeVar("T")

_WRITERS = 0x616E73_00
_alone = text(f"SELECT pg_current_xact_id()::text, pg_advisory_xact_lock({_WRITERS})")
_beside = text(f"SELECT pg_current_xact_id()::text, pg_advisory_xact_lock_shared({_WRITERS})")
_outcome = text("SELECT pg_xact_status(CAST(:id AS xid8))")
_timeline = text("SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)")

_PAUSES_S = (0.0, 0.01, 0.05, 0.1, 0.2)
_AGAIN = (
    "40",  # serialization, deadlock
    "08",  # the connection
    "57P",  # the server stops, crashes or starts
    "23505",  # another process was first with the same call
    "23514",  # a month that was let go comes up once more
    "25006",  # it has become a standby
    "55P03",  # a lock
    "53300",  # too many connections
)
_NO_CONNECTION = None


class CommitUnknown(LedgerUnavailable):
    """The connection broke while a transaction was committed, and nobody can tell any more whether it was."""


class Transactions:
    """The one writing connection of a process."""

    def __init__(self, engine: Engine, retry_s: float) -> None:
        self._engine = engine
        self._retry_s = retry_s
        self._connection: Connection | None = None
        self._timeline: str | None = None
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

        `repeatable`: to do it twice does no harm. Raises what the driver raised last, and LedgerUnavailable where nobody knows
        whether it was done.
        """
        with self._writing:
            deadline_s = time.monotonic() + self._retry_s
            attempt = 0
            while True:
                try:
                    done = self._once(work, beside=beside)
                except (SQLAlchemyError, self._engine.dialect.loaded_dbapi.Error, CommitUnknown) as error:
                    undone()
                    if _lost(error):
                        self._forget()
                    worth_it = repeatable if isinstance(error, CommitUnknown) else _passes(error)
                    pause_s = _PAUSES_S[min(attempt, len(_PAUSES_S) - 1)]
                    if not worth_it or time.monotonic() + pause_s > deadline_s:
                        raise
                    time.sleep(pause_s)
                    attempt += 1
                else:
                    return done

    def close(self) -> None:
        """Let go of the connection."""
        self._forget()
        self._engine.dispose()

    def _once(self, work: Callable[[Connection], T], *, beside: bool) -> T:
        connection = self._connected()
        transaction = connection.begin()
        try:
            id_ = str(connection.execute(_beside if beside else _alone).scalar_one())
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
            if self._was_committed(id_):
                return result
            raise
        return result

    def _was_committed(self, id_: str) -> bool:
        """Whether a transaction was, as the server says it. Raises CommitUnknown, and what the driver raises."""
        deadline_s = time.monotonic() + self._retry_s
        before = self._timeline
        while time.monotonic() < deadline_s:
            try:
                connection = self._connected()
                with connection.begin():
                    if self._timeline != before:
                        break
                    status = connection.execute(_outcome, {"id": id_}).scalar()
            except (SQLAlchemyError, self._engine.dialect.loaded_dbapi.Error):
                self._forget()
                time.sleep(_PAUSES_S[-1])
                continue
            if status in ("committed", "aborted"):
                return bool(status == "committed")
            time.sleep(_PAUSES_S[-1])
        raise CommitUnknown("the connection broke during a commit, and whether it was done is not known")

    def _connected(self) -> Connection:
        if self._connection is None:
            connection = self._engine.connect()
            with connection.begin():
                self._timeline = connection.execute(_timeline).scalar()
            self._connection = connection
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
    state = _state(error)
    return state is _NO_CONNECTION or state.startswith(("08", "57P", "25006"))


def _passes(error: Exception) -> bool:
    """Whether it may go well another time."""
    state = _state(error)
    if state is _NO_CONNECTION:
        return isinstance(error, OperationalError) or not isinstance(error, SQLAlchemyError)
    return state.startswith(_AGAIN)


def _state(error: Exception) -> str | None:
    """The server's code of an error; None where it did not say one."""
    original = error.orig if isinstance(error, DBAPIError) else error
    state: str | None = getattr(original, "sqlstate", None)
    return state
