from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from answerback.console.model.call_filter import FIELDS, parse_call_filter
from answerback.domain.models import CallbackKind, Outcome
from answerback.ledger.read.calls import CallFilter

CHANNELS = ("default", "alerts")
SHANGHAI = ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 5, 1, 17, tzinfo=UTC)  # the 2nd of May in Shanghai


def calls(**query: str) -> CallFilter:
    """The calls that an address asks for."""
    return parse_call_filter(query, CHANNELS, NOW, SHANGHAI).calls


def test_without_a_filter_all_calls_are_meant() -> None:
    """Of any time."""
    assert parse_call_filter({}, CHANNELS, NOW, SHANGHAI).is_empty


def test_each_field_filters() -> None:
    """By its own type."""
    wanted = calls(
        channel="alerts", kind="code", outcome="failed", failure_code="8", mobile=" 137 ", reference="order 7"
    )
    assert wanted == CallFilter(
        channel="alerts",
        kind=CallbackKind.CODE,
        outcome=Outcome.FAILED,
        failure_code=8,
        mobile="137",
        reference="order 7",
    )


def test_a_range_is_of_the_zones_days() -> None:
    """Today begins at the zone's midnight, not at that of UTC."""
    wanted = calls(range="today")
    assert wanted.since == datetime(2026, 5, 1, 16, tzinfo=UTC)
    assert wanted.until == datetime(2026, 5, 2, 16, tzinfo=UTC)


def test_both_days_of_a_range_are_in_it() -> None:
    """From the first to the last, as one says it."""
    wanted = calls(range="custom", since="2026-04-01", until="2026-04-30")
    assert wanted.since == datetime(2026, 3, 31, 16, tzinfo=UTC)
    assert wanted.until == datetime(2026, 4, 30, 16, tzinfo=UTC)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"range": "custom", "since": "soon", "until": "later"}, "range"),
        ({"range": "custom", "since": "2026-04-30", "until": "2026-04-01"}, "range"),
        ({"failure_code": "eight"}, "failure_code"),
        ({"failure_code": "9" * 30}, "failure_code"),
        ({"failure_code": "²"}, "failure_code"),
    ],
)
def test_what_is_wrong_is_said_and_filters_nothing(query: dict[str, str], field: str) -> None:
    """Beside its field."""
    wanted = parse_call_filter(query, CHANNELS, NOW, SHANGHAI)
    assert list(wanted.errors) == [field]
    assert wanted.is_empty


def test_what_there_is_not_filters_nothing() -> None:
    """A channel, a kind, an outcome of another gateway's address."""
    assert calls(channel="gone", kind="fax", outcome="lost", range="ever") == CallFilter()


@given(st.dictionaries(st.sampled_from(FIELDS), st.text(max_size=40)))
def test_any_address_is_a_filter(query: dict[str, str]) -> None:
    """Whatever somebody types after the question mark."""
    parse_call_filter(query, CHANNELS, NOW, SHANGHAI)
