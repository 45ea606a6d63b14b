"""Real processes: a web application under uvicorn that is loaded, killed, stopped, and is not alone on its store."""

import asyncio
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from crash.calls import Calls
from crash.load import Load
from gateway import OK, key_press, prompt, run
from receiver.application import Application, await_delivered, check_events
from receiver.conftest import place_for
from receiver.stores import LASTING, Place, rows

from answerback.emulator.conformance.rules import RULES

ROUNDS = int(os.environ.get("ROUNDS", "3"))

SHARED_IN_TEST = ("sqlite", "sqlalchemy, postgresql")
"""The stores that two processes share in every run; the others in `make soak`."""


async def _killed_under(load: Load | Calls, application: Application) -> None:
    sending = asyncio.create_task(load.run(application))  # type: ignore[arg-type]  # has an address, too
    await asyncio.sleep(0.2 + random.random() / 2)  # any moment: to await an event would choose it
    application.kill()
    await sending


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """For the SQLite store."""
    return Place(tmp_path)


@pytest.mark.parametrize("make_load", [pytest.param(Load, marks=pytest.mark.soak), Calls])
def test_kill_9_loses_nothing(place: Place, make_load: Callable[[], Load | Calls]) -> None:
    """At any moment: what was answered is kept once and as it was sent, and the handler gets all of it, in order."""
    load, killed = make_load(), set[int]()
    for _ in range(ROUNDS):
        with Application(place) as application:
            killed.add(application.pid)
            asyncio.run(_killed_under(load, application))
    with Application(place):
        await_delivered(place)
    stored = rows(place, "SELECT callid, raw, duplicates FROM answerback_callbacks")
    assert stored
    if isinstance(load, Load):
        assert load.refused == []
        found = {callid: (raw, duplicates + 1) for callid, raw, duplicates in stored}
        assert len(found) == len(stored)
        assert load.answered.keys() <= found.keys()
        assert all(found[callid][1] >= count for callid, count in load.answered.items())
        assert all(raw == load.sent[callid] for callid, (raw, _) in found.items())
    else:
        counts = {callid: sum(callid == one for one, _, _ in stored) for callid in load.answered}
        assert all(counts[callid] >= count for callid, count in load.answered.items())
    check_events(place, killed)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in SHARED_IN_TEST else pytest.mark.soak) for name in LASTING]
)
def test_two_processes_share_a_store(name: str, tmp_path: Path) -> None:
    """The callbacks of a call go now to one, now to the other: each is handled once, in order, by one of them at a time."""

    async def send_call(client: httpx.AsyncClient, callid: str) -> None:
        for number, body in enumerate([key_press(callid, "1"), key_press(callid, "2"), prompt(callid)]):
            response = await client.post(applications[(number + len(callid)) % 2].url, content=body)
            assert response.content == OK

    async def send_all() -> None:
        async with httpx.AsyncClient(trust_env=False, verify=False, timeout=60) as client:
            for _ in range(10):
                await asyncio.gather(
                    *[send_call(client, "x" * random.randint(1, 2) + str(random.random())) for _ in range(10)]
                )

    place = place_for(name, tmp_path)
    with Application(place, name) as one, Application(place, name) as other:
        applications = (one, other)
        asyncio.run(send_all())
        await_delivered(place)
        pids = {one.pid, other.pid}
    check_events(place, set())
    assert {
        int(line.split('"pid": ')[1].split(",")[0]) for line in (tmp_path / "events.jsonl").read_text().splitlines()
    } == pids


def test_sigterm_ends_it_in_good_order(place: Place) -> None:
    """At once, after the event that it is at; the file is whole then, and what waits is handled by the next."""
    with Application(place) as application:
        with httpx.Client(trust_env=False, verify=False) as client:
            for number in range(50):
                assert client.post(application.url, content=prompt(f"{number}")).content == OK
        assert application.terminate() in (0, -15)
    assert not (place.home / "voice.db-wal").exists()
    with Application(place):
        await_delivered(place)
    check_events(place, set())


def test_it_conforms(place: Place) -> None:
    """Every rule of `answerback conform`, without a warning, but that a busy machine may be slow."""
    with Application(place) as application:
        done = run("conform", application.url, "--json", cwd=place.home)
    report = json.loads(done.stdout)
    found = {rule["rule"]: rule["seen"] for rule in report["items"] if rule["level"] != "ok"}
    assert {rule: seen for rule, seen in found.items() if "answered after " not in seen} == {}
    assert (done.returncode, report["rules"]) == (0, len(RULES))


PRELOADED = """
import os, sys, time
sys.path[:0] = sys.argv[2:]
from pathlib import Path
from gateway import prompt
from answerback.receiver import Receiver, SQLiteStore

home = Path(sys.argv[1])
handled = home / "handled"
voice = Receiver(channels={"default": None}, store=SQLiteStore(home / "voice.db", allow_unsafe_filesystem=True))

@voice.on("*")
def note(event):
    with handled.open("a") as file:
        file.write(f"{event.call.callid}\\n")

def use(callid):
    assert voice.receive(prompt(callid)).status == 200
    deadline_s = time.monotonic() + 30
    while not handled.exists() or callid not in handled.read_text().splitlines():  # by whichever process
        assert time.monotonic() < deadline_s
        time.sleep(0.01)

if sys.argv[1].endswith("used"):
    use("parent")
children = []
for number in range(3):
    pid = os.fork()
    if pid == 0:
        use(f"child {number}")
        os._exit(0 if voice.close() else 1)
    children.append(pid)
assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0]
use("parent again")
assert voice.close()
assert voice.backlog().events == 0
"""


@pytest.mark.parametrize("state", ["used", "unused"])
def test_a_preloaded_application_may_fork(tmp_path: Path, state: str) -> None:
    """As gunicorn's --preload does: threads and connections are each process's own, even where the first had some."""
    (tmp_path / state).mkdir()
    program = [sys.executable, "-W", "ignore", "-c", PRELOADED, str(tmp_path / state), str(Path(__file__).parents[1])]
    done = subprocess.run(program, check=False, capture_output=True, text=True, timeout=90)
    assert (done.returncode, done.stderr) == (0, "")
