"""Measure what it costs the answer that old calls are deleted beside the work.

A ledger with calls of thirty days, and load at a fixed pace, alternately with and without `retention.calls_days = 1`. Prints the table of
docs/performance.md.
"""

import argparse
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from run import HERE, RESULTS, WrkResult, load, running

CONNECTIONS = 64


def old_calls(data: Path) -> int:
    """How many calls of the filling are left: those before today's."""
    with closing(sqlite3.connect(data / "ledger.db", timeout=60)) as ledger:
        (count,) = ledger.execute(
            "SELECT count(*) FROM calls WHERE first_seen_us < (unixepoch() - 86400) * 1000000"
        ).fetchone()
    return int(count)


def measure(filled: Path, where: Path, seconds: int, per_s: int, *, deletes: bool) -> tuple[WrkResult, int]:
    """One run on a copy of the filled ledger: what wrk says, and how many calls were deleted meanwhile."""
    data = where / "data"
    shutil.copytree(filled, data)
    os.environ["ANSWERBACK_RETENTION__CALLS_DAYS"] = "1" if deletes else "36500"
    try:
        with running("answerback", data):
            before = old_calls(data)
            result = load(CONNECTIONS, seconds, round(CONNECTIONS / per_s * 1000))
            return result, before - old_calls(data)
    finally:
        shutil.rmtree(data)


def main() -> None:
    """Fill a ledger once, and run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--per-s", type=int, default=2_000)
    given = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=RESULTS) as home:
        filled = Path(home, "filled")
        filled.mkdir()
        seed = [sys.executable, str(HERE / "seed.py"), "--data-dir", str(filled), "--calls", str(given.calls)]
        subprocess.run(seed, check=True)
        found: dict[bool, list[WrkResult]] = {False: [], True: []}
        for turn in range(given.rounds):
            for deletes, results in found.items():
                result, deleted = measure(filled, Path(home), given.seconds, given.per_s, deletes=deletes)
                results.append(result)
                print(
                    f"round {turn + 1}: {deleted:,} calls deleted, {result.requests_per_s:,.0f}/s, p99 {result.p99_ms} ms",
                    flush=True,
                )
    print("| | req/s | p50 ms | p99 ms, by round |\n|---|---:|---:|---|")
    for deletes, runs in found.items():
        rate, p50 = (
            statistics.median(figures)
            for figures in zip(*((one.requests_per_s, one.p50_ms) for one in runs), strict=True)
        )
        p99s = ", ".join(f"{one.p99_ms:.1f}" for one in runs)
        print(f"| {'deletes' if deletes else 'keeps all'} | {rate:,.0f} | {p50:.1f} | {p99s} |")


if __name__ == "__main__":
    main()
