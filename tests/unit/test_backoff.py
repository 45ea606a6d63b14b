import pytest
from hypothesis import given
from hypothesis import strategies as st

from answerback.domain.backoff import repeating_delay_s, retry_delay_s

SCHEDULE_S = (5, 30, 120, 600, 1800, 3600, 10_800, 21_600, 43_200)

schedules = st.lists(st.floats(0, 1e6), min_size=1, max_size=12).map(sorted)
jitters = st.floats(0, 1)
places = st.floats(0, 1)


@pytest.mark.parametrize(("failures", "expected_s"), list(enumerate(SCHEDULE_S, start=1)))
def test_each_failure_has_its_pause(failures: int, expected_s: float) -> None:
    """After the first failure the first pause, and so on to the last."""
    assert retry_delay_s(SCHEDULE_S, failures) == expected_s


@given(schedules, st.integers(1, 100))
def test_after_the_last_pause_there_is_none(schedule_s: list[float], beyond: int) -> None:
    """Where the schedule has no more, neither has the delivery."""
    assert retry_delay_s(schedule_s, len(schedule_s), 0.2) is not None
    assert retry_delay_s(schedule_s, len(schedule_s) + beyond, 0.2) is None
    assert retry_delay_s([], beyond) is None


@given(schedules, jitters, places)
def test_pauses_never_get_shorter(schedule_s: list[float], jitter: float, at: float) -> None:
    """Over a rising schedule the pauses rise, at the same place of the jitter."""
    pauses = [retry_delay_s(schedule_s, failures, jitter, at) for failures in range(1, len(schedule_s) + 1)]
    assert pauses == sorted(pause for pause in pauses if pause is not None)


@given(schedules, jitters, st.one_of(st.none(), places), st.data())
def test_the_jitter_bounds_a_pause(
    schedule_s: list[float], jitter: float, at: float | None, data: st.DataObject
) -> None:
    """By chance or not, a pause is at most the share `jitter` shorter or longer than the schedule says."""
    failures = data.draw(st.integers(1, len(schedule_s)))
    pause, said = retry_delay_s(schedule_s, failures, jitter, at), schedule_s[failures - 1]
    assert pause is not None
    assert said * (1 - jitter) == pytest.approx(pause) or pause > said * (1 - jitter)
    assert said * (1 + jitter) == pytest.approx(pause) or pause < said * (1 + jitter)
    assert pause >= 0


@pytest.mark.parametrize(("at", "expected_s"), [(0.0, 80), (0.25, 90), (0.5, 100), (1.0, 120)])
def test_the_jitter_fraction_can_be_given(at: float, expected_s: float) -> None:
    """From the shortest pause at 0 to the longest at 1."""
    assert retry_delay_s([100], 1, 0.2, at) == pytest.approx(expected_s)
    assert repeating_delay_s([100], 0, 0.2, at) == pytest.approx(expected_s)


def test_chance_spreads_the_pauses() -> None:
    """Deliveries that failed together do not come back together."""
    pauses = [retry_delay_s([100], 1, 0.2) for _ in range(200)]
    assert len(set(pauses)) > 100
    assert min(filter(None, pauses)) < 90
    assert max(filter(None, pauses)) > 110


@given(schedules, st.integers(0, 1000), jitters, places)
def test_the_last_probe_pause_comes_again_and_again(
    schedule_s: list[float], probes: int, jitter: float, at: float
) -> None:
    """An endpoint is probed for ever: as the schedule says, and then at the pace of its last."""
    expected = retry_delay_s(schedule_s, min(probes + 1, len(schedule_s)), jitter, at)
    assert repeating_delay_s(schedule_s, probes, jitter, at) == expected
    assert repeating_delay_s(schedule_s, len(schedule_s) + probes, jitter, at) == retry_delay_s(
        schedule_s, len(schedule_s), jitter, at
    )
