"""Leases: which process does what only one may do at a time, such as delivering to an endpoint.

Their times are those of the database, so that no two hosts have to agree. A lease that has run out is still its holder's
until somebody else takes it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Text, cast, delete, func, literal, or_, select, text, update
from sqlalchemy.engine import Connection

from answerback.domain.endpoints import Endpoint
from answerback.ledger.admin.endpoints import find_endpoints_of
from answerback.ledger.admin.instances import active_relays
from answerback.ledger.backends.selection import dialect_of
from answerback.ledger.tables import endpoints, leases

NO_HOLDER = ""
_ENDPOINT_PREFIX = "endpoint:"
_l = leases.c
_is_endpoint: ColumnElement[bool] = _l.name.startswith(_ENDPOINT_PREFIX)
_live_names = select(literal(_ENDPOINT_PREFIX) + cast(endpoints.c.id, Text)).where(endpoints.c.deleted_us.is_(None))
_insert_endpoints = text(
    "INSERT INTO leases (name, holder, expires_us) SELECT 'endpoint:' || e.id, '', 0 FROM endpoints e"
    " LEFT JOIN leases l ON l.name = 'endpoint:' || e.id WHERE e.deleted_us IS NULL AND l.name IS NULL"
    " ON CONFLICT (name) DO NOTHING"
)
_insert_singleton = text(
    "INSERT INTO leases (name, holder, expires_us) VALUES (:name, '', 0) ON CONFLICT (name) DO NOTHING"
)


class ClaimResult(msgspec.Struct, frozen=True, array_like=True):
    """What a process holds now: endpoints that it `renewed`, those newly `acquired`, and its singletons.

    Of those that it retained, `excess` are above its fair share: it gives them back when nothing of theirs is under way.
    """

    renewed: list[int]
    acquired: list[Endpoint]
    excess: list[int]
    singletons: list[str]


class Lease(msgspec.Struct, frozen=True):
    """Who may do something, and until when."""

    name: str
    holder: str
    expires_us: int


def lease_name(endpoint_id: int) -> str:
    return f"{_ENDPOINT_PREFIX}{endpoint_id}"


def claim(
    connection: Connection, instance_id: str, active_ids: Collection[int], singletons: Collection[str], ttl_us: int
) -> ClaimResult:
    """Renew what `instance_id` holds, and take what is free: endpoints up to its fair share, and singletons.

    What it holds and is not `active_ids`, say because the answer to a former claim was lost, counts as acquired.
    """
    _sync_rows(connection, singletons)
    now_us = dialect_of(connection).now_us(connection)
    renewed = set(_renew(connection, instance_id, now_us + ttl_us))
    held = sorted(id_ for name in renewed if (id_ := _endpoint_id(name)) is not None)
    # who is silent has no share by the time its leases are over, so that the others take them at once
    there = {*active_relays(connection, now_us - ttl_us * 2 // 3), instance_id}
    counts = _count_held(connection)
    share = fair_share(instance_id, {one: counts.get(one, 0) for one in there}, _count_endpoints(connection))
    free = or_(_l.holder == NO_HOLDER, _l.expires_us <= now_us)
    names = _acquire(connection, instance_id, now_us + ttl_us, [free, _is_endpoint], share - len(held))
    new = [id_ for name in names if (id_ := _endpoint_id(name)) is not None]
    acquired = find_endpoints_of(connection, [*new, *(id_ for id_ in held if id_ not in active_ids)])
    retained = [id_ for id_ in held if id_ in active_ids]
    missing_singletons = [singleton for singleton in singletons if singleton not in renewed]
    acquired_singletons = _acquire(
        connection, instance_id, now_us + ttl_us, [free, _l.name.in_(missing_singletons)], len(missing_singletons)
    )
    return ClaimResult(
        retained, acquired, retained[share:], sorted({*acquired_singletons, *renewed.intersection(singletons)})
    )


def fair_share(instance_id: str, held: Mapping[str, int], count: int) -> int:
    """How many of `count` endpoints are an instance's, by what each of all instances holds; the shares add up to `count`.

    What does not divide evenly stays with those who hold most, so that nothing changes hands for nothing.
    """
    ranked = sorted(held, key=lambda one: (-held[one], one))
    return count // len(ranked) + (ranked.index(instance_id) < count % len(ranked))


def release(connection: Connection, instance_id: str, names: Sequence[str] | None) -> int:
    """Give back some leases, or (None) all; how many there were."""
    mine = _l.holder == instance_id
    given = mine if names is None else mine & _l.name.in_(names)
    return connection.execute(update(leases).where(given).values(holder=NO_HOLDER, expires_us=0)).rowcount


def still_held(connection: Connection, instance_id: str, endpoint_ids: Collection[int]) -> set[int]:
    """Those of these endpoints that no other has got meanwhile, and none will get before the transaction ends.

    An endpoint that was removed is nobody's.
    """
    names = [lease_name(id_) for id_ in sorted(endpoint_ids)]
    held = select(_l.name, _l.holder).where(_l.name.in_(names)).with_for_update(read=True)
    lost = {_endpoint_id(name) for name, holder in connection.execute(held) if holder != instance_id}
    return set(endpoint_ids) - lost


def find_leases(connection: Connection) -> list[Lease]:
    """All that somebody holds."""
    return [
        Lease(*row)
        for row in connection.execute(select(_l.name, _l.holder, _l.expires_us).where(_l.holder != NO_HOLDER))
    ]


def _sync_rows(connection: Connection, singletons: Iterable[str]) -> None:
    """See that there is a lease for all that can be held, and none for an endpoint that was removed."""
    connection.execute(_insert_endpoints)
    for singleton in sorted(singletons):
        connection.execute(_insert_singleton, {"name": singleton})
    closed = select(_l.name).where(_is_endpoint, _l.name.not_in(_live_names)).with_for_update(skip_locked=True)
    connection.execute(delete(leases).where(_l.name.in_(closed)))


def _renew(connection: Connection, instance_id: str, expires_us: int) -> Sequence[str]:
    renewed = update(leases).where(_l.holder == instance_id).values(expires_us=expires_us).returning(_l.name)
    return connection.execute(renewed).scalars().all()


def _acquire(
    connection: Connection, instance_id: str, expires_us: int, wanted: Sequence[ColumnElement[bool]], limit: int
) -> Sequence[str]:
    """Take up to `limit` leases, without waiting for those who take others at this moment."""
    if limit <= 0:
        return []
    found = select(_l.name).where(*wanted).order_by(_l.expires_us, _l.name).limit(limit)
    names = connection.execute(found.with_for_update(skip_locked=True)).scalars().all()
    if names:
        acquired: Any = update(leases).where(_l.name.in_(names)).values(holder=instance_id, expires_us=expires_us)
        connection.execute(acquired)
    return names


def _count_held(connection: Connection) -> dict[str, int]:
    """Instance -> how many endpoints it holds."""
    found = select(_l.holder, func.count()).where(_is_endpoint, _l.holder != NO_HOLDER).group_by(_l.holder)
    return {row[0]: row[1] for row in connection.execute(found)}


def _count_endpoints(connection: Connection) -> int:
    return len(connection.execute(select(_l.name).where(_is_endpoint)).all())


def _endpoint_id(name: str) -> int | None:
    return int(name.removeprefix(_ENDPOINT_PREFIX)) if name.startswith(_ENDPOINT_PREFIX) else None
