"""A call and a callback as JSON, in the shape that /v1 shows them; pure.

The body of a signed webhook is `{"type": "voice.call.answered", "timestamp": …, "data": {"call": …, "callback": …}}`.
Source of the envelope: Standard Webhooks, "Payload structure".
"""

from base64 import b64encode
from datetime import datetime

import msgspec

from answerback.domain.endpoints import EventType
from answerback.domain.models import Call, CallbackKind, Outcome


class CallPayload(msgspec.Struct, frozen=True, gc=False):
    """All that is known of one call, as in /v1."""

    callid: str
    channel: str
    kind: CallbackKind | None
    mobile: str | None
    nationcode: str | None
    call_from: str | None
    outcome: Outcome
    result: int | None
    started_at: datetime | None
    answered_at: datetime | None
    ended_at: datetime | None
    ring_seconds: int | None
    talk_seconds: int | None
    fee_minutes: int | None
    failure_code: int | None
    failure_reason: str | None
    keys: tuple[str, ...]
    keys_total: int
    reference: str | None
    metadata: dict[str, object] | None
    due_at: datetime | None
    overdue_at: datetime | None
    revisions: int
    first_seen_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, call: Call) -> "CallPayload":
        """The fields of `call`."""
        return cls(*[getattr(call, name) for name in cls.__struct_fields__])


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
    ) -> "CallbackPayload":
        """The fields of a callback in the ledger."""
        text, exact = raw.decode("utf-8", "replace"), b64encode(raw).decode()
        return cls(id_, kind, public_id.hex(), received_at, duplicates, last_duplicate_at, text, exact)


class _WebhookData(msgspec.Struct, frozen=True, gc=False):
    call: CallPayload
    callback: CallbackPayload | None


class _Webhook(msgspec.Struct, frozen=True, gc=False):
    type: str
    timestamp: datetime
    data: _WebhookData


EVENT_TYPES = {event: f"voice.call.{event}" for event in EventType}
"""What each event is called in a webhook."""

_encode = msgspec.json.Encoder().encode


def encode_webhook(event: EventType, happened_at: datetime, call: Call, callback: CallbackPayload | None) -> bytes:
    """The body of a webhook about `event`; `callback` is None if the event is about the call itself."""
    return _encode(_Webhook(EVENT_TYPES[event], happened_at, _WebhookData(CallPayload.of(call), callback)))
