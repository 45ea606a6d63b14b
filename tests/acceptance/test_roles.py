"""The parts of the gateway in processes of their own: what each does, and what it says of what it does not do."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from contract.databases import ledger_database
from gateway import CALLBACK, OK, Gateway, key_press, prompt, run
from nats_servers import NatsCluster
from receivers.process import Receive, await_true

ADMIN_KEY = "one-key-for-all-processes-0123456789"


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[NatsCluster]:
    """A server of one's own: the streams of another test have another's callbacks."""
    with NatsCluster(tmp_path / "nats", size=1) as server:
        yield server


def settings_of(place: Path, nats: NatsCluster | None = None) -> dict[str, str]:
    """What all processes of a cluster have in common."""
    settings = {
        "ANSWERBACK_LEDGER__URL": ledger_database(place),
        "ANSWERBACK_SERVER__ADMIN_KEY": ADMIN_KEY,
        "ANSWERBACK_RELAY__ALLOWED_NETWORKS": '["127.0.0.0/8"]',
    }
    if nats is not None:
        settings |= {
            "ANSWERBACK_STREAM__URL": nats.url,
            "ANSWERBACK_STREAM__SHARDS": "1",
            "ANSWERBACK_STREAM__REPLICAS": "1",
            "ANSWERBACK_STREAM__ALLOW_FEWER_REPLICAS": "true",
            "ANSWERBACK_STREAM__MAX_BYTES": "10000000",
        }
    return settings


def asked(gateway: Gateway, path: str) -> httpx.Response:
    """A question to a process, by the key that all have."""
    return gateway.client.get(path, headers={"Authorization": f"Bearer {ADMIN_KEY}"})


def roles_at(gateway: Gateway) -> list[str]:
    """The roles of all processes whose heartbeats a process knows."""
    return sorted(role for one in asked(gateway, "/v1/status").json()["instances"] for role in one["roles"])


@pytest.mark.timeout(180)
def test_a_callback_goes_through_four_processes(tmp_path: Path, nats: NatsCluster, receive: Receive) -> None:
    """Answered by one, recorded by another, delivered by a third and shown by a fourth, in order."""
    common, receiver = settings_of(tmp_path, nats), receive()

    def process(role: str) -> Gateway:
        return Gateway(tmp_path / role, settings=common | {"ANSWERBACK_SERVER__ROLES": role})

    with process("api") as api, process("recorder"), process("relay"), process("intake") as intake:
        made = api.client.post(
            "/v1/endpoints",
            json={"name": "crm", "url": receiver.url},
            headers={"Authorization": f"Bearer {ADMIN_KEY}"},
        )
        assert made.status_code == httpx.codes.CREATED, made.text
        assert intake.post(prompt("street")).content == OK
        assert intake.post(key_press("street", "5")).content == OK
        taken = receiver.await_taken(2, timeout_s=30.0)
        assert [one.callid for one in taken] == ["street", "street"]
        assert [one.document["data"]["callback"]["kind"] for one in taken] == ["prompt", "key"]
        call = asked(api, "/v1/calls/street").json()
        assert (call["outcome"], call["keys"]) == ("answered", ["5"])
        await_true(lambda: roles_at(api) == ["api", "intake", "recorder", "relay"], lambda: f"{roles_at(api)}")
        refused = intake.post(b"{")
        assert (refused.status_code, refused.json()["result"]) == (400, 3003)
        await_true(
            lambda: asked(api, "/v1/quarantine").json()["items"], lambda: "nothing is in quarantine", timeout_s=15.0
        )
        assert asked(intake, "/v1/calls/street").status_code == httpx.codes.NOT_FOUND
        misled = api.client.post(CALLBACK, content=prompt("misled"))
        assert (misled.status_code, misled.json()["result"]) == (503, 3002)
        assert "server.roles" in misled.json()["errmsg"]
        for one in (api, intake):
            assert one.get("/healthz").status_code == one.get("/readyz").status_code == httpx.codes.OK
            assert "answerback_stream_in_flight_batches" in one.client.get("/metrics").text
            assert one.client.get("/console").status_code == httpx.codes.NOT_FOUND


@pytest.mark.timeout(180)
def test_callbacks_are_taken_while_the_database_is_away(tmp_path: Path, nats: NatsCluster) -> None:
    """An intake in front of a stream starts without the database, and answers; what it took is recorded later."""
    away = settings_of(tmp_path, nats)
    nowhere = away | {"ANSWERBACK_LEDGER__URL": "postgresql://answerback@127.0.0.1:9/nowhere"}
    with Gateway(tmp_path / "intake", settings=nowhere | {"ANSWERBACK_SERVER__ROLES": "intake"}) as intake:
        assert intake.post(prompt("early")).content == OK
    with Gateway(tmp_path / "all", settings=away) as gateway:
        await_true(
            lambda: asked(gateway, "/v1/calls/early").status_code == httpx.codes.OK, lambda: "it is not there", 30.0
        )


@pytest.mark.parametrize("roles", ["intake", "recorder,relay,api,console"])
def test_intake_and_record_go_together_without_a_stream(tmp_path: Path, roles: str) -> None:
    """The refusal names the settings."""
    refused = run("serve", "--port", "0", "--data-dir", tmp_path, "--roles", roles, cwd=tmp_path)
    assert refused.returncode == 1
    assert "server.roles: intake and recorder go together where stream.url is not set" in refused.stderr


def test_a_role_that_there_is_not_is_named(tmp_path: Path) -> None:
    """With those that there are."""
    refused = run("serve", "--port", "0", "--data-dir", tmp_path, "--roles", "intake,cook", cwd=tmp_path)
    assert refused.returncode == 1
    assert "server.roles" in refused.stderr
    assert "'intake', 'recorder', 'relay', 'api' or 'console'" in refused.stderr


def test_the_doctor_looks_at_the_database_and_the_stream(tmp_path: Path, nats: NatsCluster) -> None:
    """Each is well, or is named without its password, with what follows."""
    well = run("doctor", "--json", "--data-dir", tmp_path, cwd=tmp_path, settings=settings_of(tmp_path, nats))
    found = {item["check"]: item for item in json.loads(well.stdout)["items"]}
    assert found["ledger"]["finding"].startswith("a primary with fsync on; a commit took")
    assert found["stream"]["finding"].startswith("1 streams, 0 batches wait")
    nowhere = {
        "ANSWERBACK_LEDGER__URL": "postgresql://answerback:topsecret@127.0.0.1:9/nowhere",
        "ANSWERBACK_STREAM__URL": "nats://answerback:topsecret@127.0.0.1:9",
    }
    ill = run("doctor", "--json", "--data-dir", tmp_path, cwd=tmp_path, settings=nowhere)
    found = {item["check"]: item for item in json.loads(ill.stdout)["items"]}
    assert ill.returncode == 1
    assert (found["ledger"]["level"], found["stream"]["level"]) == ("error", "error")
    assert "topsecret" not in ill.stdout + ill.stderr


def test_a_process_starts_where_its_url_cannot_be_written(tmp_path: Path) -> None:
    """The command line has to be given the URL then; the log says so."""
    (tmp_path / "data" / "gateway-url.new").mkdir(parents=True)
    with Gateway(tmp_path / "data", settings=settings_of(tmp_path)) as gateway:
        assert asked(gateway, "/v1/me").status_code == 200
    assert "url_not_written" in gateway.stderr
