"""Examples of the bodies of requests."""

import json
from typing import Any

from answerback.api.openapi.example_data import FAILURE, PROMPT, SECRET

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
    "createSignInLink": {_JSON: {"own": {}, "another": {"key": "night-shift"}}},
    "createKey": {_JSON: {"viewer": {"name": "night-shift", "role": "viewer"}}},
}
"""Operation -> media type -> name -> example."""
