"""Telling again: one delivery, all dead ones, everything about some calls; by the API and by the command line."""

import json
import subprocess
from datetime import UTC, datetime
from typing import Any

import pytest
from gateway import failure, key_press, prompt, run
from receivers.process import Receive, Receiver, await_true
from receivers.webhook_receiver import Business


def cli(business: Business, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `answerback deliveries` beside the gateway."""
    data_dir = business.gateway.data_dir
    return run("deliveries", *arguments, "--data-dir", data_dir, cwd=data_dir.parent)


def replay(business: Business, **wanted: object) -> dict[str, object]:
    """Begin a replay to `crm` and wait for its end; how it ended."""
    started = business.ask("POST", "replays", {"endpoint": business.name("crm")} | wanted)
    assert started.status_code == 202, started.text
    progress: dict[str, object] = started.json()

    def running() -> bool:
        progress.update(business.asks("GET", f"replays/{started.json()['id']}"))
        return progress["status"] == "running"

    await_true(lambda: not running(), lambda: f"it does not end: {progress}")
    return progress


@pytest.fixture
def dead(business: Business, receive: Receive) -> Receiver:
    """Two calls of two callbacks each, of which everything is dead at `crm`, whose receiver takes everything now."""
    receiver = receive("crm", behaviour="refusing")
    business.add("crm", receiver.url)
    for number in range(2):
        callid = f"{business.channel}-{number}"
        business.hears(prompt(callid, result=str(number), mobile=f"1370000000{number}"), key_press(callid))
    business.await_settled("crm")
    assert [one["state"] for one in business.deliveries("crm")] == ["dead"] * 4
    return receiver.restart(behaviour="obeying")


def test_one_dead_delivery_is_replayed(business: Business, dead: Receiver) -> None:
    """A retry tells it now, by the same id, and its attempts go on."""
    before = len(dead.taken)
    (one, *_) = business.deliveries("crm")
    answer = business.ask("POST", f"deliveries/{one['id']}/replay")
    assert (answer.status_code, answer.json()["id"]) == (202, one["id"])
    (taken,) = dead.await_taken(before + 1)[before:]
    assert taken.id == one["message_id"]
    await_true(lambda: business.delivery(one["id"])["state"] == "delivered", lambda: "it is not delivered")
    done = business.delivery(one["id"])
    assert [attempt["http_status"] for attempt in done["attempt_log"]] == [500] * 4 + [200]
    business.await_settled("crm")
    assert len(dead.taken) == before + 1


def test_a_delivery_that_arrived_is_replayed(business: Business, receive: Receive, callid: str) -> None:
    """What was delivered can be replayed too, under the id that it had."""
    receiver = receive()
    business.add("crm", receiver.url)
    business.hears(prompt(callid))
    done = business.await_state("crm", callid, "delivered")
    business.asks("POST", f"deliveries/{done['id']}/replay")
    first, second = receiver.await_taken(2)
    assert (first.id, first.body) == (second.id, second.body)
    assert business.await_state("crm", callid, "delivered")["attempts"] == 2


def test_a_retry_that_fails_has_the_whole_schedule_again(business: Business, dead: Receiver) -> None:
    """Told again, a delivery gets as many attempts as a new one."""
    dead.restart(behaviour="refusing")
    (one, *_) = business.deliveries("crm")
    business.asks("POST", f"deliveries/{one['id']}/replay")
    await_true(lambda: business.delivery(one["id"])["state"] == "dead", lambda: "it is not dead")
    assert business.delivery(one["id"])["attempts"] == 8


def test_a_blocked_delivery_does_not_go_before_what_it_waits_for(business: Business, callid: str) -> None:
    """One that stands behind another of its call is refused, with what to do instead."""
    business.add("crm", "https://1.1.1.1/", enabled=False)
    business.hears(prompt(callid), key_press(callid))
    first, second = business.deliveries("crm")
    answer = business.ask("POST", f"deliveries/{second['id']}/replay")
    assert (answer.status_code, "replay that one" in answer.json()["detail"]) == (409, True)
    assert business.ask("POST", f"deliveries/{first['id']}/replay").status_code == 202


def test_all_dead_of_an_endpoint_are_replayed(business: Business, dead: Receiver) -> None:
    """Everything that was given up goes out again, in order for each call, by the same ids; nothing else does."""
    refused = len(dead.taken)
    business.hears(prompt(f"{business.channel}-fresh"))
    before = dead.await_taken(refused + 1)
    ids = [one["message_id"] for one in business.deliveries("crm")][:4]
    progress = replay(business, dead=True)
    assert (progress["total"], progress["examined"], progress["replayed"]) == (4, 4, 4)
    assert (progress["endpoint"], progress["scope"]) == (business.name("crm"), "dead deliveries")
    again = dead.await_taken(len(before) + 4)[len(before) :]
    assert sorted(one.id for one in again) == sorted(ids)
    for number in range(2):
        mine = [one.type for one in again if one.callid == f"{business.channel}-{number}"]
        assert mine == [f"voice.call.{('answered', 'unanswered')[number]}", "voice.call.key_pressed"]
    business.await_settled("crm")
    assert [one["state"] for one in business.deliveries("crm")] == ["delivered"] * 5
    assert replay(business, dead=True)["total"] == 0


@pytest.mark.parametrize(
    ("wanted", "reported"),
    [
        ({"outcome": "answered"}, {"a": ["answered", "key_pressed"]}),
        ({"outcome": "failed"}, {"f": ["failed"]}),
        ({"kind": "failure"}, {"f": ["failed"]}),
        ({"mobile": "13700000001"}, {"u": ["unanswered"]}),
        ({"outcome": "answered", "mobile": "13700000001"}, {}),
    ],
    ids=str,
)
def test_calls_are_replayed_by_filter(
    business: Business, receive: Receive, wanted: dict[str, str], reported: dict[str, list[str]]
) -> None:
    """Everything about the calls that match goes out again by its ids, and nothing about the others."""
    receiver = receive()
    business.add("crm", receiver.url)
    a, u, f = (f"{business.channel}-{letter}" for letter in "auf")
    business.hears(prompt(a), key_press(a), prompt(u, result="1", mobile="13700000001"), failure(f))
    first = receiver.await_taken(4)
    business.await_settled("crm")
    progress = replay(business, **wanted)
    count = sum(map(len, reported.values()))
    assert (progress["total"], progress["replayed"]) == (len(reported), count)
    again = receiver.await_taken(4 + count)[4:]
    business.await_settled("crm")
    assert len(receiver.taken) == 4 + count
    for letter, types in reported.items():
        mine = [one for one in again if one.callid == f"{business.channel}-{letter}"]
        assert [one.type for one in mine] == [f"voice.call.{type_}" for type_ in types]
        assert [one.id for one in mine] == [one.id for one in first if one.callid == mine[0].callid]


def test_calls_are_replayed_by_time(business: Business, receive: Receive) -> None:
    """A range of time takes the calls that were first seen in it, also for an endpoint that is newer than they are."""
    moments = [datetime.now(UTC).isoformat()]
    for number in range(3):
        business.hears(prompt(f"{business.channel}-{number}"), key_press(f"{business.channel}-{number}"))
        moments.append(datetime.now(UTC).isoformat())
    receiver = receive()
    business.add("crm", receiver.url)
    progress = replay(business, since=moments[1], until=moments[2])
    assert (progress["total"], progress["replayed"]) == (1, 2)
    taken = receiver.await_taken(2)
    assert [(one.callid, one.type) for one in taken] == [
        (f"{business.channel}-1", "voice.call.answered"),
        (f"{business.channel}-1", "voice.call.key_pressed"),
    ]
    business.await_settled("crm")
    progress = replay(business, since=moments[0])
    assert (progress["total"], progress["replayed"]) == (3, 6)
    again = receiver.await_taken(8)[2:]
    assert {one.id for one in taken} < {one.id for one in again}
    assert len({one.id for one in again}) == 6


def test_a_replay_respects_the_filter_of_the_endpoint(business: Business, receive: Receive, callid: str) -> None:
    """A replay does not deliver what the endpoint's filters leave out."""
    business.hears(prompt(callid), key_press(callid))
    receiver = receive()
    business.add("crm", receiver.url, kinds=["key"])
    assert replay(business, outcome="answered")["replayed"] == 1
    assert [one.type for one in receiver.await_taken(1)] == ["voice.call.key_pressed"]


def test_a_large_replay_shows_its_progress(business: Business, receive: Receive) -> None:
    """Hundreds of calls are replayed in the background; callbacks and their deliveries get in between."""
    count = 400
    lines = b"\n".join(prompt(f"{business.channel}-{number}") for number in range(count))
    handed_in = business.ask("POST", "callbacks", content=lines, query={"channel": business.channel})
    assert handed_in.json()["accepted"] == count
    receiver = receive("crm", behaviour="slow", wait_s=0.005)
    business.add("crm", receiver.url, concurrency=32)
    started = business.asks("POST", "replays", {"endpoint": business.name("crm"), "outcome": "answered"})
    assert (started["total"], started["status"]) == (count, "running")
    business.hears(prompt(f"{business.channel}-between"))
    seen: list[dict[str, Any]] = []
    while not seen or seen[-1]["status"] == "running":
        seen.append(business.asks("GET", f"replays/{started['id']}"))
    assert seen[-1]["status"] == "done"
    assert seen[-1]["replayed"] == seen[-1]["examined"] == count
    examined = [one["examined"] for one in seen]
    assert examined == sorted(examined)
    receiver.await_taken(count + 1, timeout_s=30)
    assert len(set(receiver.callids)) == count + 1


def test_a_replay_to_an_endpoint_that_is_off_waits(
    business: Business, dead: Receiver, receive: Receive, callid: str
) -> None:
    """What is replayed waits like everything else until the endpoint is enabled."""
    before = len(dead.taken)
    business.switch("crm", on=False)
    assert replay(business, dead=True)["replayed"] == 4
    other = receive("other")
    business.add("other", other.url)
    business.hears(prompt(callid))
    other.await_taken(1)
    assert len(dead.taken) == before
    business.switch("crm", on=True)
    dead.await_taken(before + 5)


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({}, "dead"),
        ({"dead": True, "outcome": "failed"}, "dead"),
        ({"dead": False}, "dead"),
        ({"dead": "perhaps"}, "dead"),
        ({"since": "yesterday"}, "since"),
        ({"outcome": "lost"}, "outcome"),
        ({"kind": "smoke"}, "kind"),
        ({"everything": True}, "everything"),
        ({"endpoint": None, "dead": True}, "endpoint"),
    ],
    ids=str,
)
def test_a_replay_of_nothing_or_of_both_is_refused(business: Business, wanted: dict[str, object], field: str) -> None:
    """A replay must name what to replay, and the field at fault is named."""
    business.add("crm", "https://1.1.1.1/")
    answer = business.ask("POST", "replays", {"endpoint": business.name("crm")} | wanted)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_a_replay_to_nobody_is_refused(business: Business) -> None:
    """An endpoint that is not there cannot be replayed to."""
    assert business.ask("POST", "replays", {"endpoint": "nobody", "dead": True}).status_code == 404


# The command line.


@pytest.mark.parametrize("by", ["id", "message_id"])
def test_the_command_replays_one(business: Business, dead: Receiver, by: str) -> None:
    """`deliveries replay` takes the number or the webhook-id and says what becomes of it."""
    before = len(dead.taken)
    (one, *_) = business.deliveries("crm")
    done = cli(business, "replay", str(one[by]))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"delivery {one['id']} to {business.name('crm')} is ")
    assert dead.await_taken(before + 1)[-1].id == one["message_id"]
    reported = json.loads(cli(business, "replay", str(one[by]), "--json").stdout)
    assert (reported["id"], reported["message_id"]) == (one["id"], one["message_id"])


def test_the_command_replays_all_dead(business: Business, dead: Receiver) -> None:
    """`--endpoint … --all-dead` follows the replay to its end and says how many go out again."""
    before, ids = len(dead.taken), {one["message_id"] for one in business.deliveries("crm")}
    done = cli(business, "replay", "--endpoint", business.name("crm"), "--all-dead")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"4 deliveries to {business.name('crm')} are queued again\n"
    assert {one.id for one in dead.await_taken(before + 4)[before:]} == ids


def test_the_command_replays_some_calls(business: Business, dead: Receiver) -> None:
    """A range with a filter, as JSON: the replay as it ended."""
    before = len(dead.taken)
    arguments = ["--since", "2020-01-01", "--until", "2100-01-01T00:00:00", "--outcome", "unanswered"]
    done = cli(business, "replay", "--endpoint", business.name("crm"), *arguments, "--json")
    assert done.returncode == 0, done.stderr
    progress = json.loads(done.stdout)
    assert (progress["status"], progress["total"], progress["examined"], progress["replayed"]) == ("done", 1, 1, 2)
    assert {one.callid for one in dead.await_taken(before + 2)[before:]} == {f"{business.channel}-1"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "say what to replay"),
        (["7", "--endpoint", "crm"], "say what to replay"),
        (["--endpoint", "nobody", "--all-dead"], "no endpoint nobody"),
        (["987654321"], "no delivery 987654321"),
        (["dlv_987654321_9f86d081884c"], "no delivery 987654321"),
        (["dlv_x_y"], "expected a delivery's id"),
        (["-1"], ""),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_command_says_what_is_wrong(business: Business, arguments: list[str], words: str) -> None:
    """A mistake is one line on standard error, and exit status 1 or 2."""
    done = cli(business, "replay", *arguments)
    assert done.returncode in (1, 2)
    assert words in done.stderr
    assert "Traceback" not in done.stderr
