"""Write the results of attempts into the ledger, in batches; they stay in memory until the ledger has them."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from answerback.errors import LedgerUnavailable
from answerback.ledger import AttemptRecord, DeliveryJob, EndpointPause
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import RecordAttempts

_GATHER_S = 0.004
_MAX_PENDING = 4096
_BATCH_SIZE = 512
_RETRY_S = 0.5


class AttemptWriter:
    """Write the records that are added. Belongs to one event loop.

    `on_written` is called with what the ledger has now, and the jobs that this unblocked; `on_uncertain` with what it may
    have or not, before it is written again: jobs that were unblocked then are known to the ledger alone.
    """

    def __init__(
        self,
        ledger: LedgerClient,
        on_written: Callable[[Sequence[AttemptRecord], Sequence[DeliveryJob]], None],
        on_uncertain: Callable[[Sequence[AttemptRecord]], None],
    ) -> None:
        self._ledger = ledger
        self._on_written = on_written
        self._on_uncertain = on_uncertain
        self._pending: list[AttemptRecord] = []
        self._pauses: dict[int, EndpointPause] = {}
        self._writing: asyncio.Task[None] | None = None
        self._stopping = False
        self._progress = asyncio.Event()
        self.instance_id: str | None = None
        """The holder of the leases, where there are leases."""

    @property
    def is_full(self) -> bool:
        """Whether so many results are pending that no attempt should start."""
        return len(self._pending) >= _MAX_PENDING

    def add(self, settled: AttemptRecord) -> None:
        self._pending.append(settled)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._write())

    def pause(self, pause: EndpointPause) -> None:
        """Add a pause of an endpoint, or its end; it is written with the next attempts."""
        self._pauses[pause.endpoint_id] = pause

    def discard_pause(self, endpoint_id: int) -> None:
        """Drop a pause that a change of the endpoint has ended."""
        self._pauses.pop(endpoint_id, None)

    def pending_ids(self, endpoint_id: int) -> set[int]:
        """The deliveries of an endpoint with attempts that are not written yet."""
        return {one.delivery_id for one in self._pending if one.endpoint_id == endpoint_id}

    async def flush(self, endpoint_id: int, timeout_s: float) -> bool:
        """Wait until all attempts at an endpoint are written; return whether they are."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self.pending_ids(endpoint_id):
                    self._progress.clear()
                    await self._progress.wait()
        return not self.pending_ids(endpoint_id)

    async def stop(self, timeout_s: float) -> None:
        self._stopping = True
        if self._writing is not None:
            await asyncio.wait([self._writing], timeout=timeout_s)
            self._writing.cancel()

    async def _write(self) -> None:
        again = False
        while self._pending:
            if not self._stopping:
                await asyncio.sleep(_GATHER_S)
            batch, pauses = self._pending[:_BATCH_SIZE], self._pauses
            self._pauses = {}
            try:
                freed = await self._ledger.execute(
                    RecordAttempts(batch, list(pauses.values()), again, self.instance_id)
                )
            except LedgerUnavailable:
                self._pauses = pauses | self._pauses
                self._on_uncertain(batch)
                again = True
                await asyncio.sleep(_RETRY_S)
                continue
            again = False
            del self._pending[: len(batch)]
            self._progress.set()
            self._on_written(batch, freed)
