"""Hold leases: a process delivers to the endpoints whose lease it holds, a fair share of all.

A lease is counted from before it was requested, so it ends here before it does in the ledger. Some time before that
no attempt starts any more, then those in flight are cancelled: no two processes deliver to one endpoint at a time.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog

from answerback.errors import LedgerUnavailable, UnavailableReason
from answerback.ledger.admin.leases import ClaimResult
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import ClaimLeases, ReleaseLeases
from answerback.relay.dispatcher import Dispatcher
from answerback.relay.endpoint_manager import EndpointManager
from answerback.relay.singleton_tasks import SingletonTasks
from answerback.relay.wakeable_timer import WakeableTimer, boottime_s

_SEND_FRACTION = 0.8
"""The part of a lease in which attempts may start; in the rest they may finish."""

_CANCEL_FRACTION = 0.9
_RETRY_S = 0.5
_RELEASE_TIMEOUT_S = 1.0
_US = 1_000_000

log = structlog.get_logger("answerback.relay")


class LeaseHolder:
    """Acquire and renew leases. `on_acquired` is called when some are new, `on_released` when others may take some."""

    def __init__(
        self,
        ledger: LedgerClient,
        dispatcher: Dispatcher,
        endpoint_manager: EndpointManager,
        singletons: SingletonTasks,
        *,
        instance_id: str,
        ttl_s: float,
        renew_s: float,
        on_acquired: Callable[[], None],
        on_released: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._dispatcher = dispatcher
        self._endpoint_manager = endpoint_manager
        self._singletons = singletons
        self._instance_id = instance_id
        self._ttl_s = ttl_s
        self._renew_s = renew_s
        self._on_acquired = on_acquired
        self._on_released = on_released
        self._timer = WakeableTimer()
        self._expiry_timer: asyncio.TimerHandle | None = None
        self._releasing: dict[int, asyncio.Task[None]] = {}

    def wake(self) -> None:
        """Claim now: a lease may have become available."""
        self._timer.wake()

    async def run(self) -> None:
        failing = False
        while True:
            try:
                await self._claim()
                failing = False
            except LedgerUnavailable as error:
                if not failing:
                    log.warning("lease_renewal_failed", reason=str(error), detail=error.detail)
                failing = True
            await self._timer.wait(_RETRY_S if failing else self._renew_s)

    async def stop(self) -> None:
        """Release all leases; nothing may be in flight any more."""
        if self._expiry_timer is not None:
            self._expiry_timer.cancel()
        for task in self._releasing.values():
            task.cancel()
        with contextlib.suppress(LedgerUnavailable, TimeoutError):
            async with asyncio.timeout(_RELEASE_TIMEOUT_S):
                if await self._ledger.execute(ReleaseLeases(self._instance_id, None)):
                    self._on_released()

    async def _claim(self) -> None:
        """Renew the leases that are held, and acquire those that are free. Raises LedgerUnavailable."""
        requested_s, active_ids = boottime_s(), self._dispatcher.active_ids
        claimed = await self._ledger.execute(
            ClaimLeases(self._instance_id, active_ids, self._singletons.names, round(self._ttl_s * _US))
        )
        elapsed_s = boottime_s() - requested_s
        if elapsed_s >= self._ttl_s * _SEND_FRACTION:
            self._expire()
            raise LedgerUnavailable(
                UnavailableReason.BUSY, f"it took {elapsed_s:.1f} s, which is too long to hold a lease"
            )
        self._extend(requested_s, elapsed_s)
        self._reconcile(claimed)

    def _extend(self, requested_s: float, elapsed_s: float) -> None:
        """Let attempts start until the renewed leases end."""
        self._dispatcher.send_deadline_s = requested_s + self._ttl_s * _SEND_FRACTION
        if self._expiry_timer is not None:
            self._expiry_timer.cancel()
        self._expiry_timer = asyncio.get_running_loop().call_later(
            self._ttl_s * _CANCEL_FRACTION - elapsed_s, self._expire
        )

    def _expire(self) -> None:
        """The leases ended without a renewal: stop all that only their holder may do."""
        if self._dispatcher.active_ids:
            log.error("leases_expired", endpoints=len(self._dispatcher.active_ids))
        self._dispatcher.send_deadline_s = 0.0
        for endpoint_id in self._dispatcher.active_ids:
            self._dispatcher.close(endpoint_id)
        self._singletons.set_active(())
        self._timer.wake()

    def _reconcile(self, claimed: ClaimResult) -> None:
        """Open and close queues to match the leases."""
        held = {*claimed.renewed, *(endpoint.id for endpoint in claimed.acquired)}
        for endpoint_id in self._dispatcher.active_ids:
            if endpoint_id not in held:  # it was removed, or its lease is another's now
                self._dispatcher.close(endpoint_id)
        self._endpoint_manager.assign(claimed.acquired)
        self._singletons.set_active(claimed.singletons)
        for endpoint_id in claimed.renewed:
            if self._dispatcher.queue_for(endpoint_id) is None:
                self._timer.wake()  # it expired meanwhile: it counts as acquired the next time
            elif endpoint_id not in self._releasing and endpoint_id in claimed.excess:
                self._start_release(endpoint_id, self._release(endpoint_id))
        if claimed.acquired:
            self._on_acquired()
            log.info("endpoints_acquired", endpoints=len(claimed.acquired), held=len(held))

    def _start_release(self, endpoint_id: int, release: Awaitable[None]) -> None:
        task = asyncio.ensure_future(release)
        self._releasing[endpoint_id] = task
        task.add_done_callback(lambda _: self._releasing.pop(endpoint_id, None))

    async def _release(self, endpoint_id: int) -> None:
        """Release the lease of an endpoint, when nothing is in flight and every attempt is written."""
        queue = self._dispatcher.queue_for(endpoint_id)
        async with self._endpoint_manager.suspended(endpoint_id, "another process takes it over"):
            written = await self._dispatcher.flush(endpoint_id, self._ttl_s)
            if (
                not written or self._dispatcher.queue_for(endpoint_id) is not queue
            ):  # it expired meanwhile: it is a new one
                return
            try:
                await self._ledger.execute(ReleaseLeases(self._instance_id, [endpoint_id]))
                self._on_released()
            except LedgerUnavailable as error:  # it may be released: the next claim shows it
                log.warning("lease_release_failed", reason=str(error))
            finally:
                self._dispatcher.close(endpoint_id)
