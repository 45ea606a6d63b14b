"""Prune the ids of consumed batches once no copy can come any more."""

import asyncio
import contextlib
import time

from answerback.errors import LedgerUnavailable
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import PruneConsumed
from answerback.stream.streams import StreamManager

_EVERY_S = 60.0
_AFTER_US = 3_600_000_000  # a frozen server may store a copy late, and clocks differ
_BATCH_SIZE = 5_000
_PAUSE_S = 0.1
_MICROSECONDS = 1_000_000


async def prune_loop(streams: StreamManager, ledger: LedgerClient) -> None:
    """Prune, once a minute, the ids of batches that are older than anything in any shard."""
    while True:
        await asyncio.sleep(_EVERY_S)
        with contextlib.suppress(LedgerUnavailable):
            oldest_us = await streams.oldest_message_us(round(time.time() * _MICROSECONDS))
            await _prune_before(ledger, oldest_us - _AFTER_US)


async def _prune_before(ledger: LedgerClient, before_us: int) -> None:
    forgotten = _BATCH_SIZE
    while forgotten == _BATCH_SIZE:
        forgotten = await ledger.execute(PruneConsumed(before_us, _BATCH_SIZE))
        await asyncio.sleep(_PAUSE_S)  # callbacks go first
