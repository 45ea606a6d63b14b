"""Where the parts of a chart stand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from answerback.console.model.charts import color_level, label_interval, round_axis, split_whole, stack_bars


@given(st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 10**7)), min_size=1, max_size=366))
def test_bars_stay_in_their_room(values: list[tuple[int, int]]) -> None:
    """Every piece stands on the one below, from the ground up, and no bar leaves its place or grows over the top."""
    chart = stack_bars([(n, {"answered": a, "failed": b}) for n, (a, b) in enumerate(values)])
    for bar in chart.bars:
        floor = chart.height
        for piece in bar.segments:
            assert piece.y + piece.height == pytest.approx(floor)
            assert piece.height > 0
            floor = piece.y
        assert floor >= -4.001  # the least height of a piece may add up to this
        assert 0 <= bar.left <= bar.x
        assert bar.x + bar.width <= bar.left + bar.slot_width <= 100.0001


@given(st.integers(0, 10**9))
def test_the_scale_is_round_and_no_higher_than_it_has_to_be(most: int) -> None:
    """The highest bar reaches more than half of it, and its lines stand at whole numbers."""
    top, lines = round_axis(most)
    assert most <= top <= max(3, 2 * most)
    assert (top / lines).is_integer()


def test_a_single_call_is_seen_among_a_million() -> None:
    """However small its share, a piece keeps a height that one sees."""
    chart = stack_bars([("a", {"answered": 1_000_000}), ("b", {"answered": 1})])
    assert chart.bars[1].segments[0].height >= 2


def test_nothing_is_an_empty_chart() -> None:
    """Without values, or without calls, there are lines but no pieces."""
    assert stack_bars([]).bars == []
    assert stack_bars([("a", {"answered": 0})]).bars[0].segments == []


@given(st.lists(st.integers(0, 10**9), max_size=9))
def test_shares_fill_the_whole(values: list[int]) -> None:
    """Side by side they reach from end to end, and what is nothing is not drawn."""
    parts = split_whole(list(enumerate(values)))
    assert [part.of for part in parts] == [n for n, value in enumerate(values) if value]
    if parts:
        assert sum(part.width for part in parts) == pytest.approx(100)
        assert sum(part.share for part in parts) == pytest.approx(1)
        assert parts[0].x == pytest.approx(0)


@pytest.mark.parametrize("count", [1, 7, 24, 30, 48, 92, 366])
def test_labels_leave_each_other_room(count: int) -> None:
    """However many bars there are, few are labelled."""
    assert len(range(0, count, label_interval(count))) <= 7


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_a_level_is_one_of_the_colours(value: float, one: float, other: float) -> None:
    """Rates from the lowest to the highest fall into the classes in their order; also where all are the same."""
    lowest, highest = sorted((one, other))
    assert 0 <= color_level(min(max(value, lowest), highest), lowest, highest, 6) <= 5
    assert color_level(highest, lowest, highest, 6) == 5
