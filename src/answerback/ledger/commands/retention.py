"""Deleting what is older than it is to be kept."""

from answerback.domain.retention import Cutoffs
from answerback.ledger.commands.command import Command, now
from answerback.ledger.ledger import Ledger
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
