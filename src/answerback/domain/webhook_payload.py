"""A call and a callback as JSON, in the shape that /v1 shows them; pure.

The body of a signed webhook is `{"type": "voice.call.answered", "timestamp": …, "data": {"call": …, "callback": …}}`.
Source of the envelope: Standard Webhooks, "Payload structure".
"""

from base64 import b64encode
from datetime import datetime
from operator import attrgetter
from typing import Any

import msgspec

from answerback.domain.endpoints import EventType
from answerback.domain.models import Call, CallbackKind

CALL_FIELDS = (
    *(name for name in Call.__struct_fields__ if name not in ("annotated_at", "fingerprints")),
    "ring_seconds",
    "talk_seconds",
)
"""The fields of a call, as in /v1."""

_call_values = attrgetter(*CALL_FIELDS)


class CallbackPayload(msgspec.Struct, frozen=True, gc=False):
    """One callback as it was received, as in /v1."""

    id: int
    kind: CallbackKind
    fingerprint: str
    received_at: datetime
    duplicates: int
    last_duplicate_at: datetime | None
    raw: str
    raw_base64: str
    erased_at: datetime | None

    @classmethod
    def of(
        cls,
        id_: int,
        kind: CallbackKind,
        public_id: bytes,
        received_at: datetime,
        raw: bytes,
        duplicates: int = 0,
        last_duplicate_at: datetime | None = None,
        erased_at: datetime | None = None,
    ) -> "CallbackPayload":
        """The fields of a callback in the ledger."""
        text, exact = raw.decode("utf-8", "replace"), b64encode(raw).decode()
        return cls(id_, kind, public_id.hex(), received_at, duplicates, last_duplicate_at, text, exact, erased_at)


class _WebhookData(msgspec.Struct, frozen=True, gc=False):
    call: dict[str, Any]
    callback: CallbackPayload | None


class _Webhook(msgspec.Struct, frozen=True, gc=False):
    type: str
    timestamp: datetime
    data: _WebhookData


EVENT_TYPES = {event: f"voice.call.{event}" for event in EventType}
"""What each event is called in a webhook."""

_encode = msgspec.json.Encoder().encode


def call_fields(call: Call) -> dict[str, Any]:
    """All that is known of one call, by CALL_FIELDS."""
    return dict(zip(CALL_FIELDS, _call_values(call), strict=True))


def encode_webhook(event: EventType, happened_at: datetime, call: Call, callback: CallbackPayload | None) -> bytes:
    """The body of a webhook about `event`; `callback` is None if the event is about the call itself."""
    return _encode(_Webhook(EVENT_TYPES[event], happened_at, _WebhookData(call_fields(call), callback)))
