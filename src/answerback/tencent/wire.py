"""A typed `Callback` -> the bytes that the cloud would send.

Source: the request parameters of the four callback pages, product 1128.
"""

from datetime import datetime
from typing import Any

import msgspec

from answerback.domain.models import AnyCallback, CallbackKind, Failure, KeyPress

KEY_BY_KIND = {
    CallbackKind.PROMPT: "voiceprompt_callback",
    CallbackKind.CODE: "voicecode_callback",
    CallbackKind.KEY: "voicekey_callback",
    CallbackKind.FAILURE: "voice_failure_callback",
}
"""The key of a callback's JSON object, by kind."""


def encode_callback(callback: AnyCallback) -> bytes:
    """The body of the POST that says `callback`."""
    return msgspec.json.encode({KEY_BY_KIND[callback.kind]: wire_fields(callback)})


def wire_fields(callback: AnyCallback) -> dict[str, Any]:
    """What stands below the callback key, as the vendor's tables have it: strings, "0" for no time."""
    fields: dict[str, Any] = {
        "call_from": callback.call_from,
        "callid": callback.callid,
        "mobile": callback.mobile,
        "nationcode": callback.nationcode,
    }
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


def _seconds(when: datetime | None) -> str:
    return "0" if when is None else str(int(when.timestamp()))
