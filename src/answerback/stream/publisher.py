"""From the intake to the stream: a batch is stored once one shard has it on most of its replicas.

A shard that does not acknowledge soon is not waited for: the same message, with the same id, goes to the next one as
well, and the first acknowledgement counts. If both have it, the ledger records it once. A shard that refused, or whose
leader may have died with the message, is tried again while the batch has time: another may lead it by then.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from answerback.domain.batches import BatchItem
from answerback.errors import LedgerUnavailable, UnavailableReason
from answerback.stream.batch import encode_probe, split_batches
from answerback.stream.connection import ConnectionLost, NatsConnection, StreamUnavailable
from answerback.stream.metrics import StreamMetrics
from answerback.stream.recent_batches import RecentBatches
from answerback.stream.shard_health import ShardHealth
from answerback.stream.stream_config import Shard
from answerback.stream.streams import JetStreamApiError, StreamManager

if TYPE_CHECKING:
    from answerback.tracing.tracer import Tracer

HEDGE_DELAY_S = 0.6
MAX_IN_FLIGHT = 4

_TIMEOUT_FRACTION = 0.9  # the committer gives up at the whole of it
_REFUSED_PAUSE_S = 0.1
_SILENT_HEDGES = 3
"""After so many hedge delays a message is sent again to a shard that has not answered: it may be lost."""
_FULL_CODES = (10077, 10023, 10047, 10122)  # limits of the stream, of the account, of the server's disk


class Publisher:
    """Stores batches in the stream: what the committer needs of a log."""

    in_flight = MAX_IN_FLIGHT
    """How many batches may be on their way at a time."""

    def __init__(
        self, connection: NatsConnection, streams: StreamManager, metrics: StreamMetrics, *, commit_timeout_s: float
    ) -> None:
        self._connection = connection
        self._max_message_bytes = streams.max_message_bytes
        self._metrics = metrics
        self._timeout_s = commit_timeout_s * _TIMEOUT_FRACTION
        self._health = ShardHealth(connection, streams.shards, metrics, late_s=min(HEDGE_DELAY_S, self._timeout_s / 4))
        self.refusal: LedgerUnavailable | None = None
        """Why nothing may be published now."""
        self.recent = RecentBatches()
        """What a reader of the ledger waits for."""
        self.tracer: Tracer | None = None
        """Traces every publication, if set."""

    @property
    def shard(self) -> Shard:
        """Where batches go now, as long as it is healthy."""
        return self._health.pick(self._health.shards, {})

    def append(self, batch: Sequence[BatchItem]) -> "asyncio.Future[None]":
        """Start to store `batch`; the future is done after the acknowledgement."""
        return asyncio.get_running_loop().create_task(self._append(batch))

    def check(self) -> None:
        """Raise LedgerUnavailable where nothing may be published."""
        if self.refusal is not None:
            raise self._connection.failure or self.refusal

    async def probe(self) -> None:
        """Store a batch without bodies. Raises LedgerUnavailable."""
        await self._store([encode_probe()])

    def stop(self) -> None:
        self._health.stop()

    async def _append(self, batch: Sequence[BatchItem]) -> None:
        largest = min(self._connection.max_payload or self._max_message_bytes, self._max_message_bytes)
        now_us = time.time_ns() // 1000
        try:
            messages = split_batches(batch, now_us, largest)
        except ValueError as error:
            raise StreamUnavailable(f"it cannot take a batch: {error}", UnavailableReason.STREAM_UNSAFE) from error
        shards: list[Shard] = []
        failure = None
        try:
            shards = await self._store([*messages.values()])
            self.recent.add(messages)
        except LedgerUnavailable as error:
            failure = str(error.reason)
            raise
        finally:
            if self.tracer is not None:
                self.tracer.trace_publish(batch, now_us, [shard.stream for shard in shards], failure)

    async def _store(self, messages: Sequence[bytes]) -> list[Shard]:
        """Return when all are acknowledged, and by which shard each. Raises LedgerUnavailable."""
        self.check()
        began_s = time.monotonic()
        shards = await asyncio.gather(*(self._publish(message) for message in messages))
        self._metrics.ack_latency_s.observe(time.monotonic() - began_s)
        return shards

    async def _publish(self, message: bytes) -> Shard:
        """Return the first shard that has acknowledged it. Raises LedgerUnavailable."""
        publication = _Publication(self._connection, self._health, message, self._timeout_s)
        try:
            return await publication.run()
        finally:
            publication.cancel()


class _Publication:
    """One message on its way: it goes to one shard after the other, until the first acknowledges."""

    def __init__(self, connection: NatsConnection, health: ShardHealth, message: bytes, timeout_s: float) -> None:
        self._connection = connection
        self._health = health
        self._message = message
        self._timeout_s = timeout_s
        self._under_way: dict[asyncio.Task[None], Shard] = {}
        self._refusals: dict[Shard, LedgerUnavailable] = {}
        self._retry_s = dict.fromkeys(health.shards, 0.0)  # from when on a shard may be tried
        self._hedge_s = 0.0  # from when on another one may be tried

    async def run(self) -> Shard:
        """Return the shard that has acknowledged. Raises LedgerUnavailable."""
        deadline_s = time.monotonic() + self._timeout_s
        while (left_s := deadline_s - time.monotonic()) > 0:
            await self._connection.wait_ready(left_s)
            if self._is_full:
                break
            now_s = time.monotonic()
            due = [shard for shard, retry_s in self._retry_s.items() if retry_s <= now_s]
            if due and self._hedge_s <= now_s:
                self._send(self._health.pick(due, self._retry_s), left_s)
            wake_s = max(self._hedge_s, min(self._retry_s.values()))
            if shard := await self._wait(min(wake_s, deadline_s) - time.monotonic()):
                return shard
        raise self._failure()

    def cancel(self) -> None:
        """Wait for no more acknowledgements."""
        for task in self._under_way:
            if not task.cancel() and not task.cancelled():
                task.exception()  # retrieved: nobody wants to know any more

    @property
    def _is_full(self) -> bool:
        """Whether every shard has refused it, each as full."""
        return len(self._refusals) == len(self._retry_s) and all(map(_is_full_error, self._refusals.values()))

    def _send(self, shard: Shard, timeout_s: float) -> None:
        now_s = time.monotonic()
        self._hedge_s = now_s + self._health.late_s
        self._retry_s[shard] = now_s + _SILENT_HEDGES * self._health.late_s
        self._refusals.pop(shard, None)
        self._under_way[asyncio.create_task(self._health.send(shard, self._message, timeout_s))] = shard

    async def _wait(self, timeout_s: float) -> Shard | None:
        """Return the shard that acknowledges; None after `timeout_s`, or when one has failed and another may be tried."""
        failure = self._health.next_failure()
        waited: list[asyncio.Future[Any]] = [*self._under_way, failure]
        await asyncio.wait(waited, timeout=max(0.0, timeout_s), return_when=asyncio.FIRST_COMPLETED)
        for task in [task for task in self._under_way if task.done()]:
            shard = self._under_way.pop(task)
            match task.exception():
                case None:
                    return shard
                case ConnectionLost():  # not the shard's fault: it is sent again over the next connection
                    self._retry_s[shard] = self._hedge_s = 0.0
                case LedgerUnavailable() as error:
                    self._refusals[shard] = error
                    self._retry_s[shard] = time.monotonic() + _REFUSED_PAUSE_S
                    self._hedge_s = 0.0
                    self._health.mark_unhealthy(shard, error.detail)
                case error:
                    raise error
        if failure.done() and failure.result() in self._under_way.values():
            self._hedge_s = 0.0
        return None

    def _failure(self) -> StreamUnavailable:
        if self._is_full:
            detail = next(iter(self._refusals.values())).detail
            return StreamUnavailable(
                f"{detail}: start more recorders, or raise stream.max_bytes", UnavailableReason.STREAM_FULL
            )
        reasons = "; ".join(f"{shard.stream}: {reason}" for shard, reason in self._health.reasons.items())
        return StreamUnavailable(
            f"no stream acknowledged in {self._timeout_s:.1f} s: {reasons or 'no reason given'}",
            UnavailableReason.STREAM_SILENT,
        )


def _is_full_error(error: LedgerUnavailable) -> bool:
    return isinstance(error, JetStreamApiError) and error.code in _FULL_CODES
