"""Open-loop load: callbacks at a rate of their own, however slow the receiver is.

Each callback has the time at which the rate wants it sent, and its latency counts from there. Where all connections
are busy it waits for one, and the wait is a part of its latency: a receiver that stalls cannot hide it by being asked
less (no coordinated omission). A timer of the event loop is exact to a millisecond; what it is late counts as well.
"""

import asyncio
import random
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from time import perf_counter
from typing import TypeVar

import msgspec

from answerback.domain.failure_reasons import FAILURE_REASONS
from answerback.domain.models import CallbackKind, Result
from answerback.emulator.callback_sender import Refusal, find_refusal
from answerback.emulator.http_client import HttpTarget, PooledClient
from answerback.emulator.latency_histogram import HdrHistogram
from answerback.emulator.payloads import CallbackFields, body_of

_LATE_S = 0.1
_ERRMSG_CHARS = 200
_MAX_REASONS = 1000
_KEYS = "0123456789*#"
_CODES = sorted(FAILURE_REASONS)
_UUID_EPOCH_TICKS = 0x01B21DD213814000
"""From the beginning of the Gregorian calendar to that of Unix time, in the 100 ns of a UUIDv1."""

MIX = {
    (CallbackKind.PROMPT, Result.ANSWERED): 60,
    (CallbackKind.PROMPT, Result.UNANSWERED): 15,
    (CallbackKind.PROMPT, Result.ERROR): 5,
    (CallbackKind.CODE, Result.ANSWERED): 10,
    (CallbackKind.KEY, Result.ANSWERED): 5,
    (CallbackKind.FAILURE, Result.ANSWERED): 5,
}
"""How many of 100 callbacks of a mix are of each kind and result; key presses and failures have no result."""

_WORDS = TypeVar("_WORDS", "Refusal", str)


class LoadPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What to send: `rate` callbacks per second, over `connections` at most; without `kind`, a mix of all."""

    rate: float
    duration_s: float
    connections: int
    timeout_s: float
    seed: int
    kind: CallbackKind | None = CallbackKind.PROMPT

    @property
    def count(self) -> int:
        """How many callbacks that makes, at least one."""
        return max(1, round(self.rate * self.duration_s))


class CallidSequence:
    """The callids of one run: UUIDv1 of its own node from now on, which no other run has."""

    def __init__(self) -> None:
        self._first = time.time_ns() // 100 + _UUID_EPOCH_TICKS
        node = uuid.uuid4()
        self._clock = (0x80 | node.clock_seq_hi_variant & 0x3F, node.clock_seq_low)
        self._node = node.node | 1 << 40  # the bit that says: no network card's

    def __getitem__(self, turn: int) -> str:
        """The callid of the callback whose turn it is."""
        ticks = self._first + turn
        low, mid, high = ticks & 0xFFFFFFFF, ticks >> 32 & 0xFFFF, ticks >> 48 & 0x0FFF | 0x1000
        return str(uuid.UUID(fields=(low, mid, high, *self._clock, self._node)))


class LoadStats:
    """What became of the callbacks of a plan, up to now.

    `sent` is `ended` once the load is over; `late` of them began more than 0.1 s after their time.
    HdrHistogram are of the answers, good or bad.
    """

    def __init__(self, plan: LoadPlan) -> None:
        self.planned = plan.count
        self.sent = 0
        self.late = 0
        self.accepted = 0
        self.refusals: Counter[Refusal] = Counter()
        self.unanswered_reasons: Counter[str] = Counter()
        self.latencies = HdrHistogram()
        self.elapsed_s = 0.0
        self._rate = plan.rate
        self._is_accepted = bytearray(plan.count)
        self._callids = CallidSequence()

    @property
    def refused(self) -> int:
        return self.refusals.total()

    @property
    def unanswered(self) -> int:
        return self.unanswered_reasons.total()

    @property
    def ended(self) -> int:
        """How many are over, one way or another."""
        return self.accepted + self.refused + self.unanswered

    @property
    def unsent(self) -> int:
        """How many did not get a connection in time."""
        return self.planned - self.sent

    @property
    def achieved_rate(self) -> float:
        """Answers per second, until the last one."""
        return min(self._rate, self.latencies.total / self.elapsed_s) if self.elapsed_s else 0.0

    @property
    def accepted_callids(self) -> Iterator[str]:
        return (self.callid(turn) for turn, taken in enumerate(self._is_accepted) if taken)

    def callid(self, turn: int) -> str:
        return self._callids[turn]

    def record_accepted(self, turn: int) -> None:
        self.accepted += 1
        self._is_accepted[turn] = 1

    def record_refusal(self, refusal: Refusal) -> None:
        _count(self.refusals, refusal, Refusal(refusal.status, refusal.result, "(other words)"))

    def record_unanswered(self, words: str) -> None:
        _count(self.unanswered_reasons, words, "other reasons")


def _count(counter: Counter[_WORDS], words: _WORDS, otherwise: _WORDS) -> None:
    """Count by words, unless each answer has words of its own."""
    counter[words if words in counter or len(counter) < _MAX_REASONS else otherwise] += 1


class LoadGenerator:
    """One run of a plan against `url`; `stats` may be read at any time. Raises ConfigError for an invalid URL."""

    def __init__(self, url: str, plan: LoadPlan) -> None:
        self.stats = LoadStats(plan)
        self._target = HttpTarget(url)
        self._client = PooledClient()
        self._plan = plan
        self._turns = iter(range(plan.count))
        self._chance = random.Random(plan.seed)  # noqa: S311  # chance, no secret
        self._began_s = 0.0

    async def run(self) -> None:
        """Send everything, and wait for the answers; what has not begun `timeout_s` after the last time stays unsent."""
        self._began_s = perf_counter()
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._plan.connections, self._plan.count)):
                    group.create_task(self._work())
        finally:
            self._client.close()

    async def _work(self) -> None:
        """Take the next turn, wait for its time, send: one connection's life."""
        last_s = self._began_s + self._plan.duration_s + self._plan.timeout_s
        for turn in self._turns:
            callback = self._next_callback()
            intended_s = self._began_s + turn / self._plan.rate
            if (wait_s := intended_s - perf_counter()) > 0:
                await asyncio.sleep(wait_s)
            now_s = perf_counter()
            if now_s > last_s:
                return
            self.stats.sent += 1
            self.stats.late += now_s - intended_s > _LATE_S
            body = body_of(msgspec.structs.replace(callback, callid=self.stats.callid(turn)))
            await self._send(turn, body, min(intended_s, now_s))

    async def _send(self, turn: int, body: bytes, since_s: float) -> None:
        stats = self.stats
        try:
            async with asyncio.timeout(self._plan.timeout_s):
                status, _, answer = await self._client.send(self._target, [b"".join(self._target.frame(body))])
        except TimeoutError:
            stats.record_unanswered(f"no answer within {self._plan.timeout_s:g} s")
        except (OSError, UnicodeError) as error:  # a host name may be no name
            stats.record_unanswered(str(error) or type(error).__name__)
        except asyncio.CancelledError:
            stats.record_unanswered("interrupted")
            raise
        else:
            now_s = perf_counter()
            stats.latencies.record(now_s - since_s)
            stats.elapsed_s = now_s - self._began_s
            refusal = find_refusal(status, answer)
            if refusal is None:
                stats.record_accepted(turn)
            else:
                stats.record_refusal(refusal._replace(errmsg=refusal.errmsg[:_ERRMSG_CHARS]))

    def _next_callback(self) -> CallbackFields:
        """The next callback; the same seed gives the same ones in the same order."""
        chance, kind, result = self._chance, self._plan.kind, Result.ANSWERED
        if kind is None:
            ((kind, result),) = chance.choices(tuple(MIX), tuple(MIX.values()))
        mobile = f"138{chance.randrange(10**8):08}"
        if kind is CallbackKind.KEY:
            return CallbackFields(kind=kind, mobile=mobile, key=chance.choice(_KEYS))
        if kind is CallbackKind.FAILURE:
            return CallbackFields(kind=kind, mobile=mobile, failure_code=chance.choice(_CODES))
        return CallbackFields(kind=kind, result=result, mobile=mobile)
