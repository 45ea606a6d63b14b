"""Which database a connection leads to: asked here, and nowhere else once there is a connection."""

from sqlalchemy.engine import Connection

from answerback.ledger.backends.bulk_sql import BulkSQL
from answerback.ledger.backends.dialect import Dialect
from answerback.ledger.backends.postgresql.bulk_sql import PostgreSQLBulkSQL
from answerback.ledger.backends.postgresql.dialect import PostgreSQLDialect
from answerback.ledger.backends.sqlite.bulk_sql import SQLiteBulkSQL
from answerback.ledger.backends.sqlite.dialect import SQLiteDialect

_DIALECTS: dict[str, Dialect] = {each.name: each for each in (SQLiteDialect(), PostgreSQLDialect())}
_BULK_SQL: dict[str, type[BulkSQL]] = {"sqlite": SQLiteBulkSQL, "postgresql": PostgreSQLBulkSQL}


def dialect_of(connection: Connection) -> Dialect:
    """The dialect of the database that `connection` leads to."""
    return _DIALECTS[connection.dialect.name]


def bulk_sql(connection: Connection) -> BulkSQL:
    """The statements over many rows, on `connection`."""
    return _BULK_SQL[connection.dialect.name](connection)
