"""Rows of a log, parsed into slices: each is recorded as one, and between two of them another write may go first."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import NamedTuple

from answerback.domain.batches import BatchDecodeError, BatchItem, decode_batch
from answerback.domain.models import DEFAULT_CHANNEL, RawCallback, RejectedCallback
from answerback.ledger.types import Item, from_us
from answerback.tencent.codes import ResponseCode
from answerback.tencent.parsing import parse_or_reject

SLICE_CALLBACKS = 256
"""Another write waits as long as so many take."""

LogRow = tuple[int, bytes | None]
"""A row's position, and its payload; None where its bytes are damaged."""

_received = attrgetter("received_us")


class LogSlice(NamedTuple):
    """The callbacks of some rows in the order in which they came in, up to the row at `position`."""

    position: int
    items: Sequence[Item]
    unreadable_rows: int


def parse_slices(log: bytes, rows: Iterable[LogRow]) -> Iterator[LogSlice]:
    """Slices of whole rows, all but the last with SLICE_CALLBACKS or more; a row that cannot be read is a refused body."""
    bodies: list[BatchItem] = []
    unreadable: list[Item] = []
    end = None
    for position, payload in rows:
        end = position
        try:
            bodies += _decode(payload)
        except BatchDecodeError as error:
            unreadable.append(_refusal(log, position, payload, str(error)))
        if len(bodies) + len(unreadable) >= SLICE_CALLBACKS:
            yield _slice(end, bodies, unreadable)
            bodies, unreadable, end = [], [], None
    if end is not None:
        yield _slice(end, bodies, unreadable)


def parse_bodies(bodies: Iterable[BatchItem]) -> list[Item]:
    """Every body, read, in the order in which they came in."""
    return [
        parse_or_reject(RawCallback(body.channel, body.raw, from_us(body.received_us)))
        for body in sorted(bodies, key=_received)
    ]


def _slice(position: int, bodies: Sequence[BatchItem], unreadable: Sequence[Item]) -> LogSlice:
    return LogSlice(position, [*parse_bodies(bodies), *unreadable], len(unreadable))


def _decode(payload: bytes | None) -> Sequence[BatchItem]:
    if payload is None:
        raise BatchDecodeError("its bytes are damaged; the callbacks in it were answered, and are lost")
    return decode_batch(payload).items


def _refusal(log: bytes, position: int, payload: bytes | None, problem: str) -> RejectedCallback:
    """What keeps the bytes of a row; one that is lost is known by its place."""
    place = f"row {position} of log {log.hex()}"
    return RejectedCallback(
        channel=DEFAULT_CHANNEL,
        raw=payload if payload is not None else place.encode(),
        result=ResponseCode.NOT_JSON,
        reason=f"{place} cannot be read: {problem}",
        received_at=datetime.now(UTC),
        bounded=False,
    )
