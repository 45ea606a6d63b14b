"""The data of all examples: one day of a small shop.

The number is the one of the vendor's documentation, the callback that of its page on voice notifications.
"""

import json
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any, get_args, get_origin

import msgspec
from pydantic.fields import FieldInfo

from answerback.domain.calls import fold
from answerback.domain.models import Call, RawCallback
from answerback.schemas.alerts import AlertView
from answerback.schemas.callbacks import CallbackView, QuarantinedView
from answerback.schemas.calls import CallView
from answerback.schemas.cluster import EndpointAssignmentView, InstanceView, StatusView
from answerback.schemas.deliveries import AttemptView, DeliveryView, ReplayView
from answerback.schemas.endpoints import EndpointView
from answerback.schemas.erasures import ErasureView
from answerback.schemas.keys import AuditEventView, CreatedKeyView, CurrentKeyView, KeyView
from answerback.schemas.view import View
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
    "voicekey_callback": {"call_from": "", "callid": CALLID, "keypress": "1", "mobile": NUMBER, "nationcode": "86"}
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


_AT = "2016-08-03T04:07:01.881053Z"
_BY_NAME = {"id": 1, "channel": "default", "callid": CALLID, "endpoint": "crm"}
_BY_TYPE: dict[Any, Any] = {bool: False, int: 0, float: 0.0, str: "", datetime: _AT}


def example(view: type[View], **own: Any) -> Record:
    """A record of `view`: a field that is not in `own` has the example of its description, or is null, empty or nought."""
    values = {
        name: own[name] if name in own else _field_example(name, field) for name, field in view.model_fields.items()
    }
    return view.model_validate(values).model_dump(mode="json")


def _field_example(name: str, field: FieldInfo) -> Any:
    if field.examples or name in _BY_NAME:
        return field.examples[0] if field.examples else _BY_NAME[name]
    if type(None) in get_args(field.annotation):
        return None
    return [] if get_origin(field.annotation) is list else _BY_TYPE[field.annotation]


def callback_example(body: Record, **fields: Any) -> Record:
    """A callback with this body as in /v1; `fields` override its own."""
    raw = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    own = {"kind": "prompt", "fingerprint": "643a0788482425e9c9f5408eca55d23f", "raw": raw}
    return example(CallbackView, **own | {"raw_base64": b64encode(raw.encode()).decode()} | fields)


_NO_CALL = Call(
    channel="default",
    callid=CALLID,
    kind=None,
    first_seen_at=datetime(2016, 8, 3, 4, 6, 30, 846648, UTC),
    updated_at=datetime(2016, 8, 3, 4, 6, 30, 846648, UTC),
    call_from="",
)
_REGISTERED = msgspec.structs.replace(
    _NO_CALL, reference="order-42", metadata={"team": "night-shift"}, due_at=datetime(2016, 8, 3, 4, 10, tzinfo=UTC)
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
REFUSED: Record = example(QuarantinedView, result=3004, reason="voiceprompt_callback.callid: required", size_bytes=30)
_LOAD = {"enabled": True, "pending": 1}
ENDPOINT: Record = example(
    EndpointView,
    **_LOAD,
    format="standard",
    kinds=["prompt", "failure"],
    timeout_s=10.0,
    concurrency=8,
    oldest_pending_at=_AT,
)
STATUS: Record = example(
    StatusView,
    at=_AT,
    instances=[example(InstanceView, pid=811, pending=0, set_aside=0, endpoints=1)],
    endpoints=[example(EndpointAssignmentView, **_LOAD, instance="5f0c2b7a91d3e468")],
)
DELIVERY: Record = example(
    DeliveryView, id=17, callback_id=1, state="delivered", attempts=2, failed_attempts=1, due_at=_AT, finished_at=_AT
)
ATTEMPTS: list[Record] = [
    example(
        AttemptView,
        duration_ms=10.52,
        http_status=503,
        response_body="deploying",
        error="answered 503 Service Unavailable",
    ),
    example(AttemptView, started_at="2016-08-03T04:07:06.991020Z", duration_ms=40.824, http_status=204),
]
REPLAY: Record = example(ReplayView, scope="dead deliveries", total=120, examined=40, replayed=40, status="running")
ME: Record = example(CurrentKeyView, role="viewer")
ERASURE: Record = example(ErasureView, failure=None, finished_at=_AT)
API_KEY: Record = example(KeyView, role="viewer")
NEW_KEY: Record = example(CreatedKeyView, role="viewer")
ALERT: Record = example(AlertView, firing=True, since=_AT, notified_at=_AT, error=None)
AUDIT_EVENT: Record = example(AuditEventView)

_RANGE: Record = {"since": "2016-08-02T16:00:00Z", "until": "2016-08-03T16:00:00Z"}
_COUNTS: Record = {
    "calls": 100,
    "answered": 72,
    "unanswered": 18,
    "failed": 8,
    "pending": 2,
    "answer_rate": 0.7346938775510204,
}
_BILLED: Record = _COUNTS | {"fee_minutes": 75}
_ANSWERED: Record = {"calls": 1, "answered": 1, "unanswered": 0, "failed": 0, "pending": 0, "answer_rate": 1.0}
_CODES: list[Record] = [
    {"code": 8, "reason": "空号", "reason_en": "number not in service", "calls": 6, "share": 0.75},
    {"code": 1, "reason": "关机", "reason_en": "powered off", "calls": 2, "share": 0.25},
]
_FEES: Record = {"billed_minutes": 75, "due_minutes": 74, "mismatched_calls": 1, "overbilled_minutes": 1}

STATISTICS: Record = _RANGE | {
    "timezone": "Asia/Shanghai",
    "total": _BILLED,
    "ring_seconds": {"calls": 90, "mean": 14.2, "p50": 12, "p90": 31},
    "talk_seconds": {"calls": 72, "mean": 22.875, "p50": 19, "p90": 48},
    "overdue": 1,
    "ingest": {"callbacks": 131, "duplicates": 4, "revisions": 0, "quarantined": 1},
    "fees": _FEES,
    "trend": [_BILLED | {"at": _RANGE["since"]}],
    "by_hour_of_day": [_ANSWERED | {"weekday": "wednesday", "hour": 12}],
    "kinds": [_BILLED | {"kind": "prompt"}],
    "channels": [_BILLED | {"channel": "default"}],
    "carriers": [_COUNTS | {"carrier": "China Mobile", "carrier_zh": "中国移动"}],
    "regions": [_COUNTS | {"region": "CN-GD", "region_en": "Guangdong", "region_zh": "广东"}],
    "failures": _CODES,
}
FAILURES: Record = _RANGE | {"calls": 100, "items": _CODES}
_BILLED_TWICE: dict[str, Any] = CALL | {"fee_minutes": 2, "due_minutes": 1, "overbilled_minutes": 1}
FEES: Record = _RANGE | _FEES | {"items": [_BILLED_TWICE], "next_cursor": None}
