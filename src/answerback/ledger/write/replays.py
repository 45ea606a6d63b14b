"""Telling again: one delivery, the dead of an endpoint, or everything about some calls. Ids stay the same."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import ColumnElement, bindparam, func, literal_column, select, update
from sqlalchemy.engine import Connection

from answerback.domain.calls import fold
from answerback.domain.delivery_states import LAW, UNSETTLED, Happening, event_of
from answerback.domain.models import Arrival, Call, Endpoint, Format, State
from answerback.errors import CallbackRejected, Conflict, NotFound
from answerback.ledger.admin.audit import Actor, AuditAction, record_event
from answerback.ledger.admin.endpoints import target_of
from answerback.ledger.backends import bulk_sql
from answerback.ledger.read import calls
from answerback.ledger.tables import DEAD, callbacks, deliveries, endpoints
from answerback.ledger.types import to_us
from answerback.ledger.write.outbox import Outbox, Owing, busy_pairs
from answerback.tencent.parsing import read

_d = deliveries.c
_columns = (_d.id, _d.call_id, _d.endpoint_id, _d.state)
_dead: ColumnElement[bool] = literal_column(DEAD)
_again = (
    update(deliveries)
    .where(_d.id == bindparam("delivery_id"))
    .values(state=bindparam("next_state"), failures=0, due_us=bindparam("next_due_us"), settled_us=None)
)

_AT_A_TIME = 200
"""Callbacks of a call that are in memory at a time: it may have any number."""

Row = tuple[int, int, int, str]


class Chunk(msgspec.Struct, frozen=True):
    """One step of a replay: how much was looked at, how many will be told again, and where to go on, if there is more."""

    examined: int
    replayed: int
    cursor: str | None


def replay_one(connection: Connection, outbox: Outbox, id_: int, actor: Actor, now: datetime) -> int:
    """Tell one delivery again, whatever its state; its endpoint's id.

    Raises NotFound, Conflict; Forbidden where the endpoint was another one when the delivery was made, and the actor may
    not see numbers: else it goes to nobody to whom it was not owed.
    """
    known = 0 <= id_ < calls.LARGEST_ID
    row = (
        connection.execute(select(*_columns, _d.callback_id, _d.created_us).where(_d.id == id_)).one_or_none()
        if known
        else None
    )
    if row is None:
        raise NotFound(f"no delivery {id_}")
    endpoint = outbox.endpoint(row.endpoint_id)
    if endpoint is None:
        raise Conflict(f"delivery {id_} was owed to an endpoint that was removed")
    if row.callback_id is None and endpoint.definition.format is Format.TENCENT:
        raise Conflict(f"delivery {id_} tells of a call itself, for which the format of {endpoint.name} has no form")
    if row.state == State.WAITING.value:
        raise Conflict(f"delivery {id_} waits for an earlier one of its call: retry that one")
    retargeted_us = connection.execute(select(endpoints.c.retargeted_us).where(endpoints.c.id == endpoint.id)).scalar()
    if retargeted_us is not None and row.created_us <= retargeted_us:
        actor.require_full_numbers()
    _tell_again(connection, [(row.id, row.call_id, row.endpoint_id, row.state)], now)
    record_event(connection, actor, AuditAction.DELIVERY_RETRIED, now, "delivery", id_, "to", *target_of(endpoint))
    endpoint_id: int = row.endpoint_id
    return endpoint_id


def dead_of(connection: Connection, endpoint_id: int) -> tuple[int, int]:
    """How many deliveries of an endpoint are dead, and the highest id among them."""
    found = select(func.count(), func.max(_d.id)).where(_dead, _d.endpoint_id == endpoint_id)
    count, last = connection.execute(found).one()
    return count, last or 0


def replay_dead(
    connection: Connection,
    outbox: Outbox,
    endpoint_id: int,
    cursor: str | None,
    until_id: int,
    now: datetime,
    limit: int,
) -> Chunk:
    """Tell the dead deliveries of an endpoint again, up to `until_id`, oldest first."""
    endpoint = outbox.endpoint(endpoint_id)
    if endpoint is None:
        raise NotFound(f"no endpoint {endpoint_id}")
    mine = [_dead, _d.endpoint_id == endpoint_id, _d.id > int(cursor or 0), _d.id <= until_id]
    if endpoint.definition.format is Format.TENCENT:
        mine.append(_d.callback_id.is_not(None))  # it has no form for words about a call itself
    rows = connection.execute(select(*_columns).where(*mine).order_by(_d.id).limit(limit)).all()
    replayed = _tell_again(connection, [tuple(row) for row in rows], now)
    return Chunk(len(rows), replayed, str(rows[-1].id) if len(rows) == limit else None)


def replay_calls(
    connection: Connection,
    outbox: Outbox,
    endpoint: Endpoint,
    wanted: calls.CallFilter,
    cursor: str | None,
    now: datetime,
    limit: int,
) -> Chunk:
    """Tell everything about a page of calls again, as far as the endpoint wants it; what it was never owed is added."""
    now_known = outbox.endpoint(endpoint.id)
    if now_known is None:
        raise NotFound(f"no endpoint {endpoint.name}")
    endpoint, wanted = now_known, msgspec.structs.replace(wanted, channel=now_known.channel)
    page = calls.find_call_rows(connection, wanted, cursor, limit)
    call_ids = [(call_id,) for call_id, _ in page.items]
    found = bulk_sql.find(
        connection, deliveries, ("id", "call_id", "endpoint_id", "state", "callback_id"), ("call_id",), call_ids
    )
    mine = [row for row in found if row[2] == endpoint.id]
    owed = {row[4] for row in mine if row[4] is not None}
    replayed = _tell_again(connection, sorted(row[:4] for row in mine if row[4] is not None), now)
    owing = Owing(connection, outbox, [call_id for call_id, _ in page.items])
    for call_id, _ in page.items:
        replayed += _tell_missing(connection, owing, endpoint, call_id, endpoint.channel, owed, now)
    owing.write()
    return Chunk(len(page.items), replayed, page.next_cursor)


def _tell_missing(
    connection: Connection,
    owing: Owing,
    endpoint: Endpoint,
    call_id: int,
    channel: str,
    owed: set[int],
    now: datetime,
) -> int:
    """Owe the callbacks of a call that the endpoint wants and was never owed, as they would have been at the time."""
    ids, bodies = (
        select(*columns).where(callbacks.c.call_id == call_id).order_by(callbacks.c.id)
        for columns in ((callbacks.c.id,), (callbacks.c.id, callbacks.c.raw))
    )
    if owed.issuperset(connection.execute(ids).scalars()):
        return 0
    added, before = 0, None
    for row in connection.execute(bodies.execution_options(yield_per=_AT_A_TIME)):
        try:
            item = read(Arrival(channel, row.raw, now))
        except CallbackRejected:  # understood by a later or an earlier version only
            continue
        after: Call = fold(before, item)
        kind = item.callback.kind
        if row.id not in owed and endpoint.definition.wants(kind, after.outcome):
            event = event_of(before, after, item.callback)
            owing.owe(endpoint, call_id, row.id, event, owing.outbox.tag_of(item.identity), now, after, item)
            added += 1
        before = after
    return added


def _tell_again(connection: Connection, rows: Sequence[Row], now: datetime) -> int:
    """Move each of `rows`, in order of their ids, as the law says; how many will be told again."""
    calls_ = dict.fromkeys(call_id for _, call_id, _, _ in rows)
    busy = busy_pairs(connection, calls_)
    changes = []
    for id_, call_id, endpoint_id, state in rows:
        pair = (call_id, endpoint_id)
        happening = Happening.REPLAYED_BEHIND if pair in busy else Happening.REPLAYED
        after = LAW[State(state)][happening]
        if after is State.WAITING and state == State.WAITING.value:
            continue
        if after in UNSETTLED:
            busy.add(pair)
        changes.append({"delivery_id": id_, "next_state": after.value, "next_due_us": to_us(now)})
    if changes:
        connection.execute(_again, changes)
    return len(changes)
