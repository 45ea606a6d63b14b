"""Rows of a log, parsed into slices: each is recorded as one, and between two of them another write may go first."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import NamedTuple

from answerback.domain.batches import BatchDecodeError, BatchItem, CallbackBatch, decode_batch
from answerback.domain.models import DEFAULT_CHANNEL, ROWS_RESULT, RawCallback, RejectedCallback
from answerback.ledger.types import Item, from_us
from answerback.tencent.parsing import parse_or_reject

SLICE_CALLBACKS = 256
"""Another write waits as long as so many take."""

LogRow = tuple[int, bytes | None]
"""A row's position, and its payload; None where that and the rows between it and the one before are missing or damaged."""

_received = attrgetter("received_us")


class LogSlice(NamedTuple):
    """The callbacks of some rows in the order in which they came in, up to the row at `position`.

    `batches` are the ids of those that have one, each with the time of its batch.
    """

    position: int
    items: Sequence[Item]
    unreadable_rows: int
    batches: Mapping[bytes, int]
    repeated_batches: int


def parse_slices(log: bytes, after: int, rows: Iterable[LogRow], held: Collection[bytes] = ()) -> Iterator[LogSlice]:
    """Slices of whole rows, all but the last with SLICE_CALLBACKS or more. What cannot be read is a refused body.

    Batches whose ids are `held`, or came before, are passed over.
    """
    bodies: list[BatchItem] = []
    refused: list[Item] = []
    unreadable: list[_UnreadableRows] = []
    batches: dict[bytes, int] = {}
    unreadable_rows, repeated_batches, start, known, before_us = 0, 0, after, set(held), None
    for position, payload in rows:
        try:
            batch = _decode(payload)
        except BatchDecodeError as error:
            unreadable.append(_UnreadableRows(range(after + 1, position + 1), payload, str(error), before_us))
            unreadable_rows += position - after
        else:
            refused += [_refusal(log, one, batch.appended_us) for one in unreadable]
            unreadable, before_us = [], batch.appended_us
            if batch.id in known:
                repeated_batches += 1
            else:
                bodies += batch.items
                if batch.id:
                    known.add(batch.id)
                    batches[batch.id] = batch.appended_us
        after = position
        if len(bodies) + len(refused) + len(unreadable) >= SLICE_CALLBACKS:
            items = [*parse_bodies(bodies), *refused, *(_refusal(log, one, None) for one in unreadable)]
            yield LogSlice(after, items, unreadable_rows, batches, repeated_batches)
            bodies, refused, unreadable, batches, unreadable_rows, repeated_batches, start = [], [], [], {}, 0, 0, after
    if after != start:
        items = [*parse_bodies(bodies), *refused, *(_refusal(log, one, None) for one in unreadable)]
        yield LogSlice(after, items, unreadable_rows, batches, repeated_batches)


def parse_row(payload: bytes) -> list[Item]:
    """Every body of one row, read. Raises BatchDecodeError."""
    return parse_bodies(decode_batch(payload).items)


def parse_bodies(bodies: Iterable[BatchItem]) -> list[Item]:
    """Every body, read, in the order in which they came in."""
    return [
        parse_or_reject(RawCallback(body.channel, body.raw, from_us(body.received_us)))
        for body in sorted(bodies, key=_received)
    ]


def _decode(payload: bytes | None) -> CallbackBatch:
    if payload is None:
        raise BatchDecodeError("missing or damaged; its callbacks were answered and are not recorded")
    return decode_batch(payload)


class _UnreadableRows(NamedTuple):
    """Rows that cannot be read: their bytes, if they are there, and when the batch before them came, if that is known."""

    positions: range
    payload: bytes | None
    problem: str
    before_us: int | None


def _refusal(log: bytes, rows: _UnreadableRows, after_us: int | None) -> RejectedCallback:
    """What keeps the bytes of a row; what is missing is known by its place, and by the times of the batches around it."""
    positions, payload = rows.positions, rows.payload
    numbers = f"row {positions[0]}" if len(positions) == 1 else f"rows {positions[0]} to {positions[-1]}"
    place = f"{numbers} of log {log.hex()}"
    around = {"after": rows.before_us, "before": after_us}
    times = [f"{word} {from_us(us):%Y-%m-%dT%H:%M:%SZ}" for word, us in around.items() if us is not None]
    came = f"; it came in {' and '.join(times)}" if times else ""
    return RejectedCallback(
        channel=DEFAULT_CHANNEL,
        raw=payload if payload is not None else place.encode(),
        result=ROWS_RESULT,
        reason=f"{place} cannot be read: {rows.problem}{came}",
        received_at=datetime.now(UTC),
        bounded=False,
    )
