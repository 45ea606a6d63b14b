import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from relay.factories import endpoint, job

from answerback.relay.circuit_breaker import Breaker
from answerback.relay.endpoint_queue import Lane


def lane(*, concurrency: int = 8, enabled: bool = True, limit: int = 10) -> Lane:
    """The lane of an endpoint."""
    return Lane(endpoint(concurrency=concurrency, enabled=enabled), Breaker(limit, (5, 15)))


@asynccontextmanager
async def under_way(busy: Lane, count: int) -> AsyncIterator[None]:
    """So many attempts are under way on a lane."""
    attempts = {asyncio.create_task(asyncio.sleep(60)) for _ in range(count)}
    busy.attempts |= attempts
    yield
    for attempt in attempts:
        attempt.cancel()
    await asyncio.wait(attempts)


def queued(of: Lane) -> list[int]:
    """What is ready, in order."""
    return [ready.delivery_id for ready in of.queue]


# How much may be under way


def test_one_attempt_may_be_under_way_at_first() -> None:
    """Nobody knows yet whether the endpoint answers."""
    new = lane()
    assert (new.window, new.room) == (1, 1)


@pytest.mark.parametrize("concurrency", [1, 2, 8])
def test_the_window_grows_by_one_per_success(concurrency: int) -> None:
    """Up to the endpoint's concurrency, and no further."""
    growing = lane(concurrency=concurrency)
    windows = []
    for _ in range(10):
        growing.succeeded()
        windows.append(growing.window)
    assert windows == [min(n + 2, concurrency) for n in range(10)]


@given(st.integers(1, 64), st.lists(st.booleans(), max_size=60))
def test_the_window_is_one_after_a_failure(concurrency: int, history: list[bool]) -> None:
    """After a failure one; between one and the concurrency whatever happens."""
    tried = lane(concurrency=concurrency)
    for now_s, succeeded in enumerate(history):
        if succeeded:
            before = tried.window
            tried.succeeded()
            assert tried.window == min(before + 1, concurrency)
        else:
            tried.failed(now_s)
            assert tried.window == 1


def test_what_is_under_way_takes_room() -> None:
    """Room is the window less the attempts, below zero where the window has closed meanwhile."""

    async def scenario() -> None:
        busy = lane(concurrency=4)
        for _ in range(3):
            busy.succeeded()
        async with under_way(busy, 3):
            assert busy.room == 1
            busy.failed(0)
            assert busy.room == -2

    asyncio.run(scenario())


def test_nothing_may_begin_on_a_frozen_lane_or_an_endpoint_that_is_off() -> None:
    """Each attempt under way is then one too many."""

    async def scenario() -> None:
        frozen, off = lane(), lane(enabled=False)
        frozen.frozen = True
        for closed in (frozen, off):
            assert closed.room == 0
            async with under_way(closed, 2):
                assert closed.room == -2

    asyncio.run(scenario())


def test_a_paused_endpoint_is_probed_by_one() -> None:
    """While the breaker is open one attempt may be under way, also after a restart."""
    restored = Lane(endpoint(), Breaker(10, (5,), 12, 1000.0))
    assert restored.room == 1
    restored.window = 8
    assert restored.room == 1


def test_a_lane_is_closed_as_long_as_the_breaker_or_the_endpoint_says() -> None:
    """Until the later of the pause and of the quiet that the endpoint asked for."""
    closing = lane(limit=1)
    assert closing.closed_until_s(1000.0) is None
    closing.quiet_until_s = 1003.0
    assert closing.closed_until_s(1000.0) == 1003.0
    assert closing.failed(1000.0)
    until_s = closing.breaker.paused_until_s
    assert until_s is not None
    assert closing.closed_until_s(1000.0) == until_s
    closing.quiet_until_s = 1060.0
    assert closing.closed_until_s(1000.0) == 1060.0
    assert closing.closed_until_s(1060.0) is None


def test_a_success_ends_a_pause_and_says_so() -> None:
    """Only the one that ended it does."""
    paused = lane(limit=1)
    assert paused.failed(1000.0)
    assert [paused.succeeded(), paused.succeeded()] == [True, False]
    assert paused.closed_until_s(1000.0) is None


@pytest.mark.parametrize("concurrency", [1, 8])
def test_an_endpoint_is_trusted_from_its_first_success_to_its_next_failure(concurrency: int) -> None:
    """A kept connection that breaks then says nothing about it, however few attempts it may have at a time."""
    tried = lane(concurrency=concurrency)
    assert not tried.trusty
    tried.succeeded()
    assert tried.trusty
    tried.failed(0)
    assert not tried.trusty
    tried.succeeded()
    assert tried.trusty


# What is at hand


def test_offered_jobs_are_ready_in_order() -> None:
    """First in, first out; each is held until it is settled."""
    taking = lane()
    assert taking.offer([job(3), job(1), job(2)])
    assert queued(taking) == [3, 1, 2]
    assert taking.held == {1, 2, 3}
    assert not taking.behind


def test_what_is_held_is_not_taken_twice() -> None:
    """Pushed and loaded, or loaded while it is under way: a delivery is here once."""
    taking = lane()
    taking.offer([job(1), job(2)])
    taking.queue.popleft()
    assert not taking.offer([job(1), job(2)])
    assert queued(taking) == [2]
    taking.held.discard(1)
    assert taking.offer([job(1), job(2)])
    assert queued(taking) == [2, 1]


def test_a_lane_holds_the_more_the_more_gets_through() -> None:
    """An endpoint that does not answer holds few jobs in memory, one that does as many as it will soon get."""
    growing = lane(concurrency=64)
    assert (growing.most, growing.few) == (32, 8)
    for _ in range(100):
        growing.succeeded()
    assert (growing.most, growing.few) == (1040, 260)
    growing.failed(0.0)
    assert growing.most == 32


def test_a_full_lane_takes_no_more_and_knows_it() -> None:
    """What finds no room stays in the ledger, and the lane is behind it."""
    taking = lane()
    assert taking.offer(job(n) for n in range(taking.most))
    assert not taking.behind
    assert not taking.offer([job(taking.most)])
    assert taking.behind
    assert len(taking.queue) == len(taking.held) == taking.most


@pytest.mark.parametrize("enabled", [True, False])
def test_a_closed_lane_takes_nothing_and_knows_it(enabled: bool) -> None:  # noqa: FBT001  # a parameter
    """Frozen or off: what is offered is to be read from the ledger later."""
    closed = lane(enabled=enabled)
    closed.frozen = enabled
    assert not closed.offer([job(1)])
    assert (queued(closed), closed.held, closed.behind) == ([], set(), True)


def test_taking_back_lets_go_of_everything_ready() -> None:
    """What is under way stays held, so that it does not go out twice."""
    taking = lane()
    taking.offer([job(1), job(2), job(3)])
    taking.queue.popleft()
    taking.take_back()
    assert (queued(taking), taking.held, taking.behind) == ([], {1}, True)


def test_taking_back_one_call_leaves_the_others() -> None:
    """In their order; and the lane is behind only if there was something to let go of."""
    taking = lane()
    taking.offer([job(1, call_id=7), job(2, call_id=8), job(3, call_id=7), job(4, call_id=9)])
    taking.take_back(5)
    assert (queued(taking), taking.behind) == ([1, 2, 3, 4], False)
    taking.take_back(7)
    assert (queued(taking), taking.held, taking.behind) == ([2, 4], {2, 4}, True)


def test_a_lane_asks_for_more_in_time() -> None:
    """It lacks something where the ledger holds more and little is left here; not twice, and not while it is closed."""
    asking = lane()
    assert not asking.lacks
    asking.behind = True
    assert asking.lacks
    asking.loading = True
    assert not asking.lacks
    asking.loading = False
    asking.frozen = True
    assert not asking.lacks
    asking.frozen = False
    asking.offer(job(n) for n in range(asking.few - 1))
    assert asking.lacks
    asking.offer([job(asking.few)])
    assert not asking.lacks
    off = lane(enabled=False)
    off.behind = True
    assert not off.lacks


def test_a_lane_does_not_read_on_while_too_much_is_unsettled() -> None:
    """What was attempted and is not yet kept counts, too: memory is bounded."""
    asking = lane()
    asking.offer(job(n) for n in range(asking.most))
    asking.queue.clear()
    asking.behind = True
    assert not asking.lacks
    asking.held.discard(0)
    assert asking.lacks


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
    taking, under_way = lane(), set[int]()
    for what, given_ in history:
        match what, given_:
            case "offer", list(ids):
                taking.behind = False
                taking.offer([job(n, call_id=n % 5) for n in ids])
                assert taking.behind or set(ids) <= taking.held
            case "begin", int(count):
                under_way |= {taking.queue.popleft().delivery_id for _ in range(min(count, len(taking.queue)))}
            case "settle", int(count):
                settled = set(sorted(under_way)[:count])
                taking.held -= settled
                under_way -= settled
            case "take back", int(call_id):
                taking.take_back(call_id or None)
            case _, bool(frozen):
                taking.frozen = frozen
        assert len(queued(taking)) == len(set(queued(taking))) <= taking.most
        assert taking.held == under_way | set(queued(taking))
        assert not under_way & set(queued(taking))
