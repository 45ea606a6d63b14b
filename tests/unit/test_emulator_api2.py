"""API 2.0 of the emulator: what the SDKs send is understood, and each mistake has its documented number."""

import asyncio
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from answerback.domain.models import CallbackKind
from answerback.emulator import api2
from answerback.emulator.clock import VirtualClock
from answerback.emulator.cloud import Cloud
from answerback.emulator.send_requests import Account, Application, SendRequest
from answerback.emulator.vendor_errors import SendRejected, VendorError

NOW_S = 1_457_336_869
RANDOM = "7226249334"
APP_ID, APP_KEY = "1400000001", "5f03a35d00ee52a21327ab048186a2c4"
MOBILE = "13788888888"
PROMPT = {"prompttype": 2, "promptfile": "disk full"}
CODE = {"msg": "5678"}
TEMPLATE = {"tpl_id": 1001, "params": ["db1", "disk full"]}
FILE = {"fid": "known.mp3"}
ABSENT: Any = ...


def account(**changes: Any) -> Account:
    """An account with one application."""
    given = {
        "app_id": APP_ID,
        "app_key": APP_KEY,
        "callback_url": "http://127.0.0.1:9/",
        "templates": {"1001": "{1}: {2}!"},
        "sensitive_words": ["casino"],
        "files": {"known.mp3"},
    }
    return Account(applications={APP_ID: Application(**given | changes)}, secrets={})


def query(**changes: str) -> dict[str, str]:
    """What the URL holds."""
    return {"sdkappid": APP_ID, "random": RANDOM} | changes


def body(content: Mapping[str, object], **changes: object) -> bytes:
    """A signed request with `content`; `changes` come after the signature, one that is `ABSENT` is left out."""
    signed = hashlib.sha256(f"appkey={APP_KEY}&random={RANDOM}&time={NOW_S}&mobile={MOBILE}".encode()).hexdigest()
    fields: dict[str, object] = {
        "tel": {"nationcode": "86", "mobile": MOBILE},
        "playtimes": 2,
        "sig": signed,
        "time": NOW_S,
        "ext": "mine",
    }
    return json.dumps({k: v for k, v in (fields | dict(content) | changes).items() if v is not ABSENT}).encode()


def read(operation: str, content: bytes, **changes: Any) -> SendRequest:
    """The order, from an ordinary account and URL unless they are given."""
    given: dict[str, Any] = {"account": account(), "query": query(), "now_s": NOW_S} | changes
    return api2.parse_send_request(given["account"], operation, given["query"], content, given["now_s"])


def fault(operation: str, content: bytes, **changes: Any) -> VendorError:
    """Why the request is refused."""
    with pytest.raises(SendRejected) as caught:
        read(operation, content, **changes)
    assert json.loads(api2.rejected(caught.value))["result"] == caught.value.error.result
    return caught.value.error


def test_the_documented_signature() -> None:
    """The vendor's own example, digit by digit."""
    expected = "ecab4881ee80ad3d76bb1da68387428ca752eb885e52621a3129dcf4d9bc4fd4"
    assert api2.signature(APP_KEY, RANDOM, str(NOW_S), MOBILE) == expected
    assert read("sendvoiceprompt", body(PROMPT, sig=expected)).mobile == MOBILE


@pytest.mark.parametrize(
    ("operation", "content", "kind", "text"),
    [
        ("sendvoiceprompt", PROMPT, CallbackKind.PROMPT, "disk full"),
        ("sendtvoice", TEMPLATE, CallbackKind.PROMPT, "db1: disk full!"),
        ("sendtvoice", TEMPLATE | {"tpl_id": "1001"}, CallbackKind.PROMPT, "db1: disk full!"),
        ("sendcvoice", CODE, CallbackKind.CODE, "5678"),
        ("sendvoice", CODE, CallbackKind.CODE, "5678"),
        ("sendcvoice", {"msg": 5678}, CallbackKind.CODE, "5678"),
        ("sendfvoice", FILE, CallbackKind.PROMPT, "[known.mp3]"),
    ],
)
def test_each_operation_asks_for_its_call(
    operation: str, content: dict[str, object], kind: CallbackKind, text: str
) -> None:
    """A notification, a template, a code and a file are read for what they are."""
    expected = SendRequest(
        app_id=APP_ID, kind=kind, nationcode="86", mobile=MOBILE, text=text, plays=2, session_context="mine"
    )
    assert read(operation, body(content)) == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"tel": {"nationcode": "86", "mobile": int(MOBILE)}},
        {"tel": {"nationcode": 86, "mobile": MOBILE}},
        {"tel": {"nationcode": "+86", "mobile": MOBILE}},
        {"time": str(NOW_S)},
        {"playtimes": ABSENT},
        {"ext": ABSENT},
        {"ext": None},
        {"more": [1]},
    ],
    ids=str,
)
def test_what_sdks_send_otherwise_is_taken_as_meant(changes: dict[str, object]) -> None:
    """Numbers for strings, fields left out and fields unheard of do no harm."""
    order = read("sendvoiceprompt", body(PROMPT, **changes))
    assert (order.mobile, order.nationcode, order.plays) == (MOBILE, "86", 2)
    assert order.session_context in ("mine", "")


@pytest.mark.parametrize("number", ["1", str(2**31 - 1), str(2**32), str(2**80), "0007", "abc"])
def test_random_may_be_anything(number: str) -> None:
    """`random` beyond 32 bits is signed and taken as it was sent."""
    signed = hashlib.sha256(f"appkey={APP_KEY}&random={number}&time={NOW_S}&mobile={MOBILE}".encode()).hexdigest()
    read("sendvoiceprompt", body(PROMPT, sig=signed), query=query(random=number))


@pytest.mark.parametrize(
    "mobile", ["13788888888 ", "+8613788888888", "137-8888-8888", "", "1378", "1" * 16, "１３７８８８８８８８８"]
)
def test_a_bad_number_is_1004(mobile: str) -> None:
    """A mobile that is not 5 to 15 digits is invalid, whatever it was signed with."""
    assert fault("sendvoiceprompt", body(PROMPT, tel={"nationcode": "86", "mobile": mobile})) is VendorError.PACKET
    assert VendorError.PACKET.result == 1004


@pytest.mark.parametrize(
    ("operation", "content", "result"),
    [
        ("sendvoiceprompt", body(PROMPT, sig="0" * 64), 1001),
        ("sendvoiceprompt", body(PROMPT, sig="ünfit"), 1001),
        ("sendvoiceprompt", body(PROMPT, sig=ABSENT), 1001),
        ("sendvoiceprompt", body(PROMPT, sig={"a": 1}), 1001),
        ("sendvoiceprompt", body(PROMPT, tel={"nationcode": "86", "mobile": "13788888889"}), 1001),
        ("sendvoiceprompt", body(PROMPT, promptfile="the casino is open"), 1002),
        ("sendtvoice", body(TEMPLATE, params=["the casino", "x"]), 1002),
        ("sendvoiceprompt", body(PROMPT, playtimes=0), 1004),
        ("sendvoiceprompt", body(PROMPT, playtimes=4), 1004),
        ("sendvoiceprompt", body(PROMPT, playtimes="2"), 1004),
        ("sendvoiceprompt", body(PROMPT, playtimes=True), 1004),
        ("sendvoiceprompt", body(PROMPT, playtimes=None), 1004),
        ("sendvoiceprompt", body(PROMPT, prompttype=1), 1004),
        ("sendvoiceprompt", body(PROMPT, promptfile=ABSENT), 1004),
        ("sendvoiceprompt", body(PROMPT, promptfile=""), 1004),
        ("sendvoiceprompt", body(PROMPT, tel=ABSENT), 1004),
        ("sendvoiceprompt", body(PROMPT, tel=[]), 1004),
        ("sendvoiceprompt", body(PROMPT, tel={"mobile": MOBILE}), 1004),
        ("sendvoiceprompt", body(PROMPT, tel={"nationcode": "China", "mobile": MOBILE}), 1004),
        ("sendvoiceprompt", body(PROMPT, tel={"nationcode": "86", "mobile": True}), 1004),
        ("sendcvoice", body({}), 1004),
        ("sendsomething", body(PROMPT), 1011),
        ("SendVoicePrompt", body(PROMPT), 1011),
        ("sendtvoice", body(TEMPLATE, tpl_id=9), 1014),
        ("sendtvoice", body(TEMPLATE, tpl_id=ABSENT), 1014),
        ("sendtvoice", body(TEMPLATE, tpl_id=[1001]), 1014),
        ("sendtvoice", body(TEMPLATE, params=["one"]), 1014),
        ("sendtvoice", body(TEMPLATE, params=[]), 1014),
        ("sendtvoice", body(TEMPLATE, params=ABSENT), 1014),
        ("sendvoiceprompt", body(PROMPT, time=ABSENT), 1021),
        ("sendvoiceprompt", body(PROMPT, time="now"), 1021),
        ("sendvoiceprompt", body(PROMPT, time=-NOW_S), 1021),
        ("sendvoiceprompt", body(PROMPT, time=10**300), 1021),
        ("sendvoiceprompt", body(PROMPT, promptfile="字" * 101), 1036),
        ("sendtvoice", body(TEMPLATE, params=["字" * 101, "x"]), 1036),
        ("sendcvoice", body({"msg": "1" * 11}), 1036),
        ("sendvoiceprompt", b"", 3003),
        ("sendvoiceprompt", b"tel=1", 3003),
        ("sendvoiceprompt", b"[]", 3003),
        ("sendvoiceprompt", b'{"a":"\xff"}', 3003),
        ("sendvoiceprompt", b"[" * 100_000, 3003),
        ("sendvoiceprompt", b'{"time":' + b"9" * 10_000 + b"}", 3003),
        ("sendtvoice", body(TEMPLATE, params="one"), 3004),
        ("sendtvoice", body(TEMPLATE, params=["one", 2]), 3004),
        ("sendcvoice", body({"msg": "12a4"}), 3004),
        ("sendcvoice", body({"msg": "１２３４"}), 3004),
        ("sendfvoice", body({"fid": "unknown.mp3"}), 3004),
        ("sendfvoice", body({"fid": ["known.mp3"]}), 3004),
        ("sendfvoice", body({}), 3004),
    ],
)
def test_a_mistake_has_its_number(operation: str, content: bytes, result: int) -> None:
    """Each mistake in a request is answered with the number that the vendor's table has for it."""
    assert fault(operation, content).result == result


@pytest.mark.parametrize(
    ("changes", "result"),
    [
        ({"query": query(sdkappid="1400000002")}, 1019),
        ({"query": {"random": RANDOM}}, 1019),
        ({"query": {"sdkappid": APP_ID}}, 1004),
        ({"query": query(random="1")}, 1001),
        ({"account": account(disabled=True)}, 1020),
        ({"account": account(app_key="another")}, 1001),
        ({"now_s": NOW_S + 601}, 1021),
        ({"now_s": NOW_S - 601}, 1021),
    ],
    ids=str,
)
def test_a_mistake_around_the_request_has_its_number(changes: dict[str, object], result: int) -> None:
    """A wrong application, key or clock is refused as such."""
    assert fault("sendvoiceprompt", body(PROMPT), **changes).result == result


@pytest.mark.parametrize(
    ("operation", "content", "words"),
    [
        ("sendvoiceprompt", body(PROMPT, time=ABSENT), "time is missing"),
        ("sendvoiceprompt", body(PROMPT, time=NOW_S - 3600), "3600 s behind the emulator's clock; 600 s are allowed"),
        ("sendvoiceprompt", body(PROMPT, time=NOW_S + 0.5), f"time is {NOW_S}.5, not whole seconds since 1970"),
        ("sendvoiceprompt", body(PROMPT, time=[True] * 99), r"time is \[true,true,"),
        ("sendtvoice", body({}), "template missing; there are 1001"),
        ("sendtvoice", body({"tpl_id": 1001.5}), "template 1001.5; there are 1001"),
    ],
    ids=["no time", "a slow clock", "a fraction", "a list", "no template", "a fraction for a template"],
)
def test_a_mistake_is_reported_in_no_words_of_python(operation: str, content: bytes, words: str) -> None:
    """What is absent is missing, what is there is shown as it was sent, and a clock is off by so many seconds."""
    with pytest.raises(SendRejected, match=words):
        read(operation, content)


@pytest.mark.parametrize("off_s", [-600, -1, 0, 600])
def test_the_clock_may_be_off_by_ten_minutes(off_s: int) -> None:
    """A sender whose clock is not too far off is served."""
    assert read("sendvoiceprompt", body(PROMPT), now_s=NOW_S + off_s).mobile == MOBILE


def test_a_hundred_characters_are_not_too_many() -> None:
    """The length is counted in characters, not in bytes."""
    assert read("sendvoiceprompt", body(PROMPT, promptfile="字" * 100)).text == "字" * 100


def test_a_parameter_is_not_a_template() -> None:
    """What a sender puts in for {1} is said as it is, even where it looks like {2}."""
    assert read("sendtvoice", body(TEMPLATE, params=["{2}", "x"])).text == "{2}: x!"


def test_an_uploaded_file_can_be_played() -> None:
    """The id that an upload answers is one that a call can name."""
    ours, audio = account(files=set()), b"ID3\x00\xff"
    fid = api2.parse_upload(ours, query(time=str(NOW_S)), upload(audio), audio, NOW_S)
    assert read("sendfvoice", body({"fid": fid}), account=ours).text == f"[{fid}]"


def upload(audio: bytes, **changes: str) -> dict[str, str]:
    """The headers of an upload."""
    sha1 = hashlib.sha1(audio, usedforsecurity=False).hexdigest()
    signed = f"appkey={APP_KEY}&random={RANDOM}&time={NOW_S}&content-sha1={sha1}"
    return {"x-content-sha1": sha1, "authorization": hashlib.sha256(signed.encode()).hexdigest()} | changes


@pytest.mark.parametrize(
    ("headers", "changes", "audio", "result"),
    [
        (upload(b"a", authorization="0" * 64), {}, b"a", 1001),
        (upload(b"a", authorization="ü"), {}, b"a", 1001),
        (upload(b"a"), {"random": "1"}, b"a", 1001),
        (upload(b"b"), {}, b"a", 1004),
        ({}, {}, b"a", 1004),
        (upload(b"a"), {"sdkappid": "2"}, b"a", 1019),
        (upload(b"a"), {"time": str(NOW_S - 601)}, b"a", 1021),
        (upload(b"a"), {"time": ""}, b"a", 1021),
        (upload(b""), {}, b"", 1036),
        (upload(b"a" * 500_000), {}, b"a" * 500_000, 1036),
    ],
)
def test_a_mistake_in_an_upload_has_its_number(
    headers: dict[str, str], changes: dict[str, str], audio: bytes, result: int
) -> None:
    """An upload is checked as a send is."""
    with pytest.raises(SendRejected) as caught:
        api2.parse_upload(account(), query(time=str(NOW_S)) | changes, headers, audio, NOW_S)
    assert caught.value.error.result == result


def status_body(fid: str, /, **changes: object) -> bytes:
    """A signed question for a file's status, as the SDK for Java asks it."""
    signed = f"appkey={APP_KEY}&random={RANDOM}&time={NOW_S}&fid={fid}"
    return json.dumps(
        {"fid": fid, "sig": hashlib.sha256(signed.encode()).hexdigest(), "time": NOW_S} | changes
    ).encode()


def test_an_uploaded_file_has_a_status() -> None:
    """A number, and 0: nobody publishes what its values mean."""
    assert api2.parse_file_status(account(), query(), status_body("known.mp3"), NOW_S) == 0


@pytest.mark.parametrize(
    ("content", "result"),
    [
        (status_body("unknown.mp3"), 3004),
        (status_body("known.mp3", fid="another.mp3"), 1001),
        (status_body("known.mp3", time=NOW_S - 601), 1021),
        (status_body("known.mp3", sig=None), 1001),
        (b"fid", 3003),
    ],
)
def test_a_mistake_in_a_question_for_a_status_has_its_number(content: bytes, result: int) -> None:
    """It is checked as a send is."""
    with pytest.raises(SendRejected) as caught:
        api2.parse_file_status(account(), query(), content, NOW_S)
    assert caught.value.error.result == result


def test_a_signature_that_does_not_fit_is_explained() -> None:
    """The refusal shows what is signed, all but the key."""
    with pytest.raises(SendRejected) as caught:
        read("sendvoiceprompt", body(PROMPT), account=account(app_key="another"))
    assert f"appkey=<AppKey>&random={RANDOM}&time={NOW_S}&mobile={MOBILE}" in caught.value.message
    assert "another" not in caught.value.message


def test_a_signature_in_capitals_is_named() -> None:
    """As some languages write hex by default."""
    capitals = json.loads(body(PROMPT))
    capitals["sig"] = capitals["sig"].upper()
    with pytest.raises(SendRejected, match="capitals were sent; it is sha256 in hex, in small letters"):
        read("sendvoiceprompt", json.dumps(capitals).encode())


@pytest.mark.parametrize(("changes", "result"), [({"balance": 0}, 1031), ({"in_arrears": True, "balance": 0}, 1033)])
def test_a_cloud_that_is_not_paid_calls_nobody(changes: dict[str, Any], result: int) -> None:
    """Without balance, or in arrears, a right request is refused by its number."""

    async def place() -> VendorError:
        cloud = Cloud(account(**changes), VirtualClock(NOW_S))
        with pytest.raises(SendRejected) as caught:
            await cloud.place(read("sendvoiceprompt", body(PROMPT)))
        assert not cloud.calls
        return caught.value.error

    assert asyncio.run(place()).result == result


def test_each_call_is_paid_once() -> None:
    """A balance of two is two calls; one that is refused for its frequency costs nothing."""

    async def place() -> list[int]:
        cloud, results = Cloud(account(balance=2), VirtualClock(NOW_S)), []
        for mobile in ("13788888888", "13788888888", "13788888889", "13788888887"):
            order = SendRequest(
                app_id=APP_ID, kind=CallbackKind.PROMPT, nationcode="86", mobile=mobile, text="x", plays=2
            )
            try:
                await cloud.place(order)
                results.append(0)
            except SendRejected as refusal:
                results.append(refusal.error.result)
        await cloud.close()
        return results

    assert asyncio.run(place()) == [0, 1013, 0, 1031]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_NAMES = ["tel", "playtimes", "time", "ext", "prompttype", "promptfile", "tpl_id", "params", "msg", "fid"]


@given(st.sampled_from([*api2.SENDS, "x"]), st.binary())
@example("sendtvoice", b"null")
def test_any_bytes_are_an_order_or_a_refusal(operation: str, content: bytes) -> None:
    """Whatever comes in, the cloud has an answer."""
    with pytest.raises(SendRejected) as caught:
        read(operation, content)
    assert caught.value.error in (VendorError.JSON, VendorError.PACKET, VendorError.INTERFACE)


@given(
    st.sampled_from(api2.SENDS),
    st.sampled_from([PROMPT, CODE, TEMPLATE, FILE]),
    st.dictionaries(st.sampled_from(_NAMES), _JSON, max_size=3),
)
def test_any_json_in_a_signed_request_is_an_order_or_a_refusal(
    operation: str, content: dict[str, object], odd: dict[str, Any]
) -> None:
    """Each field may hold anything, with the right signature too: an order that can be told of, or a refusal."""
    fields = json.loads(body(content)) | odd
    tel = fields["tel"]
    mobile = tel.get("mobile") if isinstance(tel, dict) else ""
    fields["sig"] = api2.signature(APP_KEY, RANDOM, str(fields["time"]), str(mobile))
    try:
        order = read(operation, json.dumps(fields).encode())
    except SendRejected as refusal:
        result = refusal.error.result
    else:
        assert re.fullmatch("[0-9]{5,15}", order.mobile)
        assert order.plays in (1, 2, 3)
        return
    assert result != VendorError.INTERFACE.result


def test_the_answer_is_compact() -> None:
    """Senders search for `"result":0` in it."""
    assert api2.encode_ok(callid="c", ext="mine") == b'{"result":0,"errmsg":"OK","callid":"c","ext":"mine"}'
