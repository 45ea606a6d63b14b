"""The processes of compose.yaml, by their own commands and variables, on a real PostgreSQL and three real NATS nodes."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from deploy.files import compose, compose_environment
from gateway import OK, Gateway, prompt, run
from nats_servers import NatsCluster

_GATEWAYS = {
    name: service for name, service in compose()["services"].items() if service["image"].startswith("answerback:")
}


@pytest.fixture
def places(tmp_path: Path, postgresql_url: str) -> Iterator[dict[str, str]]:
    """The variables that say where things are here, in place of where they are in the containers."""
    with NatsCluster(tmp_path / "nats") as nats:
        yield {"ANSWERBACK_LEDGER__URL": postgresql_url, "ANSWERBACK_STREAM__URL": nats.url}


def test_callback_goes_through_all_roles(places: dict[str, str], tmp_path: Path) -> None:
    """After the migration every process gets ready; a callback answered by one is shown by another; all drain at the signal."""
    services = {
        name: (service["command"], compose_environment(service) | places) for name, service in _GATEWAYS.items()
    }
    command, settings = services.pop("migrate")
    ended = run(*command, cwd=tmp_path, settings=settings)
    assert ended.returncode == 0, ended.stderr
    gateways = {
        name: Gateway(tmp_path / name, settings=settings, options=_options(command))
        for name, (command, settings) in services.items()
    }
    with ExitStack() as running, ThreadPoolExecutor() as pool:
        for gateway in pool.map(Gateway.start, gateways.values()):
            running.enter_context(gateway)
        for gateway in gateways.values():
            assert gateway.get("/metrics").status_code == 200
            gateway.await_ready()
        assert gateways["intake-1"].post(prompt("through")).content == OK
        _await_call(gateways["front"], "through")
        assert list(pool.map(Gateway.terminate, gateways.values())) == [0] * len(gateways)


def _options(command: list[str]) -> list[str]:
    """What comes after `serve`."""
    assert command[0] == "serve"
    return command[1:]


def _await_call(front: Gateway, callid: str) -> None:
    """Ask with the key that compose.yaml sets."""
    key = compose_environment(_GATEWAYS["front"])["ANSWERBACK_SERVER__ADMIN_KEY"]
    deadline_s = time.monotonic() + 15
    headers = {"Authorization": f"Bearer {key}"}
    while (answer := front.client.get(f"/v1/calls/{callid}", headers=headers)).status_code != 200:
        assert answer.status_code == 404, answer.text
        assert time.monotonic() < deadline_s, "the call does not come"
        time.sleep(0.05)
