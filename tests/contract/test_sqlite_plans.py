"""What only SQLite tells: by which index each statement goes."""

from collections.abc import Iterator
from datetime import timedelta

import msgspec
import pytest
from builders import ADMIN, NOON, failure, key_press, received, rejected, status, unanswered, wire
from contract import delivery_helpers
from contract.backends import Store, new_store
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection

from answerback.alerts.measurement import MeasureContext, measure
from answerback.domain.alert_rules import (
    AnswerRateRule,
    BaseRule,
    CountRule,
    EndpointRule,
    FailuresRule,
    FeesRule,
    OverdueRule,
    QuarantineRule,
)
from answerback.domain.endpoints import Endpoint, PayloadFormat
from answerback.domain.models import CallbackKind, Outcome
from answerback.domain.retention import RetentionPolicy
from answerback.ledger import Ledger
from answerback.ledger.commands import Prune
from answerback.ledger.read.calls import CallFilter
from answerback.ledger.write import delivery_jobs
from answerback.ledger.write.retention import PrunePosition

PLANNED = ("SELECT", "WITH", "UPDATE", "DELETE")


class Watched:
    """A store and the statements that its driver ran."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._statements: list[str] = []
        store.ledger.engine.dispose()
        event.listen(store.ledger.engine, "connect", self._watch)

    @property
    def ledger(self) -> Ledger:
        """The ledger on it."""
        return self.store.ledger

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
        self.forget()
        return steps

    def forget(self) -> None:
        """Begin anew with what comes."""
        self._statements.clear()


@pytest.fixture(scope="module")
def shared() -> Iterator[Watched]:
    """A store for one test of this module after the other."""
    watched = Watched(new_store("sqlite"))
    yield watched
    watched.store.close()


@pytest.fixture
def watched(shared: Watched) -> Iterator[Watched]:
    """A ledger with a few calls of two channels."""
    ledger = shared.ledger
    ledger.record([received(status(callid=f"call-{n}"), channel="ab"[n % 2], after_s=n) for n in range(20)])
    ledger.record([rejected(b"{"), rejected(wire(status()))])
    shared.forget()
    yield shared
    assert shared.store.empty()


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
    assert [step for step in plans if step.startswith("SEARCH callbacks") and "call_id=? AND fingerprint=?" in step]
    assert [step for step in plans if step.startswith("SEARCH quarantine") and "digest=?" in step]
    assert unindexed(plans) == []


def test_the_size_of_the_quarantine_is_summed_without_its_bodies(watched: Watched) -> None:
    """By an index that has nothing but sizes."""
    watched.ledger.quarantine_size()
    assert watched.plans() == ["SCAN quarantine USING COVERING INDEX ix_quarantine_size_bytes"]


def test_reading_once_more_goes_by_index(watched: Watched) -> None:
    """One body out of many is found by its id."""
    (good,) = [body.id for body in watched.ledger.quarantined().items if body.size_bytes > 1]
    watched.forget()
    watched.ledger.requeue(good, ADMIN)
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
        CallFilter(kind=CallbackKind.PROMPT),
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
    watched.forget()
    watched.ledger.calls(cursor=page.next_cursor, limit=2)
    assert watched.plans() == ["SEARCH calls USING INDEX ix_calls_first_seen_us_id (first_seen_us<?)"]


@pytest.mark.parametrize("channel", [None, "a"])
def test_a_number_is_looked_up_in_each_block(watched: Watched, channel: str | None) -> None:
    """The calls of a number are found by the index of blocks and numbers, one probe a block."""
    wanted = CallFilter(mobile="13788888888", channel=channel)
    page = watched.ledger.calls(wanted, None, 2)
    watched.ledger.calls(wanted, page.next_cursor, 2)
    plans = watched.plans()
    assert [step for step in plans if "ix_calls_mobile_block_mobile (mobile_block=? AND mobile=?)" in step]
    assert unindexed(plans) == []


# What is owed


@pytest.fixture(params=["ix_deliveries_endpoint_id_id", "ix_deliveries_d", "ix_deliveries_b"])
def outbox_writer(request: pytest.FixtureRequest, watched: Watched) -> Watched:
    """The same with two endpoints that are owed statuses in every state, and calls with due times.

    Where two indexes are as good, SQLite takes the one that was made last; SQLAlchemy makes them in any order.
    """
    make_last(watched.ledger, request.param)
    ledger = watched.ledger
    to, other = (
        delivery_helpers.endpoint(ledger, "to", channel="a", notify_on_update=True),
        delivery_helpers.endpoint(ledger, "other", channel="b"),
    )
    for said in (unanswered, key_press, failure):
        ledger.record([received(said(callid=f"owed-{n}"), channel="ab"[n % 2]) for n in range(40)])
    jobs = delivery_helpers.load(ledger, to)
    delivery_helpers.accept(ledger, *jobs[:5])
    delivery_helpers.exhaust(ledger, *jobs[5:10])
    delivery_helpers.refuse(ledger, *delivery_helpers.load(ledger, other)[:5], due_s=60)
    for n in range(10):
        delivery_helpers.annotate(ledger, f"awaited-{n}", channel="a", due_at=delivery_helpers.at(n))
    watched.forget()
    return watched


def make_last(ledger: Ledger, prefix: str) -> None:
    """Make the indexes of these names anew, so that they are the last."""
    with ledger.engine.execution_options(writes=True).begin() as connection:
        made = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND substr(name, 1, length(?)) = ?"
        for name, sql in connection.exec_driver_sql(made, (prefix, prefix)).all():
            connection.exec_driver_sql(f"DROP INDEX {name}")
            connection.exec_driver_sql(sql)


def to_of(watched: Watched) -> Endpoint:
    """The endpoint that the statements are about."""
    (to,) = (to for to in delivery_helpers.known(watched.ledger) if to.name == "to")
    watched.forget()
    return to


def steps_on(plans: list[str], table: str) -> list[str]:
    """The steps that read a table."""
    return [step for step in plans if step.startswith((f"SCAN {table}", f"SEARCH {table}"))]


def walked(plans: list[str]) -> list[str]:
    """The steps that walk a table that grows, or sort what they found."""
    tables = ("calls", "callbacks", "deliveries", "attempts")
    return [
        step for step in plans if step.startswith(tuple(f"SCAN {table}" for table in tables)) or "TEMP B-TREE" in step
    ]


def test_enqueuing_looks_everything_up_by_index(outbox_writer: Watched) -> None:
    """Enqueueing a batch costs the same however much is pending: only the pending ones of its calls are read."""
    outbox_writer.ledger.record_batch([received(status(callid=f"owed-{n}"), channel="ab"[n % 2]) for n in range(10)])
    plans = outbox_writer.plans()
    assert [step for step in steps_on(plans, "deliveries") if "ix_deliveries_call_due (call_id=? AND state=?" in step]
    assert walked(plans) == []


@pytest.mark.parametrize("format_", PayloadFormat)
def test_what_is_due_is_read_in_the_order_of_its_index(outbox_writer: Watched, format_: PayloadFormat) -> None:
    """Jobs come from the index of what is pending, sorted as they stand there: a dead or waiting one costs nothing."""
    to = to_of(outbox_writer)
    delivery_helpers.change(
        outbox_writer.ledger, msgspec.structs.replace(to, config=msgspec.structs.replace(to.config, format=format_))
    )
    outbox_writer.forget()
    assert delivery_helpers.load(outbox_writer.ledger, to, limit=3)
    plans = outbox_writer.plans()
    assert steps_on(plans, "deliveries") == [
        "SEARCH deliveries USING INDEX ix_deliveries_due (endpoint_id=? AND due_us<?)"
    ]
    assert walked(plans) == []


def test_the_next_due_time_is_one_step_into_the_index(outbox_writer: Watched) -> None:
    """It is the first behind those that are due."""
    to = to_of(outbox_writer)
    outbox_writer.ledger.write(lambda c, _: delivery_jobs.next_due_us(c, to.id, delivery_helpers.us(0)))
    (step,) = steps_on(outbox_writer.plans(), "deliveries")
    assert "INDEX ix_deliveries_due (endpoint_id=? AND due_us>?" in step


def test_the_backlog_is_read_from_what_is_pending(outbox_writer: Watched) -> None:
    """A restart reads what is pending, not what was ever delivered."""
    outbox_writer.ledger.write(lambda c, _: delivery_jobs.next_due_by_endpoint(c))
    (step,) = steps_on(outbox_writer.plans(), "deliveries")
    assert step.startswith("SCAN deliveries USING")
    assert step.endswith("INDEX ix_deliveries_due")


def test_what_was_added_is_read_from_where_it_begins(outbox_writer: Watched) -> None:
    """What another process added costs what it added."""
    outbox_writer.ledger.write(lambda c, _: delivery_jobs.pending_since(c, 60, 100))
    plans = steps_on(outbox_writer.plans(), "deliveries")
    assert [step for step in plans if "rowid>?" in step]
    assert [step for step in plans if step.startswith("SCAN")] == []


def test_recording_attempts_looks_everything_up_by_index(outbox_writer: Watched) -> None:
    """The end of an attempt costs the same however much there is: by the delivery's id and by its call."""
    jobs = delivery_helpers.load(outbox_writer.ledger, to_of(outbox_writer))
    outbox_writer.forget()
    delivery_helpers.accept(outbox_writer.ledger, *jobs[:2])
    delivery_helpers.exhaust(outbox_writer.ledger, *jobs[2:4])
    delivery_helpers.refuse(outbox_writer.ledger, *jobs[4:6])
    plans = outbox_writer.plans()
    assert [step for step in plans if "ix_deliveries_call_due (call_id=? AND state=? AND endpoint_id=?)" in step]
    assert [step for step in plans if "ix_deliveries_call_blocked (call_id=? AND endpoint_id=? AND state=?)" in step]
    assert [step for step in plans if step == "SEARCH deliveries USING INTEGER PRIMARY KEY (rowid=?)"]
    assert walked(plans) == []


def test_what_is_too_old_is_found_by_index(outbox_writer: Watched) -> None:
    """A step costs the same however much there is: the oldest calls come from the index of times, what is theirs from its own."""
    delivery_helpers.accept_everything(outbox_writer.ledger, delivery_helpers.known(outbox_writer.ledger)[0])
    cutoffs = RetentionPolicy(calls_days=1, quarantine_days=1, audit_days=1).cutoffs(NOON + timedelta(days=90))
    outbox_writer.forget()
    position: PrunePosition | None = PrunePosition()
    while position is not None:
        position = Prune(cutoffs, position, insists=True).run(outbox_writer.ledger).position
    plans = outbox_writer.plans()
    assert [step for step in plans if step.startswith("SEARCH calls USING COVERING INDEX ix_calls_first_seen_us_id")]
    assert [step for step in plans if step.startswith("SEARCH attempts USING") and "delivery_id=?" in step]
    tables = ("calls", "callbacks", "deliveries", "attempts", "pruned_calls")
    assert [step for step in plans if step.startswith(tuple(f"SCAN {table}" for table in tables))] == []


def test_referring_to_a_call_goes_by_index(outbox_writer: Watched) -> None:
    """An annotation costs the same however many calls there are and however much is pending."""
    delivery_helpers.annotate(outbox_writer.ledger, "owed-0", channel="a", reference="order-17")
    delivery_helpers.annotate(outbox_writer.ledger, "never-seen", channel="a", reference="order-18")
    plans = outbox_writer.plans()
    assert steps_on(plans, "deliveries")
    assert walked(plans) == []


def test_overdue_calls_are_read_from_those_awaited(outbox_writer: Watched) -> None:
    """By their due time, in its order: calls that are done or not awaited cost nothing."""
    assert delivery_helpers.record_overdue(outbox_writer.ledger, at_s=3, limit=2).count == 2
    plans = outbox_writer.plans()
    assert len([step for step in steps_on(plans, "calls") if "INDEX ix_calls_due (due_us" in step]) == 2
    assert walked(plans) == []


def test_the_dead_are_read_from_their_index(outbox_writer: Watched) -> None:
    """Counted and replayed in the order of their ids, part by part; the rest costs nothing."""
    to = to_of(outbox_writer)
    count, until_id = delivery_helpers.dead_of(outbox_writer.ledger, to)
    assert count == 5
    (step,) = steps_on(outbox_writer.plans(), "deliveries")
    assert "INDEX ix_deliveries_dead (endpoint_id=?" in step
    delivery_helpers.replay_dead(outbox_writer.ledger, to, cursor="1", until_id=until_id, limit=2)
    plans = outbox_writer.plans()
    assert [step for step in plans if "ix_deliveries_dead (endpoint_id=?" in step and "id>? AND id<?)" in step]
    assert walked(plans) == []


def test_a_delivery_is_replayed_by_index(outbox_writer: Watched) -> None:
    """One is found by its id, and what is pending of its call by the call."""
    delivery_helpers.replay_one(outbox_writer.ledger, delivery_helpers.undelivered(outbox_writer.ledger)[0].id)
    plans = [step for step in outbox_writer.plans() if "deliveries" in step]
    assert [step for step in plans if "ix_deliveries_call_due (call_id=? AND state=?)" in step]


def test_calls_are_replayed_by_index(outbox_writer: Watched) -> None:
    """A page of calls and their deliveries: each call by its own place in the index."""
    to = to_of(outbox_writer)
    delivery_helpers.replay_calls(outbox_writer.ledger, to, limit=5)
    plans = outbox_writer.plans()
    assert [step for step in steps_on(plans, "deliveries") if "ix_deliveries_call_due (call_id=? AND state=?" in step]
    assert [step for step in plans if step.startswith(("SCAN deliveries", "SCAN callbacks"))] == []


def test_deliveries_to_a_removed_endpoint_are_cancelled_by_index(outbox_writer: Watched) -> None:
    """Some of it at a time, without reading the deliveries of others."""
    to = to_of(outbox_writer)
    delivery_helpers.remove(outbox_writer.ledger, to)
    outbox_writer.forget()
    assert delivery_helpers.cancel_deliveries(outbox_writer.ledger, to, 20) == 20
    plans = outbox_writer.plans()
    assert [step for step in plans if "ix_deliveries_blocked (endpoint_id=?" in step]
    assert [step for step in plans if "ix_deliveries_due (endpoint_id=?" in step]
    assert walked(plans) == []


# What alerts go by


def looked(watched: Watched, rule: BaseRule) -> list[str]:
    """The steps of one look at a rule."""
    watched.ledger.read(lambda connection: measure(rule, MeasureContext(connection, ("a", "b"), NOON)))
    return watched.plans()


@pytest.mark.parametrize("channel", [None, "a"])
def test_an_answer_rate_is_read_from_the_end_of_each_class(outbox_writer: Watched, channel: str | None) -> None:
    """The newest of each channel, kind and outcome, from the index alone: old calls and those that pend cost nothing."""
    plans = looked(outbox_writer, AnswerRateRule(below=0.5, calls=3, channel=channel))
    assert set(plans) == {
        "SEARCH calls USING COVERING INDEX ix_calls_class (channel=? AND kind=? AND outcome=?)",
    }


@pytest.mark.parametrize("channel", [None, "a"])
@pytest.mark.parametrize(
    ("rule", "step"),
    [
        (FailuresRule, "calls USING INDEX ix_calls_failure (failure_code=? AND first_seen_us>?)"),
        (FeesRule, "calls USING INDEX ix_calls_fee (first_seen_us>?)"),
        (OverdueRule, "calls USING INDEX ix_calls_overdue (overdue_us>?)"),
        (QuarantineRule, "quarantine USING INDEX ix_quarantine_received_us_id (received_us>?)"),
    ],
)
def test_a_count_reads_what_is_within_its_time(
    outbox_writer: Watched, rule: type[CountRule], step: str, channel: str | None
) -> None:
    """From an index that has nothing else in it: a look costs what it counts."""
    codes = {"codes": (8, 15)} if rule is FailuresRule else {}
    plans = [
        one for one in looked(outbox_writer, rule(channel=channel, **codes)) if "calls" in one or "quarantine" in one
    ]
    assert [one.replace("COVERING INDEX", "INDEX") for one in plans] == [f"SEARCH {step}"]


def test_the_health_of_an_endpoint_is_read_from_its_backlog(outbox_writer: Watched) -> None:
    """Its pending and its dead deliveries, each from their own index: what was delivered costs nothing."""
    plans = looked(outbox_writer, EndpointRule(dead=5))
    assert walked(plans) == []
    plans = steps_on(plans, "deliveries")
    assert {step.partition(" (")[0].replace("COVERING ", "") for step in plans} == {
        "SEARCH deliveries USING INDEX ix_deliveries_due",
        "SEARCH deliveries USING INDEX ix_deliveries_dead",
    }
