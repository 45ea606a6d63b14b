"""Endpoints, and how deliveries reach them."""

from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from answerback.config.section import DEFAULT_CHANNEL, NAME_PATTERN, Count, Network, Seconds, Section
from answerback.domain.endpoints import EndpointConfig, PayloadFormat
from answerback.domain.models import CallbackKind, Outcome


class RelaySettings(Section):
    """How the business is told."""

    retry_schedule_s: Annotated[tuple[Seconds, ...], Field(max_length=100)] = Field(
        (5, 30, 120, 600, 1800, 3600, 10_800, 21_600, 43_200),
        description="pauses before the second attempt, the third, and so on; after the last a delivery is dead",
    )
    jitter: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.2, description="share by which a pause is longer or shorter, by chance"
    )
    breaker_threshold: Count = Field(10, description="failures in a row after which an endpoint is paused")
    breaker_cooldowns_s: Annotated[tuple[Seconds, ...], Field(min_length=1)] = Field(
        (5, 15, 30, 60), description="pauses between the probes of a paused endpoint; the last comes again and again"
    )
    max_in_flight: Count = Field(4_096, description="attempts under way at a time, for all endpoints together")
    allowed_networks: tuple[Network, ...] = Field(
        (), description="private networks that endpoints made through the API may be in, as 10.0.0.0/8"
    )

    shutdown_timeout_s: Annotated[float, Field(ge=0, le=60)] = Field(
        3.0, description="time for attempts under way to end at shutdown"
    )


class CertificateSettings(Section):
    """PEM files, regular ones, that endpoints name. A file that is renewed is read again within a minute."""

    ca_file: Path | None = Field(None, description="the authorities to trust in place of the system's")
    client_cert: Path | None = Field(None, description="the certificate that we show, for mutual TLS")
    client_key: Path | None = Field(
        None, description="its key, not encrypted; not needed where client_cert holds it as well"
    )

    @model_validator(mode="after")
    def _check_files(self) -> Self:
        if self.ca_file is None and self.client_cert is None:
            raise ValueError("needs ca_file, client_cert or both")
        if self.client_key is not None and self.client_cert is None:
            raise ValueError("client_key is given without client_cert")
        return self


class EndpointSettings(Section):
    """A business URL that is told of a channel's calls."""

    url: str = Field(description="http:// or https:// address to POST to", max_length=2048)
    channel: str = Field(DEFAULT_CHANNEL, description="the channel whose calls it is told of")
    format: PayloadFormat = Field(
        PayloadFormat.STANDARD,
        description="tencent: the cloud's own callbacks; standard: signed webhooks with the whole call",
    )
    enabled: bool = Field(default=True, description="off: what it is owed waits")
    kinds: tuple[CallbackKind, ...] = Field((), description="only callbacks of these kinds; none named: of all")
    outcomes: tuple[Outcome, ...] = Field((), description="only of calls with these outcomes; none named: with any")
    notify_on_update: bool = Field(
        default=False, description="tell it again when the reference or the metadata of a call it knows changes"
    )
    timeout_s: Annotated[float, Field(gt=0, le=300)] = Field(10.0, description="time for one attempt")
    concurrency: Annotated[int, Field(ge=1, le=1024)] = Field(8, description="most attempts at a time")
    secret: SecretStr | None = Field(
        None, description="whsec_ and 24 to 64 bytes in base64; made by itself where it is not given"
    )
    certificate: str | None = Field(
        None,
        description="the name of a certificate of this file, for servers of your own authority, and for mutual TLS",
    )

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError as error:
            raise ValueError(f"not a URL: {error}") from error
        if not known or not url.isprintable() or " " in url:
            raise ValueError("expected http://host/path or https://host/path")
        if "@" in parts.netloc:
            raise ValueError("holds a user name: an endpoint knows us by the signature, or by a client certificate")
        if parts.fragment:
            raise ValueError("holds a fragment (#), which is never sent")
        return url

    def endpoint_config(self) -> EndpointConfig:
        """The endpoint as the relay knows it."""
        return EndpointConfig(**{name: getattr(self, name) for name in EndpointConfig.__struct_fields__})


def validate_endpoint_name(name: str) -> str | None:
    """What is wrong with the name of an endpoint, or None; digits alone are an id."""
    if NAME_PATTERN.fullmatch(name) and not name.isdigit():
        return None
    return "a name is up to 64 small letters, digits, - and _, and not digits alone"
