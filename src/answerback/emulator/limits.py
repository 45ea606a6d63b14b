"""How often a number may be called.

Source: "FrequencyLimiter limits", product 1128: once in 30 seconds, twice in 10 minutes, three times a day (notifications five
times), once between 22:00 and 08:00, by the clock of China.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

import msgspec

from answerback.domain.models import CallbackKind
from answerback.emulator.vendor_errors import SendRejected, VendorError

_CHINA = timezone(timedelta(hours=8))
_NIGHT_BEGINS, _NIGHT_ENDS = 22, 8
_DAY_S = 86_400


class Limit(msgspec.Struct, frozen=True, array_like=True):
    """So many calls to a number in so many seconds."""

    calls: int
    seconds: float


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rules; an empty one limits nothing."""

    per_period: Sequence[Limit] = (Limit(1, 30), Limit(2, 600))
    per_day: int | None = 3
    notifications_per_day: int | None = 5
    per_night: int | None = 1


NO_LIMITS = Limits(per_period=(), per_day=None, notifications_per_day=None, per_night=None)


class FrequencyLimiter:
    """Remembers who was called when."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._called_s: defaultdict[tuple[str, str], list[float]] = defaultdict(list)

    def record_call(self, app_id: str, number: str, kind: CallbackKind, now_s: float) -> None:
        """Count a call to a number. Raises SendRejected where it is one too many."""
        called_s = self._called_s[app_id, number]
        limits = self._limits
        for limit in limits.per_period:
            if sum(when_s > now_s - limit.seconds for when_s in called_s) >= limit.calls:
                raise SendRejected(VendorError.FREQUENCY, f"{limit.calls} in {limit.seconds:g} s")
        a_day = limits.notifications_per_day if kind is CallbackKind.PROMPT else limits.per_day
        today = _day(now_s)
        if a_day is not None and sum(_day(when_s) == today for when_s in called_s) >= a_day:
            raise SendRejected(VendorError.FREQUENCY, f"{a_day} a day")
        night = _night(now_s)
        nights = [_night(when_s) for when_s in called_s]
        if limits.per_night is not None and night is not None and nights.count(night) >= limits.per_night:
            raise SendRejected(VendorError.FREQUENCY, f"{limits.per_night} between 22:00 and 08:00")
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
