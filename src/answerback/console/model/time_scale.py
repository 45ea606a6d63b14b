"""The time axis of a call's timeline: to scale, with long empty gaps cut out; pure.

Positions are percents of the width, so that the drawing fits every screen and its text keeps its size.
"""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

LEFT, RIGHT = 1.5, 98.5

_MIN_CUT_GAP_S = 60.0
_CUT_GAP_RATIO = 2.0  # a gap so many times as long as all shorter ones together would leave them no room
_CUT_WIDTH = 5.0
_MAX_CUTS_WIDTH = 40.0
_MIN_WEIGHT_S = 1.0
_MIN_DISTANCE = 1.8
_MIN_TICK_DISTANCE = 17.0


class Cut(NamedTuple):
    """A stretch of `seconds` in which nothing happened, left out between two positions."""

    left: float
    right: float
    seconds: float

    @property
    def middle(self) -> float:
        """Where to say so."""
        return (self.left + self.right) / 2


class TimeTick(NamedTuple):
    """A time to be written below the strip."""

    position: float
    at: datetime


class _TimeSegment(NamedTuple):
    since: datetime
    until: datetime
    left: float
    right: float


class TimeScale:
    """Time -> position, rising. `busy` is a span in which nothing is cut: the call itself."""

    def __init__(self, times: Sequence[datetime], busy: tuple[datetime, datetime] | None = None) -> None:
        spans = _group_times(sorted(set(times)), busy)
        self._segments = _lay_out(spans)

    def position(self, at: datetime) -> float:
        """Where `at` stands; before the first and after the last event: at the ends."""
        for stretch in self._segments:
            if at <= stretch.until:
                length_s = (stretch.until - stretch.since).total_seconds()
                share = max(0.0, (at - stretch.since).total_seconds()) / length_s if length_s else 0.5
                return stretch.left + share * (stretch.right - stretch.left)
        return self._segments[-1].right

    @property
    def cuts(self) -> list[Cut]:
        """What was left out."""
        return [
            Cut(before.right, after.left, (after.since - before.until).total_seconds())
            for before, after in pairwise(self._segments)
        ]

    @property
    def ticks(self) -> list[TimeTick]:
        """The times to write: where stretches begin, and the end, as far as there is room."""
        first, last = self._segments[0], self._segments[-1]
        ticks = [TimeTick(self.position(first.since), first.since)]
        end = TimeTick(self.position(last.until), last.until)
        for stretch in self._segments[1:]:
            position = self.position(stretch.since)
            if position - ticks[-1].position >= _MIN_TICK_DISTANCE and end.position - position >= _MIN_TICK_DISTANCE:
                ticks.append(TimeTick(position, stretch.since))
        return ticks if end.position - ticks[-1].position < _MIN_TICK_DISTANCE else [*ticks, end]


def spread_apart(positions: Sequence[float]) -> list[float]:
    """Rising positions moved apart as little as lets each be seen, in the same order, between the ends."""
    apart = min(_MIN_DISTANCE, (RIGHT - LEFT) / max(1, len(positions) - 1))
    moved: list[float] = []
    for position in positions:
        moved.append(max(position, moved[-1] + apart) if moved else max(position, LEFT))
    limit = RIGHT
    for index in range(len(moved) - 1, -1, -1):
        moved[index] = min(moved[index], limit)
        limit = moved[index] - apart
    return moved


def _group_times(times: Sequence[datetime], busy: tuple[datetime, datetime] | None) -> list[tuple[datetime, datetime]]:
    """The times in groups, parted by gaps that are long in comparison with what is between the others."""
    longest_s = _max_shown_gap_s(times, busy)
    spans = [(times[0], times[0])]
    for before, after in pairwise(times):
        if _gap_s(before, after, busy) > longest_s:
            spans.append((after, after))
        else:
            spans[-1] = (spans[-1][0], after)
    return spans


def _max_shown_gap_s(times: Sequence[datetime], busy: tuple[datetime, datetime] | None) -> float:
    total_s = 0.0 if busy is None else (busy[1] - busy[0]).total_seconds()
    longest_s = _MIN_CUT_GAP_S
    for gap_s in sorted(_gap_s(before, after, busy) for before, after in pairwise(times)):
        if gap_s > max(_MIN_CUT_GAP_S, _CUT_GAP_RATIO * total_s):
            break
        total_s += gap_s
        longest_s = max(longest_s, gap_s)
    return longest_s


def _gap_s(before: datetime, after: datetime, busy: tuple[datetime, datetime] | None) -> float:
    """How long nothing happened; in the busy span something always does."""
    if busy is not None and before < busy[1] and after > busy[0]:
        return 0.0
    return (after - before).total_seconds()


def _lay_out(spans: Sequence[tuple[datetime, datetime]]) -> list[_TimeSegment]:
    """Give each span its share of the width: longer ones more, and none so much that the others vanish."""
    cuts = len(spans) - 1
    cut = min(_CUT_WIDTH, _MAX_CUTS_WIDTH / cuts) if cuts else 0.0
    weights = [(_MIN_WEIGHT_S + (until - since).total_seconds()) ** 0.5 for since, until in spans]
    room = (RIGHT - LEFT - cuts * cut) / sum(weights)
    stretches, left = [], LEFT
    for (since, until), weight in zip(spans, weights, strict=True):
        stretches.append(_TimeSegment(since, until, left, left + weight * room))
        left += weight * room + cut
    return stretches
