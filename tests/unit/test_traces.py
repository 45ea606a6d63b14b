"""Who is who in a trace, how many are taken, and which collector is meant."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased
from opentelemetry.trace import get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from answerback.config import TracingSettings, load_settings
from answerback.errors import ConfigError, MissingExtra
from answerback.tracing import open_tracer
from answerback.tracing.ids import (
    format_traceparent,
    is_sampled,
    new_span_id,
    parse_traceparent,
    receive_span_id,
    sampling_bound,
)

traces = st.binary(min_size=16, max_size=16).filter(any)
spans = st.binary(min_size=8, max_size=8).filter(any)


@given(traces, st.floats(0, 1))
def test_as_many_are_taken_as_opentelemetry_takes(trace: bytes, ratio: float) -> None:
    """Its own sampler decides the same of every trace, so that a business that samples by the same ratio agrees."""
    theirs = TraceIdRatioBased(ratio).should_sample(None, int.from_bytes(trace, "big"), "receive")
    assert is_sampled(trace, sampling_bound(ratio)) == (theirs.decision is Decision.RECORD_AND_SAMPLE)


@given(trace=traces, span=spans, sampled=st.booleans())
def test_the_header_is_opentelemetrys(trace: bytes, span: bytes, *, sampled: bool) -> None:
    """What is written, OpenTelemetry reads as it was meant; and so do we."""
    header = format_traceparent(trace, span, sampled=sampled)
    context = TraceContextTextMapPropagator().extract({"traceparent": header})
    theirs = get_current_span(context).get_span_context()
    assert (theirs.trace_id, theirs.span_id) == (int.from_bytes(trace, "big"), int.from_bytes(span, "big"))
    assert theirs.trace_flags.sampled == sampled
    assert parse_traceparent([(b"host", b"x"), (b"Traceparent", header.encode())]) == (trace, span)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"00",
        b"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        b"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        b"00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        b"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
    ],
)
def test_a_header_that_names_no_span_is_passed_over(header: bytes) -> None:
    """What the specification does not allow is no link."""
    assert parse_traceparent([(b"traceparent", header)]) is None


@given(st.lists(st.tuples(st.sampled_from([b"traceparent", b"host"]), st.binary(max_size=80)), max_size=3))
def test_no_header_is_too_odd(headers: list[tuple[bytes, bytes]]) -> None:
    """Any bytes are a span or none, and never a fault."""
    assert parse_traceparent(headers) is None


def test_a_reception_is_known_by_the_callback_and_the_time() -> None:
    """Who knows both knows the span; a repeat has another one."""
    first = receive_span_id(b"a" * 16, 1_777_000_000_000_000)
    assert first == receive_span_id(b"a" * 16, 1_777_000_000_000_000)
    others = {
        receive_span_id(b"a" * 16, 1_777_000_000_000_001),
        receive_span_id(b"b" * 16, 1_777_000_000_000_000),
        new_span_id(),
    }
    assert len(others - {first}) == 3


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        (None, None),
        ("http://collector:4318", "http://collector:4318/v1/traces"),
        ("http://collector:4318/", "http://collector:4318/v1/traces"),
        ("https://otlp.example.com/tenant/v1/traces", "https://otlp.example.com/tenant/v1/traces"),
    ],
)
def test_the_path_is_the_protocols_where_none_is_given(endpoint: str | None, url: str | None) -> None:
    """The address of a collector is enough; a whole URL is taken as it stands."""
    assert TracingSettings(endpoint=endpoint).url() == url


@pytest.mark.parametrize(
    ("name", "value", "reported"),
    [
        ("endpoint", "collector:4318", "tracing.endpoint: expected http://host:4318"),
        ("endpoint", "http://me:secret@collector:4318", "tracing.endpoint: contains a user name"),
        ("sample_ratio", 1.5, "tracing.sample_ratio: "),
    ],
)
def test_an_invalid_setting_is_named(name: str, value: object, reported: str) -> None:
    """The message names the setting, and shows no secret."""
    with pytest.raises(ConfigError, match=reported) as caught:
        load_settings(overrides={"tracing": {name: value}})
    assert "secret" not in str(caught.value)


def test_without_the_library_only_who_asks_us_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenTelemetry's own variables may be meant for others: they alone keep no gateway from starting."""
    monkeypatch.setitem(sys.modules, "answerback.tracing.export", None)
    monkeypatch.delenv("OTEL_SDK_DISABLED", raising=False)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    assert open_tracer(None, 1.0, dict, b"key") is None
    with pytest.raises(MissingExtra, match=r'tracing.endpoint .*pip install "answerback\[otel\]"'):
        open_tracer("http://127.0.0.1:4318/v1/traces", 1.0, dict, b"key")


def test_opentelemetry_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a collector there are no traces; its own switch turns them off whatever else is set."""
    for variable in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_SDK_DISABLED"):
        monkeypatch.delenv(variable, raising=False)
    assert open_tracer(None, 1.0, dict, b"key") is None
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert open_tracer("http://127.0.0.1:4318/v1/traces", 1.0, dict, b"key") is None
