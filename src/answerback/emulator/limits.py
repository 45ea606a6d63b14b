"""How often a number may be called, and how often API 3.0 may be asked.

Source: the frequency limits of product 1128: once in 30 seconds, twice in 10 minutes, three times a day (notifications five
times), once between 22:00 and 08:00, by the clock of China; and "API Category", product 1128/51569: 20 requests for an
action in a second.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated

import msgspec

from answerback.domain.models import CallbackKind
from answerback.emulator.vendor_errors import SendRejected, VendorError

_CHINA = timezone(timedelta(hours=8))
_NIGHT_BEGINS, _NIGHT_ENDS = 22, 8
_DAY_S = 86_400
_Count = Annotated[int, msgspec.Meta(ge=0)]


class RateLimit(msgspec.Struct, frozen=True, array_like=True):
    """So many calls to a number in so many seconds."""

    calls: _Count
    seconds: float


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rules; an empty one limits nothing, nor do 0 `requests_per_second`."""

    per_period: Sequence[RateLimit] = (RateLimit(1, 30), RateLimit(2, 600))
    per_day: _Count | None = 3
    notifications_per_day: _Count | None = 5
    per_night: _Count | None = 1
    requests_per_second: _Count | None = 20


NO_LIMITS = Limits(per_period=(), per_day=None, notifications_per_day=None, per_night=None, requests_per_second=None)


class FrequencyLimiter:
    """Remembers who was called when."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        per_day = (limits.per_day, limits.notifications_per_day, limits.per_night)
        self._limits_calls = bool(limits.per_period) or any(calls is not None for calls in per_day)
        self._kept_s = max([2 * _DAY_S, *(limit.seconds for limit in limits.per_period)])
        self._called_s: defaultdict[tuple[str, str], list[float]] = defaultdict(list)

    def record_call(self, app_id: str, number: str, kind: CallbackKind, now_s: float) -> None:
        """Count a call to a number. Raises SendRejected where it is one too many."""
        if not self._limits_calls:
            return
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
        called_s[:] = [when_s for when_s in called_s if when_s > now_s - self._kept_s]
        called_s.append(now_s)


class RequestLimiter:
    """Counts the requests for each action of API 3.0 in the current second."""

    def __init__(self, per_second: int | None) -> None:
        self._per_second = per_second
        self._second = 0
        self._requests: Counter[str] = Counter()

    def record_request(self, action: str, now_s: float) -> None:
        """Count a request. Raises SendRejected where it is one too many."""
        if int(now_s) != self._second:
            self._second = int(now_s)
            self._requests.clear()
        self._requests[action] += 1
        if self._per_second and self._requests[action] > self._per_second:
            raise SendRejected(VendorError.REQUEST_LIMIT, f"{self._per_second} a second for {action}")


def _day(when_s: float) -> str:
    return datetime.fromtimestamp(when_s, UTC).astimezone(_CHINA).date().isoformat()


def _night(when_s: float) -> str | None:
    """The evening that a night began on, or None by day."""
    moment = datetime.fromtimestamp(when_s, UTC).astimezone(_CHINA)
    if _NIGHT_ENDS <= moment.hour < _NIGHT_BEGINS:
        return None
    return (moment - timedelta(hours=_NIGHT_ENDS)).date().isoformat()
