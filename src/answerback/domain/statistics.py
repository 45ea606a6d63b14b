"""What many calls come to: counts, rates, times and minutes. Pure.

Everything is a sum over calls, so that a call that changes takes its former part out and puts its new one in: the sums
stay exact whatever comes late, twice or revised.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime, time, timedelta, tzinfo
from enum import StrEnum

import msgspec

from answerback.domain.failure_reasons import UNSPECIFIED_REASON
from answerback.domain.models import CallbackKind, Outcome

HOUR = timedelta(hours=1)
EXACT_BELOW_S = 600
"""Ring and talk times are counted to the second below this, to the minute above."""

MAX_ROLLUP_S = 24 * 3600
"""What is longer counts as that long among the times; the sum of the seconds is exact."""

MAX_CODE = 999
"""Failure codes above it, which no table has, are counted as "other": a sender could make up any number of them."""

ANSWERED, PENDING = Outcome.ANSWERED.value, Outcome.PENDING.value

_MINUTE_S = 60
_DAY_HOURS = 24
_DAYS = 7


def rollup_code(code: int) -> int:
    """The code that a failure is counted under."""
    return code if code <= MAX_CODE else UNSPECIFIED_REASON


def rollup_s(seconds: int) -> int:
    """The time that a ring or talk time is counted under."""
    seconds = min(seconds, MAX_ROLLUP_S)
    return seconds if seconds < EXACT_BELOW_S else seconds - seconds % _MINUTE_S


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Calls by what became of them. `fee_minutes` is what the vendor billed for them."""

    answered: int = 0
    unanswered: int = 0
    failed: int = 0
    pending: int = 0
    fee_minutes: int = 0

    @property
    def calls(self) -> int:
        return self.answered + self.unanswered + self.failed + self.pending

    @property
    def completed(self) -> int:
        """Those of which an outcome is known."""
        return self.answered + self.unanswered + self.failed

    @property
    def answer_rate(self) -> float | None:
        """Answered of those whose outcome is known, 0 to 1; None where none is."""
        return self.answered / self.completed if self.completed else None

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(**{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__})


class DurationStats(msgspec.Struct, frozen=True, kw_only=True):
    """How long something lasted in `calls` calls, `total_s` together; `seconds` -> in how many."""

    calls: int = 0
    total_s: int = 0
    seconds: Mapping[int, int] = {}

    @property
    def mean_s(self) -> float | None:
        """The mean; None without calls."""
        return self.total_s / self.calls if self.calls else None

    def quantile_s(self, share: float) -> int | None:
        """The least time that `share` of the calls did not exceed; to the minute from ten minutes on."""
        rank, passed = share * self.calls, 0
        for seconds, calls in sorted(self.seconds.items()):
            passed += calls
            if passed >= rank:
                return seconds
        return None


class Fees(msgspec.Struct, frozen=True, kw_only=True):
    """What was billed against what is due by the length of the talk; the calls where the two differ."""

    billed_minutes: int = 0
    due_minutes: int = 0
    mismatched_calls: int = 0
    overbilled_minutes: int = 0


class IngestCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Callbacks that came in: stored, repeats of those, revisions among those, and what went to quarantine."""

    callbacks: int = 0
    duplicates: int = 0
    revisions: int = 0
    quarantined: int = 0


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """The calls first seen from `since` on and before `until`, whole hours both.

    `hours` has every hour with calls, by its beginning. `codes` are failure codes, whatever the calls' outcome.
    """

    since: datetime
    until: datetime
    total: Counts
    hours: Mapping[datetime, Counts]
    kinds: Mapping[CallbackKind | None, Counts]
    channels: Mapping[str, Counts]
    carriers: Mapping[str, Counts]
    regions: Mapping[str, Counts]
    codes: Mapping[int, int]
    ring: DurationStats
    talk: DurationStats
    fees: Fees
    ingest: IngestCounts
    overdue: int

    def by_day(self, zone: tzinfo) -> dict[datetime, Counts]:
        """Every day of the range, by its beginning in `zone`."""
        return self._over(_days(self.since, self.until, zone), lambda hour: midnight(hour, zone))

    def by_hour(self) -> dict[datetime, Counts]:
        """Every hour of the range, those without calls, too."""
        hours = (self.since + n * HOUR for n in range((self.until - self.since) // HOUR))
        return {hour: self.hours.get(hour, Counts()) for hour in hours}

    def by_weekday(self, zone: tzinfo) -> list[list[Counts]]:
        """Seven days from Monday on, each of 24 hours of the clock in `zone`."""
        cells = [[Counts()] * _DAY_HOURS for _ in range(_DAYS)]
        for hour, counts in self.hours.items():
            local = hour.astimezone(zone)
            cells[local.weekday()][local.hour] += counts
        return cells

    def _over(self, starts: Iterable[datetime], start_of: Callable[[datetime], datetime]) -> dict[datetime, Counts]:
        sums = dict.fromkeys(starts, Counts())
        for hour, counts in self.hours.items():
            sums[start_of(hour)] += counts
        return sums


def due_minutes(outcome: str, talked_s: int | None) -> int | None:
    """What should be billed: begun minutes of talk, at least one; nothing for a call nobody answered.

    Source: voice message billing, product 1128.
    """
    if outcome == ANSWERED:
        return None if talked_s is None else max(1, -(-talked_s // _MINUTE_S))
    return None if outcome == PENDING else 0


def fee_mismatch_minutes(fee_minutes: int | None, due: int | None) -> int | None:
    """Billed minutes over the due ones; None where they agree or cannot be compared."""
    return None if fee_minutes is None or due is None or fee_minutes == due else fee_minutes - due


def midnight(moment: datetime, zone: tzinfo) -> datetime:
    """The beginning of the day of `moment` in `zone`."""
    return moment.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)


def _days(since: datetime, until: datetime, zone: tzinfo) -> Iterator[datetime]:
    day = midnight(since, zone)
    while day < until:
        yield day
        day = midnight(day + timedelta(hours=36), zone)  # within the next, however long this one is


class RangeName(StrEnum):
    """The ranges of whole days that the vendor's console offers, and ours."""

    TODAY = "today"
    YESTERDAY = "yesterday"
    WEEK = "7d"
    MONTH = "30d"


_DAYS_BEFORE_TODAY = {
    RangeName.TODAY: (0, 0),
    RangeName.YESTERDAY: (1, 1),
    RangeName.WEEK: (6, 0),
    RangeName.MONTH: (29, 0),
}


def named_days(name: RangeName, now: datetime, zone: tzinfo) -> tuple[date, date]:
    """The first and the last day of a range, by the calendar of `zone`."""
    today = now.astimezone(zone).date()
    first, last = (today - timedelta(days=days) for days in _DAYS_BEFORE_TODAY[name])
    return first, last


def named_range(name: RangeName, now: datetime, zone: tzinfo) -> tuple[datetime, datetime]:
    """A range from the beginning of its first day to the end of its last."""
    first, last = named_days(name, now, zone)
    return day_start(first, zone), day_start(last + timedelta(days=1), zone)


def day_start(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone)
