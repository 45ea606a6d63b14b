"""A batch that the ledger refuses while it takes others: the callback at fault goes to quarantine, the rest is recorded.

All of it in the transaction of the batch, half by half under savepoints, so that a batch of the stream stays in the ledger once
and whole. The transaction has to be alone: halves take the locks of calls after those of sums.
"""

from collections.abc import Callable, Sequence

import msgspec
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from answerback.domain.models import RejectedCallback
from answerback.errors import AnswerbackError, UnavailableReason
from answerback.ledger.backends.driver_errors import classify, to_unavailable
from answerback.ledger.backends.postgresql.schema import clear_partition_cache
from answerback.ledger.types import Item, RecordResult
from answerback.ledger.write.quarantine import refusal_of

RecordFunction = Callable[[Sequence[Sequence[Item]]], RecordResult]

REFUSED = f"{UnavailableReason.VALUE} in it"


def can_bisect(error: Exception) -> bool:
    """Whether an error may be the fault of one callback: of its values, or the program's with it."""
    return _is_value_error(error) or not isinstance(error, AnswerbackError)


def record_bisected(
    connection: Connection,
    slices: Sequence[Sequence[Item]],
    record: RecordFunction,
    on_rollback: Callable[[], None],
    is_write_waiting: Callable[[], bool],
) -> RecordResult:
    """Record `slices` but for what is refused, which is set aside; `on_rollback` is called each time a part was.

    It stops after the first slice at whose end another write is waiting. Raises what `record` raises where that is no
    single callback's fault.
    """
    apart = _Bisection(connection, record, on_rollback)
    done = 0
    for items in slices:
        apart.record(items)
        done += 1
        if is_write_waiting():
            break
    if apart.fault is not None and not apart.has_recorded:
        raise apart.fault
    return RecordResult(
        [receipt for part in apart.parts for receipt in part.receipts],
        [job for part in apart.parts for job in part.jobs],
        sorted({endpoint_id for part in apart.parts for endpoint_id in part.backlogged}),
        [item for part in apart.parts for item in part.items],
        apart.set_aside,
        done,
    )


class _Bisection:
    """What was recorded so far, in the order of the batch."""

    def __init__(self, connection: Connection, record: RecordFunction, on_rollback: Callable[[], None]) -> None:
        self._connection = connection
        self._record = record
        self._on_rollback = on_rollback
        self.parts: list[RecordResult] = []
        self.set_aside: list[str] = []
        self.fault: Exception | None = None
        self.has_recorded = False

    def record(self, items: Sequence[Item]) -> None:
        """Record all, or each half by itself, down to the one that is refused."""
        try:
            self._try(items)
        except Exception as error:
            if not self._is_fault(error) and not _is_value_error(error):
                raise
            if len(items) == 1:
                self._set_aside(items[0], error)
                return
            middle = len(items) // 2
            self.record(items[:middle])
            self.record(items[middle:])
        else:
            self.has_recorded = True

    def _try(self, items: Sequence[Item]) -> None:
        try:
            with self._connection.begin_nested():
                self.parts.append(self._record([items]))
        except Exception:
            self._on_rollback()
            clear_partition_cache(self._connection)
            raise

    def _set_aside(self, item: Item, error: Exception) -> None:
        """Keep its bytes, with a reason that can be kept whatever is in them."""
        if self._is_fault(error):
            self.fault = self.fault or error
        if isinstance(item, RejectedCallback):
            kept = msgspec.structs.replace(item, reason=REFUSED)
        else:
            kept = refusal_of(item, REFUSED)
        self._try([kept])
        self.set_aside.append(to_unavailable(error).detail)

    def _is_fault(self, error: Exception) -> bool:
        driver = self._connection.dialect.loaded_dbapi.Error
        return not isinstance(error, (AnswerbackError, SQLAlchemyError, driver)) and not _is_value_error(error)


def _is_value_error(error: Exception) -> bool:
    return classify(error).reason is UnavailableReason.VALUE
