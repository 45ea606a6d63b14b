import time
import uuid
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from answerback.domain.calls import callback_fingerprint
from answerback.domain.failure_reasons import FAILURE_REASONS
from answerback.domain.models import CallbackKind, Failure, KeyPress, Result, Status
from answerback.emulator.payloads import CallbackFields, body_of
from answerback.tencent.callbacks import parse


@pytest.mark.parametrize("kind", [CallbackKind.PROMPT, CallbackKind.CODE])
@pytest.mark.parametrize("result", Result)
def test_a_status_holds_its_fields(kind: CallbackKind, result: Result) -> None:
    """The emulator's status of every kind and result is what the gateway reads."""
    began = datetime.fromtimestamp(int(time.time()), UTC)
    callback = parse(
        body_of(CallbackFields(kind=kind, result=result, callid="abc", mobile="13800000000", nationcode="852"))
    )
    assert isinstance(callback, Status)
    assert (callback.kind, callback.result, callback.callid) == (kind, result, "abc")
    assert (callback.mobile, callback.nationcode, callback.call_from) == ("13800000000", "852", "")
    assert callback.ended_at is not None
    assert callback.started_at is not None
    assert began <= callback.ended_at <= datetime.now(UTC)
    if result is Result.ANSWERED:
        assert callback.answered_at is not None
        assert callback.started_at < callback.answered_at < callback.ended_at
        assert callback.fee_minutes == 1
    else:
        assert callback.started_at < callback.ended_at
        assert (callback.answered_at, callback.fee_minutes) == (None, 0)


@pytest.mark.parametrize("key", ["0", "9", "*", "#"])
def test_a_key_press_holds_its_fields(key: str) -> None:
    """The emulator's key press is what the gateway reads."""
    expected = KeyPress(callid="abc", nationcode="86", mobile="13788888888", call_from="", key=key)
    assert parse(body_of(CallbackFields(kind=CallbackKind.KEY, callid="abc", key=key))) == expected


@given(st.one_of(st.sampled_from(sorted(FAILURE_REASONS)), st.integers(0, 2**31 - 1)))
def test_a_failure_holds_its_fields(code: int) -> None:
    """The emulator's failure carries the code and, where the vendor lists it, the vendor's reason."""
    reason = FAILURE_REASONS[code].zh if code in FAILURE_REASONS else ""
    expected = Failure(callid="abc", nationcode="86", mobile="13788888888", call_from="", code=code, reason=reason)
    assert parse(body_of(CallbackFields(kind=CallbackKind.FAILURE, callid="abc", failure_code=code))) == expected


@pytest.mark.parametrize("kind", CallbackKind)
def test_each_story_is_a_call_of_its_own(kind: CallbackKind) -> None:
    """Without a callid each callback has a new one, a UUIDv1 as the cloud's."""
    one, other = (parse(body_of(CallbackFields(kind=kind))) for _ in range(2))
    assert uuid.UUID(one.callid).version == uuid.UUID(other.callid).version == 1
    assert callback_fingerprint("default", one) != callback_fingerprint("default", other)
