"""Test at length: rounds of all that looks for what is rare, until the hours are over, each with a seed of its own.

At the end it says what was run, how often, what failed, and the command that repeats it with the same seed. The output of
each run stays in artefacts/soak, with that report.
"""
# ruff: noqa: INP001  # a script, not a package

import argparse
import itertools
import random
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

PYTEST = ".venv/bin/pytest"
TOGETHER = "--numprocesses auto --dist"
FAILURE = re.compile(r"^(?:FAILED|ERROR) .+|^make.*: \*\*\* .+", re.MULTILINE)
PASSED = re.compile(r"(\d+) passed")


class Part(NamedTuple):
    """A part of a round: its name, and its command but for the seed."""

    name: str
    command: str
    once: bool = False


PARTS = (
    Part(
        "random order, by file", f"{PYTEST} {TOGETHER} loadfile --random-order-seed {{seed}} --hypothesis-seed {{seed}}"
    ),
    Part("kills", "make crash ROUNDS=20 SEED={seed}"),
    Part("faults in a cluster", "make cluster ROUNDS=3"),
    Part("fuzzing and long tests", f"env SEED={{seed}} {PYTEST} -m soak --ignore tests/cluster"),
    Part(
        "properties, in depth",
        f"{PYTEST} {TOGETHER} load -m hypothesis --hypothesis-profile soak --hypothesis-seed {{seed}} --timeout 0",
    ),
    Part(
        "random order, by test",
        f"{PYTEST} {TOGETHER} load --random-order-bucket global --random-order-seed {{seed}} --hypothesis-seed {{seed}}",
    ),
    Part("coverage", "make coverage", once=True),
    Part("the documents as a site", "make docs", once=True),
    Part("a bare machine", "make fresh", once=True),
)


class Run(NamedTuple):
    """What came of a part: the command, where its output is, how many tests passed, what failed, how long it took."""

    part: Part
    command: str
    log: Path
    passed: int
    failures: Sequence[str]
    took_s: float


def main() -> int:
    """Go through the parts until the hours are over, and report; 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=8.0, help="no part begins after them")
    parser.add_argument("--seed", type=int, default=random.randrange(2**31), help="of the first round")  # noqa: S311
    parser.add_argument("--place", type=Path, default=Path("artefacts/soak"))
    options = parser.parse_args()
    options.place.mkdir(parents=True, exist_ok=True)
    until_s = time.monotonic() + options.hours * 3600
    runs: list[Run] = []
    try:
        for part, seed in schedule(options.seed):
            if time.monotonic() >= until_s:
                break
            runs.append(run(part, seed, options.place / f"{len(runs):03}.log"))
    except KeyboardInterrupt:
        say("interrupted")
    report = summarize(runs)
    (options.place / "report.txt").write_text(report)
    say(report)
    return any(run.failures for run in runs)


def schedule(seed: int) -> Iterator[tuple[Part, int]]:
    """Every part in turn, each round with the next seed; what is done once belongs to the first round."""
    for number in itertools.count():
        for part in PARTS:
            if not (number and part.once):
                yield part, seed + number


def run(part: Part, seed: int, log: Path) -> Run:
    """Run it to its end, with its output in `log`."""
    command, began_s = part.command.format(seed=seed), time.monotonic()
    say(f"{time.strftime('%H:%M:%S')} {part.name}: {command}")
    with log.open("wb") as output:
        status = subprocess.run(shlex.split(command), stdout=output, stderr=output, check=False).returncode  # noqa: S603
    passed, failures = read(log.read_text(errors="replace"), status)
    took_s = time.monotonic() - began_s
    say(f"         {passed} tests passed, {len(failures)} failures, {took_s:.0f} s: {log}")
    return Run(part, command, log, passed, failures, took_s)


def read(output: str, status: int) -> tuple[int, list[str]]:
    """How many tests passed, and what failed, at least the command itself."""
    passed = sum(map(int, PASSED.findall(output)))
    return passed, (FAILURE.findall(output) or [f"exit status {status}"]) if status else []


def summarize(runs: Sequence[Run]) -> str:
    """What was run, how often, and how to run again what failed."""
    lines = [f"{'part':26} {'runs':>5} {'failed':>7} {'tests passed':>13} {'seconds':>8}"]
    for part in PARTS:
        mine = [run for run in runs if run.part is part]
        passed, took_s = sum(run.passed for run in mine), sum(run.took_s for run in mine)
        failed = sum(bool(run.failures) for run in mine)
        lines.append(f"{part.name:26} {len(mine):5} {failed:7} {passed:13,} {took_s:8,.0f}")
    for run in runs:
        if run.failures:
            lines += ["", f"{run.command}    # {run.log}", *(f"    {failure}" for failure in run.failures)]
    return "\n".join(lines) + "\n"


def say(line: str) -> None:
    """Show how it goes."""
    print(line, flush=True)  # noqa: T201  # a command


if __name__ == "__main__":
    sys.exit(main())
