"""What the calls of each hour and of each day come to, kept in the transaction that changes them.

A call counts in the span in which it was first seen. When it changes, its former part is taken out and its new one put in,
so the sums are those of a recount, whatever comes late, twice or revised. A day (of UTC) is the sum of its hours: a month is
read from some thirty days and the hours at its ends.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Table
from sqlalchemy.engine import Connection

from answerback.domain.models import ring_s, talk_s
from answerback.domain.phone_locations import PhoneLocation, locate_number
from answerback.domain.statistics import due_minutes, rollup_code, rollup_s
from answerback.ledger.backends.selection import bulk_sql
from answerback.ledger.rows import CALL_COLUMNS, READ_COLUMNS
from answerback.ledger.tables import hourly_ingest, rollup_breakdowns, rollups

DAY_HOURS = 24
BUCKET_SIZES_HOURS = (1, DAY_HOURS)
KEY = ("bucket_hours", "bucket_start_hour", "channel", "kind", "outcome")
MEASURES = (
    "calls",
    "fee_minutes",
    "due_minutes",
    "fee_mismatches",
    "overbilled_minutes",
    "overdue",
    "ring_calls",
    "ring_s",
    "talk_calls",
    "talk_s",
)
INGEST_COLUMNS = ("callbacks", "duplicates", "revisions", "quarantined")
STORED, DUPLICATE, REVISED, QUARANTINED = range(len(INGEST_COLUMNS))

_CHANNEL, _KIND, _OUTCOME, _NATIONCODE, _MOBILE, _STARTED_AT, _FAILURE_CODE, _FIRST_SEEN_US = (
    CALL_COLUMNS.index(name)
    for name in ("channel", "kind", "outcome", "nationcode", "mobile", "started_at", "failure_code", "first_seen_us")
)
_OVERDUE = READ_COLUMNS.index("overdue_us")
_HOUR_US = 3_600_000_000
_MINUTE_S = 60

Row = tuple[Any, ...]
Group = tuple[int, str, str, str]
"""An hour since 1970, a channel, a kind and an outcome."""
Bucket = tuple[int, int, str, str, str]
Key = TypeVar("Key", bound=tuple[int | str, ...])

_encode = msgspec.json.Encoder().encode
_counts = msgspec.json.Decoder(dict[str, int]).decode


class Rollups:
    """What the changes of one transaction add to the sums. Calls come as rows that begin with CALL_COLUMNS."""

    def __init__(self) -> None:
        self._measures: dict[Group, list[int]] = {}
        self._added: dict[Group, list[str]] = {}
        self._removed: dict[Group, list[str]] = {}

    def replace(self, before: Row | None, after: Row) -> None:
        """Count a call as it is now in place of what it was, a row of READ_COLUMNS."""
        if before is not None:
            self._count(before, -1, self._removed)
            if before[_OVERDUE] is not None:
                self.count_overdue(before, -1)
                self.count_overdue(after, 1)
        self._count(after, 1, self._added)

    def count_overdue(self, row: Row, calls: int) -> None:
        """Count so many calls more that are as in `row` and overdue."""
        self._sums_of(_group_of(row))[5] += calls

    def _count(self, row: Row, sign: int, breakdowns: dict[Group, list[str]]) -> None:
        group = _group_of(row)
        kind, outcome = group[2:]
        started_at, answered_at, ended_at, fee_minutes, code = row[_STARTED_AT : _FAILURE_CODE + 1]
        sums = self._sums_of(group)
        sums[0] += sign
        names = breakdowns.setdefault(group, [])
        if kind:
            names += _location_names(locate_number(row[_NATIONCODE], row[_MOBILE]))
        if code is not None:
            names.append(f"code:{rollup_code(code)}")
        rang_s, talked_s = ring_s(outcome, started_at, answered_at, ended_at), talk_s(outcome, answered_at, ended_at)
        if rang_s is not None:
            sums[6] += sign
            sums[7] += sign * rang_s
            names.append(f"ring:{rollup_s(rang_s)}")
        if talked_s is not None:
            sums[8] += sign
            sums[9] += sign * talked_s
            names.append(f"talk:{rollup_s(talked_s)}")
        if fee_minutes is not None:
            _count_fee(sums, sign, fee_minutes, due_minutes(outcome, talked_s))

    def _sums_of(self, group: Group) -> list[int]:
        sums = self._measures.get(group)
        if sums is None:
            sums = self._measures[group] = [0] * len(MEASURES)
        return sums

    def write(self, connection: Connection) -> None:
        """Add it to what is in the tables."""
        measures: dict[Bucket, list[int]] = {}
        details: dict[Bucket, Counter[str]] = {}
        for group, sums in self._measures.items():
            counts = Counter(self._added.get(group, ()))
            counts.subtract(self._removed.get(group, ()))
            for span in _buckets_of(group):
                own = measures.get(span)
                measures[span] = sums if own is None else [a + b for a, b in zip(own, sums, strict=True)]
                details.setdefault(span, Counter()).update(counts)
        _increment(connection, rollups, KEY, MEASURES, measures)
        _add_breakdowns(connection, details)


def _group_of(row: Row) -> Group:
    return (row[_FIRST_SEEN_US] // _HOUR_US, row[_CHANNEL], row[_KIND], row[_OUTCOME])


def _count_fee(sums: list[int], sign: int, fee_minutes: int, due: int | None) -> None:
    sums[1] += sign * fee_minutes
    if due is None:
        return
    sums[2] += sign * due
    if fee_minutes != due:
        sums[3] += sign
        sums[4] += sign * (fee_minutes - due)


@cache
def _location_names(place: PhoneLocation) -> tuple[str, str]:
    return f"carrier:{place.carrier}", f"region:{place.region}"


def _buckets_of(group: Group) -> Iterator[Bucket]:
    hour, *rest = group
    for hours in BUCKET_SIZES_HOURS:
        yield (hours, hour - hour % hours, *rest)  # type: ignore[misc]  # the rest is three strings


def _increment(
    connection: Connection, table: Table, key: tuple[str, ...], columns: tuple[str, ...], sums: Mapping[Key, list[int]]
) -> None:
    """Add to the rows of each key, made where they are missing."""
    if sums:
        bulk_sql(connection).increment(table, key, columns, [(*own, *added) for own, added in sorted(sums.items())])


def _add_breakdowns(connection: Connection, breakdowns: Mapping[Bucket, Counter[str]]) -> None:
    changes = {span: counts for span, counts in breakdowns.items() if any(counts.values())}
    if not changes:
        return
    columns = (*KEY, "counts")
    found = bulk_sql(connection).select_many(rollup_breakdowns, columns, KEY, list(changes))
    known = {row[:-1]: _counts(row[-1]) for row in found}
    rows = [(*span, _encode(_sums(known.get(span, {}), more)).decode()) for span, more in sorted(changes.items())]
    bulk_sql(connection).upsert(rollup_breakdowns, columns, KEY, rows)


def _sums(counts: dict[str, int], changes: Counter[str]) -> dict[str, int]:
    """`counts` with the changes, which are far fewer, and without what comes to nothing."""
    for name, more in changes.items():
        if total := counts.get(name, 0) + more:
            counts[name] = total
        else:
            counts.pop(name, None)
    return counts


class IngestCounter:
    """What came in with one transaction, by the hour in which it came and by channel."""

    def __init__(self) -> None:
        self._counts: dict[tuple[int, str], list[int]] = {}

    def count(self, column: int, received_us: int, channel: str, times: int = 1) -> None:
        key = (received_us // _HOUR_US, channel)
        sums = self._counts.get(key)
        if sums is None:
            sums = self._counts[key] = [0] * len(INGEST_COLUMNS)
        sums[column] += times

    def write(self, connection: Connection) -> None:
        """Add it to what is in the table."""
        _increment(connection, hourly_ingest, ("hour", "channel"), INGEST_COLUMNS, self._counts)
