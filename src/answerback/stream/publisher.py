"""From the intake to the stream: a batch is stored once one shard has it on most of its replicas.

A shard that does not acknowledge soon is not waited for: the same message, with the same id, goes to the next one as
well, and the first acknowledgement counts. If both have it, the ledger records it once.
"""

import asyncio
import random
import time
from collections.abc import Container, Mapping, Sequence

import structlog

from answerback.domain.batches import BatchItem
from answerback.errors import LedgerUnavailable, UnavailableReason
from answerback.stream.batch import encode_probe, split_batches
from answerback.stream.connection import ConnectionLost, NatsConnection, StreamUnavailable
from answerback.stream.metrics import StreamMetrics
from answerback.stream.recent_batches import RecentBatches
from answerback.stream.stream_config import Shard
from answerback.stream.streams import JetStreamApiError, StreamManager, parse_api_response
from answerback.tracing import Tracer

HEDGE_DELAY_S = 0.6
MAX_IN_FLIGHT = 4

_TIMEOUT_FRACTION = 0.9  # the committer gives up at the whole of it
_ROUND_PAUSE_S = 0.1
_PROBE_EVERY_S = 1.0
_FULL_CODES = (10077, 10023, 10047, 10122)  # limits of the stream, of the account, of the server's disk

log = structlog.get_logger("answerback.stream")


class Publisher:
    """Stores batches in the stream: what the committer needs of a log."""

    in_flight = MAX_IN_FLIGHT
    """How many batches may be on their way at a time."""

    def __init__(
        self, connection: NatsConnection, streams: StreamManager, metrics: StreamMetrics, *, commit_timeout_s: float
    ) -> None:
        self._connection = connection
        shards = streams.shards
        home = random.randrange(len(shards))  # noqa: S311  # spreads the load, keeps no secret
        self._shards = [*shards[home:], *shards[:home]]
        self._unhealthy: dict[Shard, str] = {}
        self._max_message_bytes = streams.max_message_bytes
        self._metrics = metrics
        self._timeout_s = commit_timeout_s * _TIMEOUT_FRACTION
        self._hedge_delay_s = min(HEDGE_DELAY_S, self._timeout_s / 4)
        self._probing: asyncio.Task[None] | None = None
        self.refusal: LedgerUnavailable | None = None
        """Why nothing may be published now."""
        self.recent = RecentBatches()
        """What a reader of the ledger waits for."""
        self.tracer: Tracer | None = None
        """Traces every publication, if set."""

    @property
    def shard(self) -> Shard:
        """Where batches go now, as long as it is healthy."""
        return self._pick_shard(()) or self._shards[0]

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
        """Stop probing unhealthy shards."""
        if self._probing is not None:
            self._probing.cancel()

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
        """Send it to one shard after the other, until the first acknowledges: that one. Raises LedgerUnavailable."""
        deadline_s = time.monotonic() + self._timeout_s
        under_way: dict[asyncio.Task[None], Shard] = {}
        refusals: dict[Shard, LedgerUnavailable] = {}
        try:
            while (left_s := deadline_s - time.monotonic()) > 0:
                await self._connection.wait_ready(left_s)
                if shard := self._pick_shard({*under_way.values(), *refusals}):
                    under_way[asyncio.create_task(self._send(shard, message, left_s))] = shard
                elif not under_way:
                    if all(map(_is_full_error, refusals.values())):
                        break
                    await asyncio.sleep(min(_ROUND_PAUSE_S, left_s))
                    refusals.clear()
                    continue
                if shard := await self._wait_acknowledged(under_way, refusals, min(self._hedge_delay_s, left_s)):
                    return shard
        finally:
            for task in under_way:
                task.cancel()
        raise self._failure(refusals)

    async def _wait_acknowledged(
        self,
        under_way: dict["asyncio.Task[None]", Shard],
        refusals: dict[Shard, LedgerUnavailable],
        hedge_delay_s: float,
    ) -> Shard | None:
        """The one of those under way that has acknowledged, if one has; those that refused are moved to `refusals`."""
        done, late = await asyncio.wait(under_way, timeout=hedge_delay_s, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            shard = under_way.pop(task)
            match task.exception():
                case None:
                    return shard
                case ConnectionLost():  # not the shard's fault: it is sent again over the next connection
                    pass
                case LedgerUnavailable() as error:
                    refusals[shard] = error
                    self._mark_unhealthy(shard, error.detail)
                case error:
                    raise error
        if not done:
            self._connection.ping_now()
            for task in late:
                self._mark_unhealthy(under_way[task], f"no acknowledgement in {hedge_delay_s:.1f} s")
        return None

    async def _send(self, shard: Shard, message: bytes, timeout_s: float) -> None:
        """Return when the shard has it on most of its replicas."""
        answer = parse_api_response((await self._connection.request(shard.subject, message, timeout_s)).data)
        if answer.get("stream") != shard.stream:
            raise JetStreamApiError(f"stream {answer.get('stream')} takes its subject", 0)

    def _pick_shard(self, tried: Container[Shard]) -> Shard | None:
        """The shard to send to: the first healthy one of those not yet tried, or else the first."""
        untried = [shard for shard in self._shards if shard not in tried]
        return next((shard for shard in untried if shard not in self._unhealthy), untried[0] if untried else None)

    def _mark_unhealthy(self, shard: Shard, reason: str) -> None:
        """Send no more to it until it acknowledges again."""
        if shard in self._unhealthy:
            return
        log.warning("shard_unhealthy", stream=shard.stream, reason=reason)
        self._unhealthy[shard] = reason
        self._metrics.failovers[shard.stream] += 1
        if self._probing is None or self._probing.done():
            self._probing = asyncio.create_task(self._probe_unhealthy())

    async def _probe_unhealthy(self) -> None:
        """Send probes to the unhealthy shards until all acknowledge."""
        while self._unhealthy:
            await asyncio.sleep(_PROBE_EVERY_S)
            for shard in [*self._unhealthy]:
                try:
                    await self._send(shard, encode_probe(), _PROBE_EVERY_S)
                except LedgerUnavailable as error:
                    self._unhealthy[shard] = error.detail
                else:
                    del self._unhealthy[shard]
                    log.info("shard_recovered", stream=shard.stream)

    def _failure(self, refusals: Mapping[Shard, LedgerUnavailable]) -> StreamUnavailable:
        if refusals and all(map(_is_full_error, refusals.values())):
            detail = next(iter(refusals.values())).detail
            return StreamUnavailable(
                f"{detail}: start more recorders, or raise stream.max_bytes", UnavailableReason.STREAM_FULL
            )
        reasons = "; ".join(f"{shard.stream}: {reason}" for shard, reason in self._unhealthy.items())
        return StreamUnavailable(
            f"no stream acknowledged in {self._timeout_s:.1f} s: {reasons or 'no reason given'}",
            UnavailableReason.STREAM_SILENT,
        )


def _is_full_error(error: LedgerUnavailable) -> bool:
    return isinstance(error, JetStreamApiError) and error.code in _FULL_CODES
