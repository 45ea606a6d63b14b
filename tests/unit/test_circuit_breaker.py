import pytest
from hypothesis import given
from hypothesis import strategies as st

from answerback.relay.circuit_breaker import CircuitBreaker

PAUSES_S = (5, 15, 30, 60)
LIMIT = 10

limits = st.integers(1, 20)
steps = st.lists(st.tuples(st.booleans(), st.floats(0, 200)), max_size=60)
"""What attempts came to, and how long after the one before."""


def opened(limit: int = LIMIT, at_s: float = 1000.0) -> CircuitBreaker:
    """A breaker that has opened at that time."""
    breaker = CircuitBreaker(limit, PAUSES_S)
    for _ in range(limit):
        breaker.record_failure(at_s)
    return breaker


def pause_s(breaker: CircuitBreaker, now_s: float) -> float:
    """How long it is still open."""
    assert breaker.open_until_s is not None
    return breaker.open_until_s - now_s


def test_a_new_breaker_is_closed() -> None:
    """Nothing has failed, everything may go out."""
    breaker = CircuitBreaker(LIMIT, PAUSES_S)
    assert (breaker.is_open, breaker.failures, breaker.open_until_s) == (False, 0, None)


def test_the_limit_opens_it() -> None:
    """With the tenth failure in a row, for the first pause; that one failure tells so."""
    breaker = CircuitBreaker(LIMIT, PAUSES_S)
    assert [breaker.record_failure(1000.0) for _ in range(LIMIT)] == [False] * (LIMIT - 1) + [True]
    assert breaker.is_open
    assert pause_s(breaker, 1000.0) == pytest.approx(5, rel=0.1)


@given(limits, st.data())
def test_it_never_opens_before_the_limit(limit: int, data: st.DataObject) -> None:
    """With fewer failures in a row than the limit it stays closed, however many there are in all."""
    breaker, now_s = CircuitBreaker(limit, PAUSES_S), 0.0
    for _ in range(data.draw(st.integers(1, 5))):
        for _ in range(data.draw(st.integers(0, limit - 1))):
            now_s += data.draw(st.floats(0, 100))
            assert not breaker.record_failure(now_s)
            assert not breaker.is_open
        assert not breaker.record_success()
        assert breaker.failures == 0


@given(limits, steps)
def test_a_success_always_closes_it(limit: int, history: list[tuple[bool, float]]) -> None:
    """Whatever happened before; and it tells whether it was open."""
    breaker, now_s = CircuitBreaker(limit, PAUSES_S), 0.0
    for succeeded, later_s in history:
        now_s += later_s
        if succeeded:
            breaker.record_success()
        else:
            breaker.record_failure(now_s)
    was_open = breaker.is_open
    assert breaker.record_success() == was_open
    assert (breaker.is_open, breaker.failures, breaker.open_until_s) == (False, 0, None)


@given(limits, steps)
def test_it_is_open_exactly_after_so_many_failures_in_a_row(limit: int, history: list[tuple[bool, float]]) -> None:
    """The failures since the last success decide, and each one that finds or leaves it open tells so."""
    breaker, now_s, in_a_row = CircuitBreaker(limit, PAUSES_S), 0.0, 0
    for succeeded, later_s in history:
        now_s += later_s
        if succeeded:
            breaker.record_success()
            in_a_row = 0
        else:
            in_a_row += 1
            assert breaker.record_failure(now_s) == (in_a_row >= limit)
        assert breaker.failures == in_a_row
        assert breaker.is_open == (in_a_row >= limit)


def test_after_a_success_it_counts_from_the_beginning() -> None:
    """Closed again it takes as many failures as before, and the first pause is the short one."""
    breaker = opened()
    breaker.record_failure(breaker.open_until_s or 0.0)
    breaker.record_success()
    assert [breaker.record_failure(9000.0) for _ in range(LIMIT)] == [False] * (LIMIT - 1) + [True]
    assert pause_s(breaker, 9000.0) == pytest.approx(5, rel=0.1)


def test_each_probe_that_fails_is_followed_by_the_next_pause() -> None:
    """5, 15, 30, 60 and then 60 again and again."""
    breaker = opened()
    for expected_s in (15, 30, 60, 60, 60):
        now_s = (breaker.open_until_s or 0.0) + 0.5
        assert breaker.record_failure(now_s)
        assert pause_s(breaker, now_s) == pytest.approx(expected_s, rel=0.1)


@given(st.integers(1, 50), st.floats(0, 0.999))
def test_failures_that_were_under_way_do_not_lengthen_the_pause(late: int, share: float) -> None:
    """Attempts that began before it opened and end while it is open change neither this pause nor the next."""
    breaker = opened(at_s=1000.0)
    until_s = breaker.open_until_s or 0.0
    for _ in range(late):
        assert breaker.record_failure(1000.0 + (until_s - 1000.0) * share)
    assert breaker.open_until_s == until_s
    assert breaker.failures == LIMIT + late
    breaker.record_failure(until_s)
    assert pause_s(breaker, until_s) == pytest.approx(15, rel=0.1)


def test_it_goes_on_where_it_was_left() -> None:
    """After a restart a paused endpoint stays paused; the first failure is a probe's, a success closes it."""
    breaker = CircuitBreaker(LIMIT, PAUSES_S, failures=12, until_s=1000.0)
    assert breaker.is_open
    assert breaker.record_failure(1001.0)
    assert breaker.failures == 13
    assert pause_s(breaker, 1001.0) > 0
    assert breaker.record_success()
    assert not breaker.is_open


@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=5), st.lists(st.floats(0, 1e6), max_size=30))
def test_the_pause_is_as_long_as_the_schedule_says(pauses_s: list[float], later_s: list[float]) -> None:
    """Never longer than the longest and never shorter than the shortest, but for a tenth of chance."""
    breaker, now_s = CircuitBreaker(1, pauses_s), 0.0
    for step_s in later_s:
        now_s += step_s
        before = breaker.open_until_s
        breaker.record_failure(now_s)
        if breaker.open_until_s != before:
            assert min(pauses_s) * 0.89 <= pause_s(breaker, now_s) <= max(pauses_s) * 1.11


def test_chance_spreads_the_probes() -> None:
    """Endpoints that were paused together are not probed together."""
    assert len({opened().open_until_s for _ in range(50)}) > 25
