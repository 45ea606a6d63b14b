"""Metrics read from the ledger in the background, so that no scrape counts rows or waits for the ledger."""

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence

import msgspec

from answerback.alerts import AlertManager
from answerback.domain.endpoints import DeliveryBacklog, Endpoint
from answerback.domain.models import AlertState
from answerback.errors import LedgerUnavailable
from answerback.ledger import Ledger
from answerback.ledger.write.erasures import Erasure, find_unfinished

_MIN_PAUSE_S = 1.0
_MAX_PAUSE_S = 60.0
_PAUSES_A_READING = 50  # counting takes two percent of one thread's time, however much there is to count


class LedgerSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The counts, and their time in Unix seconds."""

    at_s: float
    endpoints: Sequence[Endpoint] = ()
    backlog: Mapping[int, DeliveryBacklog] = {}
    quarantine: tuple[int, int] = (0, 0)
    """Quarantined bodies: their number and their bytes."""
    alerts: Sequence[AlertState] = ()
    erasures: Sequence[Erasure] = ()
    """Those that are not done, oldest first."""


class LedgerGauges:
    """The latest counts; before the first, zeros, as old as the process."""

    def __init__(self, ledger: Ledger, alerts: AlertManager) -> None:
        self._ledger = ledger
        self._alerts = alerts
        self.latest = LedgerSnapshot(at_s=time.time())

    async def read(self) -> None:
        """Count now; keep the previous counts if the ledger is unavailable."""
        with contextlib.suppress(LedgerUnavailable):
            self.latest = await asyncio.to_thread(self._read)

    async def watch(self) -> None:
        """Count periodically, less often the longer it takes."""
        while True:
            began_s = time.monotonic()
            await self.read()
            pause_s = _PAUSES_A_READING * (time.monotonic() - began_s)
            await asyncio.sleep(min(max(pause_s, _MIN_PAUSE_S), _MAX_PAUSE_S))

    def _read(self) -> LedgerSnapshot:
        return LedgerSnapshot(
            at_s=time.time(),
            endpoints=self._ledger.endpoints(),
            backlog=self._ledger.backlog(),
            quarantine=self._ledger.quarantine_size(),
            alerts=self._alerts.states(),
            erasures=self._ledger.read(find_unfinished),
        )
