"""The ids of batches are forgotten once no copy can come any more."""

import asyncio
import contextlib
import time

from answerback.errors import LedgerUnavailable
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import ForgetDrained
from answerback.stream.streams import Streams

_EVERY_S = 60.0
_AFTER_US = 3_600_000_000  # a frozen server may store a copy late, and clocks differ
_AT_ONCE = 5_000
_PAUSE_S = 0.1
_MICROSECONDS = 1_000_000


async def forget(streams: Streams, writer: LedgerClient) -> None:
    """Have the ledger forget, now and then, the batches that are older than anything any shard holds."""
    while True:
        await asyncio.sleep(_EVERY_S)
        with contextlib.suppress(LedgerUnavailable):
            oldest_us = await streams.oldest_us(round(time.time() * _MICROSECONDS))
            await _forget_before(writer, oldest_us - _AFTER_US)


async def _forget_before(writer: LedgerClient, before_us: int) -> None:
    forgotten = _AT_ONCE
    while forgotten == _AT_ONCE:
        forgotten = await writer.ask(ForgetDrained(before_us, _AT_ONCE))
        await asyncio.sleep(_PAUSE_S)  # callbacks go first
