"""The emulator as a server: in this process until a signal, or in a thread of somebody's tests."""

import asyncio
import contextlib
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import uvicorn

from answerback.emulator.app import build_app
from answerback.emulator.cloud import Cloud
from answerback.emulator.page import build_page_routes
from answerback.errors import ConfigError, describe_os_error
from answerback.http_protocol import TimedHttpProtocol

_BACKLOG = 2048
_LAST_REQUESTS_S = 1
_OWN_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # no certificate is for an address that means all


def bind_socket(host: str, port: int) -> socket.socket:
    """Take the address. Raises ConfigError that names it."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigError(f"--host, --port: cannot listen on {host}:{port}: {describe_os_error(error)}") from error


def base_url(listener: socket.socket, *, secure: bool = False) -> str:
    """How a listening socket is reached; one for all addresses of the machine, by its own."""
    host, port = listener.getsockname()[:2]
    host = _OWN_ADDRESS.get(host, host)
    return f"http{'s' if secure else ''}://{f'[{host}]' if ':' in host else host}:{port}"


def check_certificate(file: Path | None) -> None:
    """Refuse what could not be shown to anybody. Raises ConfigError."""
    if file is None:
        return
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(file, password=lambda: "")
    except ssl.SSLError as error:
        raise ConfigError(
            f"--certificate: {file} cannot be used: it must hold a certificate and its key, without a password, as PEM"
        ) from error
    except OSError as error:
        raise ConfigError(f"--certificate: {file} cannot be used: {describe_os_error(error)}") from error


async def serve(
    make: Callable[[], Cloud],
    listener: socket.socket,
    on_started: Callable[[Cloud], None],
    certificate: Path | None = None,
    authority: Path | None = None,
) -> None:
    """Play the cloud until SIGINT or SIGTERM, by https where there is a certificate; calls that live then are cut short."""
    cloud = make()
    server = _EmulatorServer(_config(cloud, certificate, authority), lambda: on_started(cloud))
    _install_signal_handlers(server.stop)
    try:
        await server.serve(sockets=[listener])
    finally:
        await cloud.close()


def _install_signal_handlers(stop: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop))


def _config(cloud: Cloud, certificate: Path | None = None, authority: Path | None = None) -> uvicorn.Config:
    return uvicorn.Config(
        build_app(cloud, build_page_routes(cloud, authority)),
        http=TimedHttpProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        ssl_certfile=certificate,
        timeout_graceful_shutdown=_LAST_REQUESTS_S,
    )


class _EmulatorServer(uvicorn.Server):
    """uvicorn that says when it listens, and leaves the signals to the program that it is a part of."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_started()

    def stop(self) -> None:
        """Take no more requests, and end."""
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class BackgroundCloud:
    """A cloud with an event loop and a thread of its own, on a free port of 127.0.0.1."""

    def __init__(self, make: Callable[[], Cloud]) -> None:
        self._make = make
        self._listener = bind_socket("127.0.0.1", 0)
        self._ready: Future[Cloud] = Future()
        self._thread = threading.Thread(target=self._run, name="voice-cloud", daemon=True)

    @property
    def url(self) -> str:
        return base_url(self._listener)

    def start(self) -> Cloud:
        """Begin; the cloud may only be touched by `run`."""
        self._url = self.url
        self._thread.start()
        return self._ready.result(30)

    def submit(self, work: Callable[[Cloud], object]) -> Future[object]:
        """Have `work` done in the cloud's loop; a coroutine that it returns is waited for there."""
        cloud = self._ready.result(30)

        async def there() -> object:
            result = work(cloud)
            return await result if asyncio.iscoroutine(result) else result

        return asyncio.run_coroutine_threadsafe(there(), self._loop)

    def run(self, work: Callable[[Cloud], object]) -> object:
        """What `work` returns in the cloud's loop."""
        return self.submit(work).result(60)

    def stop(self) -> None:
        """End, and wait for it."""
        self._server.stop()
        self._thread.join(30)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        cloud = self._make()
        self._server = _EmulatorServer(_config(cloud), lambda: self._ready.set_result(cloud))
        try:
            await self._server.serve(sockets=[self._listener])
        finally:
            await cloud.close()
