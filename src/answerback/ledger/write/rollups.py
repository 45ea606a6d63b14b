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
from sqlalchemy import Table, bindparam, select, update
from sqlalchemy.engine import Connection

from answerback.domain.models import ring_s, talk_s
from answerback.domain.phone_locations import Place, place_of
from answerback.domain.statistics import counted_code, counted_s, due_minutes, fee_difference
from answerback.ledger.backends import bulk_sql
from answerback.ledger.rows import CALL_COLUMNS, READ_COLUMNS
from answerback.ledger.tables import arrivals, callbacks, calls, quarantine, rollup_details, rollups

DAY_HOURS = 24
SPANS = (1, DAY_HOURS)
KEY = ("hours", "start_hour", "channel", "kind", "outcome")
MEASURES = (
    "calls",
    "fee_minutes",
    "due_minutes",
    "differing",
    "excess_minutes",
    "overdue",
    "ring_calls",
    "ring_s",
    "talk_calls",
    "talk_s",
)
ARRIVALS = ("callbacks", "repeats", "revisions", "quarantined")
STORED, REPEATED, REVISED, QUARANTINED = range(len(ARRIVALS))

_CHANNEL, _KIND, _OUTCOME, _NATIONCODE, _MOBILE, _STARTED_AT, _FAILURE_CODE, _FIRST_SEEN_US = (
    CALL_COLUMNS.index(name)
    for name in ("channel", "kind", "outcome", "nationcode", "mobile", "started_at", "failure_code", "first_seen_us")
)
_OVERDUE = READ_COLUMNS.index("overdue_us")
_HOUR_US = 3_600_000_000
_MINUTE_S = 60
_CALLS_AT_A_TIME = 5_000

Row = tuple[Any, ...]
Group = tuple[int, str, str, str]
"""An hour since 1970, a channel, a kind and an outcome."""
Span = tuple[int, int, str, str, str]
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

    def _count(self, row: Row, sign: int, details: dict[Group, list[str]]) -> None:
        group = _group_of(row)
        kind, outcome = group[2:]
        started_at, answered_at, ended_at, fee_minutes, code = row[_STARTED_AT : _FAILURE_CODE + 1]
        sums = self._sums_of(group)
        sums[0] += sign
        names = details.setdefault(group, [])
        if kind:
            names += _place_names(place_of(row[_NATIONCODE], row[_MOBILE]))
        if code is not None:
            names.append(f"code:{counted_code(code)}")
        rang_s, talked_s = ring_s(outcome, started_at, answered_at, ended_at), talk_s(outcome, answered_at, ended_at)
        if rang_s is not None:
            sums[6] += sign
            sums[7] += sign * rang_s
            names.append(f"ring:{counted_s(rang_s)}")
        if talked_s is not None:
            sums[8] += sign
            sums[9] += sign * talked_s
            names.append(f"talk:{counted_s(talked_s)}")
        if fee_minutes is not None:
            _count_fee(sums, sign, fee_minutes, due_minutes(outcome, talked_s))

    def _sums_of(self, group: Group) -> list[int]:
        sums = self._measures.get(group)
        if sums is None:
            sums = self._measures[group] = [0] * len(MEASURES)
        return sums

    def write(self, connection: Connection) -> None:
        """Add it to what is in the tables."""
        measures: dict[Span, list[int]] = {}
        details: dict[Span, Counter[str]] = {}
        for group, sums in self._measures.items():
            counts = Counter(self._added.get(group, ()))
            counts.subtract(self._removed.get(group, ()))
            for span in _spans(group):
                own = measures.get(span)
                measures[span] = sums if own is None else [a + b for a, b in zip(own, sums, strict=True)]
                details.setdefault(span, Counter()).update(counts)
        _add(connection, rollups, KEY, MEASURES, measures)
        _add_details(connection, details)


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
def _place_names(place: Place) -> tuple[str, str]:
    return f"carrier:{place.carrier}", f"region:{place.region}"


def _spans(group: Group) -> Iterator[Span]:
    hour, *rest = group
    for hours in SPANS:
        yield (hours, hour - hour % hours, *rest)  # type: ignore[misc]  # the rest is three strings


def _add(
    connection: Connection,
    table: Table,
    key: tuple[str, ...],
    columns: tuple[str, ...],
    sums: Mapping[Key, list[int]],
) -> None:
    """Add to the rows of each key, made where they are missing."""
    if sums:
        bulk_sql.add(connection, table, key, columns, [(*own, *added) for own, added in sorted(sums.items())])


def _add_details(connection: Connection, details: Mapping[Span, Counter[str]]) -> None:
    changed = {span: counts for span, counts in details.items() if any(counts.values())}
    if not changed:
        return
    columns = (*KEY, "counts")
    for row in bulk_sql.find(connection, rollup_details, columns, KEY, list(changed)):
        changed[row[:-1]].update(_counts(row[-1]))
    rows = [
        (*span, _encode({name: calls for name, calls in counts.items() if calls}).decode())
        for span, counts in sorted(changed.items())
    ]
    bulk_sql.upsert(connection, rollup_details, columns, KEY, rows)


class Coming:
    """What came in with one transaction, by the hour in which it came and by channel."""

    def __init__(self) -> None:
        self._came: dict[tuple[int, str], list[int]] = {}

    def count(self, column: int, received_us: int, channel: str, times: int = 1) -> None:
        """Count one of ARRIVALS."""
        key = (received_us // _HOUR_US, channel)
        sums = self._came.get(key)
        if sums is None:
            sums = self._came[key] = [0] * len(ARRIVALS)
        sums[column] += times

    def write(self, connection: Connection) -> None:
        """Add it to what is in the table."""
        _add(connection, arrivals, ("hour", "channel"), ARRIVALS, self._came)


def count_everything(connection: Connection) -> None:
    """Fill the tables from all the calls and callbacks that there are, for a ledger that kept no statistics."""
    last_id = 0
    query = select(*[calls.c[name] for name in (*CALL_COLUMNS, "overdue_us")]).order_by(calls.c.id)
    while rows := connection.execute(query.where(calls.c.id > last_id).limit(_CALLS_AT_A_TIME)).all():
        sums, differing = Rollups(), []
        for row in rows:
            sums.replace(None, tuple(row))
            sums.count_overdue(tuple(row), int(row.overdue_us is not None))
            due = due_minutes(row.outcome, talk_s(row.outcome, row.answered_at, row.ended_at))
            if (difference := fee_difference(row.fee_minutes, due)) is not None:
                differing.append({"call_id": row.id, "difference": difference})
        sums.write(connection)
        if differing:
            connection.execute(_differs, differing)
        last_id = rows[-1].id
    _count_past_arrivals(connection)


_differs = update(calls).where(calls.c.id == bindparam("call_id")).values(fee_difference=bindparam("difference"))


def _count_past_arrivals(connection: Connection) -> None:
    """A repeat counts where its first was, a revision where its call last changed: more is not known of the past."""
    coming = Coming()
    first = select(callbacks.c.received_us, calls.c.channel, callbacks.c.repeats).join(calls)
    for when_us, channel, repeats in connection.execute(first):
        coming.count(STORED, when_us, channel)
        coming.count(REPEATED, when_us, channel, repeats)
    revised = select(calls.c.updated_us, calls.c.channel, calls.c.revisions).where(calls.c.revisions > 0)
    for when_us, channel, revisions in connection.execute(revised):
        coming.count(REVISED, when_us, channel, revisions)
    for when_us, channel in connection.execute(select(quarantine.c.received_us, quarantine.c.channel)):
        coming.count(QUARANTINED, when_us, channel)
    coming.write(connection)
