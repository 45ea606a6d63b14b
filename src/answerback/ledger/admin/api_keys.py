"""The API keys. Of a key only its SHA-256 is kept.

A key is 256 random bits: nobody finds it by trying, so it needs no hash that is slow on purpose, as a password would.
"""

from datetime import datetime
from secrets import randbelow
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, bindparam, func, insert, select, update
from sqlalchemy.engine import Connection

from answerback.domain.models import ApiKey, Role
from answerback.errors import ResourceNotFound, StateConflict
from answerback.ledger.admin.audit import Actor, AuditAction, record_event
from answerback.ledger.read.paging import id_of
from answerback.ledger.rows import read_row
from answerback.ledger.tables import api_keys
from answerback.ledger.types import to_us

_IDS = 2**48  # chosen by chance, so that none is given twice, not even by a ledger that was restored from a backup

_live = api_keys.c.revoked_us.is_(None)
_by_digest = select(api_keys).where(api_keys.c.digest == bindparam("digest"), _live)  # made once: each request asks


MAX_KEYS = 1_000
"""So many living ones: they are listed whole."""


class KeyDraft(msgspec.Struct, frozen=True, array_like=True):
    """A key that is to be; `digest` is its SHA-256."""

    name: str
    digest: bytes
    role: Role
    full_numbers: bool


def add(connection: Connection, draft: KeyDraft, actor: Actor, now: datetime) -> ApiKey:
    """Add a key. Raises StateConflict where a living one has the name, PermissionDenied where it may see more than its maker."""
    if draft.full_numbers:
        actor.require_full_numbers()
    if connection.execute(select(api_keys.c.id).where(api_keys.c.name == draft.name, _live)).scalar() is not None:
        raise StateConflict(f"name: there is a key {draft.name} already; revoke it first, or choose another name")
    if connection.execute(select(func.count()).select_from(api_keys).where(_live)).scalar_one() >= MAX_KEYS:
        raise StateConflict(f"there are {MAX_KEYS} keys already: revoke one")
    row = {
        "id": 1 + randbelow(_IDS),
        "name": draft.name,
        "digest": draft.digest,
        "role": draft.role.value,
        "full_numbers": int(draft.full_numbers),
        "created_us": to_us(now),
    }
    added = connection.execute(insert(api_keys).values(row).returning(api_keys)).one()
    rights = f"{draft.role}, full numbers" if draft.full_numbers else draft.role
    record_event(connection, actor, AuditAction.KEY_CREATED, now, f"{draft.name} ({rights})")
    return _key(added)


def revoke(connection: Connection, name: str, actor: Actor, now: datetime) -> ApiKey:
    """Revoke a key, named or by its id as digits. Raises ResourceNotFound."""
    changed = update(api_keys).where(_matches_name(name), _live).values(revoked_us=to_us(now)).returning(api_keys)
    row = connection.execute(changed).one_or_none()
    if row is None:
        raise ResourceNotFound("no active key of that name or id")  # who takes it for a key must not see it again
    record_event(connection, actor, AuditAction.KEY_REVOKED, now, row.name)
    return _key(row)


def find_key(connection: Connection, digest: bytes) -> ApiKey | None:
    """The living key with this SHA-256, if there is one."""
    row = connection.execute(_by_digest, {"digest": digest}).one_or_none()
    return None if row is None else _key(row)


def find_key_by_id(connection: Connection, id_: int) -> ApiKey | None:
    """The living key of that id, if there is one."""
    row = connection.execute(select(api_keys).where(api_keys.c.id == id_, _live)).one_or_none()
    return None if row is None else _key(row)


def find_keys(connection: Connection) -> list[ApiKey]:
    """All that were not revoked, by name."""
    return [_key(row) for row in connection.execute(select(api_keys).where(_live).order_by(api_keys.c.name))]


def _matches_name(name: str) -> ColumnElement[bool]:
    """The condition for a name, or for an id: a name is never digits alone."""
    id_ = id_of(name)
    return api_keys.c.name == name if id_ is None else api_keys.c.id == id_


def _key(row: Row[Any]) -> ApiKey:
    return read_row(ApiKey, row, role=Role(row.role), full_numbers=bool(row.full_numbers))
