"""The stream as a whole: connection, shards, publisher and consumer."""

import asyncio
import random
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import msgspec
import structlog

from answerback.errors import AnswerbackError, LedgerUnavailable, MissingExtra, UnavailableReason, UnsafeStream
from answerback.stream.connection import NatsConnection, StreamUnavailable, cancel_all
from answerback.stream.consumer import StreamConsumer
from answerback.stream.metrics import StreamMetrics
from answerback.stream.publisher import Publisher
from answerback.stream.shard_status import ShardStatus
from answerback.stream.stream_config import StreamSpec
from answerback.stream.streams import StreamManager

_START_S = 5.0
_CHECK_EVERY_S = 30.0
_BALANCE_EVERY_S = 1.0
_RECHECK_S = 1.0
_CHECK_TIMEOUT_S = 20.0

log = structlog.get_logger("answerback.stream")


class StreamConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The NATS servers, and the streams on them. `max_body_bytes` is the largest callback body."""

    urls: Sequence[str]
    name: str
    shards: int
    replicas: int
    max_bytes: int
    allow_fewer_replicas: bool
    credentials: Path | None
    ca_file: Path | None
    max_body_bytes: int

    def __repr__(self) -> str:
        return f"StreamConfig({self.name}, {len(self.urls)} servers)"  # a URL may hold a password


class Stream:
    """NATS JetStream as the log in front of the ledger; one for a process.

    Raises MissingExtra where credentials are to be used without the library for them.
    """

    def __init__(self, config: StreamConfig) -> None:
        if config.credentials is not None and find_spec("nkeys") is None:
            raise MissingExtra('stream.credentials needs nkeys: pip install "answerback[nats]"')
        self._connection = NatsConnection(
            config.urls, name="answerback", credentials=config.credentials, ca_file=config.ca_file
        )
        spec = StreamSpec(
            name=config.name,
            shards=config.shards,
            replicas=config.replicas,
            max_bytes=config.max_bytes,
            max_body_bytes=config.max_body_bytes,
            fewer_replicas=config.allow_fewer_replicas,
        )
        self.metrics = StreamMetrics(shard.stream for shard in spec.all_shards())
        self._manager = StreamManager(self._connection, spec)
        self._publishers: list[Publisher] = []
        self._refusal: LedgerUnavailable | None = StreamUnavailable("the streams were not checked yet")

    async def start(self) -> None:
        """Connect, and make and check the streams; goes on with it by itself where the servers are away now.

        Raises UnsafeStream where a stream would break law 1.
        """
        await self._connection.start()
        try:
            async with asyncio.timeout(_START_S):
                await self._connection.wait_ready(_START_S)
                await self._check()
        except LedgerUnavailable as error:
            self._set_refusal(self._connection.failure or error)
        except TimeoutError:
            late = StreamUnavailable(f"the streams did not answer in {_START_S:.0f} s", UnavailableReason.STREAM_SILENT)
            self._set_refusal(self._connection.failure or late)
        except UnsafeStream:
            await self._connection.stop()
            raise
        self._tasks = [asyncio.create_task(work) for work in (self._check_loop(), self._balance_loop())]

    async def stop(self) -> None:
        """Disconnect; stop its consumer before."""
        await cancel_all(self._tasks)
        for publisher in self._publishers:
            publisher.stop()
        await self._connection.stop()

    @property
    def failure(self) -> LedgerUnavailable | None:
        """Why nothing can be stored in it now, as far as is known without trying."""
        return self._connection.failure or self._refusal

    @property
    def server(self) -> str | None:
        """The server that it is connected to, or was last."""
        return self._connection.server

    def publisher(self, commit_timeout_s: float) -> Publisher:
        """Create what the intake appends callbacks with."""
        publisher = Publisher(self._connection, self._manager, self.metrics, commit_timeout_s=commit_timeout_s)
        publisher.refusal = self._refusal
        self._publishers.append(publisher)
        return publisher

    def consumer(self) -> StreamConsumer:
        """Create what a recorder has the stream's batches from."""
        return StreamConsumer(self._connection, self._manager, self.metrics)

    async def status(self) -> list[ShardStatus]:
        asked_us = time.time_ns() // 1000
        shards = await self._manager.status()
        self.metrics.oldest_message_us.update(
            {shard.stream: shard.oldest_us for shard in shards if shard.failure is None}
        )
        if all(shard.failure is None for shard in shards):
            self.metrics.known_us = asked_us
        return shards

    async def _check(self) -> None:
        await self._manager.ensure()
        self._set_refusal(None)

    async def _check_loop(self) -> None:
        """Look at the streams now and then: somebody may change or remove one while callbacks come in."""
        while True:
            pause_s = _RECHECK_S if self._refusal else _CHECK_EVERY_S
            await asyncio.sleep(pause_s * random.uniform(0.8, 1.2))  # noqa: S311  # so that processes do not do it at once
            try:
                async with asyncio.timeout(_CHECK_TIMEOUT_S):
                    await self._check()
            except UnsafeStream as error:
                self._set_refusal(StreamUnavailable(str(error), UnavailableReason.STREAM_UNSAFE))
            except (AnswerbackError, TimeoutError) as error:  # streams that were found good, or unsafe, still are
                log.debug("stream_check_failed", reason=str(error), detail=getattr(error, "detail", ""))
                is_unchecked = self._refusal and self._refusal.reason is not UnavailableReason.STREAM_UNSAFE
                if is_unchecked and isinstance(error, LedgerUnavailable):
                    self._set_refusal(error)

    async def _balance_loop(self) -> None:
        """Spread the leaders, soon after an election or a restart: servers may die one after the other."""
        while True:
            await self._manager.balance_leaders()
            await asyncio.sleep(_BALANCE_EVERY_S * random.uniform(0.8, 1.2))  # noqa: S311  # as above

    def _set_refusal(self, refusal: LedgerUnavailable | None) -> None:
        if refusal is not None and (self._refusal is None or refusal.detail != self._refusal.detail):
            log.error("stream_refused", reason=str(refusal), detail=refusal.detail)
        self._refusal = refusal
        for publisher in self._publishers:
            publisher.refusal = refusal
