"""Poll the ledger for deliveries that no notification brought: of other processes, lost ones, and those of removed endpoints."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from answerback.errors import LedgerUnavailable
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import CancelPending, OldestPending, PendingSince, RemovedWithPending
from answerback.relay.wakeable_timer import WakeableTimer

if TYPE_CHECKING:
    from answerback.relay.dispatcher import Dispatcher

_POLL_EVERY_S = 1.0
_PAGE_SIZE = 10_000
_CLEAN_EVERY_S = 60.0
_CANCEL_BATCH_SIZE = 1000


class OutboxPoller:
    """Call `on_added` once with the endpoint and delivery id of each delivery that another process wrote.

    What was written later has a higher id on SQLite. On PostgreSQL, whose ids begin with the call's month and rise before
    their transactions end, `PendingSweeper` looks.
    """

    def __init__(self, ledger: LedgerClient, on_added: Callable[[int, int], None]) -> None:
        self._ledger = ledger
        self._on_added = on_added
        self._last_id = 0

    async def start(self) -> None:
        """Start after the newest delivery. Raises LedgerUnavailable."""
        self._last_id, _ = await self._ledger.execute(PendingSince(2**62, 1))

    async def run(self) -> None:
        while True:
            await asyncio.sleep(_POLL_EVERY_S)
            with contextlib.suppress(LedgerUnavailable):
                while await self._poll():
                    pass

    async def _poll(self) -> bool:
        """Poll once; return whether there may be more."""
        self._last_id, added = await self._ledger.execute(PendingSince(self._last_id, _PAGE_SIZE))
        for endpoint_id, delivery_id in added:
            self._on_added(endpoint_id, delivery_id)
        return len(added) == _PAGE_SIZE


async def cancel_pending(ledger: LedgerClient, endpoint_id: int) -> None:
    """Cancel the pending deliveries of a removed endpoint, in batches, so that callbacks get in between."""
    with contextlib.suppress(LedgerUnavailable):  # the next start continues it
        while await ledger.execute(CancelPending(endpoint_id, _CANCEL_BATCH_SIZE)) == _CANCEL_BATCH_SIZE:
            pass


class PendingSweeper:
    """Checks the oldest pending delivery of each endpoint of this process: a lost one becomes the oldest some day."""

    def __init__(self, ledger: LedgerClient, dispatcher: "Dispatcher", every_s: float) -> None:
        self._ledger = ledger
        self._dispatcher = dispatcher
        self._every_s = every_s
        self._timer = WakeableTimer()

    def wake(self) -> None:
        self._timer.wake()

    async def run(self) -> None:
        while True:
            await self._timer.wait(self._every_s)
            with contextlib.suppress(LedgerUnavailable):
                await self._sweep()

    async def _sweep(self) -> None:
        active_ids = self._dispatcher.active_ids
        if active_ids:
            for endpoint_id, (delivery_id, due_us) in (await self._ledger.execute(OldestPending(active_ids))).items():
                self._dispatcher.on_pending_found(endpoint_id, delivery_id, due_us)


async def clean_removed_endpoints(ledger: LedgerClient) -> None:
    """Cancel the pending deliveries of removed endpoints, for ever: the process that began to do so may not have finished."""
    while True:
        with contextlib.suppress(LedgerUnavailable):
            for endpoint_id in await ledger.execute(RemovedWithPending()):
                await cancel_pending(ledger, endpoint_id)
        await asyncio.sleep(_CLEAN_EVERY_S)
