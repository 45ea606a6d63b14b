"""Whether traces are wanted, and where they go."""

import os
from collections.abc import Mapping

import structlog

from answerback.errors import ConfigError, ExtraMissing
from answerback.tracing.tracer import Tracer

_DISABLED = "OTEL_SDK_DISABLED"
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")

log = structlog.get_logger("answerback.tracing")


def open_tracer(endpoint: str | None, sample_ratio: float, about: Mapping[str, str], id_key: bytes) -> Tracer | None:
    """A tracer, not yet started; None where no collector is named, by `endpoint` or by OpenTelemetry's variables.

    `about` is what tells this process from others, `id_key` what the traces' ids are keyed by. Raises ExtraMissing, ConfigError.
    """
    if os.environ.get(_DISABLED, "").strip().lower() == "true":
        return None
    if endpoint is None and not any(os.environ.get(name, "").strip() for name in _ENDPOINTS):
        return None
    try:
        from answerback.tracing.export import Export
    except ImportError as error:
        missing = 'needs OpenTelemetry: pip install "answerback[otel]"'
        if endpoint is not None:
            raise ExtraMissing(f"traces.endpoint {missing}") from error
        log.warning("not_tracing", reason=f"OTEL_EXPORTER_OTLP_ENDPOINT {missing}")  # it may be meant for others
        return None
    try:
        return Tracer(Export(endpoint, about), id_key, sample_ratio)
    except ValueError as error:
        raise ConfigError(f"traces, OTEL_EXPORTER_OTLP_*: {error}") from error
