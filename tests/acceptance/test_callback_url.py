"""The callback URL: what it answers, and what is on disk once it has answered."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateway import CALLBACK, OK, SEED, Gateway, Wire, chunked, code, failure, key_press, prompt, request, run

ALERTS_TOKEN = "tok-alerts-3k5Jq0ZtV2"
CODES_TOKEN = "tok-codes-9fW1xYbR7m"
DEFAULT_TOKEN = "tok-default-8sQ2mN4vB6"
WRONG_TOKEN = "tok-wrong-0000000000"
LIMIT_BYTES = 65_536


def refused(answer: httpx.Response, status: int, result: int) -> str:
    """Check that `answer` is the contract's refusal; return its errmsg."""
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    reported = answer.json()
    assert list(reported) == ["result", "errmsg"]
    assert reported["result"] == result
    assert reported["errmsg"]
    return str(reported["errmsg"])


def quarantined(gateway: Gateway, body: bytes) -> dict[str, Any]:
    """A refused body as it is shown; another test may have sent the same before."""
    ((id_,),) = gateway.rows("SELECT id FROM quarantine WHERE raw = ?", body)
    shown: dict[str, Any] = gateway.get(f"/v1/quarantine/{id_}").json()
    return shown


def test_the_vendors_example_is_stored_and_answered_ok(gateway: Gateway) -> None:
    """The documented example is answered with exactly the documented answer, and its bytes are kept."""
    answer = gateway.post(SEED)
    assert answer.status_code == 200
    assert answer.content == OK
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-length"] == str(len(OK))
    assert gateway.rows("SELECT raw FROM callbacks JOIN calls ON calls.id = call_id WHERE callid = 'xxxxxx'") == [
        (SEED,)
    ]


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "application/json",
        "application/json; charset=utf-8",
        "application/x-www-form-urlencoded",
        "text/plain",
        "multipart/form-data",
        "not a type at all",
    ],
)
def test_the_content_type_does_not_matter(gateway: Gateway, callid: str, content_type: str | None) -> None:
    """JSON is read under any Content-Type and under none."""
    answer = gateway.post(prompt(callid), headers={} if content_type is None else {"Content-Type": content_type})
    assert (answer.status_code, answer.content) == (200, OK)
    assert gateway.call(callid)["outcome"] == "answered"


def test_a_byte_order_mark_is_passed_over(gateway: Gateway, callid: str) -> None:
    """A UTF-8 BOM before the JSON is no fault, and is kept with the raw bytes."""
    body = b"\xef\xbb\xbf" + prompt(callid)
    assert gateway.post(body).content == OK
    (kept,) = gateway.rows("SELECT raw FROM callbacks JOIN calls ON calls.id = call_id WHERE callid = ?", callid)
    assert kept == (body,)


def test_a_chunked_body_is_read(gateway: Gateway, callid: str) -> None:
    """A body without Content-Length, in chunks of any size, is the same callback."""
    body = prompt(callid)
    with Wire(gateway) as wire:
        wire.send(request(b"", b"Transfer-Encoding: chunked"), chunked(body[:1], body[1:40], body[40:]))
        assert wire.read().body == OK
    assert gateway.call(callid)["outcome"] == "answered"


@pytest.mark.parametrize(
    "fields",
    [
        {"accept_time": ...},
        {"accept_time": ""},
        {"accept_time": "0"},
        {"accept_time": None},
        {"accept_time": 0},
        {"fee": ...},
        {"fee": ""},
        {"fee": "0"},
        {"fee": None},
        {"fee": 0},
        {"result": 1, "mobile": 13788888888, "nationcode": 86, "start_calltime": 1470197196},
        {"more": {"of": ["the", "vendor's"]}, "session": None},
        {"result": 1.0, "fee": 0.0, "mobile": 13788888888.0, "start_calltime": 1470197196.0},
    ],
    ids=str,
)
def test_every_variant_of_the_field_is_accepted(gateway: Gateway, callid: str, fields: dict[str, object]) -> None:
    """What is undocumented but sent is taken as meant: missing, empty, null or numeric fields, and extra ones."""
    body = prompt(callid, **({"result": "1"} | fields))
    assert gateway.post(body).content == OK
    assert gateway.call(callid)["outcome"] == "unanswered"


@pytest.mark.parametrize(
    "body",
    [b"", b" \n", b"{", b"not json", b"\xff\xfe", b'{"a":1}{"a":1}', b"a=1&b=2", b"[" * 5000],
    ids=lambda body: repr(body[:16]),
)
def test_what_is_no_json_is_answered_3003_and_kept(gateway: Gateway, body: bytes) -> None:
    """A body that is not one JSON text is refused, and is in quarantine before the answer."""
    times = "SELECT coalesce(sum(duplicates + 1), 0) FROM quarantine WHERE raw = ?"
    ((before,),) = gateway.rows(times, body)
    errmsg = refused(gateway.post(body), 400, 3003)
    assert gateway.rows(times, body) == [(before + 1,)]
    assert gateway.rows("SELECT result, reason, channel FROM quarantine WHERE raw = ?", body) == [
        (3003, errmsg, "default")
    ]


@pytest.mark.parametrize("body", [b"{}", b"[]", b'"text"', b"1", b"null", b'{"voice_callback":{}}', b'{"data":[]}'])
def test_json_that_is_no_callback_is_answered_1011_and_kept(gateway: Gateway, body: bytes) -> None:
    """JSON without one of the contract's keys is refused with the keys it might have, and kept."""
    refused(gateway.post(body), 400, 1011)
    assert gateway.rows("SELECT result FROM quarantine WHERE raw = ?", body) == [(1011,)]


def test_a_missing_field_is_null_in_the_record(gateway: Gateway, callid: str) -> None:
    """A callback with its callid and its outcome is taken; null in the record is what it did not tell, wherever it is read."""
    unknown = dict.fromkeys(("mobile", "nationcode", "call_from"))
    timeless = dict.fromkeys(("started_at", "answered_at", "ended_at", "ring_seconds", "talk_seconds", "fee_minutes"))
    forms: dict[str, object] = {f"{callid}-missing": ..., f"{callid}-null": None}
    records: dict[str, dict[str, Any]] = {}
    for form, absent in forms.items():
        numbers = dict.fromkeys(unknown, absent)
        times = dict.fromkeys(("start_calltime", "accept_time", "end_calltime", "fee"), absent)
        assert gateway.post(prompt(form, **numbers, **times)).content == OK
        assert gateway.post(failure(f"{form}-f", failure_code=8.0, failure_reason=absent, **numbers)).content == OK
        assert gateway.post(key_press(f"{form}-k", "1", **numbers)).content == OK
        for name, expected in {
            form: unknown | timeless | {"outcome": "answered", "result": 0},
            f"{form}-f": unknown | {"outcome": "failed", "failure_code": 8, "failure_reason": None},
            f"{form}-k": unknown | {"outcome": "pending", "keys": ["1"]},
        }.items():
            records[name] = gateway.call(name)
            assert {field: records[name][field] for field in expected} == expected
            assert name in run("calls", "show", name, "--data-dir", gateway.data_dir, cwd=gateway.data_dir).stdout
    exported = [json.loads(line) for line in gateway.get("/v1/exports/calls.ndjson").content.splitlines()]
    assert {record["callid"]: record for record in exported if record["callid"] in records} == records
    failed = {call["callid"] for call in gateway.items("/v1/calls", failure_code=8)}
    for form in forms:
        assert f"{form}-f" in failed
        assert gateway.post(prompt(form)).content == OK
        assert {field: gateway.call(form)[field] for field in unknown} == {
            "mobile": "13xxxxxxxxx",
            "nationcode": "86",
            "call_from": "",
        }


def test_null_siblings_and_other_encodings(gateway: Gateway, callid: str) -> None:
    """A null beside the callback is nothing; a packed body is refused by its name; milliseconds are asked about."""
    body = json.loads(prompt(callid)) | {"voicecode_callback": None, "voicekey_callback": None}
    assert gateway.post(json.dumps(body).encode()).content == OK
    packed = gateway.post(gzip.compress(prompt(callid)), headers={"Content-Encoding": "gzip"})
    assert "gzip" in refused(packed, 400, 3003)
    assert "UTF-16" in refused(gateway.post(prompt(callid).decode().encode("utf-16")), 400, 3003)
    late = gateway.post(prompt(callid, end_calltime="1470197221000"))
    errmsg = refused(late, 400, 3004)
    assert errmsg == "voiceprompt_callback.end_calltime: expected Unix seconds, got 13 digits: milliseconds?"


@pytest.mark.parametrize("field", ["result", "callid"])
def test_a_missing_field_is_answered_3004_and_named(gateway: Gateway, callid: str, field: str) -> None:
    """A required field that is missing is named with its path."""
    body = prompt(callid, **{field: ...})
    assert refused(gateway.post(body), 400, 3004).startswith(f"voiceprompt_callback.{field}: ")
    kept = quarantined(gateway, body)
    assert (kept["result"], kept["raw"]) == (3004, body.decode())


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (prompt("x", result="3"), "voiceprompt_callback.result"),
        (prompt("x", result=True), "voiceprompt_callback.result"),
        (prompt("x", mobile=[]), "voiceprompt_callback.mobile"),
        (prompt("x", mobile=1.5), "voiceprompt_callback.mobile"),
        (prompt("x", result=None), "voiceprompt_callback.result"),
        (prompt("x", mobile="1" * 300), "voiceprompt_callback.mobile"),
        (prompt("x", accept_time="yesterday"), "voiceprompt_callback.accept_time"),
        (prompt("x", fee="-1"), "voiceprompt_callback.fee"),
        (prompt("x", fee=1.5), "voiceprompt_callback.fee"),
        (prompt(""), "voiceprompt_callback.callid"),
        (prompt("a\nb"), "voiceprompt_callback.callid"),
        (prompt("x").replace(b'"x"', b"1" * 300), "voiceprompt_callback.callid"),
        (code("x", result={}), "voicecode_callback.result"),
        (key_press("x", ""), "voicekey_callback.keypress"),
        (failure("x", failure_code="shut"), "voice_failure_callback.failure_code"),
        (failure("x", failure_reason=1), "voice_failure_callback.failure_reason"),
        (failure("x", failure_code=None), "voice_failure_callback.failure_code"),
        (key_press("x", None), "voicekey_callback.keypress"),
        (b'{"voiceprompt_callback":null}', "voiceprompt_callback"),
        (b'{"voiceprompt_callback":[]}', "voiceprompt_callback"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_an_ill_typed_field_is_answered_3004_and_named(gateway: Gateway, body: bytes, field: str) -> None:
    """A field that is not what the contract says is named; the answer does not repeat its value."""
    errmsg = refused(gateway.post(body), 400, 3004)
    assert errmsg.startswith(f"{field}: ")
    assert "1" * 7 not in errmsg
    kept = quarantined(gateway, body)
    assert (kept["result"], kept["raw"], kept["reason"]) == (3004, body.decode(), errmsg)


def test_a_body_with_two_callbacks_is_refused_whole(gateway: Gateway, callid: str) -> None:
    """Two callbacks in one body are none: nothing of it is stored, all of it is kept."""
    body = json.dumps(json.loads(prompt(callid)) | json.loads(key_press(callid))).encode()
    refused(gateway.post(body), 400, 3004)
    assert gateway.get(f"/v1/calls/{callid}").status_code == 404
    assert quarantined(gateway, body)["raw"] == body.decode()


def test_the_same_junk_again_is_counted_not_kept_twice(gateway: Gateway) -> None:
    """A refused body that comes again raises a counter."""
    for _ in range(3):
        refused(gateway.post(b"the same junk"), 400, 3003)
    assert gateway.rows("SELECT duplicates FROM quarantine WHERE raw = ?", b"the same junk") == [(2,)]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", [CALLBACK, f"{CALLBACK}/{ALERTS_TOKEN}"])
def test_another_method_is_answered_405(gateway: Gateway, method: str, path: str) -> None:
    """Only POST is allowed, and the answer says so."""
    answer = gateway.client.request(method, path, content=SEED if method == "PUT" else None)
    refused(answer, 405, 1030)
    assert answer.headers["allow"] == "POST"


def test_head_is_answered_405_without_a_body(gateway: Gateway) -> None:
    """HEAD is answered like GET, without the body."""
    answer = gateway.client.head(CALLBACK)
    assert (answer.status_code, answer.headers["allow"], answer.content) == (405, "POST", b"")
    assert answer.headers["content-type"] == "application/json"


# The size of a body.


def test_a_body_at_the_limit_is_read(gateway: Gateway, callid: str) -> None:
    """A body of exactly the limit is stored, sent with its length or in chunks."""
    body = prompt(callid).ljust(LIMIT_BYTES)
    assert gateway.post(body).content == OK
    with Wire(gateway) as wire:
        wire.send(request(b"", b"Transfer-Encoding: chunked"), chunked(body[:30_000], body[30_000:]))
        assert wire.read().body == OK
    assert gateway.items(f"/v1/calls/{callid}/callbacks")[0]["duplicates"] == 1


@pytest.mark.parametrize("size_bytes", [LIMIT_BYTES + 1, 1_000_000])
def test_a_body_over_the_limit_is_answered_413_and_the_connection_goes_on(
    gateway: Gateway, callid: str, size_bytes: int
) -> None:
    """A body that is too large is read to its end and refused; the next request on the connection is answered."""
    with Wire(gateway) as wire:
        wire.send(request(prompt(callid).ljust(size_bytes)))
        answer = wire.read()
        assert (answer.status, answer.headers["content-type"]) == (413, "application/json")
        assert json.loads(answer.body)["result"] == 1036
        wire.send(request(prompt(f"{callid}-next")))
        assert wire.read().body == OK
    assert gateway.get(f"/v1/calls/{callid}").status_code == 404


def test_a_chunked_body_over_the_limit_is_answered_413(gateway: Gateway, callid: str) -> None:
    """The limit holds where no length is announced."""
    body = prompt(callid).ljust(LIMIT_BYTES + 1)
    with Wire(gateway) as wire:
        wire.send(request(b"", b"Transfer-Encoding: chunked"), chunked(body[:50_000], body[50_000:]))
        assert wire.read().status == 413
        wire.send(request(prompt(f"{callid}-next")))
        assert wire.read().body == OK
    assert gateway.get(f"/v1/calls/{callid}").status_code == 404


def test_an_enormous_body_is_refused_unread(gateway: Gateway) -> None:
    """A gigabyte that is only announced is answered 413 at once, and the connection closed."""
    with Wire(gateway) as wire:
        wire.send(f"POST {CALLBACK} HTTP/1.1\r\nHost: g\r\nContent-Length: {1024**3}\r\n\r\n".encode())
        answer = wire.read()
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        assert wire.is_closed()


def test_an_endless_chunked_body_is_cut_off(gateway: Gateway) -> None:
    """A body without an end is answered 413 and hung up on."""
    chunk = chunked(b" " * LIMIT_BYTES).removesuffix(b"0\r\n\r\n")
    with Wire(gateway) as wire:
        wire.send(request(b"", b"Transfer-Encoding: chunked"))
        try:
            for _ in range(2000):
                wire.socket.sendall(chunk)
        except (BrokenPipeError, ConnectionResetError):
            return
        pytest.fail("131 MB were read")


# Tokens.


def test_each_token_is_the_way_to_its_channel(gateway: Gateway, callid: str) -> None:
    """What comes in by a token belongs to the channel of that token."""
    assert gateway.post(prompt(callid), ALERTS_TOKEN).content == OK
    assert gateway.call(callid)["channel"] == "alerts"


@pytest.mark.parametrize(
    "tail",
    [
        WRONG_TOKEN,
        ALERTS_TOKEN[:-1],
        f"{ALERTS_TOKEN}x",
        f"{ALERTS_TOKEN}/x",
        ALERTS_TOKEN.upper(),
        "default",
        "alerts",
        "%2e%2e",
        "%ff%fe",
        "%00",
        "%E4%BA%91",
        "x" * 5000,
    ],
)
def test_an_unknown_token_is_answered_1019(gateway: Gateway, callid: str, tail: str) -> None:
    """A path that is no channel's is answered 404, and nothing of it is kept."""
    with Wire(gateway) as wire:
        wire.send(request(prompt(callid), path=f"{CALLBACK}/{tail}"))
        answer = wire.read()
    assert (answer.status, answer.headers["content-type"]) == (404, "application/json")
    assert json.loads(answer.body)["result"] == 1019
    assert gateway.get(f"/v1/calls/{callid}").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        f"{CALLBACK}/",
        f"/{CALLBACK}",
        "/voice//callback",
        f"{CALLBACK}/{ALERTS_TOKEN}/",
        f"//voice/callback//{ALERTS_TOKEN}%2F",
    ],
)
def test_slashes_at_the_end_and_doubled_ones_do_not_count(gateway: Gateway, callid: str, path: str) -> None:
    """What people make of the URL that they paste reaches the channel that is meant."""
    with Wire(gateway) as wire:
        wire.send(request(prompt(callid), path=path))
        assert wire.read().body == OK
    assert gateway.call(callid)["channel"] == ("alerts" if ALERTS_TOKEN in path else "default")


def test_a_percent_encoded_token_is_the_same_token(gateway: Gateway, callid: str) -> None:
    """Letters may be written as %74: the URL is the same by the standard."""
    encoded = "".join(f"%{ord(letter):02x}" for letter in ALERTS_TOKEN)
    with Wire(gateway) as wire:
        wire.send(request(prompt(callid), path=f"{CALLBACK}/{encoded}?from=cloud"))
        assert wire.read().body == OK
    assert gateway.call(callid)["channel"] == "alerts"


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose default channel has a token, and which waits for its ledger for a moment only."""
    settings = {"ANSWERBACK_CHANNELS__DEFAULT__TOKEN": DEFAULT_TOKEN, "ANSWERBACK_LEDGER__LOCK_TIMEOUT_S": "0.2"}
    with Gateway(tmp_path_factory.mktemp("closed") / "data", settings=settings) as running:
        yield running


def test_a_token_for_default_closes_the_bare_url(closed: Gateway, callid: str) -> None:
    """With a token of its own, the default channel is reached by that token alone."""
    refused(closed.post(prompt(callid)), 404, 1019)
    assert closed.get(f"/v1/calls/{callid}").status_code == 404
    assert closed.post(prompt(callid), DEFAULT_TOKEN).content == OK
    assert closed.call(callid)["channel"] == "default"


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_tokens_and_numbers_are_shown_nowhere(data_dir: Path, log_format: str) -> None:
    """Neither the right token nor a wrong one is in the output, the logs, the metrics or the API; no log tells a number."""
    settings = {
        "ANSWERBACK_CHANNELS__ALERTS__TOKEN": ALERTS_TOKEN,
        "ANSWERBACK_LEDGER__LOCK_TIMEOUT_S": "0.2",
        "ANSWERBACK_LOG__LEVEL": "debug",
        "ANSWERBACK_LOG__FORMAT": log_format,
    }
    with Gateway(data_dir, settings=settings) as running:
        for body in (SEED, b"junk", b"x" * 70_000):
            running.post(body, ALERTS_TOKEN)
            running.post(body, WRONG_TOKEN)
        for fields in ({}, {"result": "9"}, {"fee": "13788888888"}):
            running.post(prompt(f"number-{len(fields)}", mobile="13788888888", **fields), ALERTS_TOKEN)
        with running.locked():
            assert running.post(prompt("later"), ALERTS_TOKEN).status_code == 503
        seen = [running.get(path).text for path in ("/metrics", "/v1/calls", "/v1/quarantine", "/openapi.json")]
        assert running.terminate() == 0
        logged = [running.stdout, running.stderr]
    assert "callback_rejected" in logged[-1]
    assert "13788888888" not in "".join(logged)
    for text in seen + logged:
        assert ALERTS_TOKEN not in text
        assert WRONG_TOKEN not in text


# What is known of a call.


def test_a_repeat_is_acknowledged_and_counted(gateway: Gateway, callid: str) -> None:
    """The same callback again, differently written, is answered OK and not stored twice."""
    body = prompt(callid)
    reordered = json.dumps(json.loads(body), indent=3, sort_keys=True).encode()
    numeric = prompt(callid, result=0, fee=1, accept_time=1470197211)
    before = gateway.post(body)
    assert before.content == OK
    first = gateway.call(callid)
    for again in (body, reordered, numeric):
        assert gateway.post(again).content == OK
    assert gateway.call(callid) == first
    (kept,) = gateway.items(f"/v1/calls/{callid}/callbacks")
    assert (kept["duplicates"], kept["raw"]) == (3, body.decode())
    assert kept["last_duplicate_at"] >= kept["received_at"]


def test_a_difference_is_a_revision(gateway: Gateway, callid: str) -> None:
    """The same callid with other content is kept beside the first, and counted."""
    assert gateway.post(prompt(callid)).content == OK
    assert gateway.post(prompt(callid, fee="2", end_calltime="1470197290")).content == OK
    call = gateway.call(callid)
    assert (call["revisions"], call["fee_minutes"], call["talk_seconds"]) == (1, 2, 79)
    assert len(gateway.items(f"/v1/calls/{callid}/callbacks")) == 2


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["failure first", "status first"])
def test_failure_and_status_give_one_record_in_either_order(gateway: Gateway, callid: str, order: tuple[int]) -> None:
    """A failed call's two callbacks give the same record whichever comes first."""
    bodies = (failure(callid, failure_code=5, failure_reason="无人接听"), prompt(callid, result="1", accept_time="0"))
    for position in order:
        assert gateway.post(bodies[position]).content == OK
    call = gateway.call(callid)
    assert (call["outcome"], call["result"], call["kind"]) == ("unanswered", 1, "prompt")
    assert (call["failure_code"], call["failure_reason"], call["revisions"]) == (5, "无人接听", 0)
    assert (call["ring_seconds"], call["talk_seconds"], call["answered_at"]) == (25, None, None)


def test_a_failure_alone_makes_a_failed_call(gateway: Gateway, callid: str) -> None:
    """A failure without a status is a failed call with its reason as received."""
    assert gateway.post(failure(callid)).content == OK
    call = gateway.call(callid)
    assert (call["kind"], call["outcome"], call["result"]) == ("failure", "failed", None)
    assert (call["failure_code"], call["failure_reason"]) == (11, "其他")


def test_keys_before_the_status_are_kept_in_their_order(gateway: Gateway, callid: str) -> None:
    """Key presses that come before the status make a pending call; the status completes it."""
    for key in ("2", "1", "#"):
        assert gateway.post(key_press(callid, key)).content == OK
    assert gateway.call(callid)["outcome"] == "pending"
    assert gateway.post(code(callid)).content == OK
    call = gateway.call(callid)
    assert (call["kind"], call["outcome"], call["keys"]) == ("code", "answered", ["2", "1", "#"])


def test_a_worse_status_that_comes_late_changes_nothing(gateway: Gateway, callid: str) -> None:
    """An answered call stays answered, whatever comes in about it later."""
    assert gateway.post(prompt(callid)).content == OK
    for late in (prompt(callid, result="2"), prompt(callid, result="1", accept_time=""), failure(callid)):
        assert gateway.post(late).content == OK
    call = gateway.call(callid)
    assert (call["outcome"], call["result"], call["talk_seconds"], call["revisions"]) == ("answered", 0, 10, 2)


def test_a_channel_is_a_wall(gateway: Gateway, callid: str) -> None:
    """The same callid by two channels is two calls, and a reader must say which."""
    assert gateway.post(prompt(callid), ALERTS_TOKEN).content == OK
    assert gateway.post(failure(callid), CODES_TOKEN).content == OK
    for path in (f"/v1/calls/{callid}", f"/v1/calls/{callid}/callbacks"):
        ambiguous = gateway.get(path)
        assert ambiguous.status_code == 409
        assert ambiguous.json()["channels"] == ["alerts", "codes"]
    alerts, codes = (gateway.call(callid, channel=channel) for channel in ("alerts", "codes"))
    assert (alerts["outcome"], alerts["failure_code"], alerts["revisions"]) == ("answered", None, 0)
    assert (codes["outcome"], codes["failure_code"], codes["revisions"]) == ("failed", 11, 0)
    (only,) = gateway.items(f"/v1/calls/{callid}/callbacks", channel="codes")
    assert only["kind"] == "failure"
    assert gateway.get(f"/v1/calls/{callid}", channel="default").status_code == 404


def test_the_same_junk_by_two_channels_is_kept_for_each(gateway: Gateway) -> None:
    """The quarantine too keeps the channels apart."""
    body = b"junk of two channels"
    gateway.post(body, ALERTS_TOKEN)
    gateway.post(body, CODES_TOKEN)
    kept = gateway.rows("SELECT channel, duplicates FROM quarantine WHERE raw = ? ORDER BY channel", body)
    assert kept == [("alerts", 0), ("codes", 0)]


def test_when_it_cannot_be_stored_the_answer_says_so(closed: Gateway, callid: str) -> None:
    """While the ledger takes nothing, the answer is 503 with the contract's JSON, for good and bad bodies alike."""
    with closed.locked():
        for body in (prompt(callid), b"junk"):
            answer = closed.post(body, DEFAULT_TOKEN)
            refused(answer, 503, 3002)
            assert int(answer.headers["retry-after"]) >= 1
    closed.await_ready()
    assert closed.get(f"/v1/calls/{callid}").status_code == 404
    assert closed.items("/v1/quarantine") == []
    assert closed.post(prompt(callid), DEFAULT_TOKEN).content == OK
