"""Measure what people see: each page and API answer at many calls, exports, and what the statistics cost the answer.

Writes bench/results/seeing.md, and prints it. The ledger is filled once and kept in `--ledger`.
"""

import argparse
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import httpx
import psutil
from run import HERE, PORT, RESULTS, WrkResult, load, running, scratch

GATEWAY = f"http://127.0.0.1:{PORT}"
COMMAND = Path(sys.executable).with_name("answerback")
PAGES = (
    "/console",
    "/console?range=7d",
    "/console?range=30d",
    "/console/calls",
    "/console/calls?outcome=failed&channel=codes",
    "/console/calls?mobile={mobile}",
    "/console/calls?failure_code=8&range=30d",
    "/console/calls/{callid}",
    "/console/failures?range=30d",
    "/console/fees?range=30d",
    "/console/endpoints",
    "/console/deliveries",
    "/console/quarantine",
    "/console/live",
    "/console/settings",
)
ANSWERS = (
    "/v1/calls",
    "/v1/calls?page_size=500",
    "/v1/calls?outcome=failed&channel=codes",
    "/v1/calls?mobile={mobile}",
    "/v1/calls?failure_code=8",
    "/v1/calls?since={since}",
    "/v1/calls/{callid}?channel={channel}",
    "/v1/calls/{callid}",
    "/v1/calls/{callid}/callbacks",
    "/v1/stats?range=today",
    "/v1/stats?range=7d",
    "/v1/stats?range=30d",
    "/v1/failures?range=30d",
    "/v1/fees?range=30d",
    "/v1/deliveries",
    "/v1/quarantine",
    "/v1/endpoints",
)


@dataclass(frozen=True)
class Latency:
    """How long one path took."""

    path: str
    p50_ms: float
    p99_ms: float
    worst_ms: float


def fill(ledger: Path, calls: int) -> None:
    """Have a ledger of so many calls."""
    if not (ledger / "ledger.db").exists():
        subprocess.run(
            [sys.executable, str(HERE / "seed.py"), "--data-dir", str(ledger), "--calls", str(calls)], check=True
        )


def latencies(ledger: Path, times: int) -> Iterator[Latency]:
    """Ask for each path so many times, one after the other, each time about another call."""
    with running("answerback", ledger), httpx.Client(base_url=GATEWAY, timeout=60) as client:
        key = (ledger / "admin-key").read_text().strip()
        known = _known(client, key)
        _sign_in(client, key)
        for path in (*PAGES, *ANSWERS):
            headers = {"Authorization": f"Bearer {key}"} if path.startswith("/v1") else {}
            yield _latency(client, path, headers, known, times)


def _known(client: httpx.Client, key: str) -> list[dict[str, str]]:
    """Calls from all over the thirty days, to ask about."""
    found: list[dict[str, str]] = []
    for day in range(1, 30):
        moment = f"{datetime.now(UTC) - timedelta(days=day):%Y-%m-%dT%H:%M:%SZ}"
        answer = client.get(f"/v1/calls?page_size=20&until={moment}", headers={"Authorization": f"Bearer {key}"})
        found += [{**item, "since": moment} for item in answer.raise_for_status().json()["items"]]
    return found


def _sign_in(client: httpx.Client, key: str) -> None:
    page = client.get("/console/sign-in").raise_for_status()
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.text))
    answer = client.post("/console/sign-in", data={**hidden, "key": key}, headers={"Origin": GATEWAY})
    if answer.status_code != httpx.codes.SEE_OTHER:
        raise SystemExit(f"cannot sign in: {answer.status_code}")


def _latency(
    client: httpx.Client, path: str, headers: dict[str, str], known: Sequence[dict[str, str]], times: int
) -> Latency:
    chance, took_ms = random.Random(3), []
    for turn in range(times + 3):
        call = chance.choice(known)
        asked = path.format(**{name: call[name] for name in ("callid", "channel", "mobile", "since")})
        began_s = time.perf_counter()
        answer = client.get(asked, headers=headers)
        if turn >= 3:  # the first ones find nothing in memory that the others do
            took_ms.append((time.perf_counter() - began_s) * 1000)
        if answer.status_code != httpx.codes.OK:
            raise SystemExit(f"{asked}: {answer.status_code} {answer.text[:200]}")
    took_ms.sort()
    return Latency(path, median(took_ms), took_ms[int(len(took_ms) * 0.99)], took_ms[-1])


@dataclass(frozen=True)
class Export:
    """One export of all that there is."""

    what: str
    rows: int
    rows_per_s: float
    rss_mb: float
    mb: float


def exported(ledger: Path, what: str, form: str, rows: int) -> Export:
    """Export to a file by the command, watching the memory of its processes."""
    with scratch(RESULTS) as where:
        target = where / f"{what}.{form}"
        command = [str(COMMAND), "export", what, "--format", form, "--output", str(target), "--data-dir", str(ledger)]
        began_s = time.perf_counter()
        process = psutil.Popen(command, stdout=subprocess.DEVNULL)
        peak = 0
        while process.poll() is None:
            try:
                family = [process, *process.children(recursive=True)]
                peak = max(peak, sum(one.memory_info().rss for one in family))
            except psutil.NoSuchProcess:
                pass
            time.sleep(0.1)
        took_s = time.perf_counter() - began_s
        if process.returncode:
            raise SystemExit(f"{' '.join(command)}: {process.returncode}")
        return Export(f"{what}, {form}", rows, rows / took_s, peak / 1e6, target.stat().st_size / 1e6)


def cost(where: Path, rounds: int, seconds: int, connections: Sequence[int]) -> list[tuple[int, float, float]]:
    """Answers a second without and with the statistics, alternating; the medians."""
    found: dict[tuple[int, bool], list[WrkResult]] = {}
    for _ in range(rounds):
        for kept in (False, True):
            with scratch(where) as data, _statistics(kept=kept), running("answerback", data):
                for count in connections:
                    found.setdefault((count, kept), []).append(load(count, seconds, 0))
    rates = {key: median(one.requests_per_s for one in results) for key, results in found.items()}
    return [(count, rates[count, False], rates[count, True]) for count in connections]


class _statistics:  # noqa: N801  # reads as a context
    """Leave the statistics out, by a module that Python imports at the start of each process."""

    def __init__(self, *, kept: bool) -> None:
        self._kept = kept

    def __enter__(self) -> None:
        if not self._kept:
            os.environ["PYTHONPATH"] = str(HERE / "without_statistics")

    def __exit__(self, *_: object) -> None:
        os.environ.pop("PYTHONPATH", None)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("reading", "exports", "cost"))
    parser.add_argument("--calls", type=int, default=10_000_000)
    parser.add_argument("--ledger", type=Path, default=RESULTS / "seeing-ledger")
    parser.add_argument("--times", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=8)
    given = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    parts: dict[str, Callable[[], str]] = {
        "reading": lambda: _reading(given.ledger, given.calls, given.times),
        "exports": lambda: _exports(given.ledger, given.calls),
        "cost": lambda: _cost(given.rounds, given.seconds),
    }
    text = "\n\n".join(part() for name, part in parts.items() if given.only in (None, name))
    print(text)
    (RESULTS / "seeing.md").write_text(f"{text}\n")


def _reading(ledger: Path, calls: int, times: int) -> str:
    fill(ledger, calls)
    rows = [f"| {calls:,} calls | p50 ms | p99 ms | worst ms |", "|---|---:|---:|---:|"]
    for one in latencies(ledger, times):
        rows.append(f"| `{one.path}` | {one.p50_ms:.1f} | {one.p99_ms:.1f} | {one.worst_ms:.1f} |")
        print(rows[-1], file=sys.stderr, flush=True)
    return "\n".join(rows)


def _exports(ledger: Path, calls: int) -> str:
    fill(ledger, calls)
    rows = ["| export | rows/s | RSS MB | file MB |", "|---|---:|---:|---:|"]
    for what in ("calls", "callbacks"):
        for form in ("csv", "ndjson", "parquet"):
            one = exported(ledger, what, form, calls)
            rows.append(f"| {one.what} | {one.rows_per_s:,.0f} | {one.rss_mb:.0f} | {one.mb:,.0f} |")
            print(rows[-1], file=sys.stderr, flush=True)
    return "\n".join(rows)


def _cost(rounds: int, seconds: int) -> str:
    rows = ["| connections | without statistics | with | with / without |", "|---|---:|---:|---:|"]
    for count, without, kept in cost(RESULTS, rounds, seconds, (64, 256)):
        rows.append(f"| {count} | {without:,.0f}/s | {kept:,.0f}/s | {kept / without:.2f} |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
