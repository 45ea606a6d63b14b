"""A store in a database of Django's."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from typing import Any

from django.db import Error, close_old_connections, connections

from answerback.domain.models import RawCallback
from answerback.receiver.connections import Connections
from answerback.receiver.database_store import DatabaseStore, database_unavailable
from answerback.receiver.store import Handle


class DjangoStore(DatabaseStore):
    """Callbacks in the tables of the application `answerback.receiver.django`, in the database that is called `using`.

    Its connections are its own: what it keeps is in no transaction of a request's. `keep_days`, `max_rejected` and `lease_s` are those of `SQLiteStore`.
    """

    def __init__(
        self, using: str = "default", *, keep_days: float | None = 90, max_rejected: int = 1000, lease_s: float = 30.0
    ) -> None:
        """Nothing is connected to yet. Raises ConfigError."""
        super().__init__(connections[using].vendor, keep_days=keep_days, max_rejected=max_rejected, lease_s=lease_s)
        self._using = using
        self._connections = Connections(self._connect)

    def deliver(self, handle: Handle) -> bool:
        def handle_as_request(callbacks: Sequence[RawCallback], failures: int) -> float | None:
            close_old_connections()  # of the handlers, as Django does around each request
            try:
                return handle(callbacks, failures)
            finally:
                close_old_connections()

        return super().deliver(handle_as_request)

    def close(self) -> None:
        """Close its connections; the next use makes new ones."""
        super().close()
        self._connections.close()

    def _recording(self) -> "AbstractContextManager[_DjangoConnection]":
        return self._transaction("record")

    def _delivering(self) -> "AbstractContextManager[_DjangoConnection]":
        return self._transaction("deliver")

    @contextmanager
    def _transaction(self, purpose: str) -> "Iterator[_DjangoConnection]":
        try:
            with self._connections.use(purpose) as connection:
                with connection.cursor() as cursor:
                    yield _DjangoConnection(cursor)
                connection.commit()
        except Error as error:
            raise database_unavailable(error, error.__cause__) from error

    def _connect(self, _purpose: str) -> Any:
        connection = connections[self._using].copy()
        connection.inc_thread_sharing()
        connection.set_autocommit(autocommit=False)
        return connection


class _DjangoConnection:
    """A cursor of Django's that is given parameters as `:name`."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor

    def execute(self, statement: str, values: Mapping[str, object]) -> Any:
        self._cursor.execute(_pyformat(statement), values)
        return self._cursor

    def executemany(self, statement: str, values: Sequence[Mapping[str, object]]) -> object:
        return self._cursor.executemany(_pyformat(statement), values)


@lru_cache(maxsize=100)
def _pyformat(statement: str) -> str:
    return re.sub(r":(\w+)", r"%(\1)s", statement)
