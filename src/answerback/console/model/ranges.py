"""The ranges of days that statistics are shown for, by the calendar of the console's zone; pure."""

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from answerback.domain.models import CallbackKind
from answerback.ledger.read.statistics import HourRange

PRESETS: Mapping[str, tuple[int, int]] = {"today": (0, 0), "yesterday": (1, 1), "7d": (6, 0), "30d": (29, 0)}
"""Name -> the first and the last day, in days before today."""

CUSTOM = "custom"
DEFAULT = "today"
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
        return self._midnight(self.first)

    @property
    def until(self) -> datetime:
        """When it ends; the end itself is not in it."""
        return self._midnight(self.last + _DAY)

    def span(self, channel: str | None, kind: CallbackKind | None) -> HourRange:
        return HourRange(since=self.since, until=self.until, channel=channel, kind=kind)

    def span_before(self, channel: str | None, kind: CallbackKind | None) -> HourRange:
        """As many days before it, up to the same time of the day where it has not ended yet."""
        whole = timedelta(days=self.days)
        began = self._midnight(self.first - whole)
        ended = self._midnight(self.first)
        return HourRange(since=began, until=min(ended, self.now - whole), channel=channel, kind=kind)

    @property
    def query(self) -> dict[str, str]:
        """The fields of an address that ask for it."""
        if self.name != CUSTOM:
            return {"range": self.name}
        return {"range": CUSTOM, "since": f"{self.first}", "until": f"{self.last}"}

    def _midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(), self.zone)


def parse_range(query: Mapping[str, str], now: datetime, zone: ZoneInfo) -> Range:
    """The range that an address asks for, else today with what was wrong."""
    today = now.astimezone(zone).date()
    name = query.get("range", DEFAULT)
    if name != CUSTOM:
        return _preset(name if name in PRESETS else DEFAULT, today, now, zone)
    try:
        first, last = (date.fromisoformat(query.get(end, "")) for end in ("since", "until"))
    except ValueError:
        return _preset(DEFAULT, today, now, zone)._replace(error="range_error_date")
    if last < first:
        return _preset(DEFAULT, today, now, zone)._replace(error="range_error_order")
    if (last - first).days >= MAX_DAYS or not date(1971, 1, 1) < first or not last < date(9000, 1, 1):
        return _preset(DEFAULT, today, now, zone)._replace(error="range_error_long")
    return Range(CUSTOM, first, last, now, zone)


def _preset(name: str, today: date, now: datetime, zone: ZoneInfo) -> Range:
    first, last = PRESETS[name]
    return Range(name, today - first * _DAY, today - last * _DAY, now, zone)
