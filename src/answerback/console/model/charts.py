"""Where the parts of a chart stand; pure. Templates draw them as SVG, style sheets colour them.

Across, places are percents, so that a drawing fits any screen and its words keep their size; upwards they are pixels.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

PLOT_HEIGHT = 210.0
_GAP = 0.28  # of a bar's slot_width
_MIN_HEIGHT = 2.0  # a single call is seen, too
_MAX_LABELS = 7
_NICE = (1, 2, 2.5, 5, 10)
_LINES = (3, 4, 5)


class BarSegment(NamedTuple):
    name: str
    y: float
    height: float


class Bar(NamedTuple, Generic[T]):
    """The segments of one thing, from below, across from `x`; `left` and `slot_width` are all the room it has."""

    of: T
    left: float
    slot_width: float
    x: float
    width: float
    segments: Sequence[BarSegment]
    labelled: bool

    @property
    def middle(self) -> float:
        """Where its label stands."""
        return self.left + self.slot_width / 2


class AxisTick(NamedTuple):
    """A line across, and its value."""

    value: float
    y: float


class BarChart(NamedTuple, Generic[T]):
    """A chart of bars that are made of segments."""

    bars: Sequence[Bar[T]]
    ticks: Sequence[AxisTick]
    height: float


class Share(NamedTuple, Generic[T]):
    """A part of a whole, across from `x`; both in percent."""

    of: T
    value: int
    share: float
    x: float
    width: float


def stack_bars(values: Sequence[tuple[T, Mapping[str, int]]]) -> BarChart[T]:
    """BarChart of segments on each other, in the order of their names in each mapping."""
    top, lines = round_axis(max((sum(segments.values()) for _, segments in values), default=0))
    slot_width = 100 / max(1, len(values))
    every = label_interval(len(values))
    bars = [
        Bar(
            of,
            n * slot_width,
            slot_width,
            (n + _GAP / 2) * slot_width,
            (1 - _GAP) * slot_width,
            _stack_segments(segments, top),
            n % every == 0,
        )
        for n, (of, segments) in enumerate(values)
    ]
    ticks = [AxisTick(top * n / lines, PLOT_HEIGHT * (1 - n / lines)) for n in range(lines + 1)]
    return BarChart(bars, ticks, PLOT_HEIGHT)


def split_whole(values: Sequence[tuple[T, int]]) -> list[Share[T]]:
    """The parts of a bar that is the whole, side by side; what is nothing is left out."""
    whole = sum(value for _, value in values)
    starts = accumulate((value for _, value in values), initial=0)
    return [
        Share(of, value, value / whole, 100 * start / whole, 100 * value / whole)
        for (of, value), start in zip(values, starts, strict=False)
        if value
    ]


def round_axis(most: int) -> tuple[float, int]:
    """The lowest round number that is not below `most`, and how many lines divide it into whole round steps."""
    tops = []
    for lines in _LINES:
        step = max(1.0, most / lines)
        power = 10.0 ** (len(str(int(step))) - 1)
        tops.append((lines * next(n * power for n in _NICE if n * power >= step and (n * power).is_integer()), lines))
    return min(tops)


def label_interval(count: int) -> int:
    """Which bars have a label: every so many-th."""
    return next(step for step in (1, 2, 3, 4, 6, 8, 12, 14, 28, 61, 122) if count <= step * _MAX_LABELS)


def color_level(value: float, lowest: float, highest: float, levels: int) -> int:
    """Which of `levels` classes of colour a value between two others falls into, from 0."""
    if highest <= lowest:
        return levels - 1
    return min(levels - 1, int((value - lowest) / (highest - lowest) * levels))


def _stack_segments(segments: Mapping[str, int], top: float) -> list[BarSegment]:
    pile, floor = [], PLOT_HEIGHT
    for name, value in segments.items():
        if value:
            tall = max(_MIN_HEIGHT, value / top * PLOT_HEIGHT)
            floor -= tall
            pile.append(BarSegment(name, floor, tall))
    return pile
