"""What works where there is no uvloop and nothing of Unix, as on Windows, where it has not been run: parse, emulate, the fixture.

The gateway itself is for Unix. Each test is a Python of its own that cannot import what Windows does not have.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
from ending import ending
from gateway import COMMAND, SEED

WITHOUT_UNIX = """
import asyncio, sys

for name in ("uvloop", "fcntl", "resource", "grp", "pwd", "termios"):
    sys.modules[name] = None

def add_signal_handler(*_):
    raise NotImplementedError

asyncio.SelectorEventLoop.add_signal_handler = add_signal_handler
"""

TEST = """
import pytest

def test_a_call(voice_cloud):
    with pytest.raises(ImportError):
        import fcntl
    assert voice_cloud.url.startswith("http://127.0.0.1:")
"""


@pytest.fixture
def environment(tmp_path: Path) -> Mapping[str, str]:
    """Of a Python that cannot import what is Unix's."""
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_UNIX)
    return os.environ | {"PYTHONPATH": str(tmp_path)}


def test_parse(environment: Mapping[str, str]) -> None:
    """A callback is parsed in any program."""
    program = "import sys, answerback; print(answerback.parse(sys.stdin.buffer.read()).callid)"
    assert subprocess.check_output([sys.executable, "-c", program], input=SEED, env=environment) == b"xxxxxx\n"


def test_emulate(tmp_path: Path, environment: Mapping[str, str]) -> None:
    """The emulator serves, and ends at a Ctrl-C."""
    command = ending(COMMAND, "emulate", "--port", "0")
    with subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().removeprefix("Listening").strip()
            assert httpx.get(url, trust_env=False, verify=False).status_code == 200
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 0
        finally:
            process.kill()


def test_fixture(tmp_path: Path, environment: Mapping[str, str], bare_pytest: list[str | Path]) -> None:
    """`voice_cloud` is there in a project's own tests."""
    (tmp_path / "test_some.py").write_text(TEST)
    command = [*bare_pytest, "-p", "no:cacheprovider", tmp_path]
    ended = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "1 passed" in ended.stdout, ended.stdout + ended.stderr
