"""How deliveries end: an attempt is kept, its delivery moves on, and what waited behind it is free."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, bindparam, case, func, literal_column, select, update
from sqlalchemy.engine import Connection

from answerback.domain.delivery_states import LAW, UNSETTLED, Happening
from answerback.domain.models import Endpoint, Event, Format, State
from answerback.ledger.admin import endpoints as store
from answerback.ledger.backends import bulk_sql
from answerback.ledger.rows import READ_COLUMNS, call_of
from answerback.ledger.tables import DUE, WAITING, attempts, calls, deliveries
from answerback.ledger.types import Job, Pause, Settled, to_us
from answerback.ledger.write.outbox import Outbox, Owing, Pair, load_these

ATTEMPT_COLUMNS = ("delivery_id", "began_us", "duration_us", "status", "answer", "error")

_PENDING = State.PENDING.value
_LAST_ONES = 100
"""Deliveries of a call that are looked through for what its endpoint was told last: a call may have any number."""

_d = deliveries.c

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


def settle(
    connection: Connection,
    outbox: Outbox,
    settled: Sequence[Settled],
    pauses: Sequence[Pause],
    now: datetime,
    *,
    again: bool = False,
    mine: Collection[int] | None = None,
) -> list[Job]:
    """Keep each attempt, move its delivery on, and free the next one of its call; those are returned.

    `again`: it was asked for before, and whether it was done is not known; what was done is not done twice. Of endpoints
    that are not `mine`, another process decides now what follows: there only the attempt is kept.
    """
    if again:
        settled = _not_kept(connection, settled)
    if mine is not None:
        keep_attempts(connection, [one for one in settled if one.endpoint_id not in mine])
        settled = [one for one in settled if one.endpoint_id in mine]
        pauses = [one for one in pauses if one.endpoint_id in mine]
    now_us = to_us(now)
    bulk_sql.hold(connection, calls, list({one.call_id for one in settled}))
    accepted = [one for one in settled if one.happening is Happening.ACCEPTED]
    bulk_sql.change(
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
    keep_attempts(connection, settled)
    for one in pauses:
        store.pause(connection, one.endpoint_id, one.failures, one.until_us)
    ended = [(one.call_id, one.endpoint_id) for one in settled if one.happening is not Happening.REFUSED]
    freed, busy = _free(connection, ended, now_us)
    owing = Owing(connection, outbox)
    last = [one for one in settled if (one.call_id, one.endpoint_id) not in busy]
    _tell_what_changed(connection, outbox, owing, [one for one in last if one.happening is Happening.ACCEPTED], now)
    for end in last:
        if _untold(connection, outbox, end) and (endpoint := outbox.endpoint(end.endpoint_id)):
            (row,) = bulk_sql.find(connection, calls, READ_COLUMNS, ("id",), [(end.call_id,)])
            owing.tell_of_call(endpoint, end.call_id, Event.REVISED, call_of(row), now)
    owing.write()
    return [*load_these(connection, outbox, freed), *owing.jobs]


def keep_attempts(connection: Connection, settled: Sequence[Settled]) -> None:
    """Note that these attempts were made."""
    rows = [(one.delivery_id, one.began_us, one.duration_us, one.status, one.answer, one.error) for one in settled]
    bulk_sql.insert(connection, attempts, ATTEMPT_COLUMNS, rows)


def _not_kept(connection: Connection, settled: Sequence[Settled]) -> list[Settled]:
    """Those whose attempt is not in the ledger; no two attempts at a delivery begin at the same moment."""
    ids = list(dict.fromkeys((one.delivery_id,) for one in settled))
    kept = set(bulk_sql.find(connection, attempts, ("delivery_id", "began_us"), ("delivery_id",), ids))
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
    columns = ("call_id", "endpoint_id")
    pending: set[Pair] = set(bulk_sql.find(connection, deliveries, columns, columns, pairs, where=DUE))
    idle = [pair for pair in dict.fromkeys(pairs) if pair not in pending]
    first = {row[:2]: row[2] for row in bulk_sql.find_first(connection, deliveries, columns, WAITING, idle)}
    freed = sorted(first.values())
    if now_us is None:  # as soon as it could have gone out
        bulk_sql.change(connection, deliveries, "state = 'pending'", (), freed)
    else:
        bulk_sql.change(connection, deliveries, "state = 'pending', due_us = ?", (now_us,), freed)
    return freed, pending | set(first)


def _untold(connection: Connection, outbox: Outbox, one: Settled) -> bool:
    """Whether the business spoke of the call after what its endpoint has of it: the callback to carry it has died.

    An update that dies itself is not followed by another, or it would go on for ever.
    """
    if one.happening is not Happening.EXHAUSTED or not _wants_updates(outbox.endpoint(one.endpoint_id)):
        return False
    mine = (_d.call_id == one.call_id, _d.endpoint_id == one.endpoint_id)
    last = select(_d.settled_us, _d.state).where(*mine).order_by(_d.id.desc()).limit(_LAST_ONES).subquery()
    told = select(func.max(last.c.settled_us)).where(last.c.state == State.DELIVERED.value).scalar_subquery()
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
    found = {row[0]: call_of(row) for row in bulk_sql.find(connection, calls, READ_COLUMNS, ("id",), ids)}
    for one in wanting:
        call, endpoint = found[one.call_id], outbox.endpoint(one.endpoint_id)
        if endpoint and call.referred_at is not None and to_us(call.referred_at) != one.referred_us:
            owing.tell_of_call(endpoint, one.call_id, Event.REVISED, call, now)


def _wants_updates(endpoint: Endpoint | None) -> bool:
    """Whether it asks for them, in a format that has a form for them."""
    return endpoint is not None and endpoint.definition.updates and endpoint.definition.format is Format.STANDARD


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
    bulk_sql.change(connection, deliveries, "state = ?, settled_us = ?", (dead, to_us(now)), ids)
    return len(ids)


def abandon_words(connection: Connection, endpoint_id: int, now: datetime) -> None:
    """Give up what an endpoint is owed about calls themselves, and let go out what waits behind it."""
    mine = (_d.endpoint_id == endpoint_id, _d.callback_id.is_(None), _d.state.in_([state.value for state in UNSETTLED]))
    dead = LAW[State.PENDING][Happening.ABANDONED].value
    pairs = [tuple(row) for row in connection.execute(select(_d.call_id, _d.endpoint_id).where(*mine).distinct())]
    connection.execute(update(deliveries).where(*mine).values(state=dead, settled_us=to_us(now)))
    _free(connection, pairs)
