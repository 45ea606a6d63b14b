"""A ledger that cannot be written: callbacks are answered, and everything that people look at says that it is behind."""

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Timer
from typing import Any, TypeVar

import httpx
import pytest
from console_client import ConsoleClient, signed_in
from gateway import OK, Gateway, prompt, run
from ports import port_of, reserve_port

T = TypeVar("T")
BEHIND_S = 3.0
WAITING = (
    r"not in the ledger yet: 3 callbacks wait in the inbox, the oldest for \d+ s: "
    r"the database is locked, since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \(UTC\)"
)
SETTINGS = {"ANSWERBACK_LEDGER__LOCK_TIMEOUT_S": "0.2"}


def awaited(look: Callable[[], T | None]) -> T:
    """What `look` returns, as soon as that is something."""
    deadline_s = time.monotonic() + 20.0
    while not (found := look()):
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    return found


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the gateway's data directory is."""
    return tmp_path_factory.mktemp("behind")


@pytest.fixture(scope="module")
def gateway_and_console(home: Path) -> Iterator[tuple[Gateway, ConsoleClient]]:
    """A gateway whose ledger holds all that it has answered, and somebody at its console."""
    with Gateway(home / "data", settings=SETTINGS) as gateway, signed_in(gateway) as console:
        assert gateway.post(prompt("before")).content == OK
        gateway.await_recorded()
        yield gateway, console


@pytest.fixture(scope="module")
def behind(gateway_and_console: tuple[Gateway, ConsoleClient]) -> Iterator[Gateway]:
    """It has answered three more callbacks, the first more than three seconds ago, and could not record them."""
    gateway, _ = gateway_and_console
    with gateway.locked("ledger.db"):
        for number in range(3):
            assert gateway.post(prompt(f"during-{number}")).content == OK
        awaited(lambda: float(gateway.get("/v1/calls").headers.get("answerback-recorder-lag", "0")) > BEHIND_S)
        awaited(lambda: re.search(f"^{WAITING}$", command(gateway, "status")[0], re.MULTILINE))  # the inbox has why
        yield gateway
    gateway.await_recorded()


def test_nothing_is_said_where_nothing_waits(tmp_path: Path) -> None:
    """Neither by a command nor by a page nor by the status."""
    with Gateway(tmp_path / "data", settings=SETTINGS) as gateway, signed_in(gateway) as console:
        assert gateway.post(prompt("recorded")).content == OK
        gateway.await_recorded()
        assert command(gateway, "calls", "list")[1] == ""
        assert "inbox: everything that was answered is recorded" in command(gateway, "status")[0]
        nothing = {"callbacks": 0, "size_bytes": 0, "lag_s": 0.0, "failure": None, "failing_since": None}
        assert gateway.get("/v1/status").json()["inbox"] == nothing
        assert "behind" not in console.text("calls")
        assert "Recorded up to now" in console.text("")


def test_a_command_waits_for_what_was_answered_before(tmp_path: Path) -> None:
    """As a read of the API does: who sends a callback and asks for its call has it, and nothing is said."""
    settings = SETTINGS | {"ANSWERBACK_API__READ_WAIT_MS": "20000"}
    with Gateway(tmp_path / "data") as gateway:
        (writer,) = gateway.helpers
        os.kill(writer, signal.SIGSTOP)
        Timer(0.5, os.kill, (writer, signal.SIGCONT)).start()
        assert gateway.post(prompt("a")).content == OK
        done = run("calls", "show", "a", "--json", "--data-dir", "data", cwd=tmp_path, settings=settings)
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout)["callid"] == "a"


def test_who_asks_before_the_ledger_is_open_hears_it_as_well(tmp_path: Path) -> None:
    """A read that comes amid the start says that what was answered before it is not recorded yet."""
    with reserve_port() as port:
        options = ["--port", str(port_of(port))]
        with Gateway(tmp_path / "data", settings=SETTINGS, options=options) as gateway, gateway.locked("ledger.db"):
            assert gateway.post(prompt("left")).content == OK
            gateway.kill()
            gateway.spawn()
            headers = {"Authorization": f"Bearer {gateway.key}"}
            with httpx.Client(
                base_url=gateway.url, headers=headers, timeout=30.0, trust_env=False, verify=False
            ) as client:
                answer = awaited(lambda: asked(client, "/v1/calls/left"))
            assert answer.status_code == 404
            assert float(answer.headers["answerback-recorder-lag"]) > 0


def asked(client: httpx.Client, path: str) -> httpx.Response | None:
    """The answer to a question; None where nobody listens yet."""
    with suppress(httpx.ConnectError):
        return client.get(path)
    return None


def command(gateway: Gateway, *arguments: str) -> tuple[str, str]:
    """What a command on that directory prints, and what it says on standard error."""
    done = run(*arguments, "--data-dir", gateway.data_dir, cwd=gateway.data_dir.parent, settings=SETTINGS)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_the_status_says_how_much_waits_and_why(behind: Gateway) -> None:
    """Of the process that is asked as of now, and of every other by its last heartbeat."""
    status = behind.get("/v1/status").json()
    assert (status["inbox"]["callbacks"], status["inbox"]["failure"]) == (3, "the database is locked")
    assert status["inbox"]["lag_s"] >= BEHIND_S
    assert status["inbox"]["size_bytes"] > 0
    (asked,) = status["instances"]
    started, since = (datetime.fromisoformat(at) for at in (asked["started_at"], status["inbox"]["failing_since"]))
    assert started < since < datetime.now(UTC)
    assert (asked["waiting"], asked["recorder_failure"], asked["silent"]) == (3, "the database is locked", False)
    assert asked["recorder_lag_s"] >= BEHIND_S


def test_the_commands_say_what_they_do_not_know(behind: Gateway) -> None:
    """Once, on standard error; what they print stays what programs read. Those that are not about calls say nothing."""
    for arguments in (("calls", "list"), ("deliveries", "list"), ("quarantine", "list"), ("stats",)):
        printed, said = command(behind, *arguments, "--json")
        json.loads(printed)
        assert re.fullmatch(f"{WAITING}\n", said), arguments
    assert command(behind, "keys", "list", "--json")[1] == ""


def test_the_command_status_reads_the_inbox_itself(behind: Gateway) -> None:
    """For people a line, for programs the fields of /v1/status."""
    assert re.search(f"^{WAITING}$", command(behind, "status")[0], re.MULTILINE)
    inbox, asked = json.loads(command(behind, "status", "--json")[0])["inbox"], behind.get("/v1/status").json()["inbox"]
    assert (inbox["callbacks"], inbox["failure"]) == (3, "the database is locked")
    assert inbox["failing_since"] == asked["failing_since"], "the gateway says the same"


@pytest.mark.usefixtures("behind")
def test_the_console_says_it_on_every_page(gateway_and_console: tuple[Gateway, ConsoleClient]) -> None:
    """In both languages, and among the checks of the overview."""
    _, console = gateway_and_console
    for path in ("calls", "failures"):
        assert re.search(r"The ledger is \d+ s behind.*the database is locked · Since", console.text(path)), path
    assert re.search(r"Recording has stalled · \w+", console.text(""))
    assert re.search(r"账本落后 \d+ 秒", console.text("", lang="zh"))
    assert "账本无法写入" in console.text("", lang="zh")


def test_metrics_show_the_lag(behind: Gateway) -> None:
    """Prometheus sees what is not recorded, and that the recorder is stalled."""
    text = behind.client.get("/metrics").text
    assert "answerback_inbox_callbacks 3.0\n" in text
    assert "answerback_recorder_up 0.0\n" in text
    lag = re.search(r"^answerback_recorder_lag_seconds (.+)$", text, re.MULTILINE)
    assert lag is not None
    assert float(lag[1]) > BEHIND_S


@pytest.mark.soak
def test_a_writer_that_hangs_is_noticed(tmp_path: Path) -> None:
    """By the metrics and the status, though nothing waits: the heartbeat is not answered. Callbacks are, and readers are told."""
    with Gateway(tmp_path / "data") as gateway:
        (writer,) = gateway.helpers

        def metric(name: str) -> float:
            return float(gateway.client.get("/metrics").text.partition(f"\n{name} ")[2].partition("\n")[0])

        os.kill(writer, signal.SIGSTOP)
        try:
            awaited(lambda: metric("answerback_recorder_up") == 0.0)
            assert gateway.get("/v1/status").json()["inbox"]["failure"] == "the ledger's writer does not answer"
            assert gateway.post(prompt("meanwhile")).content == OK
            assert float(gateway.get("/v1/calls").headers["answerback-recorder-lag"]) > 0
        finally:
            os.kill(writer, signal.SIGCONT)
        awaited(lambda: metric("answerback_recorder_up") == 1.0)


# The doctor.


def found_by_doctor(home: Path, **settings: str) -> dict[str, dict[str, Any]]:
    """The doctor's findings about `data`, by check."""
    done = run("doctor", "--json", "--data-dir", "data", cwd=home, settings=settings)
    return {one["check"]: one for one in json.loads(done.stdout)["items"]}


def test_the_doctor_says_how_much_waits(behind: Gateway) -> None:
    """Against what the inbox may hold, and why; though it reads the inbox alone."""
    found = found_by_doctor(behind.data_dir.parent)
    assert re.match(r"3 callbacks are not in the ledger yet, \d", found["inbox"]["finding"])
    assert "; the recorder cannot write: the database is locked, since 2" in found["inbox"]["finding"]
    assert found["inbox"]["level"] == "warning"
    assert {found[check]["level"] for check in ("inbox space", "inbox location")} == {"ok"}
