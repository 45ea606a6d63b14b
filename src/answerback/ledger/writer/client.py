"""The gateway's end of the ledger's writer: starts it, feeds it, starts it again."""

import asyncio
import contextlib
import subprocess
import time
from collections import deque
from collections.abc import Callable, Collection
from typing import Any, TypeVar, cast

import structlog

from answerback.errors import AnswerbackError, LedgerUnavailable, UnavailableReason
from answerback.ledger.commands import (
    Command,
    LogReply,
    RequeueResult,
    decode_result,
    encode_command,
)
from answerback.ledger.factory import LedgerConfig
from answerback.ledger.types import DeliveryJob
from answerback.ledger.writer.framing import LENGTH_BYTES, decode_reply, encode_config, frame
from answerback.ledger.writer.spawning import WriterHandle, spawn_writer

T = TypeVar("T")

_SILENT_AFTER_S = 10.0
"""A command that has waited for so long: the writer hangs, or has one that takes as long. A heartbeat asks every 3 s."""
_WATCH_EVERY_S = 1.0
_MIN_RESTART_DELAY_S = 0.1
_MAX_RESTART_DELAY_S = 5.0

log = structlog.get_logger("answerback.ledger")


class WriterClient:
    """The ledger's one writer, in a process of its own.

    `start` it inside the loop that is to use it; its first process may be there already. If it dies it is started again; what was under way then counts as
    not stored.
    """

    def __init__(self, config: LedgerConfig, spawned: WriterHandle | None = None) -> None:
        self.config = config
        """Which ledger; up to `start` it may be said more exactly."""
        self.on_jobs: Callable[[list[DeliveryJob], list[int]], None] = lambda _jobs, _backlogged: None
        """Called with the jobs of a batch, and with the endpoints that have more in the ledger."""
        self.on_set_aside: Callable[[int], None] = lambda _count: None
        """Called with how many callbacks of a batch the ledger refused, which are in quarantine now."""
        self.saturated: Collection[int] = ()
        """Endpoints for which no more jobs can be taken now."""
        self._spawned = spawned
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: _RpcConnection | None = None
        self._restart_delay_s = _MIN_RESTART_DELAY_S
        self._restarting: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._stopping = False

    async def start(self) -> None:
        """Connect to the process, and send it the config of the ledger to write."""
        spawned, self._spawned = self._spawned or spawn_writer(), None
        self._process = spawned.process
        loop = asyncio.get_running_loop()
        _, self._connection = await loop.create_connection(
            lambda: _RpcConnection(self._on_disconnect), sock=spawned.socket
        )
        self._connection.send(encode_config(self.config))
        self._alive_since_s = loop.time()
        self._watching = self._watching or loop.create_task(self._watch())

    @property
    def pid(self) -> int | None:
        """The process that writes; None while it is being started again."""
        return None if self._process is None else self._process.pid

    @property
    def failure(self) -> LedgerUnavailable | None:
        """Why no command is carried out now; None where they are, as far as is known."""
        if self._connection is None:
            return LedgerUnavailable(UnavailableReason.WRITER_STARTING)
        if (silent_s := self._connection.silent_s) > _SILENT_AFTER_S:
            return LedgerUnavailable(UnavailableReason.WRITER_SILENT, f"for {silent_s:.0f} s")
        return None

    def execute(self, command: Command[T]) -> "asyncio.Future[T]":
        """Have `command` carried out after those before it; the future has its result, after the commit.

        LedgerUnavailable, raised or in the future: nothing was done, or it is not known; else the command's own errors.
        """
        return self._send(command, lambda payload: self._publish_jobs(decode_result(type(command), payload)))

    def _send(self, command: Command[Any], decode: Callable[[bytes], T]) -> "asyncio.Future[T]":
        if self._connection is None:
            raise LedgerUnavailable(UnavailableReason.WRITER_STARTING)
        return self._connection.call(encode_command(command), decode)

    def _publish_jobs(self, answer: T) -> T:
        """`answer`, after what it says may go out, and what it says was set aside, is handed on."""
        if isinstance(answer, LogReply) and answer.set_aside:
            log.error("callbacks_set_aside", count=len(answer.set_aside), detail=answer.set_aside[0])
            self.on_set_aside(len(answer.set_aside))
        if isinstance(answer, LogReply | RequeueResult) and (answer.jobs or answer.backlogged):
            self.on_jobs(answer.jobs, answer.backlogged)
        return answer

    async def stop(self, timeout_s: float) -> None:
        """Let the process finish what it was given, and wait for its end."""
        self._stopping = True
        for task in (self._watching, self._restarting):
            if task is not None:
                task.cancel()
        if self._connection is not None:
            self._connection.close()
        process = self._process
        if process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(process.wait, timeout_s)
            if process.returncode is None:
                log.error("writer_stuck", after_s=timeout_s)
                process.kill()
                process.wait()

    async def _watch(self) -> None:
        """Log when the process falls silent, and when it answers again."""
        was_silent = False
        while True:
            await asyncio.sleep(_WATCH_EVERY_S)
            is_silent = self.failure is not None and self.failure.reason is UnavailableReason.WRITER_SILENT
            if is_silent and not was_silent:
                log.error("writer_silent", pid=self.pid, after_s=_SILENT_AFTER_S)
            elif was_silent and not is_silent:
                log.info("writer_answers", pid=self.pid)
            was_silent = is_silent

    def _on_disconnect(self) -> None:
        self._connection = None
        if not self._stopping:
            self._restarting = asyncio.get_running_loop().create_task(self._restart())

    async def _restart(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            log.error(
                "writer_ended", status=await asyncio.to_thread(process.wait), starts_again_in_s=self._restart_delay_s
            )
        lived_s = asyncio.get_running_loop().time() - self._alive_since_s
        while self._connection is None:
            await asyncio.sleep(self._restart_delay_s)
            self._restart_delay_s = (
                _MIN_RESTART_DELAY_S
                if lived_s > _MAX_RESTART_DELAY_S
                else min(self._restart_delay_s * 2, _MAX_RESTART_DELAY_S)
            )
            try:
                await self.start()
            except OSError as error:  # no process, no memory, no file left
                log.error("writer_start_failed", reason=str(error), tries_again_in_s=self._restart_delay_s)  # noqa: TRY400
                lived_s = 0.0


class _RpcConnection(asyncio.Protocol):
    """Frames out, replies in, each to the question that waits longest."""

    def __init__(self, on_lost: Callable[[], None]) -> None:
        self._on_lost = on_lost
        self._pending: deque[tuple[asyncio.Future[Any], Callable[[bytes], Any]]] = deque()
        self._unread = bytearray()
        self._progress_s = 0.0

    @property
    def silent_s(self) -> float:
        """For how long no reply has come though one is waited for."""
        return time.monotonic() - self._progress_s if self._pending else 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def send(self, payload: bytes) -> None:
        self._transport.write(frame(payload))

    def call(self, payload: bytes, decode: Callable[[bytes], T]) -> "asyncio.Future[T]":
        reply: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if not self._pending:
            self._progress_s = time.monotonic()
        self._pending.append((reply, decode))
        self.send(payload)
        return reply

    def close(self) -> None:
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        unread = self._unread
        unread += data
        while len(unread) >= LENGTH_BYTES:
            end = LENGTH_BYTES + int.from_bytes(unread[:LENGTH_BYTES], "big")
            if len(unread) < end:
                return
            payload = bytes(unread[LENGTH_BYTES:end])
            del unread[:end]
            self._progress_s = time.monotonic()
            self._resolve(*self._pending.popleft(), payload)

    @staticmethod
    def _resolve(future: "asyncio.Future[Any]", decode: Callable[[bytes], Any], payload: bytes) -> None:
        try:
            result = decode(decode_reply(payload))
        except AnswerbackError as error:
            if not future.done():
                future.set_exception(error)
        else:
            if not future.done():
                future.set_result(result)

    def connection_lost(self, _exc: Exception | None) -> None:
        for future, _ in self._pending:
            if not future.done():
                future.set_exception(LedgerUnavailable(UnavailableReason.WRITER_ENDED))
        self._pending.clear()
        self._on_lost()
