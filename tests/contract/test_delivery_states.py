"""A model of the outbox beside the real one: whatever happens in whatever order, both say the same.

The model knows no rows and no indexes: a list of what is owed for each call and endpoint, in order.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import Any, TypeVar

import msgspec
import pytest
from builders import AnyCallback, failure, key_press, received, status, unanswered
from contract import delivery_helpers
from contract.backends import BACKENDS, lent_store
from contract.delivery_helpers import D, DeliveryRow, P, W, X, at, us
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import select

from answerback.domain.calls import fold
from answerback.domain.delivery_states import DELIVERY_TRANSITIONS, DeliveryTransition, event_type_for
from answerback.domain.endpoints import DeliveryState, Endpoint, EventType, PayloadFormat
from answerback.domain.models import Call, CallbackKind, Outcome, ParsedCallback
from answerback.errors import StateConflict
from answerback.ledger import Ledger
from answerback.ledger.tables import callbacks
from answerback.ledger.types import AttemptRecord, DeliveryJob

T = TypeVar("T")

CALLIDS = ("a", "b")
LEGAL = {(before, after) for before, row in DELIVERY_TRANSITIONS.items() for after in row.values()}
"""How the state of a delivery may differ before and after one thing happened."""

DEFINITIONS: tuple[dict[str, Any], ...] = (
    {"format": PayloadFormat.STANDARD},
    {"format": PayloadFormat.STANDARD, "notify_on_update": True},
    {"format": PayloadFormat.STANDARD, "notify_on_update": True, "outcomes": (Outcome.ANSWERED, Outcome.FAILED)},
    {"format": PayloadFormat.STANDARD, "failure_codes": (5,)},
    {"format": PayloadFormat.TENCENT},
    {"format": PayloadFormat.TENCENT, "kinds": (CallbackKind.KEY, CallbackKind.FAILURE)},
)
ENDS = (
    (DeliveryTransition.SUCCEEDED, True),
    (DeliveryTransition.ATTEMPT_FAILED, True),
    (DeliveryTransition.ATTEMPT_FAILED, False),
    (DeliveryTransition.EXHAUSTED, True),
)
"""How an attempt ends, and whether a failure counts."""

End = tuple[DeliveryTransition, bool]

SAID: tuple[AnyCallback, ...] = (
    status(),
    unanswered(),
    status(kind=CallbackKind.CODE, fee_minutes=2),
    *[key_press(key=key) for key in "1234567"],
    failure(),
    failure(code=5),
)

Pair = tuple[str, int]
"""A callid and an endpoint's id."""


class Debt:
    """One delivery, as the model has it. `callback` is None for a word about the call."""

    def __init__(
        self, pair: Pair, event: EventType, callback: ParsedCallback | None, state: DeliveryState, due_us: int
    ) -> None:
        self.pair = pair
        self.event = event
        self.callback = callback
        self.state = state
        self.due_us = due_us
        self.attempts = self.failures = self.id = self.reported_us = 0


class Outbox:
    """A model of the outbox, without a store."""

    def __init__(self) -> None:
        self.calls: dict[str, Call] = {}
        self.annotated: dict[str, int] = {}
        self.debts: list[Debt] = []
        self.by_pair: dict[Pair, list[Debt]] = defaultdict(list)
        self.endpoints: dict[int, Endpoint] = {}
        self.wanted: Counter[tuple[bytes, int]] = Counter()

    def hear(self, item: ParsedCallback) -> list[Debt]:
        """A callback comes in."""
        callid = item.callback.callid
        before = self.calls.get(callid)
        after = fold(before, item)
        if after is before:
            return []
        self.calls[callid] = after
        added = []
        for to in sorted(self.endpoints.values(), key=lambda to: to.id):
            if to.config.matches(item.callback.kind, after):
                self.wanted[item.fingerprint, to.id] += 1
                added.append(
                    self.enqueue(
                        (callid, to.id),
                        event_type_for(before, after, item.callback),
                        item,
                        item.received_at.timestamp(),
                    )
                )
        return added

    def enqueue(self, pair: Pair, event: EventType, callback: ParsedCallback | None, now_s: float) -> Debt:
        """One more delivery, behind what is not at its end."""
        state = W if self.active(pair) else P
        debt = Debt(pair, event, callback, state, round(now_s * 1e6))
        self.debts.append(debt)
        self.by_pair[pair].append(debt)
        return debt

    def active(self, pair: Pair) -> list[Debt]:
        """What is not at its end, in order."""
        return [debt for debt in self.by_pair[pair] if debt.state in {W, P}]

    def free(self, pair: Pair, now_us: int) -> list[Debt]:
        """The first that waits goes out where none is pending."""
        open_ = self.active(pair)
        if not open_ or any(debt.state is P for debt in open_):
            return []
        open_[0].state, open_[0].due_us = P, now_us
        return [open_[0]]

    def again(self, debt: Debt, now_us: int) -> None:
        """Told again: behind another one of its call, or at once."""
        debt.failures, debt.due_us = 0, now_us
        if debt.state is not P:
            debt.state = W if self.active(debt.pair) else P

    def due(self, to: Endpoint, now_us: int) -> list[Debt]:
        """What may go out to an endpoint now, in order."""
        pending = [debt for debt in self.debts if debt.pair[1] == to.id and debt.state is P and debt.due_us <= now_us]
        return sorted(pending, key=lambda debt: (debt.due_us, debt.id))


class Deliveries(RuleBasedStateMachine):
    """The real outbox and the model, under the same happenings; jobs in hand are attempts under way."""

    def __init__(self, backend: str) -> None:
        super().__init__()
        self.opened = ExitStack()
        self.store = self.opened.enter_context(lent_store(backend))
        self.ledger = self.open_ledger()
        self.model = Outbox()
        self.hand: dict[int, DeliveryJob] = {}
        self.known: dict[int, tuple[DeliveryState, str]] = {}
        self.message_ids: dict[int, str] = {}
        self.first_attempts: dict[Pair, list[int]] = defaultdict(list)
        self.clock_s = 0
        self.made = 0
        for number in (1, 2, 3):
            self.add_endpoint(number)

    def open_ledger(self) -> Ledger:
        """The ledger, as it is in the store."""
        return self.opened.enter_context(closing(self.store.reopen()))

    # What is asked of both

    def now(self) -> int:
        """Time passes with everything that happens."""
        self.clock_s += 1
        return self.clock_s

    def in_hand(self, jobs: list[DeliveryJob]) -> None:
        """Attempts begin, each delivery's one at a time."""
        for job in jobs:
            assert job.delivery_id not in self.hand
            self.check(job)
            self.hand[job.delivery_id] = job

    def learn_ids(self) -> None:
        """Deliveries enqueued one after the other have rising ids; which ones is the store's affair."""
        for debt, row in zip(self.model.debts, delivery_helpers.undelivered(self.ledger), strict=True):
            assert debt.id in {0, row.id}
            debt.id = row.id

    def debt(self, id_: int) -> Debt:
        """The debt of a delivery's id."""
        return next(debt for debt in self.model.debts if debt.id == id_)

    def check(self, job: DeliveryJob) -> None:
        """A job is what the model says of its delivery: id, failures, words and body."""
        debt = self.debt(job.delivery_id)
        callid, endpoint_id = debt.pair
        assert (job.endpoint_id, job.failed_attempts, debt.state) == (endpoint_id, debt.failures, P)
        assert self.message_ids.setdefault(job.delivery_id, job.message_id) == job.message_id
        assert job.annotated_us == self.model.annotated.get(callid)
        if self.model.endpoints[endpoint_id].config.format is PayloadFormat.TENCENT:
            assert debt.callback is not None
            assert job.body == debt.callback.raw
            return
        body = json.loads(job.body)
        assert body["type"] == f"voice.call.{debt.event}"
        assert body["data"]["call"]["callid"] == callid
        raw = None if debt.callback is None else debt.callback.raw.decode()
        assert (body["data"]["callback"] or {"raw": None})["raw"] == raw

    # What happens

    def add_endpoint(self, number: int) -> None:
        """An endpoint is added, for what comes from now on."""
        self.made += 1
        to = delivery_helpers.endpoint(self.ledger, f"{'zyxw'[self.made % 4]}-{self.made}", **DEFINITIONS[number])
        self.model.endpoints[to.id] = to

    @rule(said=st.lists(st.tuples(st.sampled_from(CALLIDS), st.sampled_from(SAID)), min_size=1, max_size=4))
    def callbacks_come_in(self, said: list[tuple[str, AnyCallback]]) -> None:
        """News, repeats, revisions, key presses and failures, in one batch."""
        now_s = self.now()
        items = [received(msgspec.structs.replace(callback, callid=callid), after_s=now_s) for callid, callback in said]
        added = [debt for item in items for debt in self.model.hear(item)]
        jobs = self.ledger.record_batch(items).jobs
        self.learn_ids()
        expected = [debt.id for debt in added if debt.state is P and self.model.endpoints[debt.pair[1]].enabled]
        assert [job.delivery_id for job in jobs] == expected
        self.in_hand(jobs)

    @precondition(lambda self: self.model.endpoints)
    @rule(data=st.data(), limit=st.integers(1, 5))
    def take_what_is_due(self, data: st.DataObject, limit: int) -> None:
        """An endpoint that is on asks for more than it has in hand."""
        to = self.one_of(data, [to for to in self.model.endpoints.values() if to.enabled])
        if to is None:
            return
        now_s = self.now()
        jobs = delivery_helpers.load(self.ledger, to, at_s=now_s, limit=limit)
        assert [job.delivery_id for job in jobs] == [debt.id for debt in self.model.due(to, us(now_s))[:limit]]
        self.in_hand([job for job in jobs if job.delivery_id not in self.hand])

    @precondition(lambda self: self.hand)
    @rule()
    def everything_is_accepted(self) -> None:
        """All attempts under way end well, in one transaction."""
        self.attempts_end(dict.fromkeys(self.hand, ENDS[0]), 0)

    @precondition(lambda self: self.hand)
    @rule(data=st.data(), end=st.sampled_from(ENDS), pause_s=st.sampled_from([0, 1, 5]))
    def an_attempt_ends(self, data: st.DataObject, end: End, pause_s: int) -> None:
        """One attempt ends, the others go on."""
        self.attempts_end({data.draw(st.sampled_from(list(self.hand))): end}, pause_s)

    @precondition(lambda self: self.hand)
    @rule(data=st.data(), pause_s=st.sampled_from([0, 5]))
    def some_attempts_end(self, data: st.DataObject, pause_s: int) -> None:
        """Several end, each in its own way, in one transaction."""
        ids = data.draw(st.lists(st.sampled_from(list(self.hand)), min_size=1, unique=True))
        self.attempts_end({id_: data.draw(st.sampled_from(ENDS)) for id_ in ids}, pause_s)

    def attempts_end(self, ends: dict[int, End], pause_s: int) -> None:
        """Attempts end, each in its own way; what that lets go out."""
        now_s = self.now()
        settled = []
        for id_, (cause, spent) in ends.items():
            job = self.hand.pop(id_)
            settled.append(delivery_helpers.attempt(job, cause, spent=spent, due_s=now_s + pause_s, error="no"))
            self.end_in_model(job, cause, spent=spent, due_us=us(now_s + pause_s), now_us=us(now_s))
        ended = [one for one in settled if one.transition is not DeliveryTransition.ATTEMPT_FAILED]
        expected = [debt for one in ended for debt in self.freed(one, us(now_s))]
        expected += [debt for one in ended for debt in self.followed_up(one, now_s)]
        freed = delivery_helpers.settle(self.ledger, *settled, at_s=now_s)
        self.learn_ids()
        on = {to.id for to in self.model.endpoints.values() if to.enabled}
        assert sorted(job.delivery_id for job in freed) == sorted(debt.id for debt in expected if debt.pair[1] in on)
        self.in_hand(freed)

    def end_in_model(
        self, job: DeliveryJob, cause: DeliveryTransition, *, spent: bool, due_us: int, now_us: int
    ) -> None:
        """An attempt is counted, and its delivery moved on."""
        debt = self.debt(job.delivery_id)
        if not debt.attempts:
            self.first_attempts[debt.pair].append(debt.id)
        debt.attempts += 1
        if cause is DeliveryTransition.SUCCEEDED:
            debt.state, debt.reported_us = D, now_us
        else:
            debt.failures += spent
            debt.due_us = due_us
            if cause is DeliveryTransition.EXHAUSTED and debt.state is P:
                debt.state = X

    def freed(self, one: AttemptRecord, now_us: int) -> list[Debt]:
        """What the end of an attempt lets go out."""
        return self.model.free(self.debt(one.delivery_id).pair, now_us)

    def followed_up(self, one: AttemptRecord, now_s: int) -> list[Debt]:
        """An update, where the annotation is newer than what was delivered and nothing more is to come."""
        dead = self.debt(one.delivery_id)
        callid, endpoint_id = pair = dead.pair
        to, annotated_us = self.model.endpoints.get(endpoint_id), self.model.annotated.get(callid)
        if to is None or not to.config.notify_on_update or annotated_us is None or self.model.active(pair):
            return []
        reported_us = max((debt.reported_us for debt in self.model.by_pair[pair] if debt.state is D), default=None)
        if one.transition is DeliveryTransition.SUCCEEDED:
            unknown = annotated_us != one.annotated_us
        else:
            unknown = dead.callback is not None and reported_us is not None and annotated_us >= reported_us
        return [self.model.enqueue(pair, EventType.REVISED, None, at(now_s).timestamp())] if unknown else []

    @rule(callid=st.sampled_from(CALLIDS), same=st.booleans())
    def the_business_speaks(self, callid: str, *, same: bool) -> None:
        """Of a call that is known or not; an endpoint that has a delivery without it, and asks for updates, gets one."""
        now_s = self.now()
        reference = "order-1" if same else f"order-{now_s}"
        before = self.model.calls.get(callid)
        jobs = delivery_helpers.annotate(self.ledger, callid, reference=reference, at_s=now_s).jobs
        if before is None:
            before = Call(channel="default", callid=callid, kind=None, first_seen_at=at(now_s), updated_at=at(now_s))
        elif before.reference == reference:
            assert jobs == []
            return
        self.model.calls[callid] = msgspec.structs.replace(before, reference=reference)
        self.model.annotated[callid] = us(now_s)
        added = []
        for to in sorted(self.model.endpoints.values(), key=lambda to: to.id):
            reported = any(debt.state is D for debt in self.model.by_pair[callid, to.id])
            if to.config.notify_on_update and reported and not self.model.active((callid, to.id)):
                added.append(self.model.enqueue((callid, to.id), EventType.REVISED, None, at(now_s).timestamp()))
        self.learn_ids()
        on = [debt.id for debt in added if self.model.endpoints[debt.pair[1]].enabled]
        assert [job.delivery_id for job in jobs] == on
        self.in_hand(jobs)

    @precondition(lambda self: self.model.debts)
    @rule(data=st.data())
    def replay_one(self, data: st.DataObject) -> None:
        """Replay one delivery of an endpoint that is there, whatever its state."""
        debt = self.one_of(data, [debt for debt in self.model.debts if debt.pair[1] in self.model.endpoints])
        if debt is None:
            return
        now_s = self.now()
        if debt.state is W:
            with pytest.raises(StateConflict):
                delivery_helpers.replay_one(self.ledger, debt.id, at_s=now_s)
            return
        assert delivery_helpers.replay_one(self.ledger, debt.id, at_s=now_s) == debt.pair[1]
        self.model.again(debt, us(now_s))

    def replay_the_dead(self, data: st.DataObject, limit: int) -> None:
        """Replay all dead deliveries of an endpoint, in parts."""
        to = self.one_of(data, list(self.model.endpoints.values()))
        if to is None:
            return
        now_s = self.now()
        dead = [debt for debt in self.model.debts if debt.pair[1] == to.id and debt.state is X]
        count, until_id = delivery_helpers.dead_of(self.ledger, to)
        assert (count, until_id) == (len(dead), max((debt.id for debt in dead), default=0))
        replayed, cursor = 0, None
        while True:
            chunk = delivery_helpers.replay_dead(
                self.ledger, to, cursor=cursor, until_id=until_id, at_s=now_s, limit=limit
            )
            replayed, cursor = replayed + chunk.replayed, chunk.cursor
            if cursor is None:
                break
        assert replayed == len(dead)
        for debt in dead:
            self.model.again(debt, us(now_s))

    @rule(data=st.data(), step=st.sampled_from(["switch", "switch", "remove", "replace", "power cut", "replay"]))
    def the_operator_is_at_work(self, data: st.DataObject, step: str) -> None:
        """What happens less often."""
        if step == "switch":
            self.switch(data)
        elif step == "remove" and len(self.model.endpoints) > 2:
            self.remove_endpoint(data, data.draw(st.sampled_from([1, 100])))
        elif step == "replace" and len(self.model.endpoints) < 4:
            self.add_endpoint(data.draw(st.sampled_from(range(len(DEFINITIONS)))))
        elif step == "replay":
            self.replay_the_dead(data, data.draw(st.sampled_from([1, 2, 100])))
        elif step == "power cut":
            self.the_power_goes()

    def switch(self, data: st.DataObject) -> None:
        """An endpoint is switched off, or the one that is off is switched on."""
        off = [to for to in self.model.endpoints.values() if not to.enabled]
        to = self.one_of(data, off or list(self.model.endpoints.values()))
        if to is not None:
            changed = msgspec.structs.replace(to, enabled=not to.enabled)
            self.model.endpoints[to.id] = delivery_helpers.change(self.ledger, changed)

    def remove_endpoint(self, data: st.DataObject, limit: int) -> None:
        """An endpoint is removed, and its deliveries are cancelled; attempts may be under way."""
        to = data.draw(st.sampled_from(list(self.model.endpoints.values())))
        del self.model.endpoints[to.id]
        delivery_helpers.remove(self.ledger, to)
        while delivery_helpers.cancel_deliveries(self.ledger, to, limit):
            pass
        for debt in self.model.debts:
            if debt.pair[1] == to.id and debt.state in {W, P}:
                debt.state = X

    def the_power_goes(self) -> None:
        """Attempts under way are forgotten; what is in the ledger is there."""
        self.ledger.close()
        self.ledger = self.open_ledger()
        self.hand.clear()

    def one_of(self, data: st.DataObject, things: list[T]) -> T | None:
        """Any of them, if there is one."""
        return data.draw(st.sampled_from(things)) if things else None

    # What holds

    @invariant()
    def the_ledger_is_as_it_should_be(self) -> None:
        """What holds of all deliveries, at every moment."""
        rows = delivery_helpers.undelivered(self.ledger)
        self.the_ledger_says_what_the_model_says(rows)
        self.only_what_the_law_allows_has_happened(rows)
        self.at_most_one_of_a_call_is_pending_at_an_endpoint(rows)
        self.each_callback_is_delivered_once_to_each_subscriber(rows)

    def the_ledger_says_what_the_model_says(self, rows: list[DeliveryRow]) -> None:
        """Each delivery: whose, of what, its event, state, counts and due time; and none besides."""
        assert [
            (row.callid, row.endpoint_id, row.event, row.state, row.attempts, row.failed_attempts) for row in rows
        ] == [(*debt.pair, debt.event, debt.state, debt.attempts, debt.failures) for debt in self.model.debts]
        assert [row.id for row in rows] == [debt.id for debt in self.model.debts]
        pending = [
            (row.due_us, debt.due_us) for row, debt in zip(rows, self.model.debts, strict=True) if row.state is P
        ]
        assert all(due_us == expected for due_us, expected in pending)
        assert len(delivery_helpers.tried(self.ledger)) == sum(debt.attempts for debt in self.model.debts)

    def only_what_the_law_allows_has_happened(self, rows: list[DeliveryRow]) -> None:
        """No delivery vanishes, changes its tag, or changes its state as the law does not say."""
        now = {row.id: row for row in rows}
        for id_, (before, tag) in self.known.items():
            assert now[id_].message_tag == tag
            assert now[id_].state is before or (before, now[id_].state) in LEGAL
        self.known = {id_: (row.state, row.message_tag) for id_, row in now.items()}

    def at_most_one_of_a_call_is_pending_at_an_endpoint(self, rows: list[DeliveryRow]) -> None:
        """And where one waits, there is one that it waits for."""
        pending = Counter((row.callid, row.endpoint_id) for row in rows if row.state is P)
        waiting = {(row.callid, row.endpoint_id) for row in rows if row.state is W}
        assert all(count == 1 for count in pending.values())
        assert waiting <= set(pending)

    def each_callback_is_delivered_once_to_each_subscriber(self, rows: list[DeliveryRow]) -> None:
        """Whoever wanted it at the time has exactly one delivery of it."""
        stored = select(callbacks.c.id, callbacks.c.fingerprint)
        fingerprints = {row.id: row.fingerprint for row in self.ledger.read(lambda c: c.execute(stored).all())}
        undelivered = Counter(
            (fingerprints[row.callback_id], row.endpoint_id) for row in rows if row.callback_id is not None
        )
        assert undelivered == self.model.wanted
        assert set(undelivered.values()) <= {1}

    @invariant()
    def first_attempts_keep_the_order_of_the_call(self) -> None:
        """At one endpoint the callbacks of a call are first delivered in the order in which they came."""
        assert all(ids == sorted(ids) for ids in self.first_attempts.values())

    def teardown(self) -> None:
        """No delivery is lost: once all endpoints are enabled and accept everything, nothing is pending."""
        try:
            for to in self.model.endpoints.values():
                delivery_helpers.change(self.ledger, msgspec.structs.replace(to, enabled=True))
            for to in self.model.endpoints.values():
                delivery_helpers.accept_everything(self.ledger, to)
                assert set(delivery_helpers.states(self.ledger, to)) <= {D, X}
                known_before = {id_ for id_, (state, _) in self.known.items() if state in {W, P}}
                left = {row.id for row in delivery_helpers.undelivered(self.ledger, to) if row.state is X}
                assert not left & known_before
        finally:
            self.opened.close()


@pytest.mark.hypothesis
@pytest.mark.parametrize("backend", BACKENDS)
def test_deliveries_go_by_the_law(backend: str) -> None:
    """Whatever happens in whatever order, the outbox is what the model says, and no delivery is lost."""
    run: Callable[..., None] = run_state_machine_as_test
    examples = settings().max_examples
    fewer = settings(max_examples=examples // (4 if backend == "sqlite" else 10))  # each is a walk of many steps
    run(lambda: Deliveries(backend), settings=fewer)
