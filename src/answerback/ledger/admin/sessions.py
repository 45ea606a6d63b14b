"""Sessions of the console that were signed out of, and sign-in links that were used, until each would have ended by itself."""

from datetime import datetime

from sqlalchemy import delete, exists, select
from sqlalchemy.engine import Connection

from answerback.domain.models import ApiKey
from answerback.ledger.admin import api_keys
from answerback.ledger.backends.selection import bulk_sql
from answerback.ledger.tables import spent_tokens
from answerback.ledger.types import to_us

_t = spent_tokens.c


def end(connection: Connection, session: str, expires_us: int, now: datetime) -> None:
    """End a session that would have lasted until `expires_us`."""
    _forget_expired(connection, now)
    bulk_sql(connection).upsert(spent_tokens, ("id", "expires_us"), ("id",), [(session, expires_us)])


def use_link(connection: Connection, link: str, expires_us: int, now: datetime) -> bool:
    """Use up a sign-in link; False where it was used before, in whichever process."""
    _forget_expired(connection, now)
    used = "INSERT INTO spent_tokens (id, expires_us) VALUES (?, ?) ON CONFLICT DO NOTHING"
    return bulk_sql(connection).execute(used, (link, expires_us)).rowcount == 1


def has_ended(connection: Connection, token: str) -> bool:
    return bool(connection.execute(select(exists().where(_t.id == token))).scalar())


def find_session_key(connection: Connection, token: str, key_id: int) -> ApiKey | None:
    """The living key of that id, unless the session was ended, or the link used."""
    return None if has_ended(connection, token) else api_keys.find_key_by_id(connection, key_id)


def _forget_expired(connection: Connection, now: datetime) -> None:
    connection.execute(delete(spent_tokens).where(_t.expires_us < to_us(now)))
