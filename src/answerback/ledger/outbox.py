"""The outbox: what is owed to whom, written in the transaction that stores the callback, and settled after the attempt.

Of the deliveries of a call to an endpoint one at most is pending, the first that is not at its end; the law is in
`answerback.deliveries`.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from secrets import token_hex
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, bindparam, case, func, literal_column, select, update
from sqlalchemy.engine import Connection

from answerback.deliveries import LAW, UNSETTLED, Happening, event_of, message_id
from answerback.ledger import endpoints as store
from answerback.ledger import statements
from answerback.ledger.rows import READ_COLUMNS, call_of
from answerback.ledger.tables import DUE, attempts, callbacks, calls, deliveries
from answerback.ledger.values import Job, Pause, Settled, from_us, to_us
from answerback.model import Call, Endpoint, Event, Format, Kind, Received, State
from answerback.rendering import CallbackFields, write_message

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
ATTEMPT_COLUMNS = ("delivery_id", "began_us", "duration_us", "status", "answer", "error")

MOST_JOBS = 4096
"""Jobs told of after one transaction; the rest are in the ledger when their endpoint asks for more."""

_TAG_LENGTH = 12
_PENDING = State.PENDING.value
_WAITING = State.WAITING.value

Pair = tuple[int, int]
"""A call's id and an endpoint's id."""

_d = deliveries.c
_head = (_d.id, _d.endpoint_id, _d.call_id, _d.failures, _d.tag, _d.created_us, calls.c.referred_us, callbacks.c.raw)
_of_callback = select(*_head).join(callbacks, callbacks.c.id == _d.callback_id).join(calls, calls.c.id == _d.call_id)
_of_call: Select[Any] = (
    select(
        *_head,
        _d.event,
        callbacks.c.id,
        callbacks.c.kind,
        callbacks.c.identity,
        callbacks.c.received_us,
        callbacks.c.repeats,
        callbacks.c.repeated_us,
        *[calls.c[name] for name in READ_COLUMNS],
    )
    .join(calls, calls.c.id == _d.call_id)
    .outerjoin(callbacks, callbacks.c.id == _d.callback_id)
)
_WIDTH = len(_head)
_due: ColumnElement[bool] = literal_column(DUE)  # spelled as in the index, or SQLite does not see that it fits

_failed = (
    update(deliveries)
    .where(_d.id == bindparam("delivery_id"))
    .values(
        attempts=_d.attempts + 1,
        failures=_d.failures + bindparam("spent"),
        state=case((_d.state == _PENDING, bindparam("next_state")), else_=_d.state),
        due_us=bindparam("next_due_us"),
        settled_us=case((_d.state == _PENDING, bindparam("ended_us")), else_=_d.settled_us),
    )
)


class Outbox:
    """Who is to be told what: the endpoints as of the transaction under way."""

    def __init__(self) -> None:
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
        self._outbox = outbox
        self._full = full
        self._rows: list[tuple[object, ...]] = []
        self._busy: set[Pair] = set()
        self.jobs: list[Job] = []
        self.behind: set[int] = set()
        if not outbox.empty:
            (self._last_id,) = statements.last_ids(connection, deliveries)
            self._busy = {pair for pair, _ in busy_pairs(connection, [(id_,) for id_ in call_ids], ("call_id",))}

    def tell(self, call_id: int, callback_id: int, item: Received, before: Call | None, after: Call) -> None:
        """Owe `item`, which made `after` of `before`, to every endpoint that wants it."""
        for endpoint in self._outbox.of_channel(item.channel):
            kind = item.callback.kind
            if endpoint.definition.wants(kind, after.outcome):
                event = event_of(before, after, item.callback)
                tag = item.identity.hex()[:_TAG_LENGTH]
                self.owe(endpoint, call_id, callback_id, event, tag, item.received_at, after, item)

    def tell_of_call(self, endpoint: Endpoint, call_id: int, event: Event, call: Call, now: datetime) -> None:
        """Owe `endpoint` a word about the call itself."""
        self.owe(endpoint, call_id, None, event, token_hex(_TAG_LENGTH // 2), now, call, None)

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
        self._last_id += 1
        pair, now_us = (call_id, endpoint.id), to_us(now)
        state = _WAITING if pair in self._busy else _PENDING
        self._busy.add(pair)
        self._rows.append(
            (self._last_id, endpoint.id, call_id, callback_id, event.value, state, tag, 0, 0, now_us, now_us)
        )
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
            fields = CallbackFields.of(callback_id, item.callback.kind, item.identity, item.received_at, item.raw)
            body = write_message(event, now, call, fields)
        referred_us = None if call.referred_at is None else to_us(call.referred_at)
        self.jobs.append(
            Job(self._last_id, endpoint.id, call_id, 0, message_id(self._last_id, tag), body, referred_us, now_us)
        )

    def write(self) -> None:
        """Hand the rows to the database."""
        statements.insert(self._connection, deliveries, DELIVERY_COLUMNS, self._rows)
        self._rows = []


def busy_pairs(
    connection: Connection, keys: Sequence[tuple[int, ...]], columns: tuple[str, ...]
) -> Iterator[tuple[Pair, tuple[int, str]]]:
    """Which calls have a delivery that is not at its end, at which endpoint; with the delivery's id and state."""
    found = statements.find(connection, deliveries, ("call_id", "endpoint_id", "id", "state"), columns, keys)
    return (((call_id, endpoint_id), (id_, state)) for call_id, endpoint_id, id_, state in found if state in UNSETTLED)


def settle(
    connection: Connection,
    outbox: Outbox,
    settled: Sequence[Settled],
    pauses: Sequence[Pause],
    now: datetime,
    *,
    again: bool = False,
) -> list[Job]:
    """Keep each attempt, move its delivery on, and free the next one of its call; those are returned.

    `again`: it was asked for before, and whether it was done is not known; what was done is not done twice.
    """
    if again:
        settled = _not_kept(connection, settled)
    now_us = to_us(now)
    accepted = [one for one in settled if one.happening is Happening.ACCEPTED]
    statements.change(
        connection,
        deliveries,
        "state = 'delivered', attempts = attempts + 1, settled_us = ?",
        (now_us,),
        [one.delivery_id for one in accepted],
        "state IN ('pending', 'dead')",
    )
    failed = [one for one in settled if one.happening is not Happening.ACCEPTED]
    if failed:
        connection.execute(_failed, [_after_failure(one, now_us) for one in failed])
    statements.insert(
        connection,
        attempts,
        ATTEMPT_COLUMNS,
        [(one.delivery_id, one.began_us, one.duration_us, one.status, one.answer, one.error) for one in settled],
    )
    for one in pauses:
        store.pause(connection, one.endpoint_id, one.failures, one.until_us)
    ended = [(one.call_id, one.endpoint_id) for one in settled if one.happening is not Happening.REFUSED]
    freed, busy = _free(connection, ended, now_us)
    owing = Owing(connection, outbox)
    last = [one for one in settled if (one.call_id, one.endpoint_id) not in busy]
    _tell_what_changed(connection, outbox, owing, [one for one in last if one.happening is Happening.ACCEPTED], now)
    for end in last:
        if _untold(connection, outbox, end) and (endpoint := outbox.endpoint(end.endpoint_id)):
            (row,) = statements.find(connection, calls, READ_COLUMNS, ("id",), [(end.call_id,)])
            owing.tell_of_call(endpoint, end.call_id, Event.REVISED, call_of(row), now)
    owing.write()
    return [*load_these(connection, outbox, freed), *owing.jobs]


def _not_kept(connection: Connection, settled: Sequence[Settled]) -> list[Settled]:
    """Those whose attempt is not in the ledger; no two attempts at a delivery begin at the same moment."""
    ids = list(dict.fromkeys((one.delivery_id,) for one in settled))
    kept = set(statements.find(connection, attempts, ("delivery_id", "began_us"), ("delivery_id",), ids))
    return [one for one in settled if (one.delivery_id, one.began_us) not in kept]


def _after_failure(one: Settled, now_us: int) -> dict[str, object]:
    state = LAW[State.PENDING][one.happening]
    return {
        "delivery_id": one.delivery_id,
        "spent": int(one.spent),
        "next_state": state.value,
        "next_due_us": one.due_us,
        "ended_us": now_us if state is State.DEAD else None,
    }


def _free(connection: Connection, pairs: Sequence[Pair], now_us: int | None = None) -> tuple[list[int], set[Pair]]:
    """Let the first that waits go out, for each of `pairs` that has none pending; and which pairs have one now."""
    first: dict[Pair, int] = {}
    pending = set()
    for pair, (id_, state) in busy_pairs(connection, pairs, ("call_id", "endpoint_id")):
        if state == _PENDING:
            pending.add(pair)
        else:
            first[pair] = min(id_, first.get(pair, id_))
    freed = sorted(id_ for pair, id_ in first.items() if pair not in pending)
    if now_us is None:  # as soon as it could have gone out
        statements.change(connection, deliveries, "state = 'pending'", (), freed)
    else:
        statements.change(connection, deliveries, "state = 'pending', due_us = ?", (now_us,), freed)
    return freed, pending | set(first)


def _untold(connection: Connection, outbox: Outbox, one: Settled) -> bool:
    """Whether the business spoke of the call after what its endpoint has of it: the callback to carry it has died.

    An update that dies itself is not followed by another, or it would go on for ever.
    """
    if one.happening is not Happening.EXHAUSTED or not _wants_updates(outbox.endpoint(one.endpoint_id)):
        return False
    mine = (_d.call_id == one.call_id, _d.endpoint_id == one.endpoint_id)
    told = select(func.max(_d.settled_us)).where(*mine, _d.state == State.DELIVERED.value).scalar_subquery()
    after = select(_d.id).where(_d.id == one.delivery_id, _d.callback_id.is_not(None), calls.c.referred_us >= told)
    return connection.execute(after.join(calls, calls.c.id == _d.call_id)).scalar() is not None


def _tell_what_changed(
    connection: Connection, outbox: Outbox, owing: Owing, accepted: Sequence[Settled], now: datetime
) -> None:
    """Follow up where the business spoke of the call after the delivery was written, and the endpoint wants to know."""
    wanting = [one for one in accepted if _wants_updates(outbox.endpoint(one.endpoint_id))]
    if not wanting:
        return
    ids = list(dict.fromkeys((one.call_id,) for one in wanting))
    found = {row[0]: call_of(row) for row in statements.find(connection, calls, READ_COLUMNS, ("id",), ids)}
    for one in wanting:
        call, endpoint = found[one.call_id], outbox.endpoint(one.endpoint_id)
        if endpoint and call.referred_at is not None and to_us(call.referred_at) != one.referred_us:
            owing.tell_of_call(endpoint, one.call_id, Event.REVISED, call, now)


def _wants_updates(endpoint: Endpoint | None) -> bool:
    """Whether it asks for them, in a format that has a form for them."""
    return endpoint is not None and endpoint.definition.updates and endpoint.definition.format is Format.STANDARD


def load(connection: Connection, outbox: Outbox, endpoint_id: int, now_us: int, limit: int) -> list[Job]:
    """What may go out to an endpoint now, the longest due first."""
    endpoint = outbox.endpoint(endpoint_id)
    if endpoint is None or not endpoint.enabled:
        return []
    mine = (_due, _d.endpoint_id == endpoint_id, _d.due_us <= now_us)
    query = _query_for(endpoint).where(*mine).order_by(_d.due_us, _d.id).limit(limit)
    return [_job(row, endpoint) for row in connection.execute(query)]


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
            jobs += [_job(row, endpoint) for row in found]
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


def added_since(connection: Connection, delivery_id: int, limit: int) -> tuple[int, list[tuple[int, int]]]:
    """What may go out of the deliveries above `delivery_id`: endpoint's and delivery's ids; and how far that goes."""
    (last,) = statements.last_ids(connection, deliveries)
    if last <= delivery_id:
        return last, []
    pending = select(_d.endpoint_id, _d.id).where(_d.id > delivery_id, _d.state == _PENDING)
    found = [(row[0], row[1]) for row in connection.execute(pending.order_by(_d.id).limit(limit))]
    return (found[-1][1] if len(found) == limit else last), found


def abandon(connection: Connection, endpoint_id: int, now: datetime, limit: int) -> int:
    """Give up some of what a removed endpoint is owed; how many there were."""
    ids: list[int] = []
    for state in (State.WAITING, State.PENDING):  # while one is pending, `backlog` shows that there is more to do
        spelled: ColumnElement[bool] = literal_column(f"state = '{state.value}'")
        mine = select(_d.id).where(spelled, _d.endpoint_id == endpoint_id)
        if state is State.PENDING:
            mine = mine.where(_d.due_us >= 0)  # always so: it tells SQLite which index to take
        found = mine.limit(limit - len(ids))
        ids += connection.execute(found).scalars()
    dead = LAW[State.PENDING][Happening.ABANDONED].value
    statements.change(connection, deliveries, "state = ?, settled_us = ?", (dead, to_us(now)), ids)
    return len(ids)


def abandon_words(connection: Connection, endpoint_id: int, now: datetime) -> None:
    """Give up what an endpoint is owed about calls themselves, and let go out what waits behind it."""
    mine = (_d.endpoint_id == endpoint_id, _d.callback_id.is_(None), _d.state.in_([state.value for state in UNSETTLED]))
    dead = LAW[State.PENDING][Happening.ABANDONED].value
    pairs = [tuple(row) for row in connection.execute(select(_d.call_id, _d.endpoint_id).where(*mine).distinct())]
    connection.execute(update(deliveries).where(*mine).values(state=dead, settled_us=to_us(now)))
    _free(connection, pairs)


def _query_for(endpoint: Endpoint) -> Select[Any]:
    return _of_callback if endpoint.definition.format is Format.TENCENT else _of_call


def _job(row: Row[Any], endpoint: Endpoint) -> Job:
    id_, _, call_id, failures, tag, created_us, referred_us, raw = row[:_WIDTH]
    if endpoint.definition.format is not Format.TENCENT:
        raw = _message(tuple(row), raw, created_us)
    return Job(id_, endpoint.id, call_id, failures, message_id(id_, tag), raw, referred_us, created_us)


def _message(row: tuple[Any, ...], raw: bytes | None, created_us: int) -> bytes:
    event, callback_id, kind, identity, received_us, repeats, repeated_us = row[_WIDTH : _WIDTH + 7]
    call = call_of(row[_WIDTH + 7 :])
    if callback_id is None or raw is None:
        return write_message(Event(event), from_us(created_us), call, None)
    received_at = from_us(received_us)
    repeated_at = None if repeated_us is None else from_us(repeated_us)
    fields = CallbackFields.of(callback_id, Kind(kind), identity, received_at, raw, repeats, repeated_at)
    return write_message(Event(event), received_at, call, fields)
