"""Real NATS servers with JetStream: three that form a cluster, or one, each a process with a directory of its own.

Not called `nats`: that is the client's name, and the tests' directory comes first on the path.
"""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple, Self
from uuid import uuid4

import httpx
import pytest
from ending import ending
from ports import port_of, reserve_port

SERVER = Path(sys.executable).with_name("nats-server")
READY_TIMEOUT_S = 30.0

_reservations: list[socket.socket] = []
_spawner = ThreadPoolExecutor(1)
"""A server ends with the very thread that started it: this one lives to the end."""


class Ports(NamedTuple):
    """Where a server listens: to clients, to its peers, to who wants to know how it is."""

    client: int
    route: int
    monitor: int


@dataclass
class Node:
    """One server: where it is, and its process while it runs."""

    name: str
    directory: Path
    host: str
    ports: Ports
    prefix: Sequence[str] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def log(self) -> str:
        """What it has written so far, over all its starts."""
        return (self.directory / "log").read_text()

    def ask(self, path: str, **query: str) -> Any:
        """What its monitoring port tells; None where it does not answer well."""
        with suppress(httpx.HTTPError, json.JSONDecodeError):
            url = f"http://{self.host}:{self.ports.monitor}{path}"
            answer = httpx.get(url, params=query, timeout=1.0, trust_env=False, verify=False)
            return answer.json() if answer.status_code == 200 else None
        return None


class NatsCluster:
    """Servers of one cluster, numbered from 0; as a context manager they are started, and killed at the end.

    Clients learn no other addresses than `urls`. `client_ports` are those that clients are to use instead, such as a
    proxy's in front of `nodes[n].ports.client`. `hosts` and `prefixes` put nodes elsewhere, such as `["ip", "netns", "exec", ...]`.
    """

    def __init__(
        self,
        directory: Path,
        *,
        size: int = 3,
        max_file_store: int | None = None,
        client_ports: Sequence[int] = (),
        hosts: Sequence[str] = (),
        prefixes: Sequence[Sequence[str]] = (),
        more: str = "",
    ) -> None:
        self.name = f"answerback-{uuid4().hex[:12]}"
        self.max_file_store = max_file_store
        self._client_ports = client_ports
        self._more = more
        self.nodes = [
            Node(
                name=f"n{n}",
                directory=directory / f"n{n}",
                host=hosts[n] if hosts else "127.0.0.1",
                ports=Ports(_reserved_port(), _reserved_port(), _reserved_port()),
                prefix=prefixes[n] if prefixes else (),
            )
            for n in range(size)
        ]

    def __enter__(self) -> Self:
        return self if self.running else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def urls(self) -> list[str]:
        """Where clients connect to, one a node."""
        ports = self._client_ports or [node.ports.client for node in self.nodes]
        hosts = ["127.0.0.1" if self._client_ports else node.host for node in self.nodes]
        return [f"nats://{host}:{port}" for host, port in zip(hosts, ports, strict=True)]

    @property
    def url(self) -> str:
        """All `urls`, as the setting spells them."""
        return ",".join(self.urls)

    @property
    def running(self) -> list[int]:
        """The nodes whose process is there."""
        return [n for n, node in enumerate(self.nodes) if node.process is not None and node.process.poll() is None]

    def start(self) -> Self:
        """Start all nodes and wait until they can store."""
        for n in range(len(self.nodes)):
            self._spawn(n)
        try:
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """SIGKILL to all nodes; what they stored stays."""
        for n in self.running:
            self.kill(n)

    def kill(self, n: int) -> None:
        """SIGKILL to a node."""
        self._signal(n, signal.SIGKILL).wait()

    def restart(self, n: int, *, wait: bool = True) -> None:
        """Start a node again, killed before or now, on what it has stored; `wait` until it keeps up."""
        if n in self.running:
            self.kill(n)
        self._spawn(n)
        if wait:
            self.wait_ready()

    def pause(self, n: int) -> None:
        """Freeze a node: its connections stay, it says nothing."""
        self._signal(n, signal.SIGSTOP)

    def resume(self, n: int) -> None:
        """Let a frozen node go on."""
        self._signal(n, signal.SIGCONT)

    def leader(self, stream: str, timeout_s: float = 15.0) -> int:
        """The node that leads a stream, by its own word."""
        found: list[int] = _within(timeout_s, lambda: [n for n in self.running if self._leads(n, stream)])
        assert found, f"nobody leads {stream}"
        return found[0]

    def wait_ready(self, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Wait until every running node is healthy, has caught up, and is known to who leads the cluster."""
        if not _within(timeout_s, lambda: all(self._is_ready(n) for n in self.running)):
            reported = "\n".join(f"{node.name}: {node.log[-1500:]}" for node in self.nodes)
            raise AssertionError(f"the NATS servers are not ready in {timeout_s} s:\n{reported}")

    def _is_ready(self, n: int) -> bool:
        healthy = self.nodes[n].ask("/healthz")
        if healthy is None or healthy.get("status") != "ok":
            return False
        if len(self.nodes) == 1:
            return True
        meta = (self.nodes[n].ask("/jsz") or {}).get("meta_cluster", {})
        online = [peer for peer in meta.get("replicas") or [] if peer.get("current") and not peer.get("offline")]
        if meta.get("leader") == self.nodes[n].name and len(online) < len(self.running) - 1:
            return False  # it has not heard of all: it would place no stream there
        peers = {route["remote_id"] for route in (self.nodes[n].ask("/routez") or {}).get("routes") or []}
        return (
            bool(meta.get("leader"))
            and meta.get("cluster_size") == len(self.nodes)
            and len(peers) >= len(self.running) - 1
        )

    def _leads(self, n: int, stream: str) -> bool:
        reported = self.nodes[n].ask("/jsz", accounts="true", streams="true") or {}
        streams = [
            found for account in reported.get("account_details", []) for found in account.get("stream_detail", [])
        ]
        leaders = [found.get("cluster", {}).get("leader") for found in streams if found["name"] == stream]
        return leaders == [self.nodes[n].name]

    def _signal(self, n: int, number: signal.Signals) -> subprocess.Popen[bytes]:
        process = self.nodes[n].process
        assert process is not None, "not started"
        process.send_signal(number)
        return process

    def _spawn(self, n: int) -> None:
        node = self.nodes[n]
        node.directory.mkdir(parents=True, exist_ok=True)
        config = node.directory / "nats.conf"
        config.write_text(self._config(node))
        with (node.directory / "log").open("ab") as log:
            node.process = _spawner.submit(_start, [*node.prefix, SERVER, "--config", config], log).result()

    def _config(self, node: Node) -> str:
        limit = f"max_file_store: {self.max_file_store}" if self.max_file_store is not None else ""
        cluster = f"""
            cluster {{
                name: {self.name}, listen: "{node.host}:{node.ports.route}", no_advertise: true
                routes: [{", ".join(f'"nats://{other.host}:{other.ports.route}"' for other in self.nodes if other is not node)}]
            }}"""
        return f"""
            server_name: {node.name}
            listen: "{node.host}:{node.ports.client}"
            http: "{node.host}:{node.ports.monitor}"
            jetstream {{ store_dir: "{node.directory / "jetstream"}", sync_interval: always, {limit} }}
            {cluster if len(self.nodes) > 1 else ""}
            {self._more}
        """


@pytest.fixture(scope="module")
def nats_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsCluster]:
    """Three servers, for the tests of a module."""
    with NatsCluster(tmp_path_factory.mktemp("nats")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsCluster]:
    """One server, for the tests of a module."""
    with NatsCluster(tmp_path_factory.mktemp("nats"), size=1) as cluster:
        yield cluster


def _within(timeout_s: float, found: Callable[[], Any]) -> Any:
    """What `found` returns as soon as it is true, or last."""
    deadline_s = time.monotonic() + timeout_s
    while not (result := found()) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    return result


def _reserved_port() -> int:
    """One that stays this process's to its end, also while no server listens there."""
    _reservations.append(reserve_port())
    return port_of(_reservations[-1])


def _start(command: Sequence[str | Path], log: BinaryIO) -> subprocess.Popen[bytes]:
    return subprocess.Popen(ending(*command), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
