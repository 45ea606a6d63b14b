"""Measure what a start costs: from the command to its first durable answer, and `--help`; and what an idle gateway holds in memory.

Writes the figures to bench/results/starting.json and prints them as the table of docs/performance.md.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from run import HERE, RESULTS, running, scratch

COMMAND = Path(sys.executable).with_name("answerback")
IDLE_S = 3.0


@dataclass(frozen=True)
class Figures:
    """One start; times are wall times, memory is that of both processes."""

    first_answer_s: float
    cpu_s: float
    rss_mb: float
    pss_mb: float
    help_s: float


def start(where: Path) -> Figures:
    """Start a gateway on a new ledger, let it be, and ask for help."""
    with scratch(where) as data, running("answerback", data) as (process, first_s):
        time.sleep(IDLE_S)
        family = [process, *process.children(recursive=True)]
        rss = sum(one.memory_info().rss for one in family)
        pss = sum(one.memory_full_info().pss for one in family)
        cpu_s = sum(sum(one.cpu_times()[:2]) for one in family)
    began_s = time.perf_counter()
    subprocess.run([COMMAND, "--help"], check=True, stdout=subprocess.DEVNULL)
    return Figures(first_s, cpu_s, rss / 1e6, pss / 1e6, time.perf_counter() - began_s)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--where", type=Path, default=HERE / "results", help="directory on the disk to measure")
    given = parser.parse_args()
    given.where.mkdir(parents=True, exist_ok=True)
    starts = [asdict(start(given.where)) for _ in range(given.rounds)]
    print("| | median | best | worst |\n|---|---:|---:|---:|")
    for name, words in (
        ("first_answer_s", "first durable answer after the command, s"),
        ("cpu_s", f"CPU of both processes, {IDLE_S:.0f} s later, s"),
        ("rss_mb", "idle: RSS of both, MB"),
        ("pss_mb", "idle: PSS of both, MB"),
        ("help_s", "`answerback --help`, s"),
    ):
        values = [one[name] for one in starts]
        digits = 0 if name.endswith("_mb") else 2
        shown = " | ".join(f"{value:.{digits}f}" for value in (statistics.median(values), min(values), max(values)))
        print(f"| {words} | {shown} |")
    RESULTS.mkdir(exist_ok=True)
    load = psutil.getloadavg()[0]
    (RESULTS / "starting.json").write_text(json.dumps({"load": load, "starts": starts}, indent=1))


if __name__ == "__main__":
    main()
