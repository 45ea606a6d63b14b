"""From the intake to the stream: a batch is stored once one shard has it on most of its replicas.

A shard that does not acknowledge soon is not waited for: the same message, with the same id, goes to the next one as
well, and the first acknowledgement counts. Should both have it, the ledger takes it once.
"""

import asyncio
import random
import time
from collections.abc import Container, Mapping, Sequence
from datetime import UTC, datetime

import structlog

from answerback.domain.models import Arrival, Received, Rejected
from answerback.errors import LedgerUnavailable, UnavailableReason
from answerback.ledger import Taken, Verdict
from answerback.ledger.types import to_us
from answerback.stream.batch import encode_nothing, split
from answerback.stream.connection import Broken, Connection, StreamUnavailable
from answerback.stream.metrics import Meter
from answerback.stream.stream_config import Shard
from answerback.stream.streams import Refused, Streams, read_answer
from answerback.tencent.parsing import understand
from answerback.tracing import Tracer

PATIENCE_S = 0.6
IN_FLIGHT = 4

_SHARE_OF_TIMEOUT = 0.9  # the committer gives up at the whole of it
_ROUND_PAUSE_S = 0.1
_HEAL_EVERY_S = 1.0
_FULL = (10077, 10023, 10047, 10122)  # limits of the stream, of the account, of the server's disk

log = structlog.get_logger("answerback.stream")


class Publisher:
    """Stores batches in the stream: what the committer needs of a store."""

    in_flight = IN_FLIGHT
    """How many batches may be on their way at a time."""

    def __init__(self, connection: Connection, streams: Streams, meter: Meter, *, answer_timeout_s: float) -> None:
        self._connection = connection
        shards = streams.shards
        home = random.randrange(len(shards))  # noqa: S311  # spreads the load, keeps no secret
        self._shards = [*shards[home:], *shards[:home]]
        self._sick: dict[Shard, str] = {}
        self._largest = streams.largest_message
        self._meter = meter
        self._timeout_s = answer_timeout_s * _SHARE_OF_TIMEOUT
        self._patience_s = min(PATIENCE_S, self._timeout_s / 4)
        self._healing: asyncio.Task[None] | None = None
        self.refusal: LedgerUnavailable | None = None
        """Why nothing may be published now."""
        self.tracer: Tracer | None = None
        """Who is told of every publication."""

    @property
    def shard(self) -> Shard:
        """Where batches go now, as long as it is well."""
        return self._next(()) or self._shards[0]

    def record(self, batch: Sequence[Arrival]) -> "asyncio.Future[list[Verdict]]":
        """Begin to store `batch`; the future tells, after the acknowledgements, what each sender is to be told."""
        return asyncio.get_running_loop().create_task(self._record(batch))

    async def probe(self) -> None:
        """Store a batch without bodies. Raises LedgerUnavailable."""
        await self._store([encode_nothing()])

    def stop(self) -> None:
        """Do not look after the shards any more."""
        if self._healing is not None:
            self._healing.cancel()

    async def _record(self, batch: Sequence[Arrival]) -> list[Verdict]:
        largest = min(self._connection.max_payload or self._largest, self._largest)
        now_us = to_us(datetime.now(UTC))
        try:
            messages = split(batch, now_us, largest)
        except ValueError as error:
            raise StreamUnavailable(f"it cannot take a batch: {error}", UnavailableReason.STREAM_UNSAFE) from error
        storing = asyncio.create_task(self._store(messages))
        verdicts = [_verdict(understand(arrival)) for arrival in batch]  # while the servers store it
        try:
            shards = await storing
        except LedgerUnavailable as error:
            if self.tracer is not None:
                self.tracer.published(batch, verdicts, now_us, (), str(error.reason))
            raise
        if self.tracer is not None:
            self.tracer.published(batch, verdicts, now_us, [shard.stream for shard in shards])
        return verdicts

    async def _store(self, messages: Sequence[bytes]) -> list[Shard]:
        """Return when all are acknowledged, and by which shard each. Raises LedgerUnavailable."""
        if self.refusal is not None:
            raise self._connection.failure or self.refusal
        began_s = time.monotonic()
        shards = await asyncio.gather(*(self._publish(message) for message in messages))
        self._meter.ack_latency_s.observe(time.monotonic() - began_s)
        return shards

    async def _publish(self, message: bytes) -> Shard:
        """Send it to one shard after the other, until the first acknowledges: that one. Raises LedgerUnavailable."""
        deadline_s = time.monotonic() + self._timeout_s
        under_way: dict[asyncio.Task[None], Shard] = {}
        refusals: dict[Shard, LedgerUnavailable] = {}
        try:
            while (left_s := deadline_s - time.monotonic()) > 0:
                await self._connection.ready(left_s)
                if shard := self._next({*under_way.values(), *refusals}):
                    under_way[asyncio.create_task(self._send(shard, message, left_s))] = shard
                elif not under_way:
                    if all(map(_is_full, refusals.values())):
                        break
                    await asyncio.sleep(min(_ROUND_PAUSE_S, left_s))
                    refusals.clear()
                    continue
                if shard := await self._acknowledged(under_way, refusals, min(self._patience_s, left_s)):
                    return shard
        finally:
            for task in under_way:
                task.cancel()
        raise self._why(refusals)

    async def _acknowledged(
        self,
        under_way: dict["asyncio.Task[None]", Shard],
        refusals: dict[Shard, LedgerUnavailable],
        patience_s: float,
    ) -> Shard | None:
        """The one of those under way that has acknowledged, if one has; those that refused are moved to `refusals`."""
        done, late = await asyncio.wait(under_way, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            shard = under_way.pop(task)
            match task.exception():
                case None:
                    return shard
                case Broken():  # not the shard's fault: it is asked again over the next connection
                    pass
                case LedgerUnavailable() as error:
                    refusals[shard] = error
                    self._turn_away(shard, error.detail)
                case error:
                    raise error
        if not done:
            self._connection.check()
            for task in late:
                self._turn_away(under_way[task], f"no acknowledgement in {patience_s:.1f} s")
        return None

    async def _send(self, shard: Shard, message: bytes, timeout_s: float) -> None:
        """Return when the shard has it on most of its replicas."""
        answer = read_answer((await self._connection.ask(shard.subject, message, timeout_s)).data)
        if answer.get("stream") != shard.stream:
            raise Refused(f"stream {answer.get('stream')} takes its subject", 0)

    def _next(self, tried: Container[Shard]) -> Shard | None:
        """The shard to send to: the first that is well, or else the first, of those not yet tried."""
        untried = [shard for shard in self._shards if shard not in tried]
        return next((shard for shard in untried if shard not in self._sick), untried[0] if untried else None)

    def _turn_away(self, shard: Shard, reason: str) -> None:
        """Send no more to it until it acknowledges again."""
        if shard in self._sick:
            return
        log.warning("shard_sick", stream=shard.stream, reason=reason)
        self._sick[shard] = reason
        self._meter.failovers[shard.stream] += 1
        if self._healing is None or self._healing.done():
            self._healing = asyncio.create_task(self._heal())

    async def _heal(self) -> None:
        """Send batches without bodies to the sick shards until all acknowledge."""
        while self._sick:
            await asyncio.sleep(_HEAL_EVERY_S)
            for shard in [*self._sick]:
                try:
                    await self._send(shard, encode_nothing(), _HEAL_EVERY_S)
                except LedgerUnavailable as error:
                    self._sick[shard] = error.detail
                else:
                    del self._sick[shard]
                    log.info("shard_well", stream=shard.stream)

    def _why(self, refusals: Mapping[Shard, LedgerUnavailable]) -> StreamUnavailable:
        if refusals and all(map(_is_full, refusals.values())):
            told = next(iter(refusals.values())).detail
            return StreamUnavailable(
                f"{told}: have recorders drain it, or raise stream.max_bytes", UnavailableReason.STREAM_FULL
            )
        told = "; ".join(f"{shard.stream}: {reason}" for shard, reason in self._sick.items())
        return StreamUnavailable(
            f"no stream acknowledged in {self._timeout_s:.1f} s: {told or 'no reason told'}",
            UnavailableReason.STREAM_SILENT,
        )


def _is_full(error: LedgerUnavailable) -> bool:
    return isinstance(error, Refused) and error.code in _FULL


def _verdict(item: Received | Rejected) -> Verdict:
    """What the sender is told once the body is stored; whether it is a repeat shows in the ledger only."""
    if isinstance(item, Rejected):
        return Verdict(Taken.QUARANTINED, None, item.result, item.reason)
    return Verdict(Taken.STORED, item.callback.kind, identity=item.identity)
