"""The stream as a whole: connected, its shards made and checked, its two ends handed out."""

import asyncio
import contextlib
import random
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import msgspec
import structlog

from answerback.errors import AnswerbackError, ExtraMissing, LedgerUnavailable, StreamUnsafe, UnavailableReason
from answerback.ledger.client import LedgerClient
from answerback.stream.cancellation import end
from answerback.stream.connection import Connection, StreamUnavailable
from answerback.stream.consumer import Drain
from answerback.stream.metrics import Meter
from answerback.stream.publisher import Publisher
from answerback.stream.shard_status import ShardStatus
from answerback.stream.stream_config import Wanted
from answerback.stream.streams import Streams

_START_S = 5.0
_CHECK_EVERY_S = 30.0
_CHECK_AGAIN_S = 1.0
_LONGEST_CHECK_S = 20.0

log = structlog.get_logger("answerback.stream")


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """Which servers, and what is asked of the streams there. `largest_body` is what a callback may have, in bytes."""

    urls: Sequence[str]
    name: str = "ANSWERBACK"
    shards: int = 3
    replicas: int = 3
    max_bytes: int = 1024**3
    allow_fewer_replicas: bool = False
    credentials: Path | None = None
    ca_file: Path | None = None
    largest_body: int = 65_536

    def __repr__(self) -> str:
        return f"Terms({self.name}, {len(self.urls)} servers)"  # a URL may hold a password


class Stream:
    """NATS JetStream as the log in front of the ledger; one for a process.

    Raises ExtraMissing where credentials are to be used without the library for them.
    """

    def __init__(self, terms: Terms, *, client_name: str = "answerback") -> None:
        if terms.credentials is not None and find_spec("nkeys") is None:
            raise ExtraMissing('stream.credentials needs nkeys: pip install "answerback[nats]"')
        self._connection = Connection(
            terms.urls, name=client_name, credentials=terms.credentials, ca_file=terms.ca_file
        )
        wanted = Wanted(
            name=terms.name,
            shards=terms.shards,
            replicas=terms.replicas,
            max_bytes=terms.max_bytes,
            largest_body=terms.largest_body,
            fewer_replicas=terms.allow_fewer_replicas,
        )
        self.meter = Meter(shard.stream for shard in wanted.all())
        self._streams = Streams(self._connection, wanted)
        self._publishers: list[Publisher] = []
        self._refusal: LedgerUnavailable | None = StreamUnavailable("the streams were not checked yet")

    async def start(self) -> None:
        """Connect, and make and check the streams; goes on with it by itself where the servers are away now.

        Raises StreamUnsafe where a stream would break law 1.
        """
        await self._connection.start()
        try:
            async with asyncio.timeout(_START_S):
                await self._connection.ready(_START_S)
                await self._check()
        except LedgerUnavailable as error:
            self._refuse(self._connection.failure or error)
        except TimeoutError:
            late = StreamUnavailable(f"the streams did not answer in {_START_S:.0f} s", UnavailableReason.STREAM_SILENT)
            self._refuse(self._connection.failure or late)
        except StreamUnsafe:
            await self._connection.stop()
            raise
        self._checking = asyncio.create_task(self._check_again())

    async def stop(self) -> None:
        """Let go of the servers; stop its drain before."""
        await end([self._checking])
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

    def publisher(self, answer_timeout_s: float) -> Publisher:
        """What the intake stores callbacks with."""
        publisher = Publisher(self._connection, self._streams, self.meter, answer_timeout_s=answer_timeout_s)
        publisher.refusal = self._refusal
        self._publishers.append(publisher)
        return publisher

    def drain(self, writer: LedgerClient) -> Drain:
        """What carries the stream's batches into the ledger."""
        return Drain(self._connection, self._streams, writer, self.meter)

    async def status(self) -> list[ShardStatus]:
        """How each shard is now."""
        shards = await self._streams.status()
        self.meter.oldest_us.update({shard.stream: shard.oldest_us for shard in shards if shard.failure is None})
        return shards

    async def _check(self) -> None:
        await self._streams.ensure()
        self._refuse(None)
        with contextlib.suppress(LedgerUnavailable):
            await self._streams.spread()

    async def _check_again(self) -> None:
        """Look at the streams now and then: somebody may change or remove one while callbacks come in."""
        while True:
            pause_s = _CHECK_AGAIN_S if self._refusal else _CHECK_EVERY_S
            await asyncio.sleep(pause_s * random.uniform(0.8, 1.2))  # noqa: S311  # so that processes do not do it at once
            try:
                async with asyncio.timeout(_LONGEST_CHECK_S):
                    await self._check()
            except StreamUnsafe as error:
                self._refuse(StreamUnavailable(str(error), UnavailableReason.STREAM_UNSAFE))
            except (AnswerbackError, TimeoutError) as error:  # what was found before still holds
                log.debug("streams_not_checked", reason=str(error), detail=getattr(error, "detail", ""))

    def _refuse(self, refusal: LedgerUnavailable | None) -> None:
        if refusal is not None and (self._refusal is None or refusal.detail != self._refusal.detail):
            log.error("stream_refused", reason=str(refusal), detail=refusal.detail)
        self._refusal = refusal
        for publisher in self._publishers:
            publisher.refusal = refusal
