"""The look into a SQLite ledger for deliveries that other processes wrote: the command line, or a second gateway.

What was written later has a higher id there. On PostgreSQL, whose ids begin with the call's month and rise before their
transactions end, nobody relays alone, and `sweep` looks.
"""

import asyncio
import contextlib
from collections.abc import Callable

from answerback.errors import LedgerUnavailable
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import Added

_EVERY_S = 1.0
_AT_A_TIME = 10_000


class Look:
    """Tells `found` of each delivery that may go out, endpoint and delivery by their ids, once."""

    def __init__(self, book: LedgerClient, found: Callable[[int, int], None]) -> None:
        self._book = book
        self._found = found
        self._last_id = 0

    async def start(self) -> None:
        """Begin with what is added from now on. Raises LedgerUnavailable."""
        self._last_id, _ = await self._book.ask(Added(2**62, 1))

    async def run(self) -> None:
        """Look again and again."""
        while True:
            await asyncio.sleep(_EVERY_S)
            with contextlib.suppress(LedgerUnavailable):
                while await self._once():
                    pass

    async def _once(self) -> bool:
        """Look; whether there may be more."""
        self._last_id, added = await self._book.ask(Added(self._last_id, _AT_A_TIME))
        for endpoint_id, delivery_id in added:
            self._found(endpoint_id, delivery_id)
        return len(added) == _AT_A_TIME
