"""Coordinate the relays of a cluster: leases, notifications, and polling as the fallback."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import structlog

from answerback.errors import LedgerUnavailable
from answerback.ledger.backends.postgresql.notifier import Notification
from answerback.ledger.client import LedgerClient
from answerback.ledger.types import from_us, to_us
from answerback.ledger.write.annotations import AnnotateResult
from answerback.relay.dispatcher import Dispatcher
from answerback.relay.endpoint_manager import EndpointManager
from answerback.relay.lease_holder import LeaseHolder
from answerback.relay.overdue_watcher import OverdueWatcher
from answerback.relay.pollers import PendingSweeper, clean_removed_endpoints
from answerback.relay.singleton_tasks import SingletonTasks
from answerback.relay.wakeable_timer import WakeableTimer

_OVERDUE_POLL_S = 30.0
"""How late a call is marked overdue at most, if the notification of its `due_at` was lost."""

log = structlog.get_logger("answerback.relay")


@dataclass(frozen=True, kw_only=True)
class ClusterConfig:
    """This process in the cluster: its instance id, how it notifies the others, and how leases are held.

    `singletons` are tasks of other parts that one process at a time runs, while it holds their lease. A lease lasts
    `ttl_s` and is renewed every `renew_s`; every `refresh_s` the endpoints are polled for changes, and every `sweep_s` the
    ledger for deliveries, in case a notification was lost.
    """

    instance_id: str
    notify: Callable[[Notification], None] = lambda _: None
    singletons: Mapping[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    ttl_s: float = 15.0
    renew_s: float = 4.0
    refresh_s: float = 1.0
    sweep_s: float = 5.0


class ClusterCoordinator:
    """Runs the leases of this process; without `start_leases` it only notifies the others of their work."""

    def __init__(
        self,
        ledger: LedgerClient,
        dispatcher: Dispatcher,
        endpoint_manager: EndpointManager,
        overdue_watcher: OverdueWatcher,
        config: ClusterConfig,
    ) -> None:
        self._dispatcher = dispatcher
        self._endpoint_manager = endpoint_manager
        self._overdue_watcher = overdue_watcher
        self._config = config
        overdue_watcher.max_sleep_s = _OVERDUE_POLL_S
        self._singletons = SingletonTasks(
            {"overdue": overdue_watcher.run, "cleanup": partial(clean_removed_endpoints, ledger), **config.singletons}
        )
        self._sweeper = PendingSweeper(ledger, dispatcher, config.sweep_s)
        self._lease_holder = LeaseHolder(
            ledger,
            dispatcher,
            endpoint_manager,
            self._singletons,
            instance_id=config.instance_id,
            ttl_s=config.ttl_s,
            renew_s=config.renew_s,
            on_acquired=self._sweeper.wake,
            on_released=lambda: config.notify(Notification(leases_available=True)),
        )
        self._refresh_timer = WakeableTimer()
        self._tasks: list[asyncio.Task[None]] = []
        dispatcher.join_cluster(config.instance_id)
        dispatcher.on_remote_endpoints = self._notify_remote
        endpoint_manager.on_changed = self._notify_changed

    def start_refresh(self) -> None:
        """Start to apply the changes of other processes."""
        self._spawn(self._refresh_loop())

    def start_leases(self) -> None:
        self._spawn(self._lease_holder.run())
        self._spawn(self._sweeper.run())
        self._config.notify(Notification(leases_available=True))  # the others release what is above their share now

    async def stop_singletons(self) -> None:
        """Take no new lease, and stop the singleton tasks."""
        for task in self._tasks:
            task.cancel()
        await self._singletons.stop()

    async def release(self) -> None:
        """Release all leases; nothing may be in flight any more."""
        await self._lease_holder.stop()

    def on_notification(self, notification: Notification) -> None:
        if notification.endpoints_changed:
            self._refresh_timer.wake()
        if notification.leases_available:
            self._lease_holder.wake()
        if notification.full_resync:
            self._sweeper.wake()
        for endpoint_id in notification.endpoints_with_work:
            if self._dispatcher.queue_for(endpoint_id) is not None:
                self._dispatcher.refill(endpoint_id)
        for channel, call_id in notification.annotated_calls:
            self._dispatcher.invalidate_call(channel, call_id)
        if notification.next_due_us is not None:
            self._overdue_watcher.schedule(from_us(notification.next_due_us))

    def notify_annotated(self, annotated: AnnotateResult) -> None:
        """Notify the others that a call was annotated."""
        due_us = None if annotated.call.due_at is None else to_us(annotated.call.due_at)
        self._config.notify(
            Notification(annotated_calls=((annotated.call.channel, annotated.call_id),), next_due_us=due_us)
        )

    @property
    def singletons(self) -> list[str]:
        return self._singletons.active

    def _notify_remote(self, endpoint_ids: Collection[int]) -> None:
        self._config.notify(Notification(endpoints_with_work=tuple(endpoint_ids)))

    def _notify_changed(self) -> None:
        self._lease_holder.wake()
        self._config.notify(Notification(endpoints_changed=True, leases_available=True))

    async def _refresh_loop(self) -> None:
        while True:
            await self._refresh_timer.wait(self._config.refresh_s)
            with contextlib.suppress(LedgerUnavailable):
                await self._endpoint_manager.refresh()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(_log_failure)
        self._tasks.append(task)


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error("relay_task_failed", exc_info=error)
