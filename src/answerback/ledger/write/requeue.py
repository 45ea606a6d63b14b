"""A quarantined body once more: what it holds now is recorded, and it leaves the quarantine, in one transaction."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy.engine import Connection

from answerback.domain.batches import BatchDecodeError
from answerback.domain.models import ParsedCallback, QuarantineItem, RawCallback
from answerback.errors import CallbackRejected
from answerback.ledger.admin.audit import Actor, AuditAction, record_event
from answerback.ledger.read.quarantine import find_quarantined_body
from answerback.ledger.tables import call_key, quarantine
from answerback.ledger.types import Item, RecordResult
from answerback.ledger.write.batch_writer import PRUNED, record
from answerback.ledger.write.log_rows import parse_row
from answerback.ledger.write.quarantine import QuarantineWriter
from answerback.ledger.write.retention import find_pruned
from answerback.ledger.write.subscriptions import SubscriptionCache
from answerback.tencent.parsing import parse_callback


def parse_again(kept: QuarantineItem) -> Sequence[Item]:
    """What a quarantined item holds, now. Raises CallbackRejected."""
    if not kept.is_rows:
        return [parse_callback(RawCallback(kept.channel, kept.raw, kept.received_at))]
    if not kept.requeueable:
        raise CallbackRejected(kept.reason)
    try:
        return parse_row(kept.raw)
    except BatchDecodeError as error:
        raise CallbackRejected(str(error)) from error


def requeue(
    connection: Connection,
    kept: QuarantineItem,
    received: Sequence[Item],
    actor: Actor,
    bounds: QuarantineWriter,
    subscriptions: SubscriptionCache,
) -> RecordResult:
    """Record what `kept` holds, and take it out. Raises ResourceNotFound; CallbackRejected where its call was deleted for its age."""
    find_quarantined_body(connection, kept.id)  # it may be gone by now
    keys = [(one.channel, call_key(one.callback.callid)) for one in received if isinstance(one, ParsedCallback)]
    if not kept.is_rows and find_pruned(connection, keys):
        raise CallbackRejected(PRUNED)
    recorded = record(connection, [received], bounds, subscriptions)
    connection.execute(quarantine.delete().where(quarantine.c.id == kept.id))
    target = ("quarantined body", kept.id, "of", kept.channel)
    record_event(connection, actor, AuditAction.QUARANTINE_REQUEUED, datetime.now(UTC), *target)
    bounds.invalidate_count()
    return recorded
