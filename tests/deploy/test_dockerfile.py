"""The Dockerfile, read by hadolint, and what of it can be run without Docker."""

import os
import re
import subprocess
import sys
from pathlib import Path

from deploy.files import DOCKERFILE, PINNED, ROOT, instruction
from gateway import Gateway

HADOLINT = Path(sys.executable).with_name("hadolint")


def test_hadolint_finds_nothing() -> None:
    """It keeps the rules of the trade, and of the shell within it."""
    ended = subprocess.run([HADOLINT, DOCKERFILE], capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, "")


def test_image_is_what_was_asked_for() -> None:
    """Two stages of one whole version, which a digest can pin, another user than root, the extras, and the signal that drains."""
    text = DOCKERFILE.read_text()
    assert PINNED.fullmatch(text.partition("ARG PYTHON=")[2].splitlines()[0])
    assert text.count("\nFROM ${PYTHON}${DIGEST:+@$DIGEST}") == 2
    assert "\nUSER 10001:10001\n" in text
    (extras,) = re.findall(r"^ARG EXTRAS=(.*)$", text, re.MULTILINE)
    assert extras == "server,alerts,postgresql,nats,otel"
    assert '"answerback[$EXTRAS] @' in text
    assert instruction("ENTRYPOINT") == ["answerback"]
    assert "\nSTOPSIGNAL SIGTERM\n" in text


def test_python_is_one_of_the_matrix() -> None:
    """What runs in the image was tested: `nox -s image` builds it, `nox -s tests-3.13` tests it."""
    matrix = re.search(r"^PYTHONS = \((.*)\)$", (ROOT / "noxfile.py").read_text(), re.MULTILINE)
    version = re.search(r"^ARG PYTHON=python:(\d+\.\d+)\.", DOCKERFILE.read_text(), re.MULTILINE)
    assert matrix is not None
    assert version is not None
    assert f'"{version[1]}"' in matrix[1]


def test_health_check_distinguishes_alive_from_dead(tmp_path: Path) -> None:
    """The image's own health check succeeds while a gateway answers on its port, and fails once it is gone."""
    with Gateway(tmp_path / "data") as gateway:
        port = gateway.address[1]
        assert _health(port) == 0
        gateway.terminate()
        assert _health(port) != 0


def _health(port: int) -> int:
    command = [sys.executable, *instruction("HEALTHCHECK")[1:]]
    variables = os.environ | {"ANSWERBACK_SERVER__PORT": str(port)}
    return subprocess.run(command, env=variables, capture_output=True, check=False, timeout=30).returncode
