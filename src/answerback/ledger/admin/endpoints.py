"""The endpoints as the ledger keeps them: added, changed, removed, and read again where they were changed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.engine import Connection

from answerback.domain.endpoints import Endpoint, EndpointConfig
from answerback.errors import ResourceNotFound, StateConflict
from answerback.ledger.admin.audit import Actor, AuditAction, record_event
from answerback.ledger.backends.selection import bulk_sql
from answerback.ledger.read.paging import id_of
from answerback.ledger.rows import read_row
from answerback.ledger.tables import endpoint_revision, endpoints
from answerback.ledger.types import to_us

_to_json = msgspec.json.Encoder().encode
_decode_config = msgspec.json.Decoder(EndpointConfig).decode
_live = endpoints.c.deleted_us.is_(None)
_REVISION = "SELECT revision FROM endpoint_revision"
_PACE = frozenset({"timeout_s", "concurrency", "retry_schedule_s"})


MAX_ENDPOINTS = 1_000
"""Each callback is enqueued for every endpoint of its channel, in the transaction that stores it."""


class EndpointDraft(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint that is to be."""

    name: str
    channel: str
    config: EndpointConfig
    secret: str
    enabled: bool = True
    disabled_reason: str | None = None
    from_config: bool = False


def revision(connection: Connection) -> int:
    """A number that rises with every change of an endpoint."""
    (row,) = bulk_sql(connection).execute(_REVISION).fetchall() or [(0,)]
    return int(row[0])


def find_endpoints(connection: Connection) -> list[Endpoint]:
    """All that were not removed, by name."""
    return [_endpoint(row) for row in connection.execute(select(endpoints).where(_live).order_by(endpoints.c.name))]


def find_endpoints_of(connection: Connection, ids: Sequence[int]) -> list[Endpoint]:
    """Those of these ids that were not removed."""
    found = select(endpoints).where(endpoints.c.id.in_(ids), _live) if ids else None
    return [] if found is None else [_endpoint(row) for row in connection.execute(found.order_by(endpoints.c.id))]


def changed_since(connection: Connection, revision_: int) -> list[tuple[Endpoint, bool]]:
    """The endpoints that were changed after a revision, oldest first, and whether each is still there."""
    later = select(endpoints).where(endpoints.c.revision > revision_).order_by(endpoints.c.id)
    return [(_endpoint(row), row.deleted_us is None) for row in connection.execute(later)]


def find_endpoint(connection: Connection, name: str) -> Endpoint:
    """One by its name, or by its id as digits. Raises ResourceNotFound."""
    id_ = id_of(name)
    wanted = endpoints.c.name == name if id_ is None else endpoints.c.id == id_
    row = connection.execute(select(endpoints).where(wanted, _live)).one_or_none()
    if row is None:
        raise ResourceNotFound(f"no endpoint {name}")
    return _endpoint(row)


def changed_fields(before: Endpoint, after: Endpoint) -> list[str]:
    """The channel and the fields of the config in which two states of an endpoint differ."""
    old, new = before.config, after.config
    changed = [name for name in EndpointConfig.__struct_fields__ if getattr(old, name) != getattr(new, name)]
    return ["channel", *changed] if before.channel != after.channel else changed


def is_retargeted(changed: Sequence[str]) -> bool:
    """Whether, with these fields changed, other numbers go out, or to others: all but the pace of it decides that."""
    return not _PACE.issuperset(changed)


def add(connection: Connection, draft: EndpointDraft, actor: Actor, now: datetime) -> Endpoint:
    """Add an endpoint. Raises StateConflict where the name is taken, PermissionDenied where the actor may not see numbers."""
    actor.require_full_numbers()
    taken = connection.execute(select(endpoints.c.id).where(endpoints.c.name == draft.name, _live)).scalar()
    if taken is not None:
        raise StateConflict(f"name: there is an endpoint {draft.name} already")
    if connection.execute(select(func.count()).select_from(endpoints).where(_live)).scalar_one() >= MAX_ENDPOINTS:
        raise StateConflict(f"there are {MAX_ENDPOINTS} endpoints already: remove one")
    return find_endpoint(connection, str(add_all(connection, [draft], actor, now)))


def add_all(connection: Connection, drafts: Sequence[EndpointDraft], actor: Actor, now: datetime) -> int:
    """Add endpoints whose names are free; the id of the last."""
    new_ids = bulk_sql(connection).id_allocator(endpoints, len(drafts))
    revision_ = _next_revision(connection)
    rows: list[dict[str, Any]] = [
        {
            "id": new_ids.next(),
            "name": draft.name,
            "channel": draft.channel,
            "config": _to_json(draft.config).decode(),
            "enabled": int(draft.enabled),
            "disabled_reason": draft.disabled_reason,
            "secret": draft.secret,
            "from_config": int(draft.from_config),
            "created_us": to_us(now),
            "updated_us": to_us(now),
            "consecutive_failures": 0,
            "revision": revision_,
        }
        for draft in drafts
    ]
    connection.execute(insert(endpoints), rows)
    for draft in drafts:
        record_event(connection, actor, AuditAction.ENDPOINT_ADDED, now, *target_of(draft))
    last_id: int = rows[-1]["id"]
    return last_id


def change(connection: Connection, endpoint: Endpoint, actor: Actor, now: datetime) -> Endpoint:
    """Bring the endpoint of this id up to `endpoint`.

    Raises ResourceNotFound where it was removed, PermissionDenied where the change hands numbers on and the actor may not see them.
    """
    before = find_endpoint(connection, str(endpoint.id))
    changed = changed_fields(before, endpoint)
    if retargeted := is_retargeted(changed):
        actor.require_full_numbers()
    until = endpoint.previous_secret_expires_at
    connection.execute(
        update(endpoints)
        .where(endpoints.c.id == endpoint.id, _live)
        .values(
            channel=endpoint.channel,
            config=_to_json(endpoint.config).decode(),
            enabled=int(endpoint.enabled),
            disabled_reason=endpoint.disabled_reason,
            secret=endpoint.secret,
            previous_secret=endpoint.previous_secret,
            previous_secret_expires_us=None if until is None else to_us(until),
            updated_us=to_us(now),
            retargeted_us=to_us(now) if retargeted else endpoints.c.retargeted_us,
            consecutive_failures=0,
            paused_until_us=None,
            revision=_next_revision(connection),
        )
    )
    _record_change(connection, before, endpoint, changed, actor, now)
    return find_endpoint(connection, str(endpoint.id))


def _record_change(
    connection: Connection, before: Endpoint, after: Endpoint, changed: Sequence[str], actor: Actor, now: datetime
) -> None:
    """Keep each thing that a change does."""
    where = target_of(after)
    if changed:
        origin = before.config.origin
        moved = [] if origin == after.config.origin else ["from", origin]
        record_event(connection, actor, AuditAction.ENDPOINT_CHANGED, now, *where, *moved, f"({', '.join(changed)})")
    if before.secret != after.secret:
        record_event(connection, actor, AuditAction.ENDPOINT_SECRET_ROTATED, now, *where)
    if (before.enabled, before.disabled_reason) != (after.enabled, after.disabled_reason):
        action = AuditAction.ENDPOINT_ENABLED if after.enabled else AuditAction.ENDPOINT_DISABLED
        reason = [] if after.disabled_reason is None else [f"({after.disabled_reason})"]
        record_event(connection, actor, action, now, *where, *reason)
    elif after.enabled and before.paused_until is not None:
        record_event(connection, actor, AuditAction.ENDPOINT_ENABLED, now, *where, "(it was paused)")


def target_of(endpoint: Endpoint | EndpointDraft) -> tuple[str, ...]:
    """An endpoint as the audit log names it: never the path or the query of its URL, in which secrets may be."""
    return endpoint.name, "at", endpoint.config.origin


def is_unmodified(connection: Connection, endpoint: Endpoint) -> bool:
    """Whether nobody has changed or removed it since it was as `endpoint`; nobody will before the transaction ends."""
    found = select(endpoints.c.updated_us).where(endpoints.c.id == endpoint.id, _live).with_for_update()
    return connection.execute(found).scalar() == to_us(endpoint.updated_at)


def remove(connection: Connection, id_: int, actor: Actor, now: datetime) -> None:
    """Remove an endpoint: nothing is delivered to it any more. Raises ResourceNotFound."""
    gone = find_endpoint(connection, str(id_))
    changes = {"deleted_us": to_us(now), "revision": _next_revision(connection)}
    connection.execute(update(endpoints).where(endpoints.c.id == id_).values(**changes))
    record_event(connection, actor, AuditAction.ENDPOINT_REMOVED, now, *target_of(gone))


def pause(connection: Connection, id_: int, failures: int, until_us: int | None) -> None:
    """Note that an endpoint is paused after so many failures in a row, or (None) is no longer."""
    connection.execute(
        update(endpoints).where(endpoints.c.id == id_).values(consecutive_failures=failures, paused_until_us=until_us)
    )


def touch_all(connection: Connection, now: datetime) -> None:
    """Have every process fetch what it has queued for the endpoints again."""
    connection.execute(
        update(endpoints).where(_live).values(updated_us=to_us(now), revision=_next_revision(connection))
    )


def _next_revision(connection: Connection) -> int:
    raised = update(endpoint_revision).values(revision=endpoint_revision.c.revision + 1)
    if not connection.execute(raised).rowcount:
        connection.execute(insert(endpoint_revision).values(id=1, revision=1))
    return revision(connection)


def _endpoint(row: Row[Any]) -> Endpoint:
    config, enabled, from_config = _decode_config(row.config), bool(row.enabled), bool(row.from_config)
    return read_row(Endpoint, row, config=config, enabled=enabled, from_config=from_config)
