"""The webhooks of the format `standard`; docs/relay.md describes how to check the signature.

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
    callback_example,
)
from answerback.domain.endpoints import EventType
from answerback.domain.webhook_payload import EVENT_TYPES
from answerback.schemas.webhooks import VoiceEvent

_JSON = "application/json"


class _WebhookExample(NamedTuple):
    """When a webhook is sent, with an example."""

    words: str
    call: Record
    callback: Record | None


_OF_EVENT = {
    EventType.ANSWERED: _WebhookExample("The call was answered", CALL, callback_example(PROMPT)),
    EventType.UNANSWERED: _WebhookExample("The call was not answered", UNANSWERED_CALL, callback_example(UNANSWERED)),
    EventType.FAILED: _WebhookExample("The call failed", FAILED_CALL, callback_example(FAILURE, id=2, kind="failure")),
    EventType.KEY_PRESSED: _WebhookExample("The callee pressed a key", CALL, callback_example(KEY, id=3, kind="key")),
    EventType.REVISED: _WebhookExample(
        "A second status or failure differs from the first; or, without a callback, the call's annotation changed",
        CALL | {"fee_minutes": 2, "revisions": 1},
        callback_example(REVISED, id=4),
    ),
    EventType.OVERDUE: _WebhookExample("`due_at` is past, and there is no outcome", OVERDUE_CALL, None),
}
_HEADERS = {
    "webhook-id": ("the same in every attempt: use it to drop duplicates", "dlv_17_643a0788482425e9"),
    "webhook-timestamp": ("when this attempt was made, Unix seconds", "1470197222"),
    "webhook-signature": (
        "v1, and the base64 of an HMAC-SHA256; two while a secret is being rotated",
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
    "410": {"description": "the endpoint is disabled, no more events are sent"},
    "default": {"description": "not delivered: it is retried with growing delays, for about 23 hours"},
}

_whole = VoiceEvent.model_json_schema(ref_template="#/components/schemas/{model}")

SCHEMAS: dict[str, Any] = {"VoiceEventData": _whole.pop("$defs")["VoiceEventData"], "VoiceEvent": _whole}


def _post(event: EventType, webhook: _WebhookExample) -> dict[str, Any]:
    example = {
        "type": EVENT_TYPES[event],
        "timestamp": webhook.call["updated_at"],
        "data": {"call": webhook.call, "callback": webhook.callback},
    }
    content = {"schema": {"$ref": "#/components/schemas/VoiceEvent"}, "examples": {event.value: {"value": example}}}
    return {
        "post": {
            "tags": ["webhooks"],
            "summary": webhook.words,
            "operationId": "receive" + "".join(map(str.capitalize, event.value.split("_"))),
            "security": [],
            "parameters": _PARAMETERS,
            "requestBody": {"required": True, "content": {_JSON: content}},
            "responses": _ANSWERS,
        }
    }


WEBHOOKS: dict[str, Any] = {EVENT_TYPES[event]: _post(event, webhook) for event, webhook in _OF_EVENT.items()}
"""Type -> path item."""
