"""Builders and strategies that the test suites share: callbacks as values, as bytes, as received.

A test names only what it is about; the rest is one ordinary answered call.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import reduce
from pathlib import Path

from hypothesis import strategies as st

from answerback.domain.batches import CallbackBatch, encode_batch
from answerback.domain.calls import callback_fingerprint, fold
from answerback.domain.models import (
    AnyCallback,
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
from answerback.tencent.wire import KEY_BY_KIND, wire_fields
from answerback.tencent.wire import encode_callback as wire
from answerback.testing import answered as status
from answerback.testing import failure, key_press, unanswered

__all__ = ["KEY_BY_KIND", "AnyCallback", "failure", "key_press", "status", "unanswered", "wire", "wire_fields"]

ADMIN = Actor("admin")
"""Who did it, where the test is not about that."""
NIGHT = Actor("night", full_numbers=False)
"""Somebody who may not see full numbers."""

PAYLOADS = Path(__file__).parent / "payloads"

UUID1 = "d9428888-122b-11e1-b85c-61cd3cbb3210"
STARTED = datetime(2016, 8, 3, 4, 6, 36, tzinfo=UTC)
ANSWERED = STARTED + timedelta(seconds=15)
ENDED = STARTED + timedelta(seconds=25)
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
"""When an ordinary callback is received."""


def payload(name: str) -> bytes:
    """The bytes of one file of tests/payloads."""
    return (PAYLOADS / name).read_bytes()


def stream_rows(batches: Iterable[CallbackBatch]) -> list[tuple[int, bytes | None]]:
    """Batches of a stream as rows of the log without a name."""
    return [(number, encode_batch(batch)) for number, batch in enumerate(batches, 1)]


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
