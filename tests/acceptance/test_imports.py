"""A process imports what it runs, and the rest once it is asked for: that is what a start and an idle gateway cost.

Real processes are asked for their `sys.modules`, by a signal while they run.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import pytest
from builders import key_press, received
from gateway import OK, Gateway, prompt

from answerback.cli.commands import COMMANDS
from answerback.ledger import open_sqlite

REPORTING = """
import os, signal, sys
from pathlib import Path

def tell(*_):
    place = Path(__file__).with_name(str(os.getpid()))
    place.with_suffix(".new").write_text("\\n".join(sys.modules))
    place.with_suffix(".new").rename(place)

signal.signal(signal.SIGUSR2, tell)
"""

POSTGRESQL = "sqlalchemy.dialects.postgresql"
EXTRAS = {
    "alembic",
    "apprise",
    "nats",
    "opentelemetry.sdk",
    "plotext",
    "psycopg",
    "pyarrow",
    "sqlalchemy.dialects.postgresql",
}
API = {"answerback.api.app", "fastapi"}
CONSOLE = {"answerback.console.app", "jinja2"}
METRICS = {"prometheus_client"}
RELAY = {"aiohttp"}
SERVER = {"uvicorn", "httptools", "uvloop"}
LEDGER = {"sqlalchemy"}
SETTINGS = {"pydantic_settings"}  # Typer itself has pydantic
NO_HELPERS = API | CONSOLE | METRICS | RELAY | SERVER | SETTINGS | EXTRAS | {"rich", "structlog", "typer"}
"""What neither the writer nor an export needs."""


@pytest.fixture
def reporting(tmp_path: Path) -> Path:
    """A directory of PYTHONPATH whose programs write down what they have imported, each under its process id."""
    (tmp_path / "python").mkdir()
    (tmp_path / "python" / "sitecustomize.py").write_text(REPORTING)
    return tmp_path / "python"


def modules(reporting: Path, pid: int) -> set[str]:
    """What the process has imported by now."""
    place = reporting / str(pid)
    os.kill(pid, signal.SIGUSR2)
    deadline_s = time.monotonic() + 30
    while not place.exists():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    found = set(place.read_text().split("\n"))
    place.unlink()
    return found


def test_the_gateway_imports_each_part_when_it_is_first_asked_for(tmp_path: Path, reporting: Path) -> None:
    """Callbacks and probes need neither API nor console, nor the relay's HTTP client; SQLite no other database."""
    settings = {"PYTHONPATH": str(reporting), "ANSWERBACK_RELAY__ALLOWED_NETWORKS": '["198.51.100.0/24"]'}
    with Gateway(tmp_path / "data", settings=settings) as gateway:
        pid, (writer,) = gateway.process.pid, gateway.helpers

        def imported_by_now(needed: set[str]) -> set[str]:
            deadline_s = time.monotonic() + 30
            while not needed <= (found := modules(reporting, pid)):  # it may be under way in a thread
                assert time.monotonic() < deadline_s, needed - found
            return found

        def scrape() -> None:
            assert "answerback_up_for_writes 1.0" in gateway.client.get("/metrics").text

        def sign_in() -> None:
            assert "<form" in gateway.client.get("/console/sign-in").text

        def read_calls() -> None:
            assert gateway.call("told")["outcome"] == "answered"

        def add_endpoint() -> None:
            headers = {"Authorization": f"Bearer {gateway.key}"}
            reported = gateway.client.post(
                "/v1/endpoints", json={"name": "crm", "url": "https://198.51.100.7/"}, headers=headers
            )
            assert reported.status_code == 201, reported.text

        assert gateway.post(prompt("told")).content == OK
        gateway.await_ready()
        missing = API | CONSOLE | METRICS | RELAY | EXTRAS
        assert modules(reporting, pid) & missing == set()
        steps: list[tuple[Callable[[], None], set[str]]] = [
            (scrape, METRICS),
            (sign_in, CONSOLE),
            (read_calls, API),
            (add_endpoint, RELAY),
        ]
        for step, needed in steps:
            step()
            missing -= needed
            found = imported_by_now(needed)
            assert (step.__name__, found & missing) == (step.__name__, set())
        found = modules(reporting, writer)
        assert found >= LEDGER
        assert found & NO_HELPERS == set()


def test_an_export_imports_what_it_writes_with() -> None:
    """Its process has neither the server's parts nor its log in it."""
    program = "import sys, answerback.exports.worker; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    found = set(done.stdout.split())
    assert found >= LEDGER
    assert found & NO_HELPERS == set()


class Case(NamedTuple):
    """A command, its arguments, and what it must not import."""

    arguments: str
    never: set[str]


_WEB = API | CONSOLE | METRICS | {"starlette"}
_READS = _WEB | RELAY | SERVER | EXTRAS
_CASES = {
    "--help": Case("--help", _READS | LEDGER | SETTINGS | {"structlog", "asyncio"}),
    "demo": Case("demo --help", _READS | LEDGER | SETTINGS | {"structlog"}),
    "serve": Case("serve --help", _READS | LEDGER | SETTINGS | {"structlog"}),
    "console": Case("console", _READS),
    "emulate": Case("emulate --help", _READS | LEDGER | SETTINGS),
    "snippet": Case("snippet python", _READS | LEDGER | SETTINGS),
    "send": Case("send http://127.0.0.1:1 --count 1", _WEB | LEDGER | SETTINGS | EXTRAS | {"uvicorn"}),
    "load": Case("load http://127.0.0.1:1 --rate 1 --duration 1", _WEB | LEDGER | SETTINGS | EXTRAS | {"uvicorn"}),
    "conform": Case("conform --help", _READS | LEDGER | SETTINGS),
    "tail": Case("tail --help", _READS),
    "listen": Case("listen --help", _READS),
    "stats": Case("stats --json", _READS),
    "status": Case("status", _READS),
    "export": Case("export calls", _READS),
    "import": Case("import nothing.ndjson --channel default", _READS),
    "copy": Case("copy --help", _READS - {POSTGRESQL}),
    "migrate": Case("migrate", _READS),
    "doctor": Case("doctor", _READS),
    "prune": Case("prune --dry-run", _READS),
    "erase": Case("erase --dry-run --number 13712345678", _READS),
    "channels": Case("channels list", _READS),
    "config": Case("config show", _READS | LEDGER),
    "calls": Case("calls list", _READS),
    "callbacks": Case("callbacks show told", _READS),
    "endpoints": Case("endpoints list", _READS),
    "deliveries": Case("deliveries list", _READS),
    "quarantine": Case("quarantine list", _READS),
    "alerts": Case("alerts list", _READS - {"starlette"}),
    "keys": Case("keys list", _READS),
    "inbox": Case("inbox record nothing.db", _READS),
    "backup": Case("backup --help", _READS),
    "restore": Case("restore nothing", _READS),
}

PROGRAM = """
import json, os, sys
from answerback.cli.main import app

for name, arguments, is_warm in json.load(sys.stdin):
    if is_warm:  # what it may import costs time that shows nothing
        import answerback.config, answerback.ledger.factory
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(os.open("output", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
        os.dup2(1, 2)
        status = 0
        try:
            app(arguments)
        except SystemExit as end:
            status = end.code or 0
        with os.fdopen(writes, "w") as told:
            json.dump([status, list(sys.modules)], told)
        sys.stdout.flush()
        os._exit(0)
    os.close(writes)
    with os.fdopen(reads) as told:
        print(json.dumps([name, *json.load(told)]))
    os.waitpid(child, 0)
"""


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, set[str]]]:
    """Command -> its exit status, and what it has imported. All are forked from one Python."""
    home = tmp_path_factory.mktemp("imports")
    with closing(open_sqlite(home / "answerback-data", allow_unsafe_filesystem=True)) as ledger:
        ledger.record([received(key_press(callid="told"))])
    cases = [(name, case.arguments.split(), not case.never & (LEDGER | SETTINGS)) for name, case in _CASES.items()]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(sorted(cases, key=itemgetter(2))),
        cwd=home,
        env=os.environ | {"ANSWERBACK_LEDGER__ALLOW_UNSAFE_FILESYSTEM": "true"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    reported = [json.loads(line) for line in done.stdout.splitlines()]
    return {name: (status, set(found)) for name, status, found in reported}


def test_every_command_is_in_the_table() -> None:
    """None is forgotten."""
    assert set(_CASES) == {"--help", *COMMANDS}


@pytest.mark.parametrize("name", _CASES)
def test_a_command_imports_what_it_runs(imported: dict[str, tuple[int, set[str]]], name: str) -> None:
    """Each command has no part of the others in it."""
    status, found = imported[name]
    assert status in (0, 1)
    assert found & _CASES[name].never == set()
