"""The months of a ledger on PostgreSQL: make their partitions ahead, and drop old ones."""

from collections.abc import Iterator
from datetime import UTC, datetime

from answerback.errors import Conflict
from answerback.ledger.admin.audit import Actor
from answerback.ledger.ledger import Ledger
from answerback.ledger.types import to_us
from answerback.ledger.write import retention
from answerback.ledger.write.retention import PartitionInfo


def expired_partitions(ledger: Ledger, when: datetime) -> list[PartitionInfo]:
    """The months that are over before the one of `when`. Raises Conflict where the ledger has no partitions."""
    _require_partitions(ledger)
    return ledger.read(lambda connection: retention.expired_partitions(connection, to_us(when)))


def create_partitions(ledger: Ledger, count: int) -> None:
    """Make the partitions of this month and of the next ones, `count` in all. Raises LedgerUnavailable."""
    ledger.write(lambda connection, _: retention.create_partitions(connection, datetime.now(UTC), count))


def drop_partition(ledger: Ledger, month: int, actor: Actor) -> Iterator[int]:
    """Drop a month: its callbacks and deliveries at once, then its calls; yields how many so far."""
    _require_partitions(ledger)
    ledger.write(lambda connection, _: retention.drop_partition(connection, month, actor, datetime.now(UTC)))
    gone = 0
    while some := ledger.write(lambda connection, _: retention.delete_orphan_calls(connection, month)):
        gone += some
        yield gone


def _require_partitions(ledger: Ledger) -> None:
    if ledger.engine.dialect.name != "postgresql":
        raise Conflict("SQLite has no monthly partitions to drop; `answerback copy` moves the ledger to PostgreSQL")
