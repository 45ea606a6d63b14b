"""The endpoints as the ledger keeps them: added, changed, removed, and read again where they were changed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, insert, select, update
from sqlalchemy.engine import Connection

from answerback.errors import Conflict, NotFound
from answerback.ledger import statements
from answerback.ledger.tables import endpoint_changes, endpoints
from answerback.ledger.values import from_us, to_us
from answerback.model import Definition, Endpoint

_to_json = msgspec.json.Encoder().encode
_definition = msgspec.json.Decoder(Definition).decode
_live = endpoints.c.removed_us.is_(None)
_revision = select(endpoint_changes.c.revision)


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint that is to be."""

    name: str
    channel: str
    definition: Definition
    secret: str
    enabled: bool = True
    disabled_reason: str | None = None
    from_config: bool = False


def revision(connection: Connection) -> int:
    """A number that rises with every change of an endpoint."""
    return connection.execute(_revision).scalar() or 0


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
    return [(_endpoint(row), row.removed_us is None) for row in connection.execute(later)]


def find_endpoint(connection: Connection, name: str) -> Endpoint:
    """One by its name, or by its id as digits. Raises NotFound."""
    wanted = endpoints.c.id == int(name) if name.isascii() and name.isdigit() and len(name) < 19 else None  # noqa: PLR2004  # what an id can hold
    wanted = endpoints.c.name == name if wanted is None else wanted
    row = connection.execute(select(endpoints).where(wanted, _live)).one_or_none()
    if row is None:
        raise NotFound(f"no endpoint {name}")
    return _endpoint(row)


def add(connection: Connection, draft: Draft, now: datetime) -> Endpoint:
    """Add an endpoint. Raises Conflict where the name is taken."""
    taken = connection.execute(select(endpoints.c.id).where(endpoints.c.name == draft.name, _live)).scalar()
    if taken is not None:
        raise Conflict(f"name: there is an endpoint {draft.name} already")
    return find_endpoint(connection, str(add_all(connection, [draft], now)))


def add_all(connection: Connection, drafts: Sequence[Draft], now: datetime) -> int:
    """Add endpoints whose names are free; the id of the last."""
    new_ids = statements.new_ids(connection, endpoints, len(drafts))
    revision_ = _next_revision(connection)
    rows: list[dict[str, Any]] = [
        {
            "id": new_ids.plain(),
            "name": draft.name,
            "channel": draft.channel,
            "definition": _to_json(draft.definition).decode(),
            "enabled": int(draft.enabled),
            "disabled_reason": draft.disabled_reason,
            "secret": draft.secret,
            "from_config": int(draft.from_config),
            "created_us": to_us(now),
            "changed_us": to_us(now),
            "failures": 0,
            "revision": revision_,
        }
        for draft in drafts
    ]
    connection.execute(insert(endpoints), rows)
    last_id: int = rows[-1]["id"]
    return last_id


def change(connection: Connection, endpoint: Endpoint, now: datetime) -> Endpoint:
    """Bring the endpoint of this id up to `endpoint`. Raises NotFound where it was removed."""
    until = endpoint.old_secret_until
    found = connection.execute(
        update(endpoints)
        .where(endpoints.c.id == endpoint.id, _live)
        .values(
            channel=endpoint.channel,
            definition=_to_json(endpoint.definition).decode(),
            enabled=int(endpoint.enabled),
            disabled_reason=endpoint.disabled_reason,
            secret=endpoint.secret,
            old_secret=endpoint.old_secret,
            old_secret_until_us=None if until is None else to_us(until),
            changed_us=to_us(now),
            failures=0,
            paused_until_us=None,
            revision=_next_revision(connection),
        )
    ).rowcount
    if not found:
        raise NotFound(f"no endpoint {endpoint.name}")
    return find_endpoint(connection, str(endpoint.id))


def is_as_of(connection: Connection, endpoint: Endpoint) -> bool:
    """Whether nobody has changed or removed it since it was as `endpoint`; nobody will before the transaction ends."""
    found = select(endpoints.c.changed_us).where(endpoints.c.id == endpoint.id, _live).with_for_update()
    return connection.execute(found).scalar() == to_us(endpoint.changed_at)


def remove(connection: Connection, id_: int, now: datetime) -> None:
    """Remove an endpoint: nothing is owed to it any more. Raises NotFound."""
    changes = {"removed_us": to_us(now), "revision": _next_revision(connection)}
    if not connection.execute(update(endpoints).where(endpoints.c.id == id_, _live).values(**changes)).rowcount:
        raise NotFound(f"no endpoint {id_}")


def pause(connection: Connection, id_: int, failures: int, until_us: int | None) -> None:
    """Note that an endpoint is paused after so many failures in a row, or (None) is no longer."""
    connection.execute(
        update(endpoints).where(endpoints.c.id == id_).values(failures=failures, paused_until_us=until_us)
    )


def _next_revision(connection: Connection) -> int:
    raised = update(endpoint_changes).values(revision=endpoint_changes.c.revision + 1)
    if not connection.execute(raised).rowcount:
        connection.execute(insert(endpoint_changes).values(id=1, revision=1))
    return revision(connection)


def _endpoint(row: Row[Any]) -> Endpoint:
    return Endpoint(
        id=row.id,
        name=row.name,
        channel=row.channel,
        definition=_definition(row.definition),
        enabled=bool(row.enabled),
        disabled_reason=row.disabled_reason,
        secret=row.secret,
        old_secret=row.old_secret,
        old_secret_until=None if row.old_secret_until_us is None else from_us(row.old_secret_until_us),
        from_config=bool(row.from_config),
        created_at=from_us(row.created_us),
        changed_at=from_us(row.changed_us),
        failures=row.failures,
        paused_until=None if row.paused_until_us is None else from_us(row.paused_until_us),
    )
