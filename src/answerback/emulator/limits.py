"""How often a number may be called.

Source: "Frequency limits", product 1128: once in 30 seconds, twice in 10 minutes, three times a day (notifications five
times), once between 22:00 and 08:00, by the clock of China.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

import msgspec

from answerback.domain.models import Kind
from answerback.emulator.vendor_errors import Fault, Refused

_CHINA = timezone(timedelta(hours=8))
_NIGHT_BEGINS, _NIGHT_ENDS = 22, 8
_DAY_S = 86_400


class Limit(msgspec.Struct, frozen=True, array_like=True):
    """So many calls to a number in so many seconds."""

    calls: int
    seconds: float


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rules; an empty one limits nothing."""

    of_all: Sequence[Limit] = (Limit(1, 30), Limit(2, 600))
    a_day: int | None = 3
    notifications_a_day: int | None = 5
    a_night: int | None = 1


NONE = Limits(of_all=(), a_day=None, notifications_a_day=None, a_night=None)


class Frequency:
    """Remembers who was called when."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._called_s: defaultdict[tuple[str, str], list[float]] = defaultdict(list)

    def check(self, app_id: str, number: str, kind: Kind, now_s: float) -> None:
        """Count a call to a number. Raises Refused where it is one too many."""
        called_s = self._called_s[app_id, number]
        limits = self._limits
        for limit in limits.of_all:
            if sum(when_s > now_s - limit.seconds for when_s in called_s) >= limit.calls:
                raise Refused(Fault.FREQUENCY, f"{limit.calls} in {limit.seconds:g} s")
        a_day = limits.notifications_a_day if kind is Kind.PROMPT else limits.a_day
        today = _day(now_s)
        if a_day is not None and sum(_day(when_s) == today for when_s in called_s) >= a_day:
            raise Refused(Fault.FREQUENCY, f"{a_day} a day")
        night = _night(now_s)
        nights = [_night(when_s) for when_s in called_s]
        if limits.a_night is not None and night is not None and nights.count(night) >= limits.a_night:
            raise Refused(Fault.FREQUENCY, f"{limits.a_night} between 22:00 and 08:00")
        called_s[:] = [when_s for when_s in called_s if when_s > now_s - 2 * _DAY_S]
        called_s.append(now_s)


def _day(when_s: float) -> str:
    return datetime.fromtimestamp(when_s, UTC).astimezone(_CHINA).date().isoformat()


def _night(when_s: float) -> str | None:
    """The evening that a night began on, or None by day."""
    moment = datetime.fromtimestamp(when_s, UTC).astimezone(_CHINA)
    if _NIGHT_ENDS <= moment.hour < _NIGHT_BEGINS:
        return None
    return (moment - timedelta(hours=_NIGHT_ENDS)).date().isoformat()
