"""Which batches this process has stored in the stream and nobody is known to have recorded: what a reader waits for."""

import asyncio
import time
from collections.abc import Iterable

from answerback.errors import LedgerUnavailable
from answerback.ledger.client import LedgerReader
from answerback.ledger.write.log_positions import find_recorded

_MAX_BATCHES = 500  # what is older is recorded, or so late that a reader is told
_POLL_S = 0.02


class RecentBatches:
    """The last batches that were acknowledged, by id. The streams have no common order: each is asked for."""

    def __init__(self) -> None:
        self._stored: dict[bytes, float] = {}

    def add(self, ids: Iterable[bytes]) -> None:
        """Note that the stream holds these."""
        self._stored.update(dict.fromkeys(ids, time.time()))
        while len(self._stored) > _MAX_BATCHES:
            del self._stored[next(iter(self._stored))]

    async def catch_up(self, ledger: LedgerReader, timeout_s: float) -> float:
        """Wait until those of now are recorded: 0.0; else, after `timeout_s`, the age of the oldest that is not, in seconds."""
        wanted = dict(self._stored)
        deadline_s = time.monotonic() + timeout_s
        while wanted:
            try:
                recorded = await asyncio.to_thread(ledger.read, find_recorded, [*wanted])
            except LedgerUnavailable:  # it will not be back in a moment
                recorded, deadline_s = [], 0.0
            for id_ in recorded:
                del wanted[id_]
                self._stored.pop(id_, None)
            if wanted and time.monotonic() > deadline_s:
                return time.time() - min(wanted.values())
            if wanted:
                await asyncio.sleep(_POLL_S)
        return 0.0
