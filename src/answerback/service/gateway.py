"""One process of the gateway: its parts by its roles, started in order, and ended in the opposite one."""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import structlog

from answerback.api.health import HealthApp
from answerback.api.ledger_numbers import LedgerGauges
from answerback.auth.api_keys import AdminKey, KeyVerifier
from answerback.auth.attempt_limits import AttemptLimiter
from answerback.auth.authenticator import Authenticator
from answerback.auth.server_secret import ServerSecret
from answerback.config import ServerRole, Settings
from answerback.gc_tuning import freeze_gc
from answerback.heartbeat import Heartbeat, new_instance
from answerback.http_protocol import reap_slow_connections
from answerback.intake import BulkSubmitter, CallbackApp, ChannelResolver, IntakeMetrics
from answerback.intake.app import RoleDisabledApp
from answerback.ledger import Ledger
from answerback.ledger.read.calls import CallFilter, count_calls
from answerback.ledger.writer.client import WriterClient
from answerback.service.deferred import LazyApp
from answerback.service.factories import (
    build_alerts,
    build_callback_store,
    build_committer,
    build_stream,
    build_tracer,
    open_certificates,
    retry_policy,
)
from answerback.service.http import Server, http_config, route
from answerback.service.ledger_config import ledger_config
from answerback.service.loop_watch import Watchdog, measure_lag
from answerback.service.process_status import ProcessStatus
from answerback.service.relay_owner import build_relay_owner
from answerback.service.urls import base_path, base_url, callback_urls
from answerback.tracing import TracingClient

_COMMITTER_STOP_S = 1.0  # after the shutdown nobody waits for them any more
_WRITER_STOP_S = 0.5
_TRACER_STOP_S = 1.5

log = structlog.get_logger("answerback.service")


@dataclass(frozen=True)
class StartupInfo:
    """What a newly started gateway prints. `admin_key` is set at the very first start only."""

    url: str
    callback_urls: dict[str, str]
    data_dir: Path
    store: str
    roles: tuple[str, ...]
    admin_key: str | None


class Gateway:
    """All parts of one process."""

    def __init__(
        self,
        settings: Settings,
        secret: ServerSecret,
        ledger: Ledger,
        writer: WriterClient,
        listener: socket.socket,
    ) -> None:
        self._settings = settings
        self._secret = secret
        self._ledger = ledger
        self._writer = writer
        self._listener = listener
        self._roles = frozenset(settings.server.roles)
        self._key = _admin_key(settings)  # only now: it is shown once
        self._certificates = open_certificates(settings)
        self._metrics = IntakeMetrics()
        self._channels = tuple(settings.tokens())
        self._shutdown_callbacks: list[Callable[[], None]] = []
        self._is_started = asyncio.Event()

    async def run(self, on_started: Callable[[StartupInfo], None]) -> None:
        """Start, serve until a signal, and stop. Callbacks are answered while the rest is still starting."""
        self._build()
        async with contextlib.AsyncExitStack() as stack:
            server = await self._open(stack)
            serving = asyncio.create_task(server.serve(sockets=[self._listener]))
            try:
                await self._start(stack, server)
                self._report_started(on_started)
            except BaseException:
                server.should_exit = True
                await serving
                raise
            finally:
                self._is_started.set()
            await serving
        log.info("stopped", answered=sum(self._metrics.responses.values()))

    def _report_started(self, on_started: Callable[[StartupInfo], None]) -> None:
        info = self._startup_info()
        log.info(
            "started",
            url=info.url,
            store=info.store,
            roles=info.roles,
            channels=sorted(info.callback_urls),
        )
        self._relay_owner.write_url_file(info.url)
        on_started(info)

    def _build(self) -> None:
        """Make the parts that need the running loop."""
        from answerback.exports.process import ExportManager
        from answerback.relay import Relay

        settings, writer = self._settings, self._writer
        self._stream = build_stream(settings)
        self._instance = new_instance(settings.server.roles)
        self._tracer = tracer = build_tracer(settings, self._instance, self._secret.id_key)
        self._client = writer if tracer is None else TracingClient(writer, tracer)
        self._committer = committer = build_committer(
            build_callback_store(self._client, self._stream, settings, tracer), self._metrics, settings.intake
        )
        self._relay = Relay(
            writer,
            retry_policy(settings.relay),
            allowed_networks=settings.relay.allowed_networks,
            default_channel=self._channels[0] if len(self._channels) == 1 else None,
            count=self._count,
            under_pressure=lambda: committer.under_pressure,
            certificates=self._certificates,
            tracer=tracer,
        )
        self._alerts = build_alerts(settings, writer, self._ledger)
        self._numbers = LedgerGauges(self._ledger, self._alerts)
        self._exports = ExportManager(writer.config, writer)
        self._shutdown_callbacks.append(self._exports.stop)
        self._status = ProcessStatus(self._url(), committer, self._metrics, self._relay, self._secret, self._stream)
        self._heartbeat = Heartbeat(writer, self._instance, self._status.report, on_failed=committer.probe_soon)
        self._relay_owner = build_relay_owner(settings, self._relay, self._alerts, self._instance.id)

    async def _open(self, stack: contextlib.AsyncExitStack) -> Server:
        """Start what callbacks are answered with, each part after those that it needs; `stack` will end them."""
        settings, writer = self._settings, self._writer
        server = Server(http_config(self._app(), settings.intake))
        server.install_signal_handlers(self._shutdown_callbacks)
        if self._tracer is not None:
            self._tracer.start()
            stack.push_async_callback(asyncio.to_thread, self._tracer.stop, _TRACER_STOP_S)
        await writer.start()
        stack.push_async_callback(writer.stop, _WRITER_STOP_S)
        if self._stream is not None:
            await self._stream.start()
            stack.push_async_callback(self._stream.stop)
        await self._committer.start()
        stack.push_async_callback(self._committer.stop, _COMMITTER_STOP_S)
        return server

    async def _start(self, stack: contextlib.AsyncExitStack, server: Server) -> None:
        """Start the rest."""
        settings, writer = self._settings, self._writer
        writer.on_jobs, writer.saturated = self._relay.enqueue, self._relay.saturated
        writer.on_set_aside = self._metrics.count_set_aside
        if self._stream is not None and ServerRole.RECORDER in self._roles:
            self._status.consumer = consumer = self._stream.consumer(self._client)
            consumer.start()
            stack.push_async_callback(consumer.stop, settings.intake.shutdown_timeout_s)
        self._heartbeat.start()
        stack.push_async_callback(self._heartbeat.stop)
        stack.push_async_callback(self._relay_owner.release)
        await self._relay_owner.acquire()
        self._spawn(
            stack,
            reap_slow_connections(
                server.server_state.connections,
                settings.intake.request_timeout_s,
                self._metrics.count_timeout,
                settings.server.reader_timeout_s,
                self._metrics.count_stalled_reader,
            ),
        )
        self._spawn(stack, self._certificates.watch())
        await self._numbers.read()
        self._spawn(stack, self._numbers.watch())
        self._spawn(stack, measure_lag(self._metrics.loop_lag_s))
        Watchdog.start_if_enabled()
        self._spawn(stack, self._status.compare_secrets(self._ledger))
        if self._stream is not None:
            self._spawn(stack, self._status.poll_stream(self._stream))
        freeze_gc()

    def _spawn(self, stack: contextlib.AsyncExitStack, work: Any) -> None:
        task = asyncio.create_task(work)
        stack.callback(task.cancel)

    async def _count(self, call_filter: CallFilter) -> int:
        return await asyncio.to_thread(self._ledger.read, lambda connection: count_calls(connection, call_filter))

    # Applications.

    def _app(self) -> Any:
        """The whole server as one ASGI application, without what is not this process's role."""
        settings, has = self._settings, self._roles.__contains__
        max_body_bytes = settings.intake.max_body_bytes
        callbacks = (
            CallbackApp(
                ChannelResolver(settings.tokens()), self._committer, self._metrics, max_body_bytes, self._tracer
            )
            if has(ServerRole.INTAKE)
            else RoleDisabledApp()
        )
        submitter = BulkSubmitter(self._committer, self._metrics, max_body_bytes, self._tracer)
        key_verifier = KeyVerifier(self._key, self._ledger)
        authenticator = Authenticator(key_verifier, AttemptLimiter(), settings.server.trusted_proxies)
        console = (
            LazyApp(lambda: self._console(key_verifier, authenticator, submitter), self._is_started)
            if has(ServerRole.CONSOLE)
            else None
        )
        health = HealthApp(self._numbers, self._committer, self._metrics, self._relay, self._stream_metrics())
        api = LazyApp(lambda: self._api(authenticator, submitter), self._is_started)
        return route(callbacks, health, api, console, base_path(settings))

    def _api(self, authenticator: Authenticator, submitter: BulkSubmitter) -> Any:
        from answerback.api.app import build_api, build_empty_api

        import_module("anyio._backends._asyncio")  # else anyio loads it with the first request
        if ServerRole.API not in self._roles:
            return build_empty_api()
        return build_api(
            self._ledger,
            authenticator,
            self._relay,
            submitter,
            self._channels,
            self._writer,
            self._settings.console.timezone,
            self._alerts,
            self._exports,
        )

    def _console(self, key_verifier: KeyVerifier, authenticator: Authenticator, submitter: BulkSubmitter) -> Any:
        from answerback.console.app import build_console
        from answerback.console.dependencies import ConsoleDependencies
        from answerback.console.links import Links

        import_module("anyio._backends._asyncio")
        settings = self._settings
        return build_console(
            ConsoleDependencies(
                ledger=self._ledger,
                key_verifier=key_verifier,
                authenticator=authenticator,
                committer=self._committer,
                relay=self._relay,
                submitter=submitter,
                ledger_client=self._writer,
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
                shutdown_callbacks=self._shutdown_callbacks,
            )
        )

    # Status.

    def _stream_metrics(self) -> Any:
        return None if self._stream is None else self._stream.metrics

    def _url(self) -> str:
        host, port = self._listener.getsockname()[:2]
        return base_url(host, port)

    def _startup_info(self) -> StartupInfo:
        return StartupInfo(
            url=self._url(),
            callback_urls=callback_urls(self._settings, self._listener.getsockname()[:2]),
            data_dir=self._settings.server.data_dir.resolve(),
            store=ledger_config(self._settings).location,
            roles=tuple(str(role) for role in self._settings.server.roles),
            admin_key=self._key.key if self._key.created else None,
        )


def _admin_key(settings: Settings) -> AdminKey:
    """The key that is set for all processes alike, or that of the data directory. Raises ConfigError."""
    if settings.server.admin_key is None:
        return AdminKey.load_or_create(settings.server.data_dir)
    return AdminKey(settings.server.admin_key.get_secret_value(), made=False, made_at=datetime.now(UTC))
