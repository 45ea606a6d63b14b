"""A store in a database of the user's, by SQLAlchemy: `metadata` has its tables, for `create_all` or for Alembic."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from answerback.errors import ConfigError
from answerback.receiver.database_store import DatabaseStore, database_unavailable

metadata = sa.MetaData()
_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # INTEGER PRIMARY KEY counts by itself there

callbacks = sa.Table(
    "answerback_callbacks",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("callid", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("raw", sa.LargeBinary, nullable=False),
    sa.Column("received_us", sa.BigInteger, nullable=False),
    sa.Column("due_us", sa.BigInteger),
    sa.Column("duplicates", sa.Integer, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("delivered_us", sa.BigInteger),
    sa.Column("claim", sa.BigInteger),
    sa.Index("answerback_callbacks_call", "channel", "callid"),
    sa.Index("answerback_callbacks_received", "received_us"),
)
_IS_WAITING = callbacks.c.due_us.is_not(None)
sa.Index("answerback_callbacks_due", callbacks.c.due_us, sqlite_where=_IS_WAITING, postgresql_where=_IS_WAITING)
sa.Index(
    "answerback_callbacks_waiting",
    callbacks.c.channel,
    callbacks.c.callid,
    callbacks.c.due_us,
    sqlite_where=_IS_WAITING,
    postgresql_where=_IS_WAITING,
)

rejected = sa.Table(
    "answerback_rejected",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("raw", sa.LargeBinary, nullable=False),
    sa.Column("result", sa.Integer, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("received_us", sa.BigInteger, nullable=False),
)


class SQLAlchemyStore(DatabaseStore):
    """Callbacks in the two tables of `metadata`, by an engine of the user's; `keep_days`, `max_rejected` and `lease_s` are those of `SQLiteStore`."""

    def __init__(
        self, engine: sa.Engine, *, keep_days: float | None = 90, max_rejected: int = 1000, lease_s: float = 30.0
    ) -> None:
        """Nothing is connected to yet. Raises ConfigError."""
        if not isinstance(engine, sa.Engine):
            raise ConfigError(f"engine: expected an Engine of create_engine, got {type(engine).__name__}")
        super().__init__(engine.dialect.name, keep_days=keep_days, max_rejected=max_rejected, lease_s=lease_s)
        self._engine = engine.execution_options(isolation_level=self._database.isolation)
        self._pid = os.getpid()

    @contextmanager
    def _recording(self) -> "Iterator[_SQLAlchemyConnection]":
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._engine.dispose(close=False)  # a pool's connections belong to the process that made them
        try:
            with self._engine.begin() as connection:
                yield _SQLAlchemyConnection(connection)
        except SQLAlchemyError as error:
            raise database_unavailable(error, getattr(error, "orig", None)) from error

    _delivering = _recording


class _SQLAlchemyConnection:
    """A connection of SQLAlchemy's that is given statements as text."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def execute(self, statement: str, values: Mapping[str, object]) -> sa.CursorResult[Any]:
        return self._connection.execute(_text(statement), values)

    def executemany(self, statement: str, values: Sequence[Mapping[str, object]]) -> object:
        return self._connection.execute(_text(statement), values)


@lru_cache(maxsize=100)
def _text(statement: str) -> sa.TextClause:
    return sa.text(statement)
