"""The callback URL, which FastAPI does not serve: `answerback.intake.protocol` answers it.

Source of the bodies and of the answer: Voice Notification Status Callback, product 1128/37519, and its sibling pages.
"""

from typing import Any

from answerback.api.openapi.example_data import CODE, FAILURE, KEY, PROMPT

_JSON = "application/json"
_ANSWER = {"$ref": "#/components/schemas/CallbackAnswer"}

_TEXT = {"type": ["string", "integer"], "maxLength": 256}
_MAYBE = {"type": ["string", "integer", "null"], "maxLength": 256}
_CALLID = {"callid": _TEXT | {"minLength": 1, "description": "the call's id, as returned when it was sent"}}
_NUMBERS = {
    "call_from": _MAYBE | {"description": "the caller's number"},
    "mobile": _MAYBE | {"description": "the callee's number"},
    "nationcode": _MAYBE | {"description": "the callee's country code"},
}


def _object(needed: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(needed), "properties": needed | more}


_STATUS = _object(
    {"result": {"enum": ["0", "1", "2", 0, 1, 2], "description": "0 answered, 1 not answered, 2 call error"}} | _CALLID,
    _NUMBERS
    | {
        "start_calltime": _MAYBE | {"description": "when it started ringing, Unix seconds"},
        "end_calltime": _MAYBE | {"description": "when it ended, Unix seconds"},
        "accept_time": _MAYBE | {"description": "when it was answered, Unix seconds"},
        "fee": _MAYBE | {"description": "billed minutes"},
    },
)
_KEY_PRESS = _object(_CALLID | {"keypress": _TEXT | {"minLength": 1, "description": "the key pressed"}}, _NUMBERS)
_FAILED = _object(
    _CALLID | {"failure_code": _TEXT | {"description": "failure code, by the vendor's table"}},
    _NUMBERS
    | {"failure_reason": {"type": ["string", "null"], "description": "the vendor's description of the failure"}},
)
_FIELDS = {
    "voiceprompt_callback": _STATUS,
    "voicecode_callback": _STATUS,
    "voicekey_callback": _KEY_PRESS,
    "voice_failure_callback": _FAILED,
}

SCHEMAS: dict[str, Any] = {
    "Callback": {
        "title": "Callback",
        "description": "A callback: one of the four keys, possibly with unknown fields. Numbers may be strings, the other keys null.",
        "oneOf": [
            {"type": "object", "title": name, "required": [name], "properties": {name: fields}}
            for name, fields in _FIELDS.items()
        ],
    },
    "CallbackAnswer": {
        "title": "CallbackAnswer",
        "description": "The response to a callback, by the vendor's contract.",
        "type": "object",
        "required": ["result", "errmsg"],
        "properties": {
            "result": {"type": "integer", "description": "0: stored, or a duplicate of a stored one"},
            "errmsg": {"type": "string", "description": "OK, or the error"},
        },
    },
}


def _answered(description: str, result: int, errmsg: str, **headers: str) -> dict[str, Any]:
    example = {"value": {"result": result, "errmsg": errmsg}}
    answer: dict[str, Any] = {
        "description": description,
        "content": {_JSON: {"schema": _ANSWER, "examples": {f"result {result}": example}}},
    }
    if headers:
        answer["headers"] = {
            name.replace("_", "-"): {"description": words, "schema": {"type": "string"}}
            for name, words in headers.items()
        }
    return answer


_REFUSED = _answered("not a callback: its bytes are quarantined", 3004, "voiceprompt_callback.callid: required")
_REFUSED["content"][_JSON]["examples"] |= {
    "result 3003": {"value": {"result": 3003, "errmsg": "the body is empty"}},
    "result 1011": {"value": {"result": 1011, "errmsg": "expected an object with a callback key, got an array"}},
}
_ANSWERS = {
    "200": _answered("stored: on disk, and recorded a moment later", 0, "OK"),
    "400": _REFUSED,
    "404": _answered("no channel has this callback URL", 1019, "no channel has this callback URL"),
    "405": _answered("any method but POST", 1030, "method not allowed: use POST", Allow="POST"),
    "408": _answered("the request took too long to arrive", 3011, "the request did not arrive in time"),
    "413": _answered("the body is too large", 1036, "the body is larger than 65536 bytes"),
    "503": _answered(
        "not known to be stored: send it again",
        3002,
        "not known to be stored, try again: the inbox is full",
        Retry_After="seconds to wait before retrying",
    ),
}


def _post(operation: str, summary: str, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    examples = {"prompt": PROMPT, "code": CODE, "key": KEY, "failure": FAILURE}
    return {
        "post": {
            "tags": ["callback URL"],
            "summary": summary,
            "description": "Paste this URL into the cloud console, as the event callback of the voice application. The response is sent "
            "once the callback is safe on disk. Any Content-Type is accepted.",
            "operationId": operation,
            "security": [],
            "parameters": parameters,
            "requestBody": {
                "required": True,
                "content": {
                    _JSON: {
                        "schema": {"$ref": "#/components/schemas/Callback"},
                        "examples": {name: {"value": value} for name, value in examples.items()},
                    }
                },
            },
            "responses": _ANSWERS,
        }
    }


_TOKEN = {
    "name": "token",
    "in": "path",
    "required": True,
    "description": "the channel's secret",
    "schema": {"type": "string", "minLength": 1},
    "example": "9fHc4BnUe6TyXo1WqJ8k",
}

PATHS: dict[str, Any] = {
    "/voice/callback": _post("receiveCallback", "Callback URL of the open channel", []),
    "/voice/callback/{token}": _post("receiveCallbackOfChannel", "Callback URL of a channel with a token", [_TOKEN]),
}
"""Path -> path item."""
