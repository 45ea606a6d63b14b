"""Traces by OpenTelemetry: one for each callback, from its reception to its deliveries.

Nothing here imports OpenTelemetry but `export`, and nobody imports that where traces are off.
"""

from answerback.tracing.setup import open_tracer
from answerback.tracing.tracer import Attempt, Tracer
from answerback.tracing.writer import TracedWriter

__all__ = ["Attempt", "TracedWriter", "Tracer", "open_tracer"]
