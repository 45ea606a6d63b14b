"""The shapes that a reader sees, in JSON: the same from the API and from the command line.

Times are ISO 8601 in UTC. Numbers are masked unless the reader may see them in full.
"""

import json
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from answerback.domain.delivery_states import mask_message_id
from answerback.domain.masking import mask_fields, mask_json, mask_urls
from answerback.domain.models import (
    MAX_KEYS,
    ApiKey,
    Attempt,
    Call,
    CallbackKind,
    Delivery,
    DeliveryState,
    Endpoint,
    Outcome,
    PayloadFormat,
    Role,
)
from answerback.domain.phone_numbers import mask_text
from answerback.domain.statistics import due_minutes
from answerback.domain.webhook_payload import EVENT_TYPES
from answerback.ledger import QuarantineItem, StoredCallback
from answerback.ledger.admin.audit import AuditEvent
from answerback.ledger.commands import RequeueResult
from answerback.ledger.read.deliveries import MAX_ATTEMPTS, ActivityEvent, DeliveryBacklog
from answerback.relay.replays import Replay
from answerback.relay.sender import AttemptResult
from answerback.tencent.callbacks import extract_fields

T = TypeVar("T")


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class CallView(_View):
    """All that is known of one call."""

    callid: str = Field(examples=["d9428888-122b-11e1-b85c-61cd3cbb3210"])
    channel: str = Field(examples=["default"])
    kind: CallbackKind | None = Field(
        description="what told of the call: a status of a prompt or a code; else a failure, else a key; null: only you"
    )
    mobile: str | None = Field(examples=["13788888888"], description="null: no callback tells it; so with the next two")
    nationcode: str | None = Field(examples=["86"])
    call_from: str | None
    outcome: Outcome
    result: int | None = Field(
        description="the vendor's: 0 answered, 1 not answered, 2 call error; null: no status yet"
    )
    started_at: datetime | None
    answered_at: datetime | None
    ended_at: datetime | None
    ring_seconds: int | None = Field(description="until the answer, or to the end of an unanswered call")
    talk_seconds: int | None
    fee_minutes: int | None = Field(description="billed minutes, as the vendor says")
    failure_code: int | None
    failure_reason: str | None
    keys: list[str] = Field(description=f"the different keys pressed, the first {MAX_KEYS} in order of arrival")
    keys_total: int = Field(description="key presses in all, whether they are in keys or not")
    reference: str | None = Field(description="the business's own id of the call")
    metadata: dict[str, Any] | None
    due_at: datetime | None = Field(description="when the business expects an outcome")
    overdue_at: datetime | None = Field(description="when endpoints were told that there was none")
    revisions: int = Field(description="how many statuses and failures differed from the first of their sort")
    first_seen_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, call: Call, *, full_numbers: bool) -> "CallView":
        """The view of `call`."""
        values = {name: getattr(call, name) for name in cls.model_fields}
        return cls(**mask_fields(values, full_numbers=full_numbers))


class FeeMismatchView(CallView):
    """A call whose fee is not what is due."""

    due_minutes: int
    overbilled_minutes: int | None = Field(description="billed over due; below 0: too little was billed")

    @classmethod
    def of(cls, call: Call, *, full_numbers: bool) -> "FeeMismatchView":
        """The view of `call`."""
        due, view = due_minutes(call.outcome, call.talk_seconds) or 0, CallView.of(call, full_numbers=full_numbers)
        excess = None if view.fee_minutes is None else view.fee_minutes - due
        return cls(**view.model_dump(), due_minutes=due, overbilled_minutes=excess)


class CallbackView(_View):
    """One callback as it was received."""

    id: int
    kind: CallbackKind
    fingerprint: str | None = Field(
        description="hex, keyed by server.secret; the same for a repeat, and only for a repeat; the id of its trace; null "
        "for a command that has no server.secret"
    )
    received_at: datetime
    duplicates: int = Field(description="how often the same callback came again")
    last_duplicate_at: datetime | None
    raw: str = Field(description="the body as text; bytes that are not UTF-8 are replaced")
    raw_base64: str | None = Field(description="the exact bytes; null where numbers are masked")

    @classmethod
    def of(cls, entry: StoredCallback, *, full_numbers: bool) -> "CallbackView":
        """The view of `entry`."""
        return cls(
            id=entry.id,
            kind=entry.kind,
            fingerprint=None if entry.public_id is None else entry.public_id.hex(),
            received_at=entry.received_at,
            duplicates=entry.duplicates,
            last_duplicate_at=entry.last_duplicate_at,
            **_raw_fields(entry.raw, full_numbers=full_numbers),
        )


class DifferenceView(_View):
    """A field that another callback of the same sort tells otherwise; null where it does not tell it."""

    field: str
    before: str | None
    after: str | None

    @classmethod
    def between(cls, before: bytes, after: bytes, *, full_numbers: bool) -> "list[DifferenceView]":
        """What two callbacks of one call tell otherwise, by the vendor's names. Raises ValueError where one is none."""
        old, new = extract_fields(before), extract_fields(after)
        return [
            cls(
                field=field if full_numbers else mask_text(field),
                before=_format_field(field, old, full_numbers=full_numbers),
                after=_format_field(field, new, full_numbers=full_numbers),
            )
            for field in dict.fromkeys((*old, *new))
            if old.get(field, ...) != new.get(field, ...)
        ]


def _format_field(field: str, fields: Mapping[str, Any], *, full_numbers: bool) -> str | None:
    if field not in fields:
        return None
    value = fields[field] if full_numbers else mask_json(fields[field], field)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def view_of_activity(one: ActivityEvent, *, full_numbers: bool) -> ActivityEvent:
    """A callback that came in, or an attempt that was made, as somebody who watches may see it."""
    hidden = {"callid": one.callid, "mobile": one.mobile, "error": one.error}
    return msgspec.structs.replace(one, **mask_fields(hidden, full_numbers=full_numbers))


class QuarantinedView(_View):
    """A body that was refused, without its content."""

    id: int
    channel: str
    result: int = Field(description="what its sender was answered")
    reason: str
    size_bytes: int
    received_at: datetime
    duplicates: int
    last_duplicate_at: datetime | None

    @classmethod
    def of(cls, body: QuarantineItem, *, full_numbers: bool) -> "QuarantinedView":
        """The view of `body`."""
        return cls(**_quarantined_fields(body, full_numbers=full_numbers))


class QuarantinedBodyView(QuarantinedView):
    """A body that was refused, with its content."""

    raw: str = Field(description="the body as text; bytes that are not UTF-8 are replaced")
    raw_base64: str | None = Field(description="the exact bytes; null where numbers are masked")

    @classmethod
    def with_body(cls, body: QuarantineItem, *, full_numbers: bool) -> "QuarantinedBodyView":
        """The view of `body` and its bytes."""
        return cls(
            **_quarantined_fields(body, full_numbers=full_numbers), **_raw_fields(body.raw, full_numbers=full_numbers)
        )


def _quarantined_fields(body: QuarantineItem, *, full_numbers: bool) -> dict[str, Any]:
    own = {name: getattr(body, name) for name in QuarantinedView.model_fields}
    return mask_fields(own, full_numbers=full_numbers)


class RequeueView(_View):
    """What became of a refused body that was read once more."""

    id: int
    disposition: str | None = Field(description="stored or duplicate; null: it is still refused")
    reason: str | None = Field(description="why it is still refused")

    @classmethod
    def of(cls, id_: int, requeued: RequeueResult, *, full_numbers: bool) -> "RequeueView":
        """The view of a retry."""
        disposition = None if requeued.disposition is None else requeued.disposition.name.lower()
        return cls(
            **mask_fields({"id": id_, "disposition": disposition, "reason": requeued.reason}, full_numbers=full_numbers)
        )


class EndpointView(_View):
    """A business URL that is told of a channel's calls, and how it does."""

    id: int
    name: str = Field(examples=["crm"])
    channel: str
    url: str = Field(
        description="where it is; without path and query for who may not change it: secrets live there",
        examples=["https://crm.example.com/voice"],
    )
    format: PayloadFormat
    enabled: bool
    disabled_reason: str | None
    kinds: list[CallbackKind] = Field(description="only callbacks of these; empty: of all kinds")
    outcomes: list[Outcome] = Field(description="only of calls with these; empty: with any")
    notify_on_update: bool
    timeout_s: float
    concurrency: int
    certificate: str | None = Field(description="the name of one in the config file")
    from_config: bool = Field(description="made by the config file, which alone can change it")
    previous_secret_expires_at: datetime | None = Field(description="until then both secrets sign")
    created_at: datetime
    updated_at: datetime
    paused_until: datetime | None = Field(description="it failed too often in a row; then it is probed")
    consecutive_failures: int = Field(description="those that made it pause")
    pending: int = Field(description="deliveries that may go out")
    blocked: int = Field(description="deliveries behind those, of the same calls")
    dead: int = Field(description="deliveries that were given up")
    oldest_pending_at: datetime | None

    @classmethod
    def of(cls, endpoint: Endpoint, backlog: DeliveryBacklog, *, full_url: bool) -> "EndpointView":
        """The view of `endpoint`."""
        fields = _endpoint_fields(endpoint, backlog)
        return cls(**fields if full_url else fields | {"url": mask_urls(fields["url"])})


class EndpointWithSecretView(EndpointView):
    """The same with its secret, shown this once."""

    secret: str = Field(examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])

    @classmethod
    def with_secret(cls, endpoint: Endpoint, backlog: DeliveryBacklog) -> "EndpointWithSecretView":
        """The view of a new endpoint, or of one with a new secret."""
        return cls(**_endpoint_fields(endpoint, backlog), secret=endpoint.secret)


def _endpoint_fields(endpoint: Endpoint, backlog: DeliveryBacklog) -> dict[str, Any]:
    own = {name: getattr(endpoint, name) for name in EndpointView.model_fields if hasattr(endpoint, name)}
    defined = msgspec.structs.asdict(endpoint.config)
    counts = {
        "pending": backlog.pending,
        "blocked": backlog.blocked,
        "dead": backlog.dead,
        "oldest_pending_at": backlog.oldest_at,
    }
    return mask_fields(own | defined | counts, full_numbers=False) | {
        "consecutive_failures": endpoint.consecutive_failures
    }


class DeliveryView(_View):
    """One callback, or one word about a call, owed to one endpoint."""

    id: int
    message_id: str = Field(
        description="the webhook-id, the same in every attempt", examples=["dlv_17_9f86d081884c7d65"]
    )
    endpoint: str
    channel: str
    callid: str
    callback_id: int | None = Field(description="null: it tells of the call itself")
    type: str = Field(examples=["voice.call.answered"])
    state: DeliveryState = Field(description="blocked: behind an earlier one of its call")
    attempts: int
    failed_attempts: int = Field(description="attempts that count towards giving up")
    due_at: datetime = Field(description="when the next attempt may be, while it is pending")
    created_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, delivery: Delivery, *, full_numbers: bool) -> "DeliveryView":
        """The view of `delivery`."""
        own = {name: getattr(delivery, name) for name in DeliveryView.model_fields if name != "type"}
        if not full_numbers:
            own["message_id"] = mask_message_id(delivery.message_id)
        return cls(**mask_fields(own, full_numbers=full_numbers), type=EVENT_TYPES[delivery.event])


class AttemptView(_View):
    """One POST to an endpoint."""

    started_at: datetime
    duration_ms: float
    http_status: int | None = Field(description="null: there was no answer")
    response_body: str = Field(description="its first 2 KiB as text")
    error: str | None = Field(description="null: delivered")

    @classmethod
    def of(cls, attempt: Attempt, *, full_numbers: bool) -> "AttemptView":
        """The view of `attempt`: an endpoint may answer with somebody's number."""
        return cls(
            started_at=attempt.started_at,
            duration_ms=attempt.duration_s * 1000,
            http_status=attempt.http_status,
            **_masked_response(attempt.response_body, attempt.error, full_numbers=full_numbers),
        )


class DeliveryWithAttemptsView(DeliveryView):
    """The same with what was tried."""

    attempt_log: list[AttemptView] = Field(description=f"the last {MAX_ATTEMPTS} attempts, in order")

    @classmethod
    def with_attempts(
        cls, delivery: Delivery, attempts: list[Attempt], *, full_numbers: bool
    ) -> "DeliveryWithAttemptsView":
        """The view of a delivery and its attempts."""
        attempt_log = [AttemptView.of(one, full_numbers=full_numbers) for one in attempts]
        return cls(**DeliveryView.of(delivery, full_numbers=full_numbers).model_dump(), attempt_log=attempt_log)


class EndpointTestView(_View):
    """What an endpoint answered to a test."""

    delivered: bool
    http_status: int | None
    response_body: str
    error: str | None
    duration_ms: float

    @classmethod
    def of(cls, outcome: AttemptResult, *, full_numbers: bool) -> "EndpointTestView":
        """The view of an attempt."""
        return cls(
            delivered=outcome.error is None,
            http_status=outcome.http_status,
            duration_ms=outcome.duration_us / 1000,
            **_masked_response(outcome.response_body, outcome.error, full_numbers=full_numbers),
        )


def _masked_response(response_body: bytes, error: str | None, *, full_numbers: bool) -> dict[str, Any]:
    return mask_fields(
        {"response_body": response_body.decode("utf-8", "replace"), "error": error}, full_numbers=full_numbers
    )


class ReplayView(_View):
    """A replay and its progress."""

    id: int
    endpoint: str
    scope: str = Field(description="dead deliveries, or calls")
    total: int = Field(description="how many there were at the start")
    examined: int
    replayed: int = Field(description="deliveries that will be told again")
    status: str = Field(description="running, done or failed")
    error: str | None
    started_at: datetime

    @classmethod
    def of(cls, replay: Replay) -> "ReplayView":
        """The view of `replay`."""
        own = {name: getattr(replay, name) for name in cls.model_fields if name != "scope"}
        return cls(**mask_fields(own, full_numbers=False), scope=replay.scope)


class CurrentKeyView(_View):
    """Whose key this is, and what it may do."""

    name: str = Field(examples=["night-shift"])
    role: Role = Field(description="viewer: look; operator: also change and tell again; admin: also keys")
    full_numbers: bool = Field(description="whether phone numbers are shown in full")

    @classmethod
    def of(cls, key: ApiKey) -> "CurrentKeyView":
        """The view of the holder of `key`."""
        return cls(name=key.name, role=key.role, full_numbers=key.full_numbers)


class KeyView(CurrentKeyView):
    """An API key, but not the key itself: that is not kept."""

    id: int
    created_at: datetime

    @classmethod
    def of(cls, key: ApiKey) -> "KeyView":
        """The view of `key`."""
        return cls(**{name: getattr(key, name) for name in KeyView.model_fields})


class CreatedKeyView(KeyView):
    """The same with the key itself, shown this once."""

    key: str = Field(examples=["ab_3vC9rKqg0qk2m8xJfT7yZbWd1hPnLsEuA5oGiX4QtRw"])

    @classmethod
    def with_key(cls, made: ApiKey, key: str) -> "CreatedKeyView":
        """The view of a key that was just made."""
        return cls(**KeyView.of(made).model_dump(), key=key)


class AuditEventView(_View):
    """Who did what to what; written in the transaction of the act."""

    id: int
    occurred_at: datetime
    actor: str = Field(
        description="the name of a key, or `admin`, `command line`, `config file`, `the gateway`",
        examples=["night-shift", "command line"],
    )
    action: str = Field(examples=["endpoint_changed", "numbers_revealed", "exported", "key_created"])
    target: str = Field(
        description="to what: numbers in it are masked; of an endpoint the scheme and host of its URL",
        examples=["crm at https://crm.example.com (url)"],
    )

    @classmethod
    def of(cls, event: AuditEvent) -> "AuditEventView":
        """The view of `event`."""
        return cls(**{name: getattr(event, name) for name in cls.model_fields})


class PageView(_View, Generic[T]):
    """A page: its items, and the cursor of the next page, or null."""

    items: list[T]
    next_cursor: str | None = None


class Problem(_View):
    """What is wrong with a request, and where."""

    detail: str
    field: str | None = None
    channels: list[str] | None = None


def _raw_fields(raw: bytes, *, full_numbers: bool) -> dict[str, str | None]:
    exact = b64encode(raw).decode() if full_numbers else None
    return mask_fields({"raw": raw.decode("utf-8", "replace"), "raw_base64": exact}, full_numbers=full_numbers)
