"""Traces by OpenTelemetry: one for each callback, from its reception to its deliveries.

Nothing here imports OpenTelemetry but `export`, and nobody imports that where traces are off.
"""

from answerback.tracing.tracer import DeliverySpan, Tracer, open_tracer

__all__ = ["DeliverySpan", "Tracer", "open_tracer"]
