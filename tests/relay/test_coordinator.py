import asyncio
import json
import random
import signal
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from builders import ADMIN, NOON
from relay.cluster_harness import LONG_TTL_S, NO_RELAY, TTL_S, Witness, ledger_config_on, ledger_of, member, peer
from relay.harness import answered, kill_writer, pressed, with_config
from relay.receiver import Exchange, Post, Receiver, receiving
from relay.waiting import in_loop, until

from answerback.domain.endpoints import DeliveryState
from answerback.errors import LedgerUnavailable, StateConflict
from answerback.ledger.write.annotations import CallAnnotation

BACKENDS = pytest.mark.parametrize("backend", ["sqlite", "postgresql"])


def callids(posts: Iterable[Post]) -> list[str]:
    """The calls that were delivered, in order."""
    return [json.loads(post.body)["data"]["call"]["callid"] for post in posts]


def pressed_keys(posts: Iterable[Post]) -> dict[tuple[str, str], list[str]]:
    """The keys that were delivered, in order, for each endpoint and call."""
    keys = defaultdict(list)
    for post in posts:
        data = json.loads(post.body)["data"]
        reported = json.loads(data["callback"]["raw"])["voicekey_callback"]["keypress"]
        keys[post.line.split()[1], data["call"]["callid"]].append(reported)
    return keys


def reported(receiver: Receiver, count: int) -> Callable[[], bool]:
    """Whether a receiver got so many deliveries."""
    return lambda: len(receiver.posts) >= count


# Sharing


@BACKENDS
@in_loop
async def test_members_share_the_endpoints(tmp_path: Path, backend: str) -> None:
    """Each tells its own, whoever recorded the callback; a third gets its share, and who leaves gives it back."""
    ledger_config = ledger_config_on(backend, tmp_path / "data")
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(receiving())
        board = await stack.enter_async_context(ledger_of(ledger_config))
        one = await stack.enter_async_context(member(ledger_config, ttl_s=LONG_TTL_S))
        for n in range(6):
            await one.endpoint(receiver.url(path=f"/e{n}"), f"e{n}")
        await board.shared((one, 6))
        async with member(ledger_config, ttl_s=LONG_TTL_S) as two:
            await board.shared((one, 3), (two, 3))
            async with member(ledger_config, ttl_s=LONG_TTL_S) as three:
                await board.shared((one, 2), (two, 2), (three, 2))
                for n, relay_process in enumerate((one, two, three)):
                    await relay_process.record(answered(f"call-{n}"))
                await board.delivered(18)
                assert one.relay.status["endpoints"] == two.relay.status["endpoints"] == 2
            await board.shared((one, 3), (two, 3))
        await board.shared((one, 6))
        await one.record(answered("call-3"))
        await board.delivered(24)
        assert len(receiver.posts) == 24


@in_loop
async def test_what_another_process_records_is_delivered_at_once(tmp_path: Path) -> None:
    """The bell rings after the commit; nobody has to look."""
    ledger_config = ledger_config_on("postgresql", tmp_path)
    async with receiving() as receiver, member(ledger_config) as relay, member(ledger_config, NO_RELAY) as recorder:
        await recorder.endpoint(receiver.url())
        await until(lambda: relay.relay.status["endpoints"] == 1)
        lags_s = []
        for n in range(5):
            began_s = time.monotonic()
            await recorder.record(answered(f"call-{n}"))
            await until(reported(receiver, n + 1))
            lags_s.append(receiver.posts[n].at_s - began_s)
        assert min(lags_s) < 0.25
        assert not recorder.relay.is_active
        assert recorder.relay.can_manage


@in_loop
async def test_a_lost_ring_is_made_up_for(tmp_path: Path) -> None:
    """The sweep finds what no notification named, also behind what was named, and with an id below all others'."""
    ledger_config = ledger_config_on("postgresql", tmp_path)
    async with (
        receiving() as receiver,
        member(ledger_config, sweep_s=0.2) as relay,
        member(ledger_config, NO_RELAY) as recorder,
    ):
        await recorder.endpoint(receiver.url())
        await until(lambda: relay.relay.status["endpoints"] == 1)
        relay.deaf = True
        heard = 0
        await relay.record(answered("heard-0"))
        await recorder.record(answered("unheard"), at=NOON)  # of an earlier month, whose ids are lower
        while "unheard" not in callids(receiver.posts):  # the test's own time is the longest that it may take
            heard += 1
            await relay.record(answered(f"heard-{heard}"))
        await until(reported(receiver, heard + 2), timeout_s=5.0)
        assert sorted(callids(receiver.posts)) == sorted(["unheard", *(f"heard-{n}" for n in range(heard + 1))])


# Changes


@BACKENDS
@in_loop
async def test_a_change_by_another_process_takes_effect(tmp_path: Path, backend: str) -> None:
    """Soon: nothing goes to the old URL after that, and what waited goes to the new one."""
    ledger_config = ledger_config_on(backend, tmp_path / "data")
    async with (
        receiving() as old,
        receiving() as new,
        ledger_of(ledger_config) as board,
        member(ledger_config) as relay,
        member(ledger_config, NO_RELAY) as api,
    ):
        made = await api.endpoint(old.url())
        await board.shared((relay, 1))
        await api.record(answered("before"))
        await board.delivered(1)
        await api.relay.endpoints.change(ADMIN, "crm", None, with_config(made, url=new.url()))
        await until(lambda: relay.relay.endpoints.find("crm").config.url == new.url())
        await relay.record(answered("after"))
        await board.delivered(2)
        assert (callids(old.posts), callids(new.posts)) == (["before"], ["after"])
        await api.relay.endpoints.set_enabled(ADMIN, "crm", enabled=False)
        await until(lambda: not relay.relay.endpoints.find("crm").enabled)
        await api.record(answered("off"))
        await asyncio.sleep(0.2)  # nothing goes out; what goes out is there within 0.05 s
        assert len(new.posts) == 1
        await relay.relay.endpoints.set_enabled(ADMIN, "crm", enabled=True)
        await board.delivered(3)
        await api.relay.endpoints.remove(ADMIN, "crm")
        await until(lambda: relay.relay.status["endpoints"] == 0)
        await until(lambda: board.holders() == {})


@in_loop
async def test_deliveries_to_a_removed_endpoint_are_cancelled(tmp_path: Path) -> None:
    """By whichever process removes it; its name is free again."""
    ledger_config = ledger_config_on("sqlite", tmp_path / "data")
    async with (
        ledger_of(ledger_config) as board,
        member(ledger_config) as relay,
        member(ledger_config, NO_RELAY) as api,
    ):
        await api.endpoint("http://127.0.0.1:9/nowhere")
        await board.shared((relay, 1))
        await api.record(answered("call"))
        await api.relay.endpoints.remove(ADMIN, "crm")
        await until(lambda: [one.state for one in board.undelivered()] == [DeliveryState.DEAD])
        await relay.endpoint("http://127.0.0.1:9/elsewhere")
        await api.relay.endpoints.refresh()
        assert api.relay.endpoints.find("crm").config.url.endswith("/elsewhere")


@in_loop
async def test_a_change_knows_the_one_before(tmp_path: Path) -> None:
    """Whichever process made that; and of two at once one is refused, not forgotten."""
    ledger_config = ledger_config_on("sqlite", tmp_path / "data")
    async with (
        member(ledger_config, NO_RELAY, look_s=60.0) as one,
        member(ledger_config, NO_RELAY, look_s=60.0) as other,
    ):
        made = await one.endpoint("http://127.0.0.1:9/a")
        await other.relay.endpoints.change(ADMIN, "crm", None, with_config(made, timeout_s=3.0))
        switched = await one.relay.endpoints.set_enabled(ADMIN, "crm", enabled=False)
        assert switched.config.timeout_s == 3.0
        both = await asyncio.gather(
            one.relay.endpoints.set_enabled(ADMIN, "crm", enabled=True),
            other.relay.endpoints.rotate_secret(ADMIN, "crm"),
            return_exceptions=True,
        )
        assert sum(isinstance(result, StateConflict) for result in both) <= 1
        await one.relay.endpoints.refresh()
        await other.relay.endpoints.refresh()
        assert one.relay.endpoints.find("crm") == other.relay.endpoints.find("crm")


@in_loop
async def test_an_annotation_reaches_the_process_that_delivers(tmp_path: Path) -> None:
    """What is ready to go out is read again there, and a time to wait for is kept there."""
    ledger_config = ledger_config_on("postgresql", tmp_path)
    async with receiving() as receiver, member(ledger_config) as relay, member(ledger_config, NO_RELAY) as api:
        witness = receiver.script = Witness(receiver)
        witness.holds = asyncio.Event()
        await api.endpoint(receiver.url(), concurrency=1)
        await until(lambda: relay.relay.status["endpoints"] == 1)
        await api.record(answered("first"), answered("second"))
        await until(reported(receiver, 1))
        (queue,) = relay.queues
        await until(lambda: queue.jobs)
        await api.relay.annotate_call("second", "default", CallAnnotation(reference="order-42"))
        await until(lambda: queue.jobs and queue.jobs[0].annotated_us)
        witness.holds.set()
        await until(reported(receiver, 2))
        assert json.loads(receiver.posts[1].body)["data"]["call"]["reference"] == "order-42"


# Duties


@in_loop
async def test_a_singleton_task_runs_in_one_process(tmp_path: Path) -> None:
    """Only one relay does it at a time, and the next one when that leaves."""
    ledger_config = ledger_config_on("sqlite", tmp_path / "data")
    doing: list[str] = []

    def singleton(name: str) -> Callable[[], "asyncio.Future[None]"]:
        async def work() -> None:
            doing.append(name)
            try:
                await asyncio.Event().wait()
            finally:
                doing.remove(name)

        return lambda: asyncio.ensure_future(work())

    async with member(ledger_config, singletons={"alerts": singleton("one")}, ttl_s=LONG_TTL_S) as one:
        await until(lambda: doing == ["one"])
        async with member(ledger_config, singletons={"alerts": singleton("two")}, ttl_s=LONG_TTL_S):
            await asyncio.sleep(0.4)  # more than one renewal, at which the other would take what is free
            assert doing == ["one"]
            assert one.relay.status["singleton_tasks"] == ["alerts", "cleanup", "overdue"]
            await one.relay.stop(1.0)
            await until(lambda: doing == ["two"])
    assert doing == []


# What ends without a word


async def _keep_recording(record: Callable[..., Awaitable[None]], calls: int, presses: int) -> None:
    for key in range(presses):
        for call in range(calls):
            await record(pressed(f"call-{call}", str(key)))
        await asyncio.sleep(0.05)  # a rate that one of them can keep up with


@in_loop
async def test_nothing_is_lost_when_the_writer_is_killed_again_and_again(tmp_path: Path) -> None:
    """Under load, with an endpoint that fails now and then: what was stored is delivered, in order for each call."""
    ledger_config = ledger_config_on("postgresql", tmp_path)
    chance = random.Random(3)

    async def moody(exchange: Exchange) -> None:
        await exchange.answer(500 if chance.random() < 0.2 else 200)

    async with (
        receiving(moody) as receiver,
        ledger_of(ledger_config) as board,
        member(ledger_config, own_writer=True, sweep_s=0.5) as one,
    ):
        await one.endpoint(receiver.url())
        await board.shared((one, 1))
        for n in range(90):
            if n in (30, 60):
                killing = asyncio.create_task(kill_writer())
            stored = False
            while not stored:
                try:
                    await one.record(pressed(f"call-{n % 7}", f"{n:02}"))
                    stored = True
                except LedgerUnavailable:
                    await asyncio.sleep(0.05)  # as the sender: it tries until it is stored
        await killing
        await board.delivered(90)
        took = pressed_keys(receiver.posts)
        assert {key for keys in took.values() for key in keys} == {f"{n:02}" for n in range(90)}
        assert all(keys == sorted(keys) for keys in took.values())


@pytest.mark.parametrize("how", [signal.SIGKILL, pytest.param(signal.SIGSTOP, marks=pytest.mark.soak)])
@in_loop
async def test_the_endpoints_of_a_lost_process_are_taken_over(tmp_path: Path, how: signal.Signals) -> None:
    """Killed or stopped: after the lease, in order for each call, and not by two at once.

    If its writer is stopped within a transaction, the server ends that first, after 5 s.

    One that is stopped between its last look at the clock and the sending may send that one when it wakes up (0019).
    """
    ledger_config = ledger_config_on("postgresql", tmp_path)
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(receiving())
        witness = receiver.script = Witness(receiver)
        board = await stack.enter_async_context(ledger_of(ledger_config))
        recorder = await stack.enter_async_context(member(ledger_config, NO_RELAY))
        for n in range(4):
            await recorder.endpoint(receiver.url(path=f"/e{n}"), f"e{n}")
        one, two = await asyncio.gather(*(stack.enter_async_context(peer(ledger_config)) for _ in range(2)))
        await board.shared((one, 2), (two, 2))
        recording = asyncio.create_task(_keep_recording(recorder.record, calls=5, presses=9))
        await until(reported(receiver, 20))
        await until(lambda: witness.pids == {one.process.pid, two.process.pid})
        one.send(how)
        expire_us = board.expire_us(one)
        await board.shared((two, 4), timeout_s=TTL_S + 8.0)
        assert time.time_ns() // 1000 >= expire_us
        await recording
        if how is signal.SIGSTOP:
            one.send(signal.SIGCONT)
            await board.shared((one, 2), (two, 2))
        await board.delivered(4 * 5 * 9)
        overlaps = await witness.overlaps()
        assert overlaps == [] if how is signal.SIGKILL else len({path for path, *_ in overlaps}) <= 1
        assert witness.pids == {one.process.pid, two.process.pid}
        for keys in pressed_keys(receiver.posts).values():
            assert keys == sorted(keys)
            assert set(keys) == set("012345678")


@in_loop
async def test_a_process_without_a_ledger_delivers_nothing(tmp_path: Path) -> None:
    """Its leases run out: it cuts short what is under way before another can begin."""
    ledger_config = ledger_config_on("postgresql", tmp_path)
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(receiving())
        witness = receiver.script = Witness(receiver)
        witness.holds = asyncio.Event()
        board = await stack.enter_async_context(ledger_of(ledger_config))
        one = await stack.enter_async_context(peer(ledger_config))
        recorder = await stack.enter_async_context(member(ledger_config, NO_RELAY))
        await recorder.endpoint(receiver.url(), timeout_s=60.0)
        await board.shared((one, 1))
        await recorder.record(answered("call"))
        await until(reported(receiver, 1))
        one.send_writer(signal.SIGSTOP)
        two = await stack.enter_async_context(member(ledger_config))
        stopped_s = time.monotonic()
        while board.shares(two) == [0]:
            await asyncio.sleep(0.02)
            assert time.monotonic() - stopped_s < TTL_S + 10.0
        assert not witness.connected(one.process.pid)
        witness.holds.set()
        await board.delivered(1)
        assert await witness.overlaps() == []
