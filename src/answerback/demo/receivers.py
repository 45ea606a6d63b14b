"""The endpoints of a demo: local HTTP servers, one that obeys and one that does not."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def receiver(status: int, body: bytes) -> Iterator[str]:
    """Listen on a free port of 127.0.0.1 and answer every POST alike; gives the URL."""

    class FixedResponseHandler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:  # http.server calls it so
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), FixedResponseHandler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, name="receiver", daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/voice"
        finally:
            server.shutdown()
