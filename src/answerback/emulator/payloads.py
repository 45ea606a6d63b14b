"""Callbacks as the cloud writes them.

Source: the request parameters of the four callback pages, product 1128; the example of
"Voice Notification Status Callback", product 1128/37519.
"""

import time
import uuid

import msgspec

from answerback.domain.models import Kind, Result
from answerback.tencent.codes import FAILURE_REASONS

_RING_S = 15
_TALK_S = 10

CALLBACK_KEYS = {
    Kind.PROMPT: "voiceprompt_callback",
    Kind.CODE: "voicecode_callback",
    Kind.KEY: "voicekey_callback",
    Kind.FAILURE: "voice_failure_callback",
}
"""The one key of a callback's JSON, by what it tells."""


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """What a callback is to tell."""

    kind: Kind = Kind.PROMPT
    result: Result = Result.ANSWERED
    callid: str | None = None
    mobile: str = "13788888888"
    nationcode: str = "86"
    key: str = "1"
    failure_code: int = 5


def write_callback(story: Story) -> bytes:
    """The body of the callback that tells `story`, about a call that ended now; a new callid where none is given."""
    fields: dict[str, object] = {
        "call_from": "",
        "callid": story.callid or str(uuid.uuid1()),
        "mobile": story.mobile,
        "nationcode": story.nationcode,
    }
    if story.kind is Kind.KEY:
        fields["keypress"] = story.key
    elif story.kind is Kind.FAILURE:
        reason = FAILURE_REASONS.get(story.failure_code)
        fields |= {"failure_code": story.failure_code, "failure_reason": reason.zh if reason else ""}
    else:
        fields |= _status_fields(story.result)
    return msgspec.json.encode({CALLBACK_KEYS[story.kind]: fields})


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
