"""What PostgreSQL does in its own way: several write at a time, ids have a month, text has no NUL."""

from collections.abc import Sequence

from sqlalchemy import Table, func, select, text
from sqlalchemy.engine import Connection

from answerback.ledger.backends.dialect import Dialect
from answerback.ledger.backends.postgresql import schema
from answerback.ledger.backends.postgresql.partition_ids import MAX_SEQUENCE, SEQUENCE_BITS, month_of_id
from answerback.ledger.backends.postgresql.partitions import drop_empty_partition
from answerback.ledger.backends.postgresql.text import replace_nul, replace_nul_fields
from answerback.ledger.backends.postgresql.transactions import WRITE_LOCK
from answerback.ledger.types import Item

_clock = text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)")
_writers = text(
    "SELECT DISTINCT virtualtransaction FROM pg_locks WHERE locktype = 'advisory' AND classid = 0 AND objid = :lock AND objsubid = 1"
    " AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


class PostgreSQLDialect(Dialect):
    """A database of a server, which has a clock of its own."""

    name = "postgresql"

    def create_tables(self, connection: Connection) -> None:
        schema.create(connection)

    def lock_schema(self, connection: Connection) -> None:
        schema.lock_schema(connection)

    def now_us(self, connection: Connection) -> int:
        database_us: int = connection.execute(_clock).scalar_one()
        return database_us

    def storable_text(self, value: str) -> str:
        return str(replace_nul(value))

    def storable_batch(self, batch: Sequence[Item]) -> Sequence[Item]:
        return [replace_nul_fields(item) for item in batch]

    def recent_ids(
        self, connection: Connection, table: Table, after: int = 0, until: int = MAX_SEQUENCE
    ) -> list[tuple[int, int]]:
        """An id has the month of its call in front: the ranges are those of the last two months."""
        this = month_of_id(connection.execute(select(func.coalesce(func.max(table.c.id), 0))).scalar_one())
        return [
            ((month << SEQUENCE_BITS) + after, (month << SEQUENCE_BITS) + until) for month in {this, max(0, this - 1)}
        ]

    def current_writers(self, connection: Connection) -> frozenset[str]:
        return frozenset(connection.execute(_writers, {"lock": WRITE_LOCK}).scalars())

    def calls_with_last_ids(self, connection: Connection) -> set[int]:  # noqa: ARG002  # ids come from sequences
        return set()

    def drop_empty_month(self, connection: Connection, before_us: int) -> bool:
        return drop_empty_partition(connection, before_us)

    def release_free_pages(self, connection: Connection) -> bool:  # noqa: ARG002  # the server looks after that
        return False
