"""The data of all examples: one day of a small shop.

The number is the one of the vendor's documentation, the callback that of its page on voice notifications.
"""

import json
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

import msgspec

from answerback.domain.calls import fold
from answerback.domain.models import Call, RawCallback
from answerback.schemas.calls import CallView
from answerback.tencent.parsing import parse_callback

Record = dict[str, Any]

CALLID = "d9428888-122b-11e1-b85c-61cd3cbb3210"
FAILED_CALLID = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
NUMBER = "13788888888"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105  # everybody's: it is Standard Webhooks' own example

PROMPT: Record = {
    "voiceprompt_callback": {
        "result": "0",
        "accept_time": "1470197211",
        "call_from": "",
        "callid": CALLID,
        "end_calltime": "1470197221",
        "fee": "1",
        "mobile": NUMBER,
        "nationcode": "86",
        "start_calltime": "1470197196",
    }
}
UNANSWERED: Record = {
    "voiceprompt_callback": PROMPT["voiceprompt_callback"] | {"result": "1", "accept_time": "0", "fee": "0"}
}
REVISED: Record = {"voiceprompt_callback": PROMPT["voiceprompt_callback"] | {"fee": "2"}}
CODE: Record = {"voicecode_callback": PROMPT["voiceprompt_callback"]}
KEY: Record = {
    "voicekey_callback": {
        "call_from": "",
        "callid": CALLID,
        "keypress": "1",
        "mobile": NUMBER,
        "nationcode": "86",
    }
}
FAILURE: Record = {
    "voice_failure_callback": {
        "call_from": "",
        "callid": FAILED_CALLID,
        "failure_code": 8,
        "failure_reason": "空号",
        "mobile": NUMBER,
        "nationcode": "86",
    }
}


def callback_example(body: Record, **fields: Any) -> Record:
    """A callback with this body as in /v1; `fields` override its own."""
    raw = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return {
        "id": 1,
        "kind": "prompt",
        "fingerprint": "643a0788482425e9c9f5408eca55d23f",
        "received_at": "2016-08-03T04:07:01.881053Z",
        "duplicates": 0,
        "last_duplicate_at": None,
        "raw": raw,
        "raw_base64": b64encode(raw.encode()).decode(),
    } | fields


_NO_CALL = Call(
    channel="default",
    callid=CALLID,
    kind=None,
    first_seen_at=datetime(2016, 8, 3, 4, 6, 30, 846648, UTC),
    updated_at=datetime(2016, 8, 3, 4, 6, 30, 846648, UTC),
    call_from="",
)
_REGISTERED = msgspec.structs.replace(
    _NO_CALL,
    reference="order-42",
    metadata={"team": "night-shift"},
    due_at=datetime(2016, 8, 3, 4, 10, tzinfo=UTC),
)


def _call_example(call: Call, *bodies: Record) -> Record:
    """The call as in /v1, with these callbacks."""
    for body in bodies:
        raw = json.dumps(body).encode()
        call = fold(call, parse_callback(RawCallback(call.channel, raw, datetime(2016, 8, 3, 4, 7, 1, 881053, UTC))))
    return CallView.of(call, full_numbers=True).model_dump(mode="json")


CALL: Record = _call_example(_REGISTERED, KEY, PROMPT)
MASKED_CALL: Record = CALL | {"mobile": "137****8888"}
UNANSWERED_CALL: Record = _call_example(_REGISTERED, UNANSWERED)
FAILED_CALL: Record = _call_example(msgspec.structs.replace(_NO_CALL, callid=FAILED_CALLID), FAILURE)
NEW_CALL: Record = _call_example(_REGISTERED)
_OVERDUE_AT = "2016-08-03T04:10:00.512041Z"
OVERDUE_CALL: Record = NEW_CALL | {"overdue_at": _OVERDUE_AT, "updated_at": _OVERDUE_AT}
CALLBACK: Record = callback_example(PROMPT, duplicates=1, last_duplicate_at="2016-08-03T04:07:06.902117Z")
MASKED_CALLBACK: Record = CALLBACK | {
    "fingerprint": None,
    "raw": CALLBACK["raw"].replace(NUMBER, "137****8888"),
    "raw_base64": None,
}
REFUSED: Record = {
    "id": 1,
    "channel": "default",
    "result": 3004,
    "reason": "voiceprompt_callback.callid: required",
    "size_bytes": 30,
    "received_at": "2016-08-03T04:08:00.104512Z",
    "duplicates": 0,
    "last_duplicate_at": None,
}
ENDPOINT: Record = {
    "id": 1,
    "name": "crm",
    "channel": "default",
    "url": "https://crm.example.com/voice",
    "format": "standard",
    "enabled": True,
    "disabled_reason": None,
    "kinds": ["prompt", "failure"],
    "outcomes": [],
    "notify_on_update": False,
    "timeout_s": 10.0,
    "concurrency": 8,
    "certificate": None,
    "from_config": False,
    "previous_secret_expires_at": None,
    "created_at": "2016-08-03T04:00:00.000123Z",
    "updated_at": "2016-08-03T04:00:00.000123Z",
    "paused_until": None,
    "consecutive_failures": 0,
    "pending": 1,
    "blocked": 0,
    "dead": 0,
    "oldest_pending_at": "2016-08-03T04:07:01.881053Z",
}
STATUS: Record = {
    "backend": "postgresql",
    "schema_revision": "0005",
    "at": "2016-08-03T04:07:02.281053Z",
    "inbox": {"callbacks": 0, "size_bytes": 0, "lag_s": 0.0, "failure": None},
    "secrets_differ": False,
    "instances": [
        {
            "id": "5f0c2b7a91d3e468",
            "host": "voice-1",
            "pid": 811,
            "roles": ["relay", "api", "console"],
            "version": "0.6.0",
            "started_at": "2016-08-03T03:00:00.000123Z",
            "silent_s": 1.2,
            "silent": False,
            "url": "http://10.0.0.11:8000",
            "pending": 0,
            "failure": None,
            "recorder_failure": None,
            "waiting": 0,
            "recorder_lag_s": 0.0,
            "set_aside": 0,
            "endpoints": 1,
            "singleton_tasks": ["alerts", "overdue", "cleanup"],
            "stream": None,
        }
    ],
    "endpoints": [
        {
            "id": 1,
            "name": "crm",
            "channel": "default",
            "enabled": True,
            "disabled_reason": None,
            "instance": "5f0c2b7a91d3e468",
            "paused_until": None,
            "consecutive_failures": 0,
            "pending": 1,
            "blocked": 0,
            "dead": 0,
            "lag_s": 0.4,
        }
    ],
}
DELIVERY: Record = {
    "id": 17,
    "message_id": "dlv_17_643a0788482425e9",
    "endpoint": "crm",
    "channel": "default",
    "callid": CALLID,
    "callback_id": 1,
    "type": "voice.call.answered",
    "state": "delivered",
    "attempts": 2,
    "failed_attempts": 1,
    "due_at": "2016-08-03T04:07:06.991020Z",
    "created_at": "2016-08-03T04:07:01.881053Z",
    "finished_at": "2016-08-03T04:07:07.031844Z",
}
ATTEMPTS: list[Record] = [
    {
        "started_at": "2016-08-03T04:07:01.890211Z",
        "duration_ms": 10.52,
        "http_status": 503,
        "response_body": "deploying",
        "error": "answered 503 Service Unavailable",
    },
    {
        "started_at": "2016-08-03T04:07:06.991020Z",
        "duration_ms": 40.824,
        "http_status": 204,
        "response_body": "",
        "error": None,
    },
]
REPLAY: Record = {
    "id": 1,
    "endpoint": "crm",
    "scope": "dead deliveries",
    "total": 120,
    "examined": 40,
    "replayed": 40,
    "status": "running",
    "error": None,
    "started_at": "2016-08-03T05:00:00.224417Z",
}
ME: Record = {"name": "night-shift", "role": "viewer", "full_numbers": False}
API_KEY: Record = ME | {"id": 1, "created_at": "2016-08-03T03:00:00.412345Z"}
NEW_KEY = "ab_3vC9rKqg0qk2m8xJfT7yZbWd1hPnLsEuA5oGiX4QtRw"
