"""What only SQLite tells: by which index each statement goes."""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from builders import NOON, failure, key_press, received, rejected, status, wire
from contract.backends import sqlite
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection

from answerback.ledger import Ledger
from answerback.ledger.query import CallFilter
from answerback.model import Kind, Outcome

PLANNED = ("SELECT", "WITH", "UPDATE", "DELETE")


class Watched:
    """A ledger and the statements that its driver ran."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._statements: list[str] = []
        ledger.engine.dispose()
        event.listen(ledger.engine, "connect", self._watch)

    def _watch(self, connection: DBAPIConnection, _record: object) -> None:
        connection.set_trace_callback(self._statements.append)

    def plans(self) -> list[str]:
        """Every step of every statement since the last time."""
        statements = dict.fromkeys(text for text in self._statements if text.lstrip().startswith(PLANNED))
        with self.ledger.engine.connect() as connection:
            steps = [
                step[3]
                for text in statements
                for step in connection.connection.cursor().execute(f"EXPLAIN QUERY PLAN {text}")
            ]
        self._statements.clear()
        return steps


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """A ledger with a few calls of two channels."""
    with closing(sqlite(tmp_path)()) as ledger:
        watched = Watched(ledger)
        ledger.record([received(status(callid=f"call-{n}"), channel="ab"[n % 2], after_s=n) for n in range(20)])
        ledger.record([rejected(b"{"), rejected(wire(status()))])
        watched.plans()
        yield watched


def unindexed(plans: list[str]) -> list[str]:
    """The steps that walk a whole table of calls or callbacks."""
    return [step for step in plans if step.startswith(("SCAN calls", "SCAN callbacks"))]


def test_recording_looks_everything_up_by_index(watched: Watched) -> None:
    """What a batch costs does not grow with what is stored: news, repeats, revisions, refused bodies."""
    known = [received(status(callid=f"call-{n}"), channel="ab"[n % 2]) for n in range(20)]
    news = [received(failure(callid=f"call-{n}"), channel="ab"[n % 2]) for n in range(30)]
    watched.ledger.record([*known, *news, received(key_press()), rejected(b"{")])
    plans = watched.plans()
    assert [
        step for step in plans if step.startswith("SEARCH calls USING INDEX") and "channel=? AND call_key=?" in step
    ]
    assert [step for step in plans if step.startswith("SEARCH callbacks") and "call_id=? AND identity=?" in step]
    assert [step for step in plans if step.startswith("SEARCH quarantine") and "digest=?" in step]
    assert unindexed(plans) == []


def test_reading_once_more_goes_by_index(watched: Watched) -> None:
    """One body out of many is found by its id."""
    (good,) = [body.id for body in watched.ledger.quarantined().items if body.size_bytes > 1]
    watched.plans()
    watched.ledger.requeue(good)
    assert [step for step in watched.plans() if step.startswith("SCAN") and "quarantine" in step] == []


@pytest.mark.parametrize("channel", [None, "b"])
def test_a_call_is_found_by_index(watched: Watched, channel: str | None) -> None:
    """One call and its callbacks, with the channel named or not."""
    watched.ledger.callbacks("call-1", channel)
    plans = watched.plans()
    assert [step for step in plans if step.startswith("SEARCH calls") and "channel=? AND call_key=?" in step]
    assert [step for step in plans if step.startswith("SEARCH callbacks") and "call_id=?" in step]
    assert unindexed(plans) == []


@pytest.mark.parametrize(
    "wanted",
    [
        CallFilter(),
        CallFilter(since=NOON + timedelta(seconds=3)),
        CallFilter(until=NOON + timedelta(seconds=9)),
    ],
)
def test_a_page_is_read_in_the_order_of_the_index(watched: Watched, wanted: CallFilter) -> None:
    """A page walks the index of times and sorts nothing: it costs the same however many calls there are."""
    page = watched.ledger.calls(wanted, None, 2)
    watched.ledger.calls(wanted, page.next_cursor, 2)
    plans = watched.plans()
    assert [step for step in plans if "ix_calls_first_seen_us_id" not in step] == []


@pytest.mark.parametrize(
    "wanted",
    [
        CallFilter(outcome=Outcome.ANSWERED),
        CallFilter(outcome=Outcome.FAILED),
        CallFilter(kind=Kind.PROMPT),
        CallFilter(channel="a"),
        CallFilter(channel="a", outcome=Outcome.ANSWERED),
        CallFilter(channel="a", since=NOON + timedelta(seconds=3), until=NOON + timedelta(seconds=9)),
    ],
)
def test_a_page_of_a_class_is_read_from_its_end(watched: Watched, wanted: CallFilter) -> None:
    """A channel, a kind, an outcome: each class goes by its own place in the index, a rare one like a common one."""
    page = watched.ledger.calls(wanted, None, 2)
    watched.ledger.calls(wanted, page.next_cursor, 2)
    steps = [step for step in watched.plans() if "calls" in step]
    seeks = ("channel=? AND kind=? AND outcome>?", "channel=? AND kind>?", "channel>?")
    probes = [step for step in steps if step.endswith(tuple(f"ix_calls_class ({seek})" for seek in seeks))]
    reads = [step for step in steps if "ix_calls_class (channel=? AND kind=? AND outcome=?" in step]
    assert probes
    assert bool(reads) == bool(page.items)
    assert len(probes) + len(reads) == len(steps)


def test_the_next_page_starts_where_the_last_one_ended(watched: Watched) -> None:
    """A cursor is a place in the index, not rows to skip."""
    page = watched.ledger.calls(limit=2)
    watched.plans()
    watched.ledger.calls(cursor=page.next_cursor, limit=2)
    assert watched.plans() == ["SEARCH calls USING INDEX ix_calls_first_seen_us_id (first_seen_us<?)"]


@pytest.mark.parametrize("channel", [None, "a"])
def test_a_number_is_looked_up_in_each_block(watched: Watched, channel: str | None) -> None:
    """The calls of a number are found by the index of blocks and numbers, one probe a block."""
    wanted = CallFilter(mobile="13788888888", channel=channel)
    page = watched.ledger.calls(wanted, None, 2)
    watched.ledger.calls(wanted, page.next_cursor, 2)
    plans = watched.plans()
    assert [step for step in plans if "ix_calls_block_mobile (block=? AND mobile=?)" in step]
    assert unindexed(plans) == []
