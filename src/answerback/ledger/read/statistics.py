"""The statistics of a range, read from the rollups; and the calls whose fee is not what is due."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, TypeVar

import msgspec
from sqlalchemy import BigInteger, ColumnElement, Table, and_, cast, func, or_, select
from sqlalchemy.engine import Connection

from answerback.domain.models import Call, CallbackKind, Outcome, Page
from answerback.domain.statistics import (
    HOUR,
    Counts,
    DurationStats,
    Fees,
    IngestCounts,
    RangeName,
    Statistics,
    named_range,
)
from answerback.errors import InvalidRange
from answerback.ledger.read.calls import find_page_of_calls
from answerback.ledger.tables import calls, hourly_ingest, rollup_breakdowns, rollups
from answerback.ledger.types import to_us
from answerback.ledger.write.rollups import DAY_HOURS, INGEST_COLUMNS, MEASURES

K = TypeVar("K")

_EPOCH = datetime.fromtimestamp(0, UTC)
_MAX_RANGE = timedelta(days=3 * 366)
_FIRST_YEAR, _LAST_YEAR = 1971, 9998
_counts = msgspec.json.Decoder(dict[str, int]).decode

Tallies = dict[Outcome, Counter[str]]
"""Outcome -> `region:CN-GD` -> calls."""


class HourRange(msgspec.Struct, frozen=True, kw_only=True):
    """Calls first seen from the hour of `since` on and before the hour that ends at or after `until`."""

    since: datetime
    until: datetime
    channel: str | None = None
    kind: CallbackKind | None = None

    @property
    def hours(self) -> tuple[int, int]:
        """The same in hours since 1970, the second one excluded."""
        first = (self.since - _EPOCH) // HOUR
        return first, max(first, -((_EPOCH - self.until) // HOUR))


def select_hours(
    name: RangeName | None,
    since: datetime | None,
    until: datetime | None,
    zone: tzinfo,
    *,
    channel: str | None,
    kind: CallbackKind | None,
) -> HourRange:
    """The hours of a range that is named, of the last week by default, or of its ends, which are in `zone` if they name none.

    Raises InvalidRange.
    """
    now = datetime.now(UTC)
    if name is not None and (since, until) != (None, None):
        raise InvalidRange("range", "give either range, or since and until")
    if since is None and until is not None:
        raise InvalidRange("since", "is required with until")
    if since is None:
        first, last = named_range(name or RangeName.WEEK, now, zone)
    else:
        first, last = _in_zone(since, zone), now if until is None else _in_zone(until, zone)
    try:
        first, last = first.astimezone(UTC), last.astimezone(UTC)
    except OverflowError as error:
        raise InvalidRange("since", "is outside of the years 1 to 9999 in UTC") from error
    if not first < last:
        raise InvalidRange("until", "is not after since")
    if last - first > _MAX_RANGE:
        raise InvalidRange("since", f"the longest range is {_MAX_RANGE.days} days")
    if not _FIRST_YEAR <= first.year <= last.year <= _LAST_YEAR:
        raise InvalidRange("since", f"statistics are of the years {_FIRST_YEAR} to {_LAST_YEAR}")
    return HourRange(since=first, until=last, channel=channel, kind=kind)


def _in_zone(moment: datetime, zone: tzinfo) -> datetime:
    return moment.replace(tzinfo=zone) if moment.tzinfo is None else moment


def find_statistics(connection: Connection, hour_range: HourRange) -> Statistics:
    first, last = hour_range.hours
    parts = _parts(connection, hour_range)
    tallies = _tallies(connection, hour_range)
    return Statistics(
        since=_time_of(first),
        until=_time_of(last),
        total=_counts_of(parts, lambda _row: None).get(None, Counts()),
        hours=_by_hour(connection, hour_range),
        kinds=_counts_of(parts, lambda row: CallbackKind(row.kind) if row.kind else None),
        channels=_counts_of(parts, lambda row: row.channel),
        carriers=_counts_under(tallies, "carrier"),
        regions=_counts_under(tallies, "region"),
        codes={int(code): count for code, count in _values(sum(tallies.values(), Counter()), "code").items()},
        ring=_times(parts, tallies, "ring"),
        talk=_times(parts, tallies, "talk"),
        fees=Fees(
            billed_minutes=sum(row.fee_minutes for row in parts),
            due_minutes=sum(row.due_minutes for row in parts),
            mismatched_calls=sum(row.fee_mismatches for row in parts),
            overbilled_minutes=sum(row.overbilled_minutes for row in parts),
        ),
        ingest=_ingest_counts(connection, hour_range),
        overdue=sum(row.overdue for row in parts),
    )


def find_total(connection: Connection, hour_range: HourRange) -> Counts:
    """Only what became of the range's calls, in a fraction of the time."""
    return _counts_of(_parts(connection, hour_range), lambda _row: None).get(None, Counts())


def find_fee_mismatches(connection: Connection, hour_range: HourRange, cursor: str | None, limit: int) -> Page[Call]:
    """A page of the range's calls that were billed more or less than is due, newest first. Raises InvalidCursor."""
    first, last = hour_range.hours
    conditions = [
        calls.c.fee_mismatch_minutes.is_not(None),
        calls.c.first_seen_us >= to_us(_time_of(first)),
        calls.c.first_seen_us < to_us(_time_of(last)),
    ]
    if hour_range.channel is not None:
        conditions.append(
            calls.c.channel.concat("") == hour_range.channel
        )  # hidden from the planner: ix_calls_fee is meant
    if hour_range.kind is not None:
        conditions.append(calls.c.kind.concat("") == hour_range.kind)
    return find_page_of_calls(connection, conditions, cursor, limit)


def _parts(connection: Connection, hour_range: HourRange) -> list[Any]:
    """The sums of all measures by channel, kind and outcome."""
    group = [rollups.c.channel, rollups.c.kind, rollups.c.outcome]
    sums = [_sum(rollups.c[name]).label(name) for name in MEASURES]
    query = select(*group, *sums).where(*_range_conditions(rollups, hour_range)).group_by(*group)
    return [row for row in connection.execute(query) if row.calls]


def _sum(column: ColumnElement[int]) -> ColumnElement[int]:
    """A sum that is a whole number: PostgreSQL's of large ones is a decimal."""
    return cast(func.sum(column), BigInteger)


def _tallies(connection: Connection, hour_range: HourRange) -> Tallies:
    tallies: Tallies = {}
    query = select(rollup_breakdowns.c.outcome, rollup_breakdowns.c.counts).where(
        *_range_conditions(rollup_breakdowns, hour_range)
    )
    for outcome, counts in connection.execute(query):
        tally = tallies.setdefault(Outcome(outcome), Counter())
        known = tally.get
        for name, calls_ in _counts(counts).items():  # Counter.update, without its detours: this is the longest loop
            tally[name] = known(name, 0) + calls_
    return tallies


def _by_hour(connection: Connection, hour_range: HourRange) -> dict[datetime, Counts]:
    first, last = hour_range.hours
    query = (
        select(rollups.c.bucket_start_hour, rollups.c.outcome, _sum(rollups.c.calls), _sum(rollups.c.fee_minutes))
        .where(
            rollups.c.bucket_hours == 1,
            rollups.c.bucket_start_hour >= first,
            rollups.c.bucket_start_hour < last,
            *_of(rollups, hour_range),
        )
        .group_by(rollups.c.bucket_start_hour, rollups.c.outcome)
    )
    found: dict[int, dict[str, int]] = {}
    for hour, outcome, count, minutes in connection.execute(query):
        if count:
            fields = found.setdefault(hour, {"fee_minutes": 0})
            fields[outcome] = count
            fields["fee_minutes"] += minutes
    return {_time_of(hour): Counts(**fields) for hour, fields in found.items()}


def _ingest_counts(connection: Connection, hour_range: HourRange) -> IngestCounts:
    """All that came in by the range's channel, whatever its kind."""
    first, last = hour_range.hours
    sums = [func.coalesce(_sum(hourly_ingest.c[name]), 0).label(name) for name in INGEST_COLUMNS]
    query = select(*sums).where(hourly_ingest.c.hour >= first, hourly_ingest.c.hour < last)
    if hour_range.channel is not None:
        query = query.where(hourly_ingest.c.channel == hour_range.channel)
    return IngestCounts(**connection.execute(query).mappings().one())


def _range_conditions(table: Table, hour_range: HourRange) -> list[ColumnElement[bool]]:
    """The whole days of the range as days, what is left at its ends as hours."""
    first, last = hour_range.hours
    first_day, last_day = -(-first // DAY_HOURS) * DAY_HOURS, last // DAY_HOURS * DAY_HOURS
    if first_day >= last_day:
        pieces = [(1, first, last)]
    else:
        pieces = [(DAY_HOURS, first_day, last_day), (1, first, first_day), (1, last_day, last)]
    return [
        or_(
            *(
                and_(
                    table.c.bucket_hours == hours, table.c.bucket_start_hour >= since, table.c.bucket_start_hour < until
                )
                for hours, since, until in pieces
            )
        ),
        *_of(table, hour_range),
    ]


def _of(table: Table, hour_range: HourRange) -> list[ColumnElement[bool]]:
    return [table.c[name] == value for name in ("channel", "kind") if (value := getattr(hour_range, name)) is not None]


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


def _times(parts: list[Any], tallies: Tallies, name: str) -> DurationStats:
    seconds = _values(sum(tallies.values(), Counter()), name)
    return DurationStats(
        calls=sum(getattr(row, f"{name}_calls") for row in parts),
        total_s=sum(getattr(row, f"{name}_s") for row in parts),
        seconds={int(value): count for value, count in seconds.items()},
    )


def _values(tally: Counter[str], name: str) -> dict[str, int]:
    prefix = f"{name}:"
    return {key.removeprefix(prefix): count for key, count in tally.items() if count and key.startswith(prefix)}


def _time_of(hour: int) -> datetime:
    return _EPOCH + timedelta(hours=hour)
