"""SIGKILL to the gateway and to the receivers: every answered callback reaches every endpoint, in order, by one id.

ROUNDS sets how often (4 by default, of which a part is enough here); `make crash` shows each round.
"""

import asyncio
import os
import random
import signal
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
from crash.calls import Calls, steps_of
from gateway import Gateway
from receivers.process import Receiver
from receivers.webhook_receiver import Business, relaying

ROUNDS = int(os.environ.get("ROUNDS", "4"))
SETTINGS = relaying(str([0.1] * 100), breaker_cooldowns_s="[0.1]")
_ALONE = 0.5
"""How often the main process alone is killed, as the kernel does that is out of memory; else its helpers as well."""


@pytest.fixture(autouse=True)
def seed() -> None:
    """Choose the moments anew in each run, and show how to choose the same again."""
    number = int(os.environ.get("SEED", str(random.randrange(2**32))))
    _say(f"\nSEED={number} ROUNDS={ROUNDS}")
    random.seed(number)


def _say(line: str) -> None:
    print(line)  # noqa: T201  # `make crash` shows the rounds


@pytest.fixture
def receivers(tmp_path: Path) -> Iterator[dict[str, Receiver]]:
    """Two that take everything, in either format, and one that takes every second attempt."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(Receiver(tmp_path, name, behaviour=behaviour, status=503))
            for name, behaviour in (("standard", "obeying"), ("tencent", "obeying"), ("flapping", "flapping"))
        }


def add_all(business: Business, receivers: Mapping[str, Receiver]) -> None:
    """Make each receiver an endpoint."""
    for name, receiver in receivers.items():
        business.add(name, receiver.url, format="tencent" if name == "tencent" else "standard", concurrency=16)


async def crash_receivers(receivers: Mapping[str, Receiver]) -> None:
    """SIGKILL to one receiver after another; until cancelled."""
    while True:
        await crash_one(random.choice(list(receivers.values())))


async def crash_one(receiver: Receiver) -> None:
    """SIGKILL to a receiver, which is back a moment later."""
    await asyncio.sleep(random.uniform(0.02, 0.2))  # any moment
    receiver.kill()
    await asyncio.sleep(random.uniform(0, 0.1))  # it is away for a while
    starting = asyncio.create_task(asyncio.to_thread(receiver.start))
    try:
        await asyncio.shield(starting)
    except asyncio.CancelledError:
        await starting
        raise


async def crash_all(calls: Calls, gateway: Gateway, receivers: Mapping[str, Receiver], after_s: float) -> None:
    """Load, receivers that come and go, and in the midst of it SIGKILL to the gateway."""
    reporting = asyncio.create_task(calls.run(gateway))
    striking = asyncio.create_task(crash_receivers(receivers))
    await asyncio.sleep(after_s)  # any moment: to await an event would choose it
    if random.random() < _ALONE:
        gateway.send_signal(signal.SIGKILL)
        gateway.wait()
    else:
        gateway.kill()
    striking.cancel()
    await asyncio.gather(striking, return_exceptions=True)
    async with asyncio.timeout(20):
        await reporting
    for receiver in receivers.values():
        if not receiver.up:
            receiver.start()


def check(receiver: Receiver, calls: Calls) -> int:
    """Check all that a receiver accepted against all that was answered; return how often something was delivered twice."""
    accepted, repeats = set(), 0
    ids: defaultdict[bytes, set[str]] = defaultdict(set)
    places: defaultdict[str, list[int]] = defaultdict(list)
    for one in receiver.taken:
        body = one.document["data"]["callback"]["raw"].encode() if "data" in one.document else one.body
        repeats += body in ids
        ids[body].add(one.id)
        places[one.callid].append(steps_of(one.callid).index(body))
        if one.status == 200:
            accepted.add(body)
    undelivered = {body for callid, count in calls.answered.items() for body in steps_of(callid)[:count]}
    assert not undelivered - accepted, (
        f"answered, and never taken by {receiver.name}: {len(undelivered - accepted)} of {len(undelivered)}"
    )
    assert not [body for body, known in ids.items() if len(known) != 1], "a repeat by another id"
    assert len(set().union(*ids.values())) == len(ids), "one id for two callbacks"
    assert all(order == sorted(order) for order in places.values()), "overtaken"
    assert all(order[0] == 0 and set(order) == set(range(max(order) + 1)) for order in places.values()), "left out"
    return repeats


def test_killed_under_load_every_callback_is_still_delivered(tmp_path: Path, receivers: dict[str, Receiver]) -> None:
    """Gateway and receivers are killed again and again: everything answered arrives, in order, repeats by the same id."""
    rounds, calls, gateway = max(3, ROUNDS // 4), Calls(), Gateway(tmp_path / "data", settings=SETTINGS)
    business, began_s = Business(gateway), time.monotonic()
    for number in range(rounds):
        with gateway.start():
            if number == 0:
                add_all(business, receivers)
            asyncio.run(crash_all(calls, gateway, receivers, random.uniform(0.3, 1.2)))
        _say(f"told {number + 1}/{rounds}: {sum(calls.answered.values())} answered, {time.monotonic() - began_s:.1f} s")
    with gateway.start():
        gateway.await_recorded()  # what is not is not owed yet
        business.await_settled(*receivers, timeout_s=60)
        assert business.deliveries(state="dead") == []
        repeats = {name: check(receiver, calls) for name, receiver in receivers.items()}
        assert gateway.rows("PRAGMA integrity_check") == [("ok",)]
    _say(f"all told, repeats {repeats}, {time.monotonic() - began_s:.1f} s")
    assert len(calls.answered) > rounds


def test_receivers_that_are_killed_miss_nothing(tmp_path: Path, receivers: dict[str, Receiver]) -> None:
    """The same while the gateway stays up: what a receiver may not have had is delivered again, and nothing stays pending."""
    calls = Calls()

    async def load(gateway: Gateway) -> None:
        reporting = asyncio.create_task(calls.run(gateway))
        for receiver in max(2, ROUNDS // 4) * list(receivers.values()):
            await crash_one(receiver)
        calls.stop()
        await reporting

    with Gateway(tmp_path / "data", settings=SETTINGS) as gateway:
        business = Business(gateway)
        add_all(business, receivers)
        asyncio.run(load(gateway))
        gateway.await_recorded()  # what is not is not owed yet
        business.await_settled(*receivers, timeout_s=30)
        assert business.deliveries(state="dead") == []
        for receiver in receivers.values():
            check(receiver, calls)


@pytest.mark.soak
def test_killed_during_a_replay_nothing_is_lost(tmp_path: Path) -> None:
    """Killed while dead deliveries are replayed: what was marked goes out after the start, each under its old id."""
    gateway = Gateway(tmp_path / "data", settings=relaying("[]", breaker_threshold="100000"))
    business, calls = Business(gateway), [f"call-{number}" for number in range(300)]
    with Receiver(tmp_path, behaviour="refusing") as receiver:
        with gateway.start():
            business.add("crm", receiver.url, concurrency=16)
            business.asks("GET", "endpoints")
            for callid in calls:
                business.hears(steps_of(callid)[0])
            business.await_settled("crm")
            ids = {one.callid: one.id for one in receiver.taken}
            assert len(ids) == len(calls)
            receiver.restart(behaviour="slow", wait_s=0.02)
            business.asks("POST", "replays", {"endpoint": business.name("crm"), "dead": True})
            receiver.await_taken(len(calls) + 20)
            gateway.kill()
        with gateway.start():
            business.asks("POST", "replays", {"endpoint": business.name("crm"), "dead": True})
            receiver.await_taken(2 * len(calls))
            business.await_settled("crm")
            again = receiver.taken[len(calls) :]
            assert {one.callid: one.id for one in again} == ids
            assert {(one.callid, one.id) for one in again} == set(ids.items())
