"""From the stream into the ledger: what all shards hold goes in together, and is acknowledged after the commit.

A batch leaves the stream only by that acknowledgement. What comes once more, because a recorder died before it or an
acknowledgement was lost, the ledger passes over by the batch's id.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Collection, Coroutine, Sequence
from typing import Protocol, TypeVar

import msgspec
import structlog
from nats.aio.msg import Msg

from answerback.errors import LedgerUnavailable
from answerback.ledger.drained import Batch
from answerback.ledger.requests import Drained, ForgetDrained, Probe, RecordDrained, Request
from answerback.stream.batch import Unreadable, decode
from answerback.stream.connection import Broken, Connection
from answerback.stream.meter import Meter
from answerback.stream.pull import MESSAGES, Pull
from answerback.stream.safety import ACK_WAIT_S, Shard
from answerback.stream.streams import Streams

T = TypeVar("T")

MOST_CALLBACKS = 2048
"""Callbacks in one transaction, unless one batch alone has more."""

_FAILURES_IN_DOUBT = 3  # after so many a probe tells whether the ledger is at fault, or the batch
_MOST_BYTES = 32 * 1024 * 1024
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 2.0
_KEEP_EVERY_S = ACK_WAIT_S / 4
_LEFT_AGAIN_S = 60.0
_FORGET_EVERY_S = 60.0
_FORGET_AFTER_US = 3_600_000_000  # a frozen server may deliver a copy late, and clocks differ
_FORGET_AT_ONCE = 5_000

_MICROSECONDS, _NANOSECONDS = 1_000_000, 1_000_000_000
_PROGRESS, _NAK = b"+WPI", b"-NAK"

log = structlog.get_logger("answerback.stream")


class Writer(Protocol):
    """What the drain needs of the ledger's writer."""

    full: Collection[int]

    def ask(self, request: Request[T]) -> "asyncio.Future[T]":
        """Have it carried out; the future tells what came of it. LedgerUnavailable: nothing, or it is not known."""


class Held(msgspec.Struct):
    """A message in our hands: the batch, and where its acknowledgement goes."""

    key: tuple[str, int]
    batch: Batch
    size_bytes: int
    reply: str
    touched_s: float


class Drain:
    """Carries what all shards hold into the ledger, for ever; any number of processes may."""

    def __init__(self, connection: Connection, streams: Streams, writer: Writer, meter: Meter) -> None:
        self._connection = connection
        self._streams = streams
        self._writer = writer
        self._meter = meter
        self._waiting: dict[tuple[str, int], Held] = {}
        self._writing: dict[tuple[str, int], Held] = {}
        self._held_bytes = 0
        self._arrived = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._failure: str | None = None
        self._stopping = False
        self._small: set[asyncio.Task[None]] = set()

    @property
    def failure(self) -> str | None:
        """Why nothing goes into the ledger now; None where it does, or nothing waits."""
        return self._failure or self._connection.failure

    def start(self) -> None:
        """Begin, on behalf of the running loop."""
        pulls = [
            Pull(self._connection, shard, self._take, self._has_room, self._idle) for shard in self._streams.shards
        ]
        self._pulling = [asyncio.create_task(pull.run()) for pull in pulls]
        self._tasks = [asyncio.create_task(work) for work in (self._keep(), self._forget())]
        self._recording = asyncio.create_task(self._record())

    async def stop(self, timeout_s: float) -> None:
        """Finish what is being written, up to `timeout_s`, and give back what was not begun."""
        self._stopping = True
        await _cancel(self._pulling)
        given_back, self._waiting = self._waiting, {}
        for held in given_back.values():
            await self._send(held, _NAK)
        self._arrived.set()
        if self._writing:
            await asyncio.wait([self._recording], timeout=timeout_s)
        await _cancel([*self._tasks, self._recording])

    def _take(self, shard: Shard, message: Msg) -> None:
        """Hold a message until its batch is in the ledger."""
        delivered = message.metadata
        key = (shard.stream, delivered.sequence.stream)
        self._meter.pending[shard.stream] = delivered.num_pending
        if held := self._waiting.get(key) or self._writing.get(key):
            held.reply = message.reply  # it was too long for the server, but it is not forgotten here
            return
        try:
            batch = decode(message.data)
        except Unreadable as error:
            self._unreadable(shard, delivered.sequence.stream, message, error)
            return
        if not batch.items:  # somebody has looked whether it could be stored
            self._later(self._acknowledge(message.reply))
            return
        self._waiting[key] = Held(key, batch, len(message.data), message.reply, time.monotonic())
        self._count_held(len(message.data))
        self._arrived.set()

    def _unreadable(self, shard: Shard, sequence: int, message: Msg, error: Unreadable) -> None:
        """Leave in the stream what this program cannot read: another may."""
        self._meter.unreadable_batches += 1
        log.error("batch_unreadable", stream=shard.stream, sequence=sequence, reason=str(error))
        self._later(self._give_back(message.reply, _LEFT_AGAIN_S))

    def _idle(self, shard: Shard) -> None:
        self._meter.pending[shard.stream] = 0
        if not self._waiting and not self._writing:
            self._meter.lag_s = 0.0

    def _count_held(self, size_bytes: int) -> None:
        """Count what is held, and ask for no more than there is room for."""
        self._held_bytes += size_bytes
        self._meter.held_batches = len(self._waiting) + len(self._writing)
        messages = 2 * MESSAGES * len(self._streams.shards)
        if self._held_bytes < _MOST_BYTES and self._meter.held_batches < messages:
            self._has_room.set()
        else:
            self._has_room.clear()

    async def _record(self) -> None:
        while not self._stopping:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                taken = self._next()
                self._writing = {held.key: held for held in taken}
                await self._write(taken)

    def _next(self) -> list[Held]:
        """What goes into the next transaction, oldest first."""
        taken: list[Held] = []
        callbacks = 0
        for held in sorted(self._waiting.values(), key=lambda held: held.batch.published_us):
            callbacks += len(held.batch.items)
            if taken and callbacks > MOST_CALLBACKS:
                break
            taken.append(self._waiting.pop(held.key))
        return taken

    async def _write(self, taken: Sequence[Held]) -> None:
        """Return when all are in the ledger, however long it is away; one that it cannot take goes back for later."""
        failures, pause_s = 0, _FIRST_PAUSE_S
        while not await self._try(taken):
            failures += 1
            if failures % _FAILURES_IN_DOUBT == 0 and await self._ledger_works():
                if len(taken) == 1:
                    await self._leave(taken[0])
                    return
                for held in taken:
                    await self._write([held])
                return
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _try(self, taken: Sequence[Held]) -> bool:
        """Whether they are in the ledger now; if so, they are acknowledged."""
        try:
            drained = await self._writer.ask(RecordDrained([held.batch for held in taken], list(self._writer.full)))
        except LedgerUnavailable as error:
            self._failed(str(error))
            return False
        except Exception as error:  # a fault of ours must not end the drain
            log.exception("drain_fault")
            self._failed(f"a fault in the program: {type(error).__name__}, see the log")
            return False
        self._failed(None)
        self._count(taken, drained)
        for held in taken:
            await self._send(held, b"")
            self._let_go(held)
        return True

    async def _ledger_works(self) -> bool:
        try:
            await self._writer.ask(Probe())
        except LedgerUnavailable:
            return False
        return True

    async def _leave(self, held: Held) -> None:
        """Give back what the ledger cannot take though it takes others: it stays in the stream, for another program."""
        log.error(
            "batch_left", stream=held.key[0], sequence=held.key[1], reason=self._failure, again_in_s=_LEFT_AGAIN_S
        )
        self._failed(None)
        await self._give_back(held.reply, _LEFT_AGAIN_S)
        self._let_go(held)

    def _let_go(self, held: Held) -> None:
        self._writing.pop(held.key, None)
        self._count_held(-held.size_bytes)

    def _count(self, taken: Sequence[Held], drained: Drained) -> None:
        self._meter.drained_batches += drained.new
        self._meter.skipped_batches += len(taken) - drained.new
        self._meter.drained_callbacks.update(drained.taken)
        self._meter.lag_s = max(0.0, time.time() - taken[0].batch.published_us / _MICROSECONDS)

    def _failed(self, reason: str | None) -> None:
        if reason != self._failure:
            if reason is None:
                log.info("draining", was=self._failure)
            else:
                log.error("cannot_drain", reason=reason, held_batches=self._meter.held_batches)
        self._failure = reason

    async def _keep(self) -> None:
        """Tell the servers that what is held is being worked on, so that they give it to nobody else."""
        while True:
            await asyncio.sleep(_KEEP_EVERY_S)
            now_s = time.monotonic()
            for held in [*self._writing.values(), *self._waiting.values()]:
                if now_s - held.touched_s > _KEEP_EVERY_S:
                    held.touched_s = now_s
                    await self._send(held, _PROGRESS)

    async def _forget(self) -> None:
        """Have the ledger forget the ids of batches that are older than anything any shard holds."""
        while True:
            await asyncio.sleep(_FORGET_EVERY_S)
            with contextlib.suppress(LedgerUnavailable):
                now_us = round(time.time() * _MICROSECONDS)
                before_us = await self._streams.oldest_us(now_us) - _FORGET_AFTER_US
                await self._forget_before(before_us)

    async def _forget_before(self, before_us: int) -> None:
        forgotten = _FORGET_AT_ONCE
        while forgotten == _FORGET_AT_ONCE:
            forgotten = await self._writer.ask(ForgetDrained(before_us, _FORGET_AT_ONCE))
            await asyncio.sleep(_FIRST_PAUSE_S)  # callbacks go first

    async def _acknowledge(self, reply: str) -> None:
        with contextlib.suppress(Broken):
            await self._connection.send(reply)

    async def _send(self, held: Held, payload: bytes) -> None:
        """Tell the server; where that fails it delivers the message again, which does no harm."""
        held.touched_s = time.monotonic()
        with contextlib.suppress(Broken):
            await self._connection.send(held.reply, payload)

    async def _give_back(self, reply: str, delay_s: float) -> None:
        with contextlib.suppress(Broken):
            delay = json.dumps({"delay": round(delay_s * _NANOSECONDS)})
            await self._connection.send(reply, b"%s %s" % (_NAK, delay.encode()))

    def _later(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._small.add(task)
        task.add_done_callback(self._small.discard)


async def _cancel(tasks: Sequence["asyncio.Task[None]"]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
