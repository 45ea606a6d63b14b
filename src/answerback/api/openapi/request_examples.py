"""Examples of requests: bodies and parameters."""

import json
from typing import Any

from answerback.api.openapi.example_data import CALLID, FAILURE, NUMBER, PROMPT, SECRET

_JSON = "application/json"
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
    "createKey": {_JSON: {"viewer": {"name": "night-shift", "role": "viewer"}}},
}
"""Operation -> media type -> name -> example."""


def _of(description: str, *examples: Any) -> dict[str, Any]:
    return {"description": description} | ({"example": examples[0]} if examples else {})


PARAMETERS: dict[str | tuple[str, str], dict[str, Any]] = {
    "callid": _of("the call's id, as returned when it was sent; may contain a slash", CALLID),
    "channel": _of("only this channel", "default"),
    "mobile": _of("only calls to this number, in any notation: E.164, with or without the country code", NUMBER),
    "outcome": _of("only calls with this outcome", "failed"),
    "kind": _of("only calls of this kind", "prompt"),
    "failure_code": _of("only calls with this failure code of the vendor", 8),
    "reference": _of("only calls with this reference", "order-42"),
    "since": _of(
        "first seen at this time or later; ISO 8601, UTC if it names no time zone", "2016-08-03T00:00:00+08:00"
    ),
    "until": _of("first seen before this time; ISO 8601, UTC if it names no time zone", "2016-08-04T00:00:00+08:00"),
    "limit": _of("maximum number of items on a page", 50),
    "endpoint": _of("name or id of an endpoint", "crm"),
    "state": _of("only deliveries in this state", "dead"),
    "name": _of("name or id of a key", "night-shift"),
    "timezone": _of("time zone of days and hours", "Asia/Shanghai"),
    "range": _of("in place of since and until; 7d by default", "7d"),
    "dataset": _of("what to export", "calls"),
    "format": _of("file format; parquet needs the extra `parquet`", "csv"),
    "step": _of("bucket of the trend; by default hours up to two days, days beyond", "day"),
    **{
        (operation, name): _of(f"{words}; ISO 8601, in `timezone` if it names no time zone", example)
        for operation in ("getStatistics", "getFailures", "auditFees", "exportFile")
        for name, words, example in (
            ("since", "first seen at this time or later", "2016-08-03"),
            ("until", "first seen before this time", "2016-08-04"),
        )
    },
    ("exportFile", "timezone"): _of("time zone of times that name none", "Asia/Shanghai"),
    ("listCalls", "kind"): _of("only calls described by this kind of callback", "prompt"),
    ("getCall", "channel"): _of("required if several channels have this callid", "default"),
    ("listCallbacks", "channel"): _of("required if several channels have this callid", "default"),
    ("putCall", "channel"): _of(
        "the call's channel; required before its first callback if there are several channels, or if several have the callid",
        "default",
    ),
    ("submitCallbacks", "channel"): _of("the channel of the callbacks", "default"),
    ("exportFile", "mobile"): _of("calls and callbacks: only calls to this number, in any notation", NUMBER),
    ("exportFile", "outcome"): _of("calls and callbacks: only calls with this outcome", "failed"),
    ("exportFile", "kind"): _of("calls, callbacks and statistics: only calls of this kind", "prompt"),
    ("exportFile", "failure_code"): _of("calls and callbacks: only calls with this failure code", 8),
    ("exportFile", "reference"): _of("calls and callbacks: only calls with this reference", "order-42"),
    ("exportFile", "endpoint"): _of("deliveries: name or id of an endpoint", "crm"),
    ("exportFile", "state"): _of("deliveries: only in this state", "dead"),
    ("exportFile", "callid"): _of("deliveries: only those of this call", CALLID),
    ("getQuarantined", "id"): _of("the id, as in the list", 1),
    ("requeueQuarantined", "id"): _of("the id, as in the list", 1),
    ("deleteQuarantined", "id"): _of("the id, as in the list", 1),
    ("getDelivery", "id"): _of("the id, as in the list", 17),
    ("replayDelivery", "id"): _of("the id, as in the list", 17),
    ("getReplay", "id"): _of("the id, as returned when it was started", 1),
}
"""Name of a parameter, of one operation or of all -> description and example."""
