"""What the gateway of bench/cluster.py runs on: PostgreSQL, and three NATS servers with JetStream, each new and empty.

PostgreSQL has fsync on, and the NATS servers sync before they acknowledge.
"""

import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from run import HERE, PORT, running, scratch

sys.path.append(str(HERE.parent / "tests"))
from nats_servers import NatsCluster
from postgresql import PostgreSQL

INTAKE_ALONE = ("--roles", "intake")
STREAMS = ("ANSWERBACK-1", "ANSWERBACK-2", "ANSWERBACK-3")

_EMPTY_TIMEOUT_S = 300.0


@dataclass(frozen=True)
class Case:
    """One way to run the gateway: its engines, and its options besides them."""

    name: str
    server: str = "answerback"
    postgresql: bool = False
    nats: int = 0
    options: Sequence[str] = ()


CASES = {
    case.name: case
    for case in (
        Case("echo", server="echo"),
        Case("sqlite"),
        Case("postgresql", postgresql=True),
        Case("jetstream", nats=3, options=INTAKE_ALONE),
        Case("jetstream, recorded into sqlite", nats=3),
        Case("jetstream, recorded into postgresql", nats=3, postgresql=True),
    )
}


@dataclass
class Place:
    """What runs for one case: the directory, the options that name the engines, and the processes by what they are."""

    directory: Path
    options: list[str] = field(default_factory=list)
    parties: dict[str, Callable[[], list[psutil.Process]]] = field(default_factory=dict)
    store: str | None = None
    nats: NatsCluster | None = None

    @property
    def stream(self) -> NatsCluster:
        """The NATS servers of a case that has some."""
        assert self.nats is not None, "no stream"
        return self.nats

    def cpu_s(self) -> dict[str, dict[int, float]]:
        """What each process has used so far, by what it is."""
        return {name: _cpu_s(find()) for name, find in self.parties.items()}

    def add_gateway(self, process: psutil.Process) -> None:
        """Count what a gateway and its writer use, too."""
        self.parties |= {"gateway": lambda: [process], "writer": lambda: process.children(recursive=True)}

    def batches(self) -> int:
        """How many batches the streams hold, by the server that knows of most."""
        return max(_messages(self.stream, n) for n in self.stream.running)

    def await_empty(self) -> None:
        """Wait until every batch is in the ledger: what is recorded leaves its stream."""
        deadline_s = time.monotonic() + _EMPTY_TIMEOUT_S
        while self.batches():
            if time.monotonic() > deadline_s:
                raise SystemExit(f"{self.batches()} batches are still in the streams after {_EMPTY_TIMEOUT_S} s")
            time.sleep(0.1)


def _messages(cluster: NatsCluster, node: int) -> int:
    info = cluster.nodes[node].ask("/jsz", accounts="true", streams="true") or {}
    streams = [stream for account in info.get("account_details", []) for stream in account.get("stream_detail", [])]
    return sum(int(stream["state"]["messages"]) for stream in streams)


def _cpu_s(processes: Sequence[psutil.Process]) -> dict[int, float]:
    found = {}
    for process in processes:
        try:
            found[process.pid] = sum(process.cpu_times()[:2])
        except psutil.NoSuchProcess:
            continue
    return found


def used_s(before: Mapping[str, Mapping[int, float]], after: Mapping[str, Mapping[int, float]]) -> dict[str, float]:
    """What each party has used between two `Place.cpu_s`."""
    return {
        name: sum(value - before.get(name, {}).get(pid, 0.0) for pid, value in values.items())
        for name, values in after.items()
    }


@contextmanager
def engines(case: Case, where: Path) -> Iterator[Place]:
    """The engines of a case, new and empty, and the options that have a gateway use them."""
    with ExitStack() as stack:
        place = Place(stack.enter_context(scratch(where)))
        if case.postgresql:
            database = stack.enter_context(PostgreSQL.start(fsync=True))
            place.store = database.create_database()
            place.options += ["--database-url", place.store]
            place.parties["postgresql"] = lambda: list(map(psutil.Process, database.processes))
        if case.nats:
            cluster = stack.enter_context(NatsCluster(place.directory / "nats", size=case.nats))
            place.nats = cluster
            place.options += ["--stream", cluster.url]
            place.parties["nats"] = lambda: [psutil.Process(node.process.pid) for node in cluster.nodes if node.process]
        yield place


@contextmanager
def started(case: Case, where: Path) -> Iterator[Place]:
    """The gateway of a case, answering."""
    with (
        engines(case, where) as place,
        running(case.server, place.directory / "data", *case.options, *place.options) as (process, _),
    ):
        place.add_gateway(process)
        yield place


def consumed() -> int:
    """How many callbacks the gateway on PORT has carried into the ledger."""
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    name = "answerback_callbacks_total"
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in lines if line.startswith((f"{name} ", f"{name}{{")))
