"""Measure what stands in for the SQLite file: PostgreSQL, and three NATS servers with JetStream, all on this machine.

The servers are started alternately, each with the engines that it needs and no others; the same load generator (wrk), the
same disk, medians. PostgreSQL has fsync on, and the NATS servers sync before they acknowledge. Writes bench/results/cluster.md
and cluster.json, and prints the tables of docs/performance.md.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from consumer import measure_consumer, sustained
from engines import CASES, INTAKE_ALONE, Case, Place, engines, started, used_s
from failover import leader
from run import PORT, RESULTS, WrkResult, load, running

ANSWERING = ("echo", "sqlite", "postgresql", "jetstream")

Report = Callable[[str], None]


@dataclass(frozen=True)
class Figures:
    """One run of wrk against one case; `cpu_us` is what each party used for a request."""

    case: str
    connections: int
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    refused: int
    cpu_us: dict[str, float]


def measure(name: str, place: Place, connections: int, load_it: Callable[[], WrkResult]) -> Figures:
    """Load the gateway that runs."""
    before = place.cpu_s()
    result = load_it()
    used = used_s(before, place.cpu_s()) | {"wrk": result.cpu_s}
    return Figures(
        case=name,
        connections=connections,
        requests_per_s=result.requests_per_s,
        p50_ms=result.p50_ms,
        p99_ms=result.p99_ms,
        refused=result.refused,
        cpu_us={party: value * 1e6 / result.requests for party, value in used.items()},
    )


def median(rounds: Sequence[Figures]) -> Figures:
    """Each figure's median over the rounds."""
    first = rounds[0]
    return Figures(
        case=first.case,
        connections=first.connections,
        requests_per_s=statistics.median(one.requests_per_s for one in rounds),
        p50_ms=statistics.median(one.p50_ms for one in rounds),
        p99_ms=statistics.median(one.p99_ms for one in rounds),
        refused=sum(one.refused for one in rounds),
        cpu_us={name: statistics.median(one.cpu_us[name] for one in rounds) for name in first.cpu_us},
    )


# Durable answers per second.


def answers(given: argparse.Namespace, say: Report) -> list[Figures]:
    """Every case, alternating, at every number of connections, each time on new and empty engines."""
    found: dict[tuple[str, int], list[Figures]] = {}
    for turn in range(given.rounds):
        for name in given.cases:
            with started(CASES[name], given.where) as place:
                for count in given.connections:
                    figures = measure(name, place, count, lambda count=count: load(count, given.seconds, 0))  # type: ignore[misc]
                    found.setdefault((name, count), []).append(figures)
                    _show(f"round {turn + 1}", figures)
    medians = {key: median(rounds) for key, rounds in found.items()}
    say(
        "| durable answers | connections | answers/s | of sqlite | of echo | p50 ms | p99 ms | refused | CPU µs/answer |"
    )
    say("|---|---:|---:|---:|---:|---:|---:|---:|---|")
    for (name, count), one in medians.items():
        shares = [_share(one, medians.get((other, count))) for other in ("sqlite", "echo")]
        say(f"| {name} | {count} | {one.requests_per_s:,.0f} | {' | '.join(shares)} | {_latencies(one)} |")
    say("")
    return list(medians.values())


def _share(one: Figures, other: Figures | None) -> str:
    return "" if other is None else f"{one.requests_per_s / other.requests_per_s:.2f}"


def _latencies(one: Figures) -> str:
    return f"{one.p50_ms:.1f} | {one.p99_ms:.1f} | {one.refused} | {_cpu(one)}"


def _cpu(one: Figures) -> str:
    return ", ".join(f"{party} {used_us:.0f}" for party, used_us in one.cpu_us.items())


def _show(what: str, one: Figures) -> None:
    print(
        f"{what}: {one.case} c={one.connections} {one.requests_per_s:.0f}/s p50 {one.p50_ms:.1f} p99 {one.p99_ms:.1f} ms, "
        f"refused {one.refused}, CPU us: {_cpu(one)}; machine's load {os.getloadavg()[0]:.1f}",
        file=sys.stderr,
        flush=True,
    )


# One intake process against two on the same streams.


def intakes(given: argparse.Namespace, say: Report) -> list[Figures]:
    """The same connections to one intake process, or half of them to each of two; a wrk for each."""
    found: dict[int, list[Figures]] = {1: [], 2: []}
    for turn in range(min(given.rounds, 2)):
        for count, rounds in found.items():
            rounds.append(_intakes(count, given))
            _show(f"round {turn + 1}", rounds[-1])
    medians = {count: median(rounds) for count, rounds in found.items()}
    say("| intake processes, 256 connections | answers/s | of one | p50 ms | p99 ms | refused | CPU µs/answer |")
    say("|---|---:|---:|---:|---:|---:|---|")
    for count, one in medians.items():
        say(f"| {count} | {one.requests_per_s:,.0f} | {_share(one, medians[1])} | {_latencies(one)} |")
    say("")
    return list(medians.values())


def _intakes(count: int, given: argparse.Namespace) -> Figures:
    ports = [PORT + n for n in range(count)]
    with engines(Case("intakes", nats=3), given.where) as place, ExitStack() as stack:
        processes = []
        for port in ports:
            options = (*INTAKE_ALONE, *place.options)
            process, _ = stack.enter_context(
                running("answerback", place.directory / f"data-{port}", *options, port=port)
            )
            processes.append(process)
        place.parties["intakes"] = lambda: processes
        return measure(f"{count} intake processes", place, 256, lambda: _load_all(ports, given.seconds))


def _load_all(ports: Sequence[int], seconds: int) -> WrkResult:
    """A wrk for each port at once; the p99 is that of the slower."""
    with ThreadPoolExecutor() as pool:
        each = list(pool.map(lambda port: load(256 // len(ports), seconds, 0, port), ports))
    return WrkResult(
        requests=sum(result.requests for result in each),
        requests_per_s=sum(result.requests_per_s for result in each),
        p50_ms=statistics.mean(result.p50_ms for result in each),
        p99_ms=max(result.p99_ms for result in each),
        refused=sum(result.refused for result in each),
        cpu_s=max(result.cpu_s for result in each),  # each counts the children that have ended: the last one has all
    )


PARTS: dict[str, Callable[[argparse.Namespace, Report], Sequence[Any]]] = {
    "answers": answers,
    "sustained": sustained,
    "drain": measure_consumer,
    "leader": leader,
    "intakes": intakes,
}


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--connections", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--only", choices=PARTS, nargs="+", default=list(PARTS))
    parser.add_argument("--cases", choices=CASES, nargs="+", default=ANSWERING, metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--where", type=Path, default=RESULTS, help="directory on the disk to measure")
    given = parser.parse_args()
    given.where.mkdir(parents=True, exist_ok=True)
    if given.where.stat().st_dev != Path(tempfile.gettempdir()).stat().st_dev:
        print("PostgreSQL lies in TMPDIR, which is on another disk than --where", file=sys.stderr)
    lines: list[str] = []
    found = {name: [asdict(one) for one in PARTS[name](given, lines.append)] for name in given.only}
    text = "\n".join(lines)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "cluster.md").write_text(text)
    record = {"python": platform.python_version(), "cores": os.cpu_count(), **found}
    (RESULTS / "cluster.json").write_text(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
