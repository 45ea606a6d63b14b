"""Record a stream into the ledger, beside any number of others: a batch is known by its id, in whichever order it comes.

A batch leaves the stream only by an acknowledgement after the commit. What comes once more, because a recorder died before it, an
acknowledgement was lost, or the batch is in two streams, the ledger passes over by the batch's id.
"""

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from answerback.errors import LedgerUnavailable, PositionConflict
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import PruneConsumed
from answerback.recorder.metrics import RecorderMetrics
from answerback.recorder.recorder import MAX_BYTES, MAX_CALLBACKS, Recorder

if TYPE_CHECKING:
    from answerback.stream import StreamConsumer

_NO_POSITION = b""
_PRUNE_EVERY_S = 60.0
_PRUNE_AFTER_US = 3_600_000_000  # a frozen server may store a copy late, and clocks differ
_PRUNE_BATCH_SIZE = 5_000
_PRUNE_PAUSE_S = 0.1


class StreamRecorder(Recorder):
    """Records the batches of all shards together, oldest first."""

    def __init__(self, consumer: "StreamConsumer", ledger: LedgerClient, metrics: RecorderMetrics) -> None:
        super().__init__(ledger, metrics)
        self._consumer = consumer

    def start(self) -> None:
        self._consumer.start()
        super().start()

    async def stop(self, timeout_s: float) -> None:
        """Finish what is being written, up to `timeout_s`, and return the rest to the stream."""
        await super().stop(timeout_s)
        await self._consumer.stop()

    @property
    def failure(self) -> LedgerUnavailable | PositionConflict | None:
        """Why nothing can be recorded now; None if it can, or nothing waits."""
        return super().failure or self._consumer.failure

    @property
    def lag_s(self) -> float:
        """The age of the oldest batch that this process has pulled and not recorded; 0 where there is none."""
        return self._consumer.oldest_age_s

    async def _record_all(self) -> None:
        """Record what is pulled, until stopped."""
        while not self._is_stopping.is_set():
            messages = self._consumer.oldest(MAX_CALLBACKS, MAX_BYTES)
            if not messages:
                self._set_failure(None)
                await self._consumer.wait_for_messages()
                continue
            reply = await self._record(
                _NO_POSITION, 0, [(number, message.payload) for number, message in enumerate(messages, 1)]
            )
            self._set_failure(None)
            await self._consumer.acknowledge(messages[: reply.position])
            await self._rest_after(reply)

    async def _tidy(self) -> None:
        """Have the ledger forget, once a minute, the ids of batches that are older than anything in any shard."""
        while True:
            await asyncio.sleep(_PRUNE_EVERY_S)
            with contextlib.suppress(LedgerUnavailable):
                oldest_us = await self._consumer.oldest_message_us(time.time_ns() // 1000)
                await self._prune_before(oldest_us - _PRUNE_AFTER_US)

    async def _prune_before(self, before_us: int) -> None:
        forgotten = _PRUNE_BATCH_SIZE
        while forgotten == _PRUNE_BATCH_SIZE:
            forgotten = await self._ledger.execute(PruneConsumed(before_us, _PRUNE_BATCH_SIZE))
            await asyncio.sleep(_PRUNE_PAUSE_S)  # callbacks go first

    def _wake(self) -> None:
        self._consumer.wake()
