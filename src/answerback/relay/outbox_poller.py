"""Poll the outbox for deliveries that other processes wrote: the command line, or a second gateway.

What was written later has a higher id there. On PostgreSQL, whose ids begin with the call's month and rise before their
transactions end, nobody relays alone, and `reap_slow_connections` looks.
"""

import asyncio
import contextlib
from collections.abc import Callable

from answerback.errors import LedgerUnavailable
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import PendingSince

_POLL_EVERY_S = 1.0
_PAGE_SIZE = 10_000


class OutboxPoller:
    """Call `on_added` once with the endpoint and delivery id of each new pending delivery."""

    def __init__(self, ledger: LedgerClient, on_added: Callable[[int, int], None]) -> None:
        self._ledger = ledger
        self._on_added = on_added
        self._last_id = 0

    async def start(self) -> None:
        """Start after the newest delivery. Raises LedgerUnavailable."""
        self._last_id, _ = await self._ledger.execute(PendingSince(2**62, 1))

    async def run(self) -> None:
        """Poll for ever."""
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
