"""The ranges of days that statistics are shown for, by the calendar of the console's zone; pure."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from answerback.domain.models import CallbackKind
from answerback.domain.statistics import RangeName, day_start, named_days
from answerback.ledger.read.statistics import HourRange

CUSTOM = "custom"
DEFAULT = RangeName.TODAY
MAX_DAYS = 366

_HOURLY_DAYS = 2
_DAY = timedelta(days=1)


class Range(NamedTuple):
    """Whole days from `first` to `last`, both included. `error` names the words for what was wrong with the wish."""

    name: str
    first: date
    last: date
    now: datetime
    zone: ZoneInfo
    error: str | None = None

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def hourly(self) -> bool:
        """Whether it is so short that one looks at its hours."""
        return self.days <= _HOURLY_DAYS

    @property
    def since(self) -> datetime:
        return day_start(self.first, self.zone)

    @property
    def until(self) -> datetime:
        """When it ends; the end itself is not in it."""
        return day_start(self.last + _DAY, self.zone)

    def span(self, channel: str | None, kind: CallbackKind | None) -> HourRange:
        return HourRange(since=self.since, until=self.until, channel=channel, kind=kind)

    def span_before(self, channel: str | None, kind: CallbackKind | None) -> HourRange:
        """As many days before it, up to the same time of the day where it has not ended yet."""
        whole = timedelta(days=self.days)
        began = day_start(self.first - whole, self.zone)
        ended = day_start(self.first, self.zone)
        return HourRange(since=began, until=min(ended, self.now - whole), channel=channel, kind=kind)

    @property
    def query(self) -> dict[str, str]:
        """The fields of an address that ask for it."""
        if self.name != CUSTOM:
            return {"range": self.name}
        return {"range": CUSTOM, "since": f"{self.first}", "until": f"{self.last}"}


def parse_range(query: Mapping[str, str], now: datetime, zone: ZoneInfo) -> Range:
    """The range that an address asks for, else today with what was wrong."""
    default = Range(DEFAULT, *named_days(DEFAULT, now, zone), now, zone)
    name = query.get("range", DEFAULT)
    if name in set(RangeName):
        return Range(name, *named_days(RangeName(name), now, zone), now, zone)
    if name != CUSTOM:
        return default
    try:
        first, last = (date.fromisoformat(query.get(end, "")) for end in ("since", "until"))
    except ValueError:
        return default._replace(error="range_error_date")
    if last < first:
        return default._replace(error="range_error_order")
    if (last - first).days >= MAX_DAYS or not date(1971, 1, 1) < first or not last < date(9000, 1, 1):
        return default._replace(error="range_error_long")
    return Range(CUSTOM, first, last, now, zone)
