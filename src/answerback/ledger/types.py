"""The types of what goes into the ledger and comes out of it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import IntEnum, auto

import msgspec

from answerback.domain.delivery_states import DeliveryTransition
from answerback.domain.models import ParsedCallback, RejectedCallback

Item = ParsedCallback | RejectedCallback
"""A body on its way into the ledger, read."""

_MICROSECONDS = 1_000_000
_DAY_S = 86_400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


class Disposition(IntEnum):
    """What became of one item of a batch; all but DROPPED are on disk."""

    STORED = auto()
    DUPLICATE = auto()
    QUARANTINED = auto()
    DROPPED = auto()


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """The receipt for one item: what became of it, and the id of its row."""

    disposition: Disposition
    id: int | None = None


class RecordResult(msgspec.Struct, frozen=True, gc=False):
    """What became of a batch: a receipt for each of its items, the jobs that follow from it, and which endpoints have more.

    `set_aside` says in the driver's words why the ledger refused some of `items`, which are then those that were kept instead.
    `slices` is how many of the batch's slices these are: fewer than it has where another write waited.
    """

    receipts: "list[Receipt]"
    jobs: "list[DeliveryJob]"
    backlogged: list[int]
    items: "Sequence[Item]"
    set_aside: list[str] = []  # msgspec gives each its own
    slices: int = 1


class DeliveryJob(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A delivery that may go out now, with all that an attempt needs.

    `annotated_us` is when the call was last annotated, as far as `body` knows it; `created_us` when it was enqueued.
    `fingerprint` is that of the callback, which came in at `received_us`; of the call itself where it is about that alone.
    `attempts` were made before.
    """

    delivery_id: int
    endpoint_id: int
    call_id: int
    failed_attempts: int
    message_id: str
    body: bytes
    annotated_us: int | None
    created_us: int
    fingerprint: bytes = b""
    received_us: int | None = None
    attempts: int = 0


class AttemptRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An attempt, and what it did to its delivery. `due_us` is when the next one may be, where there is one.

    `counts` is whether a failure counts towards giving up: it does not while the endpoint is only being probed.
    """

    delivery_id: int
    endpoint_id: int
    call_id: int
    annotated_us: int | None
    transition: DeliveryTransition
    counts: bool
    due_us: int
    started_us: int
    duration_us: int
    http_status: int | None
    response_body: bytes
    error: str | None


class EndpointPause(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An endpoint is paused after so many failures in a row; `until_us` None: it is no longer."""

    endpoint_id: int
    consecutive_failures: int
    until_us: int | None


def to_us(when: datetime) -> int:
    """Aware time -> microseconds since 1970, all of them: a float would not hold those of the year 9999."""
    since = when - _EPOCH
    return (since.days * _DAY_S + since.seconds) * _MICROSECONDS + since.microseconds


def from_us(when_us: int) -> datetime:
    """Microseconds since 1970 -> aware UTC; the first or the last time there is where it is before or after that."""
    try:
        return _EPOCH + timedelta(microseconds=when_us)
    except OverflowError:
        return _LAST if when_us > 0 else _FIRST
