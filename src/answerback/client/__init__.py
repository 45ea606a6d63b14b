"""The gateway from your own program: `Client` and `AsyncClient` for /v1, `construct_event` for signed webhooks."""

from answerback.client.client import AsyncClient, Client
from answerback.client.errors import (
    Ambiguous,
    ApiError,
    Conflict,
    ConnectionFailed,
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
    Unauthorized,
    Unavailable,
    UnexpectedResponse,
)
from answerback.client.webhooks import (
    EventInvalid,
    SignatureInvalid,
    TimestampOutsideTolerance,
    WebhookRejected,
    construct_event,
)
from answerback.schemas.webhooks import VoiceEvent

__all__ = [
    "Ambiguous",
    "ApiError",
    "AsyncClient",
    "Client",
    "Conflict",
    "ConnectionFailed",
    "EventInvalid",
    "Forbidden",
    "Invalid",
    "NotFound",
    "RateLimited",
    "SignatureInvalid",
    "TimestampOutsideTolerance",
    "Unauthorized",
    "Unavailable",
    "UnexpectedResponse",
    "VoiceEvent",
    "WebhookRejected",
    "construct_event",
]
