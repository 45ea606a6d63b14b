from datetime import UTC, datetime, timedelta

from builders import NOON, key_press, received
from contract.delivery_helpers import endpoint

from answerback.api.status_view import build_status_view
from answerback.ledger import Ledger
from answerback.ledger.admin import endpoints, instances, leases
from answerback.ledger.admin.instances import Instance
from answerback.ledger.read.cluster_status import read_cluster_status
from answerback.ledger.types import to_us
from answerback.schemas.cluster import StatusView

LONG_US = 60_000_000


def arrive(ledger: Ledger, id_: str, roles: list[str], **state: object) -> None:
    """A process says that it is there."""
    who = Instance(id=id_, host=f"host-{id_}", pid=7, roles=roles, version="1.2.3", started_us=to_us(NOON))
    ledger.write(lambda c, _: instances.heartbeat(c, who, state))


def claim(ledger: Ledger, member: str, ttl_us: int = LONG_US) -> None:
    """It takes its share."""
    ledger.write(lambda c, _: leases.claim(c, member, [], ["overdue"], ttl_us))


def look(ledger: Ledger) -> StatusView:
    """How all stands."""
    return build_status_view(ledger.read(read_cluster_status), None)


def test_a_new_ledger_is_served_by_nobody(ledger: Ledger) -> None:
    """It says what it is, and that is all."""
    view = look(ledger)
    assert (view.instances, view.endpoints) == ([], [])
    assert view.backend == ledger.engine.dialect.name
    assert view.schema_revision is not None
    assert abs(view.at - datetime.now(UTC)) < timedelta(seconds=5)


def test_members_are_shown_by_what_they_say(ledger: Ledger) -> None:
    """Their roles, where they listen, what waits, what is wrong, their singleton tasks and the stream."""
    stream = {"pending": 3}
    arrive(ledger, "a", ["intake"], url="http://a:1", pending=5, failure="the disk is full", stream=stream)
    arrive(ledger, "b", ["relay"], relay={"singleton_tasks": ["overdue"], "exclusive": False})
    one, other = look(ledger).instances
    assert (one.host, one.pid, one.roles, one.version) == ("host-a", 7, ["intake"], "1.2.3")
    assert (one.url, one.pending, one.failure, one.stream) == ("http://a:1", 5, "the disk is full", stream)
    assert (one.started_at, one.silent, one.endpoints, one.singleton_tasks) == (NOON, False, 0, [])
    assert (other.url, other.singleton_tasks, other.failure, other.stream) == (None, ["overdue"], None, None)


def test_endpoints_are_shown_with_the_instance_that_delivers_to_them(ledger: Ledger) -> None:
    """By its lease, as long as that lasts; with what is pending, since when, and how the endpoint does."""
    crm, off = endpoint(ledger, "crm"), endpoint(ledger, "off", enabled=False)
    arrive(ledger, "m1", ["relay"])
    claim(ledger, "m1")
    ledger.record([received(key_press(key=key)) for key in "12"])
    ledger.write(lambda c, _: endpoints.pause(c, crm.id, 10, to_us(NOON)))
    view = look(ledger)
    assert [one.name for one in view.endpoints] == ["crm", "off"]
    reported = view.endpoints[0]
    assert (reported.id, reported.instance, reported.enabled, reported.consecutive_failures, reported.paused_until) == (
        crm.id,
        "m1",
        True,
        10,
        NOON,
    )
    assert (reported.pending, reported.blocked, reported.dead) == (1, 1, 0)
    assert reported.lag_s is not None
    assert reported.lag_s > 0
    assert (view.endpoints[1].id, view.endpoints[1].enabled) == (off.id, False)
    assert view.instances[0].endpoints == 2


def test_an_expired_lease_shows_no_instance(ledger: Ledger) -> None:
    """Neither is what a process holds that is forgotten already."""
    endpoint(ledger)
    arrive(ledger, "m1", ["relay"])
    claim(ledger, "m1", ttl_us=-1)
    assert [one.instance for one in look(ledger).endpoints] == [None]
    claim(ledger, "forgotten")
    assert [one.instance for one in look(ledger).endpoints] == [None]


def test_a_relay_alone_delivers_to_all(ledger: Ledger) -> None:
    """On SQLite there are no leases; who holds the lock says so."""
    endpoint(ledger, "a")
    endpoint(ledger, "b")
    arrive(ledger, "m1", ["relay"], relay={"exclusive": True, "singleton_tasks": ["overdue"]})
    arrive(ledger, "m2", ["relay"], relay={"exclusive": False, "singleton_tasks": []})
    view = look(ledger)
    assert [one.instance for one in view.endpoints] == ["m1", "m1"]
    assert [one.endpoints for one in view.instances] == [2, 0]
