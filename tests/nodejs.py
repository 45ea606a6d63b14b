"""Node, as its wheel brings it, and what is installed from npm."""

import fcntl
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

NODE = Path(sys.executable).with_name("node")


def install(config: pytest.Config, *packages: str) -> Path:
    """A `node_modules` that holds `packages` (name@version), installed once and kept with pytest's cache."""
    assert config.cache is not None
    home = config.cache.mkdir("-".join(packages).replace("/", "-").replace("@", "-"))
    modules = home / "node_modules"
    with (home / "installing").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the other test process may want the same
        if not all((modules / package.rpartition("@")[0]).exists() for package in packages):
            _install(home, packages)
    return modules


def _install(home: Path, packages: Sequence[str]) -> None:
    options: list[str | Path] = ["--no-audit", "--no-fund", "--ignore-scripts", "--prefix", home]
    done = subprocess.run(
        [NODE.with_name("npm"), "install", *options, *packages],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def run(program: str, modules: Path, given: object) -> Any:
    """What `program` writes as JSON, given JSON on its standard input."""
    done = subprocess.run(
        [NODE, "-e", program],
        input=json.dumps(given),
        cwd=modules.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
