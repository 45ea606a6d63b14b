"""Recording what a log holds, and what to do with bodies that could not be understood."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from answerback.domain.models import ParsedCallback
from answerback.errors import CallbackRejected
from answerback.ledger.admin.audit import Actor
from answerback.ledger.commands.command import Command, now
from answerback.ledger.ledger import Ledger
from answerback.ledger.types import DeliveryJob, Disposition, RecordResult, to_us
from answerback.ledger.write.log_positions import find_positions, forget_logs, prune_batches
from answerback.ledger.write.log_rows import LogRow


class TransactionTrace(msgspec.Struct, frozen=True, array_like=True):
    """When a transaction was, and each callback in it, in order: its fingerprint, when it came in, what became of it."""

    started_us: int
    ended_us: int
    callbacks: list[tuple[bytes, int, Disposition]]


class LogReply(msgspec.Struct, frozen=True, array_like=True):
    """What became of rows of a log, up to `position`: how many could not be read, how many batches the ledger had already.

    Then what became of the bodies, by `Disposition`, and what can be sent now. `set_aside`: why the ledger refused some of
    them, in the driver's words.
    """

    position: int
    unreadable_rows: int
    repeated_batches: int
    dispositions: dict[Disposition, int]
    jobs: list[DeliveryJob]
    backlogged: list[int]
    trace: TransactionTrace | None = None
    set_aside: list[str] = []  # msgspec gives each its own


class RecordLog(Command[LogReply], frozen=True):
    """Record what rows of `log` hold, whose recorded position has to be `after`, and move that in the same transaction.

    Their deliveries are enqueued; of endpoints that are `saturated` no jobs come back. `trace` asks for a `TransactionTrace`.

    A row is its position and its payload, None where it and all since the one before are missing or damaged. A batch with an id that the
    ledger holds is passed over. Where another command waits it stops early. `log` is empty for a stream: positions then number the rows, and
    nothing but the ids of batches is kept. Raises PositionConflict.
    """

    log: bytes
    after: int
    rows: Sequence[LogRow]
    saturated: list[int] = []  # noqa: RUF012  # msgspec gives each its own
    trace: bool = False

    def run(self, ledger: Ledger) -> LogReply:
        started_us = to_us(now()) if self.trace else None
        slices, recorded = ledger.record_log(self.log, self.after, self.rows, self.saturated)
        return LogReply(
            slices[-1].position if slices else self.after,
            sum(one.unreadable_rows for one in slices),
            sum(one.repeated_batches for one in slices),
            _count(recorded),
            recorded.jobs,
            recorded.backlogged,
            _trace_of(recorded, started_us),
            recorded.set_aside,
        )


class LogPositions(Command[dict[bytes, int]], frozen=True):
    """How far each of `logs` is recorded: 0 where nothing of it is."""

    logs: list[bytes]

    def run(self, ledger: Ledger) -> dict[bytes, int]:
        return ledger.read(find_positions, self.logs)


class ForgetLogs(Command[None], frozen=True):
    """Forget the positions that no recorder has moved or kept since `before_us`; those of `keep` are kept as of now."""

    keep: list[bytes]
    before_us: int

    def run(self, ledger: Ledger) -> None:
        ledger.write(lambda c, _: forget_logs(c, self.keep, to_us(now()), self.before_us), shared=True, idempotent=True)


class PruneConsumed(Command[int], frozen=True):
    """Forget some batches of the stream that cannot come any more; how many there were."""

    before_us: int
    limit: int

    def run(self, ledger: Ledger) -> int:
        return ledger.write(lambda c, _: prune_batches(c, self.before_us, self.limit), shared=True, idempotent=True)


class RequeueResult(msgspec.Struct, frozen=True, array_like=True):
    """What became of a refused body that was read once more: None and the `reason` where it is still refused."""

    disposition: Disposition | None
    reason: str | None
    jobs: list[DeliveryJob] = []
    backlogged: list[int] = []


class RequeueQuarantined(Command[RequeueResult], frozen=True):
    """Read a refused body once more; if it is a callback now, take it out of the quarantine."""

    actor: Actor
    quarantined_id: int

    def run(self, ledger: Ledger) -> RequeueResult:
        try:
            recorded = ledger.reprocess_quarantined(self.quarantined_id, self.actor)
        except CallbackRejected as rejection:
            return RequeueResult(None, rejection.errmsg)
        best = min(receipt.disposition for receipt in recorded.receipts)
        return RequeueResult(best, None, recorded.jobs, recorded.backlogged)


class DeleteQuarantined(Command[int], frozen=True):
    """Throw refused bodies away; how many there were."""

    actor: Actor
    ids: list[int]

    def run(self, ledger: Ledger) -> int:
        return ledger.delete_quarantined(self.ids, self.actor)


class SetQuarantineBounds(Command[None], frozen=True):
    """Change how much the quarantine may hold, and take in within a minute."""

    max_bytes: int
    max_per_minute: int

    def run(self, ledger: Ledger) -> None:
        ledger.quarantine_bounds.set_bounds(self.max_bytes, self.max_per_minute)


class ProbeWrite(Command[None], frozen=True):
    """Commit nothing of note."""

    def run(self, ledger: Ledger) -> None:
        ledger.probe()


def _count(recorded: RecordResult) -> dict[Disposition, int]:
    return dict(Counter([receipt.disposition for receipt in recorded.receipts]))


def _trace_of(recorded: RecordResult, started_us: int | None) -> TransactionTrace | None:
    if started_us is None:
        return None
    callbacks = [
        (item.fingerprint, to_us(item.received_at), receipt.disposition)
        for item, receipt in zip(recorded.items, recorded.receipts, strict=True)
        if isinstance(item, ParsedCallback)
    ]
    return TransactionTrace(started_us, to_us(now()), callbacks)
