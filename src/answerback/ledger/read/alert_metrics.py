"""The metrics of alerts, each read from the end of an index: they cost the same at ten calls and at ten million."""

from collections.abc import Sequence
from datetime import datetime
from heapq import nlargest
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Select, func, literal, literal_column, select
from sqlalchemy.engine import Connection

from answerback.domain.endpoints import Endpoint
from answerback.domain.models import CallbackKind, Outcome
from answerback.ledger.admin.endpoints import find_endpoints
from answerback.ledger.tables import (
    DEAD_PREDICATE,
    FAILURE_CODE_PREDICATE,
    FEE_MISMATCH_PREDICATE,
    OVERDUE_PREDICATE,
    PENDING_PREDICATE,
    calls,
    deliveries,
    quarantine,
)
from answerback.ledger.types import from_us, to_us

MAX_COUNTED = 100_000
"""Counting stops here, or at what is asked for where that is more."""

_MAX_SCANNED = 1_000
_FINAL_OUTCOMES = (Outcome.ANSWERED, Outcome.UNANSWERED, Outcome.FAILED)


class EndpointBacklog(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint, since when a delivery to it has been pending for too long, and how many are dead."""

    endpoint: Endpoint
    oldest_at: datetime | None
    dead: int


def count_answered(connection: Connection, channels: Sequence[str], newest: int) -> tuple[int, int]:
    """Of the `newest` calls with an outcome in these channels: how many were answered, and how many there are."""
    found: list[tuple[int, int, bool]] = []
    for channel in channels:
        for kind in CallbackKind:
            for outcome in _FINAL_OUTCOMES:
                found += _newest(connection, channel, kind, outcome, newest)
    last = nlargest(newest, found)
    return sum(answered for _, _, answered in last), len(last)


def _newest(
    connection: Connection, channel: str, kind: CallbackKind, outcome: Outcome, limit: int
) -> list[tuple[int, int, bool]]:
    order = (calls.c.first_seen_us, calls.c.id)
    of_class = (calls.c.channel == channel, calls.c.kind == kind.value, calls.c.outcome == outcome.value)
    query = select(*order).where(*of_class).order_by(*(column.desc() for column in order)).limit(limit)
    return [(when_us, id_, outcome is Outcome.ANSWERED) for when_us, id_ in connection.execute(query)]


def count_failures(
    connection: Connection, codes: Sequence[int], channel: str | None, since: datetime, above: int
) -> int:
    """Calls first seen since then that failed with one of `codes`."""
    query = select(literal(1)).where(
        literal_column(FAILURE_CODE_PREDICATE),
        calls.c.failure_code.in_(codes),
        calls.c.first_seen_us >= to_us(since),
        *_in(channel),
    )
    return _count(connection, query, above)


def count_overdue(connection: Connection, channel: str | None, since: datetime, above: int) -> int:
    query = select(literal(1)).where(
        literal_column(OVERDUE_PREDICATE), calls.c.overdue_us >= to_us(since), *_in(channel)
    )
    return _count(connection, query, above)


def count_quarantined(connection: Connection, channel: str | None, since: datetime, above: int) -> int:
    """Bodies in quarantine that came in since then."""
    query = select(literal(1)).where(quarantine.c.received_us >= to_us(since))
    return _count(connection, query if channel is None else query.where(quarantine.c.channel == channel), above)


def sum_fee_mismatches(connection: Connection, channel: str | None, since: datetime) -> tuple[int, int]:
    """By how many minutes the fees of calls first seen since then differ from what is due, and of how many calls."""
    mismatches = (
        select(func.abs(calls.c.fee_mismatch_minutes).label("minutes"))
        .where(literal_column(FEE_MISMATCH_PREDICATE), calls.c.first_seen_us >= to_us(since), *_in(channel))
        .order_by(calls.c.first_seen_us.desc())
        .limit(MAX_COUNTED)
        .subquery()
    )
    row = connection.execute(select(func.coalesce(func.sum(mismatches.c.minutes), 0), func.count())).one()
    return int(row[0]), int(row[1])


def find_endpoint_backlogs(
    connection: Connection, name: str | None, channel: str | None, before: datetime, dead_above: int | None
) -> list[EndpointBacklog]:
    """How the endpoints do: the one of that name, those of that channel, or all.

    Only what has been pending since `before` is looked for; dead deliveries are counted if asked for.
    """
    return [
        EndpointBacklog(
            endpoint=endpoint,
            oldest_at=_oldest_pending(connection, endpoint.id, before),
            dead=0 if dead_above is None else _count_dead(connection, endpoint.id, dead_above),
        )
        for endpoint in find_endpoints(connection)
        if name in (None, endpoint.name) and channel in (None, endpoint.channel)
    ]


def _oldest_pending(connection: Connection, endpoint_id: int, before: datetime) -> datetime | None:
    """The oldest of the first of what is pending since then, by what is due first: a long backlog is not read through."""
    old = (
        select(deliveries.c.created_us)
        .where(
            literal_column(PENDING_PREDICATE),
            deliveries.c.endpoint_id == endpoint_id,
            deliveries.c.created_us < to_us(before),
        )
        .order_by(deliveries.c.due_us)
        .limit(_MAX_SCANNED)
        .subquery()
    )
    created_us = connection.execute(select(func.min(old.c.created_us))).scalar()
    return None if created_us is None else from_us(created_us)


def _count_dead(connection: Connection, endpoint_id: int, above: int) -> int:
    query = select(literal(1)).where(literal_column(DEAD_PREDICATE), deliveries.c.endpoint_id == endpoint_id)
    return _count(connection, query, above)


def _in(channel: str | None) -> list[ColumnElement[bool]]:
    """Hidden from the planner, which would walk the whole channel."""
    return [] if channel is None else [calls.c.channel.concat("") == channel]


def _count(connection: Connection, query: Select[Any], above: int) -> int:
    """How many rows `query` finds; counted no further than needed."""
    some = query.limit(max(MAX_COUNTED, above + 1)).subquery()
    return connection.execute(select(func.count()).select_from(some)).scalar_one()
