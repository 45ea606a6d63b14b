"""Examples of requests and of responses, by operation."""

import json
from typing import Any

from answerback.api.openapi.example_data import (
    ALERT,
    API_KEY,
    ATTEMPTS,
    AUDIT_EVENT,
    CALL,
    CALLBACK,
    CALLID,
    DELIVERY,
    ENDPOINT,
    ERASURE,
    FAILED_CALL,
    FAILURE,
    FAILURES,
    FEES,
    MASKED_CALL,
    MASKED_CALLBACK,
    ME,
    NEW_CALL,
    NEW_KEY,
    PROMPT,
    REFUSED,
    REPLAY,
    SECRET,
    STATISTICS,
    STATUS,
)

_JSON = "application/json"
_CURSOR = "1470196790846648.1"
_REFUSED_BODY = '{"voiceprompt_callback":{}}'
_SECRET_TOO = ENDPOINT | {"pending": 0, "oldest_pending_at": None, "secret": SECRET}
_TEST_RESPONSE = {
    "http_status": 204,
    "headers": [["Date", "Wed, 03 Aug 2016 04:07:01 GMT"]],
    "body": "",
    "answered_ms": 40.2,
}
_TEST_RESULT = {
    "delivered": True,
    "error": None,
    "started_at": "2016-08-03T04:07:01Z",
    "duration_ms": 40.824,
    "request": {
        "method": "POST",
        "url": ENDPOINT["url"],
        "headers": [["Content-Type", "application/json"], ["Authorization", "…"]],
        "body": "{}",
    },
    "response": _TEST_RESPONSE,
}
_OFF = ENDPOINT | {"enabled": False, "disabled_reason": "disabled"}
_AMBIGUOUS = {
    "detail": f"several channels have the callid {CALLID}: name one of alerts, codes",
    "channels": ["alerts", "codes"],
}
_LINES = {
    "items": [
        {"line": 1, "result": 0, "errmsg": "OK"},
        {"line": 2, "result": 3004, "errmsg": "voice_failure_callback.callid: required"},
    ],
    "accepted": 1,
    "refused": 1,
    "unavailable": 0,
}


def _page(*items: Any, cursor: str | None = None) -> dict[str, Any]:
    return {"items": list(items), "next_cursor": cursor}


_EXAMPLES: dict[tuple[str, int], dict[str, Any]] = {
    ("submitCallbacks", 200): {"one": {"result": 0, "errmsg": "OK"}, "many": _LINES},
    ("submitCallbacks", 400): {"refused": {"result": 3004, "errmsg": "voiceprompt_callback.callid: required"}},
    ("submitCallbacks", 413): {"large": {"result": 1036, "errmsg": "the body is larger than 33554432 bytes"}},
    ("listCalls", 200): {"masked": _page(MASKED_CALL, cursor=_CURSOR), "full": _page(CALL, FAILED_CALL)},
    ("getCall", 200): {"answered": CALL, "failed": FAILED_CALL, "masked": MASKED_CALL},
    ("getCall", 409): {"ambiguous": _AMBIGUOUS},
    ("putCall", 200): {"known": CALL},
    ("putCall", 201): {"new": NEW_CALL},
    ("putCall", 409): {"ambiguous": _AMBIGUOUS},
    ("listCallbacks", 200): {"full": _page(CALLBACK), "masked": _page(MASKED_CALLBACK)},
    ("listCallbacks", 409): {"ambiguous": _AMBIGUOUS},
    ("listQuarantined", 200): {"page": _page(REFUSED)},
    ("getQuarantined", 200): {"masked": REFUSED | {"raw": _REFUSED_BODY, "raw_base64": None}},
    ("requeueQuarantined", 200): {
        "taken": {"id": 1, "disposition": "stored", "reason": None},
        "refused": {"id": 1, "disposition": None, "reason": REFUSED["reason"]},
    },
    ("getStatistics", 200): {"day": STATISTICS},
    ("getFailures", 200): {"day": FAILURES},
    ("auditFees", 200): {"day": FEES},
    ("listEndpoints", 200): {"all": _page(ENDPOINT)},
    ("addEndpoint", 201): {"added": _SECRET_TOO},
    ("addEndpoint", 409): {"taken": {"detail": "name: there is an endpoint crm already"}},
    ("getEndpoint", 200): {"crm": ENDPOINT},
    ("changeEndpoint", 200): {"slower": ENDPOINT | {"timeout_s": 20.0}},
    ("enableEndpoint", 200): {"on": ENDPOINT},
    ("disableEndpoint", 200): {"off": _OFF},
    ("rotateSecret", 200): {
        "rotated": ENDPOINT | {"previous_secret_expires_at": "2016-08-04T04:07:00Z", "secret": SECRET}
    },
    ("testEndpoint", 200): {
        "delivered": _TEST_RESULT,
        "refused": _TEST_RESULT
        | {"delivered": False, "error": "answered 401 Unauthorized", "response": _TEST_RESPONSE | {"http_status": 401}},
    },
    ("listDeliveries", 200): {"page": _page(DELIVERY)},
    ("getDelivery", 200): {"delivered": DELIVERY | {"attempt_log": ATTEMPTS}},
    ("replayDelivery", 202): {"again": DELIVERY | {"state": "pending", "finished_at": None}},
    ("startReplay", 202): {"begun": REPLAY | {"examined": 0, "replayed": 0}},
    ("getReplay", 200): {"under way": REPLAY, "done": REPLAY | {"status": "done", "examined": 120, "replayed": 120}},
    ("createErasure", 202): {"asked": ERASURE | {"state": "erasing", "erased": {}, "finished_at": None}},
    ("getErasure", 200): {"done": ERASURE},
    ("getMe", 200): {"viewer": ME},
    ("listKeys", 200): {"all": _page(API_KEY)},
    ("createKey", 201): {"made": NEW_KEY},
    ("createKey", 409): {
        "taken": {"detail": "name: there is a key night-shift already; revoke it first, or choose another name"}
    },
    ("createSignInLink", 201): {
        "another": {
            "key": "night-shift",
            "url": "https://voice.example.com/console/sign-in/link#once.night-shift.7.1470197826.t0Pn…",
            "expires_at": "2016-08-03T04:17:06Z",
        }
    },
    ("listAuditEvents", 200): {"page": _page(AUDIT_EVENT)},
    ("listAlerts", 200): {"firing": _page(ALERT)},
    ("getStatus", 200): {"one": STATUS},
}

_ATTEMPT_ACTIVITY = {
    "cursor": "17-4",
    "at": "2016-08-03T04:07:02Z",
    "channel": "default",
    "callid": CALLID,
    "mobile": "137****8888",
    "outcome": "answered",
    "type": "attempt",
    "id": 4,
    "delivery_id": 12,
    "endpoint": "crm",
    "event": "voice.call.answered",
    "http_status": 200,
    "duration_ms": 12.5,
    "error": None,
}

RESPONSE_EXAMPLES: dict[tuple[str, int], dict[str, dict[str, Any]]] = {
    **{answer: {_JSON: examples} for answer, examples in _EXAMPLES.items()},
    ("exportFile", 200): {
        "text/csv": {"calls": f"\ufeffcallid,channel\r\n{CALLID},default\r\n"},
        "application/x-ndjson": {"calls": f'{{"callid":"{CALLID}","channel":"default"}}\n'},
    },
    ("streamEvents", 200): {
        "text/event-stream": {"attempt": f"id: 17-4\nevent: attempt\ndata: {json.dumps(_ATTEMPT_ACTIVITY)}\n\n"}
    },
}
"""Operation and status -> media type -> name -> example."""

_NDJSON = "\n".join(json.dumps(callback, ensure_ascii=False) for callback in (PROMPT, FAILURE)) + "\n"
_ENDPOINT = {"name": "crm", "url": "https://crm.example.com/voice", "kinds": ["prompt", "failure"]}

REQUEST_EXAMPLES: dict[str, dict[str, dict[str, Any]]] = {
    "submitCallbacks": {_JSON: {"one": PROMPT}, "application/x-ndjson": {"many": _NDJSON}},
    "putCall": {
        _JSON: {
            "reference": {
                "reference": "order-42",
                "metadata": {"team": "night-shift"},
                "due_at": "2016-08-03T04:10:00Z",
            },
            "take back": {"due_at": None},
        }
    },
    "addEndpoint": {_JSON: {"standard": _ENDPOINT, "tencent": _ENDPOINT | {"name": "legacy", "format": "tencent"}}},
    "changeEndpoint": {_JSON: {"slower": {"timeout_s": 20}, "all kinds": {"kinds": []}}},
    "rotateSecret": {_JSON: {"made": {}, "brought along": {"secret": SECRET}}},
    "startReplay": {
        _JSON: {
            "dead": {"endpoint": "crm", "dead": True},
            "calls": {"endpoint": "crm", "since": "2016-08-03T00:00:00+08:00", "outcome": "failed"},
        }
    },
    "createSignInLink": {_JSON: {"own": {}, "another": {"key": "night-shift"}}},
    "createErasure": {_JSON: {"international": {"number": "+8613788888888"}, "of China": {"number": "137 8888 8888"}}},
    "createKey": {_JSON: {"viewer": {"name": "night-shift", "role": "viewer"}}},
}
"""Operation -> media type -> name -> example."""
