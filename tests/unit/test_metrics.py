from bisect import bisect_left

from hypothesis import given
from hypothesis import strategies as st

from answerback.domain.histogram import LATENCY_BOUNDS_S, Histogram
from answerback.intake.metrics import BATCH_BOUNDS, IntakeMetrics


def test_a_value_counts_at_the_first_bound_that_holds_it() -> None:
    """A bound includes itself, what is above all bounds counts at the end."""
    histogram = Histogram((1, 2, 4))
    for value in (0, 1, 1.5, 2, 4, 4.1, 100):
        histogram.observe(value)
    assert histogram.counts == [2, 2, 1, 2]
    assert histogram.total == 0 + 1 + 1.5 + 2 + 4 + 4.1 + 100


@given(st.lists(st.integers(0, 1000)), st.lists(st.integers(0, 1000), unique=True, min_size=1).map(sorted))
def test_every_observation_counts_once(values: list[int], bounds: list[int]) -> None:
    """Counts sum up to the observations, and each is at its place."""
    histogram = Histogram(tuple(bounds))
    for value in values:
        histogram.observe(value)
    assert sum(histogram.counts) == len(values)
    assert histogram.total == sum(values)
    for at, bound in enumerate(bounds):
        assert sum(histogram.counts[: at + 1]) == sum(value <= bound for value in values)
        assert bisect_left(bounds, bound) == at


def test_bounds_rise() -> None:
    """The bounds in use are in rising order."""
    for bounds in (LATENCY_BOUNDS_S, BATCH_BOUNDS):
        assert list(bounds) == sorted(set(bounds))


def test_new_metrics_have_counted_nothing() -> None:
    """Each metrics starts at zero and shares nothing with another."""
    IntakeMetrics().responses["prompt", 0] += 1
    metrics = IntakeMetrics()
    assert (
        sum(metrics.responses.values()),
        metrics.rejections_dropped,
        metrics.commit_failures,
        metrics.request_timeouts,
    ) == (
        0,
        0,
        0,
        0,
    )
    assert (
        sum(metrics.response_latency_s.counts)
        == sum(metrics.commit_latency_s.counts)
        == sum(metrics.batch_sizes.counts)
        == 0
    )
