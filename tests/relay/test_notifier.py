import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import psycopg
import pytest
from relay.waiting import in_loop, until

from answerback.ledger.backends.postgresql.notifier import EVERYTHING, Bell, Ring


@asynccontextmanager
async def listening(store: str, member: str) -> AsyncIterator[tuple[Bell, list[Ring]]]:
    """A member's bell, and what it hears from the moment on at which it listens."""
    bell, heard = Bell(store, member), list[Ring]()
    bell.start(heard.append)
    await until(lambda: heard == [EVERYTHING])
    heard.clear()
    try:
        yield bell, heard
    finally:
        await bell.stop()


def heard_of(rings: list[Ring], wanted: set[int]) -> Callable[[], bool]:
    """Whether all of these endpoints were rung for."""
    return lambda: {endpoint_id for ring in rings for endpoint_id in ring.owed} >= wanted


@in_loop
async def test_the_others_hear_a_ring(postgresql_url: str) -> None:
    """All that it says, by whom, and at once; who rang does not hear it."""
    async with listening(postgresql_url, "m1") as (one, own), listening(postgresql_url, "m2") as (_, heard):
        ring = Ring(owed=(1, 2), changed=True, referred=(("default", 7),), due_us=5)
        one.ring(ring)
        await until(lambda: heard, timeout_s=2.0)
        assert heard == [Ring(by="m1", owed=(1, 2), changed=True, referred=(("default", 7),), due_us=5)]
        assert own == []


@in_loop
async def test_what_rings_together_goes_together(postgresql_url: str) -> None:
    """A storm of rings is few notifications, and none of it is lost."""
    async with listening(postgresql_url, "m1") as (one, _), listening(postgresql_url, "m2") as (_, heard):
        for n in range(400):
            one.ring(Ring(owed=(n,)))
            await asyncio.sleep(0.0005)
        await until(heard_of(heard, set(range(400))))
        assert len(heard) < 100


@in_loop
async def test_what_does_not_fit_is_a_look_at_everything(postgresql_url: str) -> None:
    """A notification has a greatest size."""
    async with listening(postgresql_url, "m1") as (one, _), listening(postgresql_url, "m2") as (_, heard):
        one.ring(Ring(owed=tuple(range(10**9, 10**9 + 3000))).with_(Ring(owed=(1,))))
        one.ring(Ring(referred=tuple(("channel" * 9, n) for n in range(100))).with_(Ring()))
        await until(lambda: heard)
        assert any(ring.all for ring in heard)


@in_loop
async def test_a_broken_connection_is_made_anew(postgresql_url: str) -> None:
    """After that all is looked at, for something may have been missed; and ringing goes on as well."""
    async with listening(postgresql_url, "m1") as (one, _), listening(postgresql_url, "m2") as (_, heard):
        one.ring(Ring(owed=(1,)))
        await until(heard_of(heard, {1}))
        with psycopg.connect(postgresql_url, autocommit=True) as server:
            server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'answerback bell'"
            )
        await until(lambda: EVERYTHING in heard)
        one.ring(Ring(owed=(2,)))  # it finds its own connection broken
        await asyncio.sleep(0.1)  # nothing shows when it has found that
        one.ring(Ring(owed=(3,)))
        await until(heard_of(heard, {3}))


@in_loop
async def test_what_was_rung_at_the_end_is_heard(postgresql_url: str) -> None:
    """Who leaves gives back what it held, and says so."""
    async with listening(postgresql_url, "m2") as (_, heard):
        async with listening(postgresql_url, "m1") as (one, _):
            one.ring(Ring(free=True))
        await until(lambda: any(ring.free and not ring.all for ring in heard))


@in_loop
async def test_a_ring_that_nobody_understands_is_a_look_at_everything(postgresql_url: str) -> None:
    """It may be of a newer release."""
    async with listening(postgresql_url, "m1") as (_, heard):
        with psycopg.connect(postgresql_url, autocommit=True) as server:
            server.execute("SELECT pg_notify('answerback', 'what?')")
        await until(lambda: heard == [EVERYTHING])


@pytest.mark.parametrize("many", [1, 500, 501])
def test_rings_add_up(many: int) -> None:
    """Two in one say what both said; more than fits is everything."""
    one, other = Ring(owed=tuple(range(many)), due_us=7), Ring(owed=(0,), free=True, due_us=5)
    both = one.with_(other)
    assert (both.free, both.changed, both.due_us, both.all) == (True, False, 5, many > 500)
    assert both.owed == tuple(range(min(many, 500)))
