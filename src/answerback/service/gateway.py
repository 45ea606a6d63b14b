"""One process of the gateway. Callbacks are answered first; what is behind the log loads, starts and fails behind them."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import structlog

from answerback.api.health import HealthApp
from answerback.auth.server_secret import ServerSecret
from answerback.certificates import Certificates
from answerback.config import ServerRole, Settings
from answerback.config.changes import check_reloadable, find_changes
from answerback.errors import AnswerbackError, ConfigError, MissingExtra, UnsafeStorage, public_reason
from answerback.gc_tuning import freeze_gc
from answerback.http_protocol import reap_slow_connections
from answerback.inbox import Inbox
from answerback.intake import CallbackProtocol
from answerback.ledger.writer.spawning import WriterHandle
from answerback.logs import set_log_level
from answerback.service.factories import build_stream, build_tracer, open_alert_targets, open_certificates
from answerback.service.front import Front
from answerback.service.http import Server, http_config, route
from answerback.service.lazy_app import LazyApp
from answerback.service.loop_watch import Watchdog, measure_loop_lag
from answerback.service.read_barrier import ReadBarrier
from answerback.service.urls import base_path, base_url, callback_urls, outside_url

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from answerback.auth.api_keys import AdminKey
    from answerback.ledger.admin.instances import Instance
    from answerback.service.backend import Backend

_LEDGER_RETRY_S = 2.0
_TRACER_STOP_S = 1.5

log = structlog.get_logger("answerback.service")


@dataclass(frozen=True)
class StartupInfo:
    """What a newly started gateway prints. `admin_key` is set at the very first start only, `ledger_failure` if the ledger is away.

    `sign_in_url` is set where a link was asked for, and there is a console.
    """

    url: str
    console_url: str
    callback_urls: dict[str, str]
    data_dir: Path
    store: str
    roles: tuple[str, ...]
    admin_key: str | None
    ledger_failure: str | None
    sign_in_url: str | None


class Gateway:
    """All parts of one process: those in front of the log, and those behind it."""

    def __init__(
        self,
        settings: Settings,
        secret: ServerSecret,
        certificates: Certificates,
        inbox: Inbox | None,
        spawned: WriterHandle,
        listener: socket.socket,
        *,
        new_ledger: bool,
        sign_in_link: bool,
        load_settings: Callable[[], Settings] | None,
    ) -> None:
        self._settings = settings
        self._secret = secret
        self._certificates = certificates
        self._inbox = inbox
        self._spawned = spawned
        self._listener = listener
        self._address: tuple[str, int] = listener.getsockname()[:2]
        self._new_ledger = new_ledger
        self._wants_link = sign_in_link and ServerRole.CONSOLE in settings.server.roles
        self._load_settings = load_settings
        self._lazy_apps: list[LazyApp] = []
        self._changing = asyncio.Lock()
        """Held while the backend starts, and while other settings are taken over."""
        self._reloads: set[asyncio.Task[None]] = set()
        self._shutdown_callbacks: list[Callable[[], None]] = []
        self._backend: Backend | None = None
        self._ledger_failure: AnswerbackError | None = None
        self._is_settled = asyncio.Event()
        """Set when the backend has started, or cannot yet."""

    async def run(self, on_started: Callable[[StartupInfo], None]) -> None:
        """Answer callbacks; start the rest behind; serve until a signal, and stop. Raises ConfigError, MissingExtra."""
        async with contextlib.AsyncExitStack() as stack:
            server = await self._open(stack)
            serving = asyncio.create_task(server.serve(sockets=[self._listener]))
            behind = asyncio.create_task(self._run_backend(on_started))
            await asyncio.wait([serving, behind], return_when=asyncio.FIRST_COMPLETED)
            if behind.done() and behind.exception() is not None:
                server.should_exit = True
            await serving
            behind.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await behind
        if self._inbox is not None and (left := self._inbox.waiting()).rows:
            log.warning("rows_left", rows=left.rows, callbacks=left.callbacks, todo="the next start records them")
        log.info("stopped", answered=sum(self._front.metrics.responses.values()))

    async def _open(self, stack: contextlib.AsyncExitStack) -> Server:
        """Start what callbacks are answered with; `stack` will end it."""
        settings = self._settings
        stream = build_stream(settings)
        self._tracer = build_tracer(settings, self._this_instance, self._secret.id_key)
        if self._tracer is not None:
            self._tracer.start()
            stack.push_async_callback(asyncio.to_thread, self._tracer.stop, _TRACER_STOP_S)
        self._front = front = Front(settings, self._inbox, stream, self._tracer)
        await front.start(stack)
        server = Server(http_config(self._app(), settings.intake, partial(CallbackProtocol, front.handler)))
        server.install_signal_handlers(self._shutdown_callbacks, self._on_reload if self._load_settings else None)
        watching = (
            reap_slow_connections(
                server.server_state.connections,
                settings.intake.request_timeout_s,
                front.metrics.count_timeout,
                settings.server.reader_timeout_s,
                front.metrics.count_stalled_reader,
            ),
            measure_loop_lag(front.metrics.loop_lag_s),
        )
        for work in watching:
            stack.callback(asyncio.create_task(work).cancel)
        return server

    async def _run_backend(self, on_started: Callable[[StartupInfo], None]) -> None:
        """Start what is behind the log, as soon as the ledger can be opened, and stop it when this is cancelled."""
        await asyncio.to_thread(import_module, "answerback.service.backend")  # takes longer than all before it
        from answerback.service.backend import Backend

        self._backend = backend = Backend(
            self._settings,
            self._secret,
            self._certificates,
            self._front,
            self._spawned,
            self._tracer,
            self._this_instance(),
            self._address,
            base_url(*self._address),
            self._shutdown_callbacks,
        )
        try:
            backend.start_lag_alerts(lambda: self._ledger_failure)
            await self._open_ledger(backend, on_started)
            async with self._changing:
                await backend.start()
            freeze_gc()
            Watchdog.start_if_enabled()
            link = await backend.sign_in_url() if self._wants_link else None
            self._report_started(on_started, backend.admin_key, link)
            await asyncio.Event().wait()
        finally:
            self._is_settled.set()
            await backend.stop()

    async def _open_ledger(self, backend: "Backend", on_started: Callable[[StartupInfo], None]) -> None:
        """Return when the ledger is open, however long it is away. Raises what no time will mend."""
        while True:
            try:
                await asyncio.to_thread(backend.open_ledger, new_ledger=self._new_ledger)
            except (ConfigError, MissingExtra):
                raise
            except AnswerbackError as error:
                before, self._ledger_failure = self._ledger_failure, error
                if before is None:
                    freeze_gc()  # it may be long before the rest is loaded
                if before is None and isinstance(error, UnsafeStorage):
                    raise
                if before is None or str(before) != str(error):
                    log.error("ledger_unavailable", reason=str(error), detail=getattr(error, "detail", ""))  # noqa: TRY400
                self._report_started(on_started)
                await asyncio.sleep(_LEDGER_RETRY_S)
            else:
                if self._ledger_failure is not None:
                    log.info("ledger_opened", was=str(self._ledger_failure))
                self._ledger_failure = None
                return

    def _on_reload(self) -> None:
        reload = asyncio.get_running_loop().create_task(self._reload())
        self._reloads.add(reload)
        reload.add_done_callback(self._reloads.discard)

    async def _reload(self) -> None:
        """Take over what has changed in the settings, or nothing of it; callbacks are answered meanwhile."""
        assert self._load_settings is not None  # noqa: S101  # else nobody asks
        async with self._changing:
            try:
                new = await asyncio.to_thread(self._load_settings)
                changes = find_changes(self._settings, new)
                check_reloadable(changes)
                await self._take_over(new, {change.setting.partition(".")[0] for change in changes})
            except AnswerbackError as error:
                log.error("config_refused", reason=str(error), todo="nothing was changed: correct it, and reload again")  # noqa: TRY400
            except Exception:  # a bug of ours must not go unseen
                log.exception("config_refused")
            else:
                log.info("config_reloaded", changes=[str(change) for change in changes])

    async def _take_over(self, new: Settings, sections: Collection[str]) -> None:
        """First what may be refused, then the rest. Raises ConfigError, MissingExtra, LedgerUnavailable."""
        certificates = await asyncio.to_thread(open_certificates, new) if "certificates" in sections else None
        targets = await asyncio.to_thread(open_alert_targets, new) if new.alerts.rules else []
        if certificates is not None:
            await asyncio.to_thread(self._certificates.swap, certificates)
        backend = self._backend
        try:
            if backend is not None and "endpoints" in sections:
                await backend.reload_endpoints(new)
        except BaseException:
            if certificates is not None:
                await asyncio.to_thread(self._certificates.swap, certificates)
            raise
        self._settings = new
        set_log_level(new.log.level)
        self._front.reload(new)
        if backend is not None:
            backend.reload(new, targets)
        for app in self._lazy_apps:
            app.reset()

    def _report_started(
        self,
        on_started: Callable[[StartupInfo], None],
        admin_key: "AdminKey | None" = None,
        sign_in_url: str | None = None,
    ) -> None:
        """Say once where this process listens: when all runs, or the ledger is found to be away."""
        if self._is_settled.is_set():
            return
        from answerback.service.ledger_config import ledger_config

        error = self._ledger_failure
        info = StartupInfo(
            url=base_url(*self._address),
            console_url=f"{outside_url(self._settings, self._address)}/console",
            callback_urls=callback_urls(self._settings, self._address),
            data_dir=self._settings.server.data_dir.resolve(),
            store=ledger_config(self._settings).location,
            roles=tuple(str(role) for role in self._settings.server.roles),
            admin_key=admin_key.key if admin_key is not None and admin_key.created else None,
            ledger_failure=None if error is None else getattr(error, "explanation", str(error)),
            sign_in_url=sign_in_url,
        )
        log.info("started", url=info.url, store=info.store, roles=info.roles, channels=sorted(info.callback_urls))
        self._is_settled.set()
        on_started(info)

    @cache  # noqa: B019  # there is one gateway in a process
    def _this_instance(self) -> "Instance":
        from answerback.heartbeat import new_instance

        return new_instance(self._settings.server.roles)

    # Applications.

    def _app(self) -> Any:
        """All but the callback URL as one ASGI application, without what is not this process's role."""
        console = ServerRole.CONSOLE in self._settings.server.roles
        return route(
            HealthApp(self._failure, self._registry),
            self._lazy_app(lambda backend: backend.build_api()),
            self._lazy_app(lambda backend: backend.build_console()) if console else None,
            base_path(self._settings),
        )

    def _lazy_app(self, build: "Callable[[Backend], Any]") -> LazyApp:
        app = LazyApp(
            lambda: ReadBarrier(build(cast("Backend", self._backend)), self._catch_up),
            self._is_settled,
            self._unavailable,
        )
        self._lazy_apps.append(app)
        return app

    async def _catch_up(self) -> float:
        return await cast("Backend", self._backend).catch_up(self._settings.api.read_wait_ms / 1000)

    def _unavailable(self) -> str | None:
        """Why there is nothing to be seen yet."""
        if self._backend is not None and self._backend.is_started:
            return None
        return "it is being opened" if self._ledger_failure is None else public_reason(self._ledger_failure)

    def _failure(self) -> str | None:
        """Why this process is not ready: it cannot store, or, where it takes no callbacks, has nothing to show."""
        return self._front.failure if self._front.committer is not None else self._unavailable()

    def _registry(self) -> "CollectorRegistry":
        from answerback.api.metrics import build_registry
        from answerback.recorder import RecorderMetrics

        front = self._front
        backend = self._backend if self._backend is not None and self._backend.is_started else None
        pruned = {} if backend is None else backend.pruner.deleted
        recorder = None if backend is None else backend.recorder
        metrics = RecorderMetrics() if backend is None else backend.recorder_metrics
        return build_registry(
            front.metrics,
            front.committer,
            ledger=None if backend is None else (backend.numbers, backend.relay, pruned),
            stream=None if front.stream is None else front.stream.metrics,
            recorder=(recorder, metrics, front.inbox) if front.records else None,
            writer_pid=None if backend is None else backend.writer_pid,
        )
