"""The cloud as many gateways meet it: callbacks to any of them, each sent again until somebody has answered it."""

import asyncio
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import aiohttp
from cluster.calls import Reported, spaced, steps_of
from gateway import CALLBACK, OK, Gateway
from receivers.process import await_true

REPEATED = 0.1
COMMIT_TIMEOUT_S = 15.0
_PAUSE_S = 0.05  # some hundred a second, of which a few are under way at any moment: what is tested is not speed
_AFTER_REFUSAL_S = 0.05


class Load:
    """Tells `gateways` of calls from several connections while it is entered, in a thread of its own.

    Each callback of a call is told when the one before it was answered with result 0, in any process: until then it is
    told again, to whichever gateway. `sent` are those that may be in a ledger, `answered` those that have to be, and how
    often at least; `refused` counts the truthful noes, `unanswered` the attempts without an answer.
    """

    def __init__(self, gateways: Sequence[Gateway], connections: int = 6) -> None:
        self.started_us = time.time_ns() // 1_000
        self.sent: set[Reported] = set()
        self.answered: Counter[Reported] = Counter()
        self.by_gateway: Counter[Gateway] = Counter()
        self.refused = 0
        self.unanswered = 0
        self.longest_answer_s = 0.0
        self.longest_silence_s = 0.0
        self._gateways = gateways
        self._connections = connections
        self._answered_s = time.monotonic()
        self._stopped = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped = True
        self._thread.join()
        if error is None and self._failure is not None:
            raise self._failure

    def __str__(self) -> str:
        reported = f"{self.answered.total()} answered, {self.refused} refused, {self.unanswered} unanswered"
        return (
            f"{reported}, longest silence {self.longest_silence_s:.2f} s, longest answer {self.longest_answer_s:.2f} s"
        )

    def await_answered(self, count: int, *gateways: Gateway, timeout_s: float = 30.0) -> None:
        """Wait until `count` more callbacks were answered with result 0, by each of `gateways` where some are named."""
        before = self.by_gateway.copy()

        def answered() -> bool:
            self._check()
            each = [self.by_gateway[gateway] - before[gateway] for gateway in gateways]
            return min(each, default=self.by_gateway.total() - before.total()) >= count

        await_true(answered, lambda: f"{count} more were not answered in {timeout_s} s: {self}", timeout_s)

    def await_refused(self, count: int, timeout_s: float = 30.0) -> None:
        """Wait until `count` more attempts were refused."""
        enough = self.refused + count

        def refused() -> bool:
            self._check()
            return self.refused >= enough

        await_true(refused, lambda: f"{count} more were not refused in {timeout_s} s: {self}", timeout_s)

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    # In the thread.

    def _run(self) -> None:
        try:
            asyncio.run(self._report_all())
        except BaseException as failure:  # noqa: BLE001  # it is raised where the test waits
            self._failure = failure

    async def _report_all(self) -> None:
        timeout = aiohttp.ClientTimeout(COMMIT_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as group:
            for _ in range(self._connections):
                group.create_task(self._report_calls(session))

    async def _report_calls(self, session: aiohttp.ClientSession) -> None:
        while not self._stopped:
            callid = str(uuid.uuid1())
            for step in range(len(steps_of(callid))):
                if not await self._report(session, Reported(callid, step)):
                    return
                await asyncio.sleep(random.uniform(0, 2 * _PAUSE_S))

    async def _report(self, session: aiohttp.ClientSession, reported: Reported) -> bool:
        """Tell it until it was answered, and sometimes once more; False where the end came first."""
        self.sent.add(reported)
        while not await self._post(session, reported, reported.body):
            if self._stopped:
                return False
            await asyncio.sleep(_AFTER_REFUSAL_S)
        if random.random() < REPEATED:
            await self._post(session, reported, spaced(reported.body))
        return True

    async def _post(self, session: aiohttp.ClientSession, reported: Reported, body: bytes) -> bool:
        gateway = random.choice(self._gateways)
        began_s = time.monotonic()
        try:
            async with session.post(f"{gateway.url}{CALLBACK}", data=body) as response:
                status, answer = response.status, await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError):
            self.unanswered += 1
            return False
        now_s = time.monotonic()
        self.longest_answer_s = max(self.longest_answer_s, now_s - began_s)
        if (status, answer) != (200, OK):
            assert (status, b'"result":3002' in answer) == (503, True), f"no truthful no: {status} {answer!r}"
            self.refused += 1
            return False
        self.longest_silence_s = max(self.longest_silence_s, now_s - self._answered_s)
        self._answered_s = now_s
        self.answered[reported] += 1
        self.by_gateway[gateway] += 1
        return True
