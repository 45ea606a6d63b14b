"""Erasing somebody's number."""

from answerback.ledger.admin.audit import Actor
from answerback.ledger.commands.command import Command, now
from answerback.ledger.ledger import Ledger
from answerback.ledger.write.erasures import Erasure, request_erasure


class RequestErasure(Command[Erasure], frozen=True, array_like=True, tag=True):
    """Write down that a number is to be erased; it is `sealed_number`. Raises Forbidden."""

    actor: Actor
    sealed_number: bytes

    def run(self, ledger: Ledger) -> Erasure:
        return ledger.write(lambda c, _: request_erasure(c, self.sealed_number, self.actor, now()))
