"""The ledger's writer in a thread of this process: the same requests and replies, and it is there at once."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from answerback.domain.models import Arrival
from answerback.ledger import Job, Ledger, Opening, Verdict
from answerback.ledger.commands import Record, Request, decode_answer, decode_request, encode_request
from answerback.ledger.writer.framing import encode_result, read_reply

T = TypeVar("T")


class Desk:
    """What tests use of `WriterProcess`; only that cannot be killed."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._thread = ThreadPoolExecutor(1)
        self._ledger: Ledger | None = None
        self.on_owed: Callable[[list[Job], list[int]], None] = lambda _jobs, _behind: None
        self.full: Collection[int] = ()

    async def start(self) -> None:
        """Open the ledger."""
        self._ledger = await asyncio.get_running_loop().run_in_executor(self._thread, self._opening.open)

    async def stop(self, _timeout_s: float) -> None:
        """Do what was asked, and close it."""
        await asyncio.to_thread(self._thread.shutdown)
        if self._ledger is not None:
            self._ledger.close()

    def ask(self, request: Request[T]) -> "asyncio.Future[T]":
        """Have a request carried out after those before it."""
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._thread, self._carry_out, type(request), encode_request(request))

    async def record(self, batch: Sequence[Arrival]) -> list[Verdict]:
        """Store bodies, and hand on what may go out."""
        noted = await self.ask(Record(batch, list(self.full)))
        if noted.jobs or noted.behind:
            self.on_owed(noted.jobs, noted.behind)
        return noted.verdicts()

    def _carry_out(self, kind: type[Request[Any]], payload: bytes) -> Any:
        assert self._ledger is not None
        return decode_answer(kind, read_reply(encode_result(decode_request(payload).run(self._ledger))))
