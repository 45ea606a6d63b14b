"""uvicorn or Granian? The same durable answer, and the same echo, behind each of them.

Needs the extra `bench` (Granian). Each server runs one worker with uvloop; rounds alternate; medians.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from run import HERE, PORT, answers, load, scratch

APPS = ("echo", "durable")
SERVERS = {
    "uvicorn": ["uvicorn", "--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "error"],
    "granian": ["granian", "--interface", "asgi", "--loop", "uvloop", "--no-access-log", "--log-level", "error"],
}


@contextmanager
def running(server: str, app: str, data_dir: Path) -> Iterator[psutil.Process]:
    """One worker of `server` with `app`."""
    command, *options = SERVERS[server]
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name(command)), *options, "--port", str(PORT), f"{app}:app"],
        cwd=HERE / "servers",
        env=os.environ | {"DATA_DIR": str(data_dir)},
    )
    try:
        while not answers():
            time.sleep(0.02)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


def main() -> None:
    """Measure, and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=6)
    given = parser.parse_args()
    found: dict[tuple[str, str, int], list[tuple[float, float]]] = {}
    for _ in range(given.rounds):
        for app in APPS:
            for server in SERVERS:
                with scratch(HERE / "results") as data, running(server, app, data):
                    for connections in (64, 256):
                        told = load(connections, given.seconds, 0)
                        found.setdefault((app, server, connections), []).append((told.requests_per_s, told.p99_ms))
    print("| application | server | connections | req/s | p99 ms |\n|---|---|---:|---:|---:|")
    for (app, server, connections), rounds in found.items():
        rate, late = (statistics.median(column) for column in zip(*rounds, strict=True))
        print(f"| {app} | {server} | {connections} | {rate:,.0f} | {late:.1f} |")


if __name__ == "__main__":
    main()
