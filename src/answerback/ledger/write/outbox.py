"""The outbox: what is owed to whom, written in the transaction that stores the callback, and read when it may go out.

Of the deliveries of a call to an endpoint one at most is pending, the first that is not at its end; the law is in
`answerback.domain.delivery_states`.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from secrets import token_bytes, token_hex
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, func, literal_column, select
from sqlalchemy.engine import Connection

from answerback.domain.calls import identify_call, public_id
from answerback.domain.delivery_states import TAG_LENGTH, event_of, message_id
from answerback.domain.models import Call, Endpoint, Event, Format, Kind, Received, State
from answerback.domain.webhook_payload import CallbackFields, write_message
from answerback.ledger.admin import endpoints as store
from answerback.ledger.backends import bulk_sql
from answerback.ledger.rows import READ_COLUMNS, call_of
from answerback.ledger.tables import DUE, callbacks, calls, deliveries, endpoints
from answerback.ledger.types import Job, from_us, to_us

DELIVERY_COLUMNS = (
    "id",
    "endpoint_id",
    "call_id",
    "callback_id",
    "event",
    "state",
    "tag",
    "attempts",
    "failures",
    "due_us",
    "created_us",
)

MOST_JOBS = 4096
"""Jobs told of after one transaction; the rest are in the ledger when their endpoint asks for more."""

_PENDING = State.PENDING.value
_WAITING = State.WAITING.value

Pair = tuple[int, int]
"""A call's id and an endpoint's id."""

_d = deliveries.c
_head = (
    _d.id,
    _d.endpoint_id,
    _d.call_id,
    _d.failures,
    _d.attempts,
    _d.tag,
    _d.created_us,
    calls.c.referred_us,
    callbacks.c.raw,
    callbacks.c.identity,
    callbacks.c.received_us,
)
_its_callback = and_(callbacks.c.id == _d.callback_id, callbacks.c.call_id == _d.call_id)  # both: they tell the month
_of_callback = select(*_head).join(callbacks, _its_callback).join(calls, calls.c.id == _d.call_id)
_of_call: Select[Any] = (
    select(
        *_head,
        _d.event,
        callbacks.c.id,
        callbacks.c.kind,
        callbacks.c.repeats,
        callbacks.c.repeated_us,
        *[calls.c[name] for name in READ_COLUMNS],
    )
    .join(calls, calls.c.id == _d.call_id)
    .outerjoin(callbacks, _its_callback)
)
_WIDTH = len(_head)
_OF_CALLBACK = 5  # the columns between those and the call's
_due: ColumnElement[bool] = literal_column(DUE)  # spelled as in the index, or SQLite does not see that it fits


class Outbox:
    """Who is to be told what, and by which ids: the endpoints as of the transaction under way.

    Without `id_key`, as where a command writes beside the gateway, nobody else can make the same ids.
    """

    def __init__(self, id_key: bytes | None = None) -> None:
        self._id_key = id_key or token_bytes()
        self._revision = -1
        self._by_id: dict[int, Endpoint] = {}
        self._by_channel: defaultdict[str, dict[int, Endpoint]] = defaultdict(dict)

    def refresh(self, connection: Connection) -> None:
        """Read again the endpoints that were changed, by whichever process."""
        revision = store.revision(connection)
        if revision != self._revision:
            for endpoint, there in store.changed_since(connection, self._revision):
                before = self._by_id.pop(endpoint.id, None)
                if before and not (there and before.channel == endpoint.channel):
                    del self._by_channel[before.channel][before.id]
                if there:
                    self._by_id[endpoint.id] = self._by_channel[endpoint.channel][endpoint.id] = endpoint
            self._revision = revision

    def endpoint(self, id_: int) -> Endpoint | None:
        """The endpoint of this id, unless it was removed."""
        return self._by_id.get(id_)

    def of_channel(self, channel: str) -> Collection[Endpoint]:
        """The endpoints that are told of this channel's calls."""
        return self._by_channel[channel].values()

    def public_id(self, identity: bytes) -> bytes:
        """What a callback is known by outside."""
        return public_id(self._id_key, identity)

    def tag_of(self, identity: bytes) -> str:
        """What a callback's message ids end in."""
        return self.public_id(identity).hex()[:TAG_LENGTH]

    @property
    def empty(self) -> bool:
        """Whether there is nobody to tell."""
        return not self._by_id

    def forget(self) -> None:
        """A transaction was undone: what was read in it may not hold."""
        self._revision = -1
        self._by_id.clear()
        self._by_channel.clear()


class Owing:
    """The deliveries that one transaction adds.

    `jobs` may go out at once; `behind` are the endpoints for which more may, among them those that are `full`.
    """

    def __init__(
        self, connection: Connection, outbox: Outbox, call_ids: Iterable[int] = (), full: Collection[int] = ()
    ) -> None:
        self._connection = connection
        self.outbox = outbox
        self._full = full
        self._rows: list[tuple[object, ...]] = []
        self._busy: set[Pair] = set()
        self.jobs: list[Job] = []
        self.behind: set[int] = set()
        if not outbox.empty:
            self._new_ids = bulk_sql.new_ids(connection, deliveries)
            self._busy = busy_pairs(connection, call_ids)

    def tell(self, call_id: int, callback_id: int, item: Received, before: Call | None, after: Call) -> None:
        """Owe `item`, which made `after` of `before`, to every endpoint that wants it."""
        for endpoint in self.outbox.of_channel(item.channel):
            kind = item.callback.kind
            if endpoint.definition.wants(kind, after.outcome):
                event = event_of(before, after, item.callback)
                tag = self.outbox.tag_of(item.identity)
                self.owe(endpoint, call_id, callback_id, event, tag, item.received_at, after, item)

    def tell_of_call(self, endpoint: Endpoint, call_id: int, event: Event, call: Call, now: datetime) -> None:
        """Owe `endpoint` a word about the call itself."""
        self.owe(endpoint, call_id, None, event, token_hex(TAG_LENGTH // 2), now, call, None)

    def owe(
        self,
        endpoint: Endpoint,
        call_id: int,
        callback_id: int | None,
        event: Event,
        tag: str,
        now: datetime,
        call: Call,
        item: Received | None,
    ) -> None:
        """Add one delivery; it waits where another of its call is not at its end."""
        id_, pair, now_us = self._new_ids.beside(call_id), (call_id, endpoint.id), to_us(now)
        state = _WAITING if pair in self._busy else _PENDING
        self._busy.add(pair)
        self._rows.append((id_, endpoint.id, call_id, callback_id, event.value, state, tag, 0, 0, now_us, now_us))
        if state == _WAITING:
            return
        if len(self.jobs) >= MOST_JOBS or not endpoint.enabled or endpoint.id in self._full:
            self.behind.add(endpoint.id)
            return
        if item is None or callback_id is None:
            body = write_message(event, now, call, None)
        elif endpoint.definition.format is Format.TENCENT:
            body = item.raw
        else:
            known_by = self.outbox.public_id(item.identity)
            fields = CallbackFields.of(callback_id, item.callback.kind, known_by, item.received_at, item.raw)
            body = write_message(event, now, call, fields)
        referred_us = None if call.referred_at is None else to_us(call.referred_at)
        whose = (identify_call(call.channel, call.callid), None) if item is None else (item.identity, now_us)
        self.jobs.append(Job(id_, endpoint.id, call_id, 0, message_id(id_, tag), body, referred_us, now_us, *whose))

    def __len__(self) -> int:
        return len(self._rows)

    def write(self) -> None:
        """Hand the rows to the database."""
        bulk_sql.insert(self._connection, deliveries, DELIVERY_COLUMNS, self._rows)
        self._rows = []


def busy_pairs(connection: Connection, call_ids: Iterable[int]) -> set[Pair]:
    """At which endpoints these calls have a delivery that is not at its end: then one of them is pending."""
    keys = [(id_,) for id_ in call_ids]
    return set(bulk_sql.find(connection, deliveries, ("call_id", "endpoint_id"), ("call_id",), keys, where=DUE))


def load(connection: Connection, outbox: Outbox, endpoint_id: int, now_us: int, limit: int) -> list[Job]:
    """What may go out to an endpoint now, the longest due first."""
    endpoint = outbox.endpoint(endpoint_id)
    if endpoint is None or not endpoint.enabled:
        return []
    mine = (_due, _d.endpoint_id == endpoint_id, _d.due_us <= now_us)
    query = _query_for(endpoint).where(*mine).order_by(_d.due_us, _d.id).limit(limit)
    return [_job(row, endpoint, outbox) for row in connection.execute(query)]


def load_these(connection: Connection, outbox: Outbox, ids: Sequence[int]) -> list[Job]:
    """The jobs of these deliveries, as far as their endpoints are on."""
    jobs = []
    rows = connection.execute(select(_d.id, _d.endpoint_id).where(_d.id.in_(ids))).all() if ids else []
    by_endpoint = defaultdict(list)
    for id_, endpoint_id in rows:
        by_endpoint[endpoint_id].append(id_)
    for endpoint_id, mine in by_endpoint.items():
        endpoint = outbox.endpoint(endpoint_id)
        if endpoint is not None and endpoint.enabled:
            found = connection.execute(_query_for(endpoint).where(_d.id.in_(mine)).order_by(_d.id))
            jobs += [_job(row, endpoint, outbox) for row in found]
    return jobs


def next_due_us(connection: Connection, endpoint_id: int, after_us: int) -> int | None:
    """When the first of an endpoint's pending deliveries is due that is not due by `after_us`."""
    first = select(func.min(_d.due_us)).where(_due, _d.endpoint_id == endpoint_id, _d.due_us > after_us)
    due_us: int | None = connection.execute(first).scalar()
    return due_us


def backlog(connection: Connection) -> dict[int, int]:
    """Endpoint id -> when the first of its pending deliveries is due."""
    found = select(_d.endpoint_id, func.min(_d.due_us)).where(_due).group_by(_d.endpoint_id)
    return {row[0]: row[1] for row in connection.execute(found)}


def first_due(connection: Connection, endpoint_ids: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Endpoint id -> the first of its pending deliveries, and when that is due; of these endpoints, as far as there is one."""
    theirs = select(_d.id, _d.due_us).where(_due, _d.endpoint_id == endpoints.c.id).order_by(_d.due_us, _d.id).limit(1)
    first_id, due_us = (theirs.with_only_columns(column).scalar_subquery() for column in (_d.id, _d.due_us))
    found = select(endpoints.c.id, first_id, due_us).where(endpoints.c.id.in_(endpoint_ids))
    return {row[0]: (row[1], row[2]) for row in connection.execute(found) if row[1] is not None}


def left_over(connection: Connection) -> list[int]:
    """The removed endpoints that are still owed something."""
    theirs = select(_d.id).where(_due, _d.endpoint_id == endpoints.c.id).order_by(_d.due_us).limit(1).scalar_subquery()
    removed = select(endpoints.c.id).where(endpoints.c.removed_us.is_not(None), theirs.is_not(None))
    return list(connection.execute(removed.order_by(endpoints.c.id)).scalars())


def added_since(connection: Connection, delivery_id: int, limit: int) -> tuple[int, list[tuple[int, int]]]:
    """What may go out of the deliveries above `delivery_id`: endpoint's and delivery's ids; and how far that goes."""
    last = bulk_sql.last_id(connection, deliveries)
    if last <= delivery_id:
        return last, []
    pending = select(_d.endpoint_id, _d.id).where(_d.id > delivery_id, _d.state == _PENDING)
    found = [(row[0], row[1]) for row in connection.execute(pending.order_by(_d.id).limit(limit))]
    return (found[-1][1] if len(found) == limit else last), found


def _query_for(endpoint: Endpoint) -> Select[Any]:
    return _of_callback if endpoint.definition.format is Format.TENCENT else _of_call


def _job(row: Row[Any], endpoint: Endpoint, outbox: Outbox) -> Job:
    id_, _, call_id, failures, attempts, tag, created_us, referred_us, body, identity, received_us = row[:_WIDTH]
    if endpoint.definition.format is not Format.TENCENT:
        call = call_of(tuple(row[_WIDTH + _OF_CALLBACK :]))
        body = _message(row, call, outbox)
        identity = identify_call(call.channel, call.callid) if identity is None else identity
    named = message_id(id_, tag)
    return Job(
        id_, endpoint.id, call_id, failures, named, body, referred_us, created_us, identity, received_us, attempts
    )


def _message(row: Row[Any], call: Call, outbox: Outbox) -> bytes:
    created_us, _, raw, identity, received_us = row[_WIDTH - 5 : _WIDTH]
    event, callback_id, kind, repeats, repeated_us = row[_WIDTH : _WIDTH + _OF_CALLBACK]
    if callback_id is None or raw is None:
        return write_message(Event(event), from_us(created_us), call, None)
    received_at = from_us(received_us)
    repeated_at = None if repeated_us is None else from_us(repeated_us)
    known_by = outbox.public_id(identity)
    fields = CallbackFields.of(callback_id, Kind(kind), known_by, received_at, raw, repeats, repeated_at)
    return write_message(Event(event), received_at, call, fields)
