"""Erasure of one person's number by the real program: no file of the data directory holds it afterwards, however it is spelled."""

import json
import re
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from gateway import OK, Gateway, failure, prompt, run
from nats_servers import NatsCluster
from postgresql import shared_server
from receivers.process import Receiver, await_true
from receivers.webhook_receiver import relaying
from terminal import Typed, at_a_terminal

from answerback.client import Client
from answerback.erasures.sealing import seal
from answerback.ledger import open_sqlite
from answerback.ledger.admin.audit import CLI_ACTOR
from answerback.ledger.commands import RequestErasure

NUMBER = "13788888888"
OTHER = "13912345678"
SPELLINGS = (
    NUMBER,
    "137 8888 8888",
    "137-8888-8888",
    "１３７８８８８８８８８",
    r"\u00313788888888",
    "%31%33%37%38%38%38%38%38%38%38%38",
)


def holders(directory: Path, spellings: tuple[str, ...] = SPELLINGS) -> dict[str, list[str]]:
    """The files of a directory in which there is a spelling of the number, byte by byte, in UTF-8 or UTF-16."""
    found: dict[str, list[str]] = {}
    for path in sorted(directory.rglob("*")):
        content = path.read_bytes() if path.is_file() else b""
        for spelling in spellings:
            if any(spelling.encode(encoding) in content for encoding in ("utf-8", "utf-16-le", "utf-16-be")):
                found.setdefault(path.name, []).append(spelling)
    return found


def fill(gateway: Gateway, number: str, name: str) -> None:
    """Callbacks, refused bodies and an annotation with the number in many spellings."""
    spaced = f"{number[:3]} {number[3:7]} {number[7:]}"
    for n in range(4):
        assert gateway.post(prompt(f"{name}-{n}", mobile=number, note=f"+86 {spaced}")).content == OK
    assert gateway.post(prompt(f"{name}-int", mobile=int(number), call_from=f"0086{number}")).content == OK
    assert gateway.post(prompt(f"{name}-full", mobile=f"+86{number}", nationcode=...)).content == OK
    assert (
        gateway.post(
            failure(f"{name}-why", mobile=number, failure_reason=f"call {number[:3]}-{number[3:7]}-{number[7:]}")
        ).status_code
        == 200
    )
    escaped = rf"\u003{number[0]}{number[1:]}"
    wide = "".join(chr(0xFF10 + int(digit)) for digit in number)
    percent = "".join(f"%3{digit}" for digit in number)
    for body in (f'{{"x": "{escaped}"}}', f"call {wide}", f"mobile={percent}", f"utf-16 {number}"):
        sent = body.encode("utf-16-le") if body.startswith("utf-16") else body.encode()
        assert gateway.post(sent).status_code == 400
    annotation = {"reference": f"order of {number}", "metadata": {"to": number, "n": int(number)}}
    headers = {"Authorization": f"Bearer {gateway.key}"}
    assert gateway.client.put(f"/v1/calls/{name}-1", json=annotation, headers=headers).status_code == 200


def erase_by_api(gateway: Gateway, number: str) -> dict[str, Any]:
    """Ask for it, and wait for the receipt."""
    headers = {"Authorization": f"Bearer {gateway.key}"}
    asked = gateway.client.post("/v1/erasures", json={"number": number}, headers=headers)
    assert asked.status_code == 202, asked.text
    return await_done(gateway, asked.json()["id"])


def await_done(gateway: Gateway, id_: int) -> dict[str, Any]:
    """The receipt, once all is done."""
    deadline_s = time.monotonic() + 60
    while (receipt := gateway.get(f"/v1/erasures/{id_}").json())["state"] != "done":
        assert time.monotonic() < deadline_s, (receipt, gateway.stderr)
        time.sleep(0.05)
    done: dict[str, Any] = receipt
    return done


def test_no_byte_of_it_is_left(tmp_path: Path) -> None:
    """Ledger, inbox, their logs and what is free in them, of a gateway that goes on; another person's number stays everywhere."""
    with Gateway(tmp_path / "data") as gateway:
        fill(gateway, NUMBER, "one")
        fill(gateway, OTHER, "two")
        gateway.await_recorded()
        assert {"ledger.db-wal", "inbox.db-wal"} <= holders(gateway.data_dir).keys()
        before = gateway.call("one-1")
        receipt = erase_by_api(gateway, "（＋８６）　１３７　－　８８８８　－　８８８８")
        assert holders(gateway.data_dir) == {}
        assert receipt["erased"].keys() == {"calls", "callbacks", "quarantine", "inbox"}
        assert (receipt["erased"]["callbacks"], receipt["erased"]["quarantine"]) == (7, 4)
        assert {"ledger.db", "inbox.db"} <= holders(gateway.data_dir, (OTHER,)).keys()
        after = gateway.call("one-1")
        changed = {name: (before[name], after[name]) for name in before if before[name] != after[name]}
        assert changed.keys() == {"mobile", "reference", "metadata"}
        assert after["mobile"] is None
        (shown,) = gateway.items("/v1/calls/one-1/callbacks")
        assert (shown["erased_at"] is not None, json.loads(shown["raw"])["voiceprompt_callback"]["mobile"]) == (
            True,
            "*" * 11,
        )
        assert [one["callid"] for one in gateway.items("/v1/calls", mobile=OTHER)] != []
        assert gateway.items("/v1/calls", mobile=NUMBER) == []
        (event,) = [one for one in gateway.items("/v1/audit-events") if one["action"] == "number_erased"]
        assert event["target"] == f"erasure {receipt['id']}"
        assert gateway.post(prompt("later", mobile=NUMBER)).content == OK  # it goes on to take what comes
        assert gateway.call("later")["mobile"] == NUMBER
        gateway.kill()
        assert gateway.start().call("one-1")["mobile"] is None  # the rows of the inbox are still whole
        assert "rows_unreadable" not in gateway.stderr
        assert gateway.items("/v1/calls", mobile=NUMBER) != []
        done = run("erase", "--number", NUMBER, "--yes", "--json", "--data-dir", gateway.data_dir, cwd=tmp_path)
        assert json.loads(done.stdout)["erased"]["calls"] == 1, done
        assert "receipt 2: the gateway continues" in done.stderr
        assert holders(gateway.data_dir) == {}


def test_a_kill_half_way_is_made_good_by_the_next_start(tmp_path: Path) -> None:
    """SIGKILL to the gateway and all its helpers at any point: it is finished, and counted once."""
    with Gateway(tmp_path / "data") as gateway:
        fill(gateway, NUMBER, "one")
        gateway.await_recorded()
        headers = {"Authorization": f"Bearer {gateway.key}"}
        asked = gateway.client.post("/v1/erasures", json={"number": NUMBER}, headers=headers).json()
        deadline_s = time.monotonic() + 30
        while not (erased := gateway.get(f"/v1/erasures/{asked['id']}").json()["erased"]):
            assert time.monotonic() < deadline_s
        gateway.kill()
        gateway.start()
        receipt = await_done(gateway, asked["id"])
        assert erased.items() <= receipt["erased"].items() or receipt["erased"]["inbox"] >= erased["inbox"]
        assert (receipt["erased"]["callbacks"], receipt["erased"]["quarantine"]) == (7, 4)
        assert holders(gateway.data_dir) == {}


def test_one_that_nobody_can_read_any_more_fails(tmp_path: Path) -> None:
    """The number was written down under another server secret: it is said, once, and forgotten; others go on."""
    with Gateway(tmp_path / "data") as gateway:
        fill(gateway, NUMBER, "one")
        gateway.await_recorded()
        gateway.kill()
        with closing(open_sqlite(gateway.data_dir)) as ledger:
            unreadable = RequestErasure(CLI_ACTOR, seal(b"the secret from before", NUMBER)).run(ledger).id
        gateway.start()
        headers = {"Authorization": f"Bearer {gateway.key}"}
        asked = gateway.client.post("/v1/erasures", json={"number": NUMBER}, headers=headers).json()
        await_done(gateway, asked["id"])
        receipt = gateway.get(f"/v1/erasures/{unreadable}").json()
        assert (receipt["state"], receipt["erased"], "ask again" in receipt["failure"]) == ("failed", {}, True)
        assert gateway.stderr.count("erasure_unreadable") == 1
        assert gateway.rows("SELECT count(*) FROM erasures WHERE sealed_number IS NOT NULL") == [(0,)]


@pytest.mark.soak
def test_one_that_fails_says_why_and_goes_on(tmp_path: Path) -> None:
    """In the receipt, the status and the metrics, and at the end of the command, which does not wait for ever; then it is done."""
    with Gateway(tmp_path / "data") as gateway:
        fill(gateway, NUMBER, "one")
        gateway.await_recorded()
        with closing(sqlite3.connect(gateway.ledger)) as meddler:
            meddler.execute("CREATE TRIGGER no BEFORE UPDATE ON calls BEGIN SELECT raise(ABORT, 'disk trouble'); END")
            meddler.commit()
            here = ("--data-dir", gateway.data_dir)
            failed = run("--lang", "zh", "erase", "--number", NUMBER, "--yes", *here, cwd=tmp_path)
            assert (failed.returncode, "抹除 1 尚未完成：" in failed.stderr) == (1, True), failed
            assert "disk trouble" in failed.stderr
            receipt = gateway.get("/v1/erasures/1").json()
            assert (receipt["state"], receipt["tries"], "disk trouble" in receipt["failure"]) == ("erasing", 1, True)
            assert gateway.get("/v1/status").json()["erasures"] == [receipt]
            shown = run("status", *here, cwd=tmp_path).stdout
            assert re.search(r"erasure 1: asked for at \S+ \S+, 1 tries: .*disk trouble", shown), shown
            age_s = re.search(r"^answerback_erasure_oldest_age_seconds (\S+)$", gateway.metrics(), re.MULTILINE)
            assert age_s is not None
            assert float(age_s[1]) > 0
            meddler.execute("DROP TRIGGER no")
            meddler.commit()
        gateway.kill()
        gateway.start()  # rather than wait for a minute
        done = await_done(gateway, 1)
        assert (done["tries"], done["failure"]) == (2, None)
        assert gateway.get("/v1/status").json()["erasures"] == []
        assert holders(gateway.data_dir) == {}


def test_what_a_relay_has_fetched_goes_out_without_it(tmp_path: Path) -> None:
    """Deliveries of a paused endpoint that wait in the gateway's memory are fetched again; the receipt names settings with the number."""
    settings = relaying(breaker_threshold="1", breaker_cooldowns_s="[6]")
    with Receiver(tmp_path) as receiver, Gateway(tmp_path / "data", settings=settings) as gateway:
        receiver.kill()
        with Client(gateway.url, gateway.key) as client:
            client.endpoints.create(f"{receiver.url}?to={NUMBER}", name="crm")
        for number in range(5):
            assert gateway.post(prompt(f"paused-{number}", mobile=NUMBER)).content == OK
        await_true(lambda: "endpoint_paused" in gateway.stderr)
        assert erase_by_api(gateway, NUMBER)["kept_in"] == ["endpoint crm"]
        receiver.start()
        assert [one.callid for one in receiver.await_taken(5) if NUMBER.encode() in one.body] == []


def test_without_a_gateway_the_command_does_it(tmp_path: Path) -> None:
    """What waits in the inbox is recorded by the next start without the number; free pages of an older file are cleaned, too."""
    with Gateway(tmp_path / "data") as gateway:
        fill(gateway, NUMBER, "one")
        gateway.await_recorded()
        with gateway.locked("ledger.db"):  # what comes now waits in the inbox
            assert gateway.post(prompt("waits", mobile=NUMBER)).content == OK
            gateway.kill()
        with closing(sqlite3.connect(gateway.ledger)) as careless:
            careless.execute("PRAGMA secure_delete=OFF")
            careless.execute("CREATE TABLE junk (words TEXT)")
            careless.executemany("INSERT INTO junk VALUES (?)", [(f"{NUMBER} " * 500,)] * 20)
            careless.execute("DROP TABLE junk")
            careless.commit()
        here = ("--number", NUMBER, "--data-dir", gateway.data_dir)
        planned = run("erase", "--dry-run", "--json", *here, cwd=tmp_path)
        assert json.loads(planned.stdout)["rows"]["callbacks"] == 7
        assert "ledger.db" in holders(gateway.data_dir)
        refused = run("--lang", "zh", "erase", *here, cwd=tmp_path)
        assert (refused.returncode, "--yes：没有可供确认的终端" in refused.stderr) == (1, True)
        asked = at_a_terminal("--lang", "zh", "erase", *here, cwd=tmp_path, typed=Typed("[y/N]", "n\n"))
        assert (asked[0], "已中止。" in asked[1]) == (1, True)
        done = run("erase", "--yes", *here, cwd=tmp_path)
        assert done.returncode == 0, done
        assert "receipt 1" in done.stdout
        assert holders(gateway.data_dir) == {}
        gateway.start()
        assert gateway.call("waits")["mobile"] == "*" * 11
        assert "rows_unreadable" not in gateway.stderr
        assert holders(gateway.data_dir) == {}


@pytest.mark.soak
def test_a_database_and_the_inbox_before_it(tmp_path: Path) -> None:
    """On PostgreSQL a process with the lease does it, once every process has said what it had not recorded yet."""
    url = shared_server().create_database()
    with Gateway(tmp_path / "data", settings={"ANSWERBACK_LEDGER__URL": url}) as gateway:
        fill(gateway, NUMBER, "one")
        fill(gateway, OTHER, "two")
        receipt = erase_by_api(gateway, NUMBER)
        assert (receipt["erased"]["callbacks"], receipt["erased"]["inbox"]) == (7, 11)
        assert holders(gateway.data_dir) == {}
        assert gateway.call("one-1")["mobile"] is None
        dump = shared_server().dump(url)
        assert [spelling for spelling in SPELLINGS if spelling.encode() in dump] == []
        assert [spelling for spelling in SPELLINGS if spelling.encode().hex().encode() in dump] == []
        assert OTHER.encode().hex().encode() in dump


@pytest.mark.soak
def test_callbacks_that_wait_in_a_stream(tmp_path: Path) -> None:
    """They are recorded first, also where the servers are away as it is asked for; what their files hold then is what the documents say."""
    with NatsCluster(tmp_path / "nats") as nats:
        settings = {"ANSWERBACK_STREAM__URL": nats.url}
        roles = ["--roles", "intake,relay,api,console"]
        with Gateway(tmp_path / "data", settings=settings, options=roles) as gateway:
            for number in range(20):
                assert gateway.post(prompt(f"waits-{number}", mobile=NUMBER)).content == OK
            nats.stop()
            gateway.kill()
            gateway.start()
            headers = {"Authorization": f"Bearer {gateway.key}"}
            asked = gateway.client.post("/v1/erasures", json={"number": NUMBER}, headers=headers).json()
            await_true(lambda: "erasure_waits" in gateway.stderr, timeout_s=90)
            receipt = gateway.get(f"/v1/erasures/{asked['id']}").json()
            assert (receipt["tries"], receipt["erased"]) == (0, {})
            assert receipt["failure"] == "callbacks that were answered before are not recorded yet"
            gateway.kill()
        nats.start()
        with Gateway(tmp_path / "data", settings=settings) as gateway:
            assert await_done(gateway, asked["id"])["erased"] == {"calls": 20, "callbacks": 20}
            assert holders(gateway.data_dir) == {}
            streams, groups = ([*(tmp_path / "nats").glob(f"*/jetstream/jetstream/{name}")] for name in ("$G", "$SYS"))
            assert (len(streams), len(groups)) == (3, 3)
            assert [holders(directory) for directory in streams] == [{}] * 3
            assert [holders(directory) for directory in groups] != [{}] * 3, "the documents tell to restart for nothing"
            for node in range(3):
                process = nats.nodes[node].process
                assert process is not None
                process.terminate()
                process.wait(30)
                nats.restart(node)
            assert holders(tmp_path / "nats") == {}


def test_who_may_erase(gateway: Gateway, callid: str) -> None:
    """An admin with the right to full numbers; what is no number is named as such."""
    headers = {"Authorization": f"Bearer {gateway.key}"}
    made = {"name": f"k{callid[:8]}", "role": "admin"}
    key = gateway.client.post("/v1/keys", json=made, headers=headers).json()["key"]
    body = {"number": "+8613700000001"}
    refused = gateway.client.post("/v1/erasures", json=body, headers={"Authorization": f"Bearer {key}"})
    assert (refused.status_code, "full numbers" in refused.json()["detail"]) == (403, True)
    wrong = gateway.client.post("/v1/erasures", json={"number": "95588"}, headers=headers)
    assert (wrong.status_code, wrong.json()["field"]) == (422, "number")
    assert gateway.get("/v1/erasures/777").status_code == 404
    assert run("erase", "--number", "95588", "--yes", cwd=gateway.data_dir.parent).stderr.startswith(
        "answerback: --number: expected"
    )
