"""What the Overview makes of statistics."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from answerback.console.model import chart_data
from answerback.console.model.failure_reasons import count_failure_reasons
from answerback.console.model.ranges import Range, parse_range
from answerback.console.texts import texts
from answerback.domain.statistics import Counts, DurationStats, Fees, IngestCounts, Statistics

SHANGHAI = ZoneInfo("Asia/Shanghai")
NOON = datetime(2026, 5, 1, 4, tzinfo=UTC)
"""In Shanghai, on a Friday."""


def statistics(
    hours: Mapping[datetime, Counts],
    regions: Mapping[str, Counts] | None = None,
    codes: Mapping[int, int] | None = None,
    days: int = 1,
) -> Statistics:
    """Statistics of the days from NOON's on."""
    return Statistics(
        since=datetime(2026, 5, 1, tzinfo=SHANGHAI).astimezone(UTC),
        until=datetime(2026, 5, 1, tzinfo=SHANGHAI).astimezone(UTC) + timedelta(days=days),
        total=sum(hours.values(), Counts()),
        hours=hours,
        kinds={},
        channels={},
        carriers={},
        regions=regions or {},
        codes=codes or {},
        ring=DurationStats(),
        talk=DurationStats(),
        fees=Fees(),
        ingest=IngestCounts(),
        overdue=0,
    )


def shown(name: str = "today", zone: ZoneInfo = SHANGHAI, now: datetime = NOON) -> Range:
    """A range as an address asks for it."""
    return parse_range({"range": name}, now, zone)


def test_an_hour_of_the_week_stands_where_the_clock_has_it() -> None:
    """Noon on a Friday in Shanghai is the thirteenth cell of the fifth day; the others have no calls."""
    heat = chart_data.build_heatmap(statistics({NOON: Counts(answered=30, failed=10)}), shown())
    reported = {(day, cell.hour) for day, cells in enumerate(heat.days) for cell in cells if cell.level is not None}
    assert reported == {(4, 12)}


def test_few_calls_neither_have_a_colour_nor_stretch_it() -> None:
    """One lost call of one is no rate of nought: hours with few calls stand aside where others have many."""
    hours = {NOON + timedelta(hours=n): Counts(answered=80 + n, failed=20 - n) for n in range(3)}
    hours[NOON + timedelta(hours=5)] = Counts(failed=1)
    heat = chart_data.build_heatmap(statistics(hours), shown())
    assert (heat.lowest, heat.highest) == (0.8, 0.82)
    assert heat.days[4][17].level is None


def test_where_all_hours_have_few_calls_they_are_coloured() -> None:
    """A small business sees colours, too."""
    heat = chart_data.build_heatmap(
        statistics({NOON: Counts(answered=1), NOON + timedelta(hours=1): Counts(failed=1)}), shown()
    )
    assert [heat.days[4][hour].level for hour in (11, 12, 13)] == [None, 5, 0]


def test_without_calls_nothing_is_said() -> None:
    """No rate, no change, no colour, no division by nought."""
    nothing = statistics({})
    heat = chart_data.build_heatmap(nothing, shown())
    assert all(cell.level is None for day in heat.days for cell in day)
    assert chart_data.outcome_shares(nothing.total) == []
    assert chart_data.rate_change(nothing.total, Counts(answered=100)) is None
    assert chart_data.rate_change(Counts(answered=100), Counts(answered=1)) is None
    assert chart_data.calls_change(Counts(answered=100), nothing.total) is None
    assert chart_data.region_breakdown(nothing, "en", texts("en")) == chart_data.Breakdown([], [])


def test_the_answer_rate_moves_in_points() -> None:
    """From 70 to 75 percent are five points, and good."""
    change = chart_data.rate_change(Counts(answered=75, failed=25), Counts(answered=70, unanswered=30))
    assert change == chart_data.Change(5.0, "good")


def test_a_day_has_all_its_hours_and_a_week_its_days() -> None:
    """Hours and days without calls are there, so that a chart has no holes."""
    assert len(chart_data.time_series(statistics({NOON: Counts(answered=1)}), shown())) == 24
    assert len(chart_data.time_series(statistics({NOON: Counts(answered=1)}, days=7), shown("7d"))) == 7


def test_the_hour_that_comes_twice_is_shown_twice() -> None:
    """When clocks go back, a day of Berlin has 25 hours, and none swallows the calls of its twin."""
    berlin = ZoneInfo("Europe/Berlin")
    began = datetime(2026, 10, 24, 22, tzinfo=UTC)
    hours = {began + timedelta(hours=n): Counts(answered=1) for n in range(25)}
    reported = statistics(hours)
    day = Statistics(
        **{f: getattr(reported, f) for f in reported.__struct_fields__}
        | {"since": began, "until": max(hours) + timedelta(hours=1)}
    )
    times = chart_data.time_series(day, shown("today", berlin, began + timedelta(hours=3)))
    assert sum(counts.calls for _, counts in times) == 25


@pytest.mark.parametrize(("language", "names"), [("en", ["Guangdong", "Unknown"]), ("zh", ["广东", "未知"])])
def test_a_breakdown_names_its_lines(language: str, names: list[str]) -> None:
    """The most calls first, each by its name in the reader's language."""
    reported = statistics({}, regions={"": Counts(answered=1), "CN-GD": Counts(answered=3), "CN-BJ": Counts()})
    rows = chart_data.region_breakdown(reported, language, texts(language)).rows
    assert [row.name for row in rows] == names
    assert [(row.share, row.bar) for row in rows] == [(0.75, 100.0), (0.25, pytest.approx(100 / 3))]


def test_causes_come_by_their_number() -> None:
    """The most frequent first, with its share, and how it grew; a code of nobody's list has words as well."""
    found = count_failure_reasons(statistics({}, codes={1: 30, 999: 10}), "en", "Unlisted", {1: 20})
    assert [(cause.code, cause.text, cause.share, cause.change) for cause in found] == [
        (1, "Powered off", 0.75, 0.5),
        (999, "Unlisted", 0.25, None),
    ]
