"""`answerback status` and /v1/status: who serves the ledger, and who tells which endpoint."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from contract.databases import ledger_database
from gateway import Gateway, run
from receivers.process import await_true

from answerback.ledger.admin.instances import SILENT_AFTER_US

URL = "http://127.0.0.1:9/voice"
LOOPBACK = {"ANSWERBACK_RELAY__ALLOWED_NETWORKS": '["127.0.0.0/8"]'}


def add_endpoint(gateway: Gateway, name: str) -> None:
    """An endpoint that nobody answers for."""
    headers = {"Authorization": f"Bearer {gateway.key}"}
    answer = gateway.client.post("/v1/endpoints", json={"name": name, "url": URL}, headers=headers)
    assert answer.status_code == 201, answer.text


def shown(gateway: Gateway, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """What /v1/status says, as soon as it is what is waited for."""
    deadline_s = time.monotonic() + 15.0
    while not wanted(status := gateway.get("/v1/status").json()):
        assert time.monotonic() < deadline_s, status
        time.sleep(0.1)
    reported: dict[str, Any] = status
    return reported


def test_a_gateway_alone_shows_itself(tmp_path: Path) -> None:
    """It tells every endpoint; the command shows the same, also when the gateway has ended."""
    with Gateway(tmp_path / "data", settings=LOOPBACK) as gateway:
        add_endpoint(gateway, "crm")
        reported = shown(gateway, lambda status: [one["endpoints"] for one in status["instances"]] == [1])
        (instance,) = reported["instances"]
        assert (instance["pid"], instance["url"], instance["silent"]) == (gateway.process.pid, gateway.url, False)
        assert not reported["secrets_differ"]
        found = json.loads(run("doctor", "--json", "--data-dir", gateway.data_dir, cwd=tmp_path).stdout)["items"]
        assert {one["check"]: one["level"] for one in found}["server secret"] == "ok"
        other = {"ANSWERBACK_SERVER__SECRET": "another one than that of the gateway"}
        found = json.loads(run("doctor", "--json", "--data-dir", gateway.data_dir, cwd=tmp_path, settings=other).stdout)
        assert {one["check"]: one["remedy"] for one in found["items"]}["server secret"].endswith("server.secret")
        assert reported["endpoints"][0]["instance"] == instance["id"]
        assert gateway.client.get("/v1/status").status_code == 401
        asked = json.loads(run("status", "--json", "--data-dir", gateway.data_dir, cwd=tmp_path).stdout)
        assert [one["id"] for one in asked["instances"]] == [instance["id"]]
        words = run("status", "--data-dir", gateway.data_dir, cwd=tmp_path).stdout
        assert "sqlite" in words
        assert instance["id"] in words
        gateway.terminate()
        words = run("status", "--data-dir", gateway.data_dir, cwd=tmp_path).stdout
        assert "no process serves this ledger" in words
        assert "none" in words


@pytest.mark.timeout(180)
def test_processes_with_roles_show_each_other(tmp_path: Path) -> None:
    """Which of them tells which endpoint; one that was killed is silent, once its last beat is old enough."""
    settings = LOOPBACK | {"ANSWERBACK_LEDGER__URL": ledger_database(tmp_path)}
    relay = {**settings, "ANSWERBACK_SERVER__ROLES": "relay"}
    api = {**settings, "ANSWERBACK_SERVER__ROLES": "intake,recorder,api"}
    with (
        Gateway(tmp_path / "api", settings=api) as asked,
        Gateway(tmp_path / "one", settings=relay) as one,
        Gateway(tmp_path / "two", settings=relay) as two,
    ):
        for name in ("crm", "erp"):
            add_endpoint(asked, name)
        reported = shown(asked, lambda status: sorted(one["endpoints"] for one in status["instances"]) == [0, 1, 1])
        roles = {instance["pid"]: instance["roles"] for instance in reported["instances"]}
        assert roles[one.process.pid] == roles[two.process.pid] == ["relay"]
        assert roles[asked.process.pid] == ["intake", "recorder", "api"]
        assert reported["secrets_differ"], "each has made its own"
        await_true(lambda: "server_secret_differs" in two.stderr, lambda: two.stderr)
        gone = one.process.pid
        one.kill()
        with psycopg.connect(settings["ANSWERBACK_LEDGER__URL"]) as database:
            database.execute(
                "UPDATE instances SET heartbeat_us = heartbeat_us - %s WHERE pid = %s", (SILENT_AFTER_US, gone)
            )
        reported = shown(asked, lambda status: any(instance["silent"] for instance in status["instances"]))
        assert [instance["pid"] for instance in reported["instances"] if instance["silent"]] == [gone]
