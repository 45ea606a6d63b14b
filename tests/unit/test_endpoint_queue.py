import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from relay.factories import endpoint, job

from answerback.relay.circuit_breaker import CircuitBreaker
from answerback.relay.endpoint_queue import EndpointQueue


def queue(*, concurrency: int = 8, enabled: bool = True, limit: int = 10) -> EndpointQueue:
    """The queue of an endpoint."""
    return EndpointQueue(endpoint(concurrency=concurrency, enabled=enabled), CircuitBreaker(limit, (5, 15)))


@asynccontextmanager
async def under_way(busy: EndpointQueue, count: int) -> AsyncIterator[None]:
    """So many attempts are under way on a queue."""
    attempts = {asyncio.create_task(asyncio.sleep(60)) for _ in range(count)}  # none of them ends by itself
    busy.attempts |= attempts
    yield
    for attempt in attempts:
        attempt.cancel()
    await asyncio.wait(attempts)


def queued(of: EndpointQueue) -> list[int]:
    """What is ready, in order."""
    return [ready.delivery_id for ready in of.jobs]


# How much may be under way


def test_one_attempt_may_be_under_way_at_first() -> None:
    """Nobody knows yet whether the endpoint answers."""
    new = queue()
    assert (new.window, new.free_slots) == (1, 1)


@pytest.mark.parametrize("concurrency", [1, 2, 8])
def test_the_window_grows_by_one_per_success(concurrency: int) -> None:
    """Up to the endpoint's concurrency, and no further."""
    growing = queue(concurrency=concurrency)
    windows = []
    for _ in range(10):
        growing.record_success()
        windows.append(growing.window)
    assert windows == [min(n + 2, concurrency) for n in range(10)]


@given(st.integers(1, 64), st.lists(st.booleans(), max_size=60))
def test_the_window_is_one_after_a_failure(concurrency: int, history: list[bool]) -> None:
    """After a failure one; between one and the concurrency whatever happens."""
    tried = queue(concurrency=concurrency)
    for now_s, succeeded in enumerate(history):
        if succeeded:
            before = tried.window
            tried.record_success()
            assert tried.window == min(before + 1, concurrency)
        else:
            tried.record_failure(now_s)
            assert tried.window == 1


def test_what_is_under_way_takes_room() -> None:
    """Room is the window less the attempts, below zero where the window has closed meanwhile."""

    async def scenario() -> None:
        busy = queue(concurrency=4)
        for _ in range(3):
            busy.record_success()
        async with under_way(busy, 3):
            assert busy.free_slots == 1
            busy.record_failure(0)
            assert busy.free_slots == -2

    asyncio.run(scenario())


def test_nothing_may_begin_on_a_frozen_queue_or_an_endpoint_that_is_off() -> None:
    """Each attempt under way is then one too many."""

    async def scenario() -> None:
        frozen, off = queue(), queue(enabled=False)
        frozen.suspended = True
        for closed in (frozen, off):
            assert closed.free_slots == 0
            async with under_way(closed, 2):
                assert closed.free_slots == -2

    asyncio.run(scenario())


def test_a_paused_endpoint_is_probed_by_one() -> None:
    """While the breaker is open one attempt may be under way, also after a restart."""
    restored = EndpointQueue(endpoint(), CircuitBreaker(10, (5,), 12, 1000.0))
    assert restored.free_slots == 1
    restored.window = 8
    assert restored.free_slots == 1


def test_a_queue_is_closed_as_long_as_the_breaker_or_the_endpoint_says() -> None:
    """Until the later of the pause and of the quiet that the endpoint asked for."""
    closing = queue(limit=1)
    assert closing.blocked_until_s(1000.0) is None
    closing.retry_after_until_s = 1003.0
    assert closing.blocked_until_s(1000.0) == 1003.0
    assert closing.record_failure(1000.0)
    until_s = closing.breaker.open_until_s
    assert until_s is not None
    assert closing.blocked_until_s(1000.0) == until_s
    closing.retry_after_until_s = 1060.0
    assert closing.blocked_until_s(1000.0) == 1060.0
    assert closing.blocked_until_s(1060.0) is None


def test_a_success_ends_a_pause_and_says_so() -> None:
    """Only the one that ended it does."""
    paused = queue(limit=1)
    assert paused.record_failure(1000.0)
    assert [paused.record_success(), paused.record_success()] == [True, False]
    assert paused.blocked_until_s(1000.0) is None


@pytest.mark.parametrize("concurrency", [1, 8])
def test_an_endpoint_is_trusted_from_its_first_success_to_its_next_failure(concurrency: int) -> None:
    """A kept connection that breaks then says nothing about it, however few attempts it may have at a time."""
    tried = queue(concurrency=concurrency)
    assert not tried.is_proven
    tried.record_success()
    assert tried.is_proven
    tried.record_failure(0)
    assert not tried.is_proven
    tried.record_success()
    assert tried.is_proven


# What is at hand


def test_offered_jobs_are_ready_in_order() -> None:
    """First in, first out; each is held until it is settled."""
    taking = queue()
    assert taking.put([job(3), job(1), job(2)])
    assert queued(taking) == [3, 1, 2]
    assert taking.buffered_ids == {1, 2, 3}
    assert not taking.has_more


def test_what_is_held_is_not_taken_twice() -> None:
    """Pushed and loaded, or loaded while it is under way: a delivery is here once."""
    taking = queue()
    taking.put([job(1), job(2)])
    taking.jobs.popleft()
    assert not taking.put([job(1), job(2)])
    assert queued(taking) == [2]
    taking.buffered_ids.discard(1)
    assert taking.put([job(1), job(2)])
    assert queued(taking) == [2, 1]


def test_a_queue_holds_the_more_the_more_gets_through() -> None:
    """An endpoint that does not answer holds few jobs in memory, one that does as many as it will soon get."""
    growing = queue(concurrency=64)
    assert (growing.capacity, growing.low_watermark) == (32, 8)
    for _ in range(100):
        growing.record_success()
    assert (growing.capacity, growing.low_watermark) == (1040, 260)
    growing.record_failure(0.0)
    assert growing.capacity == 32


def test_a_full_queue_takes_no_more_and_knows_it() -> None:
    """What finds no room stays in the ledger, and the queue is behind it."""
    taking = queue()
    assert taking.put(job(n) for n in range(taking.capacity))
    assert not taking.has_more
    assert not taking.put([job(taking.capacity)])
    assert taking.has_more
    assert len(taking.jobs) == len(taking.buffered_ids) == taking.capacity


@pytest.mark.parametrize("enabled", [True, False])
def test_a_closed_queue_takes_nothing_and_knows_it(enabled: bool) -> None:  # noqa: FBT001  # a parameter
    """Frozen or off: what is offered is to be read from the ledger later."""
    closed = queue(enabled=enabled)
    closed.suspended = enabled
    assert not closed.put([job(1)])
    assert (queued(closed), closed.buffered_ids, closed.has_more) == ([], set(), True)


def test_taking_back_lets_go_of_everything_ready() -> None:
    """What is under way stays held, so that it does not go out twice."""
    taking = queue()
    taking.put([job(1), job(2), job(3)])
    taking.jobs.popleft()
    taking.evict()
    assert (queued(taking), taking.buffered_ids, taking.has_more) == ([], {1}, True)


def test_taking_back_one_call_leaves_the_others() -> None:
    """In their order; and the queue is behind only if there was something to let go of."""
    taking = queue()
    taking.put([job(1, call_id=7), job(2, call_id=8), job(3, call_id=7), job(4, call_id=9)])
    taking.evict(5)
    assert (queued(taking), taking.has_more) == ([1, 2, 3, 4], False)
    taking.evict(7)
    assert (queued(taking), taking.buffered_ids, taking.has_more) == ([2, 4], {2, 4}, True)


def test_a_queue_asks_for_more_in_time() -> None:
    """It lacks something where the ledger holds more and little is left here; not twice, and not while it is closed."""
    asking = queue()
    assert not asking.needs_refill
    asking.has_more = True
    assert asking.needs_refill
    asking.refilling = True
    assert not asking.needs_refill
    asking.refilling = False
    asking.suspended = True
    assert not asking.needs_refill
    asking.suspended = False
    asking.put(job(n) for n in range(asking.low_watermark - 1))
    assert asking.needs_refill
    asking.put([job(asking.low_watermark)])
    assert not asking.needs_refill
    off = queue(enabled=False)
    off.has_more = True
    assert not off.needs_refill


def test_a_queue_does_not_read_on_while_too_much_is_unfinished() -> None:
    """What was attempted and is not yet kept counts, too: memory is bounded."""
    asking = queue()
    asking.put(job(n) for n in range(asking.capacity))
    asking.jobs.clear()
    asking.has_more = True
    assert not asking.needs_refill
    asking.buffered_ids.discard(0)
    assert asking.needs_refill


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("offer"), st.lists(st.integers(0, 700), max_size=300)),
            st.tuples(st.just("begin"), st.integers(0, 300)),
            st.tuples(st.just("settle"), st.integers(0, 300)),
            st.tuples(st.just("take back"), st.integers(0, 4)),
            st.tuples(st.just("freeze"), st.booleans()),
        ),
        max_size=30,
    )
)
def test_whatever_happens_a_delivery_is_here_once(history: list[tuple[str, object]]) -> None:
    """Ready jobs are held and never doubled, there are never too many, and none is dropped without being behind."""
    taking, under_way = queue(), set[int]()
    for what, given_ in history:
        match what, given_:
            case "offer", list(ids):
                taking.has_more = False
                taking.put([job(n, call_id=n % 5) for n in ids])
                assert taking.has_more or set(ids) <= taking.buffered_ids
            case "begin", int(count):
                under_way |= {taking.jobs.popleft().delivery_id for _ in range(min(count, len(taking.jobs)))}
            case "settle", int(count):
                settled = set(sorted(under_way)[:count])
                taking.buffered_ids -= settled
                under_way -= settled
            case "take back", int(call_id):
                taking.evict(call_id or None)
            case _, bool(frozen):
                taking.suspended = frozen
        assert len(queued(taking)) == len(set(queued(taking))) <= taking.capacity
        assert taking.buffered_ids == under_way | set(queued(taking))
        assert not under_way & set(queued(taking))
