"""Traces: what a collector receives about a callback, from its reception to its deliveries."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from gateway import Gateway, prompt, run
from nats_servers import NatsCluster
from otlp_collector import Collector, Span
from receivers.process import Receive, Taken, await_true
from receivers.webhook_receiver import Business, relaying

from answerback.auth.server_secret import ServerSecret
from answerback.domain.calls import call_fingerprint, public_id

NUMBER = "13788888888"
SECRET = "the same in every process of these tests"
SENDER = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
"""The trace and the span of whoever posts a callback."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector that takes spans."""
    with Collector() as running:
        yield running


def traced(collector: Collector, **more: str) -> dict[str, str]:
    """The settings of a gateway that traces and retries after a second."""
    settings = {"ANSWERBACK_TRACING__ENDPOINT": collector.url, "ANSWERBACK_SERVER__SECRET": SECRET}
    return relaying("[1, 1, 1]") | settings | more


def fingerprint_of(gateway: Gateway, callid: str) -> str:
    """The fingerprint of the one callback of a call, as /v1 shows it."""
    (callback,) = gateway.items(f"/v1/calls/{callid}/callbacks")
    return str(callback["fingerprint"])


def reported_parent(taken: Taken) -> tuple[str, str]:
    """Trace and span that a receiver got in the header."""
    _, trace, span, flags = taken.headers["traceparent"].split("-")
    assert flags == "01"
    return trace, span


def is_within(inner: Span, outer: Span, slack_ms: float = 5.0) -> bool:
    """Whether one span lies in the other; a `receive` ends a little after its answer left."""
    slack_ns = slack_ms * 1e6
    return outer.began_ns - slack_ns <= inner.began_ns and inner.ended_ns <= outer.ended_ns + slack_ns


# One trace.


def test_one_trace_from_callback_to_delivery(
    collector: Collector, data_dir: Path, receive: Receive, callid: str
) -> None:
    """The fingerprint of a callback is its trace: received, recorded and delivered in it, and the business may join."""
    receiver = receive()
    with Gateway(data_dir, settings=traced(collector)) as gateway:
        Business(gateway).add("crm", f"{receiver.url}?key=secret", format="tencent")
        posted = gateway.post(prompt(callid, mobile=NUMBER), headers={"traceparent": f"00-{SENDER[0]}-{SENDER[1]}-01"})
        assert posted.status_code == 200
        (taken,) = receiver.await_taken(1)
        fingerprint = fingerprint_of(gateway, callid)
        received, recorded, delivered = collector.await_spans("receive", "record", "deliver", trace=fingerprint)
    assert {span.trace for span in collector.spans} == {fingerprint}
    assert (received.parent, recorded.parent, delivered.parent) == ("", received.id, received.id)
    assert [span.kind for span in (received, recorded, delivered)] == ["server", "internal", "client"]
    assert received.links == [SENDER]
    assert reported_parent(taken) == (fingerprint, delivered.id)
    assert recorded.began_ns >= received.began_ns
    assert delivered.began_ns >= recorded.began_ns
    assert received.attributes == {
        "answerback.channel": "default",
        "answerback.kind": "prompt",
        "answerback.result": 0,
        "http.request.method": "POST",
        "http.response.status_code": 200,
    }
    assert recorded.attributes == {"answerback.disposition": "stored", "answerback.batch_size": 1}
    assert delivered.attributes == {
        "answerback.endpoint": "default-crm",
        "answerback.message_id": taken.id,
        "answerback.attempt": 1,
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "url.full": receiver.url.rpartition("/")[0],
        "server.address": "127.0.0.1",
        "server.port": receiver.port,
    }
    assert collector.paths == {"/v1/traces"}
    assert (received.resource["service.name"], received.error) == ("answerback", None)
    assert NUMBER.encode() not in collector.raw


def test_a_retry_after_a_restart_is_in_the_same_trace(
    collector: Collector, data_dir: Path, receive: Receive, callid: str
) -> None:
    """Nothing but the callback tells of its trace: the attempt that another process makes is in it, too."""
    receiver = receive()
    receiver.kill()
    with Gateway(data_dir, settings=traced(collector, ANSWERBACK_RELAY__RETRY_SCHEDULE_S="[5, 0.1, 0.1]")) as gateway:
        business = Business(gateway)
        business.add("crm", receiver.url)
        business.hears(prompt(callid))
        business.await_tried("crm", callid)
        fingerprint = fingerprint_of(gateway, callid)
        assert gateway.terminate() == 0
        assert len(collector.named("deliver")) == 1, "the last spans are sent at the end"
        receiver.start(behaviour="refusing", fail_first=1, answer=f"call {NUMBER}")
        gateway.start()
        business.await_state("crm", callid, "delivered")
        received, _, *attempts = collector.await_spans("receive", "record", *["deliver"] * 3, trace=fingerprint)
    assert {span.trace for span in collector.spans} == {fingerprint}
    assert {span.parent for span in attempts} == {received.id}
    assert [span.attributes["answerback.attempt"] for span in attempts] == [1, 2, 3]
    assert [span.attributes.get("http.response.status_code") for span in attempts] == [None, 500, 200]
    assert [bool(span.error) for span in attempts] == [True, True, False]
    assert "no connection" in (attempts[0].error or "")
    assert [reported_parent(taken) for taken in receiver.taken] == [(fingerprint, span.id) for span in attempts[1:]]
    assert len({span.resource["service.instance.id"] for span in attempts}) == 2
    assert NUMBER.encode() not in collector.raw


def test_a_repeat_and_a_refusal_are_in_the_same_trace(collector: Collector, data_dir: Path, callid: str) -> None:
    """A callback that was answered 503 and came again, and again, has one trace, told by OpenTelemetry's variables."""
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_SERVICE_NAME": "voice",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
        "ANSWERBACK_LEDGER__LOCK_TIMEOUT_S": "0.2",
    }
    with Gateway(data_dir, settings=settings) as gateway:
        with gateway.locked():
            assert gateway.post(prompt(callid)).status_code == 503
        gateway.await_ready()
        for _ in range(2):
            assert gateway.post(prompt(callid)).status_code == 200
        fingerprint = fingerprint_of(gateway, callid)
        refused, first, again, recorded, repeated = collector.await_spans(
            *["receive"] * 3, *["record"] * 2, trace=fingerprint
        )
    assert (refused.attributes["http.response.status_code"], refused.error) == (503, "not known to be stored")
    assert len({refused.id, first.id, again.id}) == 3
    assert [(span.attributes["answerback.disposition"], span.parent) for span in (recorded, repeated)] == [
        ("stored", first.id),
        ("duplicate", again.id),
    ]
    assert first.resource.items() >= {"service.name": "voice", "deployment.environment.name": "test"}.items()


def test_a_word_about_the_call_itself_has_a_trace_of_the_call(
    collector: Collector, data_dir: Path, receive: Receive, callid: str
) -> None:
    """Where there is no callback, channel and callid determine the trace; what was submitted by the API has a usual one."""
    receiver = receive()
    with Gateway(data_dir, settings=traced(collector)) as gateway:
        business = Business(gateway)
        business.add("crm", receiver.url, notify_on_update=True)
        answer = business.ask("POST", "callbacks", content=prompt(callid))
        assert answer.is_success, answer.text
        receiver.await_taken(1)
        business.asks("PUT", f"calls/{callid}", {"reference": "A-1"}, channel="default")
        _, update = receiver.await_taken(2)
        fingerprint = fingerprint_of(gateway, callid)
        received, delivered = collector.await_spans("receive", "deliver", trace=fingerprint)
        of_call = public_id(ServerSecret(SECRET).id_key, call_fingerprint("default", callid))
        (reported,) = collector.await_spans("deliver", trace=of_call.hex())
    assert (received.kind, delivered.parent) == ("internal", received.id)
    assert (reported.parent, reported_parent(update)) == ("", (reported.trace, reported.id))


# Through the stream.


def test_through_the_stream_it_is_one_trace(
    collector: Collector, tmp_path: Path, receive: Receive, callid: str
) -> None:
    """A process that takes callbacks and one that records and relays them write one trace, with the stream between."""
    receiver = receive()
    with NatsCluster(tmp_path / "nats", size=1) as servers, streaming(collector, servers, tmp_path) as (intake, rest):
        Business(rest).add("crm", receiver.url)
        assert intake.post(prompt(callid)).status_code == 200
        (taken,) = receiver.await_taken(1)
        fingerprint = fingerprint_of(rest, callid)
        spans = collector.await_spans("receive", "publish", "record", "deliver", trace=fingerprint)
    received, published, recorded, delivered = spans
    assert {span.trace for span in collector.spans} == {fingerprint}
    assert [span.parent for span in spans] == ["", received.id, received.id, received.id]
    assert published.kind == "producer"
    assert is_within(published, received)
    assert published.attributes == {
        "messaging.system": "nats",
        "messaging.destination.name": "ANSWERBACK-1",
        "messaging.batch.message_count": 1,
    }
    assert recorded.attributes["answerback.disposition"] == "stored"
    assert reported_parent(taken) == (fingerprint, delivered.id)
    assert [span.resource["answerback.roles"] for span in spans] == ["intake"] * 2 + ["recorder,relay,api"] * 2


@contextmanager
def streaming(collector: Collector, servers: NatsCluster, home: Path) -> Iterator[tuple[Gateway, Gateway]]:
    """Two processes with nothing in common but the stream."""
    more = {"SHARDS": "1", "REPLICAS": "1", "ALLOW_FEWER_REPLICAS": "true"}
    settings = traced(collector, **{f"ANSWERBACK_STREAM__{name}": value for name, value in more.items()})
    with ExitStack() as stack:
        yield (
            stack.enter_context(_process(home / "intake", settings, servers, "intake")),
            stack.enter_context(_process(home / "rest", settings, servers, "recorder,relay,api")),
        )


def _process(data_dir: Path, settings: dict[str, str], servers: NatsCluster, roles: str) -> Gateway:
    return Gateway(data_dir, settings=settings, options=["--stream", servers.url, "--roles", roles])


# The collector.


@pytest.mark.soak
def test_a_collector_that_is_away_does_no_harm(data_dir: Path, callid: str) -> None:
    """Callbacks are answered as ever; the log tells when spans begin to be dropped and when that is over, and nobody waits."""
    collector = Collector()
    with Gateway(data_dir, settings=traced(collector, OTEL_EXPORTER_OTLP_TIMEOUT="0.3")) as gateway:
        took_s = [_seconds_for(gateway, f"{callid}-{n}") for n in range(200)]
        await_true(lambda: "span_export_failed" in gateway.stderr, lambda: gateway.stderr)
        collector.status = 400
        collector.start()
        _seconds_for(gateway, callid)
        await_true(lambda: collector.refused == 1)
        _seconds_for(gateway, callid)
        await_true(lambda: collector.refused == 2)
        assert gateway.stderr.count("span_export_failed") == 1
        assert "opentelemetry" not in gateway.stderr
        collector.status = 200
        _seconds_for(gateway, callid)
        await_true(lambda: "span_export_recovered" in gateway.stderr, lambda: gateway.stderr)
        await_true(lambda: collector.named("receive"), lambda: "nothing came")
        collector.close()
        _seconds_for(gateway, callid)
        began_s = time.monotonic()
        assert gateway.terminate() == 0
        assert time.monotonic() - began_s < 5
        assert "spans_dropped" in gateway.stderr
    assert sorted(took_s)[100] < 0.1


def _seconds_for(gateway: Gateway, callid: str) -> float:
    began_s = time.monotonic()
    assert gateway.post(prompt(callid)).status_code == 200
    return time.monotonic() - began_s


# On and off.


def test_off_is_off(data_dir: Path, receive: Receive, callid: str) -> None:
    """Without a collector no process imports OpenTelemetry's SDK, and no endpoint sees a header of it."""
    receiver = receive()
    with Gateway(data_dir, settings=relaying() | {"PYTHONPROFILEIMPORTTIME": "1"}) as gateway:
        business = Business(gateway)
        business.add("crm", receiver.url)
        gateway.post(prompt(callid), headers={"traceparent": f"00-{SENDER[0]}-{SENDER[1]}-01"})
        (taken,) = receiver.await_taken(1)
        assert "traceparent" not in taken.headers
        assert "answerback.tracing" in gateway.stderr, "what is imported is not told"
        assert "opentelemetry.sdk" not in gateway.stderr
        assert "opentelemetry.exporter" not in gateway.stderr


def test_what_is_not_sampled_is_not_sent(collector: Collector, data_dir: Path, receive: Receive, callid: str) -> None:
    """Of a callback that is not taken no span is sent, and the endpoint is told so by the header's flag."""
    receiver = receive()
    with Gateway(data_dir, settings=traced(collector, ANSWERBACK_TRACING__SAMPLE_RATIO="0")) as gateway:
        Business(gateway).add("crm", receiver.url)
        gateway.post(prompt(callid))
        (taken,) = receiver.await_taken(1)
        fingerprint = fingerprint_of(gateway, callid)
        gateway.terminate()
    assert taken.headers["traceparent"].split("-")[1::2] == [fingerprint, "00"]
    assert not collector.spans


def test_without_the_library_the_extra_is_named(tmp_path: Path) -> None:
    """Asked for traces without OpenTelemetry, the gateway does not start, and says what to install."""
    stub = tmp_path / "without" / "opentelemetry"
    stub.mkdir(parents=True)
    (stub / "__init__.py").touch()
    settings = {"ANSWERBACK_TRACING__ENDPOINT": "http://127.0.0.1:9", "PYTHONPATH": str(stub.parent)}
    ended = run("serve", "--port", "0", cwd=tmp_path, settings=settings)
    assert ended.returncode != 0
    assert 'pip install "answerback[otel]"' in ended.stderr
