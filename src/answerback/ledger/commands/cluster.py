"""The processes: who lives, and who may do what."""

from typing import Any, ClassVar

from sqlalchemy.engine import Connection

from answerback.ledger.admin import instances, leases
from answerback.ledger.admin.instances import Member
from answerback.ledger.admin.leases import Claimed
from answerback.ledger.commands.command import Request
from answerback.ledger.ledger import Ledger
from answerback.ledger.write import outbox


class Claim(Request[Claimed], frozen=True, array_like=True, tag=True):
    """Renew a member's leases and take what is free: of the endpoints its fair share, and these duties.

    `here` are the endpoints whose deliveries it has in its hands.
    """

    answer: ClassVar[Any] = Claimed
    member: str
    here: list[int]
    duties: list[str]
    ttl_us: int

    def run(self, ledger: Ledger) -> Claimed:
        """Carry it out."""
        return ledger.write(
            lambda c, _: leases.claim(c, self.member, frozenset(self.here), self.duties, self.ttl_us), beside=True
        )


class Release(Request[int], frozen=True, array_like=True, tag=True):
    """Give back a member's leases of some endpoints, or (None) take leave with all that it has; how many there were."""

    answer: ClassVar[Any] = int
    member: str
    endpoint_ids: list[int] | None

    def run(self, ledger: Ledger) -> int:
        """Carry it out."""
        names = None if self.endpoint_ids is None else [leases.lease_of(id_) for id_ in self.endpoint_ids]

        def work(connection: Connection, _: outbox.Outbox) -> int:
            if names is None:
                instances.leave(connection, self.member)  # or its share would stay free as long as it seems to be there
            return leases.release(connection, self.member, names)

        return ledger.write(work, beside=True, repeatable=True)


class Beat(Request[None], frozen=True, array_like=True, tag=True):
    """Note that a member lives, and what it says of itself."""

    member: Member
    state: dict[str, Any]

    def run(self, ledger: Ledger) -> None:
        """Carry it out."""
        ledger.write(lambda c, _: instances.beat(c, self.member, self.state), beside=True, repeatable=True)


class Leave(Request[None], frozen=True, array_like=True, tag=True):
    """Forget a member that ends."""

    member: str

    def run(self, ledger: Ledger) -> None:
        """Carry it out."""
        ledger.write(lambda c, _: instances.leave(c, self.member), beside=True, repeatable=True)
