"""The sessions of the console that were ended by signing out, until each would have ended by itself."""

from datetime import datetime

from sqlalchemy import delete, exists, select
from sqlalchemy.engine import Connection

from answerback.domain.models import ApiKey
from answerback.ledger.admin import api_keys
from answerback.ledger.backends import bulk_sql
from answerback.ledger.tables import ended_sessions
from answerback.ledger.types import to_us

_e = ended_sessions.c


def end(connection: Connection, session: str, expires_us: int, now: datetime) -> None:
    """End a session that would have lasted until `expires_us`; forget those that have ended by themselves."""
    connection.execute(delete(ended_sessions).where(_e.expires_us < to_us(now)))
    bulk_sql.upsert(connection, ended_sessions, ("id", "expires_us"), ("id",), [(session, expires_us)])


def has_ended(connection: Connection, session: str) -> bool:
    return bool(connection.execute(select(exists().where(_e.id == session))).scalar())


def find_key(connection: Connection, session: str, key_id: int) -> ApiKey | None:
    """The living key of that id, unless its session was ended."""
    return None if has_ended(connection, session) else api_keys.find_key_by_id(connection, key_id)
