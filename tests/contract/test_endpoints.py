from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from builders import ADMIN, NOON, received, status
from contract.backends import OpenLedger
from contract.delivery_helpers import URL, at, change, endpoint, known, load, remove, undelivered, us

from answerback.domain.endpoints import Endpoint, EndpointConfig, PayloadFormat
from answerback.domain.models import CallbackKind, Outcome
from answerback.errors import ResourceNotFound, StateConflict
from answerback.ledger import Ledger
from answerback.ledger.admin import endpoints
from answerback.ledger.admin.endpoints import EndpointDraft
from answerback.ledger.commands import AddEndpoint, ChangeEndpoint, ListEndpoints, RemoveEndpoint, SyncConfigEndpoints
from answerback.ledger.write.subscriptions import SubscriptionCache

CONFIG = EndpointConfig(
    url="https://crm.example/voice?a=1&b=号",
    format=PayloadFormat.TENCENT,
    kinds=(CallbackKind.KEY, CallbackKind.PROMPT),
    outcomes=(Outcome.FAILED,),
    notify_on_update=True,
    timeout_s=2.5,
    concurrency=3,
    certificate="crm",
)


def find(ledger: Ledger, name: str) -> Endpoint:
    """One endpoint by its name or id."""
    return ledger.write(lambda c, _: endpoints.find_endpoint(c, name))


def revision(ledger: Ledger) -> int:
    """The number that rises with every change."""
    return ledger.read(endpoints.revision)


def test_an_endpoint_comes_back_as_it_was_added(reopen: OpenLedger) -> None:
    """Every field of the draft, the time, and what a new endpoint has none of; and it outlasts the process."""
    ledger = reopen()
    now = NOON.replace(microsecond=123457)
    draft = EndpointDraft(
        name="crm", channel="alerts", config=CONFIG, secret="whsec_x", enabled=False, from_config=True
    )
    added = ledger.write(lambda c, _: endpoints.add(c, draft, ADMIN, now))
    assert added == Endpoint(
        id=added.id,
        name="crm",
        channel="alerts",
        config=CONFIG,
        enabled=False,
        disabled_reason=None,
        secret="whsec_x",
        previous_secret=None,
        previous_secret_expires_at=None,
        from_config=True,
        created_at=now,
        updated_at=now,
        consecutive_failures=0,
        paused_until=None,
    )
    for other in (ledger, reopen()):
        assert known(other) == [added]
        assert find(other, "crm") == find(other, str(added.id)) == added


def test_what_an_endpoint_does_not_say_is_as_usual(ledger: Ledger) -> None:
    """Only the URL must be said."""
    assert endpoint(ledger).config == EndpointConfig(url=URL)


def test_endpoints_are_listed_by_name(ledger: Ledger) -> None:
    """All of them, whatever their channel, in order of their names."""
    assert known(ledger) == []
    made = {name: endpoint(ledger, name, channel=f"of-{name}") for name in ("zeta", "a", "crm")}
    assert known(ledger) == [made["a"], made["crm"], made["zeta"]]
    assert len({one.id for one in made.values()}) == 3


@pytest.mark.parametrize("name", ["other", "CRM", "", "0", "-1", "99", "9" * 18, "9" * 19, "9" * 200, "²", "1.0", "crm "])  # fmt: skip
def test_an_unknown_endpoint_is_not_found(ledger: Ledger, name: str) -> None:
    """Whatever is neither a name nor an id of one, however long: not found, in an empty ledger and in a full one."""
    for _ in range(2):
        with pytest.raises(ResourceNotFound, match="no endpoint"):
            find(ledger, name)
        if not known(ledger):
            endpoint(ledger)


def test_a_name_is_taken_once(ledger: Ledger) -> None:
    """A name that is taken is refused and named, in any channel."""
    endpoint(ledger, "crm")
    for channel in ("default", "alerts"):
        with pytest.raises(StateConflict, match=r"^name: .*crm"):
            endpoint(ledger, "crm", channel=channel)
    assert len(known(ledger)) == 1


def test_a_change_brings_all_of_it(reopen: OpenLedger) -> None:
    """Channel, config, switch, reason and secrets; what an endpoint is and since when stays."""
    ledger = reopen()
    to = endpoint(ledger)
    wanted = msgspec.structs.replace(
        to,
        channel="alerts",
        config=CONFIG,
        enabled=False,
        disabled_reason="it answered 410",
        secret="whsec_new",
        previous_secret=to.secret,
        previous_secret_expires_at=NOON + timedelta(hours=24, microseconds=1),
    )
    changed = ledger.write(lambda c, _: endpoints.change(c, wanted, ADMIN, at(60)))
    assert changed == msgspec.structs.replace(wanted, updated_at=at(60))
    assert known(reopen()) == [changed]
    assert changed.created_at == NOON
    back = ledger.write(lambda c, _: endpoints.change(c, to, ADMIN, at(90)))
    assert back == msgspec.structs.replace(to, updated_at=at(90))


def test_a_change_is_of_one_endpoint(ledger: Ledger) -> None:
    """The others stay as they are."""
    first, second = endpoint(ledger, "first"), endpoint(ledger, "second")
    change(ledger, msgspec.structs.replace(first, enabled=False))
    assert find(ledger, "second") == second


def test_a_change_ends_a_pause(ledger: Ledger) -> None:
    """What was wrong may be right now: its failures are forgotten and it is not waited for."""
    to = endpoint(ledger)
    ledger.write(lambda c, _: endpoints.pause(c, to.id, 12, us(600)))
    paused = find(ledger, "crm")
    assert (paused.consecutive_failures, paused.paused_until) == (12, at(600))
    changed = change(ledger, paused)
    assert (changed.consecutive_failures, changed.paused_until) == (0, None)


def test_a_pause_ends(ledger: Ledger) -> None:
    """None: it is no longer paused. It is no change of the endpoint."""
    to = endpoint(ledger)
    before = revision(ledger)
    ledger.write(lambda c, _: endpoints.pause(c, to.id, 12, us(600)))
    ledger.write(lambda c, _: endpoints.pause(c, to.id, 0, None))
    assert find(ledger, "crm") == to
    assert revision(ledger) == before


def test_a_removed_endpoint_is_gone(ledger: Ledger) -> None:
    """It is neither listed nor found, by name or by id, and cannot be changed or removed again."""
    to, other = endpoint(ledger), endpoint(ledger, "other")
    remove(ledger, to)
    assert known(ledger) == [other]
    for name in ("crm", str(to.id)):
        with pytest.raises(ResourceNotFound):
            find(ledger, name)
    with pytest.raises(ResourceNotFound):
        change(ledger, to)
    with pytest.raises(ResourceNotFound):
        remove(ledger, to)
    assert known(ledger) == [other]


def test_a_removed_endpoint_s_name_is_free(ledger: Ledger) -> None:
    """The new one of that name is another endpoint: another id, and none of the old one's deliveries."""
    old = endpoint(ledger)
    ledger.record([received(status())])
    remove(ledger, old)
    new = endpoint(ledger)
    assert new.id != old.id
    assert find(ledger, "crm") == new
    assert load(ledger, new) == []
    ledger.record([received(status(callid="another"))])
    assert [delivery.callid for delivery in undelivered(ledger, new)] == ["another"]
    remove(ledger, new)
    assert endpoint(ledger).id not in {old.id, new.id}


def test_every_change_raises_the_revision(ledger: Ledger) -> None:
    """Adding, changing and removing are seen; what failed is not."""
    seen = [revision(ledger)]
    to = endpoint(ledger)
    seen.append(revision(ledger))
    change(ledger, to)
    seen.append(revision(ledger))
    with pytest.raises(StateConflict):
        endpoint(ledger)
    assert revision(ledger) == seen[-1]
    remove(ledger, to)
    seen.append(revision(ledger))
    assert seen == sorted(set(seen))


def test_requests_do_the_same(ledger: Ledger) -> None:
    """What the gateway asks of the writer: add, list, change and remove, with the time of now."""
    began = datetime.now(UTC)
    draft = EndpointDraft(name="crm", channel="default", config=EndpointConfig(url=URL), secret="whsec_x")
    added = AddEndpoint(ADMIN, draft).run(ledger)
    assert began <= added.created_at <= datetime.now(UTC)
    changed = ChangeEndpoint(ADMIN, msgspec.structs.replace(added, config=CONFIG)).run(ledger)
    assert changed.config == CONFIG
    assert changed.updated_at >= added.created_at
    assert ListEndpoints().run(ledger) == [changed]
    RemoveEndpoint(ADMIN, added.id).run(ledger)
    assert ListEndpoints().run(ledger) == []
    with pytest.raises(ResourceNotFound):
        RemoveEndpoint(ADMIN, added.id).run(ledger)


def test_each_process_sees_what_another_changes(reopen: OpenLedger) -> None:
    """A delivery goes to the endpoints as of its transaction: added, moved, changed and removed ones, one by one."""
    here, there = reopen(), reopen()

    def reported() -> list[tuple[str, str, str]]:
        def look(_: object, outbox: SubscriptionCache) -> list[tuple[str, str, str]]:
            found = [end for channel in ("default", "b") for end in outbox.for_channel(channel)]
            assert all(outbox.endpoint(end.id) == end for end in found)
            return [(end.channel, end.name, end.config.url) for end in found]

        return here.write(look)

    assert reported() == []
    crm, old = endpoint(there), endpoint(there, "old")
    assert reported() == [("default", "crm", URL), ("default", "old", URL)]
    change(there, msgspec.structs.replace(crm, channel="b"))
    assert reported() == [("default", "old", URL), ("b", "crm", URL)]
    change(there, msgspec.structs.replace(old, config=EndpointConfig(url=f"{URL}/new")))
    assert reported() == [("default", "old", f"{URL}/new"), ("b", "crm", URL)]
    remove(there, crm)
    assert reported() == [("default", "old", f"{URL}/new")]
    new = endpoint(there, "crm")
    assert reported() == [("default", "old", f"{URL}/new"), ("default", "crm", URL)]
    assert here.write(lambda _, outbox: (outbox.endpoint(crm.id), outbox.endpoint(new.id))) == (None, new)


def test_bringing_in_line_is_all_or_nothing(ledger: Ledger) -> None:
    """Changed and added in one transaction, which tells what there is then."""
    old = endpoint(ledger, "old")
    draft = EndpointDraft(
        name="new", channel="b", config=CONFIG, secret="whsec_x", disabled_reason="off", enabled=False
    )
    changed = msgspec.structs.replace(old, config=CONFIG)
    with pytest.raises(ResourceNotFound):
        SyncConfigEndpoints(ADMIN, [changed, msgspec.structs.replace(changed, id=10**9)], [draft]).run(ledger)
    assert known(ledger) == [old]
    there = SyncConfigEndpoints(ADMIN, [changed], [draft]).run(ledger)
    assert there == known(ledger)
    assert [(end.name, end.config) for end in there] == [("new", CONFIG), ("old", CONFIG)]
    assert (there[0].enabled, there[0].disabled_reason) == (False, "off")
    assert SyncConfigEndpoints(ADMIN, [], []).run(ledger) == there
