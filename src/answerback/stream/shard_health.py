"""Which shards acknowledge, as this process finds it; those that do not are probed until they do."""

import asyncio
import random
from collections.abc import Mapping, Sequence

import structlog

from answerback.errors import LedgerUnavailable
from answerback.stream.batch import encode_probe
from answerback.stream.connection import NatsConnection
from answerback.stream.metrics import StreamMetrics
from answerback.stream.stream_config import Shard
from answerback.stream.streams import JetStreamApiError, parse_api_response

_PROBE_EVERY_S = 1.0
_LEAVE_AFTER_S = 2.0

log = structlog.get_logger("answerback.stream")


class ShardHealth:
    """Sends to shards and remembers which of them do not acknowledge within `late_s`."""

    def __init__(
        self, connection: NatsConnection, shards: Sequence[Shard], metrics: StreamMetrics, *, late_s: float
    ) -> None:
        self._connection = connection
        self._metrics = metrics
        home = random.randrange(len(shards))  # noqa: S311  # spreads the load, keeps no secret
        self.shards = [*shards[home:], *shards[:home]]
        """In the order in which they are used."""
        self.reasons: dict[Shard, str] = {}
        """Why a shard is unhealthy, by shard."""
        self.late_s = late_s
        self._last_answer_s = 0.0
        self._next_failure: asyncio.Future[Shard] | None = None
        self._probing: asyncio.Task[None] | None = None

    def stop(self) -> None:
        if self._probing is not None:
            self._probing.cancel()

    def next_failure(self) -> "asyncio.Future[Shard]":
        """The shard that is the next to become unhealthy; shared by all who wait for it."""
        if self._next_failure is None:
            self._next_failure = asyncio.get_running_loop().create_future()
        return self._next_failure

    def pick(self, shards: Sequence[Shard], tried_s: Mapping[Shard, float]) -> Shard:
        """The one of `shards` to send to: the first healthy one, or else the one that was tried longest ago."""
        return next(
            (s for s in shards if s not in self.reasons), min(shards, key=lambda shard: tried_s.get(shard, 0.0))
        )

    async def send(self, shard: Shard, message: bytes, timeout_s: float) -> None:
        """Return when the shard has it on most of its replicas. Raises LedgerUnavailable."""
        loop = asyncio.get_running_loop()
        late = loop.call_later(self.late_s, self._mark_late, shard)
        try:
            reply = await self._connection.request(shard.subject, message, timeout_s)
        finally:
            late.cancel()
        self._last_answer_s = loop.time()
        answer = parse_api_response(reply.data)
        if answer.get("stream") != shard.stream:
            raise JetStreamApiError(f"stream {answer.get('stream')} takes its subject", 0)
        if shard in self.reasons and loop.time() < late.when():
            del self.reasons[shard]
            log.info("shard_recovered", stream=shard.stream)

    def mark_unhealthy(self, shard: Shard, reason: str) -> None:
        """Prefer the others until it acknowledges in time again."""
        if shard in self.reasons:
            return
        if self._next_failure is not None:
            self._next_failure.set_result(shard)
            self._next_failure = None
        log.warning("shard_unhealthy", stream=shard.stream, reason=reason)
        self.reasons[shard] = reason
        self._metrics.failovers[shard.stream] += 1
        if self._probing is None or self._probing.done():
            self._probing = asyncio.create_task(self._probe_unhealthy())

    def _mark_late(self, shard: Shard) -> None:
        self._connection.ping_now()
        self.mark_unhealthy(shard, f"no acknowledgement in {self.late_s:.1f} s")

    async def _probe_unhealthy(self) -> None:
        """Send probes to the unhealthy shards until all acknowledge; over another server where none answers."""
        loop = asyncio.get_running_loop()
        while self.reasons:
            await asyncio.sleep(_PROBE_EVERY_S)
            await asyncio.gather(*map(self._probe, self.reasons))
            if len(self.reasons) == len(self.shards) and loop.time() - self._last_answer_s > _LEAVE_AFTER_S:
                self._connection.leave("no stream answers through it")
                self._last_answer_s = loop.time()  # the next one has as long

    async def _probe(self, shard: Shard) -> None:
        try:
            await self.send(shard, encode_probe(), _PROBE_EVERY_S)
        except LedgerUnavailable as error:
            if shard in self.reasons:
                self.reasons[shard] = error.detail
