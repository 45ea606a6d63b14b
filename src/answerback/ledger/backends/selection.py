"""Which database a connection leads to: asked here, and nowhere else once there is a connection."""

from sqlalchemy.engine import Connection

from answerback.ledger.backends.dialect import Dialect
from answerback.ledger.backends.postgresql.dialect import PostgreSQLDialect
from answerback.ledger.backends.sqlite.dialect import SQLiteDialect

_DIALECTS: dict[str, Dialect] = {each.name: each for each in (SQLiteDialect(), PostgreSQLDialect())}


def dialect_of(connection: Connection) -> Dialect:
    """The dialect of the database that `connection` leads to."""
    return _DIALECTS[connection.dialect.name]
