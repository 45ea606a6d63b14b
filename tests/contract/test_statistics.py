"""The statistics are those of a recount, whatever happened to the calls, and in whatever order."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from builders import (
    ANSWERED,
    ENDED,
    NOON,
    STARTED,
    AnyCallback,
    callbacks,
    failure,
    key_press,
    received,
    rejected,
    status,
    unanswered,
)
from contract import delivery_helpers
from contract.backends import few_examples
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from answerback.domain.models import MAX_PAGE_SIZE, Call, CallbackKind, Outcome, ParsedCallback, RejectedCallback
from answerback.domain.phone_locations import locate_number
from answerback.domain.statistics import Counts, Statistics, rollup_code
from answerback.ledger import Ledger
from answerback.ledger.read.calls import CallFilter
from answerback.ledger.read.statistics import HourRange
from answerback.ledger.tables import calls, hourly_ingest, rollup_breakdowns, rollups

EVER = HourRange(since=NOON - timedelta(days=40), until=NOON + timedelta(days=40))
fresh = count()


def everything(ledger: Ledger, wanted: CallFilter | None = None) -> list[Call]:
    """All calls, one by one."""
    found: list[Call] = []
    cursor = None
    while True:
        page = ledger.calls(wanted, cursor, MAX_PAGE_SIZE)
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            return found


def recount(many: Iterable[Call]) -> dict[str, Any]:
    """What the statistics should say, counted call by call in the plainest way."""
    many = list(many)
    billed = [call for call in many if call.fee_minutes is not None]
    due = {call.callid + call.channel: minutes for call in billed if (minutes := due_of(call)) is not None}
    checked = [call for call in billed if call.callid + call.channel in due]
    excess = [
        (call.fee_minutes or 0) - due[call.callid + call.channel]
        for call in checked
        if call.fee_minutes != due[call.callid + call.channel]
    ]
    reported = [call for call in many if call.kind is not None]
    rings = [call.ring_seconds for call in many if call.ring_seconds is not None]
    talks = [call.talk_seconds for call in many if call.talk_seconds is not None]
    return {
        "total": counts(many),
        "hours": grouped(many, lambda call: call.first_seen_at.replace(minute=0, second=0, microsecond=0)),
        "kinds": grouped(many, lambda call: call.kind),
        "channels": grouped(many, lambda call: call.channel),
        "carriers": grouped(
            reported, lambda call: locate_number(call.nationcode or "", call.mobile or "").carrier, fee=False
        ),
        "regions": grouped(
            reported, lambda call: locate_number(call.nationcode or "", call.mobile or "").region, fee=False
        ),
        "codes": Counter(rollup_code(call.failure_code) for call in many if call.failure_code is not None),
        "ring": (len(rings), sum(rings), Counter(rings)),
        "talk": (len(talks), sum(talks), Counter(talks)),
        "fees": (sum(call.fee_minutes or 0 for call in billed), sum(due.values()), len(excess), sum(excess)),
        "overdue": sum(call.overdue_at is not None for call in many),
    }


def said(statistics: Statistics) -> dict[str, Any]:
    """The statistics in the shape of a recount."""
    names = ("total", "hours", "kinds", "channels", "carriers", "regions", "codes", "overdue")
    times = {
        name: (one.calls, one.total_s, one.seconds)
        for name, one in (("ring", statistics.ring), ("talk", statistics.talk))
    }
    return (
        {name: getattr(statistics, name) for name in names} | times | {"fees": msgspec.structs.astuple(statistics.fees)}
    )


def due_of(call: Call) -> int | None:
    """Begun minutes of an answered call, at least one; none of a call that nobody answered."""
    if call.outcome is not Outcome.ANSWERED:
        return None if call.outcome is Outcome.PENDING else 0
    if call.talk_seconds is None:
        return None
    return max(1, (call.talk_seconds + 59) // 60)


def counts(many: Iterable[Call], *, fee: bool = True) -> Counts:
    """Calls by outcome, and what they cost."""
    many = list(many)
    by_outcome = Counter(call.outcome.value for call in many)
    return Counts(**by_outcome, fee_minutes=sum(call.fee_minutes or 0 for call in many) if fee else 0)


def grouped(many: Iterable[Call], key: Any, *, fee: bool = True) -> dict[Any, Counts]:
    """The same for each value of `key`."""
    groups: dict[Any, list[Call]] = {}
    for call in many:
        groups.setdefault(key(call), []).append(call)
    return {value: counts(group, fee=fee) for value, group in groups.items()}


EVENTS = st.tuples(
    callbacks(st.sampled_from(["one", "two", "three"])),
    st.sampled_from(["default", "codes"]),
    st.integers(-90_000, 90_000),
)


@given(batches=st.lists(st.lists(EVENTS, max_size=5), max_size=5), refers=st.lists(st.integers(0, 2), max_size=2))
@few_examples()
def test_the_statistics_are_those_of_a_recount(
    ledger: Ledger, batches: list[list[tuple[AnyCallback, str, int]]], refers: list[int]
) -> None:
    """After repeats, revisions, late arrivals, references and overdue calls, in any order and any batches."""
    mark = next(fresh)
    before = recount(everything(ledger))
    assert said(ledger.statistics(EVER)) == before
    for number, batch in enumerate(batches):
        items = [
            received(msgspec.structs.replace(one, callid=f"{one.callid}-{mark}"), channel=channel, after_s=after_s)
            for one, channel, after_s in batch
        ]
        ledger.record(items + items[:1])
        if number in refers:
            delivery_helpers.annotate(ledger, f"one-{mark}", channel="default", due_at=NOON)
            delivery_helpers.record_overdue(ledger, at_s=delivery_helpers.LATER_S)
    assert said(ledger.statistics(EVER)) == recount(everything(ledger))


def tables(ledger: Ledger) -> dict[str, list[Any]]:
    """All that is kept for the statistics; the order of the rows and of the keys in a JSON object says nothing."""
    with ledger.engine.connect() as connection:
        kept = {table.name: sorted(map(tuple, connection.execute(select(table)))) for table in (rollups, hourly_ingest)}
        details = [
            (*row[:-1], msgspec.json.decode(row[-1])) for row in sorted(connection.execute(select(rollup_breakdowns)))
        ]
        fees = connection.execute(
            select(calls.c.id, calls.c.fee_mismatch_minutes).where(calls.c.fee_mismatch_minutes.is_not(None))
        )
        return kept | {"details": details, "fees": sorted(map(tuple, fees))}


@pytest.mark.parametrize(("first", "last"), [(-30, -20), (-1, 1), (-50, 49), (-26, 22), (0, 24), (-13, 60), (5, 5)])
def test_a_span_is_made_of_whole_hours(ledger: Ledger, first: int, last: int) -> None:
    """Whether it is read from days or from hours, it has the calls first seen in it and no others."""
    ledger.record([received(status(callid=f"c-{n}"), after_s=n * 1_800) for n in range(-120, 120)])
    span = HourRange(since=NOON + timedelta(hours=first), until=NOON + timedelta(hours=last))
    found = ledger.statistics(span)
    assert (found.since, found.until) == (span.since, span.until)
    assert said(found) == recount(everything(ledger, CallFilter(since=span.since, until=span.until)))
    assert sum(counted.calls for counted in found.by_hour().values()) == found.total.calls == 2 * (last - first)
    for zone in (UTC, ZoneInfo("Asia/Shanghai"), ZoneInfo("America/New_York")):
        days = found.by_day(zone)
        assert sum(counted.calls for counted in days.values()) == found.total.calls
        assert all(day.astimezone(zone).hour == 0 for day in days)
        assert sum(cell.calls for row in found.by_weekday(zone) for cell in row) == found.total.calls


def test_ends_that_are_no_whole_hours_are_widened(ledger: Ledger) -> None:
    """The statistics say which hours they are of."""
    span = HourRange(since=NOON - timedelta(minutes=1), until=NOON + timedelta(minutes=1))
    found = ledger.statistics(span)
    assert (found.since, found.until) == (NOON - timedelta(hours=1), NOON + timedelta(hours=1))


def test_a_span_can_be_of_one_channel_and_one_kind(ledger: Ledger) -> None:
    """The others' calls are not in it."""
    ledger.record(
        [
            received(status(callid="p"), channel="a"),
            received(status(callid="c", kind=CallbackKind.CODE), channel="a"),
            received(status(callid="p"), channel="b"),
        ]
    )
    only = msgspec.structs.replace(EVER, channel="a", kind=CallbackKind.CODE)
    assert said(ledger.statistics(only)) == recount(everything(ledger, CallFilter(channel="a", kind=CallbackKind.CODE)))
    assert ledger.statistics(only).total.calls == 1
    assert ledger.statistics(msgspec.structs.replace(EVER, channel="nobody")).total == Counts()


def test_what_came_in_is_counted(ledger: Ledger) -> None:
    """Callbacks, repeats, revisions and refused bodies, by channel and by the hour in which they came."""
    batch: list[ParsedCallback | RejectedCallback] = [
        received(status()),
        received(status()),
        received(unanswered()),
        received(key_press()),
        received(key_press(), channel="codes"),
        rejected(b"{"),
        rejected(b"{"),
    ]
    ledger.record(batch)
    ledger.record([received(status(), after_s=7_200)])
    came = ledger.statistics(EVER).ingest
    assert msgspec.structs.astuple(came) == (4, 2, 1, 1)
    hour = ledger.statistics(HourRange(since=NOON, until=NOON + timedelta(hours=1), channel="default")).ingest
    assert msgspec.structs.astuple(hour) == (3, 1, 1, 1)


def test_times_have_their_mean_and_their_quantiles(ledger: Ledger) -> None:
    """To the second below ten minutes, to the minute above; the mean is exact."""
    lengths = [10, 20, 30, 40, 659]
    ledger.record(
        [
            received(status(callid=f"t-{n}", ended_at=ANSWERED + timedelta(seconds=length)))
            for n, length in enumerate(lengths)
        ]
    )
    talk = ledger.statistics(EVER).talk
    assert (talk.mean_s, talk.quantile_s(0.5), talk.quantile_s(0.9), talk.quantile_s(0)) == (151.8, 30, 600, 10)
    ring = ledger.statistics(EVER).ring
    assert (ring.mean_s, ring.quantile_s(0.5)) == (15, 15)


def test_a_time_that_cannot_be_is_not_counted(ledger: Ledger) -> None:
    """A call that ended before it began says nothing about how long calls last."""
    ledger.record([received(status(started_at=ENDED, answered_at=ENDED, ended_at=STARTED))])
    found = ledger.statistics(EVER)
    assert (found.talk.calls, found.ring.calls, found.talk.mean_s, found.talk.quantile_s(0.5)) == (0, 1, None, None)


def test_the_fees_that_differ_are_listed(ledger: Ledger) -> None:
    """Billed too much, too little, or for a call that nobody answered; newest first, page by page."""
    ledger.record(
        [
            received(status(callid="right", ended_at=ANSWERED + timedelta(seconds=61), fee_minutes=2)),
            received(status(callid="more", fee_minutes=3), after_s=1),
            received(status(callid="less", ended_at=ANSWERED + timedelta(seconds=61), fee_minutes=1), after_s=2),
            received(unanswered(callid="free", fee_minutes=0), after_s=3),
            received(unanswered(callid="not-free", fee_minutes=1), after_s=4),
            received(status(callid="unknown", fee_minutes=None), after_s=5),
            received(status(callid="no-times", answered_at=None, fee_minutes=9), after_s=6),
        ]
    )
    fees = ledger.statistics(EVER).fees
    assert msgspec.structs.astuple(fees) == (2 + 3 + 1 + 0 + 1 + 9, 2 + 1 + 2, 3, 2 - 1 + 1)
    first = ledger.fee_mismatches(EVER, None, 2)
    rest = ledger.fee_mismatches(EVER, first.next_cursor, 2)
    assert [call.callid for call in first.items + rest.items] == ["not-free", "less", "more"]
    assert rest.next_cursor is None
    ledger.record([received(status(callid="not-free", fee_minutes=1))])
    assert [call.callid for call in ledger.fee_mismatches(EVER).items] == ["less", "more"]
    assert ledger.fee_mismatches(msgspec.structs.replace(EVER, channel="b")).items == []
    assert ledger.fee_mismatches(msgspec.structs.replace(EVER, kind=CallbackKind.CODE)).items == []
    assert ledger.fee_mismatches(HourRange(since=NOON - timedelta(hours=9), until=NOON)).items == []


def test_a_batch_that_fails_counts_nothing(ledger: Ledger) -> None:
    """The statistics are written with the callbacks, or not at all."""

    def interrupted(connection: Any, _outbox: Any) -> None:
        connection.execute(rollups.delete())
        raise Interrupted

    ledger.record([received(status())])
    before = tables(ledger)
    with pytest.raises(Interrupted):
        ledger.write(interrupted)
    assert tables(ledger) == before


class Interrupted(Exception):
    """The power went."""


@pytest.mark.parametrize("asked", [{"failure_code": 8}, {"reference": "order-1"}])
def test_calls_are_found_by_failure_and_by_reference(ledger: Ledger, asked: dict[str, Any]) -> None:
    """Alone and together with any other filter, page by page."""
    ledger.record(
        [received(failure(callid=f"f-{n}", code=8 + n % 2), channel="ab"[n % 3 == 0], after_s=n) for n in range(12)]
    )
    for n in range(12):
        delivery_helpers.annotate(ledger, f"f-{n}", channel="ab"[n % 3 == 0], reference=f"order-{(n + 1) % 2}")
    found = everything(ledger, CallFilter(**asked))
    assert [call.callid for call in found] == [f"f-{n}" for n in range(10, -1, -2)]
    page = ledger.calls(CallFilter(**asked), None, 4)
    assert [*page.items, *ledger.calls(CallFilter(**asked), page.next_cursor, 4).items] == found
    since = NOON + timedelta(seconds=4)
    for more, kept in (
        ({"channel": "b"}, ["f-6", "f-0"]),
        ({"mobile": "13788888888"}, [call.callid for call in found]),
        ({"outcome": Outcome.ANSWERED}, []),
        ({"kind": CallbackKind.FAILURE, "since": since, "until": since + timedelta(seconds=5)}, ["f-8", "f-6", "f-4"]),
        ({"failure_code": 8, "reference": "order-1", "mobile": "13788888888"}, [call.callid for call in found]),
    ):
        assert [call.callid for call in everything(ledger, CallFilter(**(asked | more)))] == kept


def test_an_hour_without_calls_is_in_the_trend(ledger: Ledger) -> None:
    """The trend has every hour and every day of its range."""
    ledger.record([received(status())])
    found = ledger.statistics(HourRange(since=NOON - timedelta(hours=3), until=NOON + timedelta(hours=3)))
    assert [counted.calls for counted in found.by_hour().values()] == [0, 0, 0, 1, 0, 0]
    assert list(found.by_day(UTC)) == [datetime(2026, 5, 1, tzinfo=UTC)]
    assert found.by_weekday(UTC)[4][12].answer_rate == 1
