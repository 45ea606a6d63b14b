"""Callbacks as the cloud writes them.

Source: the request parameters of the four callback pages, product 1128; the example of
"Voice Notification Status Callback", product 1128/37519.
"""

import uuid
from datetime import UTC, datetime, timedelta

import msgspec

from answerback.domain.failure_reasons import FAILURE_REASONS
from answerback.domain.models import CallbackKind, Failure, KeyPress, Result, Status
from answerback.tencent.wire import encode_callback

_RING = timedelta(seconds=15)
_TALK = timedelta(seconds=10)


class CallbackFields(msgspec.Struct, frozen=True, kw_only=True):
    kind: CallbackKind = CallbackKind.PROMPT
    result: Result = Result.ANSWERED
    callid: str | None = None
    mobile: str = "13788888888"
    nationcode: str = "86"
    key: str = "1"
    failure_code: int = 5


def body_of(callback: CallbackFields) -> bytes:
    """The body of `callback`, about a call that ends now; with a new callid if none is given."""
    callid, nationcode, mobile = callback.callid or str(uuid.uuid1()), callback.nationcode, callback.mobile
    if callback.kind is CallbackKind.KEY:
        pressed = KeyPress(callid=callid, nationcode=nationcode, mobile=mobile, call_from="", key=callback.key)
        return encode_callback(pressed)
    if callback.kind is CallbackKind.FAILURE:
        code, reason = callback.failure_code, FAILURE_REASONS.get(callback.failure_code)
        words = reason.zh if reason else ""
        failure = Failure(callid=callid, nationcode=nationcode, mobile=mobile, call_from="", code=code, reason=words)
        return encode_callback(failure)
    ended_at = datetime.now(UTC)
    answered_at = ended_at - _TALK if callback.result is Result.ANSWERED else None
    return encode_callback(
        Status(
            kind=callback.kind,
            result=callback.result,
            callid=callid,
            nationcode=nationcode,
            mobile=mobile,
            call_from="",
            started_at=(answered_at or ended_at) - _RING,
            answered_at=answered_at,
            ended_at=ended_at,
            fee_minutes=1 if answered_at else 0,
        )
    )
