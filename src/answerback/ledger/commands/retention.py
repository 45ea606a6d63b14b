"""Deleting what is older than it is to be kept, and erasing somebody's number."""

from answerback.domain.retention import Cutoffs
from answerback.ledger.admin.audit import Actor
from answerback.ledger.commands.command import Command, now
from answerback.ledger.ledger import Ledger
from answerback.ledger.write.erasures import Erasure, report_erasure, request_erasure
from answerback.ledger.write.retention import MONTHS, PrunePosition, PruneResult, prune_step


class Prune(Command[PruneResult], frozen=True):
    """Delete the next few rows that are too old; nothing, unless it `insists`, where another command waits."""

    cutoffs: Cutoffs
    position: PrunePosition
    insists: bool = False

    def run(self, ledger: Ledger) -> PruneResult:
        if not self.insists and ledger.is_write_waiting():
            return PruneResult({}, self.position)
        is_shared = self.position.stage != MONTHS  # to drop one, nobody may be about to write to it
        return ledger.write(
            lambda c, _: prune_step(c, self.cutoffs, self.position, now()), shared=is_shared, idempotent=True
        )


class ReportErasure(Command[None], frozen=True):
    """Write down how often an erasure was tried, and what keeps it from being done."""

    id: int
    tries: int
    failure: str | None

    def run(self, ledger: Ledger) -> None:
        ledger.write(lambda c, _: report_erasure(c, self.id, self.tries, self.failure), idempotent=True)


class RequestErasure(Command[Erasure], frozen=True, array_like=True, tag=True):
    """Write down that a number is to be erased; it is `sealed_number`. Raises PermissionDenied."""

    actor: Actor
    sealed_number: bytes

    def run(self, ledger: Ledger) -> Erasure:
        return ledger.write(lambda c, _: request_erasure(c, self.sealed_number, self.actor, now()))
