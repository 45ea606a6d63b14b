"""The real program as the image runs it, as far as that is possible without Docker."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from deploy.files import ROOT, image_environment, instruction
from gateway import CALLBACK, COMMAND, OK, SEED, START_TIMEOUT_S

USER = 10001
_SCRIPT = Path(__file__).with_name("sandbox.sh")


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A directory of the image's user, which is not below what the sandbox closes."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    home = Path(tempfile.mkdtemp(dir="/var/tmp"))
    home.chmod(0o755)
    data = home / "data"
    data.mkdir(mode=0o700)
    os.chown(data, USER, USER)
    yield data
    shutil.rmtree(home)


def test_gateway_runs_as_in_the_image(data_dir: Path) -> None:
    """As the user 10001, without capabilities, on a read-only root, it stores callbacks and drains at the image's signal."""
    with _serving(data_dir) as (process, url):
        assert httpx.get(f"{url}/readyz", trust_env=False, verify=False).status_code == 200
        assert httpx.post(f"{url}{CALLBACK}", content=SEED, trust_env=False, verify=False).content == OK
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert f"Uid:\t{USER}\t{USER}\t{USER}\t{USER}" in status
        assert "CapBnd:\t0000000000000000" in status
        assert {file.stat().st_uid for file in data_dir.iterdir()} == {USER}
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0


def test_root_is_read_only(data_dir: Path) -> None:
    """The sandbox is what it says: beside the data directory and /tmp nothing can be written."""
    touch = 'touch "$1/new" && touch /tmp/new && ! touch /var/tmp/new'
    ended = subprocess.run(
        _command(data_dir, "sh", "-c", touch, "sh", data_dir), capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert (ended.stderr.count("\n"), ended.stderr.count("Read-only file system")) == (1, 1)


@contextmanager
def _serving(data_dir: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The image's program on a free port of this machine, and its URL; killed at the end if it still runs."""
    command = _command(data_dir, COMMAND, *instruction("CMD"), "--json")
    with (data_dir.parent / "out").open("wb") as out, (data_dir.parent / "err").open("wb") as err:
        process = subprocess.Popen(command, cwd="/", env=_variables(data_dir), stdout=out, stderr=err)
    try:
        yield process, _reported(process, data_dir.parent)["url"]
    finally:
        process.kill()
        process.wait()


def _reported(process: subprocess.Popen[bytes], home: Path) -> dict[str, Any]:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while not (said := (home / "out").read_text()).endswith("}\n"):
        assert process.poll() is None, (home / "err").read_text()
        assert time.monotonic() < deadline_s, (home / "err").read_text()
        time.sleep(0.02)
    reported: dict[str, Any] = json.loads(said)
    return reported


def _command(data_dir: Path, *command: str | Path) -> list[str | Path]:
    prefix: list[str | Path] = ["unshare", "--mount", "--propagation", "private"]
    prefix += ["sh", _SCRIPT, data_dir, sys.base_prefix, ROOT]
    if subprocess.run([*prefix, sys.executable, "-c", ""], capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine lets nobody mount, or the user cannot reach Python")
    return [*prefix, *command]


def _variables(data_dir: Path) -> Mapping[str, str]:
    return image_environment() | {
        "PATH": os.environ["PATH"],
        "ANSWERBACK_SERVER__HOST": "127.0.0.1",
        "ANSWERBACK_SERVER__PORT": "0",
        "ANSWERBACK_SERVER__DATA_DIR": str(data_dir),
        "ANSWERBACK_LEDGER__ALLOW_UNSAFE_FILESYSTEM": "true",
    }
