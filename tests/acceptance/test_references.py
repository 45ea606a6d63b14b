"""PUT /v1/calls/{callid}: what the business says of a call, before, after and amid the cloud's callbacks."""

import json
import sqlite3
import threading
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from gateway import Gateway, key_press, prompt
from receivers.process import Receive, Receiver, Taken, await_true
from receivers.webhook_receiver import Business, relaying

METADATA: dict[str, Any] = {"order": 17, "tags": ["vip", "夜"], "nested": {"a": None, "b": [1.5, True]}}


def annotate(business: Business, callid: str, **said: object) -> dict[str, Any]:
    """Say something of a call in the business's channel; the call as it is then."""
    return business.asks("PUT", f"calls/{callid}", said, channel=business.channel)


def soon(seconds: float) -> str:
    """A moment from now."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def of_type(taken: Sequence[Taken], type_: str) -> list[Taken]:
    """Those that tell this."""
    return [one for one in taken if one.type == f"voice.call.{type_}"]


def await_look(business: Business, receiver: Receiver) -> None:
    """Wait until overdue calls were looked for once more: a call that was due long ago is delivered."""
    callid = str(uuid.uuid1())
    annotate(business, callid, due_at=soon(-1))
    await_true(lambda: callid in receiver.callids)


def let_pass(gateway: Gateway, callid: str) -> None:
    """Let the time of each call whose id begins so be over, which nobody notices before the next look."""
    if gateway.up:
        gateway.await_recorded()
    with closing(sqlite3.connect(gateway.ledger, timeout=10)) as ledger, ledger:
        passed = "UPDATE calls SET due_us = due_us - 120000000 WHERE callid LIKE ? || '%' AND due_us IS NOT NULL"
        assert ledger.execute(passed, (callid,)).rowcount > 0


def reported_of(receiver: Receiver, callid: str) -> list[str]:
    """What a receiver got about a call."""
    return [one.type for one in receiver.taken if one.callid == callid]


# Before and after.


def test_said_before_any_callback_it_is_in_the_first_delivery(
    business: Business, receive: Receive, callid: str
) -> None:
    """A call can be registered before the cloud tells of it: the record waits, and the delivery carries it all."""
    receiver = receive()
    business.add("crm", receiver.url)
    answer = business.ask(
        "PUT", f"calls/{callid}", {"reference": "A-1", "metadata": METADATA}, query={"channel": business.channel}
    )
    assert answer.status_code == 201
    call = answer.json()
    assert (call["kind"], call["outcome"], call["mobile"]) == (None, "pending", "")
    assert call == business.gateway.call(callid)
    business.hears(prompt(callid, mobile="13788888888"))
    (taken,) = receiver.await_taken(1)
    assert (taken.type, taken.call["reference"], taken.call["metadata"]) == ("voice.call.answered", "A-1", METADATA)
    assert taken.call["mobile"] == "13788888888"
    assert taken.call == business.gateway.call(callid)


def test_said_after_a_callback_it_is_in_the_next_delivery(business: Business, receive: Receive, callid: str) -> None:
    """An endpoint that does not ask for updates gets it with the next callback of the call, and only then."""
    receiver = receive()
    business.add("crm", receiver.url)
    business.hears(prompt(callid))
    receiver.await_taken(1)
    assert annotate(business, callid, reference="A-1", metadata=METADATA)["outcome"] == "answered"
    business.hears(key_press(callid))  # would come behind an update
    first, second = receiver.await_taken(2)
    assert (first.call["reference"], second.call["reference"], second.call["metadata"]) == (None, "A-1", METADATA)


def test_said_while_a_delivery_is_pending_it_is_in_the_next_attempt(
    business: Business, receive: Receive, callid: str
) -> None:
    """The attempt after the PUT carries what was said, by the same id."""
    receiver = receive("late", behaviour="refusing")
    business.add("crm", receiver.url, retry_schedule_s=[0.1] * 100)
    business.hears(prompt(callid))
    receiver.await_taken(1)
    annotate(business, callid, reference="A-1")
    before = len(receiver.taken)
    taken = receiver.await_taken(before + 2)  # the first of these may have been on its way
    assert (taken[0].call["reference"], taken[before + 1].call["reference"]) == (None, "A-1")
    assert len({one.id for one in taken}) == 1
    receiver.restart(behaviour="obeying")
    business.await_settled("crm")


def test_said_while_an_endpoint_is_off_it_is_in_the_delivery(business: Business, receive: Receive, callid: str) -> None:
    """What waits goes out with what is known by then."""
    receiver = receive()
    business.add("crm", receiver.url, enabled=False, notify_on_update=True)
    business.hears(prompt(callid))
    annotate(business, callid, reference="A-1")
    business.switch("crm", on=True)
    (taken,) = receiver.await_taken(1)
    assert taken.call["reference"] == "A-1"
    business.await_settled("crm")
    assert len(receiver.taken) == 1


def test_what_is_left_out_stays_and_null_takes_back(business: Business, callid: str) -> None:
    """Each field is the business's own: said, left, taken back."""
    due_at = "2100-01-01T08:00:00+08:00"
    annotate(business, callid, reference="A-1")
    annotate(business, callid, metadata=METADATA)
    call = annotate(business, callid, due_at=due_at)
    assert (call["reference"], call["metadata"], call["due_at"]) == ("A-1", METADATA, "2100-01-01T00:00:00Z")
    call = annotate(business, callid, reference=None, due_at=None)
    assert (call["reference"], call["metadata"], call["due_at"]) == (None, METADATA, None)
    assert annotate(business, callid) == call
    assert annotate(business, callid, metadata={})["metadata"] == {}


# Updates.


def test_a_change_is_delivered_to_who_wants_updates(business: Business, receive: Receive, callid: str) -> None:
    """Annotated after the delivery, one endpoint gets an update about the call alone; the others do not."""
    wants, other, vendor = receive("wants"), receive("other"), receive("vendor")
    business.add("wants", wants.url, notify_on_update=True)
    business.add("other", other.url)
    business.add("vendor", vendor.url, format="tencent", notify_on_update=True)
    business.hears(prompt(callid))
    for receiver in (wants, other, vendor):
        receiver.await_taken(1)
    business.await_settled("wants", "other", "vendor")
    annotate(business, callid, reference="A-1", metadata=METADATA)
    update = wants.await_taken(2)[1]
    assert (update.type, update.document["data"]["callback"]) == ("voice.call.revised", None)
    assert (update.call["reference"], update.call["metadata"], update.call["outcome"]) == ("A-1", METADATA, "answered")
    annotate(business, callid, reference="A-1")
    business.await_settled("wants", "other", "vendor")
    assert (len(wants.taken), len(other.taken), len(vendor.taken)) == (2, 1, 1)
    annotate(business, callid, reference="A-2")
    assert wants.await_taken(3)[2].call["reference"] == "A-2"
    assert len({one.id for one in wants.taken}) == 3


def test_a_change_amid_an_attempt_is_delivered_after_it(business: Business, receive: Receive, callid: str) -> None:
    """Said while the delivery is on its way, it follows as an update: nothing falls between."""
    receiver = receive("slow", behaviour="slow", wait_s=0.5)
    business.add("crm", receiver.url, notify_on_update=True)
    business.hears(prompt(callid))
    receiver.await_taken(1)
    annotate(business, callid, reference="A-1")
    first, second = receiver.await_taken(2)
    assert (first.call["reference"], second.call["reference"], second.type) == (None, "A-1", "voice.call.revised")


def test_there_is_no_race_between_the_business_and_the_cloud(business: Business, receive: Receive) -> None:
    """Reference and callback at the same moment, for many calls: the last delivery of each carries the reference."""
    wants, plain = receive("wants"), receive("plain")
    business.add("wants", wants.url, notify_on_update=True)
    business.add("plain", plain.url)
    callids = [f"{business.channel}-{number}" for number in range(60)]
    gate = threading.Barrier(2)

    def say() -> None:
        for callid in callids:
            gate.wait()
            annotate(business, callid, reference=f"R-{callid}", metadata={"of": callid})

    def hear() -> None:
        for callid in callids:
            gate.wait()
            business.hears(prompt(callid))

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(say), pool.submit(hear)]:
            done.result()
    wants.await_taken(len(callids))
    plain.await_taken(len(callids))

    def last() -> dict[str, str]:
        return {one.callid: one.call["reference"] for one in wants.taken}

    expected = {callid: f"R-{callid}" for callid in callids}
    await_true(lambda: last() == expected, lambda: f"told last: {last()}")
    business.await_settled("wants", "plain")
    for callid in callids:
        call = business.gateway.call(callid)
        assert (call["reference"], call["metadata"], call["outcome"]) == (f"R-{callid}", {"of": callid}, "answered")
        reported = [one.type for one in wants.taken if one.callid == callid]
        assert reported in (["voice.call.answered"], ["voice.call.answered", "voice.call.revised"])
    assert sorted(plain.callids) == sorted(callids)


# Overdue.


def test_a_call_of_which_nothing_comes_is_overdue_once(business: Business, receive: Receive, callid: str) -> None:
    """Past its time without an outcome one event is delivered to the endpoints, about the call alone."""
    receiver = receive()
    business.add("crm", receiver.url)
    annotate(business, callid, reference="A-1", due_at=soon(60))
    business.hears(key_press(callid))
    receiver.await_taken(1)
    due_at = soon(0.6)
    annotate(business, callid, due_at=due_at)
    press, late = receiver.await_taken(2)
    assert (press.type, late.type) == ("voice.call.key_pressed", "voice.call.overdue")
    assert late.document["data"]["callback"] is None
    assert (late.call["outcome"], late.call["reference"]) == ("pending", "A-1")
    assert datetime.fromisoformat(late.call["due_at"]) == datetime.fromisoformat(due_at)
    assert late.at_s >= datetime.fromisoformat(due_at).timestamp() - 0.01
    assert late.at_s < datetime.fromisoformat(due_at).timestamp() + 10
    assert business.gateway.call(callid)["overdue_at"] is not None
    await_look(business, receiver)
    business.hears(prompt(callid))
    receiver.await_taken(4)
    assert reported_of(receiver, callid) == [
        "voice.call.key_pressed",
        "voice.call.overdue",
        "voice.call.answered",
    ]


def test_a_call_whose_outcome_came_is_not_overdue(business: Business, receive: Receive, callid: str) -> None:
    """In time before or after it was annotated, or taken back: no overdue event is delivered."""
    receiver = receive()
    business.add("crm", receiver.url)
    business.hears(prompt(f"{callid}-before", result="1"))
    for name in ("before", "after", "back", "late"):
        annotate(business, f"{callid}-{name}", due_at=soon(60))
    business.hears(prompt(f"{callid}-after", result="2"))
    annotate(business, f"{callid}-back", due_at=None)
    let_pass(business.gateway, callid)
    await_look(business, receiver)
    business.await_settled("crm")
    overdue = [one.callid for one in of_type(receiver.taken, "overdue")]
    assert [late for late in overdue if late.startswith(callid)] == [f"{callid}-late"]


def test_a_time_that_is_over_already_is_delivered_at_once(business: Business, receive: Receive, callid: str) -> None:
    """Registered too late, or without a zone, which is UTC: overdue right away."""
    receiver = receive()
    business.add("crm", receiver.url)
    annotate(business, callid, due_at="2020-01-01T00:00:00")
    assert receiver.await_taken(1)[0].call["due_at"] == "2020-01-01T00:00:00Z"


def test_another_time_is_another_chance_to_be_late(business: Business, receive: Receive, callid: str) -> None:
    """The same time again is no news; a new one is waited for anew."""
    receiver = receive()
    business.add("crm", receiver.url)
    due_at = soon(-1)
    annotate(business, callid, due_at=due_at)
    receiver.await_taken(1)
    annotate(business, callid, due_at=due_at, reference="A-1")
    await_look(business, receiver)
    assert len(reported_of(receiver, callid)) == 1
    assert annotate(business, callid, due_at=soon(0.3))["overdue_at"] is None
    receiver.await_taken(3)
    assert reported_of(receiver, callid) == ["voice.call.overdue"] * 2


def test_overdue_is_delivered_to_who_wants_it(business: Business, receive: Receive, callid: str) -> None:
    """The filter by outcome holds, that by kind has nothing to say, and the vendor's format has no word for it."""
    receivers = {name: receive(name) for name in ("all", "kinds", "pending", "answered", "vendor")}
    filters: dict[str, dict[str, object]] = {
        "kinds": {"kinds": ["code"]},
        "pending": {"outcomes": ["pending"]},
        "answered": {"outcomes": ["answered"]},
        "vendor": {"format": "tencent"},
    }
    for name, receiver in receivers.items():
        business.add(name, receiver.url, **filters.get(name, {}))
    annotate(business, callid, due_at=soon(-1))
    for name in ("all", "kinds", "pending"):
        receivers[name].await_taken(1)
    business.await_settled(*receivers)
    assert {name: len(receiver.taken) for name, receiver in receivers.items()} == {
        "all": 1,
        "kinds": 1,
        "pending": 1,
        "answered": 0,
        "vendor": 0,
    }


def test_overdue_is_delivered_once_over_restarts(tmp_path: Path) -> None:
    """What became due while the gateway was down is delivered at the start, and what was delivered is not repeated."""
    gateway = Gateway(tmp_path / "data", settings=relaying())
    business = Business(gateway)
    with Receiver(tmp_path) as receiver:
        with gateway.start():
            business.add("crm", receiver.url)
            annotate(business, "told", due_at=soon(-1))
            receiver.await_taken(1)
            business.await_settled("crm")
            annotate(business, "down", due_at=soon(60))
            gateway.kill()
        let_pass(gateway, "down")
        with gateway.start():
            receiver.await_taken(2)
            await_look(business, receiver)
        assert receiver.callids[:2] == ["told", "down"]
        assert len(receiver.callids) == 3


# What is refused.


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"reference": "x" * 257}, "reference"),
        ({"reference": 7}, "reference"),
        ({"metadata": ["a"]}, "metadata"),
        ({"metadata": "text"}, "metadata"),
        ({"metadata": {"a": "x" * 16_384}}, "metadata"),
        ({"due_at": "tomorrow"}, "due_at"),
        ({"due_at": True}, "due_at"),
        ({"outcome": "answered"}, "outcome"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_an_invalid_field_is_named(business: Business, callid: str, body: dict[str, object], field: str) -> None:
    """422 names the field, and the call is not made."""
    answer = business.ask("PUT", f"calls/{callid}", body, query={"channel": business.channel})
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert business.gateway.get(f"/v1/calls/{callid}").status_code == 404


STRANGE = {
    "no JSON": b"{",
    "an array": b"[]",
    "null": b"null",
    "no UTF-8": b'{"reference": "\xff"}',
    "half a character": b'{"reference": "\\ud800"}',
    "half a character in the metadata": b'{"metadata": {"a": "\\udfff"}}',
    "half a character as a name": b'{"metadata": {"\\ud800": 1}}',
    "deep": b'{"metadata": {"a": ' + b"[" * 5000 + b"]" * 5000 + b"}}",
    "no number": b'{"metadata": {"a": NaN}}',
    "endless": b'{"metadata": {"a": 1e999}}',
    "huge": b'{"metadata": {"a": 1' + b"0" * 400 + b"}}",
    "NUL": b'{"reference": "a\\u0000b"}',
    "before our time": b'{"due_at": "0001-01-01T00:00:00+14:00"}',
    "after our time": b'{"due_at": "9999-12-31T23:59:59-14:00"}',
    "a number": b'{"due_at": 1e300}',
}


@pytest.mark.parametrize("name", STRANGE)
def test_whatever_is_said_is_kept_or_refused(business: Business, callid: str, name: str) -> None:
    """Strange values are kept as they are or refused with words; never a fault of the gateway's."""
    answer = business.ask(
        "PUT",
        f"calls/{callid}",
        content=STRANGE[name],
        headers={"Content-Type": "application/json"},
        query={"channel": business.channel},
    )
    assert answer.status_code in (200, 201, 400, 422), answer.text
    if answer.is_success:
        said, call = json.loads(STRANGE[name]), business.gateway.call(callid)
        assert {field: call[field] for field in said if field != "due_at"} == {
            field: value for field, value in said.items() if field != "due_at"
        }
    else:
        assert answer.json()["detail"]


def test_an_invalid_callid_or_channel_is_refused(business: Business) -> None:
    """A callid is at most 256 printable characters; a channel must be there."""
    query = {"channel": business.channel}
    assert business.ask("PUT", f"calls/{'x' * 257}", {}, query=query).status_code == 422
    assert business.ask("PUT", "calls/a%01b", {}, query=query).json()["field"] == "path"
    assert business.ask("PUT", "calls/a", {}, query={"channel": "nowhere"}).json()["field"] == "channel"
    strange = f"{business.channel}/a b%/?号"
    made = business.ask("PUT", f"calls/{strange.replace('%', '%25').replace('?', '%3F')}", {}, query=query)
    assert (made.status_code, made.json()["callid"]) == (201, strange)


def test_the_channel_is_needed_where_it_is_not_clear(relaying_gateway: Gateway, callid: str) -> None:
    """Before the first callback with several channels it must be said; after it the call says it; two holders: 409."""
    one, other = (Business(relaying_gateway, f"b{number}", f"tok-business-{number:08}") for number in (298, 299))
    assert one.ask("PUT", f"calls/{callid}", {"reference": "A-1"}).status_code == 404
    one.hears(prompt(callid))
    answer = one.ask("PUT", f"calls/{callid}", {"reference": "A-1"})
    assert (answer.status_code, answer.json()["channel"]) == (200, one.channel)
    assert annotate(other, callid, reference="B-1")["channel"] == other.channel
    answer = one.ask("PUT", f"calls/{callid}", {"reference": "A-2"})
    assert (answer.status_code, sorted(answer.json()["channels"])) == (409, [one.channel, other.channel])
    assert relaying_gateway.call(callid, channel=one.channel)["reference"] == "A-1"
    assert relaying_gateway.call(callid, channel=other.channel)["reference"] == "B-1"
