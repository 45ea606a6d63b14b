"""The past that demo and benchmarks are filled with: the same for the same seed, plausible, and understood in full."""

import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from answerback.domain.calls import fold
from answerback.domain.models import Call, Outcome, RawCallback
from answerback.domain.phone_locations import locate_number
from answerback.emulator.history import CHINA, PastCallback, past_callbacks
from answerback.tencent.parsing import parse_callback

UNTIL = datetime(2026, 11, 30, tzinfo=CHINA)
FIRST = UNTIL - timedelta(days=28)


def past(seed: int) -> Iterator[PastCallback]:
    """Four weeks, small."""
    return past_callbacks(FIRST, UNTIL, random.Random(seed), size=0.3)


@pytest.fixture(scope="module")
def calls() -> dict[str, Call]:
    """What the callbacks of seed 7 fold into."""
    found: dict[str, Call] = {}
    for one in past(7):
        parsed = parse_callback(RawCallback(one.channel, one.body, one.received_at))
        callid = parsed.callback.callid
        found[callid] = fold(found.get(callid), parsed)
    return found


def test_the_same_seed_is_the_same_past() -> None:
    """To the byte; another seed is another."""
    assert list(past(7)) == list(past(7)) != list(past(8))


def test_it_begins_and_ends_in_time() -> None:
    """A call began between the two; its callbacks come soon after."""
    times = [one.received_at for one in past(7)]
    assert FIRST < min(times) < FIRST + timedelta(hours=12)
    assert UNTIL - timedelta(hours=4) < max(times) < UNTIL + timedelta(minutes=15)


def test_people_sleep_and_rest(calls: dict[str, Call]) -> None:
    """Most calls by day and on weekdays, most answered in the morning, every outcome, several carriers and many regions."""
    local = [(call, call.first_seen_at.astimezone(CHINA)) for call in calls.values()]
    by_night = sum(when.hour < 6 for _, when in local)
    by_weekend = sum(when.isoweekday() > 5 for _, when in local)
    assert by_night < len(local) / 20
    assert len(local) / 20 < by_weekend < len(local) / 4

    def answer_rate(hours: range) -> float:
        known = [call.outcome for call, when in local if when.hour in hours and call.outcome is not Outcome.PENDING]
        return known.count(Outcome.ANSWERED) / len(known)

    assert answer_rate(range(9, 12)) > answer_rate(range(12, 14)) > answer_rate(range(22, 24))
    assert set(Counter(call.outcome for call in calls.values())) == set(Outcome)
    places = [locate_number("86", call.mobile or "") for call in calls.values()]
    assert len({place.carrier for place in places}) >= 4
    assert len({place.region for place in places}) >= 25


def test_each_is_received_in_utc() -> None:
    """As a gateway would have written it down."""
    assert {one.received_at.tzinfo for one in past(7)} == {UTC}
