"""Bytes of the cloud -> a typed `Callback`, or `CallbackRejected` that names the field.

The vendor documents strings; the field sends numbers for them, leaves out `accept_time` and `fee` where nobody
answered, and puts a BOM in front. Each is taken as meant. Fields that the contract does not know stay in the raw
bytes only.

Source: "Voice Notification Status Callback", product 1128/37519, and its sibling pages for verification codes,
key presses and failures.
"""

from datetime import UTC, datetime
from typing import NoReturn

import msgspec
from msgspec import UNSET, UnsetType

from answerback.errors import NotJson, UnfitField, UnknownCallback
from answerback.model import Failure, KeyPress, Kind, Result, Status

Number = int | str
"""A vendor's number: a string by the table, an integer in some payloads."""

_BOM = b"\xef\xbb\xbf"
_LONGEST_TEXT = 256
_LAST_SECOND = 253402300799  # 9999-12-31T23:59:59Z, the last that a datetime holds
_LARGEST = 2**31 - 1
_RESULTS: dict[int | str, Result] = {form: result for result in Result for form in (result.value, str(result.value))}


class _StatusWire(msgspec.Struct, gc=False):
    result: Number
    callid: Number
    call_from: Number
    mobile: Number
    nationcode: Number
    start_calltime: Number
    end_calltime: Number
    accept_time: Number | None = None
    fee: Number | None = None


class _KeyWire(msgspec.Struct, gc=False):
    callid: Number
    call_from: Number
    mobile: Number
    nationcode: Number
    keypress: Number


class _FailureWire(msgspec.Struct, gc=False):
    callid: Number
    call_from: Number
    mobile: Number
    nationcode: Number
    failure_code: Number
    failure_reason: str


class _Envelope(msgspec.Struct, gc=False):
    voiceprompt_callback: _StatusWire | UnsetType = UNSET
    voicecode_callback: _StatusWire | UnsetType = UNSET
    voicekey_callback: _KeyWire | UnsetType = UNSET
    voice_failure_callback: _FailureWire | UnsetType = UNSET


CALLBACK_KEYS = _Envelope.__struct_fields__
"""The four top-level keys of the contract; a body holds exactly one."""

_decode = msgspec.json.Decoder(_Envelope).decode
_decode_any = msgspec.json.Decoder().decode


def parse(body: bytes) -> Status | KeyPress | Failure:
    """Read one callback from the bytes of one POST.

    Raises NotJson, UnknownCallback or UnfitField, all of them CallbackRejected; never anything else.
    """
    if body.startswith(_BOM):
        body = body[3:]
    try:
        envelope = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        _reject(body, error)
    prompt = envelope.voiceprompt_callback
    others = (envelope.voicecode_callback, envelope.voicekey_callback, envelope.voice_failure_callback)
    if prompt is not UNSET and others == (UNSET, UNSET, UNSET):
        return _status(Kind.PROMPT, "voiceprompt_callback", prompt)
    return _other(envelope)


def _other(envelope: _Envelope) -> Status | KeyPress | Failure:
    present = [key for key in CALLBACK_KEYS if getattr(envelope, key) is not UNSET]
    if not present:
        raise UnknownCallback(f"no callback key: one of {', '.join(CALLBACK_KEYS)} is required")
    if len(present) > 1:
        raise UnfitField(f"comes with {present[0]}, a body holds one callback", present[1])
    key = present[0]
    wire = getattr(envelope, key)
    if isinstance(wire, _KeyWire):
        return _key(key, wire)
    if isinstance(wire, _FailureWire):
        return _failure(key, wire)
    return _status(Kind.CODE, key, wire)


def _status(kind: Kind, key: str, wire: _StatusWire) -> Status:
    result = _RESULTS.get(wire.result)
    if result is None:
        raise UnfitField(f"expected 0, 1 or 2, got {_shape(wire.result)}", f"{key}.result")
    return Status(
        kind=kind,
        result=result,
        callid=_callid(key, wire.callid),
        nationcode=_text(key, "nationcode", wire.nationcode),
        mobile=_text(key, "mobile", wire.mobile),
        call_from=_text(key, "call_from", wire.call_from),
        started_at=_time(key, "start_calltime", wire.start_calltime),
        answered_at=_time(key, "accept_time", wire.accept_time),
        ended_at=_time(key, "end_calltime", wire.end_calltime),
        fee_minutes=None if wire.fee in ("", None) else _number(key, "fee", wire.fee, _LARGEST),
    )


def _key(key: str, wire: _KeyWire) -> KeyPress:
    pressed = _text(key, "keypress", wire.keypress)
    if not pressed:
        raise UnfitField("is empty", f"{key}.keypress")
    return KeyPress(
        callid=_callid(key, wire.callid),
        nationcode=_text(key, "nationcode", wire.nationcode),
        mobile=_text(key, "mobile", wire.mobile),
        call_from=_text(key, "call_from", wire.call_from),
        key=pressed,
    )


def _failure(key: str, wire: _FailureWire) -> Failure:
    return Failure(
        callid=_callid(key, wire.callid),
        nationcode=_text(key, "nationcode", wire.nationcode),
        mobile=_text(key, "mobile", wire.mobile),
        call_from=_text(key, "call_from", wire.call_from),
        code=_number(key, "failure_code", wire.failure_code, _LARGEST),
        reason=_text(key, "failure_reason", wire.failure_reason),
    )


def _callid(key: str, value: Number) -> str:
    callid = _text(key, "callid", value)
    if not callid:
        raise UnfitField("is empty", f"{key}.callid")
    if not callid.isprintable():
        raise UnfitField("holds a character that is not printable", f"{key}.callid")
    return callid


def _text(key: str, name: str, value: Number) -> str:
    text = value if type(value) is str else str(value)
    if len(text) > _LONGEST_TEXT:
        raise UnfitField(f"expected at most {_LONGEST_TEXT} characters, got {len(text)}", f"{key}.{name}")
    if "\x00" in text:
        raise UnfitField("holds a NUL character", f"{key}.{name}")
    return text


def _time(key: str, name: str, value: Number | None) -> datetime | None:
    if value in ("", "0", 0, None):
        return None
    return datetime.fromtimestamp(_number(key, name, value, _LAST_SECOND), UTC)


def _number(key: str, name: str, value: Number | None, largest: int) -> int:
    if type(value) is str and value.isascii() and value.isdigit() and len(value) <= len(str(largest)):
        value = int(value)
    if type(value) is int and 0 <= value <= largest:
        return value
    raise UnfitField(f"expected a whole number from 0 to {largest}, got {_shape(value)}", f"{key}.{name}")


def _shape(value: object) -> str:
    """Describe a value without repeating it: it may be somebody's number."""
    if isinstance(value, str):
        return f"a string of {len(value)} characters" if value else "an empty string"
    return "another number" if isinstance(value, int) else type(value).__name__


def _reject(body: bytes, error: Exception) -> NoReturn:
    """Say what the decoder met: bytes that are no JSON at all, or JSON of the wrong shape."""
    try:
        document = _decode_any(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
        raise NotJson(_why_not_json(body, cause)) from cause
    if not isinstance(document, dict):
        raise UnknownCallback(f"expected an object with a callback key, got {_json_name(document)}") from error
    if not any(key in document for key in CALLBACK_KEYS):
        raise UnknownCallback(f"no callback key: one of {', '.join(CALLBACK_KEYS)} is required") from error
    problem, _, path = str(error).partition(" - at `$.")
    path = path.removesuffix("`")
    if problem.startswith("Object missing required field"):
        raise UnfitField("required", ".".join(filter(None, [path, problem.split("`")[1]]))) from error
    problem = problem.replace("Expected", "expected").replace("`", "").replace("int | str", "a string or whole number")
    raise UnfitField(problem, path) from error


def _why_not_json(body: bytes, cause: Exception) -> str:
    if not body.strip():
        return "the body is empty"
    if isinstance(cause, UnicodeDecodeError):
        return "the body is not JSON: not UTF-8"
    if isinstance(cause, RecursionError):
        return "the body is not JSON that can be read: nested too deep"
    return f"the body is not JSON: {str(cause).removeprefix('JSON is malformed: ')}"


def _json_name(value: object) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    return names.get(type(value), "null")
