"""What the Overview, Failures and Fees say in numbers: statistics, as tiles, bars and tables; pure."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, TypeVar

from answerback.console.model.charts import BarChart, Share, color_level, split_whole, stack_bars
from answerback.console.model.ranges import Range
from answerback.domain.models import CallbackKind, Outcome
from answerback.domain.phone_locations import CHINA, UNKNOWN, carrier_name, region_name
from answerback.domain.statistics import Counts, Statistics

K = TypeVar("K")

HEAT_LEVELS = 6

_MIN_CALLS = 10
_FIRST_ROWS = 6
_OUTCOMES = (Outcome.ANSWERED, Outcome.UNANSWERED, Outcome.FAILED, Outcome.PENDING)


Series = Sequence[tuple[datetime, Counts]]
"""Beginnings and what came then; no mapping: when clocks go back, an hour of the clock comes twice."""


class HeatmapCell(NamedTuple):
    """An hour of the week: its calls, and the class of its answer rate; None where there were few calls, or none."""

    hour: int
    counts: Counts
    level: int | None


class Heatmap(NamedTuple):
    """The answer rate by weekday, from Monday, and hour of the clock; the range that the colours span."""

    days: Sequence[Sequence[HeatmapCell]]
    lowest: float
    highest: float


class BreakdownRow(NamedTuple):
    """A line of a breakdown; `share` is of all calls, `bar` of the longest line."""

    key: str
    name: str
    counts: Counts
    share: float
    bar: float


class Breakdown(NamedTuple):
    """The calls by something: the first lines, and the rest of them."""

    rows: Sequence[BreakdownRow]
    rest: Sequence[BreakdownRow]


class Change(NamedTuple):
    """How a number stands to what it was before. `tone` is good, bad or even."""

    amount: float
    tone: str


def time_series(statistics: Statistics, shown: Range) -> Series:
    """The calls by hour where the range is short, else by day; in the zone's time."""
    if shown.hourly:
        return [(hour.astimezone(shown.zone), counts) for hour, counts in statistics.by_hour().items()]
    return list(statistics.by_day(shown.zone).items())


def outcome_trend(times: Series) -> BarChart[tuple[datetime, Counts]]:
    return stack_bars([((start, counts), _outcome_counts(counts)) for start, counts in times])


def failure_trend(times: Series) -> BarChart[tuple[datetime, Counts]]:
    """The calls over time that did not reach anybody."""
    return stack_bars(
        [((start, counts), {"unanswered": counts.unanswered, "failed": counts.failed}) for start, counts in times]
    )


def billed_minutes_trend(times: Series) -> BarChart[tuple[datetime, Counts]]:
    return stack_bars([((start, counts), {"minutes": counts.fee_minutes}) for start, counts in times])


def outcome_shares(counts: Counts) -> list[Share[Outcome]]:
    return split_whole([(outcome, getattr(counts, outcome.value)) for outcome in _OUTCOMES])


def build_heatmap(statistics: Statistics, shown: Range) -> Heatmap:
    """The week, as far as there were calls; of few calls a rate says little, and they do not stretch the colours."""
    week = statistics.by_weekday(shown.zone)
    most = max(counts.completed for day in week for counts in day)
    enough = min(_MIN_CALLS, most)
    rates = [counts.answered / counts.completed for day in week for counts in day if counts.completed >= max(1, enough)]
    lowest, highest = min(rates, default=0.0), max(rates, default=0.0)

    def cell(hour: int, counts: Counts) -> HeatmapCell:
        rate = counts.answer_rate
        is_known = rate is not None and counts.completed >= enough
        return HeatmapCell(hour, counts, color_level(rate or 0.0, lowest, highest, HEAT_LEVELS) if is_known else None)

    return Heatmap([[cell(hour, counts) for hour, counts in enumerate(day)] for day in week], lowest, highest)


def rate_change(now: Counts, before: Counts) -> Change | None:
    """How many points the answer rate moved; None where one of the two says little."""
    if now.completed < _MIN_CALLS or before.completed < _MIN_CALLS:
        return None
    points = round(100 * (now.answered / now.completed - before.answered / before.completed), 1)
    return Change(points, "good" if points > 0 else "bad" if points < 0 else "even")


def calls_change(now: Counts, before: Counts) -> Change | None:
    """By which share of themselves the calls grew; more is neither good nor bad. None where there were few."""
    return Change(now.calls / before.calls - 1, "even") if before.calls >= _MIN_CALLS else None


def kind_breakdown(statistics: Statistics, texts: Mapping[str, str]) -> Breakdown:
    def name(kind: CallbackKind | None) -> str:
        return texts["kind_none" if kind is None else f"kind_{kind.value}"]

    return _build_breakdown(statistics.kinds, lambda kind: kind.value if kind else "", name)


def channel_breakdown(statistics: Statistics) -> Breakdown:
    return _build_breakdown(statistics.channels, str, str)


def carrier_breakdown(statistics: Statistics, language: str, unknown: str) -> Breakdown:
    return _build_breakdown(statistics.carriers, str, lambda carrier: carrier_name(carrier, language) or unknown)


def region_breakdown(statistics: Statistics, language: str, texts: Mapping[str, str]) -> Breakdown:
    """The calls by the province or the country of the callee."""
    known = {UNKNOWN: texts["unknown"], CHINA: texts["china_elsewhere"]}
    return _build_breakdown(statistics.regions, str, lambda region: known.get(region) or region_name(region, language))


def _build_breakdown(parts: Mapping[K, Counts], key: Callable[[K], str], name: Callable[[K], str]) -> Breakdown:
    ordered = sorted(parts.items(), key=lambda part: -part[1].calls)
    whole = sum(counts.calls for counts in parts.values())
    longest = ordered[0][1].calls if ordered else 0
    rows = [
        BreakdownRow(key(part), name(part), counts, counts.calls / whole, 100 * counts.calls / longest)
        for part, counts in ordered
        if counts.calls
    ]
    return Breakdown(rows[:_FIRST_ROWS], rows[_FIRST_ROWS:])


def _outcome_counts(counts: Counts) -> dict[str, int]:
    return {outcome.value: getattr(counts, outcome.value) for outcome in _OUTCOMES}
