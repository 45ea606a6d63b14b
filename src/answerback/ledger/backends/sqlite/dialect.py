"""What SQLite does in its own way: one transaction writes at a time, ids are counted on from the last, space comes back by pages."""

import time
from collections.abc import Sequence

from sqlalchemy import Table, func, select
from sqlalchemy.engine import Connection

from answerback.ledger.backends.dialect import Dialect
from answerback.ledger.backends.postgresql.partition_ids import MAX_SEQUENCE
from answerback.ledger.backends.sqlite.engine import INCREMENTAL
from answerback.ledger.tables import attempts, callbacks, calls, deliveries, metadata
from answerback.ledger.types import Item

_PAGES_PER_STEP = 64
_FREE_FRACTION = 8
"""Free pages above this part of the file are given back; those below it are what the next callbacks are written to."""
_PAGE_COUNTS = ("freelist_count", "page_count")


class SQLiteDialect(Dialect):
    """A file."""

    name = "sqlite"

    def create_tables(self, connection: Connection) -> None:
        metadata.create_all(connection, checkfirst=False)

    def lock_schema(self, connection: Connection) -> None:
        """Nothing to do: one writes at a time."""

    def now_us(self, connection: Connection) -> int:  # noqa: ARG002  # all are on this machine
        return time.time_ns() // 1000

    def storable_text(self, value: str) -> str:
        return value

    def storable_batch(self, batch: Sequence[Item]) -> Sequence[Item]:
        return batch

    def recent_ids(
        self,
        connection: Connection,  # noqa: ARG002  # the ids are the numbers
        table: Table,  # noqa: ARG002  # as above
        after: int = 0,
        until: int = MAX_SEQUENCE,
    ) -> list[tuple[int, int]]:
        return [(after, until)]

    def current_writers(self, connection: Connection) -> frozenset[str]:  # noqa: ARG002  # a reader sees whole transactions, one after the other
        return frozenset()

    def calls_with_last_ids(self, connection: Connection) -> set[int]:
        of_attempt = select(deliveries.c.call_id).join(attempts, attempts.c.delivery_id == deliveries.c.id)
        lasts = (
            (select(calls.c.id), calls),
            (select(callbacks.c.call_id), callbacks),
            (select(deliveries.c.call_id), deliveries),
            (of_attempt, attempts),
        )
        found = (query.where(table.c.id == select(func.max(table.c.id)).scalar_subquery()) for query, table in lasts)
        return {id_ for query in found for id_ in connection.execute(query).scalars()}

    def drop_empty_month(self, connection: Connection, before_us: int) -> bool:  # noqa: ARG002  # no table is cut by months
        return False

    def release_free_pages(self, connection: Connection) -> bool:
        if connection.exec_driver_sql("PRAGMA auto_vacuum").scalar_one() != INCREMENTAL:
            return False  # somebody has put its rows into another file
        free, total = (int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()) for name in _PAGE_COUNTS)
        surplus = free - total // _FREE_FRACTION
        cursor = connection.connection.cursor()
        for _ in range(min(_PAGES_PER_STEP, surplus)):
            cursor.execute("PRAGMA incremental_vacuum(1)")  # the driver would stop after the first of several
        return surplus > _PAGES_PER_STEP
