"""How a ledger and all who serve it stand, in one look."""

import msgspec
from sqlalchemy.engine import Connection

from answerback.domain.models import Endpoint
from answerback.ledger import migrations
from answerback.ledger.admin.endpoints import find_endpoints
from answerback.ledger.admin.instances import Seen, clock_us, find_members
from answerback.ledger.admin.leases import Lease, find_leases
from answerback.ledger.read.deliveries import Owed, owed_by_endpoint


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Who serves the ledger, who tells which endpoint, and what each is owed; all as of `now_us`, the ledger's time."""

    backend: str
    schema: str | None
    now_us: int
    members: list[Seen]
    leases: list[Lease]
    endpoints: list[Endpoint]
    owed: dict[int, Owed]


def find_standing(connection: Connection) -> Standing:
    """How all stands."""
    return Standing(
        backend=connection.dialect.name,
        schema=migrations.version(connection),
        now_us=clock_us(connection),
        members=find_members(connection),
        leases=find_leases(connection),
        endpoints=find_endpoints(connection),
        owed=owed_by_endpoint(connection),
    )
