"""Record an inbox into the ledger: forward from the position that the ledger holds.

The position is asked from the ledger at the start and after every failure, never remembered: whatever died in between, a row is
recorded once. Rows leave the inbox only after the ledger has said that it holds them.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from answerback.errors import LedgerUnavailable, PositionConflict, ResourceNotFound
from answerback.inbox import Generation, Inbox, InboxLag, RecorderFailure
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import ForgetLogs, LogPositions
from answerback.ledger.types import to_us
from answerback.recorder.metrics import RecorderMetrics
from answerback.recorder.recorder import MAX_BYTES, MAX_CALLBACKS, Recorder, log

_POLL_S = 1.0
_ALONE_AFTER_S = 10.0
"""Another recorder on the log has ended where the position has not moved for so long."""
_KEEP_EVERY_S = 86_400.0
_FORGET_AFTER = timedelta(days=90)  # a gateway that has stopped for so long has its rows counted as repeats


class InboxRecorder(Recorder):
    """Records what an inbox holds, its older generations first, and then what is appended to it."""

    def __init__(self, inbox: Inbox, ledger: LedgerClient, metrics: RecorderMetrics) -> None:
        super().__init__(ledger, metrics)
        self._inbox = inbox
        self._appended = asyncio.Event()
        self._changed = asyncio.Event()
        self._reached = (0, 0)  # the number of a generation, and the position in it
        self._conflicts = self._readers = 0

    def start(self) -> None:
        self._inbox.on_appended = self._appended.set
        super().start()

    @property
    def lag(self) -> InboxLag:
        """What is not recorded yet."""
        return self._inbox.waiting()

    @property
    def lag_s(self) -> float:
        """The age of the oldest callback that is not recorded; 0 where there is none."""
        return self.lag.age_s

    def note_failure(self) -> RecorderFailure | None:
        """Why nothing can be recorded now, and since when, None if it can; the inbox keeps it for commands."""
        return self._inbox.note_failure(None if self.failure is None else str(self.failure))

    async def catch_up(self, timeout_s: float) -> float:
        """Wait until all that has been appended by now is recorded: 0.0; else, after `timeout_s`, the seconds of lag that are left.

        While nothing can be recorded it does not wait.
        """
        present = self._inbox.present
        deadline_s = time.monotonic() + timeout_s
        with self._reading():
            while self.lag.rows and self._reached < (present.number, present.last):
                try:
                    async with asyncio.timeout(0 if self.failure else deadline_s - time.monotonic()):
                        await self._changed.wait()
                except TimeoutError:
                    return self.lag.age_s
        return 0.0

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """Have the recorder take no rest meanwhile."""
        self._readers += 1
        self._is_read.set()
        try:
            yield
        finally:
            self._readers -= 1
            if not self._readers:
                self._is_read.clear()

    async def _record_all(self) -> None:
        """Record until stopped; where another recorder was at work, as soon as that has ended."""
        while True:
            try:
                if self._conflicts > 1:
                    await self._wait_until_alone()
                return await self._record_generations()
            except PositionConflict as error:
                self._on_conflict(error)
                if self._conflicts > 1 and self._is_stopping.is_set():
                    return None

    async def _record_generations(self) -> None:
        """Record each generation from where the ledger is, the present one until stopped."""
        positions = await self._positions()
        for id_, position in positions.items():
            self._inbox.mark_recorded(id_, position)
        for generation in self._inbox.generations:
            await self._record_generation(generation, positions[generation.id])

    async def _record_generation(self, generation: Generation, position: int) -> None:
        """Record what follows `position`."""
        while True:
            self._appended.clear()
            try:
                rows = await self._inbox.read(generation.id, position, MAX_CALLBACKS, MAX_BYTES)
            except ResourceNotFound:  # all of it was recorded before, and is deleted by now
                rows = []
            if rows:
                reply = await self._record(generation.id, position, [(row.position, row.payload) for row in rows])
                self._conflicts = 0
                position = reply.position
                self._inbox.mark_recorded(generation.id, position)
                self._set_reached(generation, position)
                await self._rest_after(reply)
                continue
            if generation.id != self._inbox.present.id:
                return  # nothing of it waits, which does not say that anything can be recorded
            self._set_reached(generation, position)
            if self._is_stopping.is_set():
                return
            await self._wait_for_rows()

    async def _wait_for_rows(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_POLL_S):
                await self._appended.wait()

    async def _positions(self) -> dict[bytes, int]:
        return await self._ledger.execute(LogPositions([generation.id for generation in self._inbox.generations]))

    def _on_conflict(self, error: PositionConflict) -> None:
        """Go on from where the ledger is; the second time without a success in between, leave the log to the other recorder.

        A single one is a commit whose answer was lost, or a ledger that went back.
        """
        self._conflicts += 1
        if self._conflicts == 1:
            return
        if not isinstance(self._failure, PositionConflict):
            todo = "find out which other process records this inbox; this one goes on once that has ended"
            log.error("recorder_conflict", reason=str(error), todo=todo)
        self._set_failure(error)

    async def _wait_until_alone(self) -> None:
        """Return when nobody else moves the positions any more, or at the end."""
        before = await self._positions()
        while not self._is_stopping.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_ALONE_AFTER_S):
                    await self._is_stopping.wait()
            now = await self._positions()
            if now == before:
                return
            before = now

    async def _tidy(self) -> None:
        """Keep, once a day, what the ledger knows of these generations, and have it forget those that nobody keeps."""
        while True:
            keep = [generation.id for generation in self._inbox.generations]
            with contextlib.suppress(LedgerUnavailable):
                await self._ledger.execute(ForgetLogs(keep, to_us(datetime.now(UTC) - _FORGET_AFTER)))
            await asyncio.sleep(_KEEP_EVERY_S)

    def _set_reached(self, generation: Generation, position: int) -> None:
        """Everything up to there is recorded."""
        self._reached = (generation.number, position)
        self._set_failure(None)

    def _set_failure(self, error: LedgerUnavailable | PositionConflict | None) -> None:
        super()._set_failure(error)
        self._changed.set()  # `catch_up` looks again
        self._changed.clear()

    def _wake(self) -> None:
        self._appended.set()
