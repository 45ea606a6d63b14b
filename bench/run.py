"""Measure the durable answer against its floor and against the handler people write by hand.

One load generator (wrk), one machine, servers started alternately, the median of the rounds. Writes the figures to
bench/results/latest.json and prints them as the tables of docs/performance.md.
"""

import argparse
import json
import os
import platform
import re
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event, Thread
from urllib.request import urlopen

import psutil

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PORT = 9180
_WARM_UP_S = 2
SEED = (
    b'{"voiceprompt_callback":{"result":"0","accept_time":"1470197211","call_from":"","callid":"first","end_calltime":'
    b'"1470197221","fee":"1","mobile":"13788888888","nationcode":"86","start_calltime":"1470197196"}}'
)
REQUEST = (
    b"POST /voice/callback HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
)

Command = Callable[[Path], list[str]]


def script(name: str, *options: str, has_data: bool = True) -> Command:
    """One of bench/servers."""
    command = [sys.executable, str(HERE / f"servers/{name}.py"), *options, "--port", str(PORT)]
    return lambda data: [*command, "--data-dir", str(data)] if has_data else command


SERVERS: dict[str, Command] = {
    "echo": script("echo", has_data=False),
    "noop": script("noop", has_data=False),
    "answerback": lambda data: [
        str(Path(sys.executable).with_name("answerback")),
        "serve",
        "--port",
        str(PORT),
        "--data-dir",
        str(data),
    ],
    "receiver, FastAPI": script("receiver", "--framework", "fastapi"),
    "receiver, Flask": script("receiver", "--framework", "flask"),
    "receiver, Django": script("receiver", "--framework", "django"),
    "handwritten": script("handwritten"),
}


@dataclass(frozen=True)
class Figures:
    """One run of wrk against one server."""

    server: str
    connections: int
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    refused: int
    rss_mb: float
    pss_mb: float
    first_answer_s: float
    server_us: float
    writer_us: float
    wrk_us: float


@contextmanager
def running(server: str, data_dir: Path, *options: str, port: int = PORT) -> Iterator[tuple[psutil.Process, float]]:
    """The server's process, and how long its first answer took from the start of the command."""
    if answers(port):
        raise SystemExit(f"somebody answers on port {port} already: one benchmark at a time")
    began_s = time.perf_counter()
    quiet = os.environ | {"ANSWERBACK_LOG__LEVEL": "error"}
    command = [*SERVERS[server](data_dir), *options, "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=quiet)
    try:
        while not answers(port):
            if process.poll() is not None or time.perf_counter() - began_s > 60:
                raise SystemExit(f"{server} does not answer")
            time.sleep(0.005)
        yield psutil.Process(process.pid), time.perf_counter() - began_s
    finally:
        process.terminate()
        process.wait(30)


def answers(port: int = PORT) -> bool:
    """Whether a callback is answered 200 now."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(REQUEST % (len(SEED), SEED))
            return b" 200 " in connection.recv(4096)
    except OSError:
        return False


@dataclass(frozen=True)
class WrkResult:
    """What one run of wrk said; `cpu_s` is what it used itself."""

    requests: int
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    refused: int
    cpu_s: float


def load(connections: int, seconds: int, delay_ms: int, port: int = PORT) -> WrkResult:
    """Run wrk against the server that listens on `port`."""
    before_s = _cpu_s(resource.getrusage(resource.RUSAGE_CHILDREN))
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--latency", "-s", str(HERE / "post_callback.lua")]
    output = subprocess.run(
        [*command, f"http://127.0.0.1:{port}"],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"DELAY_MS": str(delay_ms)},
    ).stdout
    return WrkResult(
        requests=int(_find(r"(\d+) requests in", output)),
        requests_per_s=float(_find(r"Requests/sec:\s+([\d.]+)", output)),
        p50_ms=_ms(_find(r"(?m)^\s+50%\s+(\S+)", output)),
        p99_ms=_ms(_find(r"(?m)^\s+99%\s+(\S+)", output)),
        refused=int(_find(r"Non-2xx or 3xx responses: (\d+)", output, "0")),
        cpu_s=_cpu_s(resource.getrusage(resource.RUSAGE_CHILDREN)) - before_s,
    )


def _cpu_s(used: resource.struct_rusage) -> float:
    return used.ru_utime + used.ru_stime


def measure(
    server: str, process: psutil.Process, first_s: float, connections: int, seconds: int, delay_ms: int
) -> Figures:
    """Load the running server, two seconds before the figures begin: one that has just answered first is still loading.

    Memory is that of its whole process tree at the end, CPU that of the gateway's writer and of all others.
    """
    load(connections, _WARM_UP_S, delay_ms)
    family = [process, *process.children(recursive=True)]
    before_s = [sum(one.cpu_times()[:2]) for one in family]
    result = load(connections, seconds, delay_ms)
    used_us = [
        (sum(one.cpu_times()[:2]) - before) * 1e6 / result.requests
        for one, before in zip(family, before_s, strict=True)
    ]
    writer_us = sum(used_us[1:]) if server == "answerback" else 0.0  # gunicorn's workers are its children, too
    return Figures(
        server=server,
        connections=connections,
        requests_per_s=result.requests_per_s,
        p50_ms=result.p50_ms,
        p99_ms=result.p99_ms,
        refused=result.refused,
        rss_mb=sum(one.memory_info().rss for one in family) / 1e6,
        pss_mb=sum(one.memory_full_info().pss for one in family) / 1e6,
        first_answer_s=first_s,
        server_us=sum(used_us) - writer_us,
        writer_us=writer_us,
        wrk_us=result.cpu_s * 1e6 / result.requests,
    )


@dataclass(frozen=True)
class Recorded:
    """What a gateway says of its recorder: callbacks in the ledger, callbacks that wait, and the age of the oldest."""

    callbacks: int
    waiting: int
    lag_s: float


def recorded(port: int = PORT) -> Recorded:
    """Ask the gateway."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()

    def value(name: str) -> float:
        return float(_find(rf"(?m)^answerback_{name} (\S+)$", text))

    return Recorded(
        int(value('callbacks_total{disposition="stored"}')),
        int(value("inbox_callbacks")),
        value("recorder_lag_seconds"),
    )


def paced(where: Path, seconds: int, per_s: float, connections: int) -> tuple[Figures, list[Recorded]]:
    """Answerback at a rate that is given, and what its recorder says every five seconds."""
    delay_ms = round(connections / per_s * 1000)
    said: list[Recorded] = []
    with scratch(where) as data, running("answerback", data) as (process, first_s):
        ended = Event()

        def watch() -> None:
            while not ended.wait(5):
                said.append(recorded())

        watching = Thread(target=watch)
        watching.start()
        figures = measure("answerback", process, first_s, connections, seconds, delay_ms)
        ended.set()
        watching.join()
    _say(f"{per_s:.0f}/s", figures)
    return figures, said


def recording_rate(where: Path, seconds: int) -> float:
    """How many a second the recorder puts into the ledger while the intake answers all that it can."""
    with scratch(where) as data, running("answerback", data):
        before, began_s = recorded(), time.perf_counter()
        load(256, seconds, 0)
        after, took_s = recorded(), time.perf_counter() - began_s
    return (after.callbacks - before.callbacks) / took_s


def _find(pattern: str, text: str, otherwise: str | None = None) -> str:
    found = re.search(pattern, text)
    if found:
        return found.group(1)
    if otherwise is None:
        raise SystemExit(f"wrk did not say {pattern}:\n{text}")
    return otherwise


def _ms(duration: str) -> float:
    units = {"us": 0.001, "ms": 1.0, "s": 1000.0}
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", duration).groups()  # type: ignore[union-attr]
    return float(number) * units[unit]


def median(rounds: list[Figures]) -> Figures:
    """Each figure's median over the rounds."""
    first = asdict(rounds[0])
    numbers = {
        name: statistics.median(asdict(one)[name] for one in rounds)
        for name, value in first.items()
        if isinstance(value, float)
    }
    return Figures(**first | numbers | {"refused": sum(one.refused for one in rounds)})


@contextmanager
def scratch(where: Path) -> Iterator[Path]:
    """A directory for one server's data, gone afterwards."""
    path = Path(tempfile.mkdtemp(dir=where))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def compare(where: Path, rounds: int, seconds: int, connections: list[int]) -> list[Figures]:
    """Every server, alternating, at every number of connections."""
    all_rounds: dict[tuple[str, int], list[Figures]] = {}
    for turn in range(rounds):
        for server in SERVERS:
            with scratch(where) as data, running(server, data) as (process, first_s):
                for count in connections:
                    figures = measure(server, process, first_s, count, seconds, 0)
                    all_rounds.setdefault((server, count), []).append(figures)
                    _say(f"round {turn + 1}", figures)
    return [median(figures) for figures in all_rounds.values()]


def grown(where: Path, rounds: int, seconds: int, sizes: list[int]) -> list[tuple[int, Figures]]:
    """Answerback with so many calls stored already, rounds alternating between the sizes."""
    with scratch(where) as ledgers:
        for size in sizes:
            if size:
                fill = [sys.executable, str(HERE / "seed.py"), "--data-dir", str(ledgers / str(size))]
                subprocess.run([*fill, "--calls", str(size)], check=True)
        found: dict[int, list[Figures]] = {size: [] for size in sizes}
        for turn in range(rounds):
            for size in sizes:
                with running("answerback", ledgers / str(size)) as (process, first_s):
                    figures = measure("answerback", process, first_s, 256, seconds, 0)
                found[size].append(figures)
                _say(f"round {turn + 1}, {size} calls stored", figures)
        return [(size, median(figures)) for size, figures in found.items()]


def _say(what: str, figures: Figures) -> None:
    print(
        f"{what}: {figures.server} c={figures.connections} {figures.requests_per_s:.0f}/s "
        f"p50 {figures.p50_ms:.1f} p99 {figures.p99_ms:.1f} ms, {figures.rss_mb:.0f} MB, "
        f"first answer {figures.first_answer_s:.2f} s, refused {figures.refused}",
        file=sys.stderr,
        flush=True,
    )


def table(title: str, rows: list[tuple[str, Figures]]) -> str:
    """A Markdown table."""
    lines = [
        f"| {title} | req/s | p50 ms | p99 ms | RSS MB | PSS MB | first answer s | CPU µs/req: server | writer | wrk |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {name} | {one.requests_per_s:,.0f} | {one.p50_ms:.1f} | {one.p99_ms:.1f} "
        f"| {one.rss_mb:.0f} | {one.pss_mb:.0f} | {one.first_answer_s:.2f} "
        f"| {one.server_us:.0f} | {one.writer_us:.0f} | {one.wrk_us:.0f} |"
        for name, one in rows
    ]
    return "\n".join(lines)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--sustained", type=int, default=60, help="seconds at the rate that the recorder keeps up with")
    parser.add_argument("--connections", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--sizes", type=int, nargs="*", default=[0, 1_000_000, 10_000_000], help="calls stored before")
    parser.add_argument("--where", type=Path, default=HERE / "results", help="directory on the disk to measure")
    given = parser.parse_args()
    given.where.mkdir(parents=True, exist_ok=True)

    compared = compare(given.where, given.rounds, given.seconds, given.connections)
    by = {(one.server, one.connections): one for one in compared}
    parts = [table("server", [(f"{one.server}, {one.connections} connections", one) for one in compared])]
    for count in given.connections:
        echo, noop, ours, *receivers, theirs = (by[name, count].requests_per_s for name in SERVERS)
        times = ", ".join(f"{one / theirs:.0f}" for one in receivers)
        parts.append(
            f"{count} connections: {ours / echo:.2f} of echo, {ours / noop:.2f} of noop, "
            f"{ours / theirs:.0f} times the handwritten handler, the receiver {times} times (FastAPI, Flask, Django)"
        )
    saturated = max(by["answerback", count].requests_per_s for count in given.connections)
    recording = recording_rate(given.where, given.seconds)
    parts.append(f"recorded while the intake answers all that it can: {recording:,.0f}/s")
    calm, _ = paced(given.where, given.seconds, 500, 64)
    half, _ = paced(given.where, given.seconds, saturated / 2, 256)
    sustained, said = paced(given.where, given.sustained, 0.9 * recording, 256)
    paces = {"calm: 500/s": calm, "half of saturation": half, "0.9 of what is recorded": sustained}
    parts.append(table("pace", [*paces.items()]))
    parts.append("sustained, waiting every 5 s: " + ", ".join(f"{one.waiting:,} ({one.lag_s:.2f} s)" for one in said))
    sizes = grown(given.where, given.rounds, given.seconds, given.sizes) if given.sizes else []
    if sizes:
        parts.append(table("calls stored before", [(f"{size:,}", one) for size, one in sizes]))
        empty = sizes[0][1].requests_per_s
        parts.append(", ".join(f"{size:,}: {one.requests_per_s / empty:.2f} of empty" for size, one in sizes[1:]))
    text = "\n\n".join(parts)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "latest.md").write_text(f"{text}\n")
    record = {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "figures": [asdict(one) for one in [*compared, *paces.values(), *(one for _, one in sizes)]],
    }
    (RESULTS / "latest.json").write_text(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
