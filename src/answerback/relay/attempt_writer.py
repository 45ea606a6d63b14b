"""What attempts came to, on its way into the ledger: together as it comes, and kept here until the ledger has it."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from answerback.errors import LedgerUnavailable
from answerback.ledger import Job, Pause, Settled
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import Settle

_EVERY_S = 0.004
_MOST = 4096
_AT_A_TIME = 512
_AGAIN_S = 0.5


class Settling:
    """Writes what is added. Lives in one event loop.

    `on_kept` is called with what the ledger has now, and the jobs that this lets go out; `on_doubt` with what it may
    have or not, before it is written again: jobs that were let go out then are known to the ledger alone.
    """

    def __init__(
        self,
        book: LedgerClient,
        on_kept: Callable[[Sequence[Settled], Sequence[Job]], None],
        on_doubt: Callable[[Sequence[Settled]], None],
    ) -> None:
        self._book = book
        self._on_kept = on_kept
        self._on_doubt = on_doubt
        self._unkept: list[Settled] = []
        self._pauses: dict[int, Pause] = {}
        self._writing: asyncio.Task[None] | None = None
        self._hurry = False
        self._progress = asyncio.Event()
        self.member: str | None = None
        """By whose leases attempts are made, where there are leases."""

    @property
    def full(self) -> bool:
        """Whether so much is not kept yet that nothing more should be begun."""
        return len(self._unkept) >= _MOST

    def add(self, settled: Settled) -> None:
        """Take what an attempt came to."""
        self._unkept.append(settled)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._write())

    def pause(self, pause: Pause) -> None:
        """Take a pause of an endpoint, or its end; it is written with the next attempts."""
        self._pauses[pause.endpoint_id] = pause

    def forget_pause(self, endpoint_id: int) -> None:
        """A change of the endpoint has ended its pause."""
        self._pauses.pop(endpoint_id, None)

    def unwritten(self, endpoint_id: int) -> set[int]:
        """The deliveries of an endpoint whose attempts are not in the ledger yet."""
        return {one.delivery_id for one in self._unkept if one.endpoint_id == endpoint_id}

    async def written(self, endpoint_id: int, timeout_s: float) -> bool:
        """Wait until all attempts at an endpoint are in the ledger; whether they are."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self.unwritten(endpoint_id):
                    self._progress.clear()
                    await self._progress.wait()
        return not self.unwritten(endpoint_id)

    async def stop(self, timeout_s: float) -> None:
        """Write what there is."""
        self._hurry = True
        if self._writing is not None:
            await asyncio.wait([self._writing], timeout=timeout_s)
            self._writing.cancel()

    async def _write(self) -> None:
        again = False
        while self._unkept:
            if not self._hurry:
                await asyncio.sleep(_EVERY_S)
            batch, pauses = self._unkept[:_AT_A_TIME], self._pauses
            self._pauses = {}
            try:
                freed = await self._book.ask(Settle(batch, list(pauses.values()), again, self.member))
            except LedgerUnavailable:
                self._pauses = pauses | self._pauses
                self._on_doubt(batch)
                again = True
                await asyncio.sleep(_AGAIN_S)
                continue
            again = False
            del self._unkept[: len(batch)]
            self._progress.set()
            self._on_kept(batch, freed)
