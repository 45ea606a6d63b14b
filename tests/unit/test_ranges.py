"""The ranges of days that statistics are shown for."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from answerback.console.model.ranges import parse_range
from answerback.domain.statistics import RangeName

SHANGHAI = ZoneInfo("Asia/Shanghai")
BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 5, 1, 17, 30, tzinfo=UTC)
"""Half past one on May 2 in Shanghai."""


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("today", date(2026, 5, 2), date(2026, 5, 2)),
        ("yesterday", date(2026, 5, 1), date(2026, 5, 1)),
        ("7d", date(2026, 4, 26), date(2026, 5, 2)),
        ("30d", date(2026, 4, 3), date(2026, 5, 2)),
    ],
)
def test_days_are_those_of_the_zone(name: str, first: date, last: date) -> None:
    """Today is today in the console's zone, whatever day it is in UTC."""
    shown = parse_range({"range": name}, NOW, SHANGHAI)
    assert (shown.first, shown.last) == (first, last)
    assert shown.since == datetime(first.year, first.month, first.day, tzinfo=SHANGHAI)


def test_a_custom_range_has_both_its_days() -> None:
    """From the first midnight to the one after the last day; its address asks for it again."""
    shown = parse_range({"range": "custom", "since": "2026-03-01", "until": "2026-03-03"}, NOW, SHANGHAI)
    assert shown.days == 3
    assert shown.until - shown.since == timedelta(days=3)
    assert parse_range(shown.query, NOW, SHANGHAI) == shown


def test_a_day_of_changing_clocks_is_a_whole_day() -> None:
    """The day the clocks go forward has 23 hours, and all of them are in the range."""
    shown = parse_range({"range": "custom", "since": "2026-03-29", "until": "2026-03-29"}, NOW, BERLIN)
    assert shown.until.astimezone(UTC) - shown.since.astimezone(UTC) == timedelta(hours=23)


def test_what_has_not_ended_is_compared_up_to_the_same_time() -> None:
    """At half past one today stands beside yesterday up to half past one; yesterday beside the whole day before."""
    today = parse_range({}, NOW, SHANGHAI).span_before(None, None)
    assert (today.since, today.until) == (datetime(2026, 5, 1, tzinfo=SHANGHAI), NOW - timedelta(days=1))
    whole = parse_range({"range": "yesterday"}, NOW, SHANGHAI).span_before(None, None)
    assert whole.until - whole.since == timedelta(days=1)


@given(
    st.dictionaries(st.sampled_from(["range", "since", "until"]), st.text() | st.sampled_from(["custom", *RangeName]))
)
def test_any_address_shows_some_range(query: dict[str, str]) -> None:
    """What cannot be read shows today; what cannot be is said by the name of its words."""
    shown = parse_range(query, NOW, SHANGHAI)
    assert shown.first <= shown.last
    assert shown.since < shown.until
    assert shown.error is None or shown.error.startswith("range_error_")
