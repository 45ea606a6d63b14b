"""Who is who in a trace, how many are taken, and which collector is meant."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from answerback.config import TracingSettings, load_settings
from answerback.errors import ConfigError, MissingExtra
from answerback.tracing import open_tracer
from answerback.tracing.tracer import find_links, receive_span_id

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_a_header_that_names_a_span_is_linked() -> None:
    """The sender's span is known from its header, whatever the case of the name and the other headers."""
    (link,) = find_links([(b"host", b"x"), (b"Traceparent", f"00-{TRACE}-{SPAN}-01".encode())])
    assert (link.context.trace_id, link.context.span_id) == (int(TRACE, 16), int(SPAN, 16))


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"00",
        f"ff-{TRACE}-{SPAN}-01".encode(),
        f"00-{TRACE}-{SPAN}-01-more".encode(),
        f"00-{TRACE.upper()}-{SPAN}-01".encode(),
        f"00-{'0' * 32}-{SPAN}-01".encode(),
        f"00-{TRACE}-{'0' * 16}-01".encode(),
    ],
)
def test_a_header_that_names_no_span_is_passed_over(header: bytes) -> None:
    """What the specification does not allow is no link."""
    assert find_links([(b"traceparent", header)]) == ()


def test_two_headers_name_no_span() -> None:
    """Which of them is meant is not known."""
    assert find_links([(b"traceparent", f"00-{TRACE}-{SPAN}-01".encode())] * 2) == ()


@given(st.lists(st.tuples(st.sampled_from([b"traceparent", b"host"]), st.binary(max_size=80)), max_size=3))
def test_no_header_is_too_odd(headers: list[tuple[bytes, bytes]]) -> None:
    """Any bytes are a span or none, and never a fault."""
    assert find_links(headers) == ()


def test_a_reception_is_known_by_the_callback_and_the_time() -> None:
    """Who knows both knows the span; a duplicate has another one."""
    first = receive_span_id(1, 1_777_000_000_000_000)
    assert first == receive_span_id(1, 1_777_000_000_000_000)
    assert len({first, receive_span_id(1, 1_777_000_000_000_001), receive_span_id(2, 1_777_000_000_000_000)}) == 3


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
    monkeypatch.setitem(sys.modules, "answerback.tracing.tracer", None)
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
