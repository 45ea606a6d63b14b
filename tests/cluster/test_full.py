"""What has no room left confirms nothing: a full stream is the cloud's business, a full database that of the inbox.

Both are for `make soak`: tests/stream shows in every run that a full stream refuses, tests/faults that a full disk does.
"""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from cluster.deployment import ALL, Deployment, say
from cluster.primary_standby import DATABASE
from nats_servers import NatsCluster
from postgresql import PostgreSQL
from receivers.process import await_true

pytestmark = pytest.mark.soak

DISK_BYTES = 160 * 1024 * 1024
SHARD_BYTES = 256 * 1024


@pytest.fixture
def disk() -> Iterator[Path]:
    """A small file system, which whoever PostgreSQL runs as can get to."""
    place = Path(tempfile.mkdtemp(prefix="pg-"))
    place.chmod(0o755)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", place], check=False)
    if mounted.returncode:
        place.rmdir()
        pytest.skip("SKIPPED FAULT: only root may mount a small file system")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)
        place.rmdir()


def fill(place: Path) -> Path:
    """Take every free byte; the file that holds them."""
    filler = place / "filler"
    with filler.open("ab", buffering=0) as file:
        for size_bytes in (1024 * 1024, 4096, 1):
            with suppress(OSError):
                while True:
                    file.write(bytes(size_bytes))
    return filler


def test_a_database_with_a_full_disk(tmp_path: Path, disk: Path) -> None:
    """PostgreSQL has no room for tables nor log, and may even end: the cloud is answered, and recorded once there is room."""
    with closing(PostgreSQL.start(disk / "server")) as server:
        server.execute(f"CREATE DATABASE {DATABASE}")
        settings = {"ANSWERBACK_LEDGER__URL": server.url(DATABASE)}
        with Deployment(tmp_path, {"all": ALL}, lambda sql: server.execute(sql, DATABASE), settings) as deployment:
            with deployment.load() as load:
                load.await_answered(100)
                filler = fill(disk)
                await_true(lambda: "No space left" in server.log, lambda: f"it has room: {load}", 30)
                load.await_answered(100)
                filler.unlink()
                if not server.up:
                    server.restart()
                load.await_answered(100)
            say(f"disk full: {deployment.check(load)}")
    assert (load.refused, load.unanswered) == (0, 0)


def test_a_full_stream(tmp_path: Path) -> None:
    """Where nobody drains the stream and it is full, intake answers 503; a recorder that comes back makes room."""
    with closing(PostgreSQL.start()) as server, NatsCluster(tmp_path / "nats") as nats:
        server.execute(f"CREATE DATABASE {DATABASE}")
        settings = {
            "ANSWERBACK_LEDGER__URL": server.url(DATABASE),
            "ANSWERBACK_STREAM__URL": nats.url,
            "ANSWERBACK_STREAM__MAX_BYTES": str(SHARD_BYTES),
        }
        roles = {"intake": "intake,relay,api", "recorder": "recorder"}
        with Deployment(
            tmp_path, roles, lambda sql: server.execute(sql, DATABASE), settings, in_order=False
        ) as deployment:
            with deployment.load() as load:
                load.await_answered(100)
                deployment.gateways["recorder"].kill()
                load.await_refused(50)
                deployment.gateways["recorder"].start()
                load.await_answered(100)
            say(f"stream full: {deployment.check(load)}")
    assert load.unanswered == 0
