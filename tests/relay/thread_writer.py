"""The ledger's writer in a thread of this process: the same commands and replies, and it is there at once."""

import asyncio
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from answerback.errors import LedgerUnavailable
from answerback.ledger import DeliveryJob, Ledger, LedgerConfig
from answerback.ledger.commands import Command, RecordLog, decode_command, decode_result, encode_command
from answerback.ledger.writer.framing import decode_reply, encode_result

T = TypeVar("T")


class Desk:
    """What tests use of `WriterClient`; only that cannot be killed."""

    def __init__(self, ledger_config: LedgerConfig) -> None:
        self._ledger_config = ledger_config
        self._thread = ThreadPoolExecutor(1)
        self._ledger: Ledger | None = None
        self.on_jobs: Callable[[list[DeliveryJob], list[int]], None] = lambda _jobs, _backlogged: None
        self.saturated: Collection[int] = ()
        self.failure: LedgerUnavailable | None = None

    async def start(self) -> None:
        """Open the ledger."""
        self._ledger = await asyncio.get_running_loop().run_in_executor(self._thread, self._ledger_config.open)

    async def stop(self, _timeout_s: float) -> None:
        """Do what was asked, and close it."""
        await asyncio.to_thread(self._thread.shutdown)
        if self._ledger is not None:
            self._ledger.close()

    def execute(self, command: Command[T]) -> "asyncio.Future[T]":
        """Have a command carried out after those before it, and hand on what may go out."""
        loop = asyncio.get_running_loop()
        reply = loop.run_in_executor(self._thread, self._carry_out, type(command), encode_command(command))
        if isinstance(command, RecordLog):
            reply.add_done_callback(lambda done: self.on_jobs(done.result().jobs, done.result().backlogged))
        return reply

    def _carry_out(self, kind: type[Command[Any]], payload: bytes) -> Any:
        assert self._ledger is not None
        return decode_result(kind, decode_reply(encode_result(decode_command(payload).run(self._ledger))))
