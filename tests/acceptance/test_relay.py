"""Deliveries go out: at once, in order for each call, whatever the receivers do."""

import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from gateway import Gateway, code, failure, key_press, prompt
from receivers.process import Receive, Receiver, Taken, await_true
from receivers.webhook_receiver import Business, relaying

HEALTHY = ("obeying", "slow", "flapping")
UNHEALTHY = ("refusing", "down", "garbage", "redirecting", "closing")
CALLS = 30


def progress(callid: str) -> list[bytes]:
    """What the cloud tells of one call: it was not answered, then answered after all, then a key was pressed."""
    return [prompt(callid, result="1", accept_time="", fee=""), prompt(callid), key_press(callid, "7")]


def first_arrivals(taken: Sequence[Taken]) -> dict[str, list[bytes]]:
    """Callid -> its bodies in the order in which each came first, whether it was accepted then or not."""
    bodies: defaultdict[str, list[bytes]] = defaultdict(list)
    for one in taken:
        raw = one.document["data"]["callback"]["raw"].encode() if "data" in one.document else one.body
        if raw not in bodies[one.callid]:
            bodies[one.callid].append(raw)
    return dict(bodies)


def seconds(attempt: dict[str, Any]) -> float:
    """When an attempt began."""
    return datetime.fromisoformat(attempt["started_at"]).timestamp()


def end_s(attempt: dict[str, Any]) -> float:
    """When an attempt ended."""
    return seconds(attempt) + float(attempt["duration_ms"]) / 1000


def quantile(sorted_s: Sequence[float], part: float) -> float:
    """What this part of them is below."""
    return sorted_s[int(part * len(sorted_s))]


# Eight receivers at once.


class Street(NamedTuple):
    """Eight receivers of one channel, when each body was sent to the gateway, and how long their answers took."""

    business: Business
    receivers: dict[str, Receiver]
    sent_s: dict[bytes, float]
    answers_s: list[float]


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    """Three good and five bad receivers on one gateway, after calls of three callbacks each have come in."""
    home = tmp_path_factory.mktemp("street")
    with ExitStack() as stack:
        target = stack.enter_context(Receiver(home, "target"))
        options: dict[str, dict[str, object]] = {
            "obeying": {},
            "slow": {"wait_s": 0.15},
            "flapping": {"status": 503},
            "refusing": {"status": 200},
            "garbage": {},
            "redirecting": {"status": 302, "location": target.url},
            "closing": {},
        }
        receivers = {
            name: stack.enter_context(Receiver(home, name, behaviour=name, **more)) for name, more in options.items()
        }
        down = receivers["down"] = Receiver(home, "down")
        stack.callback(down.close)
        settings = relaying(str([0.2] * 12), breaker_cooldowns_s="[0.3]")
        gateway = stack.enter_context(Gateway(home / "data", settings=settings))
        business = Business(gateway)
        for number, (name, receiver) in enumerate(receivers.items()):
            business.add(name, receiver.url, format=("standard", "tencent")[number % 2], concurrency=32)
        sent_s, answers_s = {}, []
        for step in range(3):
            for number in range(CALLS):
                body = progress(f"call-{number}")[step]
                sent_s[body] = time.time()
                business.hears(body)
                answers_s.append(time.time() - sent_s[body])
                time.sleep(0.003)  # a rate of callbacks that leaves the machine idle now and then
        yield Street(business, receivers | {"target": target}, sent_s, sorted(answers_s))


def test_a_healthy_receiver_gets_its_events_at_once_whatever_the_others_do(street: Street) -> None:
    """Beside slow, dead and mad ones, a good receiver has each callback soon after it came in: as soon as this machine answers."""
    taken = street.receivers["obeying"].await_taken(3 * CALLS)
    assert len(taken) == 3 * CALLS
    latencies_s = sorted(one.at_s - street.sent_s[one.document["data"]["callback"]["raw"].encode()] for one in taken)
    for part, limit_s in ((0.5, 0.3), (0.95, 1.0)):
        assert quantile(latencies_s, part) < limit_s + 10 * quantile(street.answers_s, part)


@pytest.mark.parametrize("name", HEALTHY)
def test_each_receiver_that_takes_some_gets_everything_in_order(street: Street, name: str) -> None:
    """The callbacks of a call come one after the other, also where the receiver is slow or fails half of the time."""
    street.business.await_settled(name)
    receiver = street.receivers[name]
    assert first_arrivals(receiver.taken) == {f"call-{n}": progress(f"call-{n}") for n in range(CALLS)}
    accepted = [one.id for one in receiver.taken if one.status == 200]
    assert len(accepted) == len(set(accepted)) == 3 * CALLS
    for callid in (f"call-{n}" for n in range(CALLS)):
        mine = [one for one in receiver.taken if one.callid == callid]
        ids = [one.id for one in mine]
        assert ids == sorted(ids, key=ids.index), "a later delivery went out before the earlier one was accepted"


@pytest.mark.parametrize("name", UNHEALTHY)
def test_a_receiver_that_takes_nothing_is_paused_and_loses_nothing(street: Street, name: str) -> None:
    """It is paused after ten failures in a row, and what is not dead by then stays pending, in order."""
    business = street.business
    await_true(lambda: business.endpoint(name)["paused_until"], lambda: f"{name} was not paused")
    assert business.endpoint(name)["consecutive_failures"] >= 10
    found = business.deliveries(name)
    assert len(found) == 3 * CALLS
    assert not [one for one in found if one["state"] == "delivered"]
    by_call = defaultdict(list)
    for one in found:
        if one["state"] != "dead":
            by_call[one["callid"]].append(one["state"])
    assert all(states == ["pending"] + ["blocked"] * (len(states) - 1) for states in by_call.values())
    assert all(one["attempts"] == 0 for one in found if one["state"] == "blocked")


def test_a_redirect_is_not_followed(street: Street) -> None:
    """The place that a receiver redirects to receives nothing."""
    await_true(lambda: street.business.endpoint("redirecting")["consecutive_failures"])
    assert street.receivers["redirecting"].taken
    assert street.receivers["target"].taken == []


# What is kept of an attempt.


def refused_with(answer: str, status: int = 200) -> dict[str, object]:
    """The options of a receiver that answers so."""
    return {"behaviour": "refusing", "status": status, "answer": answer}


@pytest.mark.parametrize(
    ("form", "options", "status", "words"),
    [
        ("tencent", refused_with('{"result":7,"errmsg":"no such user"}'), 200, "answered result 7: no such user"),
        ("tencent", refused_with("<html>"), 200, "answered 200, but "),
        ("tencent", refused_with('{"errmsg":"OK"}'), 200, "answered 200, but "),
        ("tencent", refused_with("sorry", 500), 500, "answered 500 Internal Server Error"),
        (
            "tencent",
            refused_with('{"result":0,"errmsg":"OK"}', 500),
            500,
            "answered 500 Internal Server Error with result 0: OK",
        ),
        ("standard", refused_with("sorry", 503), 503, "answered 503 Service Unavailable"),
        ("standard", {"behaviour": "garbage"}, None, "the answer is not HTTP"),
        ("standard", {"behaviour": "closing"}, None, "the answer was cut off half-way"),
        ("standard", {"behaviour": "hanging_up"}, None, "the connection was closed before there was an answer"),
        ("standard", {"behaviour": "slow", "wait_s": 30}, None, "no answer within 0.5 s"),
        (
            "standard",
            {"behaviour": "redirecting", "status": 307, "location": "http://elsewhere.example/"},
            307,
            "answered 307 Temporary Redirect to http://elsewhere.example: redirects are not followed",
        ),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_each_misbehaviour_is_kept_in_words(
    business: Business,
    receive: Receive,
    callid: str,
    form: str,
    options: dict[str, object],
    status: int | None,
    words: str,
) -> None:
    """An attempt keeps when it was, how long it took, the status, the answer, and what was wrong in plain words."""
    receiver = receive("bad", **options)
    business.add("bad", receiver.url, format=form, timeout_s=0.5 if options["behaviour"] == "slow" else 10)
    began_s = time.time()
    business.hears(prompt(callid))
    first = business.await_tried("bad", callid)[0]
    assert first["error"].startswith(words)
    assert first["http_status"] == status
    if options["behaviour"] == "refusing":
        assert first["response_body"] == options["answer"]
    assert began_s - 0.01 < seconds(first) < time.time()
    if options["behaviour"] == "slow":
        assert 450 < first["duration_ms"] < 3000
    assert "Traceback" not in business.gateway.stderr


def test_nobody_at_the_port_is_kept_in_words(business: Business, receive: Receive, callid: str) -> None:
    """Where nothing listens, the attempt says that there was no connection."""
    receiver = receive("down")
    receiver.kill()
    business.add("down", receiver.url)
    business.hears(prompt(callid))
    first = business.await_tried("down", callid)[0]
    assert (first["http_status"], first["response_body"], first["error"]) == (
        None,
        "",
        "no connection: Connection refused",
    )


def test_a_name_that_means_nothing_is_kept_in_words(business: Business, callid: str) -> None:
    """An endpoint whose name is not found yet can be made; the attempt says what is wrong."""
    business.add("nowhere", "http://nowhere.invalid/told")
    business.hears(prompt(callid))
    assert business.await_tried("nowhere", callid)[0]["error"] == "the name nowhere.invalid was not found"


def test_of_a_long_answer_two_kib_are_kept(business: Business, receive: Receive, callid: str) -> None:
    """However much a receiver answers, the attempt keeps its first 2,048 bytes."""
    receiver = receive("chatty", behaviour="refusing", answer="x" * 100_000)
    business.add("chatty", receiver.url)
    business.hears(prompt(callid))
    assert business.await_tried("chatty", callid)[0]["response_body"] == "x" * 2048


def test_a_success_is_kept_too(business: Business, receive: Receive, callid: str) -> None:
    """The attempt that got through has status, answer and no error, and the delivery is settled with it."""
    business.add("good", receive("good").url)
    business.hears(prompt(callid))
    done = business.await_state("good", callid, "delivered")
    (attempt,) = done["attempt_log"]
    assert (attempt["http_status"], attempt["error"]) == (200, None)
    assert attempt["response_body"] == '{"result":0,"errmsg":"OK"}'
    assert (done["attempts"], done["failed_attempts"], done["type"]) == (1, 0, "voice.call.answered")
    assert done["finished_at"] >= done["created_at"]


# Retries.


def test_the_schedule_is_kept_to_and_then_it_is_dead(business: Business, receive: Receive, callid: str) -> None:
    """Four attempts, with the configured pauses between them and the same id, then no more."""
    receiver = receive("bad", behaviour="refusing")
    business.add("bad", receiver.url)
    business.hears(prompt(callid))
    done = business.await_state("bad", callid, "dead")
    assert (done["attempts"], done["failed_attempts"], len(done["attempt_log"])) == (4, 4, 4)
    for pause_s, (before, after) in zip((0.05, 0.1, 0.2), pairwise(done["attempt_log"]), strict=True):
        assert pause_s - 0.02 < seconds(after) - end_s(before) < pause_s + 4.0  # the default pauses are longer
    assert {one.id for one in receiver.taken} == {done["message_id"]}
    business.hears(prompt(f"other-{callid}"))
    business.await_state("bad", f"other-{callid}", "dead")
    assert [one.callid for one in receiver.taken] == [callid] * 4 + [f"other-{callid}"] * 4


def test_after_a_dead_one_the_next_of_the_call_goes_out(business: Business, receive: Receive, callid: str) -> None:
    """A delivery that was given up does not hold back those behind it for ever."""
    receiver = receive("late", behaviour="refusing", fail_first=4)
    business.add("late", receiver.url)
    business.hears(*progress(callid))
    await_true(lambda: len(receiver.taken) == 6, lambda: f"{len(receiver.taken)} attempts")
    business.await_settled("late")
    assert [one["state"] for one in business.deliveries("late", callid=callid)] == ["dead", "delivered", "delivered"]


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_honoured(business: Business, receive: Receive, callid: str, form: str) -> None:
    """An endpoint that asks for quiet is left alone for that long, also with other calls."""
    until = datetime.now(UTC) + timedelta(seconds=3)
    retry_after = "2" if form == "seconds" else format_datetime(until, usegmt=True)
    receiver = receive("busy", behaviour="refusing", status=503, fail_first=1, retry_after=retry_after)
    business.add("busy", receiver.url)
    business.hears(prompt(callid))
    (first,) = receiver.await_taken(1)
    business.await_tried("busy", callid)
    business.hears(prompt(f"other-{callid}"))
    others = receiver.await_taken(3)[1:]
    quiet_until_s = first.at_s + 2 if form == "seconds" else until.timestamp() - 1  # a date has no fractions
    assert all(one.at_s > quiet_until_s - 0.1 for one in others)
    assert {one.callid for one in others} == {callid, f"other-{callid}"}


def test_retry_after_cannot_bring_an_attempt_forward(business: Business, receive: Receive, callid: str) -> None:
    """The configured pause is the least: Retry-After: 0 does not undercut it."""
    receiver = receive("eager", behaviour="refusing", status=500, retry_after="0")
    business.add("eager", receiver.url)
    business.hears(prompt(callid))
    first, second = receiver.await_taken(2)[:2]
    assert second.at_s - first.at_s > 0.045


# The breaker.


def test_a_failing_endpoint_is_paused_probed_and_resumed(tmp_path: Path) -> None:
    """After so many failures in a row there are only probes, which cost nobody an attempt; then everything goes out."""
    settings = relaying("[0.5, 0.5, 0.5]", breaker_threshold="4", breaker_cooldowns_s="[0.3]")
    calls = [f"call-{n}" for n in range(12)]
    with Receiver(tmp_path, behaviour="refusing") as receiver, Gateway(tmp_path / "data", settings=settings) as gateway:
        business = Business(gateway)
        business.add("weak", receiver.url)
        for callid in calls:
            business.hears(prompt(callid), key_press(callid))
        await_true(lambda: business.endpoint("weak")["paused_until"], lambda: "it was not paused")
        began_s, before = time.monotonic(), len(receiver.taken)
        await_true(lambda: len(receiver.taken) >= before + 3, lambda: "it was not probed")
        probes = len(receiver.taken) - before
        assert probes <= (time.monotonic() - began_s) / 0.27 + 2  # the jitter shortens a pause by a tenth
        assert sum(one["failed_attempts"] for one in business.deliveries("weak")) <= 4
        assert not [one for one in business.deliveries("weak") if one["state"] == "dead"]
        assert 'answerback_endpoint_paused{endpoint="default-weak"} 1.0' in gateway.metrics()
        receiver.restart(behaviour="obeying")
        business.await_settled("weak")
        assert first_arrivals(receiver.taken) == {callid: [prompt(callid), key_press(callid)] for callid in calls}
        accepted = [one.id for one in receiver.taken if one.status == 200]
        assert len(accepted) == len(set(accepted)) == 2 * len(calls)
        assert (business.endpoint("weak")["paused_until"], business.endpoint("weak")["consecutive_failures"]) == (
            None,
            0,
        )
        assert 'answerback_endpoint_paused{endpoint="default-weak"} 0.0' in gateway.metrics()


def test_a_restart_breaks_no_pause_and_delivers_nothing_twice(tmp_path: Path) -> None:
    """Asked to stop, a gateway waits for the answer and keeps it; started again, it leaves alone what it had paused."""
    settings = relaying("[60]", breaker_threshold="3", breaker_cooldowns_s="[60]")
    gateway = Gateway(tmp_path / "data", settings=settings)
    business = Business(gateway)
    with Receiver(tmp_path, behaviour="refusing") as weak, Receiver(tmp_path, behaviour="slow", wait_s=0.7) as slow:
        with gateway.start():
            business.add("weak", weak.url, kinds=["prompt"])
            business.add("slow", slow.url, kinds=["key"])
            business.hears(*[prompt(f"call-{n}") for n in range(10)])
            await_true(lambda: business.endpoint("weak")["paused_until"], lambda: "it was not paused")
            business.hears(key_press("call-1", "1"), key_press("call-1", "2"))
            slow.await_taken(1)
            assert gateway.terminate() == 0
        assert len(weak.taken) == 3
        with gateway.start():
            business.hears(prompt("one-more"))
            business.await_settled("slow")
            assert [one.call["keys"] for one in slow.taken] == [["1"], ["1", "2"]]
            assert len(weak.taken) == 3
            assert business.endpoint("weak")["paused_until"] is not None
            assert business.undelivered("weak") == 11


def test_an_endpoint_that_is_gone_is_switched_off(business: Business, receive: Receive, callid: str) -> None:
    """410 switches a standard endpoint off, says why, and spends nothing of what waits; switched on, it all goes out."""
    receiver = receive("gone", behaviour="refusing", status=410)
    business.add("gone", receiver.url)
    business.hears(*progress(callid))
    await_true(lambda: not business.endpoint("gone")["enabled"], lambda: "it is still on")
    assert "410" in business.endpoint("gone")["disabled_reason"]
    other = receive("other")
    business.add("other", other.url)
    business.hears(prompt(f"later-{callid}"))
    other.await_taken(1)
    assert len(receiver.taken) == 1
    assert [one["failed_attempts"] for one in business.deliveries("gone")] == [0] * 4
    receiver.restart(behaviour="obeying")
    business.switch("gone", on=True)
    business.await_settled("gone")
    assert [one["state"] for one in business.deliveries("gone")] == ["delivered"] * 4


def test_gone_means_nothing_in_the_vendors_format(business: Business, receive: Receive, callid: str) -> None:
    """The contract of `tencent` knows no 410: it is a failure like another."""
    receiver = receive("gone", behaviour="refusing", status=410, fail_first=1)
    business.add("gone", receiver.url, format="tencent")
    business.hears(prompt(callid))
    assert business.await_state("gone", callid, "delivered")["failed_attempts"] == 1
    assert business.endpoint("gone")["enabled"]


# Who is told what.


def test_the_vendors_format_is_the_original_bytes(business: Business, receive: Receive, callid: str) -> None:
    """`tencent` POSTs the very bytes that came in, as JSON, with the delivery's id beside them."""
    receiver = receive()
    business.add("crm", receiver.url, format="tencent")
    bodies = [b"\xef\xbb\xbf \n" + key_press(callid) + b"\n", failure(callid, failure_reason="空号"), code(callid)]
    business.hears(*bodies)
    taken = receiver.await_taken(3)
    assert [one.body for one in taken] == bodies
    assert {(one.method, one.path, one.headers["content-type"]) for one in taken} == {
        ("POST", "/told", "application/json")
    }
    assert [one.id for one in taken] == [one["message_id"] for one in business.deliveries("crm")]
    assert "webhook-signature" not in taken[0].headers


def test_a_webhook_holds_the_call_as_the_api_shows_it(business: Business, receive: Receive, callid: str) -> None:
    """`standard` tells type, time, the whole call as of that callback, and the callback itself."""
    receiver = receive()
    business.add("crm", receiver.url)
    business.hears(prompt(callid, mobile="13788888888"))
    (taken,) = receiver.await_taken(1)
    (callback,) = business.asks("GET", f"calls/{callid}/callbacks")["items"]
    assert taken.document == {
        "type": "voice.call.answered",
        "timestamp": callback["received_at"],
        "data": {"call": business.gateway.call(callid), "callback": callback},
    }


@pytest.mark.parametrize(
    ("bodies", "types"),
    [
        ([prompt("{}")], ["answered"]),
        ([prompt("{}", result="1")], ["unanswered"]),
        ([prompt("{}", result="2")], ["failed"]),
        ([failure("{}")], ["failed"]),
        ([key_press("{}"), code("{}")], ["key_pressed", "answered"]),
        ([failure("{}"), prompt("{}", result="2")], ["failed", "failed"]),
        ([prompt("{}", result="1"), prompt("{}")], ["unanswered", "revised"]),
        ([prompt("{}"), prompt("{}", result="1")], ["answered", "revised"]),
        ([prompt("{}"), prompt("{}")], ["answered"]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value[0], str) else "",
)
def test_each_callback_has_its_type(
    business: Business, receive: Receive, callid: str, bodies: list[bytes], types: list[str]
) -> None:
    """The outcome, a key press, a revision: the type says what a callback is to the business; a repeat is no news."""
    receiver = receive()
    business.add("crm", receiver.url)
    business.hears(*[body.replace(b"{}", callid.encode()) for body in bodies], prompt("last"))
    taken = receiver.await_taken(len(types) + 1)
    assert [one.type for one in taken if one.callid == callid] == [f"voice.call.{type_}" for type_ in types]


@pytest.mark.parametrize(
    ("wanted", "reported"),
    [
        ({"kinds": ["key"]}, ["key_pressed"]),
        ({"kinds": ["code", "failure"]}, ["failed"]),
        ({"outcomes": ["answered"]}, ["answered", "key_pressed"]),
        ({"outcomes": ["unanswered", "failed"]}, ["failed"]),
        ({"kinds": ["key"], "outcomes": ["failed"]}, []),
        ({}, ["failed", "answered", "key_pressed"]),
    ],
    ids=str,
)
def test_an_endpoint_gets_what_it_asked_for(
    business: Business, receive: Receive, callid: str, wanted: dict[str, list[str]], reported: list[str]
) -> None:
    """Filters by kind of the callback and by the call's outcome after it; what is filtered out is not enqueued."""
    receiver, other = receive("some"), receive("all")
    business.add("some", receiver.url, **wanted)
    business.add("all", other.url)
    business.hears(failure(callid), prompt(callid), key_press(callid))
    other.await_taken(3)
    business.await_settled("some")
    assert [one.type for one in receiver.taken] == [f"voice.call.{type_}" for type_ in reported]
    assert len(business.deliveries("some")) == len(reported)


def test_channels_are_walls(business: Business, other_business: Business, receive: Receive, callid: str) -> None:
    """The same callid in two channels is two calls: each endpoint receives its own channel's alone."""
    alerts, codes = receive("alerts"), receive("codes")
    business.add("crm", alerts.url)
    other_business.add("crm", codes.url)
    business.hears(prompt(callid, mobile="13711111111"), key_press(callid, "1"))
    other_business.hears(code(callid, result="1", mobile="13722222222"))
    reported = alerts.await_taken(2)
    (reported_other,) = codes.await_taken(1)
    assert [item.call["channel"] for item in reported] == [business.channel] * 2
    assert (reported_other.call["channel"], reported_other.call["mobile"]) == (other_business.channel, "13722222222")
    assert (reported_other.call["keys"], reported_other.call["outcome"]) == ([], "unanswered")
    business.await_settled("crm")
    other_business.await_settled("crm")
    assert (len(alerts.taken), len(codes.taken)) == (2, 1)


# When.


def test_a_callback_goes_out_the_moment_it_is_stored(business: Business, receive: Receive) -> None:
    """No polling: from the answered callback to the receiver it takes milliseconds, as many as this machine needs."""
    receiver = receive()
    business.add("crm", receiver.url)
    answers_s, waits_s = [], []
    for number in range(30):
        began_s = time.time()
        business.hears(prompt(f"{business.channel}-{number}"))
        answered_s = time.time()
        answers_s.append(answered_s - began_s)
        waits_s.append(receiver.await_taken(number + 1)[-1].at_s - answered_s)
        time.sleep(0.02)  # each on its own: at the next one nothing is under way
    assert statistics.median(waits_s) < 0.1 + 10 * statistics.median(answers_s)


def test_no_more_attempts_at_a_time_than_the_endpoint_wants(business: Business, receive: Receive) -> None:
    """`concurrency` bounds what is under way at an endpoint, and is used."""
    receiver = receive("slow", behaviour="slow", wait_s=0.2)
    business.add("slow", receiver.url, concurrency=3, enabled=False)
    business.hears(*[prompt(f"{business.channel}-{number}") for number in range(20)])
    business.switch("slow", on=True)
    assert max(one.busy for one in receiver.await_taken(20)) == 3


def test_callbacks_of_a_call_never_overtake_each_other(business: Business, receive: Receive, callid: str) -> None:
    """One at a time for a call, however many connections there are: the next goes out after the one before was taken."""
    receiver = receive("slow", behaviour="slow", wait_s=0.05)
    business.add("slow", receiver.url, concurrency=16, format="tencent")
    bodies = [key_press(callid, str(number)) for number in range(10)]
    others = [prompt(f"{callid}-{number}") for number in range(20)]
    for pair in zip(bodies, others[:10], others[10:], strict=True):
        business.hears(*pair)
    taken = [one for one in receiver.await_taken(30) if one.callid == callid]
    assert [one.body for one in taken] == bodies
    assert all(after.at_s - before.at_s > 0.045 for before, after in pairwise(taken))


def test_pending_deliveries_go_out_after_a_restart(tmp_path: Path) -> None:
    """Callbacks that could not be delivered are delivered after the next start, in order."""
    gateway = Gateway(tmp_path / "data", settings=relaying("[0.3, 0.3, 0.3, 0.3, 60]"))
    receiver = Receiver(tmp_path)
    with gateway.start():
        business = Business(gateway)
        business.add("down", receiver.url)
        for number in range(10):
            business.hears(*progress(f"call-{number}"))
        gateway.kill()
    with receiver.start(), gateway.start():
        business.await_settled("down")
        assert first_arrivals(receiver.taken) == {f"call-{n}": progress(f"call-{n}") for n in range(10)}
