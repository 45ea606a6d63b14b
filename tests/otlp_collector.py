"""A collector of OpenTelemetry as a test holds it: it takes spans by OTLP over HTTP, and shows them."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import NamedTuple, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Encoded
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from ports import port_of, reserve_port
from receivers.process import await_true


class Span(NamedTuple):
    """One span, with the attributes of whoever sent it as `resource`."""

    name: str
    kind: str
    trace: str
    id: str
    parent: str
    began_ns: int
    ended_ns: int
    attributes: dict[str, str | int]
    error: str | None
    links: list[tuple[str, str]]
    resource: dict[str, str | int]


class Collector:
    """Listens on a port of its own, which stays its own while it does not; as a context manager it is started."""

    def __init__(self) -> None:
        self._reservation = reserve_port()
        self.port = port_of(self._reservation)
        self.url = f"http://127.0.0.1:{self.port}"
        self.paths: set[str] = set()
        self.spans: list[Span] = []
        self.raw = b""
        """All that was sent, as it was."""
        self.status = 200
        """What it answers; whatever is not 200 refuses the spans."""
        self.refused = 0
        self._server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> Self:
        """Listen from now on."""
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(collector.status)
                if collector.status == 200:
                    collector.take(self.path, body)
                else:
                    collector.refused += 1
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def close(self) -> None:
        """Listen no more, and give the port back."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
        self._reservation.close()

    def take(self, path: str, body: bytes) -> None:
        """Take one request's spans."""
        request = ExportTraceServiceRequest.FromString(body)
        self.paths.add(path)
        self.raw += body
        for whose in request.resource_spans:
            resource = _values(whose.resource.attributes)
            self.spans += [_span(span, resource) for scope in whose.scope_spans for span in scope.spans]

    def named(self, name: str, trace: str | None = None) -> list[Span]:
        """The spans of that name, in one trace or in all, in the order in which they began."""
        found = [span for span in self.spans if span.name == name and trace in (None, span.trace)]
        return sorted(found, key=lambda span: span.began_ns)

    def await_spans(self, *names: str, trace: str | None = None, timeout_s: float = 10.0) -> list[Span]:
        """Wait until there are spans of these names, as many of each as it is named; they, in that order."""

        def missing() -> list[str]:
            return [name for name in {*names} if len(self.named(name, trace)) < names.count(name)]

        self._await(missing, timeout_s)
        order: dict[str, list[Span]] = {name: self.named(name, trace) for name in names}
        assert all(len(found) == names.count(name) for name, found in order.items()), order
        return [order[name].pop(0) for name in names]

    def _await(self, missing: Callable[[], list[str]], timeout_s: float) -> None:
        await_true(lambda: not missing(), lambda: f"no {missing()} among {self.spans}", timeout_s)


def _span(span: Encoded, resource: dict[str, str | int]) -> Span:
    failed = span.status.code == Status.StatusCode.STATUS_CODE_ERROR
    return Span(
        name=span.name,
        kind=Encoded.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        began_ns=span.start_time_unix_nano,
        ended_ns=span.end_time_unix_nano,
        attributes=_values(span.attributes),
        error=span.status.message if failed else None,
        links=[(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
        resource=resource,
    )


def _values(attributes: "object") -> dict[str, str | int]:
    found: dict[str, str | int] = {}
    for each in attributes:  # type: ignore[attr-defined]  # protobuf's container of KeyValue
        pair: KeyValue = each
        found[pair.key] = pair.value.int_value if pair.value.HasField("int_value") else pair.value.string_value
    return found
