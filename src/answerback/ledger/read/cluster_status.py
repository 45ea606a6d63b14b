"""The status of a ledger and of all that serve it, in one read."""

import msgspec
from sqlalchemy.engine import Connection

from answerback.domain.endpoints import Endpoint
from answerback.ledger import migrations
from answerback.ledger.admin.endpoints import find_endpoints
from answerback.ledger.admin.instances import InstanceStatus, find_instances
from answerback.ledger.admin.leases import Lease, find_leases
from answerback.ledger.backends.selection import dialect_of
from answerback.ledger.read.deliveries import DeliveryBacklogs, backlog_by_endpoint
from answerback.ledger.write.erasures import Erasure, find_unfinished


class ClusterStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Who serves the ledger, who delivers to which endpoint, and the backlog of each; all as of `now_us`, the ledger's time."""

    backend: str
    schema: str | None
    now_us: int
    instances: list[InstanceStatus]
    leases: list[Lease]
    endpoints: list[Endpoint]
    backlog: DeliveryBacklogs
    erasures: list[Erasure]


def read_cluster_status(connection: Connection) -> ClusterStatus:
    return ClusterStatus(
        backend=dialect_of(connection).name,
        schema=migrations.version(connection),
        now_us=dialect_of(connection).now_us(connection),
        instances=find_instances(connection),
        leases=find_leases(connection),
        endpoints=find_endpoints(connection),
        backlog=backlog_by_endpoint(connection),
        erasures=find_unfinished(connection),
    )
