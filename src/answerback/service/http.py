"""The HTTP server: where it listens, what answers which path, and how it ends."""

import asyncio
import contextlib
import os
import re
import resource
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import structlog
import uvicorn

from answerback.api.health import PATHS as HEALTH_PATHS
from answerback.config import IntakeSettings
from answerback.errors import ConfigError, describe_os_error
from answerback.http_protocol import Message, Receive, Send, TimedHttpProtocol

_BACKLOG = 2048
_CONSOLE_PATHS = ("/", "/console")
_BELOW_CONSOLE = "/console/"
_OURS = re.compile(r"/+(?:console|v1|voice/+callback|healthz|readyz|metrics|openapi\.json)(?:/|\Z)")

log = structlog.get_logger("answerback.service")


def http_config(app: Any, intake: IntakeSettings, protocol: Any = TimedHttpProtocol) -> uvicorn.Config:
    """How uvicorn is set up for an ASGI application behind `protocol`; the benchmark's echo runs on the same."""
    return uvicorn.Config(
        app,
        interface="asgi3",
        proxy_headers=False,
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=intake.keep_alive_s,
        timeout_graceful_shutdown=intake.shutdown_timeout_s,
        backlog=_BACKLOG,
    )


def route(health: Any, rest: Any, console: Any = None, base: str = "") -> Callable[[Message, Receive, Send], Any]:
    """All but the callback URL as one ASGI application: how it is, the pages, everything else to `rest`.

    A proxy may have put `base` in front of all paths; whether it takes that off again before it passes a request on is
    the same to us.
    """
    health, rest, pages = answer_head(health), answer_head(rest), answer_head(console)

    def app(scope: Message, receive: Receive, send: Send) -> Any:
        path: str = scope["path"]
        if base:
            path = _below(base, path)
            scope = {**scope, "path": path}
        if path in HEALTH_PATHS:
            return health(scope, receive, send)
        if console is not None and (path in _CONSOLE_PATHS or path.startswith(_BELOW_CONSOLE)):
            return pages({**scope, "path": base + path, "root_path": base}, receive, send)
        return rest(scope, receive, send)

    return app


def _below(base: str, path: str) -> str:
    """`path` without `base`, where it has it: "/console" may be both."""
    if _OURS.match(path.removeprefix(base)):
        return path.removeprefix(base)
    return "/" if path.rstrip("/") == base and not _OURS.match(path) else path


def answer_head(app: Any) -> Callable[[Message, Receive, Send], Any]:
    """`app` that answers HEAD as it does GET, without the body: an answer that would go on for ever ends with its head."""

    def either(scope: Message, receive: Receive, send: Send) -> Any:
        return (head if scope["method"] == "HEAD" else app)(scope, receive, send)

    async def head(scope: Message, receive: Receive, send: Send) -> None:
        begun, is_read = asyncio.Event(), False

        async def receive_request() -> Message:
            nonlocal is_read
            if not is_read:
                is_read = True
                return await receive()
            await begun.wait()
            return {"type": "http.disconnect"}

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                begun.set()

        await app({**scope, "method": "GET"}, receive_request, send_head)
        await send({"type": "http.response.body"})

    return either


class Server(uvicorn.Server):
    """uvicorn that leaves the signals to us: after it has shut down, our own parts have to."""

    def install_signal_handlers(
        self, shutdown_callbacks: Sequence[Callable[[], None]], reload: Callable[[], None] | None
    ) -> None:
        """At SIGINT and SIGTERM call `shutdown_callbacks`, then shut down; at SIGHUP call `reload`.

        SIGHUP is also what is left of a terminal that was closed: that shuts down, unless SIGHUP was ignored, as by nohup.
        """
        self._shutdown_callbacks = shutdown_callbacks
        loop = asyncio.get_running_loop()
        if reload is not None:
            ends_with_terminal = signal.getsignal(signal.SIGHUP) is signal.SIG_DFL and _has_terminal()

            def on_hangup() -> None:
                if ends_with_terminal and not _has_terminal():
                    self._stop(signal.SIGHUP)
                else:
                    reload()

            loop.add_signal_handler(signal.SIGHUP, on_hangup)
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop, number)

    def _stop(self, number: int) -> None:
        log.info("stopping", signal=signal.Signals(number).name)
        for callback in self._shutdown_callbacks:
            callback()
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


def _has_terminal() -> bool:
    """Whether a terminal controls this process."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def bind_socket(host: str, port: int) -> socket.socket:
    """Bind the address, before anything else could fail. Raises ConfigError that names it."""
    with contextlib.suppress(ValueError, OSError):  # every connection is a file: take all that we may
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigError(
            f"server.host, server.port: cannot listen on {host}:{port}: {describe_os_error(error)}"
        ) from error
