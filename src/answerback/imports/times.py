"""When a line of a log was written, by what it says; pure."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_LOCAL = re.compile(r"(\d{2})/([A-Z][a-z]{2})/(\d{4}):(\d{2}):(\d{2}):(\d{2}) ([+-])(\d{2})(\d{2})")
_ISO = re.compile(r"\d{4}(?:-\d{2}-|/\d{2}/)\d{2}[T ]\d{2}:\d{2}:\d{2}(?:[.,]\d{1,9})?(?:Z|[+-]\d{2}:?\d{2})?")
_NAMES = (
    "received_at",
    "time_iso8601",
    "time_local",
    "@timestamp",
    "timestamp",
    "time",
    "datetime",
    "date",
    "ts",
    "msec",
)
_LATEST_S = 253_402_300_799  # 9999-12-31T23:59:59Z
_MILLI = 1e11  # larger is no number of seconds that a log was written at
_MICRO = 1e14
_NANO = 1e17


def find_time(text: str, zone: tzinfo = UTC) -> datetime | None:
    """The first time in `text`: nginx's `23/Nov/2026:15:31:52 +0800` or ISO 8601, of `zone` where that names none."""
    found = [match for match in (_LOCAL.search(text), _ISO.search(text)) if match is not None]
    if not found:
        return None
    first = min(found, key=lambda match: match.start())
    return _local(first) if first.re is _LOCAL else _iso(first.group(), zone)


def document_time(document: Mapping[str, Any], zone: tzinfo = UTC) -> datetime | None:
    """The time of a log line that is JSON: under one of the usual names, as text or as a number since 1970."""
    for name in _NAMES:
        value = document.get(name)
        if isinstance(value, str):
            when = find_time(value, zone) or _number(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            when = _since_1970(float(value))
        else:
            continue
        if when is not None:
            return when
    return None


def _local(match: re.Match[str]) -> datetime | None:
    day, month, year, hour, minute, second, sign, hours, minutes = match.groups()
    offset = timedelta(hours=int(hours), minutes=int(minutes)) * (-1 if sign == "-" else 1)
    try:
        number = _MONTHS.index(month) + 1
        local = datetime(int(year), number, int(day), int(hour), int(minute), int(second), tzinfo=timezone(offset))
        return local.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _iso(text: str, zone: tzinfo) -> datetime | None:
    try:
        when = datetime.fromisoformat(text.replace("/", "-"))
        return (when.replace(tzinfo=zone) if when.tzinfo is None else when).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _number(text: str) -> datetime | None:
    try:
        return _since_1970(float(text))
    except ValueError:
        return None


def _since_1970(number: float) -> datetime | None:
    """Seconds, or what else programs count in since 1970."""
    for bound, unit in ((_NANO, 1e9), (_MICRO, 1e6), (_MILLI, 1e3)):
        if number >= bound:
            number /= unit
            break
    return datetime.fromtimestamp(number, UTC) if 0 < number < _LATEST_S else None
