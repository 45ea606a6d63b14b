"""The configuration of NATS and PostgreSQL, on the real servers."""

import asyncio
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import httpx
import nats
import pytest
from deploy.files import DEPLOY, all_manifests, compose
from ending import ending
from nats.js.api import StorageType
from ports import port_of, reserve_port
from postgresql import PostgreSQL

from answerback.config import Settings

SERVER = Path(sys.executable).with_name("nats-server")
PASSWORD = "1e6"
"""Looks like a number, which NATS would take it for without the quotes."""

_CONF = DEPLOY / "nats/nats.conf"
_NODES = ("nats-1", "nats-2", "nats-3")


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[list[int]]:
    """Three nodes of deploy's configuration on free ports of this machine; the ports for clients."""
    with ExitStack() as running:
        kept = [[running.enter_context(closing(reserve_port())) for _ in range(3)] for _ in _NODES]
        ports = [(port_of(client), port_of(route), port_of(monitor)) for client, route, monitor in kept]
        for name, mine in zip(_NODES, ports, strict=True):
            running.enter_context(_node(tmp_path / name, mine, _variables(name, ports)))
        _await_healthy([monitor for _, _, monitor in ports])
        yield [client for client, _, _ in ports]


@pytest.mark.parametrize("name", _NODES)
def test_nats_takes_the_configuration(name: str) -> None:
    """With the variables of compose.yaml, as they stand there, NATS finds nothing wrong with it."""
    variables = compose()["services"][name]["environment"]
    ended = subprocess.run(
        [SERVER, "-t", "-c", _CONF], env=os.environ | variables, capture_output=True, text=True, check=False, timeout=30
    )
    assert ended.returncode == 0, ended.stderr


def test_acks_are_promises() -> None:
    """Every message is on disk before its ack, and JetStream keeps it in files."""
    text = _CONF.read_text()
    assert "sync_interval: always" in text
    assert "store_dir: /data" in text


def test_streams_fit() -> None:
    """Each node has room for all streams at their largest, and its disk for what it may hold."""
    stream = Settings.model_fields["stream"].default
    room = re.search(r"max_file_store: (\d+)GB", _CONF.read_text())
    assert room is not None
    assert stream.shards * stream.max_bytes < int(room[1]) * 1024**3
    claims = [
        manifest
        for manifest in all_manifests()
        if manifest["metadata"]["name"] == "nats" and manifest["kind"] == "StatefulSet"
    ]
    disk = claims[0]["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"]
    assert int(room[1]) < int(disk.removesuffix("Gi"))


def test_nodes_form_a_cluster(nodes: list[int]) -> None:
    """The nodes find each other by the routes' password, and keep a stream three times; without the password nobody gets in."""
    asyncio.run(_keep_thrice(nodes))
    assert _greeted(nodes[1]).startswith(b"-ERR 'Authorization Violation'")


async def _keep_thrice(nodes: list[int]) -> None:
    client = await nats.connect(f"nats://answerback:{PASSWORD}@127.0.0.1:{nodes[0]}", connect_timeout=10)
    try:
        stream = client.jetstream(timeout=30)
        made = await stream.add_stream(name="tried", subjects=["tried"], num_replicas=3, storage=StorageType.FILE)
        assert made.cluster is not None
        assert len(made.cluster.replicas or []) == 2
        await stream.publish("tried", b"kept")
        assert (await stream.stream_info("tried")).state.messages == 1
    finally:
        await client.close()


def _greeted(port: int) -> bytes:
    """What a node says to a client that knows no password."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line, line.makefile("rb") as answers:
        answers.readline()
        line.sendall(b'CONNECT {"verbose":false}\r\nPING\r\n')
        return answers.readline()


@pytest.fixture
def postgresql() -> Iterator[PostgreSQL]:
    """A PostgreSQL with the configuration of deploy/."""
    with PostgreSQL.start(fsync=True) as server:
        server.stop()
        shutil.copyfile(DEPLOY / "postgresql/postgresql.conf", server.data / "postgresql.conf")
        server.restart()
        yield server


def test_postgresql_takes_the_configuration(postgresql: PostgreSQL) -> None:
    """PostgreSQL finds no fault in it, and a commit is on disk when it returns."""
    invalid = (
        "SELECT name, error FROM pg_file_settings WHERE error IS NOT NULL"
        " AND name NOT IN (SELECT name FROM pg_settings WHERE source = 'command line')"  # what the test itself sets
    )
    assert postgresql.execute(invalid) == []
    written = dict(postgresql.execute("SELECT name, setting FROM pg_file_settings"))
    assert {written[name] for name in ("fsync", "synchronous_commit", "full_page_writes")} == {"on"}
    assert postgresql.execute("SHOW synchronous_commit") == [("on",)]


def _variables(name: str, ports: list[tuple[int, int, int]]) -> Mapping[str, str]:
    routes = {
        f"NATS_ROUTE_{number}": f'"nats-route://route:{PASSWORD}@127.0.0.1:{route}"'
        for number, (_, route, _) in enumerate(ports, 1)
    }
    secrets = {"NATS_PASSWORD": f'"{PASSWORD}"', "NATS_ROUTE_PASSWORD": f'"{PASSWORD}"'}
    return {"NATS_NAME": name, "NATS_ADVERTISE": "127.0.0.1", **secrets, **routes}


@contextmanager
def _node(directory: Path, ports: tuple[int, int, int], variables: Mapping[str, str]) -> Iterator[None]:
    """The configuration of deploy/, with places on this machine in place of the container's."""
    directory.mkdir()
    text = _CONF.read_text().replace("/data", str(directory / "data")).replace("/run/nats", str(directory))
    for inside, outside in zip(("4222", "6222", "8222"), ports, strict=True):
        text = text.replace(f"0.0.0.0:{inside}", f"127.0.0.1:{outside}")
    conf = directory / "nats.conf"
    conf.write_text(text)
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(ending(SERVER, "-c", conf), env=os.environ | variables, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _await_healthy(monitors: list[int]) -> None:
    deadline_s = time.monotonic() + 60
    for port in monitors:
        while not _healthy(port):
            assert time.monotonic() < deadline_s, f"the node with the monitor port {port} does not get healthy"
            time.sleep(0.1)


def _healthy(port: int) -> bool:
    """What the startup probe asks; and who leads has heard of the others, or it would place no stream on them."""
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, verify=False) as client:
            known = client.get("/jsz").json().get("meta_cluster", {})
            heard_of = [one for one in known.get("replicas") or [] if one.get("current") and not one.get("offline")]
            is_leader = known.get("leader") == client.get("/varz").json()["server_name"]
            return client.get("/healthz").status_code == 200 and (not is_leader or len(heard_of) == len(_NODES) - 1)
    except httpx.HTTPError:
        return False
