"""Endpoints, the deliveries to them, and their attempts, as frozen values; pure."""

import base64
import binascii
from datetime import datetime
from enum import StrEnum
from urllib.parse import urlsplit

import msgspec

from answerback.domain.channels import NAME_PATTERN
from answerback.domain.models import Call, CallbackKind, Outcome
from answerback.domain.phone_numbers import e164

SECRET_PREFIX = "whsec_"  # noqa: S105  # how a secret begins, not one
_MIN_SECRET_BYTES, _MAX_SECRET_BYTES = 24, 64


class EventType(StrEnum):
    """The event types: an outcome, a key press, a revision, or a call that is overdue."""

    ANSWERED = "answered"
    UNANSWERED = "unanswered"
    FAILED = "failed"
    KEY_PRESSED = "key_pressed"
    REVISED = "revised"
    OVERDUE = "overdue"


class PayloadFormat(StrEnum):
    """The format of an endpoint's payload: the vendor's callbacks, or Standard Webhooks."""

    TENCENT = "tencent"
    STANDARD = "standard"


class DeliveryState(StrEnum):
    """Where a delivery stands: behind an earlier one of its call, to go out, at its end."""

    BLOCKED = "blocked"
    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


def validate_endpoint_name(name: str) -> str | None:
    """Return what is wrong with an endpoint's name, or None; digits alone would be an id."""
    if NAME_PATTERN.fullmatch(name) and not name.isdigit():
        return None
    return "a name is up to 64 lowercase letters, digits, - and _, and not digits alone"


def validate_secret(secret: str) -> str | None:
    """Return what is wrong with a secret, or None.

    Source: Standard Webhooks, "Signature scheme": 24 to 64 bytes, base64, behind `whsec_`.
    """
    try:
        size = len(base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True))
    except (binascii.Error, ValueError):
        size = 0
    if secret.startswith(SECRET_PREFIX) and _MIN_SECRET_BYTES <= size <= _MAX_SECRET_BYTES:
        return None
    return f"expected {SECRET_PREFIX} and the base64 of {_MIN_SECRET_BYTES} to {_MAX_SECRET_BYTES} bytes"


DIRECT = "direct"
"""In place of a proxy: none, even if the gateway has one."""


class EndpointConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an endpoint is, as its owner says it. Every filter that is not empty must match.

    `notify_on_update` also delivers when the annotation of a call changes. `timeout_s` is for one attempt,
    `concurrency` the most attempts at a time. `certificate` names one of the config file. `headers` go with each request,
    and their values are secrets. `success` is the rule by which a response is success; None: that of the format.
    `retry_schedule_s` are the delays before each further attempt; None: those of the gateway.
    `proxy` is the URL of an HTTP proxy, or DIRECT; None: that of the gateway, if it has one.
    """

    url: str
    format: PayloadFormat = PayloadFormat.STANDARD
    kinds: tuple[CallbackKind, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    failure_codes: tuple[int, ...] = ()
    number_prefixes: tuple[str, ...] = ()
    reference_prefixes: tuple[str, ...] = ()
    notify_on_update: bool = False
    timeout_s: float = 10.0
    concurrency: int = 8
    certificate: str | None = None
    headers: dict[str, str] = {}
    success: str | None = None
    retry_schedule_s: tuple[float, ...] | None = None
    proxy: str | None = None

    @property
    def origin(self) -> str:
        """Scheme, host and port of the URL: the part that is no secret."""
        return _origin(self.url)

    def values_for(self, url: object, proxy: object) -> dict[str, str]:
        """The header values that may be kept: another host, or proxy that can read them, must not get what was not meant for it."""
        try:
            is_meant = _origin(str(url)) == self.origin and (proxy == self.proxy or self.origin.startswith("https:"))
        except ValueError:  # no URL: something else will say so
            return self.headers
        return self.headers if is_meant else {}

    def matches(self, kind: CallbackKind | None, call: Call) -> bool:
        """Whether the endpoint subscribes to a callback of `kind` (None: to the call itself) that left its call as `call`."""
        return (
            (kind is None or not self.kinds or kind in self.kinds)
            and (not self.outcomes or call.outcome in self.outcomes)
            and (not self.failure_codes or call.failure_code in self.failure_codes)
            and (not self.number_prefixes or _has_prefix(call, self.number_prefixes))
            and (not self.reference_prefixes or (call.reference or "").startswith(self.reference_prefixes))
        )


def _has_prefix(call: Call, prefixes: tuple[str, ...]) -> bool:
    """Whether the number begins with one of `prefixes`: one with + is that of an international number."""
    mobile = call.mobile or ""
    return mobile.startswith(prefixes) or (e164(call.nationcode or "", mobile) or "").startswith(prefixes)


DISABLED_MANUALLY = "manually"
DISABLED_IN_CONFIG = "disabled in the config file"
REMOVED_FROM_CONFIG = "removed from the config file"

DISABLED_DELIBERATELY = frozenset({DISABLED_MANUALLY, DISABLED_IN_CONFIG, REMOVED_FROM_CONFIG})
"""Why an endpoint is off where people wanted it so; any other reason is its own answer."""


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint: a webhook URL that every event of a channel is delivered to.

    While it is not `enabled` its deliveries wait; `disabled_reason` says why. Until `previous_secret_expires_at` both secrets
    sign. `consecutive_failures` in a row made it pause until `paused_until`.
    """

    id: int
    name: str
    channel: str
    config: EndpointConfig
    enabled: bool
    disabled_reason: str | None
    secret: str
    previous_secret: str | None
    previous_secret_expires_at: datetime | None
    from_config: bool
    created_at: datetime
    updated_at: datetime
    consecutive_failures: int
    paused_until: datetime | None


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """The delivery of one event, of a callback or of the call itself, to one endpoint.

    `message_id` is the same in every attempt. `failed_attempts` of its `attempts` count towards giving up.
    """

    id: int
    message_id: str
    endpoint: str
    channel: str
    callid: str
    callback_id: int | None
    event: EventType
    state: DeliveryState
    attempts: int
    failed_attempts: int
    due_at: datetime
    created_at: datetime
    finished_at: datetime | None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One POST to an endpoint. `http_status` is None where there was no answer, `error` where it was delivered."""

    started_at: datetime
    duration_s: float
    http_status: int | None
    response_body: bytes
    error: str | None


class AttemptResult(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The result of one attempt. `error` is None on success; `retry_after_s` is the endpoint's Retry-After; `gone`: it answered 410."""

    started_us: int
    duration_us: int
    http_status: int | None = None
    response_body: bytes = b""
    error: str | None = None
    gone: bool = False
    retry_after_s: float | None = None


class HttpExchange(msgspec.Struct, kw_only=True):
    """The request and the response of a test, in full, with secrets hidden; filled in as far as it comes.

    `answered_us` is how long the head of the response took; without one `response_headers` is None.
    """

    url: str
    request_body: bytes
    request_headers: list[tuple[str, str]] = []
    response_headers: list[tuple[str, str]] | None = None
    response_body: bytes = b""
    answered_us: int = 0


class EndpointTest(msgspec.Struct, frozen=True, kw_only=True):
    """What a test of an endpoint came to."""

    result: AttemptResult
    exchange: HttpExchange


class DeliveryBacklog(msgspec.Struct, frozen=True, kw_only=True):
    """The undelivered deliveries of an endpoint: `pending` can be sent, `blocked` wait for those, `dead` are not retried."""

    pending: int = 0
    blocked: int = 0
    dead: int = 0
    oldest_at: datetime | None = None


MAX_ATTEMPTS = 100
"""Attempts that are shown of a delivery: while its endpoint is away there is one more with every probe."""
