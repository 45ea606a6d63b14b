"""A stream on real servers and a ledger behind it, their parts at hand."""

import asyncio
import json
import re
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import nats
import pytest
from builders import key_press, status, wire
from nats.errors import NoRespondersError
from nats.js.errors import NotFoundError
from nats_servers import NatsCluster
from relay.waiting import until
from sqlalchemy import func, select

from answerback.domain.batches import BatchItem
from answerback.errors import LedgerUnavailable, UnavailableReason
from answerback.ledger import LEDGER_FILE, Ledger, LedgerConfig, open_sqlite
from answerback.ledger.commands import ProbeWrite
from answerback.ledger.tables import call_key, callbacks, calls
from answerback.ledger.writer.client import WriterClient
from answerback.recorder import RecorderMetrics, StreamRecorder
from answerback.stream import Publisher, Stream, StreamConfig

COMMIT_TIMEOUT_S = 5.0


def stream_config(cluster: NatsCluster, **changes: Any) -> StreamConfig:
    """Streams of a name of their own."""
    given: dict[str, Any] = {
        "urls": cluster.urls,
        "name": f"T{uuid4().hex[:8]}",
        "shards": 3,
        "replicas": 3,
        "max_bytes": 64 * 1024 * 1024,
        "allow_fewer_replicas": False,
        "credentials": None,
        "ca_file": None,
        "max_body_bytes": 65_536,
    }
    if len(cluster.nodes) == 1:
        given |= {"replicas": 1, "shards": 2}
    return StreamConfig(**given | changes)


def raw_callback(callid: str, *, raw: bytes | None = None) -> BatchItem:
    """The body that tells of an answered call, as it comes in now."""
    return BatchItem("default", wire(status(callid=callid)) if raw is None else raw, time.time_ns() // 1000)


def key_arrival(callid: str, key: str) -> BatchItem:
    """The body that tells of a key."""
    return raw_callback(callid, raw=wire(key_press(callid=callid, key=key)))


@contextmanager
def refused(detail: str) -> Iterator[pytest.ExceptionInfo[LedgerUnavailable]]:
    """The stream refuses: in listed words for everybody, with `detail` for the log."""
    with pytest.raises(LedgerUnavailable) as reported:
        yield reported
    assert re.search(detail, reported.value.detail)
    assert str(reported.value) in set(UnavailableReason)


@asynccontextmanager
async def streaming(wanted: StreamConfig, *, is_whole: bool = True) -> AsyncIterator[Stream]:
    """A stream that was started; where all nodes are there, not before its servers know that: one may count as away for a moment."""
    stream = Stream(wanted)
    await stream.start()
    try:
        if is_whole:
            await until(lambda: stream.failure is None or "so many nodes are not there" not in stream.failure.detail)
        yield stream
    finally:
        await stream.stop()


@asynccontextmanager
async def publishing(
    wanted: StreamConfig, *, commit_timeout_s: float = COMMIT_TIMEOUT_S, is_whole: bool = True
) -> AsyncIterator[tuple[Stream, Publisher]]:
    """A stream, and what the intake has of it."""
    async with streaming(wanted, is_whole=is_whole) as stream:
        yield stream, stream.publisher(commit_timeout_s)


class Recording(NamedTuple):
    """A recorder of a stream, at work."""

    recorder: StreamRecorder
    metrics: RecorderMetrics
    writer: WriterClient

    @property
    def callbacks(self) -> int:
        """How many it has recorded."""
        return self.metrics.callbacks.total()


@asynccontextmanager
async def recording(stream: Stream, data_dir: Path) -> AsyncIterator[Recording]:
    """A recorder with a ledger in `data_dir`, which several may share."""
    writer = WriterClient(LedgerConfig(data_dir=str(data_dir), allow_unsafe_filesystem=True))
    await writer.start()
    await writer.execute(ProbeWrite())
    metrics = RecorderMetrics()
    recorder = StreamRecorder(stream.consumer(), writer, metrics)
    recorder.start()
    try:
        yield Recording(recorder, metrics, writer)
    finally:
        await recorder.stop(2.0)
        await writer.stop(5.0)


@asynccontextmanager
async def operator(cluster: NatsCluster) -> AsyncIterator["Operator"]:
    """Somebody who works on the servers' streams by hand."""
    client = await nats.connect(cluster.urls)
    try:
        yield Operator(client)
    finally:
        await client.close()


class Operator:
    """Asks the servers' API."""

    def __init__(self, client: Any) -> None:
        self.client = client

    async def ask(self, subject: str, question: object = None) -> Any:
        """What the API answers; it must not be an error."""
        message = await self.client.request(f"$JS.API.{subject}", json.dumps(question or {}).encode(), timeout=10)
        answer = json.loads(message.data)
        assert "error" not in answer, answer
        return answer

    async def edit(self, stream: str, **changes: object) -> None:
        """Change a stream."""
        config = (await self.ask(f"STREAM.INFO.{stream}"))["config"]
        await self.ask(f"STREAM.UPDATE.{stream}", config | changes)

    async def remove(self, stream: str) -> dict[str, Any]:
        """Remove a stream; its configuration, to `create` it again."""
        config: dict[str, Any] = (await self.ask(f"STREAM.INFO.{stream}"))["config"]
        await self.ask(f"STREAM.DELETE.{stream}")
        return config

    async def create(self, config: dict[str, Any]) -> None:
        """Create a stream."""
        await self.ask(f"STREAM.CREATE.{config['name']}", config)

    @asynccontextmanager
    async def taking(self, subject: str) -> AsyncIterator[Any]:
        """Take the messages to a subject whose stream was removed, and say nothing, as a leader that dies with them."""
        subscription = await self.client.subscribe(subject)
        await self.client.publish(subject)
        await subscription.next_msg(5)  # `flush` may overtake
        yield subscription
        await subscription.unsubscribe()
        with suppress(NoRespondersError):
            await self.client.request(subject, timeout=5)
            raise AssertionError

    async def messages(self, *streams: str) -> int:
        """How many messages streams hold together."""
        return sum([(await self.ask(f"STREAM.INFO.{stream}"))["state"]["messages"] for stream in streams])

    async def emptied(self, *streams: str, left: int = 0) -> None:
        """Wait until streams hold nothing, or so many messages that are left there."""
        for _ in range(100):
            if await self.messages(*streams) == left:
                return
            await asyncio.sleep(0.1)  # between two looks
        raise AssertionError(await self.messages(*streams))

    async def messages_in(self, stream: str) -> list[bytes]:
        """The messages that a stream holds."""
        state = (await self.ask(f"STREAM.INFO.{stream}"))["state"]
        found = []
        for sequence in range(state["first_seq"], state["last_seq"] + 1):
            with suppress(NotFoundError):  # recorded already
                found.append((await self.client.jetstream().get_msg(stream, sequence)).data)
        return found

    async def publish(self, subject: str, *messages: bytes) -> None:
        """Have messages stored."""
        for message in messages:
            await self.client.jetstream().publish(subject, message)


def ledger(data_dir: Path) -> "closing[Ledger]":
    """The ledger that the recorders write, to look into."""
    return closing(open_sqlite(data_dir, allow_unsafe_filesystem=True))


def everything(data_dir: Path) -> list[str]:
    """All rows of the ledger, as text, but for the one that is written to try the disk."""
    with closing(sqlite3.connect(data_dir / LEDGER_FILE)) as database:
        return [line for line in database.iterdump() if line.startswith("INSERT") and '"write_probes"' not in line]


def recorded(data_dir: Path, callids: Sequence[str]) -> dict[str, int]:
    """How many callbacks of each call are in the ledger, and 100 for each that came again."""
    counted = select(calls.c.call_key, func.count() + 100 * func.sum(callbacks.c.duplicates))
    counted = counted.join(callbacks, callbacks.c.call_id == calls.c.id).group_by(calls.c.call_key)
    with ledger(data_dir) as opened:
        found = dict(opened.read(lambda connection: [tuple(row) for row in connection.execute(counted)]))
    return {callid: found.get(call_key(callid), 0) for callid in callids}


async def count_calls(data_dir: Path) -> int:
    """How many calls the ledger knows."""

    def count() -> int:
        with ledger(data_dir) as opened:
            return int(opened.read(lambda c: c.exec_driver_sql("SELECT count(*) FROM calls").scalar_one()))

    return await asyncio.to_thread(count)
