"""Measure the relay: what the outbox costs the answer, how fast and how soon an event is delivered, and who pays for whom.

The receivers are real servers on this machine. Writes bench/results/relay.md, and prints it.
"""

import argparse
import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import uvloop
from run import HERE, PORT, RESULTS, SEED, answers, load, running, scratch
from standardwebhooks import Webhook

RECEIVER_PORT, SILENT_PORT, CLOSED_PORT = PORT + 1, PORT + 2, PORT + 3
GATEWAY = f"http://127.0.0.1:{PORT}"
IN_FLIGHT = 64
STATUS = SEED.decode().replace('"first"', '"%s"')

Report = Callable[[str], None]


def config(directory: Path, *lines: str) -> Path:
    """A config file with these lines."""
    path = directory / "answerback.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def endpoint(name: str, url: str, **settings: object) -> str:
    """An endpoint of the config file."""
    given = {"url": url, **settings}
    return f"[endpoints.{name}]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in given.items())


@contextmanager
def echo() -> Iterator[str]:
    """A receiver that obeys, in a process of its own; its URL."""
    command = [sys.executable, str(HERE / "servers/echo.py"), "--port", str(RECEIVER_PORT)]
    process = subprocess.Popen(command)
    try:
        while not answers(RECEIVER_PORT):
            time.sleep(0.05)
        yield f"http://127.0.0.1:{RECEIVER_PORT}/voice"
    finally:
        process.terminate()
        process.wait(10)


# What the outbox costs the durable answer.


def outbox_cost(where: Path, rounds: int, seconds: int, say: Report) -> None:
    """Durable answers per second without an endpoint, and with one: off, down, and taking everything."""
    with echo() as url:
        cases = {
            "no endpoint": None,
            "an endpoint that is off": endpoint("crm", url, enabled=False),
            "an endpoint that is down": endpoint("crm", f"http://127.0.0.1:{CLOSED_PORT}/"),
            "an endpoint that takes all": endpoint("crm", url, concurrency=IN_FLIGHT),
        }
        found: dict[tuple[str, int], list[float]] = {}
        for _ in range(rounds):
            for name, lines in cases.items():
                with scratch(where) as data, running("answerback", data, *_with(data, lines)):
                    for connections in (64, 256):
                        result = load(connections, seconds, 0)
                        found.setdefault((name, connections), []).append(result.requests_per_s)
                        print(f"{name}: c={connections} {result.requests_per_s:.0f}/s", file=sys.stderr, flush=True)
    say("| durable answers/s | 64 connections | of none | 256 connections | of none |\n|---|---:|---:|---:|---:|")
    rates = {case: statistics.median(rounds_) for case, rounds_ in found.items()}
    for name in cases:
        cells = [f"{rates[name, c]:,.0f} | {rates[name, c] / rates['no endpoint', c]:.2f}" for c in (64, 256)]
        say(f"| {name} | {' | '.join(cells)} |")
    say("")


def _with(data: Path, lines: str | None) -> Sequence[str]:
    return () if lines is None else ("--config", str(config(data, lines)))


# How fast a backlog is delivered.


def throughput(where: Path, rounds: int, count: int, say: Report) -> None:
    """Delivered per second out of a full outbox, and what a bare aiohttp loop does to the same receiver."""
    found: dict[str, list[float]] = {}
    with echo() as url:
        for _ in range(rounds):
            for name, signing in (("bare aiohttp loop", False), ("bare aiohttp loop that signs", True)):
                found.setdefault(name, []).append(uvloop.run(_bare_loop(url, count, signing=signing)))
            for form in ("tencent", "standard"):
                with scratch(where) as data:
                    options = _with(data, endpoint("crm", url, format=form, concurrency=IN_FLIGHT, enabled=False))
                    with running("answerback", data, *options):
                        found.setdefault(f"answerback, {form}", []).append(uvloop.run(_deliver_backlog(data, count)))
            print({name: round(rates[-1]) for name, rates in found.items()}, file=sys.stderr, flush=True)
    bare, signing_, *_ = rates = {name: statistics.median(rounds_) for name, rounds_ in found.items()}
    say(
        f"| delivered/s, {IN_FLIGHT} in flight, {count:,} callbacks | | of {bare} | of {signing_} |\n|---|---:|---:|---:|"
    )
    for name, rate in rates.items():
        say(f"| {name} | {rate:,.0f} | {rate / rates[bare]:.2f} | {rate / rates[signing_]:.2f} |")
    say("")


async def _bare_loop(url: str, count: int, *, signing: bool) -> float:
    """The least that can be written: so many workers, one session, POST and read; signed by the library, if at all."""
    left = count
    body, signer = (STATUS % uuid.uuid1()).encode(), Webhook("whsec_" + "c2VjcmV0" * 4)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def work() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                headers = {"Content-Type": "application/json", "webhook-id": str(left)}
                if signing:
                    now = datetime.now(UTC)
                    headers["webhook-timestamp"] = str(int(now.timestamp()))
                    headers["webhook-signature"] = signer.sign(str(left), now, body.decode())
                async with session.post(url, data=body, headers=headers) as response:
                    assert json.loads(await response.read())["result"] == 0

        began_s = time.perf_counter()
        await asyncio.gather(*[work() for _ in range(IN_FLIGHT)])
        return count / (time.perf_counter() - began_s)


async def _deliver_backlog(data: Path, count: int) -> float:
    """Fill the outbox of an endpoint that is off, switch it on, and see how long it takes."""
    key = (data / "admin-key").read_text().strip()
    async with aiohttp.ClientSession(GATEWAY, headers={"Authorization": f"Bearer {key}"}) as session:
        for start in range(0, count, 10_000):
            lines = "\n".join(STATUS % uuid.uuid1() for _ in range(min(10_000, count - start)))
            async with session.post(
                "/v1/callbacks", data=lines, headers={"Content-Type": "application/x-ndjson"}
            ) as answer:
                assert (await answer.json())["refused"] == 0
        async with session.post("/v1/endpoints/crm/enable") as answer:
            assert answer.status == 200, await answer.text()
        seen = [(time.perf_counter(), 0)]
        while seen[-1][1] < count:
            await asyncio.sleep(0.5)  # each look costs the gateway some milliseconds
            seen.append((time.perf_counter(), await _delivered(session)))
        (began_s, _), (ended_s, delivered) = seen[0], seen[-2]
        return delivered / (ended_s - began_s)


async def _delivered(session: aiohttp.ClientSession) -> int:
    """How many attempts have succeeded."""
    async with session.get("/metrics") as answer:
        for line in (await answer.text()).splitlines():
            if line.startswith("answerback_delivery_attempts_total") and 'result="delivered"' in line:
                return int(float(line.rsplit(" ", 1)[1]))
    return 0


# How soon it is delivered.


@dataclass
class Clock:
    """When each callback was answered, and when its endpoint had it."""

    sent_s: dict[str, float] = field(default_factory=dict)
    answered_s: dict[str, float] = field(default_factory=dict)
    delivered_s: dict[str, float] = field(default_factory=dict)

    def delays_ms(self, since_s: dict[str, float], callids: Sequence[str]) -> list[float]:
        """Until delivered, sorted; delivered before the sender had read its answer is 0."""
        return sorted(
            max(0.0, self.delivered_s[one] - since_s[one]) * 1000 for one in callids if one in self.delivered_s
        )


@asynccontextmanager
async def receiving(clock: Clock) -> AsyncIterator[None]:
    """A receiver in this very loop, so that one clock times both ends; and one that takes connections and is silent."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
                body = await reader.readexactly(size)
                clock.delivered_s.setdefault(
                    body.split(b'"callid":"', 1)[1].split(b'"', 1)[0].decode(), time.perf_counter()
                )
                writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 26\r\n\r\n{"result":0,"errmsg":"OK"}')
        writer.close()

    async def ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            while await reader.read(65536):
                pass
        writer.close()

    async with (
        await asyncio.start_server(take, "127.0.0.1", RECEIVER_PORT, backlog=2048),
        await asyncio.start_server(ignore, "127.0.0.1", SILENT_PORT, backlog=2048),
    ):
        yield


async def _send(clock: Clock, paths: Sequence[str], rate: float, seconds: float) -> dict[str, str]:
    """POST callbacks at `rate`, whatever comes back, to one path after the other; callid -> path."""
    sent: dict[str, str] = {}
    async with aiohttp.ClientSession(GATEWAY, connector=aiohttp.TCPConnector(limit=0)) as session:

        async def post(callid: str, path: str) -> None:
            clock.sent_s[callid] = time.perf_counter()
            async with session.post(path, data=STATUS % callid) as response:
                await response.read()
                if response.status == 200:
                    clock.answered_s[callid] = time.perf_counter()

        began_s, posts = time.perf_counter(), []
        for number in range(round(rate * seconds)):
            await asyncio.sleep(max(0.0, began_s + number / rate - time.perf_counter()))
            callid, path = str(uuid.uuid1()), paths[number % len(paths)]
            sent[callid] = path
            posts.append(asyncio.create_task(post(callid, path)))
        await asyncio.gather(*posts)
    return sent


def latency(where: Path, rounds: int, seconds: int, say: Report) -> None:
    """From the answer to the cloud to the arrival at the endpoint, at 500 callbacks a second."""
    rows = []
    for _ in range(rounds):
        with scratch(where) as data:
            lines = endpoint("crm", f"http://127.0.0.1:{RECEIVER_PORT}/voice", format="tencent")
            with running("answerback", data, *_with(data, lines)):
                rows.append(uvloop.run(_timed(["/voice/callback"], seconds)))
        print(rows[-1], file=sys.stderr, flush=True)
    say("| 500 callbacks/s to one endpoint | p50 ms | p99 ms | worst ms |\n|---|---:|---:|---:|")
    for name, columns in zip(("answered to delivered", "sent to delivered"), zip(*rows, strict=True), strict=True):
        p50, p99, most, undelivered = (statistics.median(column) for column in zip(*columns, strict=True))
        say(f"| {name} | {p50:.1f} | {p99:.1f} | {most:.1f} |")
        assert undelivered == 0
    say("")


Delays = tuple[float, float, float, float]
"""p50, p99 and the worst in ms, and how many were not delivered at all."""


async def _timed(paths: Sequence[str], seconds: float, healthy: Callable[[str], bool] = bool) -> tuple[Delays, Delays]:
    """How long it took to deliver what goes to healthy paths: from its answer, and from its sending."""
    clock = Clock()
    async with receiving(clock):
        await _send(Clock(), paths[:50], 100, 1.0)  # connections and code paths get warm
        sent = await _send(clock, paths, 500, seconds)
        mine = [callid for callid, path in sent.items() if healthy(path)]
        deadline_s = time.perf_counter() + 10
        while time.perf_counter() < deadline_s and any(one not in clock.delivered_s for one in mine):  # noqa: ASYNC110  # now and then is enough
            await asyncio.sleep(0.1)
        return _delays(clock, clock.answered_s, mine), _delays(clock, clock.sent_s, mine)


def _delays(clock: Clock, since_s: dict[str, float], callids: Sequence[str]) -> Delays:
    delays = clock.delays_ms(since_s, callids)
    p50, p99 = (delays[min(len(delays) - 1, round(share * len(delays)))] for share in (0.5, 0.99))
    return p50, p99, delays[-1], float(len(callids) - len(delays))


# Who pays for whom.


def isolation(where: Path, rounds: int, seconds: int, many: int, say: Report) -> None:
    """The same many endpoints, all well, and then a tenth of them down: half of those refuse, half never answer."""
    found: dict[int, list[tuple[Delays, Delays]]] = {}
    starts: list[float] = []
    for _ in range(rounds):
        for down in (0, many // 10):
            with scratch(where) as data:
                options = _with(data, "\n".join(_customers(many, down)))
                paths = [f"/voice/callback/{_token(number)}" for number in range(many)]
                ill = set(paths[:down])
                with running("answerback", data, *options) as (_, first_s):
                    starts.append(first_s)
                    row = uvloop.run(_timed(_mixed(paths), seconds, lambda path, ill=ill: path not in ill))  # type: ignore[misc]
                found.setdefault(down, []).append(row)
            print(f"{down} of {many} down, first answer {first_s:.1f} s: {row}", file=sys.stderr, flush=True)
    say(f"| {many:,} endpoints at 500 callbacks/s, the healthy ones | p50 ms | p99 ms | worst ms | not delivered |")
    say("|---|---:|---:|---:|---:|")
    for down, rows in found.items():
        for name, columns in zip(("answered to delivered", "sent to delivered"), zip(*rows, strict=True), strict=True):
            p50, p99, most, undelivered = (statistics.median(column) for column in zip(*columns, strict=True))
            say(f"| {down:,} down, {name} | {p50:.1f} | {p99:.1f} | {most:.1f} | {undelivered:.0f} |")
    well, ill_ = (statistics.median(row[1][1] for row in rows) for rows in found.values())
    say(
        f"\nSent to delivered: p99 {ill_ / well:.2f} times that without. First answer {statistics.median(starts):.1f} s.\n"
    )


def _customers(many: int, down: int) -> Iterator[str]:
    for number in range(many):
        yield f'[channels.c{number}]\ntoken = "{_token(number)}"'
        port = RECEIVER_PORT if number >= down else (SILENT_PORT, CLOSED_PORT)[number % 2]
        yield endpoint(f"e{number}", f"http://127.0.0.1:{port}/{number}", channel=f"c{number}", format="tencent")


def _token(number: int) -> str:
    return f"token-of-customer-{number:06d}"


def _mixed(paths: list[str]) -> list[str]:
    """Neighbours far apart, so that those that are down come now and then and not in a row."""
    step = 7919  # a prime
    return [paths[number * step % len(paths)] for number in range(len(paths))]


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--callbacks", type=int, default=40_000, help="how many to deliver out of a full outbox")
    parser.add_argument("--endpoints", type=int, default=10_000)
    parser.add_argument("--only", choices=("cost", "throughput", "latency", "isolation"))
    parser.add_argument("--where", type=Path, default=RESULTS, help="directory on the disk to measure")
    given = parser.parse_args()
    given.where.mkdir(parents=True, exist_ok=True)
    lines: list[str] = []
    parts: dict[str, Callable[[], None]] = {
        "cost": lambda: outbox_cost(given.where, given.rounds, given.seconds, lines.append),
        "throughput": lambda: throughput(given.where, given.rounds, given.callbacks, lines.append),
        "latency": lambda: latency(given.where, given.rounds, 2 * given.seconds, lines.append),
        "isolation": lambda: isolation(given.where, given.rounds, 3 * given.seconds, given.endpoints, lines.append),
    }
    for name, measure in parts.items():
        if given.only in (None, name):
            measure()
    text = "\n".join(lines)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "relay.md").write_text(text)


if __name__ == "__main__":
    main()
