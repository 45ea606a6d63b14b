"""What each extra brings is enough for what it is for, and a command says which one it needs.

Python runs here without what the extra does not bring; `make dist` does the same with the wheel, in environments of their own.
"""

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from typing import NamedTuple

import pytest
from forking import COMMAND
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from answerback.cli.commands import COMMANDS

PYPROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
EXTRAS = PYPROJECT["optional-dependencies"]
FOR_USERS = EXTRAS.keys() - {"bench", "dev", "dist", "docs", "matrix"}
LIGHT = {name for name, entry in COMMANDS.items() if entry.extra == "emulator"}

ASKED_FOR = (
    "answerback.client",
    "answerback.emulator.authority",  # --https
    "answerback.exports.writers.parquet",
    "answerback.ledger.migrations.env",  # Alembic runs it, nobody imports it
    "answerback.pytest_plugin",
    "answerback.receiver.",  # for a framework of the user's
    "answerback.stream",
    "answerback.tracing.",
)
"""What the gateway imports only where it is asked for."""
FRAMEWORKS = ("django", "fastapi", "flask", "sqlalchemy")

PROGRAM = """
import importlib, io, json, sys
from contextlib import redirect_stderr, redirect_stdout
from importlib.machinery import PathFinder
from pkgutil import walk_packages

blocked, walked, commands = json.load(sys.stdin)

class Installed(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in blocked else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Installed
import answerback
from answerback.cli import app

told = {"missing": {}, "commands": {}}
if walked:
    for module in walk_packages(importlib.import_module(walked).__path__, f"{walked}.", lambda name: None):
        if module.name.endswith("__main__"):
            continue
        try:
            importlib.import_module(module.name)
        except Exception as error:
            told["missing"][module.name] = str(error)
for command in commands:
    sys.argv = ["answerback", *command.split()]
    printed, failed = io.StringIO(), io.StringIO()
    try:
        with redirect_stdout(printed), redirect_stderr(failed):
            app()
    except SystemExit as end:
        told["commands"][command] = f"{end.code} {failed.getvalue()}".strip()
print(json.dumps(told))
"""


class Found(NamedTuple):
    """Module -> why it could not be imported; command -> its exit status, or what it ends with, and standard error."""

    missing: dict[str, str]
    commands: dict[str, str]


@cache
def _brings(requirement: str) -> frozenset[str]:
    """The distributions that come with it."""
    return frozenset(_walk(Requirement(requirement), set()))


def _walk(requirement: Requirement, seen: set[tuple[str, str]]) -> Iterator[str]:
    name = canonicalize_name(requirement.name)
    yield name
    for extra in ("", *requirement.extras):
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        for line in _required(name, extra):
            one = Requirement(line)
            if one.marker is None or one.marker.evaluate({"extra": extra}):
                yield from _walk(one, seen)


def _required(name: str, extra: str) -> list[str]:
    if name == "answerback":
        return [*PYPROJECT["dependencies"], *(EXTRAS[extra] if extra else ())]
    try:
        return requires(name) or []
    except PackageNotFoundError:
        return []  # for another platform or Python


def run_with(extra: str, *commands: str, walked: str = "") -> Found:
    """Import all of `walked` and run `commands` in a Python that has what `extra` brings."""
    brought = _brings(f"answerback[{extra}]" if extra else "answerback")
    blocked = [
        name
        for name, owners in packages_distributions().items()
        if not brought & {canonicalize_name(owner) for owner in owners}
    ]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps([blocked, walked, commands]),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return Found(**json.loads(done.stdout))


def test_the_base_is_light() -> None:
    """The library brings what it parses with, and no more."""
    assert _brings("answerback") == {"answerback", "msgspec", "phonenumberslite"}


def test_everything_is_every_extra() -> None:
    """`all` names each extra that is there for users."""
    (one,) = EXTRAS["all"]
    assert Requirement(one).extras | {"all"} == FOR_USERS
    assert {entry.extra for entry in COMMANDS.values()} <= FOR_USERS


def test_the_base_parses_and_names_the_extra_of_each_command() -> None:
    """One line and exit status 1, whatever is asked for."""
    found = run_with("", *COMMANDS, "--help", "--version", "nonsense", "serve --lang zh", walked="answerback.tencent")
    assert not found.missing
    for command, entry in COMMANDS.items():
        assert found.commands[command] == f'answerback: {command} needs typer: pip install "answerback[{entry.extra}]"'
    for command in ("--help", "--version", "nonsense"):
        assert found.commands[command] == (
            'answerback: the command line needs typer: pip install "answerback[server]", '
            'or "answerback[emulator]" for emulate, snippet, send, load, conform alone'
        )

    assert found.commands["serve --lang zh"] == 'answerback: serve 需要 typer：pip install "answerback[server]"'


def test_the_emulator_does_without_the_gateway() -> None:
    """Its commands and all of the emulator are there; the others name the gateway's extra, once they need it."""
    helps = [f"{name} --help" for name in LIGHT]
    found = run_with("emulator", *helps, *(COMMANDS.keys() - LIGHT), walked="answerback.emulator")
    assert not found.missing
    assert [found.commands[command] for command in helps] == ["0"] * len(helps)
    for command in COMMANDS.keys() - LIGHT:
        said = found.commands[command]
        does_without = said[:1] in "02" or " needs " not in said  # it did it, said how it is used, or what is wrong
        assert does_without or said.endswith(': pip install "answerback[server]"'), command


def test_the_client_and_the_receiver_do_without_the_gateway() -> None:
    """The client needs its own extra, the receiver none: an adapter's framework is the user's."""
    assert not run_with("client", walked="answerback.client").missing
    missing = run_with("", walked="answerback.receiver").missing
    assert "answerback.receiver.fastapi" in missing
    assert [name for name in missing if not any(framework in name for framework in FRAMEWORKS)] == []


def test_the_gateway_does_without_what_a_setting_asks_for() -> None:
    """Every command is there; modules that need more say so, or are only imported where a setting asks for them."""
    found = run_with("server", *(f"{name} --help" for name in COMMANDS), walked="answerback")
    assert {command: one for command, one in found.commands.items() if one != "0"} == {}
    assert [name for name in found.missing if not name.startswith(ASKED_FOR)] == []


@pytest.mark.parametrize("extra", sorted(FOR_USERS))
def test_each_extra_brings_something(extra: str) -> None:
    """None is empty."""
    assert _brings(f"answerback[{extra}]") > _brings("answerback")


def test_a_library_that_is_too_old_is_not_called_missing(tmp_path: Path) -> None:
    """A part that it does not have is shown as it is: the extra that brings the library is installed."""
    (tmp_path / "typer.py").write_text("")
    variables = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run([COMMAND, "serve"], env=variables, capture_output=True, text=True, check=False, timeout=30)
    assert "ModuleNotFoundError: No module named 'typer.core'" in done.stderr
