"""The emulator's clocks: faster than ours, and standing still."""

import asyncio
import time
from collections.abc import Sequence

import pytest

from answerback.emulator.clock import FastClock, VirtualClock


async def woken(clock: VirtualClock, waits_s: Sequence[float], moves_s: Sequence[float]) -> list[list[float]]:
    """Which of `waits_s` are over after each move."""
    over: list[float] = []

    async def sleep(seconds: float) -> None:
        await clock.wait(seconds)
        over.append(seconds)

    began_s, states = clock.now_s(), []
    sleepers = [asyncio.create_task(sleep(seconds)) for seconds in waits_s]
    await asyncio.sleep(0)
    for move_s in moves_s:
        clock.move_to(began_s + move_s)
        await asyncio.sleep(0)
        states.append(list(over))
    for sleeper in sleepers:
        sleeper.cancel()
    await asyncio.gather(*sleepers, return_exceptions=True)
    return states


def test_a_virtual_clock_wakes_whoever_has_waited_long_enough() -> None:
    """Nobody goes on before their time, and all do in the order of theirs, those of one moment as they came."""
    states = asyncio.run(woken(VirtualClock(1000.0), [5, 1, 3, 1], [0.5, 1, 4, 100]))
    assert states == [[], [1, 1], [1, 1, 3], [1, 1, 3, 5]]


def test_a_virtual_clock_goes_where_it_is_moved_and_never_back() -> None:
    """Its time is what a test says."""
    clock = VirtualClock(1000.0)
    clock.move_to(1005.5)
    clock.move_to(1001.0)
    assert clock.now_s() == 1005.5


def test_a_virtual_clock_says_what_comes_next() -> None:
    """The next moment that somebody waits for; one who has gone away does not count."""

    async def ask() -> list[float | None]:
        clock = VirtualClock(1000.0)
        said = [clock.next_s]
        first, second = (asyncio.create_task(clock.wait(seconds)) for seconds in (1, 2))
        await asyncio.sleep(0)
        said.append(clock.next_s)
        first.cancel()
        await asyncio.sleep(0)
        said.append(clock.next_s)
        clock.move_to(1002.0)
        await second
        return [*said, clock.next_s]

    assert asyncio.run(ask()) == [None, 1001.0, 1002.0, None]


def test_a_virtual_clock_begins_now() -> None:
    """Where no test says otherwise, signatures are up to date."""
    assert VirtualClock().now_s() == pytest.approx(time.time(), abs=5)


def test_a_fast_clock_waits_less_but_shows_our_time() -> None:
    """A minute of the cloud's is over soon; its time of day is ours, for signatures hold it."""
    clock = FastClock(600)
    began_s = time.monotonic()
    asyncio.run(clock.wait(60))
    assert 0.1 <= time.monotonic() - began_s < 30
    assert clock.now_s() == pytest.approx(time.time(), abs=5)


def test_an_instant_clock_waits_for_nothing() -> None:
    """A year is over at once; still, others have their turn."""

    async def wait() -> float:
        turns: list[str] = []

        async def take_a_turn() -> None:
            turns.append("other")

        other = asyncio.create_task(take_a_turn())
        began_s = time.monotonic()
        await FastClock(float("inf")).wait(365 * 86_400)
        assert turns == ["other"]
        await other
        return time.monotonic() - began_s

    assert asyncio.run(wait()) < 5
