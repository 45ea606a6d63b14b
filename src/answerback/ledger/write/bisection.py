"""A batch that the ledger refuses while it takes others: the callback at fault goes to quarantine, the rest is recorded.

All of it in the transaction of the batch, half by half under savepoints, so that a batch of the stream stays in the ledger once
and whole. The transaction has to be alone: halves take the locks of calls after those of sums.
"""

from collections.abc import Callable, Sequence

import msgspec
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from answerback.domain.models import Received, Rejected
from answerback.errors import AnswerbackError, UnavailableReason
from answerback.ledger.backends import bulk_sql
from answerback.ledger.backends.driver_errors import meaning, unavailable
from answerback.ledger.backends.postgresql.schema import forget_months
from answerback.ledger.types import Recorded
from answerback.tencent.codes import Answered

Item = Received | Rejected
Record = Callable[[Sequence[Item]], Recorded]

REFUSED = f"{UnavailableReason.VALUE} in it"


def may_be_taken_apart(error: Exception) -> bool:
    """Whether an error may be the fault of one callback: of its values, or the program's with it."""
    return _is_of_values(error) or not isinstance(error, AnswerbackError)


def record_apart(connection: Connection, batch: Sequence[Item], record: Record, undone: Callable[[], None]) -> Recorded:
    """Record `batch` but for what is refused, which is set aside; `undone` is called each time a part was.

    Raises what `record` raises where that is no single callback's fault.
    """
    apart = _Apart(connection, record, undone)
    apart.take(batch)
    if apart.fault is not None and not apart.took:
        raise apart.fault
    return Recorded(
        [receipt for part in apart.parts for receipt in part.receipts],
        [job for part in apart.parts for job in part.jobs],
        sorted({endpoint_id for part in apart.parts for endpoint_id in part.behind}),
        [item for part in apart.parts for item in part.items],
        apart.set_aside,
    )


class _Apart:
    """What was recorded so far, in the order of the batch."""

    def __init__(self, connection: Connection, record: Record, undone: Callable[[], None]) -> None:
        self._connection = connection
        self._record = record
        self._undone = undone
        self.parts: list[Recorded] = []
        self.set_aside: list[str] = []
        self.fault: Exception | None = None
        self.took = False

    def take(self, items: Sequence[Item]) -> None:
        """Record all, or each half by itself, down to the one that is refused."""
        try:
            self._try(items)
        except Exception as error:
            if not self._is_fault(error) and not _is_of_values(error):
                raise
            if len(items) == 1:
                self._set_aside(items[0], error)
                return
            middle = len(items) // 2
            self.take(items[:middle])
            self.take(items[middle:])
        else:
            self.took = True

    def _try(self, items: Sequence[Item]) -> None:
        try:
            with self._connection.begin_nested():
                self.parts.append(self._record(items))
        except Exception:
            self._undone()
            if bulk_sql.on_postgresql(self._connection):
                forget_months(self._connection)
            raise

    def _set_aside(self, item: Item, error: Exception) -> None:
        """Keep its bytes, with a reason that can be kept whatever is in them."""
        if self._is_fault(error):
            self.fault = self.fault or error
        if isinstance(item, Rejected):
            kept = msgspec.structs.replace(item, reason=REFUSED)
        else:
            kept = Rejected(
                channel=item.channel,
                raw=item.raw,
                result=Answered.UNFIT_FIELD,
                reason=REFUSED,
                received_at=item.received_at,
                bounded=False,
            )
        self._try([kept])
        self.set_aside.append(unavailable(error).detail)

    def _is_fault(self, error: Exception) -> bool:
        driver = self._connection.dialect.loaded_dbapi.Error
        return not isinstance(error, (AnswerbackError, SQLAlchemyError, driver)) and not _is_of_values(error)


def _is_of_values(error: Exception) -> bool:
    return meaning(error).reason is UnavailableReason.VALUE
