"""Each operation, at a real gateway."""

import inspect
import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from client.conftest import TOKEN
from client.drivers import Driver
from gateway import Gateway, failure, prompt
from receivers.process import Receive, await_true

from answerback.client import Ambiguous, Conflict, Forbidden, Invalid, NotFound, Unauthorized
from answerback.client.events import events_request
from answerback.client.exports import export_request
from answerback.client.operations import listing, operation
from answerback.client.parameters import EventFilter, ExportFilter
from answerback.client.requests import GatewayRequest
from answerback.client.resources import GatewayOperations as Operations
from answerback.domain.models import CallbackKind, Outcome, Role
from answerback.schemas.calls import CallView


def described() -> Iterator[GatewayRequest[Any]]:
    """A request of each operation of the client, with all its parameters."""
    gateway = Operations[Any](None)
    for resource in [gateway, *filter(None, vars(gateway).values())]:
        for one in vars(type(resource)).values():
            if isinstance(one, operation | listing):
                yield one.describe(None, **dict(_samples(one.describe)))
    yield export_request("calls", "csv", dict.fromkeys(_fields(ExportFilter), "x"))  # type: ignore[arg-type]
    yield events_request(dict.fromkeys(_fields(EventFilter), "x"))  # type: ignore[arg-type]


def _samples(describe: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    for each in list(inspect.signature(describe).parameters.values())[1:]:
        if each.kind is each.VAR_KEYWORD:
            yield from dict.fromkeys(_fields(get_args(each.annotation)[0]), "x").items()
        elif bytes in get_args(each.annotation):
            yield each.name, b"{}"
        else:
            yield each.name, [] if each.name == "callbacks" else "x"


def _fields(shape: Any) -> list[str]:
    return list(shape.__annotations__)


def offered_parameters(document: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """What /openapi.json describes below /v1: operations, their parameters, and the fields of their bodies."""
    for path, item in document["paths"].items():
        for method, one in item.items() if path.startswith("/v1/") else ():
            yield method.upper(), path, ""
            for parameter in one.get("parameters", []):
                yield method.upper(), path, parameter["name"]
            content = one.get("requestBody", {}).get("content", {}).get("application/json", {"schema": {}})
            for option in content["schema"].get("anyOf", [content["schema"]]):
                name = option.get("$ref", "").rpartition("/")[2]
                shape = document["components"]["schemas"][name] if name else option
                for field in shape.get("properties", {}):
                    yield method.upper(), path, field


def test_the_client_can_ask_all_that_the_api_offers_and_nothing_else(gateway: Gateway) -> None:
    """A new route, parameter or field of the API is one of the client's, too."""
    offered = set(offered_parameters(gateway.get("/openapi.json").json()))
    asked = set()
    for one in described():
        body = json.loads(one.body or b"{}") if one.content_type == "application/json" else {}
        every = ("", "masked", *one.path, *one.query, *body)  # masked: of the client as a whole
        asked |= {(one.method, one.template, name) for name in every}
    assert asked == offered


def test_a_call_is_found_by_its_callid(client: Any, driver: Driver, gateway: Gateway, callid: str) -> None:
    """It comes with its types: members of enums, times that are aware."""
    gateway.post(prompt(callid))
    call = driver.get(client.calls.get(callid))
    assert isinstance(call, CallView)
    assert (call.callid, call.outcome, call.kind) == (callid, Outcome.ANSWERED, CallbackKind.PROMPT)
    assert call.answered_at == datetime(2016, 8, 3, 4, 6, 51, tzinfo=UTC)


@pytest.mark.parametrize("callid", ["a/b", "..", "a b?c#d%2F", "名"])
def test_a_callid_may_hold_anything(client: Any, driver: Driver, gateway: Gateway, callid: str) -> None:
    """What has a meaning in a URL is escaped."""
    gateway.post(prompt(callid))
    assert driver.get(client.calls.get(callid)).callid == callid
    assert [one.kind for one in driver.all(client.calls.callbacks(callid))] == [CallbackKind.PROMPT]


def test_a_list_goes_on_over_its_pages(client: Any, driver: Driver, gateway: Gateway, callid: str) -> None:
    """Items come in order, whatever the size of a page; filters hold for all pages."""
    reference, since = callid, datetime.now(UTC) - timedelta(minutes=5)
    ids = [f"{callid}-{number}" for number in range(5)]
    for id_ in ids:
        gateway.post(prompt(id_))
        driver.get(client.calls.annotate(id_, reference=reference))
    calls = client.calls.list(page_size=2, reference=reference, since=since, outcome="answered", kind=None)
    assert [call.callid for call in driver.all(calls)] == ids[::-1]
    assert [len(page.items) for page in driver.all(calls.pages())] == [2, 2, 1]
    first = driver.get(calls.first())
    rest = driver.all(client.calls.list(page_size=2, reference=reference, cursor=first.next_cursor))
    assert [call.callid for call in rest] == ids[2::-1]


def test_a_call_is_annotated_field_by_field(client: Any, driver: Driver, callid: str) -> None:
    """What is left out stays, None removes."""
    due_at = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    driver.get(client.calls.annotate(callid, channel="default", reference="order-7", metadata={"a": [1]}))
    driver.get(client.calls.annotate(callid, due_at=due_at))
    call = driver.get(client.calls.annotate(callid, metadata=None))
    assert (call.reference, call.metadata, call.due_at) == ("order-7", None, due_at)


def test_a_callback_is_submitted_once_however_often(client: Any, driver: Driver, callid: str) -> None:
    """A second time it is a duplicate."""
    for _ in range(2):
        assert driver.get(client.callbacks.submit(json.loads(prompt(callid)))).result == 0
    (stored,) = driver.all(client.calls.callbacks(callid))
    assert stored.duplicates == 1


def test_many_callbacks_are_submitted_at_once(client: Any, driver: Driver, callid: str) -> None:
    """Each may go over several lines; the answer has a line for each."""
    pretty = json.dumps(json.loads(prompt(callid)), indent=2).encode()
    done = driver.get(client.callbacks.submit_many([pretty, b"{}", {"voicekey_callback": {}}], channel="alerts"))
    assert (done.accepted, done.refused, done.unavailable) == (1, 2, 0)
    assert [line.result for line in done.items] == [0, 1011, 3004]
    assert driver.get(client.calls.get(callid, channel="alerts")).callid == callid


def test_what_is_no_callback_is_refused_by_field_and_kept(client: Any, driver: Driver, callid: str) -> None:
    """It is in quarantine, from where it can be read, parsed again, and deleted."""
    broken = {"voiceprompt_callback": {"result": "0", "note": callid}}
    with pytest.raises(Invalid, match=r"^voiceprompt_callback.callid: required$") as caught:
        driver.get(client.callbacks.submit(broken))
    assert (caught.value.status, caught.value.field) == (400, "voiceprompt_callback.callid")
    newest = driver.get(client.quarantine.list(channel="default", page_size=1).first()).items[0]
    body = driver.get(client.quarantine.get(newest.id))
    assert json.loads(body.raw) == broken
    assert driver.get(client.quarantine.requeue(newest.id)).disposition is None
    assert driver.get(client.quarantine.delete(newest.id)) is None
    with pytest.raises(NotFound):
        driver.get(client.quarantine.get(newest.id))


def test_an_endpoint_is_created_changed_and_removed(client: Any, driver: Driver, callid: str, receive: Receive) -> None:
    """With its secret at the beginning, and deliveries in between."""
    name = f"e-{callid[:8]}"
    receiver = receive()
    endpoint = driver.get(
        client.endpoints.create(receiver.url, name=name, channel="alerts", kinds=["prompt"], timeout_s=5)
    )
    assert (endpoint.secret[:6], endpoint.kinds, endpoint.timeout_s) == ("whsec_", [CallbackKind.PROMPT], 5.0)
    assert driver.get(client.endpoints.test(name)).delivered
    assert driver.get(client.endpoints.update(name, concurrency=2)).concurrency == 2
    assert not driver.get(client.endpoints.disable(name)).enabled
    driver.get(client.callbacks.submit(prompt(callid), channel="alerts"))
    assert driver.get(client.endpoints.enable(name)).enabled
    rotated = driver.get(client.endpoints.rotate_secret(name))
    assert rotated.secret != endpoint.secret
    (delivery,) = driver.all(client.deliveries.list(endpoint=name, callid=callid))
    receiver.await_taken(2)
    found = driver.get(client.deliveries.get(delivery.id))
    assert (found.type, found.callid) == ("voice.call.answered", callid)
    assert driver.get(client.deliveries.replay(delivery.id)).id == delivery.id
    replay = driver.get(client.replays.start(name, outcome="failed"))
    assert driver.get(client.replays.get(replay.id)).id == replay.id
    assert name in [one.name for one in driver.all(client.endpoints.list())]
    assert driver.get(client.endpoints.delete(name)) is None
    with pytest.raises(NotFound):
        driver.get(client.endpoints.get(name))


def test_keys_are_created_and_revoked(client: Any, driver: Driver, gateway: Gateway, callid: str) -> None:
    """A key works until it is revoked; every step is in the audit log."""
    name = f"k-{callid[:8]}"
    made = driver.get(client.keys.create(name, role="viewer"))
    assert driver.get(driver.make(gateway.url, made.key).me()).role is Role.VIEWER
    assert driver.get(client.keys.sign_in_link(key=name)).key == name
    assert name in [key.name for key in driver.all(client.keys.list())]
    driver.get(client.keys.revoke(name))
    with pytest.raises(Unauthorized, match="unknown API key"):
        driver.get(driver.make(gateway.url, made.key).me())
    newest = driver.get(client.audit_events(page_size=2).first()).items
    assert [event.action for event in newest] == ["key_revoked", "sign_in_link_created"]


def test_statistics_failures_and_fees(client: Any, driver: Driver, gateway: Gateway, callid: str) -> None:
    """Of a range by name, or by its ends."""
    gateway.post(failure(callid, failure_code=8))
    since = datetime.now(UTC) - timedelta(hours=2)
    assert driver.get(client.stats(range="today", timezone="Asia/Shanghai", step="hour")).timezone == "Asia/Shanghai"
    assert 8 in [one.code for one in driver.get(client.failures(since=since)).items]
    assert driver.get(client.fees(since=since, page_size=1)).since <= since


def test_status_alerts_and_me(client: Any, driver: Driver, gateway: Gateway) -> None:
    """What a program asks of the gateway itself."""
    status = driver.get(client.status())
    assert [instance.url for instance in status.instances] == [gateway.url]
    assert [alert.rule for alert in driver.all(client.alerts())] == ["few-answers"]
    assert driver.get(client.me()).full_numbers


def test_errors_say_what_is_wrong(
    client: Any, driver: Driver, gateway: Gateway, callid: str, new_key: Callable[..., str]
) -> None:
    """Each has a name, the status, and what is at fault."""
    for token in (None, TOKEN):
        gateway.post(prompt(callid), token)
    with pytest.raises(Ambiguous) as ambiguous:
        driver.get(client.calls.get(callid))
    assert sorted(ambiguous.value.channels) == ["alerts", "default"]
    assert (ambiguous.value.status, ambiguous.value.title) == (409, "Conflict")
    with pytest.raises(NotFound, match="no call nothing"):
        driver.get(client.calls.get("nothing"))
    with pytest.raises(Invalid) as invalid:
        driver.all(client.calls.list(outcome="gone"))
    assert (invalid.value.status, invalid.value.field) == (422, "outcome")
    viewer = driver.make(gateway.url, new_key("viewer"))
    with pytest.raises(Forbidden, match="requires the role operator"):
        driver.get(viewer.calls.annotate(callid, channel="default", reference="x"))
    driver.get(client.endpoints.create("http://127.0.0.1:9/", name=f"e-{callid[:8]}", channel="alerts"))
    with pytest.raises(Conflict):
        driver.get(client.endpoints.create("http://127.0.0.1:9/", name=f"e-{callid[:8]}", channel="alerts"))
    driver.get(client.endpoints.delete(f"e-{callid[:8]}"))


def test_an_error_shows_no_number(driver: Driver, gateway: Gateway, new_key: Callable[..., str]) -> None:
    """A callid that is a phone number is masked in messages, which go to logs."""
    client = driver.make(gateway.url, new_key("viewer", full_numbers=True))
    with pytest.raises(NotFound) as caught:
        driver.get(client.calls.get("13788888888"))
    assert str(caught.value) == caught.value.detail == "no call 137****8888"


def test_numbers_are_those_of_the_key(
    client: Any, driver: Driver, gateway: Gateway, callid: str, new_key: Callable[..., str]
) -> None:
    """A key without the right sees them masked; so does one with it whose client asks for that, and no log says that it saw more."""
    gateway.post(prompt(callid, mobile="13788888888"))
    assert driver.get(client.calls.get(callid)).mobile == "13788888888"
    assert driver.get(driver.make(gateway.url, new_key("viewer")).calls.get(callid)).mobile == "137****8888"
    masked = driver.make(gateway.url, gateway.key, masked=True)
    assert driver.get(masked.calls.get(callid)).mobile == "137****8888"
    assert [
        call.mobile for call in driver.all(masked.calls.list(mobile="13788888888", page_size=1).pages())[0].items
    ] == ["137****8888"]
    assert b"13788888888" not in b"".join(driver.all(masked.export("calls", mobile="13788888888")))
    driver.get(client.calls.get(callid))
    await_true(lambda: len(re.findall(rf"numbers_unmasked .*{callid}", gateway.stderr)) == 2)


def test_how_far_the_recorder_is_behind(client: Any, driver: Driver, gateway: Gateway, callid: str) -> None:
    """A read that did not see all that was answered says so, and one that did, too."""
    with gateway.locked("ledger.db"):
        gateway.post(prompt(callid))
        with pytest.raises(NotFound):
            driver.get(client.calls.get(callid))
        assert client.recorder_lag_s > 0
    gateway.await_recorded()

    def lag_s() -> float:
        driver.get(client.calls.get(callid))
        seconds: float = client.recorder_lag_s
        return seconds

    await_true(lambda: lag_s() == 0)  # as soon as the gateway has heard of the commit
