"""A real HTTP server that answers each request as it was told to, or breaks the connection."""

import json
import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import NamedTuple, Self

Behaviour = Callable[["_Handler"], None]


class Received(NamedTuple):
    """A request as it came in."""

    method: str
    path: str
    body: bytes


def answer(status: int, document: object = None, **headers: str) -> Behaviour:
    """Answer with JSON."""

    def behave(handler: "_Handler") -> None:
        body = b"" if document is None else json.dumps(document).encode()
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(body)

    return behave


def say(status: int, body: bytes, content_type: str = "text/html") -> Behaviour:
    """Answer with anything, as proxies do."""

    def behave(handler: "_Handler") -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", content_type)
        handler.send_header("Content-Length", str(len(body)))
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(body)

    return behave


def hang_up(handler: "_Handler") -> None:
    """Read the request, and reset the connection."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def break_off(body: bytes) -> Behaviour:
    """Say that more is to come, send `body`, and hang up."""

    def behave(handler: "_Handler") -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body) + 1000))
        handler.end_headers()
        handler.wfile.write(body)
        handler.wfile.flush()
        handler.connection.shutdown(socket.SHUT_RDWR)

    return behave


def flood(status: int, beginning: bytes = b"", *, every_s: float = 0, **headers: str) -> Behaviour:
    """Answer with `beginning`, and then with zeros until the other side hangs up: one each `every_s`, or as many as it takes."""

    def behave(handler: "_Handler") -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(beginning)
        while True:
            handler.connection.sendall(b"0" if every_s else bytes([48]) * 65_536)
            handler.server.sent_bytes += 65_536
            time.sleep(every_s)

    return behave


def stay_silent(handler: "_Handler") -> None:
    """Read the request, and say nothing until the other side hangs up."""
    handler.connection.recv(1)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def _handle(self) -> None:
        size = int(self.headers.get("Content-Length", 0))
        self.server.received.append(Received(self.command, self.path, self.rfile.read(size)))
        self.close_connection = True
        self.server.behaviours.popleft()(self)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815  # the library's names

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[Received] = []
        self.sent_bytes = 0
        self.behaviours: deque[Behaviour] = deque()

    def handle_error(self, request: object, client_address: object) -> None:
        """Broken connections are meant."""


class UnrulyServer:
    """Behaves as `will` said, once for each request, in order."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._server = _Server()
        self._scheme = "http" if tls is None else "https"
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}"

    @property
    def received(self) -> list[Received]:
        """The requests so far."""
        return self._server.received

    @property
    def sent_bytes(self) -> int:
        """Of floods."""
        return self._server.sent_bytes

    def will(self, *behaviours: Behaviour) -> None:
        """Behave so in the next requests."""
        self._server.behaviours.extend(behaviours)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
