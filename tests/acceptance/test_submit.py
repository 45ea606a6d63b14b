"""POST /v1/callbacks: a platform hands in outcomes, one or many, and they go the way of the callback URL."""

import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateway import OK, failure, key_press, prompt
from receivers.process import Receive
from receivers.webhook_receiver import Business

NDJSON = {"Content-Type": "Application/X-NDJSON"}  # the case is the sender's
MOST = 10_000


def submit(business: Business, body: bytes, **headers: str) -> httpx.Response:
    """Hand `body` in for the business's channel."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return business.ask("POST", "callbacks", content=body, headers=given, query={"channel": business.channel})


def submit_lines(business: Business, *lines: bytes) -> dict[str, Any]:
    """Hand lines in that are taken as such; the answer."""
    answer = submit(business, b"\n".join(lines), content_type=NDJSON["Content-Type"])
    assert answer.status_code == 200, answer.text
    reported: dict[str, Any] = answer.json()
    return reported


def pretty(body: bytes) -> bytes:
    """The same JSON over many lines."""
    return json.dumps(json.loads(body), indent=4, ensure_ascii=False).encode()


def peak_bytes(business: Business) -> int:
    """The most memory that the gateway has had so far."""
    status = Path(f"/proc/{business.gateway.process.pid}/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


# One.


@pytest.mark.parametrize(
    "form",
    [
        lambda body: body,
        pretty,
        lambda body: pretty(body).replace(b"\n", b"\r\n") + b"\r\n",
        lambda body: b"\n\n" + body,
        lambda body: b"\xef\xbb\xbf" + body + b"\n",
        lambda body: b"\xef\xbb\xbf" + pretty(body),
    ],
    ids=["compact", "pretty", "crlf", "empty-lines-before", "bom", "bom-pretty"],
)
def test_one_object_is_answered_like_a_callback(business: Business, callid: str, form: Any) -> None:
    """One JSON object, over however many lines, is taken and answered by the contract."""
    answer = submit(business, form(prompt(callid)), content_type="application/json")
    assert (answer.status_code, answer.json()) == (200, {"result": 0, "errmsg": "OK"})
    assert business.gateway.call(callid)["outcome"] == "answered"


@pytest.mark.parametrize(
    ("body", "result"),
    [
        (b"", 3003),
        (b"junk", 3003),
        (b"{", 3003),
        (b"\xff", 3003),
        (b"{}", 1011),
        (b'[{"voiceprompt_callback": {}}]', 1011),
        (b'{"voiceprompt_callback": {}}', 3004),
        (b'{\n  "voiceprompt_callback": {\n    "callid": 7\n  }\n}', 3004),
    ],
    ids=repr,
)
def test_one_that_is_no_callback_is_refused_and_kept(business: Business, body: bytes, result: int) -> None:
    """It is answered 400 with the contract's result, as by the callback URL, and is in quarantine."""
    answer = submit(business, body)
    assert (answer.status_code, answer.json()["result"]) == (400, result)
    by_url = business.gateway.post(body + b" ", business.token)
    assert (by_url.status_code, by_url.json()) == (400, answer.json())
    kept = business.gateway.items("/v1/quarantine", channel=business.channel)
    assert {item["result"] for item in kept} == {result}
    assert sorted({item["size_bytes"] for item in kept}) == sorted({len(body), len(body) + 1})


# Many.


def test_many_lines_are_answered_one_by_one(business: Business) -> None:
    """Good, bad and empty lines, whatever ends them: each that holds something is answered by its number."""
    good = [prompt(f"{business.channel}-{number}") for number in range(3)]
    body = (
        good[0] + b"\r\n\r\n" + b"junk" + b"\n   \n" + good[1] + b"\n" + b'{"voicekey_callback":{}}' + b"\n" + good[2]
    )
    answer = submit(business, body, content_type="text/plain")
    assert answer.status_code == 200
    reported = answer.json()
    assert [(item["line"], item["result"]) for item in reported["items"]] == [
        (1, 0),
        (3, 3003),
        (5, 0),
        (6, 3004),
        (7, 0),
    ]
    assert all(item["errmsg"] for item in reported["items"])
    assert "voicekey_callback" in reported["items"][3]["errmsg"]
    assert (reported["accepted"], reported["refused"], reported["unavailable"]) == (3, 2, 0)
    kept = business.gateway.items("/v1/quarantine", channel=business.channel)
    assert sorted(item["result"] for item in kept) == [3003, 3004]
    for number in range(3):
        assert business.gateway.call(f"{business.channel}-{number}")["outcome"] == "answered"


def test_one_line_of_ndjson_is_answered_as_a_line(business: Business, callid: str) -> None:
    """Who says NDJSON is answered line by line, also for one or for none."""
    assert submit_lines(business, prompt(callid)) == {
        "items": [{"line": 1, "result": 0, "errmsg": "OK"}],
        "accepted": 1,
        "refused": 0,
        "unavailable": 0,
    }
    assert submit_lines(business, b"", b" ")["items"] == []


def test_ten_thousand_lines_are_taken(business: Business) -> None:
    """The most that may be handed in at once is stored, each answered in order, while other callbacks get through."""
    lines = [prompt(f"{business.channel}-{number}") for number in range(MOST - 2)]
    began_s = time.monotonic()
    reported = submit_lines(business, *lines[:5000], b"junk", *lines[5000:], lines[0])
    assert time.monotonic() - began_s < 30
    assert [item["line"] for item in reported["items"]] == list(range(1, MOST + 1))
    assert (reported["accepted"], reported["refused"]) == (MOST - 1, 1)
    assert reported["items"][5000]["result"] == 3003
    stored = "SELECT count(*), sum(duplicates) FROM callbacks JOIN calls ON calls.id = call_id WHERE channel = ?"
    assert business.gateway.rows(stored, business.channel) == [(MOST - 2, 1)]


def test_more_lines_are_refused_as_a_whole(business: Business) -> None:
    """One line more than 10,000 is 413, and nothing of it is stored."""
    line = prompt(business.channel)
    answer = submit(business, b"\n".join([line] * (MOST + 1)), content_type=NDJSON["Content-Type"])
    assert (answer.status_code, answer.json()["result"]) == (413, 1036)
    assert "more than 10000" in answer.json()["errmsg"]
    assert business.gateway.get(f"/v1/calls/{business.channel}").status_code == 404


def test_very_many_short_lines_take_no_memory(business: Business) -> None:
    """Each line that is kept is many times its size: 8 MB of them took 340."""
    before_bytes = peak_bytes(business)
    answer = submit(business, b"1\n" * 4_000_000, content_type=NDJSON["Content-Type"])
    assert (answer.status_code, answer.json()["result"]) == (413, 1036)
    assert peak_bytes(business) - before_bytes < 100_000_000


def test_a_line_that_is_too_large_is_answered_so(business: Business, callid: str) -> None:
    """The bound of a callback's body holds for each line, and costs the others nothing."""
    reported = submit_lines(business, prompt(callid), b" " * 70_000 + prompt("large"), prompt(f"{callid}-2"))
    assert [item["result"] for item in reported["items"]] == [0, 1036, 0]


def test_a_body_that_is_too_large_is_refused(business: Business) -> None:
    """Past 32 MiB the answer is 413, whatever is in it."""
    answer = submit(business, b" " * (32 * 1024 * 1024 + 1))
    assert (answer.status_code, answer.json()["result"]) == (413, 1036)


# Whose.


def test_an_unknown_channel_is_named(business: Business) -> None:
    """A channel that is not there is 422 and nothing is stored."""
    answer = business.ask("POST", "callbacks", content=prompt("lost"), query={"channel": "nowhere"})
    assert (answer.status_code, answer.json()["field"]) == (422, "channel")
    assert business.gateway.get("/v1/calls/lost").status_code == 404


def test_without_a_channel_it_is_the_default_one(business: Business, callid: str) -> None:
    """Like the callback URL without a token."""
    assert business.ask("POST", "callbacks", content=prompt(callid)).status_code == 200
    assert business.gateway.call(callid)["channel"] == "default"


def test_without_a_key_nothing_is_stored(business: Business, callid: str) -> None:
    """The callback URL needs its token, this one an API key."""
    answer = business.gateway.client.post("/v1/callbacks", content=prompt(callid))
    assert answer.status_code == 401
    assert business.gateway.get(f"/v1/calls/{callid}").status_code == 404


# The same way.


def test_both_ways_give_the_same_record_and_the_same_deliveries(
    business: Business, receive: Receive, callid: str
) -> None:
    """Submitted or POSTed by the cloud: record, callbacks and deliveries do not differ."""
    vendor, standard = receive("vendor"), receive("standard")
    business.add("vendor", vendor.url, format="tencent")
    business.add("standard", standard.url)

    def bodies(callid: str) -> list[bytes]:
        return [key_press(callid, "2"), pretty(failure(callid)), prompt(callid, result="1"), prompt(callid)]

    one, other = f"{callid}-1", f"{callid}-2"
    business.hears(*bodies(one))
    vendor.await_taken(4)
    for body in bodies(other):
        assert submit(business, body).content.replace(b" ", b"") == OK
    reported, reported_other = (
        [item for item in vendor.await_taken(8) if item.callid == callid_] for callid_ in (one, other)
    )
    assert [item.body for item in reported] == bodies(one)
    assert [item.body for item in reported_other] == bodies(other)
    webhooks = standard.await_taken(8)
    types = [[item.type for item in webhooks if item.callid == callid_] for callid_ in (one, other)]
    assert types[0] == types[1]
    times = {"callid": "", "first_seen_at": "", "updated_at": ""}
    assert business.gateway.call(one) | times == business.gateway.call(other) | times
    last, last_other = ([item for item in webhooks if item.callid == callid_][-1] for callid_ in (one, other))
    assert last.call | times == last_other.call | times


def test_lines_about_a_call_are_delivered_in_their_order(business: Business, receive: Receive, callid: str) -> None:
    """The callbacks of a call within one request keep their order on the way to an endpoint."""
    receiver = receive()
    business.add("crm", receiver.url, format="tencent")
    presses = [key_press(callid, str(number)) for number in range(50)]
    others = [prompt(f"{callid}-{number}") for number in range(50)]
    submit_lines(business, *[line for pair in zip(presses, others, strict=True) for line in pair])
    taken = [one.body for one in receiver.await_taken(100) if one.callid == callid]
    assert taken == presses
    assert business.gateway.call(callid)["keys"][:3] == ["0", "1", "2"]


def test_one_broken_object_is_not_taken_for_many(business: Business, callid: str) -> None:
    """Over several lines, none of which is JSON by itself: one answer, and one body in quarantine, whole."""
    broken = pretty(prompt(callid)).removesuffix(b"}")
    answer = submit(business, broken)
    assert (answer.status_code, answer.json()["result"]) == (400, 3003)
    kept = business.gateway.items("/v1/quarantine", channel=business.channel)
    assert [one["size_bytes"] for one in kept].count(len(broken)) == 1


def test_a_duplicate_is_taken_counted_and_not_delivered_again(
    business: Business, receive: Receive, callid: str
) -> None:
    """The same callback by URL, by API and twice in one request is one callback and one delivery."""
    receiver = receive()
    business.add("crm", receiver.url)
    business.hears(prompt(callid))
    assert submit(business, prompt(callid)).status_code == 200
    assert submit_lines(business, prompt(callid), pretty(prompt(callid)).replace(b"\n", b""))["accepted"] == 2
    business.hears(key_press(callid))
    receiver.await_taken(2)
    (status, press) = business.asks("GET", f"calls/{callid}/callbacks")["items"]
    assert (status["duplicates"], press["duplicates"]) == (3, 0)
    assert [one.type for one in receiver.taken] == ["voice.call.answered", "voice.call.key_pressed"]
