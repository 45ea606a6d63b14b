import time

from answerback.ledger import Ledger
from answerback.ledger.admin import instances
from answerback.ledger.admin.instances import RETENTION_US, Instance, InstanceStatus
from answerback.ledger.backends.selection import dialect_of
from answerback.ledger.tables import instances as table


def member(id_: str = "m1", *, roles: tuple[str, ...] = ("intake", "relay"), started_us: int = 1) -> Instance:
    """A process."""
    return Instance(id=id_, host="host-1", pid=4711, roles=list(roles), version="1.2.3", started_us=started_us)


def heartbeat(ledger: Ledger, who: Instance, **state: object) -> None:
    """It says that it lives."""
    ledger.write(lambda c, _: instances.heartbeat(c, who, state))


def known(ledger: Ledger) -> list[InstanceStatus]:
    """All that are known."""
    return ledger.read(instances.find_instances)


def silence(ledger: Ledger, id_: str, for_us: int) -> None:
    """It was heard of last so long ago."""
    ledger.write(
        lambda c, _: c.execute(
            table.update().where(table.c.id == id_).values(heartbeat_us=dialect_of(c).now_us(c) - for_us)
        )
    )


def test_a_member_is_known_by_what_it_said_last(ledger: Ledger) -> None:
    """Each heartbeat takes the place of the one before."""
    heartbeat(ledger, member(), pending=1)
    heartbeat(ledger, member(), pending=2, url="http://127.0.0.1:1", paused={"crm": 10})
    (seen,) = known(ledger)
    assert seen.instance == member()
    assert seen.status == {"pending": 2, "url": "http://127.0.0.1:1", "paused": {"crm": 10}}
    assert 0 <= seen.silent_us < 5_000_000


def test_members_are_listed_by_age(ledger: Ledger) -> None:
    """The longest there first."""
    for id_, started_us in (("b", 3), ("a", 3), ("c", 2)):
        heartbeat(ledger, member(id_, started_us=started_us))
    assert [seen.instance.id for seen in known(ledger)] == ["c", "a", "b"]


def test_who_takes_leave_is_forgotten(ledger: Ledger) -> None:
    """And only that one."""
    for id_ in ("a", "b"):
        heartbeat(ledger, member(id_))
    ledger.write(lambda c, _: instances.deregister(c, "a"))
    assert [seen.instance.id for seen in known(ledger)] == ["b"]


def test_who_is_silent_is_shown_for_an_hour(ledger: Ledger) -> None:
    """After that the next heartbeat of anybody forgets it."""
    for id_ in ("short", "long", "live"):
        heartbeat(ledger, member(id_))
    silence(ledger, "short", RETENTION_US - 60_000_000)
    silence(ledger, "long", RETENTION_US + 60_000_000)
    heartbeat(ledger, member("live"))
    assert {seen.instance.id for seen in known(ledger)} == {"short", "live"}


def test_only_who_relays_and_was_heard_of_has_a_share(ledger: Ledger) -> None:
    """The roles count as they were said last."""
    heartbeat(ledger, member("relay"))
    heartbeat(ledger, member("api", roles=("api", "console")))
    heartbeat(ledger, member("silent"))
    silence(ledger, "silent", 20_000_000)
    found = ledger.read(lambda c: instances.active_relays(c, dialect_of(c).now_us(c) - 10_000_000))
    assert found == ["relay"]


def test_the_clock_is_near_ours(ledger: Ledger) -> None:
    """Microseconds since 1970, and it goes on within a transaction."""
    first, second = ledger.read(lambda c: (dialect_of(c).now_us(c), dialect_of(c).now_us(c)))
    assert abs(first - time.time_ns() // 1000) < 5_000_000
    assert second >= first
