"""The processes: who lives, and who may do what."""

from typing import Any

from sqlalchemy.engine import Connection

from answerback.ledger.admin import instances, leases
from answerback.ledger.admin.instances import Instance
from answerback.ledger.admin.leases import ClaimResult
from answerback.ledger.commands.command import Command
from answerback.ledger.ledger import Ledger
from answerback.ledger.write.subscriptions import SubscriptionCache


class ClaimLeases(Command[ClaimResult], frozen=True):
    """Renew an instance's leases and take what is free: of the endpoints its fair share, and these singletons.

    `active_ids` are the endpoints whose deliveries it has in its hands.
    """

    instance_id: str
    active_ids: list[int]
    singletons: list[str]
    ttl_us: int

    def run(self, ledger: Ledger) -> ClaimResult:
        return ledger.write(
            lambda c, _: leases.claim(c, self.instance_id, frozenset(self.active_ids), self.singletons, self.ttl_us),
            shared=True,
        )


class ReleaseLeases(Command[int], frozen=True):
    """Give back an instance's leases of some endpoints, or (None) take leave with all that it has; how many there were."""

    instance_id: str
    endpoint_ids: list[int] | None

    def run(self, ledger: Ledger) -> int:
        names = None if self.endpoint_ids is None else [leases.lease_name(id_) for id_ in self.endpoint_ids]

        def work(connection: Connection, _: SubscriptionCache) -> int:
            if names is None:
                instances.deregister(
                    connection, self.instance_id
                )  # or its share would stay free as long as it seems to be there
            return leases.release(connection, self.instance_id, names)

        return ledger.write(work, shared=True, idempotent=True)


class RecordHeartbeat(Command[None], frozen=True):
    """Note that an instance lives, and what it says of itself."""

    instance: Instance
    status: dict[str, Any]

    def run(self, ledger: Ledger) -> None:
        ledger.write(lambda c, _: instances.heartbeat(c, self.instance, self.status), shared=True, idempotent=True)


class DeregisterInstance(Command[None], frozen=True):
    """Forget an instance that ends."""

    instance_id: str

    def run(self, ledger: Ledger) -> None:
        ledger.write(lambda c, _: instances.deregister(c, self.instance_id), shared=True, idempotent=True)
