"""A past that never was: when calls were made, and what the cloud sent about each; the same for the same seed. Pure.

Days and nights, weekdays and weekends, carriers, reasons and the hours at which people pick up are those of a company in
China that sends notifications, alerts to acknowledge by a key, and verification codes.
"""

import math
import random
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from itertools import accumulate
from typing import NamedTuple

import msgspec

from answerback.domain.failure_reasons import FAILURE_REASONS
from answerback.domain.models import CallbackKind, Result
from answerback.tencent.wire import KEY_BY_KIND

CHINA = timezone(timedelta(hours=8))
CHANNELS = ("default", "alerts", "codes")
"""What notifications, alerts and verification codes come in by."""

_CALLS_BY_HOUR = (2, 1, 1, 1, 1, 2, 5, 14, 34, 58, 64, 52, 30, 38, 54, 60, 58, 50, 40, 36, 28, 18, 9, 4)
"""How many calls an ordinary hour of a weekday has."""
_ANSWERED_BY_HOUR = (
    *(0.34, 0.30, 0.28, 0.28, 0.30, 0.38, 0.52, 0.64, 0.74, 0.80, 0.82, 0.76),
    *(0.60, 0.66, 0.77, 0.80, 0.79, 0.74, 0.66, 0.70, 0.73, 0.68, 0.55, 0.42),
)
"""Which share of them is picked up."""
_WEEKEND_CALLS, _WEEKEND_ANSWERED = 0.45, 0.9
_GROWTH = 0.25  # over the whole time
_CHANNEL_SHARES = (0.5, 0.2, 0.3)
_MOBILE_PREFIXES = (
    *("134", "138", "139", "150", "152", "158", "159", "187", "188"),  # China Mobile
    *("130", "132", "155", "156", "176", "186"),  # China Unicom
    *("133", "153", "177", "180", "189", "199"),  # China Telecom
    "192",  # China Broadnet
)
_PREFIX_WEIGHTS = tuple(accumulate([6.0] * 9 + [4.0] * 6 + [3.5] * 6 + [1.0]))
_NOT_PICKED_UP: Mapping[int, float] = {5: 40, 20: 14, 10: 12, 2: 10, 16: 5, 29: 3}
_FAILED: Mapping[int, float] = {1: 26, 8: 20, 6: 12, 3: 8, 7: 8, 12: 6, 9: 5, 13: 4, 18: 4, 24: 3, 11: 3, 4: 2, 15: 2}
_FAILED_SHARE = 0.35  # of the calls that were not answered; the others just rang
_PRESSED_SHARE, _SILENT_SHARE, _WRONG_FEE_SHARE = 0.8, 0.01, 0.002

_encode = msgspec.json.encode


class PastCallback(NamedTuple):
    """A callback, when it came, and by which channel."""

    channel: str
    received_at: datetime
    body: bytes


def past_callbacks(
    first: datetime, until: datetime, chance: random.Random, *, size: float = 1.0
) -> Iterator[PastCallback]:
    """The callbacks of all calls between the two, in the order of the calls; `size` is that of the company."""
    for started_at in _start_times(first, until, chance, size):
        (channel,) = chance.choices(CHANNELS, _CHANNEL_SHARES)
        yield from call_callbacks(f"{chance.getrandbits(128):032x}", started_at, channel, chance)


def _start_times(first: datetime, until: datetime, chance: random.Random, size: float) -> Iterator[datetime]:
    """When calls were made: more and more, fewer at weekends, next to none at night."""
    hour = first.replace(minute=0, second=0, microsecond=0)
    while hour < until:
        growth = 1 - _GROWTH * (until - hour) / (until - first)
        local = hour.astimezone(CHINA)
        usual = size * growth * _CALLS_BY_HOUR[local.hour] * (_WEEKEND_CALLS if _is_weekend(local) else 1)
        count = math.floor(usual * chance.uniform(0.8, 1.2) + chance.random())
        moments = sorted(hour + timedelta(seconds=chance.uniform(0, 3600)) for _ in range(count))
        yield from (moment for moment in moments if first <= moment < until)
        hour += timedelta(hours=1)


def call_callbacks(callid: str, started_at: datetime, channel: str, chance: random.Random) -> list[PastCallback]:
    """What the cloud sent about one call, in order; the last one says what became of it, but of few calls nothing does."""
    base = {"call_from": "", "callid": callid, "mobile": random_mobile(chance), "nationcode": "86"}
    kind = CallbackKind.CODE if channel == "codes" else CallbackKind.PROMPT
    local, started_s = started_at.astimezone(CHINA), int(started_at.timestamp())
    ring_s = min(45, 3 + int(chance.gammavariate(3, 3)))
    answered_share = _ANSWERED_BY_HOUR[local.hour] * (_WEEKEND_ANSWERED if _is_weekend(local) else 1)

    def past(kind: CallbackKind, after_s: float, **fields: object) -> PastCallback:
        body = _encode({KEY_BY_KIND[kind]: base | fields})
        return PastCallback(channel, datetime.fromtimestamp(started_s + after_s, UTC), body)

    def status(result: Result, ended_s: int, fee: int = 0, accepted_s: int = 0) -> PastCallback:
        return past(
            kind,
            ended_s - started_s + chance.uniform(0.4, 2),
            result=str(result.value),
            accept_time=str(accepted_s),
            end_calltime=str(ended_s),
            fee=str(fee),
            start_calltime=str(started_s),
        )

    def failure(codes: Mapping[int, float]) -> PastCallback:
        (code,) = chance.choices(list(codes), list(codes.values()))
        return past(CallbackKind.FAILURE, ring_s + 2.5, failure_code=code, failure_reason=FAILURE_REASONS[code].zh)

    if chance.random() < answered_share:
        talk_s = 3 + min(600, int(chance.expovariate(1 / (9 if channel == "codes" else 24))))
        accepted_s, ended_s = started_s + ring_s, started_s + ring_s + talk_s
        has_key = channel == "alerts" and chance.random() < _PRESSED_SHARE
        pressed = [past(CallbackKind.KEY, ring_s + min(8, talk_s), keypress=chance.choice("1112"))] if has_key else []
        if pressed and chance.random() < _SILENT_SHARE:
            return pressed
        fee = math.ceil(talk_s / 60) + (chance.random() < _WRONG_FEE_SHARE)
        return [*pressed, status(Result.ANSWERED, ended_s, fee, accepted_s)]
    if chance.random() < _FAILED_SHARE:
        return [failure(_FAILED)]
    return [failure(_NOT_PICKED_UP), status(Result.UNANSWERED, started_s + ring_s)]


def random_mobile(chance: random.Random) -> str:
    """A number that may be somebody's, whose last digits mean nothing to the emulator."""
    (prefix,) = chance.choices(_MOBILE_PREFIXES, cum_weights=_PREFIX_WEIGHTS)
    return f"{prefix}{chance.randrange(10**5):05}{chance.randrange(200, 1000)}"


def _is_weekend(local: datetime) -> bool:
    return local.isoweekday() in (6, 7)
