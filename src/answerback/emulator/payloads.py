"""Callbacks as the cloud writes them.

Source: the request parameters of the four callback pages, product 1128; the example of
"Voice Notification Status Callback", product 1128/37519.
"""

import time
import uuid

import msgspec

from answerback.domain.failure_reasons import FAILURE_REASONS
from answerback.domain.models import CallbackKind, Result

_RING_S = 15
_TALK_S = 10

CALLBACK_KEYS = {
    CallbackKind.PROMPT: "voiceprompt_callback",
    CallbackKind.CODE: "voicecode_callback",
    CallbackKind.KEY: "voicekey_callback",
    CallbackKind.FAILURE: "voice_failure_callback",
}
"""The key of a callback's JSON object, by kind."""


class CallbackFields(msgspec.Struct, frozen=True, kw_only=True):
    kind: CallbackKind = CallbackKind.PROMPT
    result: Result = Result.ANSWERED
    callid: str | None = None
    mobile: str = "13788888888"
    nationcode: str = "86"
    key: str = "1"
    failure_code: int = 5


def encode_callback(callback: CallbackFields) -> bytes:
    """The body of `callback`, about a call that ends now; with a new callid if none is given."""
    fields: dict[str, object] = {
        "call_from": "",
        "callid": callback.callid or str(uuid.uuid1()),
        "mobile": callback.mobile,
        "nationcode": callback.nationcode,
    }
    if callback.kind is CallbackKind.KEY:
        fields["keypress"] = callback.key
    elif callback.kind is CallbackKind.FAILURE:
        reason = FAILURE_REASONS.get(callback.failure_code)
        fields |= {"failure_code": callback.failure_code, "failure_reason": reason.zh if reason else ""}
    else:
        fields |= _status_fields(callback.result)
    return msgspec.json.encode({CALLBACK_KEYS[callback.kind]: fields})


def _status_fields(result: Result) -> dict[str, str]:
    now = int(time.time())
    answered = result is Result.ANSWERED
    ended = now
    accepted = ended - _TALK_S if answered else 0
    return {
        "result": str(result.value),
        "accept_time": str(accepted),
        "end_calltime": str(ended),
        "fee": "1" if answered else "0",
        "start_calltime": str((accepted or ended) - _RING_S),
    }
