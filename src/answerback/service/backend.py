"""What is behind the log: the ledger and its writer, the recorder, the relay, the alerts, the API and the console."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import msgspec

from answerback.api.ledger_gauges import LedgerGauges
from answerback.auth.api_keys import KeyVerifier
from answerback.auth.attempt_limits import AttemptLimiter
from answerback.auth.authenticator import Authenticator
from answerback.auth.server_secret import ServerSecret
from answerback.auth.sign_in_links import SignInLinks
from answerback.certificates import Certificates
from answerback.config import ServerRole, Settings
from answerback.erasures.manager import ErasureManager
from answerback.errors import LedgerUnavailable
from answerback.exports.process import ExportManager
from answerback.feed.activity_feed import ActivityFeed
from answerback.heartbeat import Heartbeat
from answerback.inbox import INBOX_FILE, Inbox
from answerback.intake import BulkSubmitter
from answerback.ledger.admin.audit import GATEWAY
from answerback.ledger.admin.instances import Instance, InstanceStatus
from answerback.ledger.commands import SetQuarantineBounds
from answerback.ledger.read.calls import CallFilter, count_calls
from answerback.ledger.writer.client import WriterClient
from answerback.ledger.writer.spawning import WriterHandle
from answerback.recorder import InboxRecorder, Recorder, RecorderMetrics, StreamRecorder
from answerback.relay import Relay
from answerback.service.factories import (
    admin_key,
    build_alerts,
    build_lag_alerts,
    documents,
    inbox_config,
    reload_alerts,
    retry_policy,
)
from answerback.service.front import Front
from answerback.service.ledger_config import ledger_config
from answerback.service.process_status import ProcessStatus
from answerback.service.pruner import Pruner
from answerback.service.relay_owner import SingletonJobs, build_relay_owner
from answerback.service.urls import base_path, callback_urls, local_url
from answerback.tracing.client import TracingClient

if TYPE_CHECKING:
    from answerback.alerts import Target
    from answerback.tracing.tracer import Tracer

_WRITER_STOP_S = 0.5
_NOTE_EVERY_S = 1.0


async def _note_failures(inbox: Inbox, failure: Callable[[], str | None]) -> None:
    """Have the inbox keep, for ever, why nothing is recorded."""
    while True:
        inbox.note_failure(failure())
        await asyncio.sleep(_NOTE_EVERY_S)


class Backend:
    """The parts of one process that need the ledger; `open_ledger`, then `start`."""

    recorder: Recorder | None = None
    _inbox_recorder: InboxRecorder | None = None
    _noting: asyncio.Task[None] | None = None
    is_started = False

    def __init__(
        self,
        settings: Settings,
        secret: ServerSecret,
        certificates: Certificates,
        front: Front,
        spawned: WriterHandle,
        tracer: "Tracer | None",
        instance: Instance,
        address: tuple[str, int],
        url: str,
        shutdown_callbacks: list[Callable[[], None]],
    ) -> None:
        self._settings = settings
        self._secret = secret
        self._front = front
        self._writer = WriterClient(ledger_config(settings), spawned)
        self._client = self._writer if tracer is None else TracingClient(self._writer, tracer)
        self._tracer = tracer
        self._instance = instance
        self._address = address
        self._url = url
        self._shutdown_callbacks = shutdown_callbacks
        self._certificates = certificates
        self.recorder_metrics = RecorderMetrics()
        self._stack = contextlib.AsyncExitStack()

    def start_lag_alerts(self, ledger_failure: Callable[[], object | None]) -> None:
        """Begin to watch how far the ledger is behind, and why; it need not be there yet. Raises ConfigError where a URL is invalid."""

        def failure() -> str | None:
            found = ledger_failure() if self.recorder is None else self.recorder.failure
            return None if found is None else str(found)

        self._lag_alerts = build_lag_alerts(
            self._settings, partial(self._front.unrecorded_s, self._instance.started_us), failure
        )
        self._lag_alerts.start()
        self._stack.push_async_callback(self._lag_alerts.stop)
        if self._front.inbox is not None:
            self._noting = asyncio.create_task(_note_failures(self._front.inbox, failure))
            self._stack.callback(self._noting.cancel)

    def open_ledger(self, *, new_ledger: bool) -> None:
        """Open the ledger; blocks. Raises LedgerUnavailable, SchemaMismatch, UnsafeStorage, MissingExtra."""
        self._ledger = ledger_config(self._settings).open(new_ledger=new_ledger)
        self._stack.callback(self._ledger.close)
        self._writer.config = msgspec.structs.replace(self._writer.config, file_ids=self._ledger.file_ids)
        self.admin_key = admin_key(self._settings)  # only now: it is shown once

    async def start(self) -> None:
        """Start each part after those that it needs. Raises ConfigError where an endpoint is invalid."""
        stack, front = self._stack, self._front
        self._build()
        await self._writer.start()
        stack.push_async_callback(self._writer.stop, _WRITER_STOP_S)
        if self._noting is not None:
            stack.callback(self._noting.cancel)  # a writer that was stopped is no reason
        self._writer.on_jobs, self._writer.saturated = self.relay.enqueue, self.relay.saturated
        self._writer.on_set_aside = front.metrics.count_set_aside
        self._heartbeat.start()
        stack.push_async_callback(self._heartbeat.stop)
        stack.push_async_callback(self._relay_owner.release)
        await self._relay_owner.acquire()
        self._relay_owner.write_url_file(self._url)
        await self._start_recording()
        await self.numbers.read()
        self._spawn(self.numbers.watch())
        self._spawn(self._certificates.watch())
        self._spawn(self._status.compare_secrets(self._ledger))
        if front.stream is not None:
            self._spawn(self._status.poll_stream(front.stream))
        self.is_started = True

    @property
    def writer_pid(self) -> int | None:
        """The process that writes the ledger; None while it starts again."""
        return self._writer.pid

    async def sign_in_url(self) -> str | None:
        """A link that signs in with the admin key, for the terminal of who started this; None where the ledger does not take it."""
        try:
            link = await self._links.create(GATEWAY, self.admin_key.holder)
        except LedgerUnavailable:
            return None
        return link.url(self._settings.server.public_url or local_url(*self._address))

    async def catch_up(self, timeout_s: float) -> float:
        """Wait until what this process has answered is recorded; the seconds that the ledger is behind after `timeout_s`."""
        if self._inbox_recorder is not None:
            return await self._inbox_recorder.catch_up(timeout_s)
        if self.is_started and self._front.publisher is not None:
            return await self._front.publisher.recent.catch_up(self._ledger, timeout_s)
        return 0.0

    async def reload_endpoints(self, settings: Settings) -> None:
        """Take over the endpoints of the config file. Raises ConfigError, LedgerUnavailable: nothing was changed."""
        if self.is_started:
            await self._relay_owner.reload(settings)

    def reload(self, settings: Settings, targets: "Sequence[Target]") -> None:
        """Take over everything else, `targets` for the alerts; what is not started yet starts with it."""
        self._settings = settings
        reload_alerts(self._lag_alerts, settings, targets, is_lag=True)
        self._writer.config = msgspec.structs.replace(
            self._writer.config,
            quarantine_bytes=settings.quarantine.max_bytes,
            quarantine_per_minute=settings.quarantine.max_per_minute,
        )
        if not self.is_started:
            return
        reload_alerts(self.alerts, settings, targets, is_lag=False)
        self.pruner.reload(settings.retention.policy())
        self.relay.default_channel = self._default_channel
        self._spawn(self._send_quarantine_bounds(settings))

    async def _send_quarantine_bounds(self, settings: Settings) -> None:
        with contextlib.suppress(LedgerUnavailable):  # a writer that starts again gets them with its config
            await self._writer.execute(
                SetQuarantineBounds(settings.quarantine.max_bytes, settings.quarantine.max_per_minute)
            )

    async def stop(self) -> None:
        """End the parts in the opposite order; what is left in the log is recorded first, as far as there is time."""
        await self._stack.aclose()

    async def _start_recording(self) -> None:
        front = self._front
        recorder: Recorder | None = None
        if front.inbox is not None:
            self._inbox_recorder = recorder = InboxRecorder(front.inbox, self._client, self.recorder_metrics)
        elif front.stream is not None and front.records:
            recorder = StreamRecorder(front.stream.consumer(), self._client, self.recorder_metrics)
        if recorder is not None:
            self.recorder = self._status.recorder = recorder
            recorder.start()
            self._stack.push_async_callback(recorder.stop, self._settings.intake.shutdown_timeout_s)

    def _build(self) -> None:
        """Make the parts that need the running loop."""
        settings, writer, front = self._settings, self._writer, self._front
        self._status = ProcessStatus(self._url, front, self._secret)
        self.relay = self._status.relay = Relay(
            writer,
            retry_policy(settings.relay),
            allowed_networks=settings.relay.allowed_networks,
            default_channel=self._default_channel,
            count=self._count,
            under_pressure=lambda: front.under_pressure,
            certificates=self._certificates,
            proxy=None if settings.relay.proxy is None else settings.relay.proxy.get_secret_value(),
            tracer=self._tracer,
            recorded_us=self._status.recorded_us,
        )
        self.alerts = build_alerts(settings, writer, self._ledger, self._status.recorded_us, self._lag_alerts)
        self.numbers = LedgerGauges(self._ledger, self.alerts)
        self._exports = ExportManager(writer.config, writer)
        self._feed = ActivityFeed(self._ledger)
        self._shutdown_callbacks += [self._exports.stop, self._feed.close]
        self._heartbeat = Heartbeat(writer, self._instance, self._status.report)
        self.pruner = self._status.pruner = Pruner(writer, settings.retention.policy())
        erasures = ErasureManager(
            self._ledger,
            writer,
            lambda: writer.config,
            inbox_config(settings).directory / INBOX_FILE if front.inbox is not None else None,
            self._secret.erasure_key,
            self._status.erasable_us,
            self.relay.on_erased,
            is_alone=settings.ledger.url is None and front.stream is None,
        )
        tasks: SingletonJobs = {"erasures": erasures.run_forever, "retention": self.pruner.run_forever}
        self._relay_owner = build_relay_owner(settings, self.relay, self.alerts, tasks, self._instance.id)
        self._submitter = BulkSubmitter(front.handler)
        self._key_verifier = KeyVerifier(self.admin_key, self._ledger)
        self._links = SignInLinks(self._key_verifier, self._secret.session_key, writer)
        self._authenticator = Authenticator(
            self._key_verifier, AttemptLimiter(), settings.server.trusted_proxies, self._links
        )

    @property
    def _channels(self) -> tuple[str, ...]:
        return tuple(self._settings.tokens())

    @property
    def _default_channel(self) -> str | None:
        return self._channels[0] if len(self._channels) == 1 else None

    def _spawn(self, work: Any) -> None:
        self._stack.callback(asyncio.create_task(work).cancel)

    async def _count(self, call_filter: CallFilter) -> int:
        return await asyncio.to_thread(self._ledger.read, count_calls, call_filter)

    # Applications.

    def build_api(self) -> Any:
        """The application of /v1; blocks."""
        from answerback.api.app import build_api, build_empty_api

        import_module("anyio._backends._asyncio")  # else anyio loads it with the first request
        if ServerRole.API not in self._settings.server.roles:
            return build_empty_api()
        return build_api(
            self._ledger,
            self._authenticator,
            self.relay,
            self._submitter,
            self._channels,
            self._writer,
            self._settings.console.timezone,
            self.alerts,
            self._exports,
            self._feed,
            self._inbox_recorder,
            self._links,
            self._settings.server.public_url,
            self._secret.erasure_key,
            self._instance_status,
        )

    def _instance_status(self) -> InstanceStatus:
        """How this process is, as its next heartbeat would say."""
        return InstanceStatus(instance=self._instance, silent_us=0, status=msgspec.to_builtins(self._status.report()))

    def build_console(self) -> Any:
        """The application of the pages; blocks."""
        from answerback.console.app import build_console
        from answerback.console.dependencies import ConsoleDependencies
        from answerback.console.links import Links

        import_module("anyio._backends._asyncio")
        settings = self._settings
        return build_console(
            ConsoleDependencies(
                ledger=self._ledger,
                key_verifier=self._key_verifier,
                authenticator=self._authenticator,
                log_failure=lambda: self._front.failure,
                recorder=self._inbox_recorder,
                relay=self.relay,
                submitter=self._submitter,
                ledger_client=self._writer,
                feed=self._feed,
                alerts=self.alerts,
                exports=self._exports,
                certificates=self._certificates.names,
                documents=documents(),
                callback_urls=callback_urls(settings, self._address),
                zone=ZoneInfo(settings.console.timezone),
                session_hours=settings.console.session_hours,
                session_key=self._secret.session_key,
                public_url=settings.server.public_url,
                data_dir=settings.server.data_dir.resolve(),
                links=Links(base_path(settings)),
            )
        )
