"""From the stream into the ledger: what all shards hold goes in together, and is acknowledged after the commit.

A batch leaves the stream only by that acknowledgement. What comes once more, because a recorder died before it or an
acknowledgement was lost, the ledger passes over by the batch's id.
"""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from typing import TypeVar

import structlog
from nats.aio.msg import Msg

from answerback.errors import LedgerUnavailable, UnavailableReason
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import Drained, Probe, RecordDrained
from answerback.stream.acks import Replies
from answerback.stream.batch import Unreadable, decode
from answerback.stream.cancellation import end
from answerback.stream.connection import Connection
from answerback.stream.in_flight import Held, Hold
from answerback.stream.metrics import Meter
from answerback.stream.pruning import forget
from answerback.stream.stream_config import ACK_WAIT_S, Shard
from answerback.stream.streams import Streams
from answerback.stream.subscription import MESSAGES, Pull

T = TypeVar("T")

_FAILURES_IN_DOUBT = 3  # after so many a probe tells whether the ledger is at fault, or the batch
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 2.0
_KEEP_EVERY_S = ACK_WAIT_S / 4
_LEFT_AGAIN_S = 60.0
_MICROSECONDS = 1_000_000

log = structlog.get_logger("answerback.stream")


class Drain:
    """Carries what all shards hold into the ledger, for ever; any number of processes may."""

    def __init__(self, connection: Connection, streams: Streams, writer: LedgerClient, meter: Meter) -> None:
        self._connection = connection
        self._streams = streams
        self._writer = writer
        self._meter = meter
        self._replies = Replies(connection)
        self._hold = Hold(most_messages=2 * MESSAGES * len(streams.shards))
        self._arrived = asyncio.Event()
        self._failure: LedgerUnavailable | None = None
        self._stopping = False
        self._small: set[asyncio.Task[None]] = set()

    @property
    def failure(self) -> LedgerUnavailable | None:
        """Why nothing goes into the ledger now; None where it does, or nothing waits."""
        return self._failure or self._connection.failure

    def start(self) -> None:
        """Begin, on behalf of the running loop."""
        pulls = [Pull(self._connection, shard, self._take, self._hold.has_room, self._idle) for shard in self._shards]
        self._pulling = [asyncio.create_task(pull.run()) for pull in pulls]
        self._tasks = [asyncio.create_task(work) for work in (self._keep(), forget(self._streams, self._writer))]
        self._recording = asyncio.create_task(self._record())

    async def stop(self, timeout_s: float) -> None:
        """Finish what is being written, up to `timeout_s`, and give back what was not begun."""
        self._stopping = True
        await end(self._pulling)
        for held in self._hold.let_all_go():
            await self._replies.give_back(held.reply)
        self._arrived.set()
        if self._hold.writes:
            await asyncio.wait([self._recording], timeout=timeout_s)
        await end([*self._tasks, self._recording, *self._small])

    @property
    def _shards(self) -> Sequence[Shard]:
        return self._streams.shards

    def _take(self, shard: Shard, message: Msg) -> None:
        """Hold a message until its batch is in the ledger."""
        delivered = message.metadata
        key = (shard.stream, delivered.sequence.stream)
        self._meter.pending[shard.stream] = delivered.num_pending
        if self._hold.knows(key, message.reply):
            return
        try:
            batch = decode(message.data)
        except Unreadable as error:  # another program may read it
            self._meter.unreadable_batches += 1
            log.error("batch_unreadable", stream=shard.stream, sequence=key[1], reason=str(error))  # noqa: TRY400  # the words are enough
            self._later(self._replies.give_back(message.reply, _LEFT_AGAIN_S))
            return
        if not batch.items:  # somebody has looked whether it could be stored
            self._later(self._replies.acknowledge(message.reply))
            return
        self._hold.add(key, batch, len(message.data), message.reply)
        self._meter.held_batches = len(self._hold)
        self._arrived.set()

    def _idle(self, shard: Shard) -> None:
        self._meter.pending[shard.stream] = 0
        if not self._hold:
            self._meter.lag_s = 0.0

    async def _record(self) -> None:
        while not self._stopping:
            await self._arrived.wait()
            self._arrived.clear()
            while self._hold.waits:
                await self._write(self._hold.take())

    async def _write(self, taken: Sequence[Held]) -> None:
        """Return when all are in the ledger, however long it is away; one that it cannot take goes back for later."""
        failures, pause_s = 0, _FIRST_PAUSE_S
        while not await self._try(taken):
            failures += 1
            if failures % _FAILURES_IN_DOUBT == 0 and await self._ledger_works():
                await self._write_apart(taken)
                return
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _write_apart(self, taken: Sequence[Held]) -> None:
        """Find the one that the ledger cannot take, and give it back: it stays in the stream, for another program."""
        if len(taken) > 1:
            for held in taken:
                await self._write([held])
            return
        (left,) = taken
        self._meter.left_batches += 1
        stream, sequence = left.key
        log.error("batch_left", stream=stream, sequence=sequence, reason=str(self._failure), again_in_s=_LEFT_AGAIN_S)
        self._failed(None)
        await self._replies.give_back(left.reply, _LEFT_AGAIN_S)
        self._let_go(left)

    async def _try(self, taken: Sequence[Held]) -> bool:
        """Whether they are in the ledger now; if so, they are acknowledged."""
        try:
            drained = await self._writer.ask(RecordDrained([held.batch for held in taken], list(self._writer.full)))
        except LedgerUnavailable as error:
            self._failed(error)
            return False
        except Exception as error:  # a fault of ours must not end the drain
            log.exception("drain_fault")
            self._failed(LedgerUnavailable(UnavailableReason.FAULT, type(error).__name__))
            return False
        self._failed(None)
        self._count(taken, drained)
        for held in taken:
            await self._replies.acknowledge(held.reply)
            self._let_go(held)
        return True

    async def _ledger_works(self) -> bool:
        try:
            await self._writer.ask(Probe())
        except LedgerUnavailable:
            return False
        return True

    def _let_go(self, held: Held) -> None:
        self._hold.let_go(held)
        self._meter.held_batches = len(self._hold)

    def _count(self, taken: Sequence[Held], drained: Drained) -> None:
        self._meter.drained_batches += drained.new
        self._meter.skipped_batches += len(taken) - drained.new
        self._meter.drained_callbacks.update(drained.taken)
        self._meter.lag_s = max(0.0, time.time() - taken[0].batch.published_us / _MICROSECONDS)

    def _failed(self, error: LedgerUnavailable | None) -> None:
        if error is None and self._failure is not None:
            log.info("draining", was=str(self._failure))
        if error is not None and (self._failure is None or error.explained != self._failure.explained):
            log.error("cannot_drain", reason=str(error), detail=error.detail, held_batches=len(self._hold))
        self._failure = error

    async def _keep(self) -> None:
        """Tell the servers that what is held is being worked on, so that they give it to nobody else."""
        while True:
            await asyncio.sleep(_KEEP_EVERY_S)
            for held in self._hold.untouched(_KEEP_EVERY_S):
                held.touched_s = time.monotonic()
                await self._replies.keep(held.reply)

    def _later(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._small.add(task)
        task.add_done_callback(self._small.discard)
