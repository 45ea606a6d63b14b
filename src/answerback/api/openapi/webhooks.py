"""What an endpoint with the format `standard` is sent; docs/relay.md tells how to check the signature.

Source of the envelope and of the headers: Standard Webhooks.
"""

from typing import Any, NamedTuple

from answerback.api.openapi.example_data import (
    CALL,
    FAILED_CALL,
    FAILURE,
    KEY,
    OVERDUE_CALL,
    PROMPT,
    REVISED,
    UNANSWERED,
    UNANSWERED_CALL,
    Record,
    told_by,
)
from answerback.domain.models import Event
from answerback.domain.webhook_payload import TYPES

_JSON = "application/json"


class _Told(NamedTuple):
    """When a webhook is sent, and one as an example."""

    words: str
    call: Record
    callback: Record | None


_OF_EVENT = {
    Event.ANSWERED: _Told("The call was answered", CALL, told_by(PROMPT)),
    Event.UNANSWERED: _Told("The call was not answered", UNANSWERED_CALL, told_by(UNANSWERED)),
    Event.FAILED: _Told("The call failed", FAILED_CALL, told_by(FAILURE, id=2, kind="failure")),
    Event.KEY_PRESSED: _Told("The callee pressed a key", CALL, told_by(KEY, id=3, kind="key")),
    Event.REVISED: _Told(
        "A second status or failure differs from the first; or, without a callback, the business said something new",
        CALL | {"fee_minutes": 2, "revisions": 1},
        told_by(REVISED, id=4),
    ),
    Event.OVERDUE: _Told("`due_at` is past, and there is no outcome", OVERDUE_CALL, None),
}
_HEADERS = {
    "webhook-id": ("the same in every attempt: keep it to make once of at least once", "dlv_17_643a0788482425e9"),
    "webhook-timestamp": ("when this attempt was made, Unix seconds", "1470197222"),
    "webhook-signature": (
        "v1, and the base64 of an HMAC-SHA256; two while a secret is being replaced",
        "v1,28G0jJ/yw37Hgju7m1SPAKwl3OcmGXZ8KudxSKSle+c=",
    ),
}
_PARAMETERS = [
    {
        "name": name,
        "in": "header",
        "required": True,
        "description": words,
        "schema": {"type": "string"},
        "example": example,
    }
    for name, (words, example) in _HEADERS.items()
]
_ANSWERS = {
    "2XX": {"description": "delivered"},
    "410": {"description": "never again: the endpoint is switched off"},
    "default": {"description": "not delivered: it is tried again, later and later, for about 23 hours"},
}

SCHEMAS: dict[str, Any] = {
    "Webhook": {
        "title": "Webhook",
        "description": "What is told of a call. Numbers are in it in full.",
        "type": "object",
        "required": ["type", "timestamp", "data"],
        "properties": {
            "type": {"enum": list(TYPES.values())},
            "timestamp": {"type": "string", "format": "date-time", "description": "when it happened"},
            "data": {
                "type": "object",
                "required": ["call", "callback"],
                "properties": {
                    "call": {"$ref": "#/components/schemas/CallView"},
                    "callback": {
                        "anyOf": [{"$ref": "#/components/schemas/CallbackView"}, {"type": "null"}],
                        "description": "what told of it; null: it is about the call itself",
                    },
                },
            },
        },
    }
}


def _post(event: Event, told: _Told) -> dict[str, Any]:
    example = {
        "type": TYPES[event],
        "timestamp": told.call["updated_at"],
        "data": {"call": told.call, "callback": told.callback},
    }
    content = {"schema": {"$ref": "#/components/schemas/Webhook"}, "examples": {event.value: {"value": example}}}
    return {
        "post": {
            "tags": ["webhooks"],
            "summary": told.words,
            "operationId": "receive" + "".join(map(str.capitalize, event.value.split("_"))),
            "security": [],
            "parameters": _PARAMETERS,
            "requestBody": {"required": True, "content": {_JSON: content}},
            "responses": _ANSWERS,
        }
    }


WEBHOOKS: dict[str, Any] = {TYPES[event]: _post(event, told) for event, told in _OF_EVENT.items()}
"""Type -> path item."""
