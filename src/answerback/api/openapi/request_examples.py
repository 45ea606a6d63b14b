"""Examples of what is sent: bodies and parameters."""

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
    "callid": _of("the call's id, as the cloud gave it when the call was ordered; it may hold a slash", CALLID),
    "channel": _of("only of this channel", "default"),
    "mobile": _of("only calls to this number, however it is spelled: E.164, with or without its country", NUMBER),
    "outcome": _of("only calls with this outcome", "failed"),
    "kind": _of("only calls of this kind", "prompt"),
    "failure_code": _of("only calls with this failure code of the vendor's", 8),
    "reference": _of("only calls with this id of the business's", "order-42"),
    "since": _of("first seen then or later; ISO 8601, UTC where it names no zone", "2016-08-03T00:00:00+08:00"),
    "until": _of("first seen before then; ISO 8601, UTC where it names no zone", "2016-08-04T00:00:00+08:00"),
    "limit": _of("how many items a page has", 50),
    "endpoint": _of("name or id of an endpoint", "crm"),
    "state": _of("only deliveries that stand so", "dead"),
    "name": _of("name or id of a key", "night-shift"),
    "timezone": _of("whose days and hours of the clock they are", "Asia/Shanghai"),
    "range": _of("in place of since and until; 7d where none of the three is given", "7d"),
    "dataset": _of("what the file holds", "calls"),
    "format": _of("how it holds it; parquet needs the extra `parquet`", "csv"),
    "step": _of("of the trend; by default hours up to two days, and days beyond", "day"),
    **{
        (operation, name): _of(f"{words}; ISO 8601, by the clock of `timezone` where it names no zone", example)
        for operation in ("getStatistics", "getFailures", "auditFees", "exportFile")
        for name, words, example in (
            ("since", "first seen then or later", "2016-08-03"),
            ("until", "first seen before then", "2016-08-04"),
        )
    },
    ("exportFile", "timezone"): _of("by whose clock times are that name no zone", "Asia/Shanghai"),
    ("listCalls", "kind"): _of("only calls that were told of so", "prompt"),
    ("getCall", "channel"): _of("needed where two channels hold the same callid", "default"),
    ("listCallbacks", "channel"): _of("needed where two channels hold the same callid", "default"),
    ("putCall", "channel"): _of(
        "the call's channel; needed before its first callback where there are several, and where two hold the callid",
        "default",
    ),
    ("submitCallbacks", "channel"): _of("the channel that they came by", "default"),
    ("exportFile", "mobile"): _of("calls and callbacks: only of calls to this number, however it is spelled", NUMBER),
    ("exportFile", "outcome"): _of("calls and callbacks: only of calls with this outcome", "failed"),
    ("exportFile", "kind"): _of("calls, callbacks and statistics: only of calls of this kind", "prompt"),
    ("exportFile", "failure_code"): _of("calls and callbacks: only of calls with this failure code", 8),
    ("exportFile", "reference"): _of("calls and callbacks: only of calls with this id of the business's", "order-42"),
    ("exportFile", "endpoint"): _of("deliveries: name or id of an endpoint", "crm"),
    ("exportFile", "state"): _of("deliveries: only those that stand so", "dead"),
    ("exportFile", "callid"): _of("deliveries: only of this call", CALLID),
    ("getQuarantined", "id"): _of("its id, as in the list", 1),
    ("requeueQuarantined", "id"): _of("its id, as in the list", 1),
    ("deleteQuarantined", "id"): _of("its id, as in the list", 1),
    ("getDelivery", "id"): _of("its id, as in the list", 17),
    ("replayDelivery", "id"): _of("its id, as in the list", 17),
    ("getReplay", "id"): _of("its id, as told when it was begun", 1),
}
"""Name of a parameter, of one operation or of all -> what is said of it."""
