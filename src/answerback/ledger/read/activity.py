"""What people watch as it happens: callbacks that came in and attempts that were made, in an order that is final."""

import re
from datetime import datetime
from heapq import merge
from itertools import accumulate
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Row, func, select
from sqlalchemy.engine import Connection

from answerback.domain.endpoints import EventType
from answerback.domain.masking import mask_fields
from answerback.domain.models import CallbackKind, Outcome
from answerback.ledger.backends.postgresql.partition_ids import sequence_of
from answerback.ledger.backends.selection import dialect_of
from answerback.ledger.rows import read_row
from answerback.ledger.tables import attempts, callbacks, calls, deliveries, endpoints
from answerback.ledger.types import from_us

PAGE_EVENTS = 100
"""So many callbacks, and so many attempts, are read at a time."""

MAX_PAGE_BYTES = 2 * 1024 * 1024
"""Of the bodies that are read at a time."""

_US = 1_000_000
_CURSOR = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")


class ActivityEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A callback that came in, or an attempt that was made; `id` is that one's own.

    Those of a sort come in the order of their `sequence`.
    """

    id: int
    sequence: int
    at: datetime
    channel: str
    callid: str
    mobile: str
    outcome: Outcome
    """Of the call, as it is known when the event is read."""
    callback_kind: CallbackKind | None = None
    """The kind of the callback; None: it is an attempt."""
    raw: bytes = b""
    delivery_id: int | None = None
    endpoint: str | None = None
    event: EventType | None = None
    error: str | None = None
    status: int | None = None
    duration_s: float | None = None

    def masked(self) -> "ActivityEvent":
        hidden = {"callid": self.callid, "mobile": self.mobile, "error": self.error}
        return msgspec.structs.replace(self, **mask_fields(hidden, full_numbers=False))


class ActivityCursor(NamedTuple):
    """A position: the numbers of the last callback and of the last attempt in front of it."""

    callback: int
    attempt: int

    def __str__(self) -> str:
        return f"{self.callback}-{self.attempt}"

    @classmethod
    def parse(cls, text: str) -> "ActivityCursor | None":
        """The position that `str` wrote, or the beginning for "0"; None where it is neither."""
        match = _CURSOR.fullmatch("0-0" if text == "0" else text)
        return None if match is None else cls(int(match[1]), int(match[2]))

    def covers(self, other: "ActivityCursor") -> bool:
        """Whether nothing in front of `other` is behind this."""
        return self.callback >= other.callback and self.attempt >= other.attempt

    def is_before(self, event: ActivityEvent) -> bool:
        return event.sequence > (self.attempt if event.callback_kind is None else self.callback)

    def after(self, event: ActivityEvent) -> "ActivityCursor":
        """The position behind this one and `event`."""
        passed = {"attempt" if event.callback_kind is None else "callback": event.sequence}
        return self if not self.is_before(event) else self._replace(**passed)

    def highest(self, other: "ActivityCursor") -> "ActivityCursor":
        return ActivityCursor(*map(max, self, other))

    def lowest(self, other: "ActivityCursor") -> "ActivityCursor":
        return ActivityCursor(*map(min, self, other))

    def back(self, count: int) -> "ActivityCursor":
        """So many callbacks and attempts earlier."""
        return ActivityCursor(max(0, self.callback - count), max(0, self.attempt - count))


BEGINNING = ActivityCursor(0, 0)


class CommitHorizon:
    """How far the order of events is final: in front of it no transaction can commit one any more.

    Numbers are drawn before they are committed: of two writers on PostgreSQL the one with the higher number may be first. So a position is
    taken over only once all who wrote when it was read have ended; who begins later draws higher numbers. To be read up to in another
    transaction, which sees what they have committed.
    """

    position: ActivityCursor | None = None
    """None: nothing is known yet."""

    def __init__(self) -> None:
        self._next = BEGINNING
        self._writers: frozenset[str] | None = None

    def advance(self, connection: Connection) -> ActivityCursor | None:
        """The position by now."""
        if not (self._writers and self._writers & dialect_of(connection).current_writers(connection)):
            if self._writers is not None:
                self.position = self._next
            self._next = activity_position(connection)
            self._writers = dialect_of(connection).current_writers(connection)
            if not self._writers:
                self.position = self._next
        return self.position


def activity_position(connection: Connection) -> ActivityCursor:
    """The numbers of the last callback and of the last attempt that are committed."""
    return ActivityCursor(
        max(
            sequence_of(
                connection.execute(
                    select(func.max(callbacks.c.id)).where(callbacks.c.id > lowest, callbacks.c.id <= highest)
                ).scalar()
                or 0
            )
            for lowest, highest in dialect_of(connection).recent_ids(connection, callbacks)
        ),
        connection.execute(select(func.coalesce(func.max(attempts.c.id), 0))).scalar_one(),
    )


def read_activity(
    connection: Connection, after: ActivityCursor, until: ActivityCursor, limit: int = PAGE_EVENTS
) -> tuple[list[ActivityEvent], ActivityCursor]:
    """The first events from `after` on, those of a sort in order of their numbers, and the position behind them, at most `until`.

    On PostgreSQL callbacks of calls that were first seen before last month are left out.
    """
    ids, came_until = _next_callbacks(connection, after.callback, until.callback, limit)
    came = connection.execute(_callbacks.where(callbacks.c.id.in_(ids))).all()
    made = connection.execute(
        _attempts.where(attempts.c.id > after.attempt, attempts.c.id <= until.attempt)
        .order_by(attempts.c.id)
        .limit(limit)
    ).all()
    events = merge(
        sorted(map(_callback_event, came), key=lambda one: one.sequence),
        map(_attempt_event, made),
        key=lambda one: one.at,
    )
    made_until = made[-1].id if len(made) == limit else until.attempt
    return list(events), after.highest(ActivityCursor(came_until, made_until))


_callbacks = (
    select(callbacks.c.id, callbacks.c.received_us, callbacks.c.kind, callbacks.c.raw)
    .add_columns(calls.c.channel, calls.c.callid, calls.c.mobile, calls.c.outcome)
    .join(calls, calls.c.id == callbacks.c.call_id)
)
_attempts = (
    select(attempts, deliveries.c.event, calls.c.channel, calls.c.callid, calls.c.mobile, calls.c.outcome)
    .add_columns(endpoints.c.name)
    .join(deliveries, deliveries.c.id == attempts.c.delivery_id)
    .join(calls, calls.c.id == deliveries.c.call_id)
    .join(endpoints, endpoints.c.id == deliveries.c.endpoint_id)
)


def _next_callbacks(connection: Connection, after: int, until: int, limit: int) -> tuple[list[int], int]:
    """The ids of the first callbacks behind `after`, as many as may be read at a time, and the number up to which these are all."""
    sizes = [
        row
        for lowest, highest in dialect_of(connection).recent_ids(connection, callbacks, after, until)
        for row in connection.execute(
            select(callbacks.c.id, func.length(callbacks.c.raw))
            .where(callbacks.c.id > lowest, callbacks.c.id <= highest)
            .order_by(callbacks.c.id)
            .limit(limit)
        )
    ]
    sizes.sort(key=lambda row: sequence_of(row[0]))
    totals = accumulate(size for _, size in sizes[:limit])
    ids = [id_ for (id_, _), total in zip(sizes, totals, strict=False) if total <= MAX_PAGE_BYTES] or [
        id_ for id_, _ in sizes[:1]
    ]
    return ids, until if len(ids) == len(sizes) < limit else sequence_of(ids[-1])


def _callback_event(row: Row[Any]) -> ActivityEvent:
    at, kind = from_us(row.received_us), CallbackKind(row.kind)
    return read_row(
        ActivityEvent, row, sequence=sequence_of(row.id), at=at, outcome=Outcome(row.outcome), callback_kind=kind
    )


def _attempt_event(row: Row[Any]) -> ActivityEvent:
    return read_row(
        ActivityEvent,
        row,
        sequence=row.id,
        at=from_us(row.started_us + row.duration_us),
        outcome=Outcome(row.outcome),
        endpoint=row.name,
        event=EventType(row.event),
        status=row.http_status,
        duration_s=row.duration_us / _US,
    )
