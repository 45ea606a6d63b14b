"""A ledger in a PostgreSQL database, as one side of a copy."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache
from typing import Any

from sqlalchemy import Engine, Table, select
from sqlalchemy.dialects import postgresql

from answerback.errors import LedgerUnavailable, UnavailableReason
from answerback.ledger import open_postgresql
from answerback.ledger.backends.bulk_sql import quoted
from answerback.ledger.backends.postgresql.partition_ids import IDS_PER_MONTH, month_of_id
from answerback.ledger.backends.postgresql.schema import PARTITIONED, clear_partition_cache, ensure_partition
from answerback.ledger.backends.postgresql.server import postgresql_engine, verify_durable
from answerback.ledger.backends.postgresql.text import replace_nul
from answerback.ledger.tables import endpoint_revision, hourly_ingest, instances, write_probes
from answerback.store_copy.connection import StoreConnection
from answerback.store_copy.locations import StoreLocation
from answerback.store_copy.tables import TABLE_SPECS, Key, Row, TableSpec

_COPIES = 0x616E73_03
_LOCK_WAIT_S = 15.0  # the server needs a moment to see that a killed copy is gone
_RETRY_S = 0.2
_TYPES = {"BIGINT": "int8", "INTEGER": "int4", "SMALLINT": "int2", "TEXT": "text", "BYTEA": "bytea"}
_SEQUENCES = (
    "SELECT string_agg(sequencename || ':' || coalesce(last_value, 0), ' ' ORDER BY sequencename) FROM pg_sequences"
)


class PostgreSQLConnection(StoreConnection):
    """A database, which is held by a lock of the session, where it is a target."""

    SESSION = (
        "SET statement_timeout = 0",
        "SET enable_sort = off",  # rows come in the order of an index
        "SET enable_bitmapscan = off",
    )
    READ_ONLY = "SET default_transaction_read_only = on"
    LAZY_COMMIT = "SET synchronous_commit = off"
    STRICT_COMMIT = "SET synchronous_commit = on"

    @classmethod
    def ensure_ledger(cls, place: StoreLocation, *, allow_unsafe: bool) -> None:
        if cls.read_schema_version(place) is None:
            open_postgresql(place.url, allow_unsafe=allow_unsafe).close()
        with closing(cls(place, writes=False)) as side, side.transaction() as connection:
            verify_durable(connection, allow_unsafe=allow_unsafe)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        deadline_s = time.monotonic() + _LOCK_WAIT_S
        while not self.scalar(f"SELECT pg_try_advisory_lock({_COPIES})"):
            if time.monotonic() > deadline_s:
                raise self.location.copy_in_progress()
            time.sleep(_RETRY_S)
        yield  # the lock is the session's, and ends with it

    def change_token(self) -> object:
        return (
            self.scalar(_SEQUENCES),
            self._read_all(instances.c.id, instances.c.heartbeat_us),
            self._read_all(write_probes.c.committed_us),
            self._read_all(endpoint_revision.c.revision),
            self._read_all(*hourly_ingest.c),
        )

    def reset_sequences(self) -> None:
        for spec in TABLE_SPECS:
            last = self.last_key(spec) if spec.key == ("id",) else None
            sequence = self.scalar(f"SELECT pg_get_serial_sequence('{spec.name}', 'id')") if last is not None else None
            if last is not None and sequence is not None:
                highest = self._highest_number(spec, month_of_id(int(str(last[0]))))
                self.scalar(f"SELECT setval('{sequence}', greatest({highest}, last_value)) FROM {sequence}")  # noqa: S608  # our own names
        with self.transaction() as connection:
            connection.exec_driver_sql(f"ANALYZE {', '.join(spec.name for spec in TABLE_SPECS)}")

    def replace(self, spec: TableSpec, gone: Sequence[Key], rows: Sequence[Row]) -> None:
        try:
            super().replace(spec, gone, rows)
        except LedgerUnavailable as error:
            if error.reason is not UnavailableReason.VALUE:
                raise
            clear_partition_cache(self.connection)
            super().replace(spec, gone, [normalize_row(row) for row in rows])

    def _make_engine(self) -> Engine:
        return postgresql_engine(self.location.url, writes=True)

    def _execute(self, sql: str, values: Sequence[object]) -> Any:
        cursor: Any = self.connection.connection.cursor(binary=True)
        return cursor.execute(sql.replace("?", "%s"), values, prepare=False)

    def _insert(self, spec: TableSpec, rows: Sequence[Row]) -> None:
        """By COPY, which is twice as fast as arrays are."""
        if spec.name in PARTITIONED:
            partition_column = spec.columns.index(PARTITIONED[spec.name])
            for month in sorted({month_of_id(row[partition_column]) for row in rows}):  # type: ignore[arg-type]  # an id
                ensure_partition(self.connection, month)
        cursor: Any = self.connection.connection.cursor()
        with cursor.copy(f"COPY {spec.name} ({quoted(spec.columns)}) FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(_types(spec.table, spec.columns))
            for row in rows:
                copy.write_row(row)

    def _read_all(self, *columns: Any) -> list[tuple[Any, ...]]:
        """All rows of a small table."""
        with self.transaction() as connection:
            return [tuple(row) for row in connection.execute(select(*columns).order_by(*columns))]

    def _highest_number(self, spec: TableSpec, last_month: int) -> int:
        """The highest number of all months: one look into the index for each."""
        of_month = f"id >= month * {IDS_PER_MONTH} AND id < (month + 1) * {IDS_PER_MONTH}"
        each = f"SELECT (SELECT max(id) FROM {spec.name} WHERE {of_month}) % {IDS_PER_MONTH} AS number"  # noqa: S608  # as above
        months = f"generate_series(0::bigint, {last_month}) AS months (month)"
        highest: int = self.scalar(f"SELECT max(number) FROM ({each} FROM {months}) AS numbers")  # noqa: S608  # as above
        return highest


def normalize_row(row: Row) -> Row:
    """A row as PostgreSQL keeps it."""
    return tuple(replace_nul(value) for value in row)


@cache
def _types(table: Table, columns: tuple[str, ...]) -> list[str]:
    """As psycopg calls them."""
    return [_TYPES[table.c[column].type.compile(postgresql.dialect())] for column in columns]  # type: ignore[no-untyped-call]
