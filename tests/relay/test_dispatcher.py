import asyncio
import itertools
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from builders import ADMIN, key_press, received, status, wire
from contract.backends import BACKENDS
from gateway import locked
from relay.factories import endpoint, retry_policy
from relay.harness import (
    QUICK,
    add_directly,
    answered,
    kill_writer,
    opened,
    pressed,
    relaying,
    with_config,
    writing,
    writing_apart,
)
from relay.receiver import Exchange, Post, Receiver, Script, obey, receiving, saying, whole
from relay.waiting import in_loop, silence, until
from sqlalchemy import text
from structlog.testing import capture_logs

from answerback.domain.endpoints import DeliveryState, EventType, PayloadFormat
from answerback.errors import LedgerUnavailable, UnavailableReason
from answerback.ledger import LEDGER_FILE, DeliveryJob
from answerback.ledger.backends.postgresql.partition_ids import IDS_PER_MONTH
from answerback.ledger.commands import FetchDue, ListEndpoints, RecordAttempts
from answerback.ledger.types import to_us
from answerback.relay.dispatcher import Dispatcher
from answerback.relay.metrics import RelayMetrics
from answerback.relay.sender import WebhookSender

D, X, P, W = DeliveryState.DELIVERED, DeliveryState.DEAD, DeliveryState.PENDING, DeliveryState.BLOCKED

NEVER = saying(whole(500, b"no"))
QUIET_S = 0.1
"""So long nothing happens where nothing may happen: what may goes out within a tenth of it."""

_SPREAD = 300
"""So many deliveries become due one after the other while they are looked for."""


def callids(posts: list[Post]) -> list[str]:
    """The calls that were delivered, in order."""
    return [json.loads(post.body)["data"]["call"]["callid"] for post in posts]


def keys(posts: list[Post]) -> list[str]:
    """The keys that were delivered, in order."""
    return [
        json.loads(json.loads(post.body)["data"]["callback"]["raw"])["voicekey_callback"]["keypress"] for post in posts
    ]


def ids(posts: list[Post]) -> list[str]:
    """The ids of what was delivered."""
    return [value for post in posts for value in post.header("webhook-id")]


def reported(receiver: Receiver, count: int) -> bool:
    """Whether a receiver got so many deliveries."""
    return len(receiver.posts) >= count


class Gate:
    """A script that keeps every request until it is opened, and knows how many there are at a time."""

    def __init__(self, answer: Callable[[Exchange], Awaitable[None]] = obey) -> None:
        self._answer = answer
        self._opened = asyncio.Event()
        self.waiting = 0
        self.most = 0

    def open(self) -> None:
        """Answer what waits, and all that comes."""
        self._opened.set()

    async def __call__(self, exchange: Exchange) -> None:
        """Wait for the opening."""
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        try:
            await self._opened.wait()
        finally:
            self.waiting -= 1
        await self._answer(exchange)


# What is owed is delivered


@in_loop
async def test_a_callback_is_delivered_at_once(tmp_path: Path) -> None:
    """It goes out with the commit that stored it, long before anybody looks again; and is settled as delivered."""
    async with receiving() as receiver, relaying(tmp_path) as harness:
        to = await harness.endpoint(receiver.url())
        lags_s = []
        for n in range(5):
            began_s = time.monotonic()
            await harness.record(answered(f"call-{n}"))
            await until(partial(reported, receiver, n + 1))
            lags_s.append(receiver.posts[n].at_s - began_s)
        assert min(lags_s) < 0.25
        await harness.settled(5, to)
        assert harness.states() == [D] * 5
        assert callids(receiver.posts) == [f"call-{n}" for n in range(5)]
        assert [(one.http_status, one.error) for one in harness.tried()] == [(200, None)] * 5
        assert harness.metrics.attempts == {("crm", "delivered"): 5}


@in_loop
async def test_each_endpoint_gets_its_format(tmp_path: Path) -> None:
    """The original bytes to the one, the signed call to the other, each with an id of its own."""
    async with receiving() as old, receiving() as new, relaying(tmp_path) as harness:
        await harness.endpoint(old.url(), "old", format=PayloadFormat.TENCENT)
        await harness.endpoint(new.url(), "new")
        raw = b' {"voicekey_callback": ' + wire(key_press(callid="x")).partition(b":")[2].rstrip() + b"\n"
        await harness.record(raw)
        await harness.settled(2)
        assert old.bodies == [raw]
        reported = json.loads(new.bodies[0])
        assert (reported["type"], reported["data"]["callback"]["raw"]) == ("voice.call.key_pressed", raw.decode())
        assert len({*ids(old.posts), *ids(new.posts)}) == 2


@in_loop
async def test_what_was_pending_is_delivered_after_a_restart(tmp_path: Path) -> None:
    """What could not be delivered before the stop is delivered after the start, under the same id, with its failures counted."""
    async with receiving(NEVER) as receiver:
        async with relaying(tmp_path, retry_policy(retry_schedule_s=(0.2,) * 9)) as harness:
            to = await harness.endpoint(receiver.url())
            await harness.record(answered("a"))
            await harness.record(answered("b"))
            await until(lambda: len(receiver.posts) >= 2)
        before = Counter(ids(receiver.posts))
        receiver.script = obey
        async with relaying(tmp_path) as harness:
            await harness.settled(2, to)
            assert harness.states() == [D, D]
            after = Counter(ids(receiver.posts)) - before
            assert set(after) == set(before)
            assert set(after.values()) == {1}


@in_loop
async def test_what_waits_for_its_retry_waits_over_a_restart(tmp_path: Path) -> None:
    """A start is no reason to ask an endpoint earlier than its schedule says."""
    async with receiving(NEVER) as receiver:
        async with relaying(tmp_path, retry_policy(retry_schedule_s=(0.5,))) as harness:
            await harness.endpoint(receiver.url())
            await harness.record(answered("a"))
            await until(harness.tried)
        receiver.script = obey
        async with relaying(tmp_path) as harness:
            await harness.settled(1)
            first, second = receiver.posts
            assert second.at_s - first.at_s >= 0.45


@in_loop
async def test_an_endpoint_retries_by_its_own_schedule(tmp_path: Path) -> None:
    """Another one goes by the gateway's: dead at once here, while this one has two more attempts."""
    async with receiving(NEVER) as receiver, relaying(tmp_path, retry_policy(retry_schedule_s=())) as harness:
        await harness.endpoint(receiver.url(path="/own"), name="own", retry_schedule_s=(0.2, 0.4))
        await harness.endpoint(receiver.url(path="/common"), name="common")
        await harness.record(answered("a"))
        await until(lambda: len(receiver.posts) == 4)
        await harness.settled(2)
    own = [post.at_s for post in receiver.posts if "/own" in post.line]
    assert len(own) == 3
    assert own[1] - own[0] >= 0.15
    assert own[2] - own[1] >= 0.3


@in_loop
async def test_a_retry_comes_when_it_is_due(tmp_path: Path) -> None:
    """Each at its time, to the last; then the delivery is dead, and every attempt was kept."""
    async with receiving(NEVER) as receiver, relaying(tmp_path, retry_policy(retry_schedule_s=(0.2, 0.4))) as harness:
        await harness.endpoint(receiver.url())
        await harness.record(answered("a"))
        await harness.settled(1)
        assert harness.states() == [X]
        times_s = [post.at_s for post in receiver.posts]
        waits_s = [later - sooner for sooner, later in itertools.pairwise(times_s)]
        assert len(waits_s) == 2
        assert all(least_s <= wait_s < least_s + 2 for least_s, wait_s in zip((0.19, 0.39), waits_s, strict=True))
        (one,) = harness.undelivered()
        assert (one.attempts, one.failed_attempts) == (3, 3)
        assert [tried.error for tried in harness.tried()] == ["answered 500 Internal Server Error"] * 3
        assert harness.metrics.attempts == {("crm", "failed"): 2, ("crm", "dead"): 1}


@in_loop
async def test_many_retries_all_come(tmp_path: Path) -> None:
    """One delivery alone, nothing else that would wake its queue: thirty failures are thirty retries."""
    async with (
        receiving() as receiver,
        relaying(tmp_path, retry_policy(retry_schedule_s=(0.02,) * 30, breaker_threshold=99)) as harness,
    ):

        async def at_last(exchange: Exchange) -> None:
            await exchange.answer(200 if exchange.number > 30 else 500)

        receiver.script = at_last
        await harness.endpoint(receiver.url())
        await harness.record(answered("a"))
        await harness.settled(1)
        assert len(receiver.posts) == 31
        assert harness.states() == [D]


@pytest.mark.parametrize("backend", BACKENDS, indirect=True)
def test_what_is_due_or_will_be_is_never_overlooked(tmp_path: Path) -> None:
    """What a load does not bring it announces: no delivery falls between what is due now and what is due next."""
    with closing(opened(tmp_path)) as ledger:
        to = asyncio.run(_one_endpoint(tmp_path))
        ledger.record_batch([received(status(callid=f"call-{n}")) for n in range(_SPREAD)])
        spread = text("UPDATE deliveries SET due_us = :first_us + (id % :numbers) * :apart_us")
        reporting = 0
        for apart_us in itertools.count(300, 30):  # however slow the machine is, some time a load falls into the spread
            first_us = to_us(datetime.now(UTC))
            with ledger.engine.execution_options(writes=True).begin() as connection:
                connection.execute(spread, {"first_us": first_us, "numbers": IDS_PER_MONTH, "apart_us": apart_us})
            for _ in range(5):
                loaded = FetchDue(to, 5000).run(ledger)
                due = len(loaded.jobs)
                reporting += 0 < due < _SPREAD
                assert loaded.next_due_us == (first_us + (due + 1) * apart_us if due < _SPREAD else None)
            if reporting > 20:
                break


async def _one_endpoint(data_dir: Path) -> int:
    async with writing(data_dir) as writer:
        (to,) = await add_directly(writer, ["crm"], "http://127.0.0.1:9/")
        return to.id


@in_loop
async def test_more_than_fits_into_memory_is_delivered(tmp_path: Path) -> None:
    """800 callbacks in one commit, of which the queue holds 528 at most: each delivered, and each once."""
    async with receiving() as receiver, relaying(tmp_path) as harness:
        await harness.endpoint(receiver.url(), concurrency=32)
        await harness.record(*[answered(f"call-{n}") for n in range(800)])
        await harness.settled(800, timeout_s=40)
        assert Counter(callids(receiver.posts)) == {f"call-{n}": 1 for n in range(800)}


@pytest.fixture
def quick_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other processes wrote is looked for every fifth of a second."""
    monkeypatch.setattr("answerback.relay.pollers._POLL_EVERY_S", 0.2)


@pytest.mark.usefixtures("quick_look")
@in_loop
async def test_what_another_process_wrote_is_found_under_load(tmp_path: Path) -> None:
    """Also while this gateway stores callbacks of its own, before and after it, all the time."""
    async with receiving() as receiver, relaying(tmp_path) as harness:
        await harness.endpoint(receiver.url())
        for n in range(5):
            await harness.record(answered(f"before-{n}"))
            harness.ledger.record_batch([received(status(callid=f"theirs-{n}"))])
            await harness.record(answered(f"after-{n}"))
        await harness.settled(15)
        assert len(receiver.posts) == 15


# In order, and apart from each other


@in_loop
async def test_callbacks_of_one_call_never_overtake_each_other(tmp_path: Path) -> None:
    """With eight attempts at a time and an endpoint that fails every third: key by key, one at a time."""
    calls, presses = 6, "123456789"
    under_way: Counter[str] = Counter()
    overlaps: list[str] = []
    took: defaultdict[str, list[str]] = defaultdict(list)
    chance = random.Random(17)

    async def moody(exchange: Exchange) -> None:
        callid = json.loads(exchange.post.body)["data"]["call"]["callid"]
        under_way[callid] += 1
        if under_way[callid] > 1:
            overlaps.append(callid)
        await asyncio.sleep(chance.random() * 0.01)  # a receiver that takes its time
        under_way[callid] -= 1
        if chance.random() < 0.3:
            await exchange.answer(500)
        else:
            took[callid] += keys([exchange.post])
            await exchange.answer()

    async with (
        receiving(moody) as receiver,
        relaying(tmp_path, retry_policy(retry_schedule_s=(0.05,) * 50, breaker_threshold=99)) as harness,
    ):
        await harness.endpoint(receiver.url())
        for key in presses:
            await harness.record(*[pressed(f"call-{n}", key) for n in range(calls)])
        await harness.settled(calls * len(presses), timeout_s=40)
    assert overlaps == []
    assert took == {f"call-{n}": list(presses) for n in range(calls)}


@in_loop
async def test_a_failing_call_does_not_hold_up_the_others(tmp_path: Path) -> None:
    """At the same endpoint: what follows in its own call waits, every other call goes out."""

    async def picky(exchange: Exchange) -> None:
        await exchange.answer(500 if b'"callid":"bad"' in exchange.post.body else 200)

    async with receiving(picky) as receiver, relaying(tmp_path, retry_policy(retry_schedule_s=(30,))) as harness:
        await harness.endpoint(receiver.url())
        await harness.record(pressed("bad", "1"), pressed("bad", "2"), *[answered(f"good-{n}") for n in range(20)])
        await until(lambda: harness.states().count(D) == 20)
        assert Counter(callids(receiver.posts)) == {"bad": 1} | {f"good-{n}": 1 for n in range(20)}
        assert [one.state for one in harness.undelivered() if one.callid == "bad"] == [P, W]


@in_loop
async def test_after_a_dead_delivery_the_call_goes_on(tmp_path: Path) -> None:
    """What waited behind it is unblocked and delivered."""

    async def picky(exchange: Exchange) -> None:
        await exchange.answer(500 if keys([exchange.post]) == ["1"] else 200)

    async with receiving(picky) as receiver, relaying(tmp_path, retry_policy(retry_schedule_s=())) as harness:
        await harness.endpoint(receiver.url())
        await harness.record(*[pressed("a", key) for key in "123"])
        await harness.settled(3)
        assert harness.states() == [X, D, D]
        assert keys(receiver.posts) == ["1", "2", "3"]


@in_loop
async def test_an_endpoint_that_does_not_answer_costs_others_nothing(tmp_path: Path) -> None:
    """One hangs, one refuses: the healthy one receives at once."""
    gate = Gate()
    async with receiving(gate) as hanging, receiving() as healthy, relaying(tmp_path) as harness:
        await harness.endpoint(hanging.url(), "hanging", timeout_s=30)
        await harness.endpoint("http://127.0.0.1:1/", "refusing")
        await harness.endpoint(healthy.url(), "healthy")
        await harness.record(*[answered(f"call-{n}") for n in range(100)])
        await until(lambda: len(healthy.posts) == 100)
        assert gate.most == 1
        gate.open()


@in_loop
async def test_the_window_opens_with_success(tmp_path: Path) -> None:
    """One attempt at first; with each success one more at a time, up to the concurrency of the endpoint."""
    at_a_time: list[int] = []
    now = 0

    async def slow(exchange: Exchange) -> None:
        nonlocal now
        now += 1
        at_a_time.append(now)
        await asyncio.sleep(0.02)  # a slow receiver
        now -= 1
        await exchange.answer()

    async with receiving(slow) as receiver, relaying(tmp_path) as harness:
        await harness.endpoint(receiver.url(), concurrency=4)
        await harness.record(*[answered(f"call-{n}") for n in range(60)])
        await harness.settled(60)
        assert at_a_time[0] == 1
        assert max(at_a_time[:2]) <= 2
        assert max(at_a_time) == 4
        assert receiver.connections <= 6


@in_loop
async def test_the_window_closes_with_a_failure(tmp_path: Path) -> None:
    """An endpoint that begins to fail holds one connection, not all that it may have."""
    gate = Gate(NEVER)
    async with receiving() as receiver, relaying(tmp_path) as harness:
        to = await harness.endpoint(receiver.url(), concurrency=8, timeout_s=1.0)
        await harness.record(*[answered(f"good-{n}") for n in range(20)])
        await harness.settled(20)
        queue = harness.dispatcher.queue_for(to.id)
        assert queue is not None
        assert queue.window == 8
        receiver.script = gate
        await harness.record(*[answered(f"bad-{n}") for n in range(40)])
        await until(lambda: gate.most == 8)
        await until(lambda: queue.breaker.failures >= 8)
        await until(lambda: queue.window == 1 and len(queue.attempts) <= 1)
        for _ in range(25):
            assert len(queue.attempts) <= 1
            await silence(0.02)
        receiver.script = obey
        gate.open()
        await harness.settled(60)


# As many connections as there may be


@in_loop
async def test_there_are_never_more_attempts_than_there_may_be(tmp_path: Path) -> None:
    """`max_in_flight` holds for all endpoints together; what has to wait goes out when there is room."""
    gate = Gate()
    async with receiving(gate) as receiver, relaying(tmp_path, retry_policy(max_in_flight=3)) as harness:
        for n in range(8):
            await harness.endpoint(receiver.url(), f"crm-{n}")
        await harness.record(answered("a"), answered("b"))
        await until(lambda: gate.waiting == 3)
        await silence(QUIET_S)
        assert gate.most == 3
        gate.open()
        await harness.settled(16)
        assert gate.most == 3


@in_loop
async def test_a_busy_endpoint_does_not_starve_the_others(tmp_path: Path) -> None:
    """While the only connection has endless work for one endpoint, another one gets its turn."""

    async def slow(exchange: Exchange) -> None:
        await asyncio.sleep(0.01)  # a slow receiver
        await exchange.answer()

    gate = Gate(slow)
    async with (
        receiving(gate) as busy,
        receiving() as other,
        relaying(tmp_path, retry_policy(max_in_flight=1)) as harness,
    ):
        await harness.endpoint(busy.url(), "busy", kinds=["prompt"])
        await harness.endpoint(other.url(), "other", kinds=["key"])
        await harness.record(*[answered(f"call-{n}") for n in range(100)])
        await until(lambda: busy.posts)
        await harness.record(pressed("x", "1"))
        gate.open()
        await until(lambda: other.posts)
        assert len(busy.posts) < 70
        await harness.settled(101)


@in_loop
async def test_callbacks_come_before_deliveries(tmp_path: Path) -> None:
    """While callbacks press in only a few attempts are under way, yet some; afterwards as many as there may be."""
    now, most = 0, {True: 0, False: 0}

    async def slow(exchange: Exchange) -> None:
        nonlocal now
        now += 1
        most[harness.callbacks_press] = max(most[harness.callbacks_press], now)
        await asyncio.sleep(0.01)  # a slow receiver
        now -= 1
        await exchange.answer()

    async with receiving(slow) as receiver, relaying(tmp_path) as harness:
        await harness.endpoint(receiver.url(), concurrency=16)
        harness.callbacks_press = True
        await harness.record(*[answered(f"call-{n}") for n in range(300)])
        await until(lambda: len(receiver.posts) > 60)
        harness.callbacks_press = False
        await harness.settled(300)
        assert most == {True: 4, False: 16}


@pytest.mark.usefixtures("quick_look")
@in_loop
async def test_what_was_pushed_is_not_read_again(tmp_path: Path) -> None:
    """The look for what other processes wrote costs no reading where there is none."""
    gate = Gate()
    async with receiving(gate) as receiver, relaying(tmp_path) as harness:
        await harness.endpoint(receiver.url())
        await harness.record(*[answered(f"call-{n}") for n in range(20)])
        await until(lambda: gate.waiting == 1)
        ask, asked = harness.writer.execute, Counter[str]()

        async def count(request: Any) -> Any:
            asked[type(request).__name__] += 1
            return await ask(request)

        harness.writer.execute = count  # type: ignore[method-assign, assignment]
        await until(lambda: asked["PendingSince"] >= 2)
        assert asked["FetchDue"] == 0
        gate.open()
        await harness.settled(20)


# A change has taken effect when it is answered


@in_loop
async def test_a_hold_waits_for_what_is_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt that ends in time ends; after that nothing is sent until it goes on, and then everything is."""
    monkeypatch.setattr("answerback.relay.endpoint_queue._GRACE_S", 60.0)
    gate = Gate()
    async with receiving(gate) as receiver, relaying(tmp_path) as harness:
        to = await harness.endpoint(receiver.url())
        await harness.record(answered("a"), answered("b"))
        await until(lambda: gate.waiting == 1)
        holding = asyncio.create_task(harness.dispatcher.suspend(to.id))
        await silence(0.2)
        assert not holding.done()
        gate.open()
        await holding
        await harness.record(answered("c"))
        await silence(QUIET_S)
        assert callids(receiver.posts) == ["a"]
        assert harness.states() == [D, P, P]
        harness.dispatcher.resume(to)
        await harness.settled(3)
        assert callids(receiver.posts) == ["a", "b", "c"]


@in_loop
async def test_a_hold_cuts_short_what_does_not_end(tmp_path: Path) -> None:
    """After a second; that attempt is kept in words, and costs the delivery none of its attempts."""
    gate = Gate()
    async with receiving(gate) as receiver, relaying(tmp_path) as harness:
        to = await harness.endpoint(receiver.url(), timeout_s=30)
        await harness.record(answered("a"))
        await until(lambda: gate.waiting == 1)
        began_s = time.monotonic()
        await harness.dispatcher.suspend(to.id)
        assert 0.9 <= time.monotonic() - began_s < 5
        await until(harness.tried)
        assert [(one.http_status, one.error) for one in harness.tried()] == [
            (None, "cut short: the endpoint was changed")
        ]
        (one,) = harness.undelivered()
        assert (one.state, one.attempts, one.failed_attempts) == (P, 1, 0)
        gate.open()
        harness.dispatcher.resume(to)
        await harness.settled(1)
        assert len(set(ids(receiver.posts))) == 1


@in_loop
async def test_what_was_cut_short_goes_to_the_new_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The URL is changed while the old one hangs: what was under way there is told at the new one.

    At once, though what was cut short is not yet kept when the endpoint goes on: the ledger may be that quick.
    """
    monkeypatch.setattr("answerback.relay.endpoint_queue._GRACE_S", 0.1)
    gate = Gate()
    async with receiving(gate) as old, receiving() as new, relaying(tmp_path) as harness:
        to = await harness.endpoint(old.url(), timeout_s=30)
        await harness.record(answered("a"))
        await until(lambda: gate.waiting == 1)
        await harness.dispatcher.suspend(to.id)
        harness.dispatcher.resume(msgspec.structs.replace(to, config=with_config(to, url=new.url())))
        await harness.settled(1, timeout_s=8)
        assert ids(new.posts) == ids(old.posts)
        gate.open()


@in_loop
async def test_nothing_goes_to_the_old_url_after_the_change_was_answered(tmp_path: Path) -> None:
    """Under load, with eight attempts at a time, again and again; and nothing is lost by it."""

    async def slow(exchange: Exchange) -> None:
        await asyncio.sleep(0.02)  # a slow receiver
        await exchange.answer()

    async with receiving(slow) as one, receiving(slow) as other, relaying(tmp_path) as harness:
        to = await harness.endpoint(one.url())
        total, is_enough = 0, asyncio.Event()

        async def load() -> None:
            nonlocal total
            while not is_enough.is_set():
                await harness.record(*[answered(f"call-{total + n}") for n in range(10)])
                total += 10
                await asyncio.sleep(0.03)  # two thirds of what can be told in that time

        loading = asyncio.create_task(load())
        for _ in range(3):
            for wrong, right in ((one, other), (other, one)):
                await asyncio.sleep(0.1)  # any moment under load
                to = await harness.endpoint_manager.change(ADMIN, "crm", None, with_config(to, url=right.url()))
                late = len(wrong.posts)
                await silence(0.1)
                assert len(wrong.posts) == late
        is_enough.set()
        await loading
        await until(lambda: harness.states().count(D) == len(harness.states()))
        assert {*callids(one.posts), *callids(other.posts)} >= {f"call-{n}" for n in range(total)}


@in_loop
async def test_a_disabled_endpoint_gets_its_deliveries_once_enabled(tmp_path: Path) -> None:
    """Off: what it is owed waits, nothing is spent. On: all of it, in order for each call."""
    async with receiving() as receiver, relaying(tmp_path) as harness:
        await harness.endpoint(receiver.url())
        await harness.endpoint_manager.set_enabled(ADMIN, "crm", enabled=False)
        await harness.record(*[pressed("a", key) for key in "12345"])
        await silence(QUIET_S)
        assert receiver.posts == []
        assert harness.tried() == []
        await harness.endpoint_manager.set_enabled(ADMIN, "crm", enabled=True)
        await harness.settled(5)
        assert keys(receiver.posts) == list("12345")


@in_loop
async def test_a_removed_endpoint_gets_nothing(tmp_path: Path) -> None:
    """What it was owed is given up; what comes later is not owed; its numbers are gone."""
    async with receiving(NEVER) as receiver, relaying(tmp_path, retry_policy(retry_schedule_s=(0.1,))) as harness:
        await harness.endpoint(receiver.url())
        await harness.record(answered("a"), pressed("b", "1"), pressed("b", "2"))
        await until(lambda: len(receiver.posts) >= 2)
        await harness.endpoint_manager.remove(ADMIN, "crm")
        reported = len(receiver.posts)
        await harness.record(answered("c"))
        await harness.settled(3)
        await silence(QUIET_S)
        assert harness.states() == [X] * 3
        assert len(receiver.posts) == reported
        assert (harness.metrics.attempts, harness.metrics.attempt_latency_s, harness.metrics.paused) == ({}, {}, {})


@in_loop
async def test_an_endpoint_that_is_gone_is_switched_off(tmp_path: Path) -> None:
    """410: off, with the reason; what it is owed waits unspent, and is told when it is switched on again."""
    async with receiving(saying(whole(410, b""))) as receiver, relaying(tmp_path) as harness:
        await harness.endpoint(receiver.url())
        await harness.record(answered("a"), answered("b"))
        await until(lambda: not harness.endpoint_manager.find("crm").enabled)
        assert harness.endpoint_manager.find("crm").disabled_reason == "answered 410 Gone"
        await silence(QUIET_S)
        assert len(receiver.posts) == 1
        assert [(one.state, one.failed_attempts) for one in harness.undelivered()] == [(P, 0), (P, 0)]
        receiver.script = obey
        await harness.endpoint_manager.set_enabled(ADMIN, "crm", enabled=True)
        await harness.settled(2)


@in_loop
async def test_an_endpoint_that_is_gone_gets_nothing_while_the_ledger_is_away(tmp_path: Path) -> None:
    """One request, however long it takes until the ledger can be told."""
    gate, impatient = Gate(saying(whole(410, b""))), partial(writing, lock_timeout_s=0.1)
    async with receiving(gate) as receiver, relaying(tmp_path, writes=impatient) as harness:
        await harness.endpoint(receiver.url())
        await harness.record(*[answered(callid) for callid in "abcd"])
        await until(lambda: reported(receiver, 1))
        with capture_logs() as logs, locked(tmp_path / LEDGER_FILE):
            gate.open()
            await until(lambda: [one for one in logs if one["event"] == "endpoint_not_disabled_yet"][1:])
        await until(lambda: not harness.endpoint_manager.find("crm").enabled)
        assert len(receiver.posts) == 1


# Left alone


BREAKER = retry_policy(retry_schedule_s=(0.05,) * 100, breaker_threshold=3, breaker_cooldowns_s=(0.2, 0.4))


@in_loop
async def test_an_endpoint_that_fails_again_and_again_is_paused_and_probed(tmp_path: Path) -> None:
    """After three failures in a row one probe at a time goes out; nothing is spent by it; a success ends it."""
    async with receiving(NEVER) as receiver, relaying(tmp_path, BREAKER) as harness:
        to = await harness.endpoint(receiver.url())
        await harness.record(*[answered(f"call-{n}") for n in range(20)])
        await until(lambda: harness.metrics.paused)
        assert harness.metrics.paused == {"crm": 3}
        await until(lambda: sum(one.attempts for one in harness.undelivered()) >= 3)
        await until(lambda: len(receiver.posts) >= 5)
        assert sum(one.failed_attempts for one in harness.undelivered()) == 3
        waits_s = [later.at_s - sooner.at_s for sooner, later in itertools.pairwise(receiver.posts[2:5])]
        assert waits_s[0] >= 0.17
        assert waits_s[1] >= 0.35
        (kept,) = await harness.writer.execute(ListEndpoints())
        assert kept.consecutive_failures >= 3
        assert kept.paused_until is not None
        receiver.script = obey
        await harness.settled(20, to)
        assert harness.metrics.paused == {}
        assert sum(one.failed_attempts for one in harness.undelivered()) == 3
        (kept,) = await harness.writer.execute(ListEndpoints())
        assert (kept.consecutive_failures, kept.paused_until) == (0, None)


@in_loop
async def test_a_paused_endpoint_holds_nothing_in_memory(tmp_path: Path) -> None:
    """However much comes for it: it stays in the ledger, the writer does not even tell of it, and all is told later."""
    async with (
        receiving(NEVER) as receiver,
        relaying(
            tmp_path, retry_policy(retry_schedule_s=(0.1,) * 9, breaker_threshold=3, breaker_cooldowns_s=(60,))
        ) as harness,
    ):
        to = await harness.endpoint(receiver.url())
        await harness.record(*[answered(f"call-{n}") for n in range(20)])
        await until(lambda: harness.metrics.paused)
        queue = harness.dispatcher.queue_for(to.id)
        assert queue is not None
        assert len(queue.jobs) == 0
        for batch in range(5):
            await harness.record(*[answered(f"batch-{batch}-{n}") for n in range(100)])
        assert len(queue.jobs) <= queue.capacity == 32
        assert set(harness.writer.saturated) == {to.id}
        receiver.script = obey
        await harness.endpoint_manager.set_enabled(ADMIN, "crm", enabled=True)  # which ends the pause
        await harness.settled(520)
        assert not harness.writer.saturated


@in_loop
async def test_a_paused_endpoint_is_still_paused_after_a_restart(tmp_path: Path) -> None:
    """Nothing goes out before the pause is over; then one probe does."""
    async with receiving(NEVER) as receiver:
        async with relaying(tmp_path, msgspec.structs.replace(BREAKER, breaker_cooldowns_s=(2.0,))) as harness:
            await harness.endpoint(receiver.url())
            await harness.record(*[answered(f"call-{n}") for n in range(20)])
            await until(lambda: harness.metrics.paused)
            paused_s = time.monotonic()
        receiver.script = obey
        before = len(receiver.posts)
        async with relaying(tmp_path, BREAKER) as harness:
            assert harness.metrics.paused == {"crm": 3}
            await harness.settled(20)
            assert receiver.posts[before].at_s - paused_s >= 1.7


@in_loop
async def test_a_change_ends_a_pause(tmp_path: Path) -> None:
    """Who changes an endpoint wants it tried now; and after a restart it is not paused either."""
    async with (
        receiving(NEVER) as receiver,
        relaying(tmp_path, retry_policy(breaker_threshold=1, breaker_cooldowns_s=(60,))) as harness,
    ):
        to = await harness.endpoint(receiver.url())
        queue = harness.dispatcher.queue_for(to.id)
        assert queue is not None
        await harness.record(answered("a"), answered("b"))
        while not queue.breaker.is_open:  # noqa: ASYNC110  # to the moment: what it came to is not yet kept
            await asyncio.sleep(0)
        receiver.script = obey
        await harness.endpoint_manager.set_enabled(ADMIN, "crm", enabled=True)
        assert harness.metrics.paused == {}
        await until(lambda: D in harness.states())
        (kept,) = await harness.writer.execute(ListEndpoints())
        assert (kept.consecutive_failures, kept.paused_until) == (0, None)


@in_loop
async def test_an_endpoint_that_asks_for_quiet_gets_it(tmp_path: Path) -> None:
    """429 and 503 with Retry-After: nothing at all goes there until then."""

    def busy(code: int) -> Script:
        async def answer(exchange: Exchange) -> None:
            await (exchange.answer(code, b"", ["Retry-After: 1"]) if exchange.number == 1 else exchange.answer())

        return answer

    async with receiving(busy(429)) as one, receiving(busy(503)) as other, relaying(tmp_path) as harness:
        await harness.endpoint(one.url(), "one")
        await harness.endpoint(other.url(), "other")
        await harness.record(*[answered(f"call-{n}") for n in range(10)])
        await harness.settled(20)
        for receiver in (one, other):
            first, second, *_ = receiver.posts
            assert second.at_s - first.at_s >= 0.95


@in_loop
async def test_retry_after_puts_one_delivery_off(tmp_path: Path) -> None:
    """With another status it is about the one delivery: the others go on."""

    async def picky(exchange: Exchange) -> None:
        bad = exchange.number == 1
        await (exchange.answer(500, b"", ["Retry-After: 2"]) if bad else exchange.answer())

    async with receiving(picky) as receiver, relaying(tmp_path) as harness:
        await harness.endpoint(receiver.url())
        await harness.record(*[answered(f"call-{n}") for n in range(10)])
        await harness.settled(10)
        assert receiver.posts[1].at_s - receiver.posts[0].at_s < 1.9
        assert callids(receiver.posts)[-1] == "call-0"
        assert receiver.posts[-1].at_s - receiver.posts[0].at_s >= 1.95


# Whatever fails


@in_loop
async def test_attempts_are_settled_when_the_writer_is_back(tmp_path: Path) -> None:
    """The writer is killed while attempts are under way: what they came to is kept here, and told once it can be."""
    gate = Gate()
    async with receiving(gate) as receiver, relaying(tmp_path, writes=writing_apart) as harness:
        await harness.endpoint(receiver.url())
        await harness.record(*[pressed("a", key) for key in "123"], answered("b"))
        await until(lambda: gate.waiting == 1)
        await kill_writer()
        gate.open()
        await harness.settled(4)
        assert harness.states() == [D] * 4
        assert Counter(ids(receiver.posts)) == dict.fromkeys(ids(receiver.posts), 1)
        assert [one.error for one in harness.tried()] == [None] * 4


@in_loop
async def test_a_retry_is_made_though_its_failure_could_not_be_kept_in_time(tmp_path: Path) -> None:
    """The writer is away when an attempt fails, and back when its retry is due: the retry comes."""
    gate = Gate(NEVER)
    async with (
        receiving(gate) as receiver,
        relaying(tmp_path, retry_policy(retry_schedule_s=(0.25,) * 9), writes=writing_apart) as harness,
    ):
        await harness.endpoint(receiver.url())
        await harness.record(answered("a"))
        await until(lambda: gate.waiting == 1)
        await kill_writer()
        gate.open()
        await until(harness.tried)
        receiver.script = obey
        await harness.settled(1, timeout_s=8)
        assert len(receiver.posts) >= 2


@in_loop
async def test_nothing_is_lost_when_the_writer_is_killed_again_and_again(tmp_path: Path) -> None:
    """Under load, with an endpoint that fails now and then: what was stored is delivered, in order for each call."""
    chance = random.Random(3)
    stored: list[str] = []
    took: list[str] = []

    async def moody(exchange: Exchange) -> None:
        if chance.random() < 0.2:
            await exchange.answer(500)
        else:
            took.extend(keys([exchange.post]))
            await exchange.answer()

    async with receiving(moody) as receiver, relaying(tmp_path, writes=writing_apart) as harness:
        await harness.endpoint(receiver.url())

        async def load() -> None:
            for n in range(100):
                key = f"{n}"
                while key not in stored:
                    try:
                        await harness.record(pressed(f"call-{n % 7}", key))
                        stored.append(key)
                    except Exception:  # noqa: BLE001  # the sender's part: it tries until it is stored
                        await asyncio.sleep(0.05)
                await asyncio.sleep(0.01)  # the rate of the load

        loading = asyncio.create_task(load())
        await until(lambda: len(stored) >= 30)
        await kill_writer()
        await until(lambda: len(stored) >= 60)
        await kill_writer()
        await loading
        await harness.settled(100, timeout_s=20)
        assert set(harness.states()) == {D}
        assert set(took) == set(stored) == {str(n) for n in range(100)}
        for call in range(7):
            mine = list(dict.fromkeys(int(key) for key in took if int(key) % 7 == call))
            assert mine == sorted(mine)


@pytest.mark.usefixtures("quick_look")
@in_loop
async def test_a_callback_whose_answer_was_lost_is_delivered(tmp_path: Path) -> None:
    """Stored, but the writer died before it could say so: its delivery goes out, whatever comes after it."""
    async with receiving() as receiver, relaying(tmp_path) as harness:
        await harness.endpoint(receiver.url())
        await harness.record(answered("first"))
        harness.writer.on_jobs = lambda _jobs, _behind: None  # what the writer said is lost
        await harness.record(answered("unheard"))
        harness.writer.on_jobs = harness.dispatcher.enqueue
        await harness.record(answered("last"))
        await harness.settled(3, timeout_s=8)
        assert set(callids(receiver.posts)) == {"first", "unheard", "last"}


@in_loop
async def test_what_a_lost_reply_let_go_out_goes_out(tmp_path: Path) -> None:
    """An attempt is settled, the next of its call is free, but the reply is lost: told once, and counted once."""
    async with receiving() as receiver, relaying(tmp_path) as harness:
        await harness.endpoint(receiver.url())
        ask = harness.writer.execute
        lost: list[RecordAttempts] = []

        async def lose_one(request: Any) -> Any:
            reply = await ask(request)
            if isinstance(request, RecordAttempts) and not lost:
                lost.append(request)
                raise LedgerUnavailable(UnavailableReason.WRITER_ENDED)
            return reply

        harness.writer.execute = lose_one  # type: ignore[method-assign, assignment]
        await harness.record(*[pressed("a", key) for key in "12"])
        await harness.settled(2)
        assert keys(receiver.posts) == ["1", "2"]
        assert [one.attempts for one in harness.undelivered()] == [1, 1]
        assert len(harness.tried()) == 2
        assert lost


@in_loop
async def test_words_that_are_no_text_stop_nobody(tmp_path: Path) -> None:
    """One endpoint answers with bytes that are no text: its attempts are kept, and so are everybody else's."""
    redirect = b"HTTP/1.1 302 Found\r\nLocation: http://crm.example/\xff\xfe\r\nContent-Length: 0\r\n\r\n"
    async with (
        receiving(saying(redirect)) as bad,
        receiving() as good,
        relaying(tmp_path, retry_policy(retry_schedule_s=())) as harness,
    ):
        await harness.endpoint(bad.url(), "bad", concurrency=1)
        await harness.endpoint(good.url(), "good")
        await harness.record(answered("a"))
        await until(lambda: bad.posts and good.posts)
        await harness.record(answered("b"))
        await harness.settled(4, timeout_s=8)
        assert sorted(harness.states()) == [X, X, D, D]


@in_loop
async def test_the_end_cuts_short_what_does_not_end(tmp_path: Path) -> None:
    """In the time that is given; its result is kept, not counted, and it is delivered again after the start."""
    gate = Gate()
    async with receiving(gate) as receiver:
        async with relaying(tmp_path) as harness:
            await harness.endpoint(receiver.url(), timeout_s=30)
            await harness.record(answered("a"))
            await until(lambda: gate.waiting == 1)
            began_s = time.monotonic()
            await harness.dispatcher.stop(0.3)
            assert 0.25 <= time.monotonic() - began_s < 5
            assert [one.error for one in harness.tried()] == ["cut short: the gateway stopped"]
            assert [(one.state, one.attempts, one.failed_attempts) for one in harness.undelivered()] == [(P, 1, 0)]
        gate.open()
        async with relaying(tmp_path) as harness:
            await harness.settled(1)
            assert len(set(ids(receiver.posts))) == 1


@in_loop
async def test_the_end_waits_for_what_ends(tmp_path: Path) -> None:
    """An attempt that comes to its end in time is settled as it came out; nothing new begins."""
    gate = Gate()
    async with receiving(gate) as receiver, relaying(tmp_path) as harness:
        await harness.endpoint(receiver.url())
        await harness.record(answered("a"), answered("b"))
        await until(lambda: gate.waiting == 1)
        asyncio.get_running_loop().call_later(0.2, gate.open)
        await harness.dispatcher.stop(10)
        assert harness.states() == [D, P]
        assert callids(receiver.posts) == ["a"]


# What the business says


@in_loop
async def test_what_is_ready_carries_what_was_said_meanwhile(tmp_path: Path) -> None:
    """A delivery that waits in memory for its turn is read again: the reference is in it."""
    gate = Gate()
    async with receiving(gate) as receiver, relaying(tmp_path) as harness:
        await harness.endpoint(receiver.url(), concurrency=1)
        await harness.record(*[answered(f"call-{n}") for n in range(10)])
        await until(lambda: gate.waiting == 1)
        await harness.annotate("call-7", reference="order-7")
        gate.open()
        await harness.settled(10)
        reported = {
            call["callid"]: call["reference"] for call in (json.loads(body)["data"]["call"] for body in receiver.bodies)
        }
        assert reported == {f"call-{n}": "order-7" if n == 7 else None for n in range(10)}
        assert len(receiver.posts) == 10


@in_loop
async def test_what_was_said_during_an_attempt_is_followed_up(tmp_path: Path) -> None:
    """Where the endpoint asks for updates: it has a delivery without the reference, so it gets another, once."""
    gate = Gate()
    async with receiving(gate) as receiver, relaying(tmp_path) as harness:
        await harness.endpoint(receiver.url(), notify_on_update=True)
        await harness.record(answered("a"))
        await until(lambda: gate.waiting == 1)
        await harness.annotate("a", reference="order-1")
        gate.open()
        await harness.settled(2)
        assert [one.event for one in harness.undelivered()] == [EventType.ANSWERED, EventType.REVISED]
        assert [json.loads(body)["data"]["call"]["reference"] for body in receiver.bodies] == [None, "order-1"]


# What it costs


@in_loop
async def test_idle_endpoints_cost_no_tasks(tmp_path: Path) -> None:
    """10,000 endpoints without deliveries: no task and no timer for any of them, and the start is quick."""
    async with writing(tmp_path) as writer:
        webhook_sender = WebhookSender()
        dispatcher = Dispatcher(writer, webhook_sender, RelayMetrics(), QUICK)
        before = len(asyncio.all_tasks())
        began_s = time.monotonic()
        await dispatcher.start([endpoint(id=n, name=f"crm-{n}") for n in range(1, 10_001)])
        assert time.monotonic() - began_s < 10
        dispatcher.enqueue(
            [DeliveryJob(1, 99_999, 1, 0, "dlv_1_x", b"{}", None, 0)], [99_998]
        )  # of endpoints that were removed
        dispatcher.refill(99_997)
        await silence(0.1)
        assert len(asyncio.all_tasks()) - before <= 3
        queues = [dispatcher.queue_for(n) for n in range(1, 10_001)]
        assert [queue for queue in queues if queue is None or queue.attempts or queue.timer] == []
        await dispatcher.stop(1.0)
        await webhook_sender.close()
