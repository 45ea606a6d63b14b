"""The relay's facade: started and stopped as one."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import structlog

from answerback.certificates import Certificates
from answerback.errors import AnswerbackError, LedgerUnavailable, StateConflict, UnavailableReason
from answerback.ledger import DeliveryJob
from answerback.ledger.backends.postgresql.notifier import Notification
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import AnnotateCall
from answerback.ledger.read.calls import CallFilter
from answerback.ledger.write.annotations import AnnotateResult, CallAnnotation
from answerback.relay.coordinator import ClusterConfig, ClusterCoordinator
from answerback.relay.dispatcher import Dispatcher
from answerback.relay.egress_policy import Network
from answerback.relay.endpoint_changes import ConfigEndpoint
from answerback.relay.endpoint_manager import EndpointManager
from answerback.relay.metrics import RelayMetrics
from answerback.relay.overdue_watcher import OverdueWatcher
from answerback.relay.replays import ReplayManager
from answerback.relay.retry_policy import RetryPolicy
from answerback.relay.sender import WebhookSender

if TYPE_CHECKING:
    from answerback.tracing.tracer import Tracer

_JOIN_RETRY_S = 2.0

log = structlog.get_logger("answerback.relay")


class Relay:
    """Delivers to the endpoints. Create it inside the loop; nothing is sent before `start` or `join`."""

    def __init__(
        self,
        ledger: LedgerClient,
        policy: RetryPolicy,
        *,
        allowed_networks: Sequence[Network],
        default_channel: str | None,
        count: Callable[[CallFilter], Awaitable[int]],
        under_pressure: Callable[[], bool],
        certificates: Certificates | None = None,
        proxy: str | None = None,
        tracer: "Tracer | None" = None,
        recorded_us: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._ledger = ledger
        self.default_channel = default_channel
        """The channel of a call that is named without one, where there is only one."""
        self._sender = WebhookSender(allowed_networks, certificates, proxy)
        self.metrics = RelayMetrics()
        self._dispatcher = Dispatcher(ledger, self._sender, self.metrics, policy, under_pressure, tracer)
        self._overdue_watcher = OverdueWatcher(ledger, self._dispatcher, recorded_us)
        self._endpoint_manager = EndpointManager(ledger, self._dispatcher, self._sender)
        self._replays = ReplayManager(ledger, self._dispatcher, count)
        self._overdue_task: asyncio.Task[None] | None = None
        self._coordinator: ClusterCoordinator | None = None
        self._join_task: asyncio.Task[None] | None = None
        self._has_joined = self._takes_leases = False

    @property
    def endpoints(self) -> EndpointManager:
        """The endpoints. Raises StateConflict where another gateway alone relays for this ledger."""
        self._require_can_manage()
        return self._endpoint_manager

    @property
    def replays(self) -> ReplayManager:
        """Replays of deliveries. Raises StateConflict where another gateway alone relays for this ledger."""
        self._require_can_manage()
        return self._replays

    @property
    def is_active(self) -> bool:
        return self._overdue_task is not None or (self._has_joined and self._takes_leases)

    @property
    def can_manage(self) -> bool:
        """Whether endpoints can be changed, and deliveries replayed, by this process."""
        return self._overdue_task is not None or self._has_joined

    @property
    def status(self) -> dict[str, object]:
        """What the heartbeat reports: how many endpoints it delivers to, whether exclusively, which are paused, its singleton tasks."""
        exclusive = self._overdue_task is not None
        return {
            "exclusive": exclusive,
            "endpoints": len(self._dispatcher.active_ids) if self.is_active else 0,
            "paused": dict(self.metrics.paused),
            "singleton_tasks": self._coordinator.singletons if self._coordinator else ["overdue"] * exclusive,
        }

    async def start(self, config_endpoints: Mapping[str, ConfigEndpoint]) -> None:
        """Start to deliver to all endpoints; `config_endpoints` are those of the config file. Raises ConfigError, LedgerUnavailable."""
        await self._dispatcher.start(await self._endpoint_manager.start(config_endpoints))
        self._overdue_task = asyncio.get_running_loop().create_task(self._overdue_watcher.run())

    async def join(
        self, cluster: ClusterConfig, config_endpoints: Mapping[str, ConfigEndpoint], *, takes_leases: bool
    ) -> None:
        """Start as one of a cluster; with `takes_leases` it delivers to its share of the endpoints, and syncs those of the file.

        It keeps trying while the ledger is away. Raises ConfigError.
        """
        self._takes_leases = takes_leases
        self._coordinator = coordinator = ClusterCoordinator(
            self._ledger, self._dispatcher, self._endpoint_manager, self._overdue_watcher, cluster
        )
        try:
            await self._join(coordinator, config_endpoints)
        except LedgerUnavailable as error:
            log.warning("relay_standby", reason=str(error), detail=error.detail)
            self._join_task = asyncio.get_running_loop().create_task(self._join_later(coordinator, config_endpoints))

    async def _join(self, coordinator: ClusterCoordinator, config_endpoints: Mapping[str, ConfigEndpoint]) -> None:
        await self._endpoint_manager.join(config_endpoints, sync_config=self._takes_leases)
        self._has_joined = True
        coordinator.start_refresh()
        if self._takes_leases:
            coordinator.start_leases()

    async def _join_later(
        self, coordinator: ClusterCoordinator, config_endpoints: Mapping[str, ConfigEndpoint]
    ) -> None:
        logged = ""
        while not self._has_joined:
            await asyncio.sleep(_JOIN_RETRY_S)
            try:
                await self._join(coordinator, config_endpoints)
            except AnswerbackError as error:
                if str(error) != logged:
                    log.error("relay_standby", reason=str(error))  # noqa: TRY400  # the words are enough
                logged = str(error)

    async def reload(self, config_endpoints: Mapping[str, ConfigEndpoint]) -> None:
        """Take over other endpoints of the config file. Raises ConfigError, LedgerUnavailable: nothing was changed."""
        if self.can_manage:
            await self._endpoint_manager.reload(config_endpoints, sync_config=self.is_active)

    def on_notification(self, notification: Notification) -> None:
        if self._coordinator is not None and self._has_joined:
            self._coordinator.on_notification(notification)

    async def stop(self, timeout_s: float) -> None:
        for task in (self._overdue_task, self._join_task):
            if task is not None:
                task.cancel()
        if self._coordinator is not None:
            await self._coordinator.stop_singletons()
        if self.can_manage:
            self._replays.stop()
            await self._dispatcher.stop(timeout_s)
        if self._coordinator is not None and self._takes_leases:
            await self._coordinator.release()
        await self._sender.close()

    def enqueue(self, jobs: Sequence[DeliveryJob], backlogged: Sequence[int]) -> None:
        """Queue the jobs of a commit, and note the endpoints that have more in the ledger."""
        if self.can_manage:
            self._dispatcher.enqueue(jobs, backlogged)

    def on_erased(self) -> None:
        """A number was erased from the ledger: what is queued here may still hold it."""
        self._dispatcher.invalidate_all()

    @property
    def saturated(self) -> Collection[int]:
        """The endpoints for which `enqueue` has no room, kept up to date."""
        return self._dispatcher.saturated

    async def annotate_call(self, callid: str, channel: str | None, annotation: CallAnnotation) -> AnnotateResult:
        """Annotate a call; the next delivery carries it. Raises AmbiguousCall, ResourceNotFound."""
        annotated = await self._ledger.execute(AnnotateCall(channel, self.default_channel, callid, annotation))
        if self._coordinator is not None:
            self._coordinator.notify_annotated(annotated)
        if self.can_manage:
            self._dispatcher.invalidate_call(annotated.call.channel, annotated.call_id)
            self._dispatcher.enqueue(annotated.jobs)
            if annotated.call.due_at is not None:
                self._overdue_watcher.schedule(annotated.call.due_at)
        return annotated

    def _require_can_manage(self) -> None:
        if self._coordinator is not None and not self._has_joined:
            raise LedgerUnavailable(UnavailableReason.ENDPOINTS_UNREAD)
        if not self.can_manage:
            raise StateConflict("another gateway on this data directory delivers: send the request to that one")
