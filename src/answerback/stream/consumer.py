"""Consume the stream into the ledger: batches of all shards are recorded together, and acknowledged after the commit.

A batch leaves the stream only by that acknowledgement. What comes once more, because a recorder died before it or an
acknowledgement was lost, the ledger skips by the batch's id.
"""

import asyncio
import contextlib
import time
from collections.abc import Coroutine, Sequence
from typing import TypeVar

import structlog
from nats.aio.msg import Msg

from answerback.domain.batches import BatchDecodeError
from answerback.errors import LedgerUnavailable, UnavailableReason
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import ConsumeResult, ProbeWrite, PruneConsumed, RecordStreamBatches
from answerback.stream.acks import AckSender
from answerback.stream.batch import decode
from answerback.stream.connection import NatsConnection, cancel_all
from answerback.stream.in_flight import InFlightBuffer, InFlightMessage
from answerback.stream.metrics import StreamMetrics
from answerback.stream.stream_config import ACK_WAIT_S, Shard
from answerback.stream.streams import StreamManager
from answerback.stream.subscription import BATCH_MESSAGES, PullSubscription

T = TypeVar("T")

_FAILURES_BEFORE_PROBE = 3  # after this many a probe shows whether the ledger or the batch is at fault
_FIRST_PAUSE_S, _MAX_PAUSE_S = 0.1, 2.0
_IN_PROGRESS_EVERY_S = ACK_WAIT_S / 4
_REDELIVER_AFTER_S = 60.0
_MICROSECONDS = 1_000_000

log = structlog.get_logger("answerback.stream")

_PRUNE_EVERY_S = 60.0
_PRUNE_AFTER_US = 3_600_000_000  # a frozen server may store a copy late, and clocks differ
_PRUNE_BATCH_SIZE = 5_000
_PRUNE_PAUSE_S = 0.1


class StreamConsumer:
    """Records the batches of all shards, for ever; any number of processes may do so."""

    def __init__(
        self, connection: NatsConnection, streams: StreamManager, ledger: LedgerClient, metrics: StreamMetrics
    ) -> None:
        self._connection = connection
        self._streams = streams
        self._ledger = ledger
        self._metrics = metrics
        self._acks = AckSender(connection)
        self._in_flight = InFlightBuffer(max_messages=2 * BATCH_MESSAGES * len(streams.shards))
        self._arrived = asyncio.Event()
        self._failure: LedgerUnavailable | None = None
        self._stopping = False
        self._background: set[asyncio.Task[None]] = set()

    @property
    def failure(self) -> LedgerUnavailable | None:
        """Why nothing can be recorded now; None if it can, or nothing waits."""
        return self._failure or self._connection.failure

    def start(self) -> None:
        """Start, on the running loop."""
        pulls = [
            PullSubscription(self._connection, shard, self._on_message, self._in_flight.has_room, self._on_idle)
            for shard in self._shards
        ]
        self._pulling = [asyncio.create_task(pull.run()) for pull in pulls]
        self._tasks = [
            asyncio.create_task(work) for work in (self._extend_ack_wait(), prune_loop(self._streams, self._ledger))
        ]
        self._recording = asyncio.create_task(self._record_loop())

    async def stop(self, timeout_s: float) -> None:
        """Finish what is being written, up to `timeout_s`, and return the rest to the stream."""
        self._stopping = True
        await cancel_all(self._pulling)
        for message in self._in_flight.release_pending():
            await self._acks.nak(message.reply)
        self._arrived.set()
        if self._in_flight.is_writing:
            await asyncio.wait([self._recording], timeout=timeout_s)
        await cancel_all([*self._tasks, self._recording, *self._background])

    @property
    def _shards(self) -> Sequence[Shard]:
        return self._streams.shards

    def _on_message(self, shard: Shard, message: Msg) -> None:
        """Buffer a message until its batch is in the ledger."""
        delivered = message.metadata
        key = (shard.stream, delivered.sequence.stream)
        self._metrics.pending[shard.stream] = delivered.num_pending
        if self._in_flight.is_redelivery(key, message.reply):
            return
        try:
            batch = decode(message.data)
        except BatchDecodeError as error:  # another program may read it
            self._metrics.undecodable_batches += 1
            log.error("batch_undecodable", stream=shard.stream, sequence=key[1], reason=str(error))  # noqa: TRY400  # the words are enough
            self._spawn(self._acks.nak(message.reply, _REDELIVER_AFTER_S))
            return
        if not batch.items:  # a probe
            self._spawn(self._acks.ack(message.reply))
            return
        self._in_flight.add(key, batch, len(message.data), message.reply)
        self._metrics.in_flight_batches = len(self._in_flight)
        self._arrived.set()

    def _on_idle(self, shard: Shard) -> None:
        self._metrics.pending[shard.stream] = 0
        if not self._in_flight:
            self._metrics.lag_s = 0.0

    async def _record_loop(self) -> None:
        while not self._stopping:
            await self._arrived.wait()
            self._arrived.clear()
            while self._in_flight.has_pending:
                await self._record_until_done(self._in_flight.start_writing())

    async def _record_until_done(self, taken: Sequence[InFlightMessage]) -> None:
        """Return when all are in the ledger, however long it is away; one that it refuses is deferred."""
        failures, pause_s = 0, _FIRST_PAUSE_S
        while not await self._try_record(taken):
            failures += 1
            if failures % _FAILURES_BEFORE_PROBE == 0 and await self._ledger_works():
                await self._record_one_by_one(taken)
                return
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _MAX_PAUSE_S)

    async def _record_one_by_one(self, taken: Sequence[InFlightMessage]) -> None:
        """Find the batch that the ledger refuses, and defer it: it stays in the stream, for another version."""
        if len(taken) > 1:
            for message in taken:
                await self._record_until_done([message])
            return
        (deferred,) = taken
        self._metrics.deferred_batches += 1
        stream, sequence = deferred.key
        log.error(
            "batch_deferred", stream=stream, sequence=sequence, reason=str(self._failure), again_in_s=_REDELIVER_AFTER_S
        )
        self._set_failure(None)
        await self._acks.nak(deferred.reply, _REDELIVER_AFTER_S)
        self._release(deferred)

    async def _try_record(self, taken: Sequence[InFlightMessage]) -> bool:
        """Record and acknowledge them; return whether that succeeded."""
        try:
            consumed = await self._ledger.execute(
                RecordStreamBatches([message.batch for message in taken], list(self._ledger.saturated))
            )
        except LedgerUnavailable as error:
            self._set_failure(error)
            return False
        except Exception as error:  # a bug of ours must not stop the consumer
            log.exception("consumer_error")
            self._set_failure(LedgerUnavailable(UnavailableReason.FAULT, type(error).__name__))
            return False
        self._set_failure(None)
        self._count(taken, consumed)
        for message in taken:
            await self._acks.ack(message.reply)
            self._release(message)
        return True

    async def _ledger_works(self) -> bool:
        try:
            await self._ledger.execute(ProbeWrite())
        except LedgerUnavailable:
            return False
        return True

    def _release(self, message: InFlightMessage) -> None:
        self._in_flight.release(message)
        self._metrics.in_flight_batches = len(self._in_flight)

    def _count(self, taken: Sequence[InFlightMessage], consumed: ConsumeResult) -> None:
        self._metrics.consumed_batches += consumed.new
        self._metrics.duplicate_batches += len(taken) - consumed.new
        self._metrics.consumed_callbacks.update(consumed.dispositions)
        self._metrics.lag_s = max(0.0, time.time() - taken[0].batch.appended_us / _MICROSECONDS)

    def _set_failure(self, error: LedgerUnavailable | None) -> None:
        if error is None and self._failure is not None:
            log.info("consumer_recovered", was=str(self._failure))
        if error is not None and (self._failure is None or error.explanation != self._failure.explanation):
            log.error(
                "consumer_stalled", reason=str(error), detail=error.detail, in_flight_batches=len(self._in_flight)
            )
        self._failure = error

    async def _extend_ack_wait(self) -> None:
        """Extend the ack wait of messages in flight, so that the servers redeliver them to nobody else."""
        while True:
            await asyncio.sleep(_IN_PROGRESS_EVERY_S)
            for message in self._in_flight.not_extended(_IN_PROGRESS_EVERY_S):
                message.extended_s = time.monotonic()
                await self._acks.in_progress(message.reply)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


async def prune_loop(streams: StreamManager, ledger: LedgerClient) -> None:
    """Prune, once a minute, the ids of batches that are older than anything in any shard."""
    while True:
        await asyncio.sleep(_PRUNE_EVERY_S)
        with contextlib.suppress(LedgerUnavailable):
            oldest_us = await streams.oldest_message_us(round(time.time() * _MICROSECONDS))
            await _prune_before(ledger, oldest_us - _PRUNE_AFTER_US)


async def _prune_before(ledger: LedgerClient, before_us: int) -> None:
    forgotten = _PRUNE_BATCH_SIZE
    while forgotten == _PRUNE_BATCH_SIZE:
        forgotten = await ledger.execute(PruneConsumed(before_us, _PRUNE_BATCH_SIZE))
        await asyncio.sleep(_PRUNE_PAUSE_S)  # callbacks go first
