"""The statistics of a span, read from the rollups; and the calls whose fee is not what is due."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec
from sqlalchemy import BigInteger, ColumnElement, Table, and_, cast, func, or_, select
from sqlalchemy.engine import Connection

from answerback.domain.models import Call, Kind, Outcome
from answerback.domain.statistics import HOUR, Arrivals, Counts, Fees, Statistics, Times
from answerback.ledger.read.calls import find_page_of_calls
from answerback.ledger.tables import arrivals, calls, rollup_details, rollups
from answerback.ledger.types import Page, to_us
from answerback.ledger.write.rollups import ARRIVALS, DAY_HOURS, MEASURES

K = TypeVar("K")

_EPOCH = datetime.fromtimestamp(0, UTC)
_counts = msgspec.json.Decoder(dict[str, int]).decode

Tallies = dict[Outcome, Counter[str]]
"""Outcome -> `region:CN-GD` -> calls."""


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """Calls first seen from the hour of `since` on and before the hour that ends at or after `until`."""

    since: datetime
    until: datetime
    channel: str | None = None
    kind: Kind | None = None

    @property
    def hours(self) -> tuple[int, int]:
        """The same in hours since 1970, the second one excluded."""
        first = (self.since - _EPOCH) // HOUR
        return first, max(first, -((_EPOCH - self.until) // HOUR))


def find_statistics(connection: Connection, span: Span) -> Statistics:
    """Add up the span."""
    first, last = span.hours
    parts = _parts(connection, span)
    tallies = _tallies(connection, span)
    return Statistics(
        since=_moment(first),
        until=_moment(last),
        total=_counts_of(parts, lambda _row: None).get(None, Counts()),
        hours=_by_hour(connection, span),
        kinds=_counts_of(parts, lambda row: Kind(row.kind) if row.kind else None),
        channels=_counts_of(parts, lambda row: row.channel),
        carriers=_counts_under(tallies, "carrier"),
        regions=_counts_under(tallies, "region"),
        codes={int(code): count for code, count in _values(sum(tallies.values(), Counter()), "code").items()},
        ring=_times(parts, tallies, "ring"),
        talk=_times(parts, tallies, "talk"),
        fees=Fees(
            billed_minutes=sum(row.fee_minutes for row in parts),
            due_minutes=sum(row.due_minutes for row in parts),
            differing_calls=sum(row.differing for row in parts),
            excess_minutes=sum(row.excess_minutes for row in parts),
        ),
        arrivals=_arrivals(connection, span),
        overdue=sum(row.overdue for row in parts),
    )


def find_total(connection: Connection, span: Span) -> Counts:
    """Only what became of the span's calls, in a fraction of the time."""
    return _counts_of(_parts(connection, span), lambda _row: None).get(None, Counts())


def find_differing(connection: Connection, span: Span, cursor: str | None, limit: int) -> Page[Call]:
    """A page of the span's calls that were billed more or less than is due, newest first. Raises InvalidCursor."""
    first, last = span.hours
    conditions = [
        calls.c.fee_difference.is_not(None),
        calls.c.first_seen_us >= to_us(_moment(first)),
        calls.c.first_seen_us < to_us(_moment(last)),
    ]
    if span.channel is not None:
        conditions.append(calls.c.channel.concat("") == span.channel)  # hidden from the planner: ix_calls_fee is meant
    if span.kind is not None:
        conditions.append(calls.c.kind.concat("") == span.kind)
    return find_page_of_calls(connection, conditions, cursor, limit)


def _parts(connection: Connection, span: Span) -> list[Any]:
    """The sums of all measures by channel, kind and outcome."""
    group = [rollups.c.channel, rollups.c.kind, rollups.c.outcome]
    sums = [_sum(rollups.c[name]).label(name) for name in MEASURES]
    query = select(*group, *sums).where(*_within(rollups, span)).group_by(*group)
    return [row for row in connection.execute(query) if row.calls]


def _sum(column: ColumnElement[int]) -> ColumnElement[int]:
    """A sum that is a whole number: PostgreSQL's of large ones is a decimal."""
    return cast(func.sum(column), BigInteger)


def _tallies(connection: Connection, span: Span) -> Tallies:
    tallies: Tallies = {}
    query = select(rollup_details.c.outcome, rollup_details.c.counts).where(*_within(rollup_details, span))
    for outcome, counts in connection.execute(query):
        tally = tallies.setdefault(Outcome(outcome), Counter())
        known = tally.get
        for name, calls_ in _counts(counts).items():  # Counter.update, without its detours: this is the longest loop
            tally[name] = known(name, 0) + calls_
    return tallies


def _by_hour(connection: Connection, span: Span) -> dict[datetime, Counts]:
    first, last = span.hours
    query = (
        select(rollups.c.start_hour, rollups.c.outcome, _sum(rollups.c.calls), _sum(rollups.c.fee_minutes))
        .where(rollups.c.hours == 1, rollups.c.start_hour >= first, rollups.c.start_hour < last, *_of(rollups, span))
        .group_by(rollups.c.start_hour, rollups.c.outcome)
    )
    found: dict[int, dict[str, int]] = {}
    for hour, outcome, count, minutes in connection.execute(query):
        if count:
            fields = found.setdefault(hour, {"fee_minutes": 0})
            fields[outcome] = count
            fields["fee_minutes"] += minutes
    return {_moment(hour): Counts(**fields) for hour, fields in found.items()}


def _arrivals(connection: Connection, span: Span) -> Arrivals:
    """All that came in by the span's channel, whatever its kind."""
    first, last = span.hours
    sums = [func.coalesce(_sum(arrivals.c[name]), 0).label(name) for name in ARRIVALS]
    query = select(*sums).where(arrivals.c.hour >= first, arrivals.c.hour < last)
    if span.channel is not None:
        query = query.where(arrivals.c.channel == span.channel)
    return Arrivals(**connection.execute(query).mappings().one())


def _within(table: Table, span: Span) -> list[ColumnElement[bool]]:
    """The whole days of the span as days, what is left at its ends as hours."""
    first, last = span.hours
    first_day, last_day = -(-first // DAY_HOURS) * DAY_HOURS, last // DAY_HOURS * DAY_HOURS
    if first_day >= last_day:
        pieces = [(1, first, last)]
    else:
        pieces = [(DAY_HOURS, first_day, last_day), (1, first, first_day), (1, last_day, last)]
    return [
        or_(
            *(
                and_(table.c.hours == hours, table.c.start_hour >= since, table.c.start_hour < until)
                for hours, since, until in pieces
            )
        ),
        *_of(table, span),
    ]


def _of(table: Table, span: Span) -> list[ColumnElement[bool]]:
    return [table.c[name] == value for name in ("channel", "kind") if (value := getattr(span, name)) is not None]


def _counts_of(parts: list[Any], key: Callable[[Any], K]) -> dict[K, Counts]:
    found: dict[K, Counts] = {}
    for row in parts:
        counts = Counts(**{row.outcome: row.calls, "fee_minutes": row.fee_minutes})
        found[key(row)] = found.get(key(row), Counts()) + counts
    return found


def _counts_under(tallies: Tallies, name: str) -> dict[str, Counts]:
    """What is counted under `name`, by its values; nothing is known of their minutes."""
    found: dict[str, dict[str, int]] = {}
    for outcome, tally in tallies.items():
        for value, count in _values(tally, name).items():
            found.setdefault(value, {})[outcome.value] = count
    return {value: Counts(**counts) for value, counts in found.items()}


def _times(parts: list[Any], tallies: Tallies, name: str) -> Times:
    seconds = _values(sum(tallies.values(), Counter()), name)
    return Times(
        calls=sum(getattr(row, f"{name}_calls") for row in parts),
        total_s=sum(getattr(row, f"{name}_s") for row in parts),
        seconds={int(value): count for value, count in seconds.items()},
    )


def _values(tally: Counter[str], name: str) -> dict[str, int]:
    prefix = f"{name}:"
    return {key.removeprefix(prefix): count for key, count in tally.items() if count and key.startswith(prefix)}


def _moment(hour: int) -> datetime:
    return _EPOCH + timedelta(hours=hour)
