"""The composition root: builds the parts, runs them together, and drains them at the end."""

import asyncio
import contextlib
import fcntl
import os
import resource
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import structlog
import uvicorn
import uvloop

from answerback.access import AdminKey, Keyring
from answerback.config import IntakeSettings, RelaySettings, Settings
from answerback.errors import ConfigError, LedgerUnavailable
from answerback.heap import settle_heap
from answerback.intake import Channels, Committer, Intake, Meter, Submission
from answerback.intake.app import Message, Receive, Send
from answerback.intake.channels import PATH
from answerback.intake.connections import Connection, sweep
from answerback.ledger import FILE_NAME, Ledger, Opening, WriterProcess
from answerback.ledger.query import CallFilter, count_calls

if TYPE_CHECKING:
    from answerback.alerts import Alerts, Letterhead, Target
    from answerback.relay import Relay, Terms, Wanted

URL_NAME = "gateway-url"
LOCK_NAME = "relay.lock"

_BACKLOG = 2048
_TAKE_AGAIN_S = 2.0
_LAST_COMMITS_S = 1.0  # after the drain nobody waits for them any more
_WRITER_END_S = 0.5
_OWNER_ONLY = 0o077
_BELOW_PATH = f"{PATH}/"
_CONSOLE_PATHS = ("/", "/console")
_BELOW_CONSOLE = "/console/"

log = structlog.get_logger("answerback.service")


@dataclass(frozen=True)
class Listening:
    """What a newly started gateway tells its operator. `admin_key` is set at the very first start only."""

    url: str
    callback_urls: dict[str, str]
    data_dir: Path
    admin_key: str | None


def opening_of(settings: Settings) -> Opening:
    """The ledger that the settings name."""
    return Opening(
        data_dir=str(settings.server.data_dir.resolve()),
        lock_timeout_s=settings.ledger.lock_timeout_s,
        allow_unsafe_place=settings.ledger.allow_unsafe_place,
        quarantine_bytes=settings.quarantine.max_bytes,
        quarantine_per_minute=settings.quarantine.max_per_minute,
    )


@contextlib.contextmanager
def reading(settings: Settings) -> Iterator[Ledger]:
    """The ledger that is there already, for a command that looks into it. Raises ConfigError where there is none."""
    path = settings.server.data_dir / FILE_NAME
    if not path.exists():
        raise ConfigError(f"server.data_dir: there is no ledger at {path}; name it with --data-dir")
    with contextlib.closing(opening_of(settings).open()) as ledger:
        yield ledger


def serve(settings: Settings, started: Callable[[Listening], None]) -> None:
    """Run the gateway until SIGINT or SIGTERM; calls `started` once it listens.

    Raises ConfigError or LedgerError where it cannot start.
    """
    os.umask(_OWNER_ONLY)
    writer = WriterProcess(opening_of(settings))
    writer.spawn()  # it gets ready while the rest does
    with (
        contextlib.closing(opening_of(settings).open()) as ledger,
        _listen(settings.server.host, settings.server.port) as listener,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        key = AdminKey.at(settings.server.data_dir)  # only now: it is shown once, to who has started
        runner.run(_run(settings, ledger, writer, key, listener, started))


async def _run(
    settings: Settings,
    ledger: Ledger,
    writer: WriterProcess,
    key: AdminKey,
    listener: socket.socket,
    started: Callable[[Listening], None],
) -> None:
    from answerback.api.app import build_api  # FastAPI and aiohttp are for the gateway, not for every command
    from answerback.console.app import build_console
    from answerback.console.given import Given
    from answerback.exports import Exports
    from answerback.relay import Relay

    intake = settings.intake

    async def count(wanted: CallFilter) -> int:
        return await asyncio.to_thread(ledger.read, lambda connection: count_calls(connection, wanted))

    meter, channels = Meter(), tuple(settings.tokens())
    committer = build_committer(writer, meter, intake)
    relay = Relay(
        writer,
        relay_terms(settings.relay),
        allow_networks=settings.relay.allow_networks,
        default_channel=next(iter(channels)) if len(channels) == 1 else None,
        count=count,
        pressed=lambda: committer.pressed,
    )
    callbacks = Intake(Channels(settings.tokens()), committer, meter, intake.max_body_bytes)
    submission = Submission(committer, meter, intake.max_body_bytes)
    keyring = Keyring(key, ledger)
    alerts = build_alerts(settings, writer, ledger)
    exports = Exports(opening_of(settings), writer)
    given = Given(
        ledger=ledger,
        keyring=keyring,
        health=committer,
        relay=relay,
        submission=submission,
        writer=writer,
        alerts=alerts,
        exports=exports,
        callback_urls=callback_urls(settings, listener.getsockname()[:2]),
        zone=ZoneInfo(settings.console.timezone),
        session_hours=settings.console.session_hours,
        secret=key.key.encode(),
        public_url=settings.server.public_url,
        data_dir=settings.server.data_dir.resolve(),
    )
    api = build_api(
        ledger,
        committer,
        meter,
        keyring,
        relay,
        submission,
        channels,
        writer,
        settings.console.timezone,
        alerts,
        exports,
    )
    app = route(callbacks, api, build_console(given))
    server = _Server(http_config(app, intake))
    given.farewells.append(exports.stop)
    server.stop_at_signals(given.farewells)
    await writer.start()
    await committer.start()
    writer.on_owed, writer.full = relay.owed, relay.full
    post = Post(settings, relay, alerts)
    await post.take()
    sweeping = asyncio.create_task(sweep(server.server_state.connections, meter, intake.receive_timeout_s))
    settle_heap()
    listening = _listening(settings, listener, key)
    log.info("started", url=listening.url, data_dir=str(listening.data_dir), channels=sorted(listening.callback_urls))
    post.announce(listening.url)
    started(listening)
    try:
        await server.serve(sockets=[listener])
    finally:
        sweeping.cancel()
        await post.leave()
        await committer.stop(_LAST_COMMITS_S)
        await writer.stop(_WRITER_END_S)
        log.info("stopped", answered=sum(meter.answers.values()))


class Post:
    """The right to relay, and to alert people: of the gateways on one data directory one has it, then the next one.

    While it is held, the data directory tells under which URL the relay can be asked.
    """

    def __init__(self, settings: Settings, relay: "Relay", alerts: "Alerts") -> None:
        self._settings = settings
        self._relay = relay
        self._alerts = alerts
        self._lock = (settings.server.data_dir / LOCK_NAME).open("ab")
        self._url_file = settings.server.data_dir / URL_NAME
        self._url = ""
        self._waiting: asyncio.Task[None] | None = None

    async def take(self) -> None:
        """Begin to relay, now or as soon as it is possible. Raises ConfigError where an endpoint is unfit."""
        if not await self._try():
            log.warning("not_relaying", reason="another gateway on this data directory does, or the ledger is away")
            self._waiting = asyncio.create_task(self._wait())

    def announce(self, url: str) -> None:
        """Tell the command line where the relay is."""
        self._url = url
        if self._relay.active:
            new = self._url_file.with_suffix(".new")
            new.write_text(url)
            new.replace(self._url_file)

    async def leave(self) -> None:
        """Stop relaying, and let the next one."""
        if self._waiting is not None:
            self._waiting.cancel()
        await self._alerts.stop()
        was_active = self._relay.active
        await self._relay.stop(self._settings.relay.drain_timeout_s)
        if was_active:
            self._url_file.unlink(missing_ok=True)
        self._lock.close()

    async def _try(self) -> bool:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            await self._relay.start(wanted_endpoints(self._settings))
            self._alerts.start()
        except (BlockingIOError, LedgerUnavailable):
            return False
        return True

    async def _wait(self) -> None:
        told = ""
        while not self._relay.active:
            await asyncio.sleep(_TAKE_AGAIN_S)
            try:
                if await self._try():
                    log.info("relaying")
                    self.announce(self._url)
            except ConfigError as error:
                if str(error) != told:
                    log.error("not_relaying", reason=str(error))  # noqa: TRY400  # the words are enough
                told = str(error)


def wanted_endpoints(settings: Settings) -> "dict[str, Wanted]":
    """The endpoints of the config file, as the relay takes them."""
    from answerback.relay import Wanted

    return {
        name: Wanted(
            channel=endpoint.channel,
            definition=endpoint.definition(),
            enabled=endpoint.enabled,
            secret=endpoint.secret.get_secret_value() if endpoint.secret is not None else None,
        )
        for name, endpoint in settings.endpoints.items()
    }


def build_alerts(settings: Settings, writer: WriterProcess, ledger: Ledger) -> "Alerts":
    """The alerts that the settings ask for. Raises ConfigError where a URL is unfit."""
    from answerback.alerts import Alerts

    wanted = settings.alerts
    return Alerts(
        writer,
        ledger,
        wanted.rules,
        alert_targets(settings) if wanted.rules else (),
        channels=tuple(settings.tokens()),
        letterhead=letterhead_of(settings),
        every_s=wanted.every_s,
    )


def alert_targets(settings: Settings) -> "list[Target]":
    """Those who are told of alerts. Raises ConfigError that names the URL at fault, and does not show it."""
    from answerback.alerts import open_targets

    return open_targets([url.get_secret_value() for url in settings.alerts.notify])


def letterhead_of(settings: Settings) -> "Letterhead":
    """What all messages about alerts have in common."""
    from answerback.alerts import Letterhead

    public_url = settings.server.public_url
    return Letterhead(
        timezone=settings.console.timezone, console_url=f"{public_url.rstrip('/')}/console" if public_url else None
    )


def relay_terms(relay: RelaySettings) -> "Terms":
    """How often and how long the relay tries."""
    from answerback.relay import Terms

    return Terms(**{name: getattr(relay, name) for name in Terms.__struct_fields__})


def build_committer(writer: WriterProcess, meter: Meter, intake: IntakeSettings) -> Committer:
    """The group commit in front of the writer, within the bounds that are set."""
    return Committer(
        writer,
        meter,
        max_pending=intake.max_pending,
        max_batch=intake.max_batch,
        answer_timeout_s=intake.answer_timeout_s,
    )


def http_config(app: Any, intake: IntakeSettings) -> uvicorn.Config:
    """How uvicorn is set up for an ASGI application; the benchmark's echo runs on the same."""
    return uvicorn.Config(
        app,
        interface="asgi3",
        proxy_headers=False,
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=intake.keep_alive_s,
        timeout_graceful_shutdown=intake.drain_timeout_s,
        backlog=_BACKLOG,
    )


def route(callbacks: Intake, rest: Any, console: Any = None) -> Callable[[Message, Receive, Send], Any]:
    """The whole server as one ASGI application: the callback URL first, the pages, everything else to `rest`."""

    def app(scope: Message, receive: Receive, send: Send) -> Any:
        path: str = scope["path"]
        if path == PATH or path.startswith(_BELOW_PATH):
            return callbacks(scope, receive, send)
        if console is not None and (path in _CONSOLE_PATHS or path.startswith(_BELOW_CONSOLE)):
            return console(scope, receive, send)
        return rest(scope, receive, send)

    return app


class _Server(uvicorn.Server):
    """uvicorn that leaves the signals to us: after it has drained, our own parts have to."""

    def stop_at_signals(self, farewells: Sequence[Callable[[], None]]) -> None:
        self._farewells = farewells
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop, number)

    def _stop(self, number: int) -> None:
        log.info("stopping", signal=signal.Signals(number).name)
        for farewell in self._farewells:
            farewell()
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(host: str, port: int) -> socket.socket:
    """Take the address, before anything else could fail. Raises ConfigError that names it."""
    with contextlib.suppress(ValueError, OSError):  # every connection is a file: take all that we may
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigError(f"server.host, server.port: cannot listen on {host}:{port}: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    """The system's own words; the socket module adds its own to them."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error.strerror)


def callback_urls(settings: Settings, address: tuple[str, int] | None = None) -> dict[str, str]:
    """Channel name -> the URL to paste into the cloud console, with its secret token."""
    base = settings.server.public_url or _url(*(address or (settings.server.host, settings.server.port)))
    base = base.rstrip("/")
    return {
        name: f"{base}{PATH}" if token is None else f"{base}{PATH}/{token}" for name, token in settings.tokens().items()
    }


def _url(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _listening(settings: Settings, listener: socket.socket, key: AdminKey) -> Listening:
    host, port = listener.getsockname()[:2]
    return Listening(
        url=_url(host, port),
        callback_urls=callback_urls(settings, (host, port)),
        data_dir=settings.server.data_dir.resolve(),
        admin_key=key.key if key.made else None,
    )
