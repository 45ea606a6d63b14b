"""Builders and strategies that the test suites share: callbacks as values, as bytes, as received.

A test names only what it is about; the rest is one ordinary answered call.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import reduce
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
from hypothesis import strategies as st

from answerback.domain.batches import CallbackBatch, encode_batch
from answerback.domain.calls import callback_fingerprint, fold
from answerback.domain.models import (
    Call,
    CallbackKind,
    Failure,
    KeyPress,
    ParsedCallback,
    RejectedCallback,
    Result,
    Status,
)
from answerback.ledger.admin.audit import Actor

AnyCallback: TypeAlias = Status | KeyPress | Failure

ADMIN = Actor("admin")
"""Who did it, where the test is not about that."""
NIGHT = Actor("night", full_numbers=False)
"""Somebody who may not see numbers in full."""

PAYLOADS = Path(__file__).parent / "payloads"

UUID1 = "d9428888-122b-11e1-b85c-61cd3cbb3210"
STARTED = datetime(2016, 8, 3, 4, 6, 36, tzinfo=UTC)
ANSWERED = STARTED + timedelta(seconds=15)
ENDED = STARTED + timedelta(seconds=25)
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
"""When an ordinary callback is received."""

KEYS = {
    CallbackKind.PROMPT: "voiceprompt_callback",
    CallbackKind.CODE: "voicecode_callback",
    CallbackKind.KEY: "voicekey_callback",
    CallbackKind.FAILURE: "voice_failure_callback",
}
"""The wire's word for each kind, written out: the tests do not ask the code under test."""

_STATUS = Status(
    kind=CallbackKind.PROMPT,
    result=Result.ANSWERED,
    callid=UUID1,
    nationcode="86",
    mobile="13788888888",
    call_from="",
    started_at=STARTED,
    answered_at=ANSWERED,
    ended_at=ENDED,
    fee_minutes=1,
)
_UNANSWERED = msgspec.structs.replace(_STATUS, result=Result.UNANSWERED, answered_at=None, fee_minutes=0)
_KEY = KeyPress(callid=UUID1, nationcode="86", mobile="13788888888", call_from="", key="1")
_FAILURE = Failure(callid=UUID1, nationcode="86", mobile="13788888888", call_from="", code=8, reason="空号")


def payload(name: str) -> bytes:
    """The bytes of one file of tests/payloads."""
    return (PAYLOADS / name).read_bytes()


def status(**changes: Any) -> Status:
    """An answered notification."""
    return msgspec.structs.replace(_STATUS, **changes)


def unanswered(**changes: Any) -> Status:
    """A notification that nobody answered."""
    return msgspec.structs.replace(_UNANSWERED, **changes)


def key_press(**changes: Any) -> KeyPress:
    """The callee pressed 1."""
    return msgspec.structs.replace(_KEY, **changes)


def failure(**changes: Any) -> Failure:
    """A number that is not in service."""
    return msgspec.structs.replace(_FAILURE, **changes)


def wire_fields(callback: AnyCallback) -> dict[str, Any]:
    """What stands below the callback key, as the vendor's table has it: strings, "0" for no time."""
    fields: dict[str, Any] = {name: getattr(callback, name) for name in ("call_from", "callid", "mobile", "nationcode")}
    if isinstance(callback, KeyPress):
        return fields | {"keypress": callback.key}
    if isinstance(callback, Failure):
        return fields | {"failure_code": callback.code, "failure_reason": callback.reason}
    return fields | {
        "result": str(callback.result.value),
        "accept_time": _seconds(callback.answered_at),
        "end_calltime": _seconds(callback.ended_at),
        "start_calltime": _seconds(callback.started_at),
        "fee": "" if callback.fee_minutes is None else str(callback.fee_minutes),
    }


def wire(callback: AnyCallback) -> bytes:
    """The body that says `callback`."""
    return json.dumps({KEYS[callback.kind]: wire_fields(callback)}, ensure_ascii=False).encode()


def stream_rows(batches: Iterable[CallbackBatch]) -> list[tuple[int, bytes | None]]:
    """Batches of a stream as rows of the log without a name."""
    return [(number, encode_batch(batch)) for number, batch in enumerate(batches, 1)]


def _seconds(when: datetime | None) -> str:
    return "0" if when is None else str(int(when.timestamp()))


def received(
    callback: AnyCallback, *, channel: str = "default", after_s: float = 0, raw: bytes | None = None
) -> ParsedCallback:
    """`callback` as it came in, `after_s` seconds after NOON."""
    return ParsedCallback(
        channel=channel,
        callback=callback,
        fingerprint=callback_fingerprint(channel, callback),
        raw=wire(callback) if raw is None else raw,
        received_at=NOON + timedelta(seconds=after_s),
    )


def rejected(
    raw: bytes, *, channel: str = "default", after_s: float = 0, reason: str = "the body is empty"
) -> RejectedCallback:
    """A body that was refused, `after_s` seconds after NOON."""
    received_at = NOON + timedelta(seconds=after_s)
    return RejectedCallback(channel=channel, raw=raw, result=3003, reason=reason, received_at=received_at)


def folded(items: Iterable[ParsedCallback]) -> Call:
    """The record that `items` make, in this order."""
    call = reduce(fold, items, None)
    assert call is not None
    return call


# Few distinct values each, so that callbacks agree in some fields and differ in others.

MOBILES = st.sampled_from(["13788888888", "13800000000", "13xxxxxxxxx", "+8613788888888", "", None])
NATIONCODES = st.sampled_from(["86", "852", "", None])
CALLERS = st.sampled_from(["", "4001234567", None])
TIMES = st.one_of(st.none(), st.integers(-40, 40).map(lambda s: STARTED + timedelta(seconds=s)))
WIRE_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=256)
CALLIDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=64).filter(str.isprintable)


def statuses(callids: st.SearchStrategy[str]) -> st.SearchStrategy[Status]:
    """Statuses of notifications and of codes that contradict each other."""
    return st.builds(
        Status,
        kind=st.sampled_from([CallbackKind.PROMPT, CallbackKind.CODE]),
        result=st.sampled_from(Result),
        callid=callids,
        nationcode=NATIONCODES,
        mobile=MOBILES,
        call_from=CALLERS,
        started_at=TIMES,
        answered_at=TIMES,
        ended_at=TIMES,
        fee_minutes=st.one_of(st.none(), st.integers(0, 2)),
    )


def key_presses(callids: st.SearchStrategy[str]) -> st.SearchStrategy[KeyPress]:
    """Key presses."""
    keys = st.sampled_from(["1", "2", "#", "*"])
    return st.builds(KeyPress, callid=callids, nationcode=NATIONCODES, mobile=MOBILES, call_from=CALLERS, key=keys)


def failures(callids: st.SearchStrategy[str]) -> st.SearchStrategy[Failure]:
    """Failures: of listed codes, of "other", and of codes that no table has."""
    return st.builds(
        Failure,
        callid=callids,
        nationcode=NATIONCODES,
        mobile=MOBILES,
        call_from=CALLERS,
        code=st.sampled_from([0, 5, 8, 11, 14, 99, 2**31 - 1]),
        reason=st.sampled_from(["", "空号", "其他", "其他原因", None]),
    )


def callbacks(callids: st.SearchStrategy[str]) -> st.SearchStrategy[AnyCallback]:
    """Callbacks of every kind."""
    return st.one_of(statuses(callids), key_presses(callids), failures(callids))
