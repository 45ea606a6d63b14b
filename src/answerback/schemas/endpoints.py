"""Endpoints, with their secret, and tests of them."""

from datetime import datetime
from typing import Any

import msgspec
from pydantic import Field

from answerback.domain.endpoints import Endpoint, PayloadFormat
from answerback.domain.masking import mask_fields, mask_urls
from answerback.domain.models import CallbackKind, Outcome
from answerback.ledger.read.deliveries import DeliveryBacklog
from answerback.relay.sender import AttemptResult
from answerback.schemas.deliveries import masked_response
from answerback.schemas.view import View


class EndpointView(View):
    """An endpoint: a webhook URL that every event of a channel is delivered to, with its backlog."""

    id: int
    name: str = Field(examples=["crm"])
    channel: str
    url: str = Field(
        description="URL to POST to; without path and query, which may hold secrets, for keys that may not change it",
        examples=["https://crm.example.com/voice"],
    )
    format: PayloadFormat
    enabled: bool
    disabled_reason: str | None
    kinds: list[CallbackKind] = Field(description="only callbacks of these kinds; empty: all")
    outcomes: list[Outcome] = Field(description="only calls with these outcomes; empty: all")
    notify_on_update: bool
    timeout_s: float
    concurrency: int
    certificate: str | None = Field(description="name of a certificate in the config file")
    from_config: bool = Field(description="defined in the config file, and can only be changed there")
    previous_secret_expires_at: datetime | None = Field(description="until then the previous secret also signs")
    created_at: datetime
    updated_at: datetime
    paused_until: datetime | None = Field(
        description="set while the circuit breaker is open: when the next probe is sent"
    )
    consecutive_failures: int = Field(description="failed attempts in a row")
    pending: int = Field(description="deliveries ready to be sent, or waiting for a retry")
    blocked: int = Field(description="deliveries waiting for earlier ones of the same calls")
    dead: int = Field(description="deliveries whose last retry failed, or that were refused for good")
    oldest_pending_at: datetime | None

    @classmethod
    def of(cls, endpoint: Endpoint, backlog: DeliveryBacklog, *, full_url: bool) -> "EndpointView":
        fields = _endpoint_fields(endpoint, backlog)
        return cls(**fields if full_url else fields | {"url": mask_urls(fields["url"])})


class EndpointWithSecretView(EndpointView):
    """An endpoint with its secret, shown only once."""

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


class EndpointTestView(View):
    """The endpoint's response to a test event."""

    delivered: bool
    http_status: int | None
    response_body: str
    error: str | None
    duration_ms: float

    @classmethod
    def of(cls, outcome: AttemptResult, *, full_numbers: bool) -> "EndpointTestView":
        return cls(
            delivered=outcome.error is None,
            http_status=outcome.http_status,
            duration_ms=outcome.duration_us / 1000,
            **masked_response(outcome.response_body, outcome.error, full_numbers=full_numbers),
        )
