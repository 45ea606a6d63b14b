"""The gateway's end of the ledger's writer: starts it, feeds it, starts it again."""

import asyncio
import contextlib
import subprocess
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar, cast

import structlog

from answerback.domain.models import Arrival
from answerback.errors import AnswerbackError, LedgerUnavailable, UnavailableReason
from answerback.ledger.commands import Drained, Noted, Probe, Record, Request, Requeued, decode_answer, encode_request
from answerback.ledger.factory import Opening
from answerback.ledger.types import Job, Verdict
from answerback.ledger.writer.framing import LENGTH_BYTES, encode_opening, frame, read_reply
from answerback.ledger.writer.spawning import Spawned, spawn

T = TypeVar("T")

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0

log = structlog.get_logger("answerback.ledger")


class WriterProcess:
    """The ledger's one writer, in a process of its own.

    `start` it inside the loop that is to use it; its first process may be there already. If it dies it is started again; what was under way then counts as
    not stored.
    """

    def __init__(self, opening: Opening, spawned: Spawned | None = None) -> None:
        self.opening = opening
        """Which ledger; up to `start` it may be said more exactly."""
        self.on_owed: Callable[[list[Job], list[int]], None] = lambda _jobs, _behind: None
        """Called with what may go out because of a batch, and with the endpoints to whom there is more."""
        self.on_set_aside: Callable[[int], None] = lambda _count: None
        """Called with how many callbacks of a batch the ledger refused, which are in quarantine now."""
        self.full: Collection[int] = ()
        """Endpoints for which no more jobs can be taken now."""
        self._spawned = spawned
        self._process: subprocess.Popen[bytes] | None = None
        self._link: _Link | None = None
        self._pause_s = _FIRST_PAUSE_S
        self._reviving: asyncio.Task[None] | None = None
        self._stopping = False

    async def start(self) -> None:
        """Connect to the process, and tell it which ledger to write."""
        spawned, self._spawned = self._spawned or spawn(), None
        self._process = spawned.process
        loop = asyncio.get_running_loop()
        _, self._link = await loop.create_connection(lambda: _Link(self._lost), sock=spawned.socket)
        self._link.send(encode_opening(self.opening))
        self._alive_since_s = loop.time()

    def record(self, batch: Sequence[Arrival]) -> "asyncio.Future[list[Verdict]]":
        """Read and store `batch` durably; the future tells, after the commit, what each sender is to be told, in order.

        Batches are committed in the order of the calls. LedgerUnavailable, raised or in the future: nothing of it
        counts as stored.
        """
        return self._ask(Record(batch, list(self.full)), self._verdicts)

    def ask(self, request: Request[T]) -> "asyncio.Future[T]":
        """Have `request` carried out after those before it; the future tells what came of it, after the commit.

        LedgerUnavailable, raised or in the future: nothing was done, or it is not known; else the request's own errors.
        """
        return self._ask(request, lambda payload: self._handing_on(decode_answer(type(request), payload)))

    async def probe(self) -> None:
        """Commit nothing of note. Raises LedgerUnavailable with the reason."""
        await self.ask(Probe())

    def _ask(self, request: Request[Any], decode: Callable[[bytes], T]) -> "asyncio.Future[T]":
        if self._link is None:
            raise LedgerUnavailable(UnavailableReason.WRITER_STARTING)
        return self._link.ask(encode_request(request), decode)

    def _verdicts(self, payload: bytes) -> list[Verdict]:
        noted: Noted = self._handing_on(decode_answer(Record, payload))
        return noted.verdicts()

    def _handing_on(self, answer: T) -> T:
        """`answer`, after what it says may go out, and what it says was set aside, is handed on."""
        if isinstance(answer, Noted | Drained) and answer.set_aside:
            log.error("callbacks_set_aside", count=len(answer.set_aside), detail=answer.set_aside[0])
            self.on_set_aside(len(answer.set_aside))
        if isinstance(answer, Noted | Drained | Requeued) and (answer.jobs or answer.behind):
            self.on_owed(answer.jobs, answer.behind)
        return answer

    async def stop(self, timeout_s: float) -> None:
        """Let the process finish what it was given, and wait for its end."""
        self._stopping = True
        if self._reviving is not None:
            self._reviving.cancel()
        if self._link is not None:
            self._link.close()
        process = self._process
        if process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(process.wait, timeout_s)
            if process.returncode is None:
                log.error("writer_stuck", after_s=timeout_s)
                process.kill()
                process.wait()

    def _lost(self) -> None:
        self._link = None
        if not self._stopping:
            self._reviving = asyncio.get_running_loop().create_task(self._revive())

    async def _revive(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            log.error("writer_ended", status=await asyncio.to_thread(process.wait), starts_again_in_s=self._pause_s)
        lived_s = asyncio.get_running_loop().time() - self._alive_since_s
        while self._link is None:
            await asyncio.sleep(self._pause_s)
            self._pause_s = _FIRST_PAUSE_S if lived_s > _LONGEST_PAUSE_S else min(self._pause_s * 2, _LONGEST_PAUSE_S)
            try:
                await self.start()
            except OSError as error:  # no process, no memory, no file left
                log.error("writer_not_started", reason=str(error), tries_again_in_s=self._pause_s)  # noqa: TRY400
                lived_s = 0.0


class _Link(asyncio.Protocol):
    """Frames out, replies in, each to the question that waits longest."""

    def __init__(self, lost: Callable[[], None]) -> None:
        self._lost = lost
        self._waiting: deque[tuple[asyncio.Future[Any], Callable[[bytes], Any]]] = deque()
        self._unread = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def send(self, payload: bytes) -> None:
        self._transport.write(frame(payload))

    def ask(self, payload: bytes, decode: Callable[[bytes], T]) -> "asyncio.Future[T]":
        reply: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((reply, decode))
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
            self._settle(*self._waiting.popleft(), payload)

    @staticmethod
    def _settle(future: "asyncio.Future[Any]", decode: Callable[[bytes], Any], payload: bytes) -> None:
        try:
            result = decode(read_reply(payload))
        except AnswerbackError as error:
            if not future.done():
                future.set_exception(error)
        else:
            if not future.done():
                future.set_result(result)

    def connection_lost(self, _exc: Exception | None) -> None:
        for future, _ in self._waiting:
            if not future.done():
                future.set_exception(LedgerUnavailable(UnavailableReason.WRITER_ENDED))
        self._waiting.clear()
        self._lost()
