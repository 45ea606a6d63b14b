"""Record the inbox of a gateway that is dead, beside others that write to the same ledger."""

import time
from collections import Counter
from collections.abc import Callable

import msgspec

from answerback.inbox import InboxReader
from answerback.ledger import Disposition, Ledger
from answerback.ledger.commands import LogPositions, RecordLog

_MAX_CALLBACKS = 512
_MAX_BYTES = 8 * 1024 * 1024


class InboxFileSummary(msgspec.Struct, kw_only=True):
    """What became of an inbox: rows and callbacks that the ledger did not have, and how many of the rows could not be read."""

    rows: int = 0
    callbacks: int = 0
    unreadable_rows: int = 0
    dispositions: Counter[Disposition] = msgspec.field(default_factory=Counter)


def record_inbox_file(
    reader: InboxReader, ledger: Ledger, advance: Callable[[InboxFileSummary], None]
) -> InboxFileSummary:
    """Record what the ledger has not recorded yet; `advance` is called after each batch.

    Raises LedgerUnavailable and PositionConflict: what was recorded stays, run it again for the rest.
    """
    summary = InboxFileSummary()
    for generation in reader.generations():
        position = LogPositions([generation.id]).run(ledger)[generation.id]
        while rows := reader.read(generation, position, _MAX_CALLBACKS, _MAX_BYTES):
            began_s = time.perf_counter()
            reply = RecordLog(generation.id, position, [(row.position, row.payload) for row in rows]).run(ledger)
            summary.rows += reply.position - position
            summary.callbacks += sum(reply.dispositions.values())
            summary.unreadable_rows += reply.unreadable_rows
            summary.dispositions.update(reply.dispositions)
            position = reply.position
            advance(summary)
            time.sleep(time.perf_counter() - began_s)  # the ledger is others' for as long
    return summary
