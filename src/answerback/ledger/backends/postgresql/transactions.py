"""Transactions on PostgreSQL, concurrent with those of other processes, and retried where they fail for no fault of theirs.

A transaction is exclusive (nobody else writes meanwhile, as on SQLite) or shared: then it locks the rows of its calls
itself, in order of their ids, before it looks at what belongs to them.

When the connection breaks during a commit nobody has said whether it was done. So each transaction writes a token of its own into a
row of its process, and a new connection looks which one is there. It does so by a commit, which waits for whoever still holds the
row, and for the standby where commits do. A transaction's id would not do: after a crash PostgreSQL gives it to another.

The lock is taken before any number for a row is drawn, and held until all others see what was committed: so who holds it now is whoever may
still commit rows of lower numbers than are there already (`activity.CommitHorizon`).
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
from answerback.ledger.backends.driver_errors import classify, sqlstate
from answerback.ledger.backends.postgresql.schema import clear_partition_cache
from answerback.storage.connections import close_on_failure

T = TypeVar("T")

WRITE_LOCK = 0x616E73_00
_EXCLUSIVE, _SHARED = (f"SELECT pg_advisory_xact_lock{kind}({WRITE_LOCK})" for kind in ("", "_shared"))
_exclusive, _shared = text(_EXCLUSIVE), text(_SHARED)
_write_cte = "WITH written AS (UPDATE commit_tokens SET token = :token WHERE id = :id) "
_exclusive_with_token, _shared_with_token = text(_write_cte + _EXCLUSIVE), text(_write_cte + _SHARED)
_select_token = text(
    "INSERT INTO commit_tokens (id, token, last_connected_us) VALUES (:id, '', :now_us)"
    " ON CONFLICT (id) DO UPDATE SET last_connected_us = :now_us RETURNING token"
)
_set_idle_timeout = text("SET idle_in_transaction_session_timeout = '5s'")
"""We never wait within a transaction. If this machine stops in the middle of one, all exclusive writers wait for it, and so does whoever
is to take over our leases, until the server has ended it."""
_delete_stale = text("DELETE FROM commit_tokens WHERE last_connected_us < :before_us")

_RETRY_DELAYS_S = (0.0, 0.01, 0.05, 0.1, 0.2)
_READ_ONLY_SQLSTATE = "25006"
_MAX_CONNECTION_AGE_S = 24 * 3600
_STALE_AFTER_US = (
    30 * _MAX_CONNECTION_AGE_S * 1_000_000
)  # a process connects anew each day; one that has not for so long has ended


class CommitUnknown(LedgerUnavailable):
    """The connection broke while a transaction was committed, and it cannot be known any more whether it was."""

    def __init__(self) -> None:
        super().__init__(UnavailableReason.COMMIT_UNKNOWN)


class PostgreSQLTransactions:
    """The one writing connection of a process."""

    files = None

    def __init__(self, engine: Engine, retry_s: float) -> None:
        self._engine = engine
        self._retry_s = retry_s
        self._connection: Connection | None = None
        self._id = token_hex(8)
        self._token = ""
        self._connected_s = 0.0
        self._writing = threading.Lock()

    def write(
        self,
        work: Callable[[Connection], T],
        on_rollback: Callable[[], None],
        *,
        shared: bool = False,
        idempotent: bool = False,
    ) -> T:
        """Do `work` and commit it, again and again for a while where it is worth it; `on_rollback` is called each time it was not.

        `idempotent`: to do it twice does no harm, so it writes no token. Raises what the driver raised last, and CommitUnknown where
        nobody knows whether it was done.
        """
        with self._writing:
            deadline_s = time.monotonic() + self._retry_s
            attempt = 0
            while True:
                try:
                    done = self._attempt(work, shared=shared, with_token=not idempotent)
                except Exception as error:
                    on_rollback()
                    if _is_disconnect(error):
                        self._discard_connection()
                    pause_s = _RETRY_DELAYS_S[min(attempt, len(_RETRY_DELAYS_S) - 1)]
                    if not classify(error).is_transient or time.monotonic() + pause_s > deadline_s:
                        raise
                    time.sleep(pause_s)
                    attempt += 1
                else:
                    return done

    def close(self) -> None:
        self._discard_connection()
        self._engine.dispose()

    def _attempt(self, work: Callable[[Connection], T], *, shared: bool, with_token: bool) -> T:
        if time.monotonic() - self._connected_s > _MAX_CONNECTION_AGE_S:
            self._discard_connection()
        connection = self._connect()
        transaction = connection.begin()
        token = token_hex(8)
        try:
            if with_token:
                connection.execute(
                    _shared_with_token if shared else _exclusive_with_token, {"token": token, "id": self._id}
                )
            else:
                connection.execute(_shared if shared else _exclusive)
            result = work(connection)
        except BaseException:
            self._roll_back()
            raise
        try:
            transaction.commit()
        except (SQLAlchemyError, self._engine.dialect.loaded_dbapi.Error) as error:
            if not _is_disconnect(error):
                raise
            self._discard_connection()
            if with_token and self._read_token() == token:
                return result
            raise
        return result

    def _read_token(self) -> str:
        """The token of the last transaction that was committed. Raises CommitUnknown where the server stays away."""
        deadline_s = time.monotonic() + self._retry_s
        while time.monotonic() < deadline_s:
            try:
                self._connect()
            except (SQLAlchemyError, self._engine.dialect.loaded_dbapi.Error):
                self._discard_connection()
                time.sleep(_RETRY_DELAYS_S[-1])
            else:
                return self._token
        raise CommitUnknown

    def _connect(self) -> Connection:
        """The connection; a new one begins with a commit that shows what the one before has left."""
        if self._connection is None:
            connection = self._engine.connect()
            now_us = time.time_ns() // 1000
            with close_on_failure(connection), connection.begin():
                connection.execute(_set_idle_timeout)
                self._token = str(connection.execute(_select_token, {"id": self._id, "now_us": now_us}).scalar_one())
                connection.execute(_delete_stale, {"before_us": now_us - _STALE_AFTER_US})
            self._connection, self._connected_s = connection, time.monotonic()
        return self._connection

    def _roll_back(self) -> None:
        connection = self._connection
        if connection is None:
            return
        if connection.invalidated:
            self._discard_connection()
        else:
            clear_partition_cache(connection)
            try:
                if connection.in_transaction():
                    connection.rollback()
            except SQLAlchemyError:
                self._discard_connection()

    def _discard_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()


def _is_disconnect(error: Exception) -> bool:
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return classify(error).reason is UnavailableReason.UNREACHABLE or sqlstate(error) == _READ_ONLY_SQLSTATE
