"""The processes of compose.yaml, by their own commands and variables, on a real PostgreSQL and three real NATS nodes."""

import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from deploy.files import compose, image_environment
from gateway import CALLBACK, COMMAND, OK, START_TIMEOUT_S, prompt
from nats_servers import NatsCluster
from postgresql import PostgreSQL

_STOP_S = 45
_GATEWAYS = {
    name: service for name, service in compose()["services"].items() if service["image"].startswith("answerback:")
}


@pytest.fixture
def places(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The variables that say where things are here, in place of where they are in the containers."""
    with PostgreSQL.start(fsync=True) as postgresql, NatsCluster(tmp_path / "nats") as nats:
        yield {
            "ANSWERBACK_LEDGER__STORE": postgresql.create_database(),
            "ANSWERBACK_STREAM__URL": nats.url,
            "ANSWERBACK_SERVER__HOST": "127.0.0.1",
            "ANSWERBACK_SERVER__PORT": "0",
        }


def test_callback_goes_through_all_roles(places: Mapping[str, str], tmp_path: Path) -> None:
    """After the migration every process gets ready; a callback answered by one is shown by another; all drain at the signal."""
    ended = subprocess.run(
        [COMMAND, *_GATEWAYS["migrate"]["command"]],
        env=_variables("migrate", places, tmp_path),
        check=False,
        timeout=60,
    )
    assert ended.returncode == 0
    serving = [name for name in _GATEWAYS if name != "migrate"]
    with ExitStack() as running, httpx.Client(trust_env=False, timeout=20) as client:
        processes = {name: running.enter_context(_process(name, places, tmp_path)) for name in serving}
        urls = {name: _told(process, tmp_path / name)["url"] for name, process in processes.items()}
        for url in urls.values():
            assert [client.get(f"{url}{path}").status_code for path in ("/healthz", "/metrics")] == [200, 200]
            _await_ready(client, f"{url}/readyz")
        assert client.post(urls["intake-1"] + CALLBACK, content=prompt("through")).content == OK
        _await_call(client, f"{urls['front']}/v1/calls/through")
        for process in processes.values():
            process.terminate()
        assert [process.wait(_STOP_S) for process in processes.values()] == [0] * len(processes)


def _variables(name: str, places: Mapping[str, str], home: Path) -> dict[str, str]:
    (home / name).mkdir()
    mine = {"PATH": os.environ["PATH"], "ANSWERBACK_SERVER__DATA_DIR": str(home / name)}
    return {**image_environment(), **_GATEWAYS[name]["environment"], **places, **mine}


@contextmanager
def _process(name: str, places: Mapping[str, str], home: Path) -> Iterator[subprocess.Popen[bytes]]:
    variables = _variables(name, places, home)
    with (home / name / "out").open("wb") as out, (home / name / "err").open("wb") as err:
        command = [COMMAND, *_GATEWAYS[name]["command"], "--json"]
        process = subprocess.Popen(command, env=variables, cwd=home / name, stdout=out, stderr=err)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _told(process: subprocess.Popen[bytes], home: Path) -> dict[str, Any]:
    deadline_s = time.monotonic() + 2 * START_TIMEOUT_S  # seven start at a time
    while not (said := (home / "out").read_text()).endswith("}\n"):
        assert process.poll() is None, (home / "err").read_text()
        assert time.monotonic() < deadline_s, (home / "err").read_text()
        time.sleep(0.05)
    told: dict[str, Any] = json.loads(said)
    return told


def _await_ready(client: httpx.Client, url: str) -> None:
    """Ask as a readiness probe does."""
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while (answer := client.get(url)).status_code != 200:
        assert time.monotonic() < deadline_s, answer.text
        time.sleep(0.2)


def _await_call(client: httpx.Client, url: str) -> None:
    key = _GATEWAYS["front"]["environment"]["ANSWERBACK_SERVER__ADMIN_KEY"]
    deadline_s = time.monotonic() + 15
    while (answer := client.get(url, headers={"Authorization": f"Bearer {key}"})).status_code != 200:
        assert answer.status_code == 404, answer.text
        assert time.monotonic() < deadline_s, "the call does not come"
        time.sleep(0.1)
