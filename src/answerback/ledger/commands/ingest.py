"""Storing: what came in, directly or by the stream, and what could not be understood."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from answerback.domain.models import Arrival, Kind, Received, Rejected
from answerback.errors import CallbackRejected
from answerback.ledger.admin.audit import Actor
from answerback.ledger.commands.command import Request, now
from answerback.ledger.ledger import Ledger
from answerback.ledger.types import Job, Recorded, Taken, Verdict, to_us
from answerback.ledger.write import consumed_batches
from answerback.ledger.write.consumed_batches import Batch
from answerback.tencent.parsing import understand

_KINDS = (None, *Kind)
_VERDICTS = [Verdict(taken, kind) for taken in Taken for kind in _KINDS]
_CODES = {(verdict.taken, verdict.kind): code for code, verdict in enumerate(_VERDICTS)}


class Witnessed(msgspec.Struct, frozen=True, array_like=True):
    """When a transaction was, and each callback in it, in order: its identity, when it came in, what became of it."""

    began_us: int
    ended_us: int
    callbacks: list[tuple[bytes, int, Taken]]


class Noted(msgspec.Struct, frozen=True, array_like=True):
    """What became of a batch: a byte per item, and result and errmsg of each refused one; what may go out now.

    `set_aside`: why the ledger refused some of them, in the driver's words.
    """

    codes: bytes
    refusals: list[tuple[int, str]]
    jobs: list[Job]
    behind: list[int]
    witnessed: Witnessed | None = None
    set_aside: list[str] = []  # msgspec gives each its own

    def verdicts(self) -> list[Verdict]:
        """What each sender is to be told, in the order of the batch."""
        verdicts = [_VERDICTS[code] for code in self.codes]
        if self.refusals:
            refusals = iter(self.refusals)
            verdicts = [
                Verdict(verdict.taken, None, *next(refusals)) if verdict.kind is None else verdict
                for verdict in verdicts
            ]
        return verdicts


class Record(Request[Noted], frozen=True, array_like=True, tag=True):
    """Read and store bodies, and owe them to whoever is to be told; of endpoints that are `full` no jobs come back.

    `witness` asks for what `Witnessed` tells.
    """

    answer: ClassVar[Any] = Noted
    batch: Sequence[Arrival]
    full: list[int] = []  # noqa: RUF012  # msgspec gives each its own
    witness: bool = False

    def run(self, ledger: Ledger) -> Noted:
        """Carry it out."""
        began_us = to_us(now()) if self.witness else None
        recorded = ledger.take([understand(arrival) for arrival in self.batch], self.full)
        items = recorded.items
        kinds = (item.callback.kind if isinstance(item, Received) else None for item in items)
        codes = bytes([_CODES[receipt.taken, kind] for receipt, kind in zip(recorded.receipts, kinds, strict=True)])
        refusals = [(item.result, item.reason) for item in items if isinstance(item, Rejected)]
        return Noted(
            codes, refusals, recorded.jobs, recorded.behind, _witnessed(recorded, began_us), recorded.set_aside
        )


class Drained(msgspec.Struct, frozen=True, array_like=True):
    """What became of batches of the stream: how many were new, and of their bodies by `Taken`; the rest as of `Noted`."""

    new: int
    taken: dict[Taken, int]
    jobs: list[Job]
    behind: list[int]
    witnessed: Witnessed | None = None
    set_aside: list[str] = []  # msgspec gives each its own


class RecordDrained(Request[Drained], frozen=True, array_like=True, tag=True):
    """Do what `Record` does with batches of the stream; one that the ledger holds already changes nothing."""

    answer: ClassVar[Any] = Drained
    batches: Sequence[Batch]
    full: list[int] = []  # noqa: RUF012  # msgspec gives each its own
    witness: bool = False

    def run(self, ledger: Ledger) -> Drained:
        """Carry it out."""
        began_us = to_us(now()) if self.witness else None
        new, recorded = ledger.take_batches(self.batches, self.full)
        taken = Counter([receipt.taken for receipt in recorded.receipts])
        witnessed = _witnessed(recorded, began_us)
        return Drained(len(new), dict(taken), recorded.jobs, recorded.behind, witnessed, recorded.set_aside)


class ForgetDrained(Request[int], frozen=True, array_like=True, tag=True):
    """Forget some batches of the stream that cannot come any more; how many there were."""

    answer: ClassVar[Any] = int
    before_us: int
    limit: int

    def run(self, ledger: Ledger) -> int:
        """Carry it out."""
        return ledger.write(
            lambda c, _: consumed_batches.forget(c, self.before_us, self.limit), beside=True, repeatable=True
        )


class Requeued(msgspec.Struct, frozen=True, array_like=True):
    """What became of a refused body that was read once more: None and the `reason` where it is still refused."""

    taken: Taken | None
    reason: str | None
    jobs: list[Job] = []
    behind: list[int] = []


class Requeue(Request[Requeued], frozen=True, array_like=True, tag=True):
    """Read a refused body once more; if it is a callback now, take it out of the quarantine."""

    answer: ClassVar[Any] = Requeued
    actor: Actor
    quarantined_id: int

    def run(self, ledger: Ledger) -> Requeued:
        """Carry it out."""
        try:
            recorded = ledger.take_again(self.quarantined_id, self.actor)
        except CallbackRejected as rejection:
            return Requeued(None, rejection.errmsg)
        return Requeued(recorded.receipts[0].taken, None, recorded.jobs, recorded.behind)


class DropQuarantined(Request[int], frozen=True, array_like=True, tag=True):
    """Throw refused bodies away; how many there were."""

    answer: ClassVar[Any] = int
    actor: Actor
    ids: list[int]

    def run(self, ledger: Ledger) -> int:
        """Carry it out."""
        return ledger.drop_quarantined(self.ids, self.actor)


class Probe(Request[None], frozen=True, array_like=True, tag=True):
    """Commit nothing of note."""

    def run(self, ledger: Ledger) -> None:
        """Carry it out."""
        ledger.probe()


def _witnessed(recorded: Recorded, began_us: int | None) -> Witnessed | None:
    if began_us is None:
        return None
    callbacks = [
        (item.identity, to_us(item.received_at), receipt.taken)
        for item, receipt in zip(recorded.items, recorded.receipts, strict=True)
        if isinstance(item, Received)
    ]
    return Witnessed(began_us, to_us(now()), callbacks)
