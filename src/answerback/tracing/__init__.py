"""Traces by OpenTelemetry: one for each callback, from its reception to its deliveries.

`tracer` and `export` import OpenTelemetry, and nobody imports them where traces are off.
"""

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import structlog

from answerback.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from answerback.tracing.tracer import Tracer

_DISABLED = "OTEL_SDK_DISABLED"
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")

log = structlog.get_logger("answerback.tracing")


def open_tracer(
    endpoint: str | None, sample_ratio: float, resource: Callable[[], Mapping[str, str]], id_key: bytes
) -> "Tracer | None":
    """A tracer, not yet started; None where no collector is named, by `endpoint` or by OpenTelemetry's variables.

    `resource` identifies this process, `id_key` keys the ids of traces. Raises MissingExtra, ConfigError.
    """
    if os.environ.get(_DISABLED, "").strip().lower() == "true":
        return None
    if endpoint is None and not any(os.environ.get(name, "").strip() for name in _ENDPOINTS):
        return None
    try:
        from answerback.tracing.export import SpanExporter
        from answerback.tracing.tracer import Tracer
    except ImportError as error:
        missing = 'needs OpenTelemetry: pip install "answerback[otel]"'
        if endpoint is not None:
            raise MissingExtra(f"tracing.endpoint {missing}") from error
        log.warning("tracing_disabled", reason=f"OTEL_EXPORTER_OTLP_ENDPOINT {missing}")  # it may be meant for others
        return None
    try:
        return Tracer(SpanExporter(endpoint), resource(), id_key, sample_ratio)
    except ValueError as error:
        raise ConfigError(f"tracing, OTEL_EXPORTER_OTLP_*: {error}") from error
