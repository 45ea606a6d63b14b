"""What `make dist` has built, installed as users install it: into empty environments, with each extra, and tried there."""

import json
import os
import re
import shlex
import subprocess
import sys
import tarfile
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email import message_from_bytes
from email.message import Message
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.request import Request, urlopen
from zipfile import ZipFile

import pytest
from gateway import OK, SEED

from answerback.cli.commands import COMMANDS
from answerback.emulator.api2 import signature
from answerback.emulator.settings import DEFAULT_CREDENTIALS

pytestmark = [pytest.mark.packages, pytest.mark.timeout(600)]

TOP = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((TOP / "pyproject.toml").read_text())
VERSION = PROJECT["project"]["version"]
SDIST = TOP / f"dist/answerback-{VERSION}.tar.gz"
WHEEL = TOP / f"dist/answerback-{VERSION}-py3-none-any.whl"
UV = TOP / "tools/uv.sh"
LIGHT = {name for name, entry in COMMANDS.items() if entry.extra == "emulator"}
MEGABYTE = 1e6
BROUGHT = {
    "alerts": "apprise",
    "client": "answerback.client",
    "nats": "answerback.stream",
    "otel": "answerback.tracing.export",
    "parquet": "answerback.exports.writers.parquet",
    "postgresql": "psycopg",
}
"""Extra -> a module that needs it."""

PARSE = f"""
import sys
from answerback import encode_response, parse

print(parse({SEED!r}).callid, sorted({{name.partition(".")[0] for name in sys.modules}} & {{"pydantic", "typer", "sqlalchemy"}}))
"""

FIXTURE = """
def test_a_call(voice_cloud):
    assert voice_cloud.url.startswith("http://127.0.0.1:")
"""


class Environment:
    """A virtual environment with `installed`, in the tested versions, and nothing else."""

    def __init__(self, home: Path, *installed: str) -> None:
        self.home = home
        uv("venv", "--quiet", "--python", sys.executable, str(home / "venv"))
        self.install(*installed)
        (self.site,) = home.glob("venv/lib/python*/site-packages")

    def install(self, *installed: str) -> None:
        """Add what they name, in the tested versions."""
        python = str(self.home / "venv/bin/python")
        uv("pip", "install", "--quiet", "--python", python, "--constraint", str(TOP / "constraints.txt"), *installed)

    def command(self, *arguments: str) -> list[str]:
        """Where this environment has the program that the first argument names."""
        return [str(self.home / "venv/bin" / arguments[0]), *arguments[1:]]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a program of this environment."""
        return run(*self.command(*arguments), cwd=self.home)

    def answerback(self, *arguments: str) -> str:
        """What the command prints; it has succeeded."""
        done = self.run("answerback", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def sizes_mb(self) -> tuple[float, float]:
        """The files that were installed, in megabytes, and the same with the bytecode that pip compiles and uv does not."""
        self.run("python", "-m", "compileall", "-q", str(self.site))
        files = [path for path in self.site.rglob("*") if path.is_file()]
        compiled = sum(path.stat().st_size for path in files if path.suffix == ".pyc")
        together = sum(path.stat().st_size for path in files)
        return (together - compiled) / MEGABYTE, together / MEGABYTE

    @contextmanager
    def running(self, *arguments: str) -> Iterator[dict[str, Any]]:
        """Run `answerback` with `arguments` and `--json` until the end; what it prints first, which has its URL."""
        command = self.command("answerback", *arguments, "--json")
        with subprocess.Popen(command, cwd=self.home, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            try:
                assert process.stdout is not None
                printed = b""
                while not printed.endswith(b"\n}\n"):
                    line = process.stdout.readline()
                    assert line, process.communicate()[1].decode()
                    printed += line
                yield json.loads(printed)
            finally:
                process.terminate()
                process.communicate(timeout=60)


def run(*command: str, cwd: Path, variables: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program that is not to know of the virtual environment that the tests run in."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return subprocess.run(
        command, cwd=cwd, env={**kept, **(variables or {})}, capture_output=True, text=True, check=False, timeout=300
    )


def uv(*arguments: str) -> None:
    """Run uv; it has succeeded."""
    done = run(str(UV), *arguments, cwd=TOP)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Environment]:
    """An environment with the wheel and these extras; each is made once."""

    @cache
    def make(extras: str) -> Environment:
        named = f"{WHEEL}[{extras}]" if extras else str(WHEEL)
        return Environment(tmp_path_factory.mktemp(extras.replace(",", "-") or "base"), named)

    return make


class _Receiver(BaseHTTPRequestHandler):
    """Accepts every callback."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:  # the library's name
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(OK)))
        self.end_headers()
        self.wfile.write(OK)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def receiver() -> Iterator[str]:
    """The URL of a receiver of callbacks."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Receiver) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def post(url: str, body: bytes) -> bytes:
    """The response to `body`."""
    with urlopen(Request(url, data=body, method="POST"), timeout=30) as response:  # of this machine
        return bytes(response.read())


def metadata() -> Message:
    """What the wheel says of itself."""
    with ZipFile(WHEEL) as wheel:
        return message_from_bytes(wheel.read(f"answerback-{VERSION}.dist-info/METADATA"))


def tracked(*patterns: str) -> set[str]:
    """The files of the repository that match."""
    done = run("git", "ls-files", "-z", *patterns, cwd=TOP)
    return {name for name in done.stdout.split("\0") if name}


def test_the_sdist_is_the_source_and_nothing_else() -> None:
    """All that is tracked, so that distributions can build and test from it, but for what the forge alone reads."""
    with tarfile.open(SDIST) as sdist:
        names = {member.name.partition("/")[2] for member in sdist.getmembers() if member.isfile()}
    assert names == {name for name in tracked() if not name.startswith((".ci/", ".github/"))} | {"PKG-INFO"}


def test_the_wheel_is_the_package_and_nothing_else() -> None:
    """Every tracked file below src, and the metadata with the licence."""
    with ZipFile(WHEEL) as wheel:
        names = set(wheel.namelist())
    about = {name for name in names if name.startswith(f"answerback-{VERSION}.dist-info/")}
    assert names - about == {name.removeprefix("src/") for name in tracked("src")}
    assert f"answerback-{VERSION}.dist-info/licenses/LICENSE" in about


def test_the_metadata_is_complete() -> None:
    """What the package index shows beside the README."""
    published = metadata()
    for field in (
        "Summary",
        "Author",
        "License-Expression",
        "License-File",
        "Keywords",
        "Classifier",
        "Requires-Python",
    ):
        assert published[field], field
    assert published["Description-Content-Type"] == "text/markdown"
    assert {"all", "server", "emulator", *BROUGHT} <= set(published.get_all("Provides-Extra") or ())
    hook = PROJECT["tool"]["hatch"]["metadata"]["hooks"]["custom"]
    assert bool(published["Project-URL"]) == bool(hook["repository"])


def test_the_base_parses(environment: Callable[[str], Environment]) -> None:
    """With what it brings, and nothing else."""
    base = environment("")
    assert base.run("python", "-c", PARSE).stdout == "xxxxxx []\n"
    assert {path.name.partition("-")[0] for path in base.site.glob("*.dist-info")} == {
        "answerback",
        "msgspec",
        "phonenumberslite",
    }


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("extras", ["", "emulator", "server"])
def test_a_command_runs_or_names_its_extra(environment: Callable[[str], Environment], extras: str, name: str) -> None:
    """In an environment without its extra a command is one line and exit status 1."""
    done = environment(extras).run("answerback", name, "--help")
    if extras == "server" or (extras == "emulator" and name in LIGHT):
        assert (done.returncode, done.stderr) == (0, "")
    elif done.returncode:  # some need it only when they do something
        assert done.returncode == 1
        assert done.stderr.startswith(f"answerback: {name} needs ")
        assert done.stderr.endswith(f' pip install "answerback[{COMMANDS[name].extra}]"\n')
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1
    else:
        assert extras == "emulator"


def test_the_gateway_answers_and_shows(environment: Callable[[str], Environment]) -> None:
    """A callback is answered, and the command shows the call."""
    server = environment("server")
    with server.running("serve", "--port", "0") as started:
        assert post(f"{started['url']}/voice/callback", SEED) == OK
        assert json.loads(server.answerback("calls", "show", "xxxxxx", "--json"))["outcome"] == "answered"
        assert "ok" in server.answerback("doctor")


def test_the_emulator_takes_a_send_and_reports_it(environment: Callable[[str], Environment], receiver: str) -> None:
    """By API 2.0, with https as well, and its callback is accepted."""
    emulator = environment("emulator")
    with emulator.running("emulate", "--port", "0", "--instant", "--callback-url", receiver) as started:
        app = DEFAULT_CREDENTIALS
        body = {
            "tel": {"nationcode": "86", "mobile": "13800138000"},
            "prompttype": 2,
            "promptfile": "disk full",
            "time": (now := int(time.time())),
            "sig": signature(app["app_key"], "7", str(now), "13800138000"),
        }
        sent = post(
            f"{started['url']}/v5/tlsvoicesvr/sendvoiceprompt?sdkappid={app['app_id']}&random=7",
            json.dumps(body).encode(),
        )
        assert json.loads(sent)["result"] == 0
    with emulator.running("emulate", "--port", "0", "--https", "--callback-url", receiver) as started:
        assert started["url"].startswith("https://")


def test_what_the_emulator_brings_beside_it(environment: Callable[[str], Environment], receiver: str) -> None:
    """`snippet`, `send`, `load`, `conform` and the fixture run without the gateway."""
    emulator = environment("emulator")
    assert "qcloudsms" in emulator.answerback("snippet", "python")
    assert json.loads(emulator.answerback("send", receiver, "--result", "1", "--json"))
    assert "25 of 25" in emulator.answerback("load", receiver, "--rate", "50", "--duration", "0.5")
    checked = emulator.run("answerback", "conform", receiver, "--json")
    assert json.loads(checked.stdout)
    emulator.install("pytest")
    (emulator.home / "test_one.py").write_text(FIXTURE)
    done = emulator.run("python", "-m", "pytest", "-q", "test_one.py")
    assert "1 passed" in done.stdout, done.stdout


def test_a_shell_completes_the_commands_that_are_there(environment: Callable[[str], Environment]) -> None:
    """Those that cannot be loaded without another extra are left out, and nothing fails."""
    emulator = environment("emulator")
    variables = {"_ANSWERBACK_COMPLETE": "complete_bash", "COMP_WORDS": "answerback ", "COMP_CWORD": "1"}
    done = run(*emulator.command("answerback"), cwd=emulator.home, variables=variables)
    assert set(done.stdout.split()) >= LIGHT
    assert "doctor" not in done.stdout.split()
    assert done.stderr == ""


def test_the_fixture_names_its_extra(tmp_path: Path) -> None:
    """Whoever has only the base is told, where the test fails."""
    base = Environment(tmp_path, str(WHEEL), "pytest")
    (tmp_path / "test_one.py").write_text(FIXTURE)
    done = base.run("python", "-m", "pytest", "-q", "test_one.py")
    assert done.returncode == 1
    assert re.search(
        r'^answerback.testing.VoiceCloud needs \w+: pip install "answerback\[emulator\]"$', done.stdout, re.MULTILINE
    )


@pytest.mark.parametrize("extra", BROUGHT)
def test_an_extra_brings_what_it_is_for(environment: Callable[[str], Environment], extra: str) -> None:
    """Without it there is no such module; with the extra there is. All but the client are of use to the gateway alone."""
    without, extras = ("", extra) if extra == "client" else ("server", f"server,{extra}")
    assert environment(without).run("python", "-c", f"import {BROUGHT[extra]}").returncode == 1
    done = environment(extras).run("python", "-c", f"import {BROUGHT[extra]}")
    assert done.returncode == 0, done.stderr


def test_the_sdist_installs(tmp_path: Path) -> None:
    """It builds, from itself alone."""
    assert Environment(tmp_path, str(SDIST)).run("python", "-c", PARSE).stdout == "xxxxxx []\n"


def test_the_lines_of_the_readme_install_it(tmp_path: Path) -> None:
    """pipx, uvx and pip, with the wheel in place of the name."""
    lines = re.findall(r"^(?:pipx|uvx|pip) .*$", (TOP / "README.md").read_text(), re.MULTILINE)
    pipx, uvx, pip = (
        [re.sub("^answerback(?=\\[|$)", str(WHEEL), word) for word in shlex.split(line, comments=True)]
        for line in lines
    )
    uvx[uvx.index(str(WHEEL))] = "answerback"
    done = run(str(UV), "tool", "run", *uvx[1:], "--numbers", cwd=tmp_path)
    assert "…000" in done.stdout, done.stderr
    variables = {"PIPX_HOME": str(tmp_path / "pipx"), "PIPX_BIN_DIR": str(tmp_path / "bin")}
    done = run(str(Path(sys.executable).with_name(pipx[0])), *pipx[1:], cwd=tmp_path, variables=variables)
    assert done.returncode == 0, done.stderr
    assert run(str(tmp_path / "bin/answerback"), "doctor", cwd=tmp_path).returncode == 0
    uv("venv", "--quiet", "--seed", str(tmp_path / "venv"))
    assert run(str(tmp_path / "venv/bin" / pip[0]), *pip[1:], cwd=tmp_path).returncode == 0
    assert run(str(tmp_path / "venv/bin/python"), "-c", PARSE, cwd=tmp_path).stdout == "xxxxxx []\n"


def test_sizes(environment: Callable[[str], Environment], capsys: pytest.CaptureFixture[str]) -> None:
    """The files of a gateway stay below 100 MB."""
    sizes = {extras or "base": environment(extras).sizes_mb() for extras in ("", "emulator", "client", "server", "all")}
    with capsys.disabled():
        sys.stdout.write("\n")
        for path in (SDIST, WHEEL):
            sys.stdout.write(f"{path.name}: {path.stat().st_size / MEGABYTE:.1f} MB\n")
        for name, (files, with_bytecode) in sizes.items():
            sys.stdout.write(f"{name}: {files:.0f} MB installed, {with_bytecode:.0f} MB with bytecode\n")
    assert sizes["server"][0] < 100
