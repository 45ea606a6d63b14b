"""Logs, traces and alerts."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from answerback.config.section import RELOADABLE, Section
from answerback.domain.alert_rules import AlertRule
from answerback.domain.arguments import check_http_url


class AlertsSettings(Section):
    """Alert rules, how often they are evaluated, and who is notified."""

    notify: Annotated[tuple[SecretStr, ...], Field(max_length=50)] = Field(
        (), description="Apprise URLs to notify, such as wecombot://KEY"
    )
    evaluation_interval_s: Annotated[float, Field(ge=0.1, le=3600)] = Field(
        30.0, description="interval between evaluations of the rules"
    )
    rules: dict[str, AlertRule] = Field(default_factory=dict, description="alert rules, by name")


class TracingSettings(Section):
    """OpenTelemetry traces: one for each callback, from reception to deliveries."""

    endpoint: str | None = Field(
        None,
        description="OTLP/HTTP address of the collector, such as http://127.0.0.1:4318; no traces by default",
        max_length=2048,
    )
    sample_ratio: Annotated[float, Field(ge=0, le=1)] = Field(1.0, description="fraction of callbacks that are traced")

    @field_validator("endpoint")
    @classmethod
    def _check_endpoint(cls, endpoint: str | None) -> str | None:
        if endpoint is None:
            return None
        if "@" in check_http_url(endpoint, "http://host:4318 or https://host:4318").netloc:
            raise ValueError("contains a user name: put credentials in OTEL_EXPORTER_OTLP_HEADERS")
        return endpoint

    def url(self) -> str | None:
        """The URL that spans are POSTed to: the address with the protocol's path, unless it has one."""
        if self.endpoint is None or urlsplit(self.endpoint).path.strip("/"):
            return self.endpoint
        return f"{self.endpoint.rstrip('/')}/v1/traces"


class LogSettings(Section):
    """Logging to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="lowest severity to log", json_schema_extra=RELOADABLE
    )
    format: Literal["text", "json"] = Field("text", description="text for people, json for machines")
