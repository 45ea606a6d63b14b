"""The requests to send: callbacks as in the contract, and how their bytes go over the wire; pure.

Source: the request parameters of the four callback pages, product 1128; which forms of them nobody documents, and a
receiver must therefore take, is in docs/conform.md.
"""

import json
from enum import Enum, auto
from types import EllipsisType
from uuid import UUID

import msgspec

_GREGORIAN_TICKS = 0x01B21DD213814000  # of 100 ns from 1582-10-15, where UUIDv1 counts from, to 1970-01-01
_TICKS_PER_S = 10_000_000
_CALLS_PER_RULE = 1000
_MOBILE = "13788888888"

Field = str | int | None | EllipsisType | list[str] | dict[str, str]
"""A field's value as sent; `...` leaves the field out."""

EXAMPLE = b"""{
    "voiceprompt_callback": {
        "result": "0",
        "accept_time": "1470197211",
        "call_from": "",
        "callid": "xxxxxx",
        "end_calltime": "1470197221",
        "fee": "1",
        "mobile": "13xxxxxxxxx",
        "nationcode": "86",
        "start_calltime": "1470197196"
    }
}"""
"""The example of "Voice Notification Status Callback", product 1128/37519, verbatim."""


class Transport(Enum):
    """How the bytes go: at once, in chunks, in small packets, or only in part before the connection is dropped."""

    WHOLE = auto()
    CHUNKED = auto()
    PACKETS = auto()
    CUT_IN_HEAD = auto()
    CUT_IN_BODY = auto()
    CUT_IN_CHUNK = auto()


CUTS = frozenset({Transport.CUT_IN_HEAD, Transport.CUT_IN_BODY, Transport.CUT_IN_CHUNK})


class CallbackRequest(msgspec.Struct, frozen=True):
    """One request to the receiver; `content_type` None sends none, `packet_bytes` is for Transport.PACKETS."""

    body: bytes
    content_type: str | None = "application/json"
    transport: Transport = Transport.WHOLE
    method: str = "POST"
    packet_bytes: int = 16


class CallFactory:
    """The calls of one rule in one run: the same callids, times and bytes for the same `run`, a UUIDv1, and no others."""

    def __init__(self, run: UUID, rule_number: int) -> None:
        self._run = run
        self._made = rule_number * _CALLS_PER_RULE
        self._ended_s = (run.time - _GREGORIAN_TICKS) // _TICKS_PER_S

    def new(self) -> str:
        """The callid of another call, a UUIDv1 as seen in the field."""
        self._made += 1
        low = (self._run.time_low + self._made) % 2**32
        return str(UUID(fields=(low, *self._run.fields[1:])))

    def status(self, callid: Field = None, /, **fields: Field) -> bytes:
        """The status of a call that was answered 15 s after it began and lasted 10 s; `fields` replace its own."""
        return _encode("voiceprompt_callback", self._status(callid) | fields)

    def code(self, callid: Field = None, /, **fields: Field) -> bytes:
        """The same nine fields about a verification code."""
        return _encode("voicecode_callback", self._status(callid) | fields)

    def unanswered(self, callid: Field = None, /, **fields: Field) -> bytes:
        """The status of a call that nobody answered."""
        defaults: dict[str, Field] = {"result": "1", "accept_time": "0", "fee": "0"}
        return self.status(callid, **(defaults | fields))

    def key_press(self, callid: Field = None, /, **fields: Field) -> bytes:
        """A key press of the callee: 1, unless `fields` say otherwise."""
        return _encode("voicekey_callback", self._call(callid) | {"keypress": "1"} | fields)

    def failure(self, callid: Field = None, /, **fields: Field) -> bytes:
        """A failure to deliver a call: unanswered, unless `fields` give another reason."""
        defaults: dict[str, Field] = {"failure_code": 5, "failure_reason": "无人接听"}
        return _encode("voice_failure_callback", self._call(callid) | defaults | fields)

    def _status(self, callid: Field) -> dict[str, Field]:
        return self._call(callid) | {
            "result": "0",
            "start_calltime": str(self._ended_s - 25),
            "accept_time": str(self._ended_s - 10),
            "end_calltime": str(self._ended_s),
            "fee": "1",
        }

    def _call(self, callid: Field) -> dict[str, Field]:
        return {
            "call_from": "",
            "callid": self.new() if callid is None else callid,
            "mobile": _MOBILE,
            "nationcode": "86",
        }


def _encode(key: str, fields: dict[str, Field]) -> bytes:
    kept = {name: value for name, value in fields.items() if value is not ...}
    return json.dumps({key: kept}, ensure_ascii=False, separators=(",", ":")).encode()


def pretty(body: bytes) -> bytes:
    """The same JSON over many lines, which end as on Windows."""
    return json.dumps(json.loads(body), ensure_ascii=False, indent=4).replace("\n", "\r\n").encode()


def escaped(body: bytes) -> bytes:
    r"""The same JSON with `\u` escapes in a field's name and at the beginning of a value."""
    return body.replace(b'"callid"', rb'"\u0063allid"').replace(b'"mobile":"1', rb'"mobile":"\u0031')


def padded(body: bytes, size_bytes: int) -> bytes:
    """The same callback with a field more that makes it this large."""
    document = json.loads(body)
    (fields,) = document.values()
    fields["padding"] = "x" * size_bytes
    return json.dumps(document, ensure_ascii=False).encode()


def ints(body: bytes) -> bytes:
    """The same callback with integers for all strings of digits."""
    document = json.loads(body)
    ((key, fields),) = document.items()
    converted = {name: int(value) if str(value).isdigit() else value for name, value in fields.items()}
    return json.dumps({key: converted}, ensure_ascii=False).encode()
