"""Endpoints, with their secret, and tests of them."""

from datetime import UTC, datetime
from typing import Self

import msgspec
from pydantic import Field

from answerback.domain.endpoint_headers import hide_values
from answerback.domain.endpoints import DeliveryBacklog, Endpoint, EndpointTest, PayloadFormat
from answerback.domain.masking import mask_urls
from answerback.domain.models import CallbackKind, Outcome
from answerback.domain.phone_numbers import mask_text
from answerback.schemas.view import Entries, Items, View


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
    kinds: Items[CallbackKind] = Field(description="only callbacks of these kinds; empty: all")
    outcomes: Items[Outcome] = Field(description="only calls with these outcomes; empty: all")
    failure_codes: Items[int] = Field(description="only calls with one of these failure codes; empty: all")
    number_prefixes: Items[str] = Field(
        description="only calls to numbers that begin with one of these; empty: all", examples=[["138", "+852"]]
    )
    reference_prefixes: Items[str] = Field(
        description="only calls whose reference begins with one of these; empty: all", examples=[["order-"]]
    )
    notify_on_update: bool
    timeout_s: float
    concurrency: int
    certificate: str | None = Field(description="name of a certificate in the config file")
    headers: Entries[str] = Field(
        description="headers added to each request; … in place of every value", examples=[{"Authorization": "…"}]
    )
    success: str | None = Field(
        description="which 2xx responses are success: contract, 2xx, json:path=value or text:words; null: as the format says",
        examples=["json:code=0"],
    )
    retry_schedule_s: Items[float] | None = Field(
        description="its own delays before the second attempt, the third, and so on; null: those of the gateway"
    )
    proxy: str | None = Field(
        description="HTTP proxy, or direct for none; null: that of the gateway, if it has one",
        examples=["http://proxy.example.com:3128"],
    )
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
    def of(cls, endpoint: Endpoint, backlog: DeliveryBacklog, *, full_url: bool) -> Self:
        own = msgspec.structs.asdict(endpoint.config) | msgspec.structs.asdict(backlog)
        own["headers"] = hide_values(endpoint.config.headers)
        if not full_url:
            own["url"] = mask_urls(endpoint.config.url)
        return cls.read_from(endpoint, oldest_pending_at=backlog.oldest_at, **own)


class EndpointWithSecretView(EndpointView):
    """An endpoint with its secret, shown only once."""

    secret: str = Field(examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])


class TestRequestView(View):
    """The request of a test, as it was sent; … in place of each secret."""

    method: str
    url: str
    headers: Items[tuple[str, str]]
    body: str


class TestResponseView(View):
    """The response to a test: its body up to 64 KiB, and how long its head took; … in place of each secret."""

    http_status: int
    headers: Items[tuple[str, str]]
    body: str
    answered_ms: float


class EndpointTestView(View):
    """A test event: what was sent, what came back, and whether that is success."""

    delivered: bool
    error: str | None
    started_at: datetime
    duration_ms: float
    request: TestRequestView
    response: TestResponseView | None = Field(description="null: there was none")

    @classmethod
    def of(cls, test: EndpointTest, *, full_numbers: bool) -> "EndpointTestView":
        result, exchange = test.result, test.exchange

        def shown(text: str) -> str:
            return text if full_numbers else mask_text(text)

        request = TestRequestView(
            method="POST", url=exchange.url, headers=exchange.request_headers, body=exchange.request_body.decode()
        )
        response = None
        if result.http_status is not None:
            response = TestResponseView(
                http_status=result.http_status,
                headers=[(name, shown(value)) for name, value in exchange.response_headers or ()],
                body=shown(exchange.response_body.decode("utf-8", "replace")),
                answered_ms=exchange.answered_us / 1000,
            )
        return cls.read_from(
            result,
            full_numbers=full_numbers,
            delivered=result.error is None,
            started_at=datetime.fromtimestamp(result.started_us / 1_000_000, UTC),
            duration_ms=result.duration_us / 1000,
            request=request,
            response=response,
        )
