import gzip
import json
import zlib
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from builders import (
    ANSWERED,
    CALLIDS,
    ENDED,
    KEY_BY_KIND,
    PAYLOADS,
    STARTED,
    UUID1,
    WIRE_TEXT,
    AnyCallback,
    callbacks,
    failure,
    key_press,
    payload,
    status,
    unanswered,
    wire,
    wire_fields,
)
from hypothesis import example, given
from hypothesis import strategies as st

from answerback.domain.models import CallbackKind, Result, Status
from answerback.errors import CallbackRejected, InvalidCallbackField, InvalidJson, UnknownCallback
from answerback.tencent.callbacks import CALLBACK_KEYS, parse

EXAMPLE = status(callid="xxxxxx", mobile="13xxxxxxxxx")
BOM = b"\xef\xbb\xbf"

READ_AS: dict[str, AnyCallback] = {
    "voice_failure.json": failure(),
    "voice_failure_code_string.json": failure(),
    "voice_failure_other.json": failure(code=11, reason="其他"),
    "voice_failure_unlisted.json": failure(code=99, reason=""),
    "voicecode_answered.json": status(kind=CallbackKind.CODE),
    "voicecode_unanswered.json": unanswered(kind=CallbackKind.CODE),
    "voicekey.json": key_press(key="2"),
    "voicekey_hash.json": key_press(key="#"),
    "voicekey_int.json": key_press(key="2", call_from="0"),
    "voiceprompt_accept_time_empty.json": unanswered(),
    "voiceprompt_accept_time_int.json": unanswered(),
    "voiceprompt_accept_time_missing.json": unanswered(),
    "voiceprompt_accept_time_null.json": unanswered(),
    "voiceprompt_bom.json": EXAMPLE,
    "voiceprompt_callid_hex.json": status(callid="d9428888122b11e1b85c61cd3cbb3210", mobile="13xxxxxxxxx"),
    "voiceprompt_callid_uuid1.json": status(callid=UUID1, mobile="13xxxxxxxxx"),
    "voiceprompt_compact.json": EXAMPLE,
    "voiceprompt_error.json": unanswered(result=Result.ERROR),
    "voiceprompt_escaped.json": EXAMPLE,
    "voiceprompt_example.json": EXAMPLE,
    "voiceprompt_extra_fields.json": EXAMPLE,
    "voiceprompt_fee_empty.json": unanswered(fee_minutes=None),
    "voiceprompt_fee_int.json": unanswered(),
    "voiceprompt_fee_missing.json": unanswered(fee_minutes=None),
    "voiceprompt_fee_null.json": unanswered(fee_minutes=None),
    "voiceprompt_ints.json": status(callid="123456789", call_from="4001234567"),
    "voiceprompt_unanswered.json": unanswered(),
}

ONE_OF_EACH: list[AnyCallback] = [status(), status(kind=CallbackKind.CODE), key_press(), failure()]
NEEDED = ("callid", "result", "keypress", "failure_code")
REQUIRED = [(callback, field) for callback in ONE_OF_EACH for field in wire_fields(callback) if field in NEEDED]
TOLERATED = [(callback, field) for callback in ONE_OF_EACH for field in wire_fields(callback) if field not in NEEDED]
KNOWN_AS = {
    "start_calltime": "started_at",
    "accept_time": "answered_at",
    "end_calltime": "ended_at",
    "fee": "fee_minutes",
    "failure_reason": "reason",
}
EVERY_FIELD = [(callback, field) for callback in ONE_OF_EACH for field in wire_fields(callback)]


def body_of(callback: AnyCallback, **changes: object) -> bytes:
    """The body of `callback` with some fields as given, `...` for left out."""
    fields = wire_fields(callback) | changes
    return json.dumps(
        {KEY_BY_KIND[callback.kind]: {name: value for name, value in fields.items() if value is not ...}}
    ).encode()


def refusal(body: bytes) -> CallbackRejected:
    """What `body` is refused with."""
    with pytest.raises(CallbackRejected) as caught:
        parse(body)
    return caught.value


def test_the_example_of_the_contract_is_read_field_by_field() -> None:
    """The documented example means an answered call of 15 seconds' ringing and 10 seconds' talk."""
    assert parse(payload("voiceprompt_example.json")) == Status(
        kind=CallbackKind.PROMPT,
        result=Result.ANSWERED,
        callid="xxxxxx",
        nationcode="86",
        mobile="13xxxxxxxxx",
        call_from="",
        started_at=datetime(2016, 8, 3, 4, 6, 36, tzinfo=UTC),
        answered_at=datetime(2016, 8, 3, 4, 6, 51, tzinfo=UTC),
        ended_at=datetime(2016, 8, 3, 4, 7, 1, tzinfo=UTC),
        fee_minutes=1,
    )


@pytest.mark.parametrize("name", READ_AS)
def test_every_payload_is_read_as_it_is_meant(name: str) -> None:
    """Each file of tests/payloads gives exactly these values."""
    callback = parse(payload(name))
    assert callback == READ_AS[name]
    assert type(callback) is type(READ_AS[name])


def test_no_payload_is_left_out() -> None:
    """Every payload file is tested here and explained in the README beside it."""
    files = {path.name for path in PAYLOADS.glob("*.json")}
    explained = payload("README.md").decode()
    assert files == set(READ_AS)
    assert [name for name in sorted(files) if f"`{name}`" not in explained] == []


def test_the_four_keys_of_the_contract() -> None:
    """The contract has four callback keys."""
    assert set(CALLBACK_KEYS) == set(KEY_BY_KIND.values())


@pytest.mark.parametrize(("callback", "field"), REQUIRED)
def test_a_missing_field_is_named(callback: AnyCallback, field: str) -> None:
    """A callback that lacks a required field is refused by that field's name."""
    error = refusal(body_of(callback, **{field: ...}))
    path = f"{KEY_BY_KIND[callback.kind]}.{field}"
    assert isinstance(error, InvalidCallbackField)
    assert (error.field, error.errmsg, str(error)) == (path, f"{path}: required", f"{path}: required")


@pytest.mark.parametrize(("callback", "field"), TOLERATED)
@pytest.mark.parametrize("value", [..., None])
def test_what_is_missing_or_null_is_not_known(callback: AnyCallback, field: str, value: object) -> None:
    """Every other field may be missing or null, and is then None."""
    known = msgspec.structs.replace(callback, **{KNOWN_AS.get(field, field): None})
    assert parse(body_of(callback, **{field: value})) == known


@pytest.mark.parametrize("field", ["start_calltime", "accept_time", "end_calltime", "fee"])
@pytest.mark.parametrize("kind", [CallbackKind.PROMPT, CallbackKind.CODE])
def test_an_empty_time_or_fee_is_not_known(field: str, kind: CallbackKind) -> None:
    """So is an empty time or fee."""
    assert parse(body_of(status(kind=kind), **{field: ""})) == status(kind=kind, **{KNOWN_AS[field]: None})


@pytest.mark.parametrize("callback", ONE_OF_EACH)
def test_a_whole_float_is_the_number_that_it_means(callback: AnyCallback) -> None:
    """`8.0`, as some languages write every number, is 8 in whatever field it stands."""
    fields = wire_fields(callback)
    numeric = [name for name, value in fields.items() if str(value).isdigit()]
    assert {"mobile", "nationcode"} < set(numeric)
    assert parse(body_of(callback, **{name: float(fields[name]) for name in numeric})) == callback


def test_a_float_that_holds_no_whole_number_is_refused() -> None:
    """Beyond 2**53 a float may mean one of several numbers."""
    assert parse(body_of(status(), callid=2.0**52)).callid == str(2**52)
    error = refusal(body_of(status(), callid=2.0**53))
    assert error.errmsg == "voiceprompt_callback.callid: expected a string or whole number, got another number"


@pytest.mark.parametrize("callback", ONE_OF_EACH)
def test_null_siblings_of_a_callback_are_none(callback: AnyCallback) -> None:
    """A serialiser that writes every key of its class means the one that is not null."""
    document = dict.fromkeys(KEY_BY_KIND.values()) | {KEY_BY_KIND[callback.kind]: wire_fields(callback)}
    assert parse(json.dumps(document).encode()) == callback


@pytest.mark.parametrize("field", ["start_calltime", "accept_time", "end_calltime"])
@pytest.mark.parametrize("value", ["1470197211000", 1470197211000, 1470197211000.0])
def test_milliseconds_are_asked_about(field: str, value: object) -> None:
    """A time of 13 digits is refused with the question that answers it."""
    error = refusal(body_of(status(), **{field: value}))
    path = f"voiceprompt_callback.{field}"
    assert (error.field, error.errmsg) == (path, f"{path}: expected Unix seconds, got 13 digits: milliseconds?")


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (gzip.compress(wire(status())), "gzip"),
        (zlib.compress(wire(status())), "zlib"),
        (zlib.compress(wire(status()), 1), "zlib"),
        (zlib.compress(wire(status()), 9), "zlib"),
        (b"\x28\xb5\x2f\xfd\x04\x00\x41\x00", "Zstandard"),
        (wire(status()).decode().encode("utf-16"), "UTF-16"),
        (wire(status()).decode().encode("utf-16-le"), "UTF-16"),
        (wire(status()).decode().encode("utf-16-be"), "UTF-16"),
        (wire(failure()).decode().encode("gbk"), "GBK"),
    ],
)
def test_what_is_no_utf8_is_called_by_its_name(body: bytes, name: str) -> None:
    """A body that is packed or in another encoding is refused with what it is."""
    error = refusal(body)
    assert type(error) is InvalidJson
    assert f" {name}" in error.errmsg


@pytest.mark.parametrize(("callback", "field"), EVERY_FIELD)
@pytest.mark.parametrize("value", [[], {}, ["13788888888"], {"a": "13788888888"}, True, 1.5, 13788888888.5])
def test_an_ill_typed_field_is_named(callback: AnyCallback, field: str, value: object) -> None:
    """An array, an object, a boolean or a fraction is refused by the field's name."""
    error = refusal(body_of(callback, **{field: value}))
    assert isinstance(error, InvalidCallbackField)
    assert (error.field, "13788888888" in error.errmsg) == (f"{KEY_BY_KIND[callback.kind]}.{field}", False)
    assert error.errmsg.startswith(f"{error.field}: expected ")


@pytest.mark.parametrize(("callback", "field"), REQUIRED)
def test_null_for_a_required_field_is_refused(callback: AnyCallback, field: str) -> None:
    """Null is no value."""
    error = refusal(body_of(callback, **{field: None}))
    assert (type(error), error.field) == (InvalidCallbackField, f"{KEY_BY_KIND[callback.kind]}.{field}")


@pytest.mark.parametrize("value", ["3", "-1", "", "00", " 0", "0.0", "ok", "10", 3, -1, 0.5, 10**30])
def test_a_result_that_the_contract_does_not_have_is_refused(value: object) -> None:
    """`result` is 0, 1 or 2 and nothing else."""
    error = refusal(body_of(status(), result=value))
    assert error.field == "voiceprompt_callback.result"
    assert error.errmsg.startswith("voiceprompt_callback.result: expected 0, 1 or 2, got ")


@pytest.mark.parametrize("field", ["start_calltime", "accept_time", "end_calltime"])
@pytest.mark.parametrize("value", ["soon", "-1", "1.5", "1e9", "１２", "9" * 13, " 1", "+1", -1, 10**12, 10**30])
def test_a_time_that_is_no_unix_second_is_refused(field: str, value: object) -> None:
    """A time is a whole number of seconds that a calendar still has."""
    assert refusal(body_of(status(), **{field: value})).field == f"voiceprompt_callback.{field}"


@pytest.mark.parametrize("field", ["start_calltime", "accept_time", "end_calltime"])
def test_the_last_second_of_ten_digits_is_a_time(field: str) -> None:
    """The bound itself is accepted, one more is not: eleven digits are a phone number in the wrong field."""
    last = 9_999_999_999
    callback = parse(body_of(status(), **{field: str(last)}))
    assert datetime.fromtimestamp(last, UTC) in msgspec.structs.astuple(callback)
    assert refusal(body_of(status(), **{field: str(last + 1)})).field == f"voiceprompt_callback.{field}"


@pytest.mark.parametrize(("callback", "field"), [(status(), "fee"), (failure(), "failure_code")])
@pytest.mark.parametrize("value", ["x", "-1", "1.5", "１", "2147483648", "9" * 200, -1, 2**31, 10**30])
def test_a_number_out_of_bounds_is_refused(callback: AnyCallback, field: str, value: object) -> None:
    """Minutes and codes are whole numbers that every database holds."""
    assert refusal(body_of(callback, **{field: value})).field == f"{KEY_BY_KIND[callback.kind]}.{field}"


def test_an_empty_failure_code_is_refused() -> None:
    """There is no failure without a code."""
    assert refusal(body_of(failure(), failure_code="")).field == "voice_failure_callback.failure_code"


@pytest.mark.parametrize("callback", ONE_OF_EACH)
def test_an_empty_callid_is_refused(callback: AnyCallback) -> None:
    """A callback of no call is none."""
    error = refusal(body_of(callback, callid=""))
    assert error.errmsg == f"{KEY_BY_KIND[callback.kind]}.callid: is empty"


def test_an_empty_key_press_is_refused() -> None:
    """A key press without a key is none."""
    assert refusal(body_of(key_press(), keypress="")).errmsg == "voicekey_callback.keypress: is empty"


@pytest.mark.parametrize("letter", ["\n", "\t", "\x1b", "\x7f", "\u200b", "\u2028", "\ufeff"])
def test_a_callid_that_cannot_be_shown_is_refused(letter: str) -> None:
    """A callid goes into URLs, logs and terminals: it holds nothing unprintable."""
    error = refusal(body_of(status(), callid=f"a{letter}b"))
    assert (type(error), error.field) == (InvalidCallbackField, "voiceprompt_callback.callid")


@pytest.mark.parametrize(
    ("callback", "field"),
    [(callback, field) for callback, field in EVERY_FIELD if isinstance(wire_fields(callback)[field], str)],
)
def test_nul_and_overlong_text_are_refused(callback: AnyCallback, field: str) -> None:
    """NUL, which PostgreSQL cannot hold, and more than 256 characters are refused by the field's name."""
    for value in ("a\0b", "\0", "x" * 257, "1" * 4000):
        error = refusal(body_of(callback, **{field: value}))
        assert (type(error), error.field) == (InvalidCallbackField, f"{KEY_BY_KIND[callback.kind]}.{field}")


@pytest.mark.parametrize("field", ["callid", "mobile", "nationcode", "call_from"])
def test_text_of_full_length_is_kept(field: str) -> None:
    """256 characters of any script are kept, a number of 256 digits too."""
    for value in ("号" * 256, "9" * 256):
        assert getattr(parse(body_of(status(), **{field: value})), field) == value
    assert getattr(parse(body_of(status(), **{field: int("9" * 256)})), field) == "9" * 256


@pytest.mark.parametrize("second", ONE_OF_EACH[1:])
def test_two_callbacks_in_one_body_are_refused(second: AnyCallback) -> None:
    """A body holds one callback; the second is named."""
    body = {KEY_BY_KIND[CallbackKind.PROMPT]: wire_fields(status()), KEY_BY_KIND[second.kind]: wire_fields(second)}
    error = refusal(json.dumps(body).encode())
    assert (
        error.errmsg == f"{KEY_BY_KIND[second.kind]}: must not come with voiceprompt_callback: a body has one callback"
    )


@pytest.mark.parametrize("key", KEY_BY_KIND.values())
@pytest.mark.parametrize("value", [None, [], "13788888888", 13788888888, True, 1.5])
def test_a_callback_that_is_no_object_is_refused(key: str, value: object) -> None:
    """Under a callback key stands an object."""
    error = refusal(json.dumps({key: value}).encode())
    assert (type(error), error.field) == (InvalidCallbackField, key)
    assert error.errmsg.startswith(f"{key}: expected object, got ")


@pytest.mark.parametrize(
    ("body", "errmsg"),
    [
        (b"", "the body is empty"),
        (b" \r\n", "the body is empty"),
        (BOM, "the body is empty"),
        (b'{"voiceprompt_callback": {"mobile": "\xff"}}', "the body is not JSON: not UTF-8"),
    ],
)
def test_what_is_wrong_with_a_body_that_is_not_json(body: bytes, errmsg: str) -> None:
    """An empty body and one that is not UTF-8 are told apart from malformed JSON."""
    error = refusal(body)
    assert (type(error), error.field, error.errmsg) == (InvalidJson, None, errmsg)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff",
        b"nonsense",
        b"{'voiceprompt_callback': {}}",
        BOM + BOM + b"{}",
        wire(status())[:-1],
        wire(status()) + b"x",
        wire(status()) * 2,
        json.dumps({KEY_BY_KIND[CallbackKind.PROMPT]: wire_fields(status())}).encode("utf-16"),
        b"voiceprompt_callback=1",
        b'{"voiceprompt_callback": NaN}',
        b'{"voiceprompt_callback": {"mobile": "\\ud800"}}',
    ],
)
def test_a_body_that_is_not_one_json_text_is_refused(body: bytes) -> None:
    """Truncated, doubled, form-encoded, UTF-16: none of it is JSON."""
    error = refusal(body)
    assert type(error) is InvalidJson
    assert error.errmsg.startswith("the body is not JSON")


@pytest.mark.parametrize(
    "body",
    [b"{}", b"[]", b"null", b"true", b"1", b"1.5", b'"x"', b'{"a": 1}', b"[" + wire(status()) + b"]", BOM + b"{}"],
)
def test_json_without_a_callback_key_is_refused(body: bytes) -> None:
    """JSON that is something else is answered with what it lacks."""
    error = refusal(body)
    assert (type(error), error.field) == (UnknownCallback, None)
    assert "callback key" in error.errmsg


def test_the_name_of_a_callback_key_is_exact() -> None:
    """Another case or a space makes another key."""
    for key in ("VoicePrompt_callback", "voiceprompt_callback ", "voiceprompt"):
        assert type(refusal(json.dumps({key: wire_fields(status())}).encode())) is UnknownCallback


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"voiceprompt_callback":', b'{"voiceprompt_callback":{"x":['])
def test_deep_nesting_is_refused(opening: bytes) -> None:
    """A body that would exhaust the stack is refused, closed or not."""
    closing = {b"[": b"]", b'{"a":': b"}", b'{"voiceprompt_callback":': b"}", b'{"voiceprompt_callback":{"x":[': b"]}}"}
    depth = 100_000
    for body in (opening * depth, opening * depth + b"1" + closing[opening] * depth):
        assert isinstance(refusal(body), CallbackRejected)


def test_deep_nesting_in_an_unknown_field_is_refused() -> None:
    """A field that nobody reads cannot exhaust the stack either."""
    nested = b"[" * 100_000 + b"]" * 100_000
    body = wire(status())[:-2] + b', "more": ' + nested + b"}}"
    assert "nested too deep" in refusal(body).errmsg


def test_the_last_of_two_fields_of_one_name_counts() -> None:
    """A name that comes twice is JSON; as everywhere, the last one counts."""
    body = wire(status())[:-2] + b', "callid": "second"}}'
    assert parse(body) == status(callid="second")


@given(st.binary(max_size=400))
@example(b"\xef\xbb\xbf")
@example(b'{"voiceprompt_callback":{"mobile":' + b"1" * 5000 + b"}}")
@example(b'{"\\ud800":1}')
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """Whatever the bytes, the outcome is a callback or CallbackRejected."""
    read_or_refused(body)


def read_or_refused(body: bytes) -> None:
    """Parse, and check what comes of it either way."""
    outcome = outcome_of(body)
    if isinstance(outcome, CallbackRejected):
        assert type(outcome) in (InvalidJson, InvalidCallbackField, UnknownCallback)
        assert outcome.errmsg.isprintable()
        assert (outcome.field is not None) == (type(outcome) is InvalidCallbackField)
    else:
        assert outcome.callid
        assert parse(wire(outcome)) == outcome


def outcome_of(body: bytes) -> AnyCallback | CallbackRejected:
    """What `body` is read as or refused with; anything else fails the test."""
    try:
        return parse(body)
    except CallbackRejected as error:
        return error


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_any_json_is_read_or_refused(document: object) -> None:
    """Whatever the JSON, the outcome is a callback or CallbackRejected."""
    read_or_refused(json.dumps(document).encode())


NEARLY_RIGHT = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.integers(),
    st.floats(),
    st.sampled_from(["", "0", "1", "2", "1470197211", "13788888888", "\0", "x" * 257, "９", "-0", "253402300800"]),
    st.text(st.characters(exclude_categories=()), max_size=8),
    st.lists(st.integers(), max_size=2),
)


@st.composite
def nearly_callbacks(draw: st.DrawFn) -> bytes:
    """Bodies of the contract with a few fields replaced, dropped or added, or keys doubled."""
    document: dict[str, Any] = {}
    for callback in draw(st.lists(st.sampled_from(ONE_OF_EACH), min_size=1, max_size=2)):
        fields = wire_fields(callback)
        for name in draw(st.lists(st.sampled_from([*fields, "more"]), max_size=3)):
            fields[name] = draw(NEARLY_RIGHT)
        for name in draw(st.lists(st.sampled_from(sorted(fields)), max_size=1)):
            del fields[name]
        document[KEY_BY_KIND[callback.kind]] = fields
    return draw(st.sampled_from([b"", BOM])) + json.dumps(document, ensure_ascii=draw(st.booleans())).encode(
        "utf-8", "surrogatepass"
    )


@given(nearly_callbacks())
def test_what_is_nearly_a_callback_is_read_or_refused(body: bytes) -> None:
    """Close to the contract, too, the outcome is a callback or CallbackRejected."""
    read_or_refused(body)


@given(callbacks(CALLIDS))
def test_a_callback_is_read_back_as_it_was_written(callback: AnyCallback) -> None:
    """The wire form of any callback means that callback."""
    assert parse(wire(callback)) == callback


@given(st.sampled_from(ONE_OF_EACH), st.sampled_from(["mobile", "nationcode", "call_from"]), WIRE_TEXT)
def test_text_is_kept_to_the_letter(callback: AnyCallback, field: str, text: str) -> None:
    """Numbers are kept as they came: nothing is trimmed or normalised."""
    assert getattr(parse(body_of(callback, **{field: text})), field) == text


@given(st.sampled_from(EVERY_FIELD), st.data())
def test_a_refusal_repeats_nobodys_number(at: tuple[AnyCallback, str], data: st.DataObject) -> None:
    """The errmsg describes a value and never repeats it."""
    callback, field = at
    number = "13912345678"
    value = data.draw(
        st.sampled_from(
            [number, int(number), float(number), [number], {number: number}, number + "\0", number * 30, f"-{number}"]
        )
    )
    fields = wire_fields(callback) | {field: value}
    document = {KEY_BY_KIND[callback.kind]: {**fields, number: number}, number: {number: number}}
    text = json.dumps(document)
    cut = data.draw(st.sampled_from([0, 1, 2, 20]))
    outcome = outcome_of(text[: len(text) - cut].encode())
    assert not isinstance(outcome, CallbackRejected) or number not in str(outcome)


@pytest.mark.parametrize(
    ("nationcode", "mobile", "expected"),
    [
        ("86", "13788888888", "+8613788888888"),
        ("+86", "13788888888", "+8613788888888"),
        ("0086", "13788888888", "+8613788888888"),
        ("852", "51234567", "+85251234567"),
        ("", "+8613788888888", "+8613788888888"),
        ("86", "13xxxxxxxxx", None),
        ("86", "", None),
        ("", "13788888888", None),
    ],
)
def test_e164_of_a_callback(nationcode: str, mobile: str, expected: str | None) -> None:
    """A callback gives its callee in E.164, or None where there is no such number."""
    assert status(nationcode=nationcode, mobile=mobile).e164 == expected
    assert key_press(nationcode=nationcode, mobile=mobile).e164 == expected


def test_times_of_the_example_are_the_builders() -> None:
    """The builders of these tests stand on the documented example."""
    assert (STARTED.timestamp(), ANSWERED.timestamp(), ENDED.timestamp()) == (1470197196, 1470197211, 1470197221)
