"""Where the moments of a call stand on a strip of time: to scale, with what is long and empty cut out; pure.

Places are percents of the strip's width, so that the drawing fits every screen and its words keep their size.
"""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

LEFT, RIGHT = 1.5, 98.5

_ALWAYS_SHOWN_S = 60.0
_LONG = 2.0  # a gap so many times as long as all shorter ones together would leave them no room
_CUT = 5.0
_CUTS = 40.0
_LEAST_WEIGHT_S = 1.0
_APART = 1.8
_TICKS_APART = 17.0


class Cut(NamedTuple):
    """A stretch of `seconds` in which nothing happened, left out between two places."""

    left: float
    right: float
    seconds: float

    @property
    def middle(self) -> float:
        """Where to say so."""
        return (self.left + self.right) / 2


class Tick(NamedTuple):
    """A time to be written below the strip."""

    place: float
    at: datetime


class _Stretch(NamedTuple):
    since: datetime
    until: datetime
    left: float
    right: float


class Scale:
    """Time -> place, rising. `busy` is a span in which nothing is cut: the call itself."""

    def __init__(self, times: Sequence[datetime], busy: tuple[datetime, datetime] | None = None) -> None:
        spans = _spans(sorted(set(times)), busy)
        self._stretches = _lay_out(spans)

    def place(self, at: datetime) -> float:
        """Where `at` stands; before the first and after the last moment: at the ends."""
        for stretch in self._stretches:
            if at <= stretch.until:
                length_s = (stretch.until - stretch.since).total_seconds()
                share = max(0.0, (at - stretch.since).total_seconds()) / length_s if length_s else 0.5
                return stretch.left + share * (stretch.right - stretch.left)
        return self._stretches[-1].right

    @property
    def cuts(self) -> list[Cut]:
        """What was left out."""
        return [
            Cut(before.right, after.left, (after.since - before.until).total_seconds())
            for before, after in pairwise(self._stretches)
        ]

    @property
    def ticks(self) -> list[Tick]:
        """The times to write: where stretches begin, and the end, as far as there is room."""
        first, last = self._stretches[0], self._stretches[-1]
        ticks = [Tick(self.place(first.since), first.since)]
        end = Tick(self.place(last.until), last.until)
        for stretch in self._stretches[1:]:
            place = self.place(stretch.since)
            if place - ticks[-1].place >= _TICKS_APART and end.place - place >= _TICKS_APART:
                ticks.append(Tick(place, stretch.since))
        return ticks if end.place - ticks[-1].place < _TICKS_APART else [*ticks, end]


def spread(places: Sequence[float]) -> list[float]:
    """Rising places moved apart as little as lets each be seen, in the same order, between the ends."""
    apart = min(_APART, (RIGHT - LEFT) / max(1, len(places) - 1))
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + apart) if moved else max(place, LEFT))
    limit = RIGHT
    for index in range(len(moved) - 1, -1, -1):
        moved[index] = min(moved[index], limit)
        limit = moved[index] - apart
    return moved


def _spans(times: Sequence[datetime], busy: tuple[datetime, datetime] | None) -> list[tuple[datetime, datetime]]:
    """The times in groups, parted by gaps that are long in comparison with what is between the others."""
    longest_s = _longest_shown_s(times, busy)
    spans = [(times[0], times[0])]
    for before, after in pairwise(times):
        if _gap_s(before, after, busy) > longest_s:
            spans.append((after, after))
        else:
            spans[-1] = (spans[-1][0], after)
    return spans


def _longest_shown_s(times: Sequence[datetime], busy: tuple[datetime, datetime] | None) -> float:
    total_s = 0.0 if busy is None else (busy[1] - busy[0]).total_seconds()
    longest_s = _ALWAYS_SHOWN_S
    for gap_s in sorted(_gap_s(before, after, busy) for before, after in pairwise(times)):
        if gap_s > max(_ALWAYS_SHOWN_S, _LONG * total_s):
            break
        total_s += gap_s
        longest_s = max(longest_s, gap_s)
    return longest_s


def _gap_s(before: datetime, after: datetime, busy: tuple[datetime, datetime] | None) -> float:
    """How long nothing happened; in the busy span something always does."""
    if busy is not None and before < busy[1] and after > busy[0]:
        return 0.0
    return (after - before).total_seconds()


def _lay_out(spans: Sequence[tuple[datetime, datetime]]) -> list[_Stretch]:
    """Give each span its share of the width: longer ones more, and none so much that the others vanish."""
    cuts = len(spans) - 1
    cut = min(_CUT, _CUTS / cuts) if cuts else 0.0
    weights = [(_LEAST_WEIGHT_S + (until - since).total_seconds()) ** 0.5 for since, until in spans]
    room = (RIGHT - LEFT - cuts * cut) / sum(weights)
    stretches, left = [], LEFT
    for (since, until), weight in zip(spans, weights, strict=True):
        stretches.append(_Stretch(since, until, left, left + weight * room))
        left += weight * room + cut
    return stretches
