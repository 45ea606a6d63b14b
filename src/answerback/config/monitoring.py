"""Logs, traces and alerts."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from answerback.config.section import Section
from answerback.domain.alert_rules import Rule


class AlertsSettings(Section):
    """Who is told when something is wrong, and how often it is looked at."""

    notify: Annotated[tuple[SecretStr, ...], Field(max_length=50)] = Field(
        (), description="Apprise URLs of those who are told, as wecombot://KEY"
    )
    evaluation_interval_s: Annotated[float, Field(ge=0.1, le=3600)] = Field(30.0, description="pause between two looks")
    rules: dict[str, Rule] = Field(default_factory=dict, description="what they are told of, by name")


class TracingSettings(Section):
    """Traces of OpenTelemetry: one for each callback, from its reception to its deliveries."""

    endpoint: str | None = Field(
        None,
        description="the collector's OTLP/HTTP address, as http://127.0.0.1:4318; not given: no traces",
        max_length=2048,
    )
    sample_ratio: Annotated[float, Field(ge=0, le=1)] = Field(1.0, description="share of the callbacks that are traced")

    @field_validator("endpoint")
    @classmethod
    def _check_endpoint(cls, endpoint: str | None) -> str | None:
        if endpoint is None:
            return None
        try:
            parts = urlsplit(endpoint)
            known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError as error:
            raise ValueError(f"not a URL: {error}") from error
        if not known or not endpoint.isprintable() or " " in endpoint:
            raise ValueError("expected http://host:4318 or https://host:4318")
        if "@" in parts.netloc:
            raise ValueError("holds a user name: give credentials in OTEL_EXPORTER_OTLP_HEADERS")
        return endpoint

    def url(self) -> str | None:
        """Where spans are POSTed to: the address itself where it has a path, else with that of the protocol."""
        if self.endpoint is None or urlsplit(self.endpoint).path.strip("/"):
            return self.endpoint
        return f"{self.endpoint.rstrip('/')}/v1/traces"


class LogSettings(Section):
    """What is logged, to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="least severity to log")
    format: Literal["text", "json"] = Field("text", description="text for people, json for machines")
