"""Bytes of the cloud -> a typed `Callback`, or `CallbackRejected` that names the field.

The vendor documents strings; the field sends numbers for them, whole floats among these, leaves out what it does not
know or sends null, and puts a BOM in front. All are accepted, and missing fields are None. Fields that the contract
does not know stay in the raw bytes only.

Source: "Voice Notification Status Callback", product 1128/37519, and its sibling pages for verification codes,
key presses and failures.
"""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NoReturn

import msgspec
from msgspec import UNSET, UnsetType

from answerback.domain.models import AnyCallback, CallbackKind, Failure, KeyPress, Result, Status
from answerback.errors import InvalidCallbackField, InvalidJson, UnknownCallback

Scalar = int | float | str
"""A vendor's text or number: a string by the table, a number in some payloads."""

_BOM = b"\xef\xbb\xbf"
_NOT_JSON = {
    b"\x1f\x8b": "gzip: send it uncompressed",
    b"\x28\xb5\x2f\xfd": "Zstandard: send it uncompressed",
    b"\x78\x01": "zlib: send it uncompressed",
    b"\x78\x9c": "zlib: send it uncompressed",
    b"\x78\xda": "zlib: send it uncompressed",
    b"\xff\xfe": "UTF-16: send UTF-8",
    b"\xfe\xff": "UTF-16: send UTF-8",
    b"{\x00": "UTF-16: send UTF-8",
    b"\x00{": "UTF-16: send UTF-8",
}
"""Recognisable beginnings of bodies that are not JSON."""
_LONGEST_TEXT = 256
_LAST_SECOND = 9_999_999_999  # in 2286; eleven digits are as many as a mobile number has, and no time would hide it
_SECONDS_DIGITS = 10
_LARGEST = 2**31 - 1
_EXACT_BELOW = 2**53  # from there on a float does not hold every whole number
_MILLISECONDS, _MILLISECONDS_DIGITS = 10**12, 13
_RESULTS: dict[object, Result] = {form: result for result in Result for form in (result.value, str(result.value))}


class _StatusWire(msgspec.Struct, gc=False):
    result: Scalar
    callid: Scalar
    call_from: Scalar | None = None
    mobile: Scalar | None = None
    nationcode: Scalar | None = None
    start_calltime: Scalar | None = None
    end_calltime: Scalar | None = None
    accept_time: Scalar | None = None
    fee: Scalar | None = None


class _KeyWire(msgspec.Struct, gc=False):
    callid: Scalar
    keypress: Scalar
    call_from: Scalar | None = None
    mobile: Scalar | None = None
    nationcode: Scalar | None = None


class _FailureWire(msgspec.Struct, gc=False):
    callid: Scalar
    failure_code: Scalar
    call_from: Scalar | None = None
    mobile: Scalar | None = None
    nationcode: Scalar | None = None
    failure_reason: str | None = None


class _Envelope(msgspec.Struct, gc=False):
    voiceprompt_callback: _StatusWire | UnsetType | None = UNSET
    voicecode_callback: _StatusWire | UnsetType | None = UNSET
    voicekey_callback: _KeyWire | UnsetType | None = UNSET
    voice_failure_callback: _FailureWire | UnsetType | None = UNSET


CALLBACK_KEYS = _Envelope.__struct_fields__
"""The four top-level keys of the contract; a body holds exactly one that is not null."""

_decode = msgspec.json.Decoder(_Envelope).decode
_decode_any = msgspec.json.Decoder().decode


def parse(body: bytes) -> AnyCallback:
    """Read one callback from the bytes of one POST.

    Raises InvalidJson, UnknownCallback or InvalidCallbackField, all of them CallbackRejected; never anything else.
    """
    if body.startswith(_BOM):
        body = body[3:]
    try:
        envelope = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        _raise_rejection(body, error)
    prompt = envelope.voiceprompt_callback
    others = (envelope.voicecode_callback, envelope.voicekey_callback, envelope.voice_failure_callback)
    if isinstance(prompt, _StatusWire) and others == (UNSET, UNSET, UNSET):
        return _status(CallbackKind.PROMPT, "voiceprompt_callback", prompt)
    return _other(envelope)


def extract_fields(body: bytes) -> dict[str, Any]:
    """The fields of a callback as they came, by the vendor's names. Raises ValueError where there are none."""
    document = _decode_any(body.removeprefix(_BOM))
    for key in CALLBACK_KEYS:
        if isinstance(document, dict) and isinstance(document.get(key), dict):
            fields: dict[str, Any] = document[key]
            return fields
    raise ValueError("no callback")


def _other(envelope: _Envelope) -> AnyCallback:
    named = [key for key in CALLBACK_KEYS if getattr(envelope, key) is not UNSET]
    if not named:
        raise UnknownCallback(f"no callback key: one of {', '.join(CALLBACK_KEYS)} is required")
    present = [key for key in named if getattr(envelope, key) is not None]
    if not present:
        raise InvalidCallbackField("expected object, got null", named[0])
    if len(present) > 1:
        raise InvalidCallbackField(f"must not come with {present[0]}: a body has one callback", present[1])
    key = present[0]
    wire = getattr(envelope, key)
    if isinstance(wire, _KeyWire):
        return _key(key, wire)
    if isinstance(wire, _FailureWire):
        return _failure(key, wire)
    return _status(CallbackKind.PROMPT if key == "voiceprompt_callback" else CallbackKind.CODE, key, wire)


def _status(kind: CallbackKind, key: str, wire: _StatusWire) -> Status:
    result = _RESULTS.get(wire.result)
    if result is None:
        raise InvalidCallbackField(f"expected 0, 1 or 2, got {_describe_value(wire.result)}", f"{key}.result")
    return Status(
        kind=kind,
        result=result,
        callid=_callid(key, wire.callid),
        nationcode=_optional_text(key, "nationcode", wire.nationcode),
        mobile=_optional_text(key, "mobile", wire.mobile),
        call_from=_optional_text(key, "call_from", wire.call_from),
        started_at=_time(key, "start_calltime", wire.start_calltime),
        answered_at=_time(key, "accept_time", wire.accept_time),
        ended_at=_time(key, "end_calltime", wire.end_calltime),
        fee_minutes=None if wire.fee in ("", None) else _number(key, "fee", wire.fee, _LARGEST),
    )


def _key(key: str, wire: _KeyWire) -> KeyPress:
    pressed = _text(key, "keypress", wire.keypress)
    if not pressed:
        raise InvalidCallbackField("is empty", f"{key}.keypress")
    return KeyPress(
        callid=_callid(key, wire.callid),
        nationcode=_optional_text(key, "nationcode", wire.nationcode),
        mobile=_optional_text(key, "mobile", wire.mobile),
        call_from=_optional_text(key, "call_from", wire.call_from),
        key=pressed,
    )


def _failure(key: str, wire: _FailureWire) -> Failure:
    return Failure(
        callid=_callid(key, wire.callid),
        nationcode=_optional_text(key, "nationcode", wire.nationcode),
        mobile=_optional_text(key, "mobile", wire.mobile),
        call_from=_optional_text(key, "call_from", wire.call_from),
        code=_number(key, "failure_code", wire.failure_code, _LARGEST),
        reason=_optional_text(key, "failure_reason", wire.failure_reason),
    )


def _callid(key: str, value: Scalar) -> str:
    callid = _text(key, "callid", value)
    if not callid:
        raise InvalidCallbackField("is empty", f"{key}.callid")
    if not callid.isprintable():
        raise InvalidCallbackField("contains a character that is not printable", f"{key}.callid")
    return callid


def _optional_text(key: str, name: str, value: Scalar | None) -> str | None:
    return None if value is None else _text(key, name, value)


def _text(key: str, name: str, value: Scalar) -> str:
    text = value if type(value) is str else str(_whole(key, name, value))
    if len(text) > _LONGEST_TEXT:
        raise InvalidCallbackField(f"expected at most {_LONGEST_TEXT} characters, got {len(text)}", f"{key}.{name}")
    if "\x00" in text:
        raise InvalidCallbackField("contains a NUL character", f"{key}.{name}")
    return text


def _whole(key: str, name: str, value: Scalar) -> int | str:
    """A float as the whole number that it means; anything else as it is."""
    if not isinstance(value, float):
        return value
    if value.is_integer() and abs(value) < _EXACT_BELOW:
        return int(value)
    raise InvalidCallbackField(f"expected a string or whole number, got {_describe_value(value)}", f"{key}.{name}")


def _time(key: str, name: str, value: Scalar | None) -> datetime | None:
    if type(value) is str and (time := _seconds(value)) is not None:
        return time
    if value in ("", "0", 0, None):
        return None
    value = _whole(key, name, value)
    if _is_milliseconds(value):
        raise InvalidCallbackField(
            f"expected Unix seconds, got {_MILLISECONDS_DIGITS} digits: milliseconds?", f"{key}.{name}"
        )
    return datetime.fromtimestamp(_number(key, name, value, _LAST_SECOND), UTC)


@lru_cache(4096)  # the callbacks of a moment tell of the same seconds, and are read twice
def _seconds(text: str) -> datetime | None:
    """The time, where it is written as the vendor does; None where it is not known or has to be looked at more closely."""
    if len(text) > _SECONDS_DIGITS or text == "0" or not (text.isascii() and text.isdigit()):
        return None
    return datetime.fromtimestamp(int(text), UTC)


def _is_milliseconds(value: int | str) -> bool:
    if isinstance(value, str):
        return len(value) == _MILLISECONDS_DIGITS and value.isascii() and value.isdigit()
    return _MILLISECONDS <= value < 10 * _MILLISECONDS


def _number(key: str, name: str, value: Scalar, largest: int) -> int:
    value = _whole(key, name, value)
    if type(value) is str and value.isascii() and value.isdigit() and len(value) <= len(str(largest)):
        value = int(value)
    if type(value) is int and 0 <= value <= largest:
        return value
    raise InvalidCallbackField(
        f"expected a whole number from 0 to {largest}, got {_describe_value(value)}", f"{key}.{name}"
    )


def _describe_value(value: Scalar) -> str:
    """Describe a value without repeating it: it may be somebody's number."""
    if isinstance(value, str):
        return f"a string of length {len(value)}" if value else "an empty string"
    return "a fraction" if isinstance(value, float) and not value.is_integer() else "another number"


_MSGSPEC_WORDS = (
    ("Expected", "expected"),
    ("`", ""),
    (" | null", ""),
    ("int | float | str", "a string or whole number"),
)


def _raise_rejection(body: bytes, error: Exception) -> NoReturn:
    """Say what the decoder met: bytes that are no JSON at all, or JSON of the wrong shape."""
    try:
        document = _decode_any(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
        raise InvalidJson(_why_not_json(body, cause)) from cause
    if not isinstance(document, dict):
        raise UnknownCallback(f"expected an object with a callback key, got {_json_name(document)}") from error
    if not any(key in document for key in CALLBACK_KEYS):
        raise UnknownCallback(f"no callback key: one of {', '.join(CALLBACK_KEYS)} is required") from error
    problem, _, path = str(error).partition(" - at `$.")
    path = path.removesuffix("`")
    if problem.startswith("Object missing required field"):
        raise InvalidCallbackField("required", ".".join(filter(None, [path, problem.split("`")[1]]))) from error
    for word, meant in _MSGSPEC_WORDS:
        problem = problem.replace(word, meant)
    raise InvalidCallbackField(problem, path) from error


def _why_not_json(body: bytes, cause: Exception) -> str:
    if not body.strip():
        return "the body is empty"
    for beginning, name in _NOT_JSON.items():
        if body.startswith(beginning):
            return f"the body is not JSON: it is {name}"
    if isinstance(cause, RecursionError):
        return "the body is not JSON that can be read: nested too deep"
    return f"the body is not JSON: {_wrong_encoding(body) or str(cause).removeprefix('JSON is malformed: ')}"


def _wrong_encoding(body: bytes) -> str | None:
    """The error message for text that is not UTF-8; GBK, common in China, is recognised."""
    try:
        body.decode()
    except UnicodeDecodeError:
        pass
    else:
        return None
    try:
        _decode_any(body.decode("gb18030"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "not UTF-8"
    return "not UTF-8, it is GBK: send UTF-8"


def _json_name(value: object) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    return names.get(type(value), "null")
