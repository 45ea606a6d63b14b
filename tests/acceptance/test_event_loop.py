"""No request holds the event loop: it takes callbacks, and whatever holds it holds them.

A watchdog in the gateway logs `event_loop_blocked` for any callback of the loop that takes more than 50 ms of CPU or sleeps in it.
"""

import fcntl
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from builders import key_press, received, status, wire
from console_client import signed_in
from contract.databases import ledger_database
from ending import ending
from gateway import COMMAND, OK, Gateway, environment, prompt, run
from receivers.process import await_true

from answerback.ledger import open_sqlite

WATCHED = {"ANSWERBACK_WATCHDOG": "1"}
_CONFIG = """
[endpoints.nowhere]
url = "http://127.0.0.1:9/"
"""
_WAITING = b"""
SELECT count(DISTINCT pid) FROM pg_locks JOIN pg_database ON pg_database.oid = database
WHERE NOT granted AND datname = current_database()
"""
PAGES = [
    "",
    "calls",
    "calls?page_size=500",
    "calls/large",
    "live",
    "failures",
    "fees",
    "endpoints",
    "endpoint/new",
    "endpoints/nowhere",
    "deliveries",
    "quarantine",
    "settings",
    "no-such-page",
]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with a watchdog, many calls, and one that has a hundred callbacks of the largest size."""
    home = tmp_path_factory.mktemp("loop")
    with closing(open_sqlite(home / "data", allow_unsafe_filesystem=True)) as ledger:
        ledger.record([received(status(callid=f"call-{n}"), after_s=n) for n in range(1000)])
        ledger.record([received(key_press(callid="large", key=str(n)), raw=_large(n)) for n in range(100)])
    config = home / "answerback.toml"
    config.write_text(_CONFIG)
    with Gateway(home / "data", settings=WATCHED, options=["--config", config]) as running:
        yield running


def _large(n: int) -> bytes:
    """A callback of the largest size, of many fields."""
    fields = json.loads(wire(key_press(callid="large", key=str(n))))
    fields["voicekey_callback"] |= {f"field-{i}": f"1380000{i:04}" for i in range(2_000)}
    return json.dumps(fields).encode()[:65_000]


def held(gateway: Gateway) -> list[str]:
    """What held the loop."""
    return [line for line in gateway.stderr.split("\n\n") if "event_loop_blocked" in line]


@pytest.fixture(autouse=True)
def nothing_holds_the_loop(gateway: Gateway) -> Iterator[None]:
    """In every test of this module."""
    before = len(held(gateway))
    yield
    assert held(gateway)[before:] == []


def paths(gateway: Gateway) -> Iterator[str]:
    """Every address of /openapi.json that can be read, with something in it that is there."""
    document = gateway.get("/openapi.json").json()
    values = {"callid": "large", "endpoint": "nowhere", "id": "1", "dataset": "calls", "format": "ndjson"}
    for path, methods in document["paths"].items():
        if "get" in methods and path != "/v1/events":  # that has no end
            yield path.format(**values)


def test_reading_anything(gateway: Gateway) -> None:
    """Every GET of /v1, health, metrics and the document, with the largest page there is."""
    seen = 0
    for path in paths(gateway):
        for query in ({}, {"page_size": 500}):
            answer = gateway.get(path, **query)
            assert answer.status_code in (200, 404, 422), (path, answer.text)
            seen += 1
    assert seen > 40


@pytest.mark.parametrize("page", PAGES)
def test_looking_at_a_page(gateway: Gateway, page: str) -> None:
    """Pages are rendered beside the loop, also one with a hundred large bodies, and in full."""
    with signed_in(gateway) as person:
        assert person.client.get(f"/console/{page}".rstrip("/")).status_code in (200, 404)
        if page == "calls/large":
            assert person.post("calls/large").status_code == 200


def test_handing_in_as_much_as_may_be(gateway: Gateway) -> None:
    """32 MiB at once: many lines, one large text, one pretty large text, and what is none."""
    line = _large(1)
    many = b"\n".join([line] * (32 * 1024 * 1024 // (len(line) + 1)))
    one = b'{"a": "' + b"x" * (32 * 1024 * 1024 - 100) + b'"}'
    pretty = b"{\n" + b'"a": 1,\n' * 9_000 + b'"b": "' + b"x" * (30 * 1024 * 1024) + b'"\n}'
    short = b"\n".join([wire(status(callid=f"bulk-{n}")) for n in range(10_000)])
    for body, form in [
        (many, "application/x-ndjson"),
        (short, "application/x-ndjson"),
        (one, ""),
        (pretty, ""),
        (many, ""),
    ]:
        headers = {"Authorization": f"Bearer {gateway.key}", "Content-Type": form}
        answer = gateway.client.post("/v1/callbacks", content=body, headers=headers, timeout=120)
        assert answer.status_code in (200, 400, 413), answer.text


def test_taking_many_large_callbacks_at_once(gateway: Gateway) -> None:
    """As fast as they come by several connections."""

    def post() -> None:
        with httpx.Client(base_url=gateway.url, timeout=30, trust_env=False, verify=False) as client:
            for _ in range(10):
                assert client.post("/voice/callback", content=line).content == OK

    line = _large(1)
    threads = [threading.Thread(target=post) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_a_body_that_is_hard_to_read(gateway: Gateway) -> None:
    """The largest that a change may be, deep and wide."""
    for body in (b"[" * 250_000, b'{"metadata": {' + b",".join(b'"%d": {}' % n for n in range(20_000)) + b"}}"):
        headers = {"Authorization": f"Bearer {gateway.key}", "Content-Type": "application/json"}
        assert gateway.client.put("/v1/calls/large", content=body, headers=headers).status_code in (413, 422)


def test_changing_and_replaying(gateway: Gateway) -> None:
    """What is written goes to the writer, and what is read back is read beside the loop."""
    ask: Any = gateway.client.request
    headers = {"Authorization": f"Bearer {gateway.key}"}
    gateway.post(prompt("told"))
    (delivery, *_) = gateway.get("/v1/deliveries", page_size=1).json()["items"]
    for method, path, body in [
        ("POST", f"/v1/deliveries/{delivery['id']}/replay", None),
        ("POST", "/v1/replays", {"endpoint": "nowhere", "kind": "prompt"}),
        ("POST", "/v1/endpoints/nowhere/test", None),
        ("POST", "/v1/endpoints/nowhere/disable", None),
        ("POST", "/v1/endpoints/nowhere/enable", None),
        ("PUT", "/v1/calls/told", {"reference": "order-1"}),
        ("POST", "/v1/keys", {"name": "made", "role": "viewer"}),
        ("DELETE", "/v1/keys/made", None),
    ]:
        assert ask(method, path, json=body, headers=headers).status_code < 300, path


def test_a_ledger_that_is_slow_to_read(tmp_path: Path) -> None:
    """While somebody else has the tables for themselves, who reads waits, and the loop goes on."""
    url = ledger_database(tmp_path)
    with Gateway(tmp_path / "data", settings=WATCHED | {"ANSWERBACK_LEDGER__URL": url}) as gateway:
        assert gateway.post(prompt("slow")).content == OK
        await_true(lambda: gateway.get("/v1/calls/slow").status_code == 200)
        with signed_in(gateway) as person, psycopg.connect(url) as other:
            answers: list[int] = []

            def read(path: str) -> None:
                headers = {"Authorization": f"Bearer {gateway.key}"}
                answers.append(person.client.get(path, headers=headers).status_code)

            readers = [
                threading.Thread(target=read, args=(path,))
                for path in ("/v1/deliveries", "/v1/endpoints", "/v1/calls/slow", "/console", "/console/calls/slow")
            ]
            other.execute("LOCK TABLE calls, deliveries, endpoints, rollups IN ACCESS EXCLUSIVE MODE")
            for reader in readers:
                reader.start()
            await_true(lambda: waiting(other) >= len(readers))  # what counts the ledger now and then may wait, too
            for path in ("/healthz", "/metrics") * 5:
                assert gateway.client.get(path).status_code == 200
            assert answers == []
            other.rollback()
            for reader in readers:
                reader.join()
            assert answers == [200] * len(readers)
        assert held(gateway) == []


def waiting(connection: psycopg.Connection) -> int:
    """How many processes of the database wait for a lock."""
    found = connection.execute(_WAITING).fetchone()
    assert found is not None
    return int(found[0])


def test_the_watchdog_sees_what_holds_the_loop(tmp_path: Path) -> None:
    """The proof of the proof: code that sleeps, or works, in the loop is reported with its stack; what only waits is not."""
    program = tmp_path / "held.py"
    program.write_text(
        "import asyncio, threading, time\n"
        "from answerback.service.loop_watch import Watchdog\n"
        "def sleeps(): time.sleep(0.6)\n"
        "def works():\n"
        "    until = time.thread_time() + 0.2\n"
        "    while time.thread_time() < until: sum(range(1000))\n"
        "async def main():\n"
        "    Watchdog.start_if_enabled()\n"
        "    for _ in range(100): await asyncio.sleep(0.005)\n"
        "    for held in (sleeps, works):\n"
        "        held()\n"
        "        await asyncio.sleep(0.1)\n"
        "asyncio.run(main())\n"
    )
    ended = subprocess.run(
        [sys.executable, program],
        env=dict(os.environ) | WATCHED,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    reported = (ended.stdout + ended.stderr).split("event_loop_blocked")[1:]
    assert ["sleeps" in one for one in reported] == [True, False]
    assert ["works" in one for one in reported] == [False, True]


@pytest.mark.parametrize(
    ("config", "reported"),
    [
        ('[certificates.crm]\nca_file = "ca.pem"', "certificates.crm.ca_file: ca.pem: is not a regular file"),
        (
            '[endpoints.crm]\nurl = "https://a/"\nsecret = "whsec_x"',
            "endpoints.crm.secret: expected whsec_ and the base64",
        ),
    ],
)
def test_a_config_file_that_is_invalid_stops_the_start_before_anything_is_opened(
    tmp_path: Path, config: str, reported: str
) -> None:
    """A named pipe for a certificate, a secret that is too short: the setting at fault is named, and nothing is left anywhere."""
    os.mkfifo(tmp_path / "ca.pem")
    (tmp_path / "answerback.toml").write_text(config)
    ended = run("serve", "--port", "0", "--data-dir", tmp_path / "data", cwd=tmp_path)
    assert ended.returncode == 1
    assert reported in ended.stderr
    assert not (tmp_path / "data").exists()


def test_nobody_reads_the_log(tmp_path: Path) -> None:
    """Standard error is a pipe that is full: callbacks are answered all the same, and what finds no room is dropped."""
    command = ending(COMMAND, "serve", "--json", "--port", "0", "--data-dir", tmp_path / "data")
    settings = environment({"ANSWERBACK_LOG__LEVEL": "debug"})
    with subprocess.Popen(
        command, env=settings, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        fcntl.fcntl(process.stderr, fcntl.F_SETPIPE_SZ, 4_096)
        url = json.loads(b"".join(iter(process.stdout.readline, b"}\n")) + b"}")["url"]
        with httpx.Client(base_url=url, timeout=10, trust_env=False, verify=False) as client:
            key = (tmp_path / "data" / "admin-key").read_text().strip()
            for n in range(50):  # each is a line of the log
                headers = {"Authorization": f"Bearer {key}"}
                assert client.get(f"/v1/calls/{'x' * 200}-{n}/callbacks", headers=headers).status_code == 404
            assert client.post("/voice/callback", content=prompt("logged")).content == OK
        process.kill()
