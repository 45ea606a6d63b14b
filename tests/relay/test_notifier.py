import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import psycopg
import pytest
from relay.waiting import in_loop, until
from structlog.testing import capture_logs

from answerback.ledger.backends.postgresql.notifier import FULL_RESYNC, Notification, PgNotifier


@asynccontextmanager
async def listening(store: str, member: str) -> AsyncIterator[tuple[PgNotifier, list[Notification]]]:
    """A member's bell, and what it hears from the moment on at which it listens."""
    pg_notifier, heard = PgNotifier(store, member), list[Notification]()
    pg_notifier.start(heard.append)
    await until(lambda: heard == [FULL_RESYNC])
    heard.clear()
    try:
        yield pg_notifier, heard
    finally:
        await pg_notifier.stop()


def heard_of(rings: list[Notification], wanted: set[int]) -> Callable[[], bool]:
    """Whether all of these endpoints were notified of."""
    return lambda: {endpoint_id for ring in rings for endpoint_id in ring.endpoints_with_work} >= wanted


@in_loop
async def test_the_others_hear_a_ring(postgresql_url: str) -> None:
    """All that it says, by whom, and at once; who rang does not hear it."""
    async with listening(postgresql_url, "m1") as (one, own), listening(postgresql_url, "m2") as (_, heard):
        ring = Notification(
            endpoints_with_work=(1, 2), endpoints_changed=True, annotated_calls=(("default", 7),), next_due_us=5
        )
        one.notify(ring)
        await until(lambda: heard)
        assert heard == [
            Notification(
                origin="m1",
                endpoints_with_work=(1, 2),
                endpoints_changed=True,
                annotated_calls=(("default", 7),),
                next_due_us=5,
            )
        ]
        assert own == []


@in_loop
async def test_what_rings_together_goes_together(postgresql_url: str) -> None:
    """A storm of rings is few notifications, and none of it is lost."""
    async with listening(postgresql_url, "m1") as (one, _), listening(postgresql_url, "m2") as (_, heard):
        for n in range(400):
            one.notify(Notification(endpoints_with_work=(n,)))
            await asyncio.sleep(0.0005)  # a storm, and yet no single batch
        await until(heard_of(heard, set(range(400))))
        assert len(heard) < 100


@in_loop
async def test_what_does_not_fit_is_a_look_at_everything(postgresql_url: str) -> None:
    """A notification has a greatest size."""
    async with listening(postgresql_url, "m1") as (one, _), listening(postgresql_url, "m2") as (_, heard):
        one.notify(
            Notification(endpoints_with_work=tuple(range(10**9, 10**9 + 3000))).merge(
                Notification(endpoints_with_work=(1,))
            )
        )
        one.notify(Notification(annotated_calls=tuple(("channel" * 9, n) for n in range(100))).merge(Notification()))
        await until(lambda: heard)
        assert any(ring.full_resync for ring in heard)


@in_loop
async def test_a_broken_connection_is_made_anew(postgresql_url: str) -> None:
    """After that all is looked at, for something may have been missed; and ringing goes on as well."""
    async with listening(postgresql_url, "m1") as (one, _), listening(postgresql_url, "m2") as (_, heard):
        one.notify(Notification(endpoints_with_work=(1,)))
        await until(heard_of(heard, {1}))
        with psycopg.connect(postgresql_url, autocommit=True) as server:
            server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'answerback notifier'"
            )
        await until(lambda: FULL_RESYNC in heard)
        with capture_logs() as logs:
            one.notify(Notification(endpoints_with_work=(2,)))  # it finds its own connection broken
            await until(lambda: "notify_failed" in {line["event"] for line in logs})
        one.notify(Notification(endpoints_with_work=(3,)))
        await until(heard_of(heard, {3}))


@in_loop
async def test_what_was_notified_at_the_end_arrives(postgresql_url: str) -> None:
    """Who leaves gives back what it held, and says so."""
    async with listening(postgresql_url, "m2") as (_, heard):
        async with listening(postgresql_url, "m1") as (one, _):
            one.notify(Notification(leases_available=True))
        await until(lambda: any(ring.leases_available and not ring.full_resync for ring in heard))


@in_loop
async def test_a_ring_that_nobody_understands_is_a_look_at_everything(postgresql_url: str) -> None:
    """It may be of a newer release."""
    async with listening(postgresql_url, "m1") as (_, heard):
        with psycopg.connect(postgresql_url, autocommit=True) as server:
            server.execute("SELECT pg_notify('answerback', 'what?')")
        await until(lambda: heard == [FULL_RESYNC])


@pytest.mark.parametrize("many", [1, 500, 501])
def test_rings_add_up(many: int) -> None:
    """Two in one say what both said; more than fits is everything."""
    one, other = (
        Notification(endpoints_with_work=tuple(range(many)), next_due_us=7),
        Notification(endpoints_with_work=(0,), leases_available=True, next_due_us=5),
    )
    both = one.merge(other)
    assert (both.leases_available, both.endpoints_changed, both.next_due_us, both.full_resync) == (
        True,
        False,
        5,
        many > 500,
    )
    assert both.endpoints_with_work == tuple(range(min(many, 500)))
