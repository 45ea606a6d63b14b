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
from gateway import OK, Gateway, environment, prompt

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
TERMINAL = {"pygments", "rich"}
SERVER = {"uvicorn", "httptools", "uvloop"}
LEDGER = {"sqlalchemy"}
SETTINGS = {"pydantic_settings"}  # Typer itself has pydantic
NO_HELPERS = API | CONSOLE | METRICS | RELAY | SERVER | SETTINGS | EXTRAS | TERMINAL | {"structlog", "typer"}
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
        missing = API | CONSOLE | METRICS | RELAY | EXTRAS | TERMINAL
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
    """A command's arguments, some of what it then says, and what it must not import."""

    arguments: str
    says: str
    never: set[str]


_WEB = API | CONSOLE | METRICS | {"starlette"}
_READS = _WEB | RELAY | SERVER | EXTRAS
_SENDS = _WEB | LEDGER | SETTINGS | EXTRAS | {"uvicorn"}
HTTP = {"answerback.client", "httpx2"}
_REMOTE = _READS | LEDGER | SETTINGS | {"answerback.config", "structlog"}
"""What a command for a remote gateway does not need."""
NO_HELP = {"answerback.config", "answerback.cli.texts_zh", "asyncio", "pydantic", "structlog"}
"""What is not needed to say, in English, which commands there are."""
_NOWHERE = "http://127.0.0.1:1"
_THERE = f"--url {_NOWHERE} --key-file some.key"
_CASES = {
    "--help": Case("--help", "Usage: answerback", _READS | LEDGER | SETTINGS | NO_HELP),
    "demo": Case("demo --help", "--no-open", _READS | LEDGER | SETTINGS | {"structlog"}),
    "serve": Case("serve --help", "--port", _READS | LEDGER | SETTINGS | {"structlog"}),
    "console": Case("console", "no gateway is running here", _READS),
    "emulate": Case("emulate --help", "--https", _READS | LEDGER | SETTINGS),
    "snippet": Case("snippet go", "\tclient, err := vms.NewClient", _READS | LEDGER | SETTINGS),
    "send": Case(f"send {_NOWHERE} --count 1", "Connection refused", _SENDS),
    "load": Case(f"load {_NOWHERE} --rate 1 --duration 1", "Connection refused", _SENDS),
    "conform": Case(
        f"conform {_NOWHERE} --only status-answered",
        "there is no receiver to check",
        (_READS - {"httptools"}) | LEDGER | SETTINGS,
    ),
    "tail": Case("tail --help", "--json", _READS),
    "listen": Case("listen --help", "--forward-to", _READS),
    "stats": Case("stats", "answer rate", _READS | HTTP),
    "status": Case("status", "no process", _READS | HTTP),
    "export": Case("export calls", "told", _READS | HTTP),
    "import": Case("import nothing.ndjson --channel default", "nothing.ndjson", _READS),
    "copy": Case("copy --from sqlite:answerback-data --to sqlite:copied", "equal", _READS - {POSTGRESQL}),
    "migrate": Case("migrate", "the ledger in answerback-data has schema", _READS),
    "doctor": Case("doctor", "durable storage", _READS),
    "prune": Case("prune --dry-run", "retention.calls_days", _READS),
    "erase": Case("erase --dry-run --number 13712345678", "the number is not stored", _READS | HTTP),
    "login": Case(f"login {_NOWHERE} --key-file some.key", "Connection refused", _REMOTE),
    "calls, remote": Case(f"calls list {_THERE}", "Connection refused", _REMOTE),
    "export, remote": Case(f"export calls {_THERE}", "Connection refused", _REMOTE),
    "stats, remote": Case(f"stats {_THERE}", "Connection refused", _REMOTE),
    "logout": Case("logout --profile nobody", "there is no profile nobody", _REMOTE | HTTP),
    "profiles": Case("profiles", "no profiles", _REMOTE | HTTP),
    "channels": Case("channels list", "/voice/callback", _READS),
    "config": Case("config show", "ANSWERBACK_LOG__LEVEL", _READS | LEDGER),
    "calls": Case("calls show told", "told", _READS | HTTP),
    "callbacks": Case("callbacks show told", "voicekey_callback", _READS | HTTP),
    "endpoints": Case("endpoints list --json", '"items"', _READS | HTTP),
    "deliveries": Case("deliveries list --json", '"items"', _READS | HTTP),
    "quarantine": Case("quarantine list --json", '"items"', _READS | HTTP),
    "alerts": Case("alerts list --json", '"items"', (_READS | HTTP) - {"starlette"}),
    "keys": Case("keys list --json", '"items"', _READS | HTTP),
    "inbox": Case("inbox record nothing.db", "nothing.db", _READS),
    "backup": Case("backup --help", "--data-dir", _READS),
    "restore": Case("restore nothing", "nothing", _READS),
}

PROGRAM = """
import json, os, sys
from tempfile import TemporaryFile
from answerback.cli.main import app

for name, arguments, is_warm in json.load(sys.stdin):
    if is_warm:  # what it may import costs time that shows nothing
        import answerback.config, answerback.ledger.factory
    reads, writes = os.pipe()
    printed = TemporaryFile()
    child = os.fork()
    if child == 0:
        os.dup2(printed.fileno(), 1)
        os.dup2(1, 2)
        status = 0
        try:
            app(arguments, prog_name="answerback")
        except SystemExit as end:
            status = end.code or 0
        with os.fdopen(writes, "w") as told:
            json.dump([status, list(sys.modules)], told)
        sys.stdout.flush()
        os._exit(0)
    os.close(writes)
    with os.fdopen(reads) as told:
        status, modules = json.load(told)
    os.waitpid(child, 0)
    printed.seek(0)
    print(json.dumps([name, status, printed.read().decode(), modules]))
"""


class Done(NamedTuple):
    """A command that has ended: its exit status, what it printed, what it had imported."""

    status: int
    printed: str
    imported: set[str]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Done]:
    """Each command. All are forked from one Python that has imported what every one of them may."""
    home = tmp_path_factory.mktemp("imports")
    with closing(open_sqlite(home / "answerback-data", allow_unsafe_filesystem=True)) as ledger:
        ledger.record([received(key_press(callid="told"))])
    (home / "some.key").write_text("ab_key")
    cases = [(name, case.arguments.split(), not case.never & (LEDGER | SETTINGS)) for name, case in _CASES.items()]
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(sorted(cases, key=itemgetter(2))),
        cwd=home,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    reported = [json.loads(line) for line in ran.stdout.splitlines()]
    return {name: Done(status, printed, set(modules)) for name, status, printed, modules in reported}


def test_every_command_is_in_the_table() -> None:
    """None is forgotten."""
    assert {name.removesuffix(", remote") for name in _CASES} == {"--help", *COMMANDS}


@pytest.mark.parametrize("name", _CASES)
def test_a_command_works_with_what_it_imports_itself(done: dict[str, Done], name: str) -> None:
    """Each has no part of the others in it. Other tests fork commands from a process that has imported them all."""
    status, printed, imported = done[name]
    assert status in (0, 1)
    assert _CASES[name].says in printed
    assert imported & _CASES[name].never == set()
