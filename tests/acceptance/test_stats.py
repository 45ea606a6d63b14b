"""What many calls come to, over HTTP and on the command line."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from gateway import OK, Gateway, code, failure, key_press, prompt, run

TOKEN = "tok-alerts-3k5Jq0ZtV2"
START = 1470197196


def times(ring_s: int, talk_s: int) -> dict[str, str]:
    """The times of an answered call."""
    return {
        "start_calltime": str(START),
        "accept_time": str(START + ring_s),
        "end_calltime": str(START + ring_s + talk_s),
    }


UNANSWERED = {"result": "1", "accept_time": "", "end_calltime": str(START + 40), "fee": "0"}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that took thirteen calls by two channels, a repeat, a revision and one refused body."""
    data_dir = tmp_path_factory.mktemp("stats") / "data"
    with Gateway(data_dir, settings={"ANSWERBACK_CHANNELS__ALERTS__TOKEN": TOKEN}) as running:
        bodies: list[tuple[bytes, str | None]] = [
            *((prompt(f"a-{n}", mobile="13800138000", **times(10 + n, 30)), None) for n in range(6)),
            (prompt("too-much", mobile="13800138000", fee="2", **times(10, 30)), None),
            (prompt("billed", mobile="18600000000", **(UNANSWERED | {"fee": "1"})), None),
            (code("c-0", mobile="18600000000", **UNANSWERED), TOKEN),
            *((failure(f"f-{n}", failure_code=8 if n else 1), TOKEN) for n in range(3)),
            (key_press("k-0"), TOKEN),
        ]
        for body, token in [*bodies, bodies[0]]:
            assert running.post(body, token).content == OK
        assert running.post(prompt("c-0", **UNANSWERED), TOKEN).content == OK
        assert running.post(b"{").status_code == 400
        yield running


def get(gateway: Gateway, path: str) -> dict[str, Any]:
    """The JSON that the API answers."""
    answer = gateway.get(path)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_statistics_show_what_became_of_the_calls(filled: Gateway) -> None:
    """Outcomes, the answer rate of those that are settled, times, minutes, and what came in."""
    found = get(filled, "/v1/stats")
    total = {"calls": 13, "answered": 7, "unanswered": 2, "failed": 3, "pending": 1, "fee_minutes": 9}
    assert found["total"] == total | {"answer_rate": 7 / 12}
    assert found["ring_seconds"] == {"calls": 9, "mean": round((75 + 10 + 80) / 9, 3), "p50": 13, "p90": 40}
    assert found["talk_seconds"] == {"calls": 7, "mean": 30.0, "p50": 30, "p90": 30}
    assert found["ingest"] == {"callbacks": 14, "duplicates": 1, "revisions": 1, "quarantined": 1}
    assert found["fees"] == {"billed_minutes": 9, "due_minutes": 7, "mismatched_calls": 2, "overbilled_minutes": 2}
    assert found["timezone"] == "Asia/Shanghai"


def test_statistics_are_broken_down(filled: Gateway) -> None:
    """By kind, channel, carrier, region, failure, and by hour of the week."""
    found = get(filled, "/v1/stats?range=today")
    assert [(one["channel"], one["calls"], one["answered"]) for one in found["channels"]] == [
        ("default", 8, 7),
        ("alerts", 5, 0),
    ]
    kinds = {one["kind"]: one["calls"] for one in found["kinds"]}
    assert (kinds["failure"], kinds["key"], sum(kinds.values())) == (3, 1, 13)
    regions = {one["region"]: (one["region_en"], one["region_zh"], one["calls"]) for one in found["regions"]}
    assert regions["CN-BJ"] == ("Beijing", "北京", 8)
    carriers = {one["carrier"]: (one["carrier_zh"], one["answer_rate"]) for one in found["carriers"]}
    assert carriers["China Mobile"] == ("中国移动", 7 / 10)
    codes = [(one["code"], one["reason"], one["calls"], one["share"]) for one in found["failures"]]
    assert codes == [(8, "空号", 2, 2 / 3), (1, "关机", 1, 1 / 3)]
    (cell,) = found["by_hour_of_day"]
    assert (cell["calls"], cell["answer_rate"]) == (13, 7 / 12)


def test_the_trend_is_by_day_or_by_hour(filled: Gateway) -> None:
    """A week has seven days in the reader's zone, a day twenty-four hours; each has its calls."""
    week = get(filled, "/v1/stats?range=7d&timezone=America/New_York")["trend"]
    assert [one["calls"] for one in week] == [0] * 6 + [13]
    assert all(datetime.fromisoformat(one["at"]).hour in (0, 4, 5) for one in week)
    today = get(filled, "/v1/stats?range=today")["trend"]
    assert (len(today), sum(one["calls"] for one in today), max(one["calls"] for one in today)) == (24, 13, 13)
    assert len(get(filled, "/v1/stats?range=7d&step=hour")["trend"]) == 168
    assert get(filled, "/v1/stats?range=yesterday")["total"]["calls"] == 0
    assert len(get(filled, "/v1/stats?range=30d")["trend"]) == 30


def test_statistics_can_be_of_a_channel_a_kind_and_a_time(filled: Gateway) -> None:
    """The others' calls are not in them."""
    assert get(filled, "/v1/stats?channel=alerts")["total"]["calls"] == 5
    assert get(filled, "/v1/stats?channel=alerts&kind=failure")["total"]["failed"] == 3
    assert get(filled, "/v1/stats?channel=nobody")["total"]["calls"] == 0
    since = datetime.now(UTC) - timedelta(hours=2)
    assert get(filled, f"/v1/stats?since={since:%Y-%m-%dT%H:%M:%SZ}")["total"]["calls"] == 13
    until = since - timedelta(hours=1)
    old = f"since={until - timedelta(hours=5):%Y-%m-%dT%H:%M:%SZ}&until={until:%Y-%m-%dT%H:%M:%SZ}"
    assert get(filled, f"/v1/stats?{old}")["total"]["calls"] == 0


@pytest.mark.parametrize(
    ("zone", "day", "hours", "starts"),
    [
        ("Asia/Shanghai", "2026-11-23", 24, "2026-11-22T16:00:00Z"),
        ("America/New_York", "2026-03-08", 23, "2026-03-08T05:00:00Z"),
        ("America/New_York", "2026-11-01", 25, "2026-11-01T04:00:00Z"),
        ("UTC", "2026-11-23", 24, "2026-11-23T00:00:00Z"),
    ],
)
@pytest.mark.parametrize("path", ["stats", "failures", "fees"])
def test_a_date_is_a_day_of_the_zone(  # a table of days
    filled: Gateway, path: str, zone: str, day: str, hours: int, starts: str
) -> None:
    """From its midnight to the next one, however long the day is; what names its own zone is of that."""
    following = f"{date.fromisoformat(day) + timedelta(days=1)}"
    found = get(filled, f"/v1/{path}?since={day}&until={following}&timezone={zone}")
    first, last = (datetime.fromisoformat(found[end]) for end in ("since", "until"))
    assert (found["since"], (last - first) / timedelta(hours=1)) == (starts, hours)
    own = get(filled, f"/v1/{path}?since={day}T00:00:00Z&until={following}T00:00:00Z&timezone={zone}")
    assert own["since"] == f"{day}T00:00:00Z"


def test_dates_are_those_of_the_command(filled: Gateway) -> None:
    """Both take the console's zone where none is given."""
    reported = run("stats", "--json", "--since", "2026-11-23", "--data-dir", filled.data_dir, cwd=filled.data_dir)
    assert json.loads(reported.stdout)["since"] == get(filled, "/v1/stats?since=2026-11-23")["since"]


def test_failures_are_counted_by_code(filled: Gateway) -> None:
    """The vendor's table of failures: code, reason, count, share."""
    found = get(filled, "/v1/failures?channel=alerts")
    assert found["calls"] == 5
    assert [(one["code"], one["reason_en"], one["calls"]) for one in found["items"]] == [
        (8, "number not in service", 2),
        (1, "powered off", 1),
    ]


def test_fees_are_audited(filled: Gateway) -> None:
    """The sums, and the calls that were billed more or less than is due, page by page."""
    first = get(filled, "/v1/fees?page_size=1")
    assert (first["billed_minutes"], first["due_minutes"], first["overbilled_minutes"]) == (9, 7, 2)
    rest = get(filled, f"/v1/fees?page_size=1&cursor={first['next_cursor']}")
    assert rest["next_cursor"] is None
    calls = {
        one["callid"]: (one["fee_minutes"], one["due_minutes"], one["overbilled_minutes"])
        for one in first["items"] + rest["items"]
    }
    assert calls == {"too-much": (2, 1, 1), "billed": (1, 0, 1)}


def test_calls_are_found_by_failure_code_and_by_reference(filled: Gateway) -> None:
    """The way from a count to the calls behind it."""
    key = {"Authorization": f"Bearer {filled.key}"}
    assert filled.client.put("/v1/calls/f-1", json={"reference": "order-7"}, headers=key).status_code == 200
    found = get(filled, "/v1/calls?failure_code=8")["items"]
    assert [one["callid"] for one in found] == ["f-2", "f-1"]
    assert [one["callid"] for one in get(filled, "/v1/calls?reference=order-7")["items"]] == ["f-1"]
    assert get(filled, "/v1/calls?failure_code=8&outcome=answered")["items"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("range=year", "range"),
        ("range=7d&since=2026-01-01", "range"),
        ("until=2026-01-01", "since"),
        ("since=2026-01-02&until=2026-01-01", "until"),
        ("since=2020-01-01&until=2026-01-01", "since"),
        ("since=0001-01-01T00:00:00%2B14:00&until=0001-01-02", "since"),
        ("since=0001-01-01&until=0001-01-02", "since"),
        ("timezone=Mars/Olympus", "timezone"),
        ("timezone=../../etc/passwd", "timezone"),
        ("since=2026-01-01&until=2026-06-01&step=hour", "step"),
        ("kind=fax", "kind"),
        ("since=soon", "since"),
    ],
)
def test_what_is_invalid_is_named(filled: Gateway, query: str, field: str) -> None:
    """A range that cannot be is refused with the name of the field."""
    answer = filled.get(f"/v1/stats?{query}")
    assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_the_command_line_shows_the_same(filled: Gateway) -> None:
    """`answerback stats`: sums and groups for people, the API's JSON for programs."""
    reported = json.loads(run("stats", "--json", "--data-dir", filled.data_dir, cwd=filled.data_dir).stdout)
    assert reported == get(filled, "/v1/stats")
    done = run("stats", "--data-dir", filled.data_dir, "--range", "today", "--charts", cwd=filled.data_dir)
    assert (done.returncode, done.stderr) == (0, "")
    for words in (
        "58.3%",
        "+2 min in 2 calls",
        "空号",
        "Beijing",
        "calls per hour",
        "calls by hour of the day",
        "██ failed",
    ):
        assert words in done.stdout
    plain = run("stats", "--data-dir", filled.data_dir, "--channel", "alerts", cwd=filled.data_dir).stdout
    assert "calls per" not in plain
    assert "█" not in plain


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--until", "2026-01-01"], "until"),
        (["--since", "2026-01-02", "--until", "2026-01-01"], "until"),
        (["--range", "7d", "--since", "2026-01-02"], "range"),
    ],
)
def test_the_command_line_names_what_is_invalid(filled: Gateway, options: list[str], named: str) -> None:
    """One line that says which option."""
    done = run("stats", "--data-dir", filled.data_dir, *options, cwd=filled.data_dir)
    assert (done.returncode, named in done.stderr, done.stderr.count("\n")) == (1, True, 1)


def test_a_time_zone_that_is_none_ends_the_start(filled: Gateway) -> None:
    """The setting is named."""
    settings = {"ANSWERBACK_CONSOLE__TIMEZONE": "Mars/Olympus"}
    done = run("stats", "--data-dir", filled.data_dir, cwd=filled.data_dir, settings=settings)
    assert done.returncode == 1
    assert "console.timezone" in done.stderr
