import math
import time
import uuid

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from answerback.emulator.callback_sender import Refusal
from answerback.emulator.latency_histogram import HdrHistogram
from answerback.emulator.load import CallidSequence, LoadGenerator, LoadPlan, LoadStats
from answerback.errors import ConfigError

SECOND = 1_000_000
PLAN = LoadPlan(rate=500, duration_s=0.2, connections=20, timeout_s=5, seed=7)


# The histogram.


@given(
    st.lists(st.one_of(st.integers(0, 5000), st.integers(0, 10**5 * SECOND)), min_size=1, max_size=300),
    st.one_of(st.sampled_from([50, 90, 99, 99.9, 100]), st.floats(0.01, 100)),
)
def test_a_percentile_is_that_of_the_sorted_latencies(latencies_us: list[int], percent: float) -> None:
    """It is never below the true one, and above it by less than one in a thousand."""
    latencies = HdrHistogram()
    for latency_us in latencies_us:
        latencies.record(latency_us / SECOND)
    true_us = sorted(latencies_us)[max(1, math.ceil(len(latencies_us) * percent / 100)) - 1]
    reported_us = round(latencies.percentile(percent) * SECOND)
    assert true_us <= reported_us <= true_us + true_us // 1024
    assert latencies.total == len(latencies_us)


@given(st.lists(st.integers(0, 10**5 * SECOND), min_size=1))
def test_the_largest_latency_is_exact(latencies_us: list[int]) -> None:
    """100 % do not exceed the largest one itself, however large."""
    latencies = HdrHistogram()
    for latency_us in latencies_us:
        latencies.record(latency_us / SECOND)
    assert round(latencies.percentile(100) * SECOND) == max(latencies_us)


def test_no_latencies_have_no_percentiles() -> None:
    """Without any answer no latency is reported that could be taken for a fast one's: the total says so."""
    latencies = HdrHistogram()
    assert (latencies.total, latencies.percentile(99)) == (0, 0.0)


# What is sent.


def test_callids_are_new_time_ordered_uuids() -> None:
    """They are UUIDv1 of this moment, no two of a run or of two runs are the same, and no network card's address shows."""
    one, other = CallidSequence(), CallidSequence()
    ids = [uuid.UUID(one[turn]) for turn in range(5000)]
    assert all((id_.version, id_.variant) == (1, uuid.RFC_4122) for id_ in ids)
    assert [id_.time for id_ in ids] == list(range(ids[0].time, ids[0].time + 5000))
    reported_s = (ids[0].time - 0x01B21DD213814000) / 1e7
    assert time.time() - 10 < reported_s <= time.time()
    assert ids[0].node >> 40 & 1
    assert not {str(id_) for id_ in ids} & {other[turn] for turn in range(5000)}


@pytest.mark.parametrize("url", ["http://", "http:///path", "http://host:99999/", "http://[::1/", "http://host:0/"])
def test_an_invalid_url_is_named(url: str) -> None:
    """A URL that leads nowhere is said to be invalid before anything is sent."""
    with pytest.raises(ConfigError, match="URL"):
        LoadGenerator(url, PLAN)


def test_a_flood_of_words_is_bounded() -> None:
    """A receiver that says something else each time fills no memory, and every answer still counts."""
    tally = LoadStats(msgspec.structs.replace(PLAN, rate=1e6))
    for number in range(5000):
        tally.record_refusal(Refusal(400, 1, f"no {number}"))
        tally.record_refusal(Refusal(400, 1, "no 1"))
    assert tally.refused == 10_000
    assert tally.refusals[Refusal(400, 1, "no 1")] == 5001
    assert len(tally.refusals) <= 1001
