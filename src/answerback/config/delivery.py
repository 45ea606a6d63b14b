"""Endpoints, and how deliveries reach them."""

from pathlib import Path
from typing import Annotated, Self
from urllib.parse import SplitResult

from pydantic import Field, SecretStr, field_validator, model_validator

from answerback.config.section import Count, Network, Seconds, Section
from answerback.domain.arguments import check_http_url
from answerback.domain.endpoint_headers import check_headers
from answerback.domain.endpoints import DIRECT, EndpointConfig, PayloadFormat, validate_secret
from answerback.domain.models import DEFAULT_CHANNEL, CallbackKind, Outcome
from answerback.domain.success_rule import parse_success_rule

FailureCode = Annotated[int, Field(ge=0, le=999_999)]
NumberPrefix = Annotated[str, Field(pattern=r"^(\+[1-9][0-9]{0,9}|[0-9]{1,7})$")]
"""Too short for a whole number, so that no filter is one."""
ReferencePrefix = Annotated[str, Field(min_length=1, max_length=128)]
_Bounded = Field(max_length=100)


class RelaySettings(Section):
    """Delivery of events to endpoints: retries, circuit breaker, concurrency."""

    retry_schedule_s: Annotated[tuple[Seconds, ...], Field(max_length=100)] = Field(
        (5, 30, 120, 600, 1800, 3600, 10_800, 21_600, 43_200),
        description="delays before the second attempt, the third, and so on; after the last a delivery is dead",
    )
    jitter: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.2, description="fraction by which a delay is randomly made longer or shorter"
    )
    breaker_threshold: Count = Field(10, description="consecutive failures after which an endpoint is paused")
    breaker_cooldowns_s: Annotated[tuple[Seconds, ...], Field(min_length=1)] = Field(
        (5, 15, 30, 60), description="delays between the probes of a paused endpoint; the last one repeats"
    )
    max_in_flight: Count = Field(4_096, description="maximum number of concurrent attempts, for all endpoints together")
    allowed_networks: tuple[Network, ...] = Field(
        (), description="private networks that endpoints created through the API may be in, such as 10.0.0.0/8"
    )

    proxy: SecretStr | None = Field(
        None,
        description="HTTP proxy for endpoints without a proxy of their own: http://host:port or http://user:password@host:port",
    )

    shutdown_timeout_s: Annotated[float, Field(ge=0, le=60)] = Field(
        3.0, description="time to finish open attempts at shutdown"
    )

    @field_validator("proxy")
    @classmethod
    def _check_proxy(cls, proxy: SecretStr | None) -> SecretStr | None:
        if proxy is not None:
            _check_proxy_url(proxy.get_secret_value())
        return proxy


def _check_proxy_url(url: str) -> SplitResult:
    expected = "http://host:port of a proxy, without a path"
    parts = check_http_url(url, expected)
    if parts.scheme != "http" or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(f"expected {expected}")
    return parts


class CertificateSettings(Section):
    """PEM files for TLS to endpoints. A renewed file is read again within a minute."""

    ca_file: Path | None = Field(None, description="the certificate authorities to trust instead of the system's")
    client_cert: Path | None = Field(None, description="the client certificate, for mutual TLS")
    client_key: Path | None = Field(None, description="its key, unencrypted; not needed if client_cert contains it")

    @model_validator(mode="after")
    def _check_files(self) -> Self:
        if self.ca_file is None and self.client_cert is None:
            raise ValueError("needs ca_file, client_cert or both")
        if self.client_key is not None and self.client_cert is None:
            raise ValueError("client_key needs client_cert")
        return self


class EndpointSettings(Section):
    """An endpoint: a webhook URL that every event of a channel is delivered to."""

    url: str = Field(description="http:// or https:// address to POST to", max_length=2048)
    channel: str = Field(DEFAULT_CHANNEL, description="the channel whose events it receives")
    format: PayloadFormat = Field(
        PayloadFormat.STANDARD,
        description="tencent: the cloud's own callbacks; standard: signed webhooks with the whole call",
    )
    enabled: bool = Field(default=True, description="false: deliveries wait until it is enabled again")
    kinds: tuple[CallbackKind, ...] = Field((), description="only callbacks of these kinds; empty: all")
    outcomes: tuple[Outcome, ...] = Field((), description="only calls with these outcomes; empty: all")
    failure_codes: Annotated[tuple[FailureCode, ...], _Bounded] = Field(
        (), description="only calls with one of these failure codes; empty: all"
    )
    number_prefixes: Annotated[tuple[NumberPrefix, ...], _Bounded] = Field(
        (),
        description="only calls to numbers that begin with one of these: 138, or +852 with the country code; empty: all",
    )
    reference_prefixes: Annotated[tuple[ReferencePrefix, ...], _Bounded] = Field(
        (), description="only calls whose reference begins with one of these; empty: all"
    )
    notify_on_update: bool = Field(
        default=False, description="also deliver when the reference or the metadata of a call changes"
    )
    timeout_s: Annotated[float, Field(gt=0, le=300)] = Field(10.0, description="time for one attempt")
    concurrency: Annotated[int, Field(ge=1, le=1024)] = Field(8, description="maximum number of concurrent attempts")
    secret: SecretStr | None = Field(None, description="whsec_ and 24 to 64 bytes in base64; generated by default")
    certificate: str | None = Field(
        None, description="name of a certificate in this file, for a private certificate authority or mutual TLS"
    )
    headers: dict[str, SecretStr] = Field(
        {}, description="headers to add to each request, such as Authorization; values are never shown again"
    )
    proxy: str | None = Field(
        None, max_length=2048, description="HTTP proxy, http://host:port, or direct for none; by default relay.proxy"
    )
    retry_schedule_s: Annotated[tuple[Seconds, ...], Field(min_length=1, max_length=100)] | None = Field(
        None,
        description="its own delays before the second attempt, the third, and so on; by default relay.retry_schedule_s",
    )
    success: str | None = Field(
        None,
        description="which 2xx responses are success: contract (result 0), 2xx, json:path=value or text:words; by default as the format says",
    )

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        parts = check_http_url(url, "http://host/path or https://host/path")
        if "@" in parts.netloc:
            raise ValueError(
                "contains a user name: endpoints authenticate the gateway by its signature or a client certificate"
            )
        if parts.fragment:
            raise ValueError("contains a fragment (#), which is never sent")
        return url

    @field_validator("secret")
    @classmethod
    def _check_secret(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and (problem := validate_secret(secret.get_secret_value())):
            raise ValueError(problem)
        return secret

    @field_validator("headers")
    @classmethod
    def _check_headers(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        if problem := check_headers(_reveal(headers)):
            raise ValueError(problem)
        return headers

    @field_validator("proxy")
    @classmethod
    def _check_proxy(cls, proxy: str | None) -> str | None:
        if proxy not in (None, DIRECT) and "@" in _check_proxy_url(proxy).netloc:
            raise ValueError("contains a user name: only relay.proxy of the config file can have one")
        return proxy

    @field_validator("success")
    @classmethod
    def _check_success(cls, success: str | None) -> str | None:
        if success is not None:
            parse_success_rule(success)
        return success

    def endpoint_config(self) -> EndpointConfig:
        """Convert to the EndpointConfig that the ledger stores."""
        fields = {name: getattr(self, name) for name in EndpointConfig.__struct_fields__}
        return EndpointConfig(**fields | {"headers": _reveal(self.headers)})


def _reveal(headers: dict[str, SecretStr]) -> dict[str, str]:
    return {name: value.get_secret_value() for name, value in headers.items()}
