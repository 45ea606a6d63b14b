"""Consume the stream: batches of all shards are pulled and kept until they are recorded, and acknowledged only then."""

import asyncio
import contextlib
import json
import time
from collections.abc import Coroutine, Sequence

import structlog
from nats.aio.msg import Msg

from answerback.domain.batches import BatchDecodeError
from answerback.errors import LedgerUnavailable
from answerback.stream.batch import decode
from answerback.stream.connection import ConnectionLost, NatsConnection, cancel_all
from answerback.stream.in_flight import InFlightBuffer, InFlightMessage
from answerback.stream.metrics import StreamMetrics
from answerback.stream.stream_config import ACK_WAIT_S, Shard
from answerback.stream.streams import StreamManager
from answerback.stream.subscription import BATCH_MESSAGES, PullSubscription

_IN_PROGRESS_EVERY_S = ACK_WAIT_S / 4
_REDELIVER_AFTER_S = 60.0
_NANOSECONDS = 1_000_000_000

log = structlog.get_logger("answerback.stream")


class StreamConsumer:
    """Pulls the batches of all shards; any number of processes may do so."""

    def __init__(self, connection: NatsConnection, streams: StreamManager, metrics: StreamMetrics) -> None:
        self._connection = connection
        self._streams = streams
        self._metrics = metrics
        self._acks = _AckSender(connection)
        self._in_flight = InFlightBuffer(max_messages=2 * BATCH_MESSAGES * len(streams.shards))
        self._arrived = asyncio.Event()
        self._background: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Start to pull, on the running loop."""
        pulls = [
            PullSubscription(self._connection, shard, self._on_message, self._in_flight.has_room, self._on_idle)
            for shard in self._streams.shards
        ]
        self._pulling = [asyncio.create_task(pull.run()) for pull in pulls]
        self._extending = asyncio.create_task(self._extend_ack_wait())

    async def stop(self) -> None:
        """Pull no more, and return what is not acknowledged to the stream."""
        await cancel_all([*self._pulling, self._extending])
        for message in self._in_flight.messages:
            await self._acks.nak(message.reply)
        await cancel_all(self._background)

    @property
    def failure(self) -> LedgerUnavailable | None:
        """Why nothing can be pulled now; None if it can."""
        return self._connection.failure

    @property
    def oldest_age_s(self) -> float:
        """The age of the oldest batch that was pulled and is not acknowledged; 0 where there is none."""
        oldest_us = self._in_flight.oldest_us
        return 0.0 if oldest_us is None else max(0.0, time.time() - oldest_us / 1e6)

    async def oldest_message_us(self, now_us: int) -> int:
        """When the oldest message that any shard holds was stored; `now_us` where they are empty."""
        return await self._streams.oldest_message_us(now_us)

    def oldest(self, max_callbacks: int, max_bytes: int) -> list[InFlightMessage]:
        """What goes into the next transaction: the oldest messages, within the bounds but for the first."""
        return self._in_flight.oldest(max_callbacks, max_bytes)

    async def acknowledge(self, messages: Sequence[InFlightMessage]) -> None:
        """The ledger holds these."""
        for message in messages:
            await self._acks.ack(message.reply)
            self._in_flight.release(message)
        self._metrics.in_flight_batches = len(self._in_flight)

    async def wait_for_messages(self) -> None:
        """Return when some have arrived, or at `wake`."""
        self._arrived.clear()
        await self._arrived.wait()

    def wake(self) -> None:
        """End the waiting for messages."""
        self._arrived.set()

    def _on_message(self, shard: Shard, message: Msg) -> None:
        """Keep a message until it is recorded."""
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
        self._in_flight.add(key, message.data, batch, message.reply)
        self._metrics.in_flight_batches = len(self._in_flight)
        self._arrived.set()

    def _on_idle(self, shard: Shard) -> None:
        self._metrics.pending[shard.stream] = 0

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


class _AckSender:
    """Acknowledges messages over whatever connection there is. Where that fails the servers redeliver, which does no harm."""

    def __init__(self, connection: NatsConnection) -> None:
        self._connection = connection

    async def ack(self, reply: str) -> None:
        """The batch is in the ledger: delete it from the stream."""
        await self._send(reply, b"")

    async def in_progress(self, reply: str) -> None:
        """Still working on it: do not redeliver."""
        await self._send(reply, b"+WPI")

    async def nak(self, reply: str, delay_s: float = 0.0) -> None:
        """Redeliver it to anybody, at once or after `delay_s`."""
        delay = json.dumps({"delay": round(delay_s * _NANOSECONDS)}) if delay_s else ""
        await self._send(reply, f"-NAK {delay}".strip().encode())

    async def _send(self, reply: str, payload: bytes) -> None:
        with contextlib.suppress(ConnectionLost):
            await self._connection.send(reply, payload)
