"""How long an acknowledgement takes while a stream changes its leader, at a steady load, and whether anything is lost."""

import argparse
import asyncio
import statistics
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

import aiohttp
import nats
import psycopg
from engines import CASES, STREAMS, Place, started
from run import PORT, SEED

Report = Callable[[str], None]
Change = Callable[[Place, str], Awaitable[None]]

RATE_PER_S = 500
BEFORE_S, AFTER_S = 2.0, 3.0

_URL = f"http://127.0.0.1:{PORT}/voice/callback"
_TIMEOUT_S = 15.0


@dataclass(frozen=True)
class Answer:
    """One callback's: when it was due, how long it took from then, and whether it was result 0."""

    callid: str
    due_s: float
    took_s: float
    acknowledged: bool


@dataclass
class SteadyLoad:
    """Callbacks at a steady rate, whatever becomes of those before: a slow answer does not slow the load down."""

    session: aiohttp.ClientSession
    answers: list[Answer] = field(default_factory=list)

    async def run(self) -> None:
        """Send until cancelled, then wait for the answers that are due."""
        began_s, sent = time.perf_counter(), 0
        sending: set[asyncio.Task[None]] = set()
        try:
            while True:
                due_s = began_s + sent / RATE_PER_S
                await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
                task = asyncio.create_task(self._send(due_s))
                sending.add(task)
                task.add_done_callback(sending.discard)
                sent += 1
        finally:
            await asyncio.gather(*sending)

    async def _send(self, due_s: float) -> None:
        callid = str(uuid.uuid1())
        acknowledged = False
        try:
            async with self.session.post(_URL, data=SEED.replace(b'"first"', f'"{callid}"'.encode())) as response:
                acknowledged = response.status == 200
                await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError):
            acknowledged = False
        self.answers.append(Answer(callid, due_s, time.perf_counter() - due_s, acknowledged))


@dataclass(frozen=True)
class Changes:
    """What was answered in the seconds after each of several changes; `lost` were acknowledged and are not in the ledger."""

    what: str
    changes: int
    answers: int
    p50_ms: float
    p99_ms: float
    worst_ms: float
    not_acknowledged: int
    lost: int


async def kill(place: Place, stream: str) -> None:
    """SIGKILL to the server that leads `stream`."""
    node = await asyncio.to_thread(place.stream.leader, stream)
    await asyncio.to_thread(place.stream.kill, node)


async def step_down(place: Place, stream: str) -> None:
    """Have another server lead `stream`, as an operator does before maintenance."""
    client = await nats.connect(place.stream.urls[0])
    try:
        await client.request(f"$JS.API.STREAM.LEADER.STEPDOWN.{stream}", b"", timeout=5.0)
    finally:
        await client.close()


async def nothing(_place: Place, _stream: str) -> None:
    """No change: what the same load takes without one."""


def leader(given: argparse.Namespace, say: Report) -> list[Changes]:
    """Every stream's leader in turn, for each way of losing it."""
    with started(CASES["jetstream, recorded into postgresql"], given.where) as place:
        found = asyncio.run(_all(place, ("none", nothing), ("step-down", step_down), ("kill -9", kill)))
    say(
        f"| change of leader, {RATE_PER_S} callbacks/s | changes | answers | p50 ms | p99 ms | worst ms | not acknowledged | lost |"
    )
    say("|---|---:|---:|---:|---:|---:|---:|---:|")
    for one in found:
        latencies = f"{one.p50_ms:.1f} | {one.p99_ms:.1f} | {one.worst_ms:.1f}"
        say(f"| {one.what} | {one.changes} | {one.answers:,} | {latencies} | {one.not_acknowledged:,} | {one.lost:,} |")
    say("")
    return found


async def _all(place: Place, *ways: tuple[str, Change]) -> list[Changes]:
    timeout = aiohttp.ClientTimeout(_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as session:
        return [await _changes(place, session, what, change) for what, change in ways]


async def _changes(place: Place, session: aiohttp.ClientSession, what: str, change: Change) -> Changes:
    steady = SteadyLoad(session)
    load = asyncio.create_task(steady.run())
    windows = []
    for stream in STREAMS:
        await asyncio.sleep(BEFORE_S)
        began_s = time.perf_counter()
        await change(place, stream)
        await asyncio.sleep(AFTER_S)
        windows.append((began_s, time.perf_counter()))
        await asyncio.to_thread(_restore, place)
    load.cancel()
    await asyncio.gather(load, return_exceptions=True)
    await asyncio.to_thread(place.await_empty)
    lost = await asyncio.to_thread(_lost, place, steady.answers)
    during = [one for one in steady.answers if any(start <= one.due_s < end for start, end in windows)]
    return _sum(what, during, lost)


def _restore(place: Place) -> None:
    for n in range(len(place.stream.nodes)):
        if n not in place.stream.running:
            place.stream.restart(n)


def _lost(place: Place, answers: Iterable[Answer]) -> int:
    assert place.store is not None
    with psycopg.connect(place.store) as connection:
        kept = {str(callid) for (callid,) in connection.execute("SELECT callid FROM calls")}
    return len({one.callid for one in answers if one.acknowledged} - kept)


def _sum(what: str, answers: list[Answer], lost: int) -> Changes:
    took_ms = sorted(one.took_s * 1000 for one in answers if one.acknowledged)
    one = Changes(
        what=what,
        changes=len(STREAMS),
        answers=len(took_ms),
        p50_ms=statistics.median(took_ms),
        p99_ms=took_ms[int(len(took_ms) * 0.99)],
        worst_ms=took_ms[-1],
        not_acknowledged=len(answers) - len(took_ms),
        lost=lost,
    )
    print(f"leader: {one}", file=sys.stderr, flush=True)
    return one
