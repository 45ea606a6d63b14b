"""One process of the gateway: its parts by its roles, started in order, and ended in the opposite one."""

import asyncio
import contextlib
import gc
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import msgspec
import structlog
import uvloop

from answerback.api.health import HealthApp
from answerback.api.ledger_numbers import LedgerNumbers
from answerback.auth.api_keys import AdminKey, Keyring
from answerback.auth.attempt_limits import AttemptLimiter
from answerback.auth.authenticator import Authenticator
from answerback.auth.server_secret import ServerSecret
from answerback.config import ServerRole, Settings
from answerback.errors import ConfigError, LedgerUnavailable
from answerback.gc_tuning import settle_heap
from answerback.heartbeat import Membership, introduce
from answerback.http_protocol import sweep
from answerback.intake import Channels, Intake, Meter, Submission
from answerback.intake.app import Elsewhere
from answerback.ledger import Ledger
from answerback.ledger.admin.instances import find_members
from answerback.ledger.backends.sqlite.engine import refuse_unsafe_place
from answerback.ledger.read.calls import CallFilter, count_calls
from answerback.ledger.writer.client import WriterProcess
from answerback.ledger.writer.spawning import Spawned
from answerback.service.deferred import Deferred
from answerback.service.factories import (
    build_alerts,
    build_committer,
    build_recorder,
    build_stream,
    build_tracer,
    open_certificates,
    relay_terms,
)
from answerback.service.file_lock_owner import Post
from answerback.service.http import Server, http_config, listen, route
from answerback.service.leased_owner import Sharing
from answerback.service.ledger_config import opening_of
from answerback.service.loop_watch import Watchdog, measure_lag
from answerback.service.urls import base_path, callback_urls, url_of
from answerback.tracing import TracedWriter

if TYPE_CHECKING:
    from answerback.stream import Drain

_LAST_COMMITS_S = 1.0  # after the drain nobody waits for them any more
_WRITER_END_S = 0.5
_LAST_SPANS_S = 1.5
_STREAM_STATUS_EVERY_S = 5.0
_SECRETS_EVERY_S = 60.0
_OWNER_ONLY = 0o077

log = structlog.get_logger("answerback.service")


@dataclass(frozen=True)
class Listening:
    """What a newly started gateway tells its operator. `admin_key` is set at the very first start only."""

    url: str
    callback_urls: dict[str, str]
    data_dir: Path
    store: str
    roles: tuple[str, ...]
    admin_key: str | None


def serve(
    settings: Settings, started: Callable[[Listening], None], spawned: Spawned, *, new_ledger: bool = False
) -> None:
    """Run the gateway until SIGINT or SIGTERM; calls `started` once it listens.

    `spawned` is its writer. With `new_ledger` a data directory that was used before, and has lost its ledger, gets a new one. Raises ConfigError or LedgerError where it cannot start.
    """
    os.umask(_OWNER_ONLY)
    gc.disable()  # until all is loaded, there is nothing to collect
    secret = _server_secret(settings)
    writer = WriterProcess(opening_of(settings), spawned)
    with (
        contextlib.closing(opening_of(settings).open(patient=_can_wait(settings), new_ledger=new_ledger)) as ledger,
        listen(settings.server.host, settings.server.port) as listener,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        writer.opening = msgspec.structs.replace(writer.opening, file_ids=ledger.file_ids)
        runner.run(Gateway(settings, secret, ledger, writer, listener).run(started))


def _can_wait(settings: Settings) -> bool:
    """Whether callbacks can be taken though the database is away: what a stream holds is safe without it."""
    return settings.stream.url is not None and ServerRole.INTAKE in settings.server.roles


class Gateway:
    """All parts of one process."""

    def __init__(
        self,
        settings: Settings,
        secret: ServerSecret,
        ledger: Ledger,
        writer: WriterProcess,
        listener: socket.socket,
    ) -> None:
        self._settings = settings
        self._secret = secret
        self._ledger = ledger
        self._writer = writer
        self._listener = listener
        self._roles = frozenset(settings.server.roles)
        self._key = _admin_key(settings)  # only now: it is shown once, to who has started
        self._certificates = open_certificates(settings)
        self._meter = Meter()
        self._channels = tuple(settings.tokens())
        self._stream_status: list[dict[str, Any]] = []
        self._drain: Drain | None = None
        self._farewells: list[Callable[[], None]] = []
        self._is_started = asyncio.Event()

    async def run(self, started: Callable[[Listening], None]) -> None:
        """Begin, serve until told to end, and end. Callbacks are answered while the rest is still starting."""
        self._build()
        async with contextlib.AsyncExitStack() as ending:
            server = await self._open(ending)
            serving = asyncio.create_task(server.serve(sockets=[self._listener]))
            try:
                await self._start(ending, server)
                self._announce(started)
            except BaseException:
                server.should_exit = True
                await serving
                raise
            finally:
                self._is_started.set()
            await serving
        log.info("stopped", answered=sum(self._meter.answers.values()))

    def _announce(self, started: Callable[[Listening], None]) -> None:
        listening = self._listening()
        log.info(
            "started",
            url=listening.url,
            store=listening.store,
            roles=listening.roles,
            channels=sorted(listening.callback_urls),
        )
        self._post.announce(listening.url)
        started(listening)

    def _build(self) -> None:
        """Make the parts that need the running loop."""
        from answerback.exports.process import Exports
        from answerback.relay import Relay

        settings, writer = self._settings, self._writer
        self._stream = build_stream(settings)
        self._member = introduce(settings.server.roles)
        self._tracer = tracer = build_tracer(settings, self._member, self._secret.id_key)
        self._book = writer if tracer is None else TracedWriter(writer, tracer)
        self._committer = committer = build_committer(
            build_recorder(self._book, self._stream, settings, tracer), self._meter, settings.intake
        )
        self._relay = Relay(
            writer,
            relay_terms(settings.relay),
            allow_networks=settings.relay.allow_networks,
            default_channel=self._channels[0] if len(self._channels) == 1 else None,
            count=self._count,
            pressed=lambda: committer.pressed,
            certificates=self._certificates,
            tracer=tracer,
        )
        self._alerts = build_alerts(settings, writer, self._ledger)
        self._numbers = LedgerNumbers(self._ledger, self._alerts)
        self._exports = Exports(writer.opening, writer)
        self._farewells.append(self._exports.stop)
        self._membership = Membership(writer, self._member, self._state, on_failed=committer.doubt)
        self._post: Post | Sharing = (
            Post(settings, self._relay, self._alerts)
            if settings.ledger.store is None
            else Sharing(settings, self._relay, self._alerts, self._member.id)
        )

    async def _open(self, ending: contextlib.AsyncExitStack) -> Server:
        """Start what callbacks are answered with, each part after those that it needs; `ending` will end them."""
        settings, writer = self._settings, self._writer
        server = Server(http_config(self._app(), settings.intake))
        server.stop_at_signals(self._farewells)
        if self._tracer is not None:
            self._tracer.start()
            ending.push_async_callback(asyncio.to_thread, self._tracer.stop, _LAST_SPANS_S)
        await writer.start()
        ending.push_async_callback(writer.stop, _WRITER_END_S)
        if self._stream is not None:
            await self._stream.start()
            ending.push_async_callback(self._stream.stop)
        await self._committer.start()
        ending.push_async_callback(self._committer.stop, _LAST_COMMITS_S)
        return server

    async def _start(self, ending: contextlib.AsyncExitStack, server: Server) -> None:
        """Start the rest."""
        settings, writer = self._settings, self._writer
        writer.on_owed, writer.full = self._relay.owed, self._relay.full
        writer.on_set_aside = self._meter.count_set_aside
        if self._stream is not None and ServerRole.RECORD in self._roles:
            self._drain = drain = self._stream.drain(self._book)
            drain.start()
            ending.push_async_callback(drain.stop, settings.intake.drain_timeout_s)
        self._membership.start()
        ending.push_async_callback(self._membership.stop)
        ending.push_async_callback(self._post.leave)
        await self._post.take()
        self._run_beside(
            ending,
            sweep(
                server.server_state.connections,
                settings.intake.receive_timeout_s,
                self._meter.timed_out,
                settings.server.reader_timeout_s,
                self._meter.cut_off,
            ),
        )
        self._run_beside(ending, self._certificates.watch())
        await self._numbers.read()
        self._run_beside(ending, self._numbers.watch())
        self._run_beside(ending, measure_lag(self._meter.loop_lag_s))
        Watchdog.start_if_asked()
        self._run_beside(ending, self._compare_secrets())
        if self._stream is not None:
            self._run_beside(ending, self._look_at_stream())
        settle_heap()

    def _run_beside(self, ending: contextlib.AsyncExitStack, work: Any) -> None:
        task = asyncio.create_task(work)
        ending.callback(task.cancel)

    async def _count(self, wanted: CallFilter) -> int:
        return await asyncio.to_thread(self._ledger.read, lambda connection: count_calls(connection, wanted))

    # What is served.

    def _app(self) -> Any:
        """The whole server as one ASGI application, without what is not this process's role."""
        settings, has = self._settings, self._roles.__contains__
        max_body_bytes = settings.intake.max_body_bytes
        callbacks = (
            Intake(Channels(settings.tokens()), self._committer, self._meter, max_body_bytes, self._tracer)
            if has(ServerRole.INTAKE)
            else Elsewhere()
        )
        submission = Submission(self._committer, self._meter, max_body_bytes, self._tracer)
        keyring = Keyring(self._key, self._ledger)
        authenticator = Authenticator(keyring, AttemptLimiter(), settings.server.trusted_proxies)
        console = (
            Deferred(lambda: self._console(keyring, authenticator, submission), self._is_started)
            if has(ServerRole.CONSOLE)
            else None
        )
        health = HealthApp(self._numbers, self._committer, self._meter, self._relay, self._stream_of())
        api = Deferred(lambda: self._api(authenticator, submission), self._is_started)
        return route(callbacks, health, api, console, base_path(settings))

    def _api(self, authenticator: Authenticator, submission: Submission) -> Any:
        from answerback.api.app import build_api, build_document

        import_module("anyio._backends._asyncio")  # else anyio loads it with the first request
        if ServerRole.API not in self._roles:
            return build_document()
        return build_api(
            self._ledger,
            authenticator,
            self._relay,
            submission,
            self._channels,
            self._writer,
            self._settings.console.timezone,
            self._alerts,
            self._exports,
        )

    def _console(self, keyring: Keyring, authenticator: Authenticator, submission: Submission) -> Any:
        from answerback.console.app import build_console
        from answerback.console.dependencies import Given
        from answerback.console.links import Links

        import_module("anyio._backends._asyncio")
        settings = self._settings
        return build_console(
            Given(
                ledger=self._ledger,
                keyring=keyring,
                authenticator=authenticator,
                committer=self._committer,
                relay=self._relay,
                submission=submission,
                writer=self._writer,
                alerts=self._alerts,
                exports=self._exports,
                certificates=self._certificates.names,
                callback_urls=callback_urls(settings, self._listener.getsockname()[:2]),
                zone=ZoneInfo(settings.console.timezone),
                session_hours=settings.console.session_hours,
                session_key=self._secret.session_key,
                public_url=settings.server.public_url,
                data_dir=settings.server.data_dir.resolve(),
                links=Links(base_path(settings)),
                farewells=self._farewells,
            )
        )

    # What is told of it.

    def _stream_of(self) -> Any:
        return None if self._stream is None else self._stream.meter

    def _state(self) -> dict[str, Any]:
        """What the heartbeat says of this process."""
        state = {
            "url": self._url(),
            "pending": self._committer.pending,
            "failure": self._committer.failure,
            "recorder_failure": str(self._drain.failure) if self._drain is not None and self._drain.failure else None,
            "set_aside": self._meter.set_aside,
            "relay": self._relay.state,
            "secret": self._secret.check,
        }
        if self._stream is not None:
            state["stream"] = {shard.pop("stream"): shard for shard in map(dict, self._stream_status)}
        return state

    async def _look_at_stream(self) -> None:
        assert self._stream is not None  # noqa: S101  # only then is this begun
        while True:
            with contextlib.suppress(Exception):  # what was known before is shown until it answers again
                self._stream_status = [msgspec.to_builtins(shard) for shard in await self._stream.status()]
            await asyncio.sleep(_STREAM_STATUS_EVERY_S)

    async def _compare_secrets(self) -> None:
        """Log, once for each, which processes on this ledger have another secret."""
        logged: set[str] = set()
        while True:
            with contextlib.suppress(LedgerUnavailable):
                seen = await asyncio.to_thread(self._ledger.read, find_members)
                others = {
                    one.member.id: f"{one.member.host}:{one.member.pid}"
                    for one in seen
                    if one.secret not in (None, self._secret.check)
                }
                if others.keys() - logged:
                    remedy = "give every process the same server.secret"
                    log.error("server_secret_differs", others=sorted(others.values()), remedy=remedy)
                logged.update(others)
            await asyncio.sleep(_SECRETS_EVERY_S)

    def _url(self) -> str:
        host, port = self._listener.getsockname()[:2]
        return url_of(host, port)

    def _listening(self) -> Listening:
        return Listening(
            url=self._url(),
            callback_urls=callback_urls(self._settings, self._listener.getsockname()[:2]),
            data_dir=self._settings.server.data_dir.resolve(),
            store=opening_of(self._settings).place,
            roles=tuple(str(role) for role in self._settings.server.roles),
            admin_key=self._key.key if self._key.made else None,
        )


def _server_secret(settings: Settings) -> ServerSecret:
    """The secret, made in the data directory where there is none yet. Raises ConfigError, LedgerUnsafe."""
    directory = settings.server.data_dir
    if settings.ledger.store is None and not settings.ledger.allow_unsafe_place:
        refuse_unsafe_place(directory)  # before anything is left there
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"server.data_dir, {directory}: cannot be made: {error.strerror}") from error
    return ServerSecret.load_or_create(settings.server)


def _admin_key(settings: Settings) -> AdminKey:
    """The key that is set for all processes alike, or that of the data directory. Raises ConfigError."""
    if settings.server.admin_key is None:
        return AdminKey.at(settings.server.data_dir)
    return AdminKey(settings.server.admin_key.get_secret_value(), made=False, made_at=datetime.now(UTC))
