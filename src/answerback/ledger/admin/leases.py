"""The leases: which process does what only one may do at a time, such as telling an endpoint.

Their times are those of the database, so that no two hosts have to agree. A lease that has run out is still its holder's
until somebody else takes it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Text, cast, delete, func, literal, or_, select, text, update
from sqlalchemy.engine import Connection

from answerback.domain.models import Endpoint
from answerback.ledger.admin.endpoints import find_endpoints_of
from answerback.ledger.admin.instances import clock_us, relays_since
from answerback.ledger.tables import endpoints, leases

NOBODY = ""
_OF_ENDPOINT = "endpoint:"
_l = leases.c
_is_endpoint: ColumnElement[bool] = _l.name.startswith(_OF_ENDPOINT)
_living = select(literal(_OF_ENDPOINT) + cast(endpoints.c.id, Text)).where(endpoints.c.removed_us.is_(None))
_open_endpoints = text(
    "INSERT INTO leases (name, holder, until_us) SELECT 'endpoint:' || e.id, '', 0 FROM endpoints e"
    " LEFT JOIN leases l ON l.name = 'endpoint:' || e.id WHERE e.removed_us IS NULL AND l.name IS NULL"
    " ON CONFLICT (name) DO NOTHING"
)
_open_duty = text("INSERT INTO leases (name, holder, until_us) VALUES (:name, '', 0) ON CONFLICT (name) DO NOTHING")


class Claimed(msgspec.Struct, frozen=True, array_like=True):
    """What a process holds now: endpoints that it `kept`, those newly `taken`, and its duties.

    Of those that it kept, `excess` are above its fair share: it gives them back when nothing of theirs is under way.
    """

    kept: list[int]
    taken: list[Endpoint]
    excess: list[int]
    duties: list[str]


class Lease(msgspec.Struct, frozen=True):
    """Who may do something, and until when."""

    name: str
    holder: str
    until_us: int


def lease_of(endpoint_id: int) -> str:
    """The name of an endpoint's lease."""
    return f"{_OF_ENDPOINT}{endpoint_id}"


def claim(connection: Connection, member: str, here: Collection[int], duties: Collection[str], ttl_us: int) -> Claimed:
    """Renew what `member` holds, and take what is free: endpoints up to its fair share, and duties.

    What it holds and is not `here`, say because the answer to a former claim was lost, counts as taken.
    """
    _open_rows(connection, duties)
    now_us = clock_us(connection)
    renewed = set(_renew(connection, member, now_us + ttl_us))
    held = sorted(id_ for name in renewed if (id_ := _endpoint_of(name)) is not None)
    # who is silent has no share by the time its leases are over, so that the others take them at once
    there = {*relays_since(connection, now_us - ttl_us * 2 // 3), member}
    counts = _count_held(connection)
    share = share_of(member, {one: counts.get(one, 0) for one in there}, _count_endpoints(connection))
    free = or_(_l.holder == NOBODY, _l.until_us <= now_us)
    names = _take(connection, member, now_us + ttl_us, [free, _is_endpoint], share - len(held))
    new = [id_ for name in names if (id_ := _endpoint_of(name)) is not None]
    taken = find_endpoints_of(connection, [*new, *(id_ for id_ in held if id_ not in here)])
    kept = [id_ for id_ in held if id_ in here]
    open_duties = [duty for duty in duties if duty not in renewed]
    on_duty = _take(connection, member, now_us + ttl_us, [free, _l.name.in_(open_duties)], len(open_duties))
    return Claimed(kept, taken, kept[share:], sorted({*on_duty, *renewed.intersection(duties)}))


def share_of(member: str, held: Mapping[str, int], count: int) -> int:
    """How many of `count` endpoints are a member's, by what each of all members holds; the shares add up to `count`.

    What does not divide evenly stays with those who hold most, so that nothing changes hands for nothing.
    """
    ranked = sorted(held, key=lambda one: (-held[one], one))
    return count // len(ranked) + (ranked.index(member) < count % len(ranked))


def release(connection: Connection, member: str, names: Sequence[str] | None) -> int:
    """Give back some leases, or (None) all; how many there were."""
    mine = _l.holder == member
    given = mine if names is None else mine & _l.name.in_(names)
    return connection.execute(update(leases).where(given).values(holder=NOBODY, until_us=0)).rowcount


def not_lost(connection: Connection, member: str, endpoint_ids: Collection[int]) -> set[int]:
    """Those of these endpoints that no other has got meanwhile, and none will get before the transaction ends.

    An endpoint that was removed is nobody's.
    """
    names = [lease_of(id_) for id_ in sorted(endpoint_ids)]
    held = select(_l.name, _l.holder).where(_l.name.in_(names)).with_for_update(read=True)
    lost = {_endpoint_of(name) for name, holder in connection.execute(held) if holder != member}
    return set(endpoint_ids) - lost


def find_leases(connection: Connection) -> list[Lease]:
    """All that somebody holds."""
    return [
        Lease(*row) for row in connection.execute(select(_l.name, _l.holder, _l.until_us).where(_l.holder != NOBODY))
    ]


def _open_rows(connection: Connection, duties: Iterable[str]) -> None:
    """See that there is a lease for all that can be held, and none for an endpoint that was removed."""
    connection.execute(_open_endpoints)
    for duty in sorted(duties):
        connection.execute(_open_duty, {"name": duty})
    closed = select(_l.name).where(_is_endpoint, _l.name.not_in(_living)).with_for_update(skip_locked=True)
    connection.execute(delete(leases).where(_l.name.in_(closed)))


def _renew(connection: Connection, member: str, until_us: int) -> Sequence[str]:
    renewed = update(leases).where(_l.holder == member).values(until_us=until_us).returning(_l.name)
    return connection.execute(renewed).scalars().all()


def _take(
    connection: Connection, member: str, until_us: int, wanted: Sequence[ColumnElement[bool]], limit: int
) -> Sequence[str]:
    """Take up to `limit` leases, without waiting for those who take others at this moment."""
    if limit <= 0:
        return []
    found = select(_l.name).where(*wanted).order_by(_l.until_us, _l.name).limit(limit)
    names = connection.execute(found.with_for_update(skip_locked=True)).scalars().all()
    if names:
        taken: Any = update(leases).where(_l.name.in_(names)).values(holder=member, until_us=until_us)
        connection.execute(taken)
    return names


def _count_held(connection: Connection) -> dict[str, int]:
    """Member -> how many endpoints it holds."""
    found = select(_l.holder, func.count()).where(_is_endpoint, _l.holder != NOBODY).group_by(_l.holder)
    return {row[0]: row[1] for row in connection.execute(found)}


def _count_endpoints(connection: Connection) -> int:
    return len(connection.execute(select(_l.name).where(_is_endpoint)).all())


def _endpoint_of(name: str) -> int | None:
    return int(name.removeprefix(_OF_ENDPOINT)) if name.startswith(_OF_ENDPOINT) else None
