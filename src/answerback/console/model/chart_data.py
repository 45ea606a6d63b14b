"""What the Overview, Failures and Fees say in numbers: statistics, as tiles, bars and tables; pure."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, TypeVar

from answerback.console.model.charts import Bars, Share, level, shares, stack
from answerback.console.model.ranges import Range
from answerback.domain.models import Kind, Outcome
from answerback.domain.phone_locations import CHINA, UNKNOWN, carrier_words, region_words
from answerback.domain.statistics import Counts, Statistics

K = TypeVar("K")

HEAT_LEVELS = 6

_ENOUGH_CALLS = 10
_SHOWN_ROWS = 6
_OUTCOMES = (Outcome.ANSWERED, Outcome.UNANSWERED, Outcome.FAILED, Outcome.PENDING)


Series = Sequence[tuple[datetime, Counts]]
"""Beginnings and what came then; no mapping: when clocks go back, an hour of the clock comes twice."""


class Cell(NamedTuple):
    """An hour of the week: its calls, and the class of its answer rate; None where there were few calls, or none."""

    hour: int
    counts: Counts
    level: int | None


class Heat(NamedTuple):
    """The answer rate by weekday, from Monday, and hour of the clock; the range that the colours span."""

    days: Sequence[Sequence[Cell]]
    lowest: float
    highest: float


class Row(NamedTuple):
    """A line of a breakdown; `share` is of all calls, `bar` of the longest line."""

    key: str
    name: str
    counts: Counts
    share: float
    bar: float


class Breakdown(NamedTuple):
    """The calls by something: the first lines, and the rest of them."""

    rows: Sequence[Row]
    rest: Sequence[Row]


class Change(NamedTuple):
    """How a number stands to what it was before. `tone` is good, bad or even."""

    amount: float
    tone: str


def times_of(statistics: Statistics, shown: Range) -> Series:
    """The calls by hour where the range is short, else by day; in the zone's time."""
    if shown.hourly:
        return [(hour.astimezone(shown.zone), counts) for hour, counts in statistics.by_hour().items()]
    return list(statistics.by_day(shown.zone).items())


def trend(times: Series) -> Bars[tuple[datetime, Counts]]:
    """The calls over time, by outcome."""
    return stack([((start, counts), _by_outcome(counts)) for start, counts in times])


def misses(times: Series) -> Bars[tuple[datetime, Counts]]:
    """The calls over time that did not reach anybody."""
    return stack(
        [((start, counts), {"unanswered": counts.unanswered, "failed": counts.failed}) for start, counts in times]
    )


def minutes(times: Series) -> Bars[tuple[datetime, Counts]]:
    """The billed minutes over time."""
    return stack([((start, counts), {"minutes": counts.fee_minutes}) for start, counts in times])


def outcome_shares(counts: Counts) -> list[Share[Outcome]]:
    """What became of the calls."""
    return shares([(outcome, getattr(counts, outcome.value)) for outcome in _OUTCOMES])


def heat(statistics: Statistics, shown: Range) -> Heat:
    """The week, as far as there were calls; of few calls a rate says little, and they do not stretch the colours."""
    week = statistics.by_weekday(shown.zone)
    most = max(counts.settled for day in week for counts in day)
    enough = min(_ENOUGH_CALLS, most)
    rates = [counts.answered / counts.settled for day in week for counts in day if counts.settled >= max(1, enough)]
    lowest, highest = min(rates, default=0.0), max(rates, default=0.0)

    def cell(hour: int, counts: Counts) -> Cell:
        rate = counts.answer_rate
        told = rate is not None and counts.settled >= enough
        return Cell(hour, counts, level(rate or 0.0, lowest, highest, HEAT_LEVELS) if told else None)

    return Heat([[cell(hour, counts) for hour, counts in enumerate(day)] for day in week], lowest, highest)


def rate_change(now: Counts, before: Counts) -> Change | None:
    """How many points the answer rate moved; None where one of the two says little."""
    if now.settled < _ENOUGH_CALLS or before.settled < _ENOUGH_CALLS:
        return None
    points = round(100 * (now.answered / now.settled - before.answered / before.settled), 1)
    return Change(points, "good" if points > 0 else "bad" if points < 0 else "even")


def calls_change(now: Counts, before: Counts) -> Change | None:
    """By which share of themselves the calls grew; more is neither good nor bad. None where there were few."""
    return Change(now.calls / before.calls - 1, "even") if before.calls >= _ENOUGH_CALLS else None


def by_kind(statistics: Statistics, words: Mapping[str, str]) -> Breakdown:
    """The calls by what they are."""

    def name(kind: Kind | None) -> str:
        return words["kind_none" if kind is None else f"kind_{kind.value}"]

    return _breakdown(statistics.kinds, lambda kind: kind.value if kind else "", name)


def by_channel(statistics: Statistics) -> Breakdown:
    """The calls by channel."""
    return _breakdown(statistics.channels, str, str)


def by_carrier(statistics: Statistics, language: str, unknown: str) -> Breakdown:
    """The calls by the carrier of the callee."""
    return _breakdown(statistics.carriers, str, lambda carrier: carrier_words(carrier, language) or unknown)


def by_region(statistics: Statistics, language: str, words: Mapping[str, str]) -> Breakdown:
    """The calls by the province or the country of the callee."""
    known = {UNKNOWN: words["unknown"], CHINA: words["china_elsewhere"]}
    return _breakdown(statistics.regions, str, lambda region: known.get(region) or region_words(region, language))


def _breakdown(parts: Mapping[K, Counts], key: Callable[[K], str], name: Callable[[K], str]) -> Breakdown:
    ordered = sorted(parts.items(), key=lambda part: -part[1].calls)
    whole = sum(counts.calls for counts in parts.values())
    longest = ordered[0][1].calls if ordered else 0
    rows = [
        Row(key(part), name(part), counts, counts.calls / whole, 100 * counts.calls / longest)
        for part, counts in ordered
        if counts.calls
    ]
    return Breakdown(rows[:_SHOWN_ROWS], rows[_SHOWN_ROWS:])


def _by_outcome(counts: Counts) -> dict[str, int]:
    return {outcome.value: getattr(counts, outcome.value) for outcome in _OUTCOMES}
