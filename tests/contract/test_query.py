import json
from base64 import urlsafe_b64encode
from datetime import timedelta
from functools import partial
from itertools import count

import msgspec
import pytest
from builders import NOON, failure, key_press, received, rejected, status, unanswered
from contract.backends import few_examples
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from answerback.domain.models import Call, CallbackKind, Outcome
from answerback.errors import InvalidCursor
from answerback.exports import Dataset, Export, FileFormat
from answerback.exports.write import iter_export
from answerback.ledger import Ledger
from answerback.ledger.read.calls import CallFilter, count_calls
from answerback.ledger.tables import calls

fresh = count()


def all_pages(ledger: Ledger, wanted: CallFilter, limit: int) -> list[Call]:
    """Every call that `wanted` lets through, page by page."""
    calls: list[Call] = []
    cursor = None
    while True:
        page = ledger.calls(wanted, cursor, limit)
        assert len(page.items) <= limit
        assert page.items or cursor is None
        calls += page.items
        cursor = page.next_cursor
        if cursor is None:
            return calls


def callids(calls: list[Call]) -> list[str]:
    """Their callids, in order."""
    return [call.callid for call in calls]


def test_an_empty_ledger_is_one_empty_page(ledger: Ledger) -> None:
    """Nothing there is an empty page without a cursor, however it is asked for."""
    for wanted in (None, CallFilter(), CallFilter(mobile="13788888888", channel="default", since=NOON)):
        page = ledger.calls(wanted)
        assert (page.items, page.next_cursor) == ([], None)


@given(st.lists(st.integers(-3, 3), max_size=12), st.integers(1, 14))
@few_examples()
def test_pages_hold_every_call_once_newest_first(ledger: Ledger, seconds: list[int], limit: int) -> None:
    """Pages of any size have no gaps and no doubles; among calls of one time the later stored is first."""
    channel = f"channel-{next(fresh)}"
    items = [received(status(callid=f"call-{n}"), channel=channel, after_s=s) for n, s in enumerate(seconds)]
    for item in items:
        ledger.record([item])
    found = all_pages(ledger, CallFilter(channel=channel), limit)
    expected = sorted(range(len(seconds)), key=lambda n: (seconds[n], n), reverse=True)
    assert callids(found) == [f"call-{n}" for n in expected]


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_the_last_page_has_no_cursor(ledger: Ledger, extra: int) -> None:
    """A full last page is not followed by an empty one."""
    ledger.record([received(status(callid=f"call-{n}")) for n in range(4 + extra)])
    page = ledger.calls(limit=4)
    assert (len(page.items), page.next_cursor is None) == (min(4, 4 + extra), extra <= 0)


def test_new_calls_do_not_move_the_pages(ledger: Ledger) -> None:
    """Who pages on while calls come in sees neither a call twice nor a gap."""
    ledger.record([received(status(callid=f"call-{n}"), after_s=n) for n in range(6)])
    first = ledger.calls(limit=3)
    ledger.record([received(status(callid=f"new-{n}"), after_s=60 + n) for n in range(3)])
    second = ledger.calls(cursor=first.next_cursor, limit=3)
    assert callids([*first.items, *second.items]) == [f"call-{n}" for n in reversed(range(6))]


def test_a_cursor_outlives_its_call_s_changes(ledger: Ledger) -> None:
    """A call that is updated keeps its place: what counts is when it was first seen."""
    ledger.record([received(unanswered(callid=f"call-{n}"), after_s=n) for n in range(4)])
    first = ledger.calls(limit=2)
    ledger.record([received(status(callid=f"call-{n}"), after_s=60) for n in range(4)])
    assert callids(ledger.calls(cursor=first.next_cursor, limit=2).items) == ["call-1", "call-0"]


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "MQ", "13788888888", "....", "é", "\ud800", "=" * 5, "A" * 9000]
    + [
        urlsafe_b64encode(text).decode()
        for text in (b"1.", b".1", b"-1.1", b"1.-1", b"1.9223372036854775808", b"a.b", b"1.2.3", b"\xff.1")
    ],
)
def test_a_cursor_of_nobody_s_is_refused(ledger: Ledger, cursor: str) -> None:
    """Whatever is no cursor of a former page is refused as such, in every list."""
    ledger.record([received(status()), rejected(b"{")])
    with pytest.raises(InvalidCursor, match=r"^cursor: "):
        ledger.calls(cursor=cursor)
    with pytest.raises(InvalidCursor, match=r"^cursor: "):
        ledger.quarantined(cursor=cursor)


@given(st.text(max_size=30))
def test_any_text_is_a_cursor_or_refused(ledger: Ledger, cursor: str) -> None:
    """Whatever the cursor, the outcome is a page or InvalidCursor."""
    try:
        ledger.calls(cursor=cursor)
    except InvalidCursor:
        return


@pytest.fixture
def mixed(ledger: Ledger) -> Ledger:
    """A ledger with calls of several channels, kinds, outcomes and numbers, a second apart."""
    ledger.record(
        [
            received(status(callid="answered"), after_s=0),
            received(unanswered(callid="unanswered"), after_s=1),
            received(failure(callid="failed"), after_s=2),
            received(key_press(callid="pending"), after_s=3),
            received(status(callid="code", kind=CallbackKind.CODE, mobile="13800000000"), channel="codes", after_s=4),
            received(unanswered(callid="elsewhere", kind=CallbackKind.CODE), channel="codes", after_s=5),
        ]
    )
    return ledger


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (CallFilter(), ["elsewhere", "code", "pending", "failed", "unanswered", "answered"]),
        (CallFilter(channel="codes"), ["elsewhere", "code"]),
        (CallFilter(channel="nobody"), []),
        (CallFilter(outcome=Outcome.ANSWERED), ["code", "answered"]),
        (CallFilter(outcome=Outcome.PENDING), ["pending"]),
        (CallFilter(outcome=Outcome.FAILED), ["failed"]),
        (CallFilter(outcome=Outcome.UNANSWERED), ["elsewhere", "unanswered"]),
        (CallFilter(kind=CallbackKind.PROMPT), ["unanswered", "answered"]),
        (CallFilter(kind=CallbackKind.CODE), ["elsewhere", "code"]),
        (CallFilter(kind=CallbackKind.KEY), ["pending"]),
        (CallFilter(kind=CallbackKind.FAILURE), ["failed"]),
        (CallFilter(mobile="13788888888"), ["elsewhere", "pending", "failed", "unanswered", "answered"]),
        (CallFilter(mobile="13800000000"), ["code"]),
        (CallFilter(mobile="1380000000"), []),
        (CallFilter(mobile="138%"), []),
        (CallFilter(mobile=""), []),
        (CallFilter(mobile="13788888888", outcome=Outcome.UNANSWERED, channel="codes"), ["elsewhere"]),
        (CallFilter(mobile="13800000000", outcome=Outcome.UNANSWERED), []),
        (CallFilter(since=NOON + timedelta(seconds=4)), ["elsewhere", "code"]),
        (CallFilter(since=NOON + timedelta(seconds=4, microseconds=1)), ["elsewhere"]),
        (CallFilter(until=NOON + timedelta(seconds=1)), ["answered"]),
        (CallFilter(until=NOON + timedelta(seconds=1, microseconds=1)), ["unanswered", "answered"]),
        (CallFilter(until=NOON), []),
        (CallFilter(since=NOON + timedelta(seconds=2), until=NOON + timedelta(seconds=4)), ["pending", "failed"]),
        (CallFilter(since=NOON + timedelta(seconds=2), until=NOON + timedelta(seconds=2)), []),
        (CallFilter(kind=CallbackKind.CODE, outcome=Outcome.ANSWERED, since=NOON), ["code"]),
    ],
)
def test_a_filter_lets_through_what_matches_in_every_field(
    mixed: Ledger, wanted: CallFilter, expected: list[str]
) -> None:
    """All given fields must match; `since` is included, `until` is not; a number is whole."""
    assert callids(mixed.calls(wanted).items) == expected
    assert callids(all_pages(mixed, wanted, limit=1)) == expected


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        *(
            (typed, "cn-whole cn-plus cn-zeros cn-digits")
            for typed in ("13788888888", "+8613788888888", "8613788888888")
        ),
        *((typed, "cn-whole cn-plus cn-zeros cn-digits") for typed in ("0086 137 8888 8888", "137-8888-8888")),
        *((typed, "landline") for typed in ("0755 83763333", "+8675583763333", "(0755) 8376-3333")),
        *((typed, "hongkong") for typed in ("+85291234567", "00852 9123 4567", "85291234567", " 85291234567")),
        ("+6591234567", "singapore"),
        ("91234567", "singapore hongkong"),
        ("95000", "short"),
        ("13xxxxxxxxx", "example"),
    ],
)
def test_a_number_is_found_however_it_is_spelled(ledger: Ledger, typed: str, expected: str) -> None:
    """As it was received or as somebody types it, with its country or without, and no other country's number."""
    reported = {
        "cn-digits": ("86", "8613788888888"),
        "cn-zeros": ("0086", "008613788888888"),
        "cn-plus": ("86", "+8613788888888"),
        "cn-whole": ("86", "13788888888"),
        "landline": ("86", "075583763333"),
        "hongkong": ("852", "91234567"),
        "singapore": ("+65", "91234567"),
        "short": ("86", "95000"),
        "example": ("86", "13xxxxxxxxx"),
    }
    ledger.record(
        [
            received(status(callid=name, nationcode=code, mobile=mobile), after_s=n)
            for n, (name, (code, mobile)) in enumerate(reported.items())
        ]
    )
    wanted = CallFilter(mobile=typed)
    assert callids(ledger.calls(wanted).items) == expected.split()
    assert callids(all_pages(ledger, wanted, limit=1)) == expected.split()
    export = Export.of(Dataset.CALLS, FileFormat.NDJSON, {"mobile": typed}, full_numbers=True)
    lines = b"".join(chunk.data for chunk in iter_export(ledger, export)).splitlines()
    assert [json.loads(line)["callid"] for line in lines] == expected.split()[::-1]
    assert ledger.read(partial(count_calls, filters=wanted)) == len(expected.split())


def test_a_filter_follows_the_record(mixed: Ledger) -> None:
    """A call is found by what is known of it now."""
    mixed.record([received(status(callid="pending", mobile="13900000000"), after_s=60)])
    assert callids(mixed.calls(CallFilter(outcome=Outcome.PENDING)).items) == []
    assert callids(mixed.calls(CallFilter(mobile="13900000000")).items) == ["pending"]
    assert "pending" not in callids(mixed.calls(CallFilter(mobile="13788888888")).items)
    assert "pending" in callids(mixed.calls(CallFilter(kind=CallbackKind.PROMPT, outcome=Outcome.ANSWERED)).items)


def test_a_number_is_found_wherever_its_calls_lie(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A number's calls are found in the oldest block of calls, in the newest, and on both sides of a border.

    A block is so many calls, or where there are months, one: the calls are in three of either.
    """
    size, hours = 62, timedelta(hours=12)
    monkeypatch.setattr("answerback.ledger.backends.postgresql.partition_ids.CALLS_PER_BLOCK", size)
    total = 2 * size + 3
    ours = {1, 2, size - 2, size - 1, size, 2 * size - 1, total - 1}
    blank = status(mobile="13800000000")
    ledger.record(
        [
            received(
                status(callid=f"call-{n}") if n in ours else msgspec.structs.replace(blank, callid=f"call-{n}"),
                after_s=n * hours.total_seconds(),
            )
            for n in range(total)
        ]
    )
    assert ledger.read(lambda c: c.execute(select(func.count(calls.c.mobile_block.distinct()))).scalar_one()) == 3
    expected = [f"call-{n}" for n in sorted(ours, reverse=True)]
    assert callids(ledger.calls(CallFilter(mobile="13788888888")).items) == expected
    assert callids(all_pages(ledger, CallFilter(mobile="13788888888"), limit=2)) == expected
    window = CallFilter(mobile="13788888888", since=NOON + 2 * hours, until=NOON + (total - 1) * hours)
    assert callids(all_pages(ledger, window, limit=3)) == [
        f"call-{n}" for n in sorted(ours - {1, total - 1}, reverse=True)
    ]
    assert len(all_pages(ledger, CallFilter(mobile="13800000000"), limit=50)) == total - len(ours)


@pytest.mark.parametrize("channels", [3, 101])
def test_a_filter_serves_few_channels_and_many(ledger: Ledger, channels: int) -> None:
    """Pages of a kind are the same whether its calls lie in a few classes or in more than are read one by one."""
    ledger.record(
        [received(status(callid=f"call-{n}"), channel=f"channel-{n % channels}", after_s=n) for n in range(150)]
    )
    ledger.record([received(failure(callid=f"lost-{n}"), channel=f"channel-{n}", after_s=n) for n in range(channels)])
    found = all_pages(ledger, CallFilter(kind=CallbackKind.PROMPT), 40)
    assert callids(found) == [f"call-{n}" for n in reversed(range(150))]
