"""The events of a gateway, as they happen."""

import base64
import json
import threading
import time
from collections.abc import AsyncIterable, Callable, Iterable
from itertools import islice
from typing import Any

import pytest
from client.conftest import TOKEN
from client.drivers import Driver
from gateway import Gateway, failure, key_press, prompt
from receivers.process import Receive

from answerback.client import ConnectionFailed, Invalid, Unauthorized
from answerback.domain.models import CallbackKind, Outcome
from answerback.feed.activity_feed import HEARTBEAT_S
from answerback.schemas.events import ActivityType, AttemptActivityView, CallbackActivityView

MOBILE, MASKED = "13912345678", "139****5678"


def first(driver: Driver, events: Any, count: int, callid: str = "") -> list[Any]:
    """The first so many events, of calls whose callids begin so: an attempt that a test before has left may end meanwhile."""
    if isinstance(events, Iterable):
        return list(islice((one for one in events if one.callid.startswith(callid)), count))

    async def collect(many: AsyncIterable[Any]) -> list[Any]:
        found = []
        async for one in many:
            found += [one] if one.callid.startswith(callid) else []
            if len(found) == count:
                break
        return found

    found: list[Any] = driver.get(collect(events))
    return found


def now(gateway: Gateway) -> str:
    """The position behind everything that has happened."""
    gateway.await_recorded()
    headers = {"Authorization": f"Bearer {gateway.key}"}
    with gateway.client.stream("GET", "/v1/events?masked=true", headers=headers) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.headers["x-accel-buffering"] == "no"
        return next(line for line in stream.iter_lines() if line.startswith("id: ")).removeprefix("id: ")


def test_a_callback_comes_with_its_bytes(client: Any, driver: Driver, gateway: Gateway, callid: str) -> None:
    """As the cloud sent them, for a key that may see full numbers; that it did is in the audit log."""
    after = now(gateway)
    body = prompt(callid, mobile=MOBILE) + b" \n"
    gateway.post(body)
    (event,) = first(driver, client.events(after=after, channel="default"), 1, callid)
    assert isinstance(event, CallbackActivityView)
    assert base64.b64decode(event.raw_base64 or "") == body
    assert (event.callid, event.mobile, event.kind, event.outcome) == (
        callid,
        MOBILE,
        CallbackKind.PROMPT,
        Outcome.ANSWERED,
    )
    newest = driver.get(client.audit_events(page_size=1).first()).items[0]
    assert (newest.action, newest.target) == ("numbers_revealed", "events as they happen channel=default")


def test_an_attempt_comes_with_its_result(
    client: Any, driver: Driver, gateway: Gateway, callid: str, receive: Receive
) -> None:
    """After the callback that it is about."""
    name, after = f"e-{callid[:8]}", now(gateway)
    driver.get(client.endpoints.create(receive().url, name=name, channel="alerts"))
    gateway.post(failure(callid), TOKEN)
    callback, attempt = first(driver, client.events(after=after, channel="alerts"), 2, callid)
    driver.get(client.endpoints.delete(name))
    assert (callback.type, attempt.type) == (ActivityType.CALLBACK, ActivityType.ATTEMPT)
    assert isinstance(attempt, AttemptActivityView)
    assert (attempt.callid, attempt.endpoint, attempt.event, attempt.http_status, attempt.error) == (
        callid,
        name,
        "voice.call.failed",
        200,
        None,
    )
    assert first(driver, client.events(after=callback.cursor, type="attempt"), 1, callid) == [attempt]


def test_only_what_the_filters_let_through(client: Any, driver: Driver, gateway: Gateway, callid: str) -> None:
    """And the position moves over what they do not."""
    after = now(gateway)
    gateway.post(prompt(callid))
    gateway.post(key_press(callid))
    gateway.post(failure(f"{callid}-failed"))
    gateway.post(prompt(f"{callid}-alerts"), TOKEN)
    gateway.post(key_press(f"{callid}-alerts"), TOKEN)
    for filters, expected in [
        ({"channel": "alerts"}, [f"{callid}-alerts"] * 2),
        ({"kind": "key"}, [callid, f"{callid}-alerts"]),
        ({"outcome": "failed"}, [f"{callid}-failed"]),
        ({"kind": "prompt", "channel": "alerts", "type": "callback"}, [f"{callid}-alerts"]),
    ]:
        events = client.events(after=after, **filters)
        assert [event.callid for event in first(driver, events, len(expected), callid)] == expected
    for wrong in ({"outcome": "gone"}, {"channel": "nobody"}, {"after": "x"}):
        with pytest.raises(Invalid) as caught:
            first(driver, client.events(**wrong), 1)
        assert caught.value.field == next(iter(wrong))


def test_numbers_are_those_of_the_key(
    client: Any, driver: Driver, gateway: Gateway, callid: str, new_key: Callable[..., str]
) -> None:
    """A key without the right gets masked bodies, and no bytes; so does one with it that asks for masks, which reveals nothing."""
    after = now(gateway)
    gateway.post(prompt(f"{callid}-{MOBILE}", mobile=MOBILE))
    viewer = driver.make(gateway.url, new_key("viewer"))
    before = driver.get(client.audit_events(page_size=1).first()).items
    for events in (viewer.events(after=after), client.events(after=after, masked=True)):
        (event,) = first(driver, events, 1, callid)
        assert (event.mobile, event.raw_base64) == (MASKED, None)
        assert MOBILE not in event.model_dump_json()
        assert json.loads(event.raw)["voiceprompt_callback"]["mobile"] == MASKED
    assert driver.get(client.audit_events(page_size=1).first()).items == before


def test_a_revoked_key_ends_the_stream(client: Any, driver: Driver, gateway: Gateway, callid: str) -> None:
    """Sooner than a silent stream says anything; to connect again is refused."""
    name, after = f"k-{callid[:8]}", now(gateway)
    key = driver.get(client.keys.create(name, role="viewer")).key
    gateway.post(prompt(callid))
    revoking = threading.Timer(
        0.5, gateway.client.delete, [f"/v1/keys/{name}"], {"headers": {"Authorization": f"Bearer {gateway.key}"}}
    )
    revoking.start()
    began_s = time.monotonic()
    with pytest.raises(Unauthorized):
        first(driver, driver.make(gateway.url, key).events(after=after), 2, callid)
    assert time.monotonic() - began_s < HEARTBEAT_S
    revoking.join()


def test_there_is_an_end_to_the_streams_of_a_key(gateway: Gateway, new_key: Callable[..., str]) -> None:
    """The ninth is told to come back later; HEAD opens none."""
    headers = {"Authorization": f"Bearer {new_key('viewer')}"}
    assert gateway.client.head("/v1/events", headers=headers).status_code == 200
    streams = [gateway.client.stream("GET", "/v1/events", headers=headers) for _ in range(8)]
    try:
        assert {stream.__enter__().status_code for stream in streams} == {200}
        answer = gateway.client.get("/v1/events", headers=headers)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
    finally:
        for stream in streams:
            stream.__exit__(None, None, None)


def test_it_begins_where_the_caller_left(client: Any, driver: Driver, gateway: Gateway, callid: str) -> None:
    """Each event has the position behind it; what comes later on is what has not been given out."""
    after = now(gateway)
    callids = [f"{callid}-{number}" for number in range(250)]
    for one in callids:
        gateway.post(prompt(one))
    events = client.events(after=after)
    seen = [event.callid for event in first(driver, events, 120, callid)]
    seen += [event.callid for event in first(driver, events, 5, callid)]
    seen += [event.callid for event in first(driver, client.events(after=events.cursor), 125, callid)]
    assert seen == callids


def test_it_begins_when_it_is_asked_to(client: Any, driver: Driver, gateway: Gateway, callid: str) -> None:
    """What comes after that is there, and nothing of before."""
    gateway.post(prompt(f"{callid}-before"))
    gateway.await_recorded()
    events = client.events()
    driver.get(events.begin())
    gateway.post(prompt(callid))
    assert [event.callid for event in first(driver, events, 1, callid)] == [callid]


def test_from_the_first_that_is_stored(client: Any, driver: Driver, gateway: Gateway, callid: str) -> None:
    """A position of 0 is the beginning."""
    gateway.post(prompt(callid))
    gateway.await_recorded()
    (event,) = first(driver, client.events(after="0"), 1)
    assert event.cursor == "1-0"


def test_no_gateway_at_all_is_an_error(driver: Driver) -> None:
    """Where there has never been a connection, it is not waited for one."""
    with pytest.raises(ConnectionFailed, match="no gateway answers"):
        first(driver, driver.make("http://127.0.0.1:9", "ab_x", retries=0).events(), 1)
