"""How often the emulator lets a number be called."""

import time
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from answerback.domain.models import CallbackKind
from answerback.emulator.limits import NO_LIMITS, FrequencyLimiter, Limits, RateLimit, RequestLimiter
from answerback.emulator.vendor_errors import SendRejected, VendorError

CHINA = timezone(timedelta(hours=8))
NUMBER = "+8613788888888"
MINUTE_S, HOUR_S = 60, 3600
DAYS = Limits(per_period=(), per_night=None)
NIGHTS = Limits(per_period=(), per_day=None, notifications_per_day=None)


def at(hour: int, minute: int = 0, day: int = 1) -> float:
    """A moment of May 2026 by the clock of China."""
    return datetime(2026, 5, day, hour, minute, tzinfo=CHINA).timestamp()


def may(
    frequency: FrequencyLimiter,
    now_s: float,
    kind: CallbackKind = CallbackKind.CODE,
    number: str = NUMBER,
    app_id: str = "1",
) -> bool:
    """Whether a call is let through; if so it counts."""
    try:
        frequency.record_call(app_id, number, kind, now_s)
    except SendRejected as refusal:
        refused = refusal.error
    else:
        return True
    assert refused is VendorError.FREQUENCY
    return False


def test_once_in_30_seconds() -> None:
    """The second call has to wait for half a minute."""
    frequency, noon_s = FrequencyLimiter(Limits()), at(12)
    assert may(frequency, noon_s)
    assert not may(frequency, noon_s + 29.9)
    assert may(frequency, noon_s + 30)


def test_twice_in_10_minutes() -> None:
    """The third call has to wait until the first is ten minutes ago."""
    frequency, noon_s = FrequencyLimiter(Limits()), at(12)
    assert may(frequency, noon_s)
    assert may(frequency, noon_s + MINUTE_S)
    assert not may(frequency, noon_s + 10 * MINUTE_S - 1)
    assert may(frequency, noon_s + 10 * MINUTE_S)


@pytest.mark.parametrize(("kind", "calls"), [(CallbackKind.CODE, 3), (CallbackKind.PROMPT, 5)])
def test_so_many_a_day(kind: CallbackKind, calls: int) -> None:
    """Three codes a day, or five notifications; midnight in China begins another."""
    frequency = FrequencyLimiter(DAYS)
    made = [may(frequency, at(9) + number * HOUR_S, kind) for number in range(calls + 1)]
    assert made == [True] * calls + [False]
    assert not may(frequency, at(23, 59), kind)
    assert may(frequency, at(0, day=2), kind)


def test_notifications_count_for_codes_too() -> None:
    """After three notifications a code is one call too many; another notification is not."""
    frequency = FrequencyLimiter(DAYS)
    assert [may(frequency, at(9) + number, CallbackKind.PROMPT) for number in range(3)] == [True] * 3
    assert not may(frequency, at(10), CallbackKind.CODE)
    assert may(frequency, at(10), CallbackKind.PROMPT)


def test_once_a_night() -> None:
    """Between 22:00 and 08:00 one call, also over midnight; by day there is no such limit."""
    frequency = FrequencyLimiter(NIGHTS)
    assert may(frequency, at(21, 59))
    assert may(frequency, at(22, 0))
    assert not may(frequency, at(23, 30))
    assert not may(frequency, at(7, 59, day=2))
    assert may(frequency, at(8, 0, day=2))
    assert may(frequency, at(8, 0, day=2))
    assert may(frequency, at(22, 0, day=2))


def test_a_refused_call_does_not_count() -> None:
    """Whoever tries too often is not kept waiting for it."""
    frequency, noon_s = FrequencyLimiter(Limits()), at(12)
    assert may(frequency, noon_s)
    assert not any(may(frequency, noon_s + second) for second in range(1, 30))
    assert may(frequency, noon_s + 30)


@pytest.mark.parametrize("other", [{"number": "+8613788888889"}, {"app_id": "2"}])
def test_each_number_of_each_application_counts_alone(other: dict[str, str]) -> None:
    """Others can be called meanwhile."""
    frequency, noon_s = FrequencyLimiter(Limits()), at(12)
    assert may(frequency, noon_s)
    assert not may(frequency, noon_s + 1)
    assert may(frequency, noon_s + 1, **other)  # type: ignore[arg-type]


def test_the_refusal_says_which_limit() -> None:
    """A developer reads what is too often."""
    frequency = FrequencyLimiter(Limits(per_period=(RateLimit(2, 90),)))
    frequency.record_call("1", NUMBER, CallbackKind.CODE, at(12))
    frequency.record_call("1", NUMBER, CallbackKind.CODE, at(12))
    with pytest.raises(SendRejected, match="2 in 90 s"):
        frequency.record_call("1", NUMBER, CallbackKind.CODE, at(12))


def test_no_limits_limit_nothing() -> None:
    """Without limits anybody is called at any time, and the ten thousandth call takes no longer than the first."""
    frequency, began_s = FrequencyLimiter(NO_LIMITS), time.process_time()
    assert all(may(frequency, at(23)) for _ in range(10_000))
    assert time.process_time() - began_s < 10


def test_a_period_may_be_longer_than_days() -> None:
    """Calls are remembered as long as a limit needs it."""
    frequency, noon_s = FrequencyLimiter(Limits(per_period=(RateLimit(1, 7 * 86_400),))), at(12)
    assert may(frequency, noon_s)
    assert not may(frequency, noon_s + 7 * 86_400 - 1)
    assert may(frequency, noon_s + 7 * 86_400)


@given(
    st.lists(
        st.tuples(st.floats(0, 3 * 86_400), st.sampled_from([CallbackKind.CODE, CallbackKind.PROMPT])), max_size=60
    )
)
def test_no_window_ever_holds_more_calls_than_are_allowed(calls: list[tuple[float, CallbackKind]]) -> None:
    """Whoever calls whenever: the calls that were let through keep every rule."""
    frequency = FrequencyLimiter(Limits())
    made = [(at(3) + s, kind) for s, kind in sorted(calls) if may(frequency, at(3) + s, kind)]
    for now_s, _ in made:
        assert sum(now_s - 30 < s <= now_s for s, _ in made) == 1
        assert sum(now_s - 600 < s <= now_s for s, _ in made) <= 2
    days = [datetime.fromtimestamp(s, CHINA).date() for s, _ in made]
    assert all(days.count(day) <= 5 for day in days)
    nights = [
        (moment - timedelta(hours=8)).date()
        for moment in (datetime.fromtimestamp(s, CHINA) for s, _ in made)
        if moment.hour >= 22 or moment.hour < 8
    ]
    assert len(set(nights)) == len(nights)


@pytest.mark.parametrize(("limits", "admitted"), [(Limits(), 20), (Limits(requests_per_second=3), 3), (NO_LIMITS, 50)])
def test_so_many_requests_for_an_action_in_a_second(limits: Limits, admitted: int) -> None:
    """Twenty, unless it is set; another action, and the next second, are counted anew."""
    requests = RequestLimiter(limits.requests_per_second)
    for action, now_s in (("SendTtsVoice", 100.0), ("SendCodeVoice", 100.9), ("SendTtsVoice", 101.0)):
        errors = []
        for _ in range(50):
            try:
                requests.record_request(action, now_s)
            except SendRejected as refusal:
                errors.append(refusal.error)
        assert errors == [VendorError.REQUEST_LIMIT] * (50 - admitted)
