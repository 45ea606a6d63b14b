"""The tests on every Python that is here, on the oldest and on the newest dependencies. `make matrix` runs it.

Everything on each takes as long as `make test` each time: `nox -- tests/unit` runs what it names on all of them,
`nox -s tests-3.13` everything on one. What is not here is named as skipped.
"""

import os
import re
import shutil
from pathlib import Path

import nox

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
"""Debian 12 has 3.11, deploy/Dockerfile 3.13."""

nox.needs_version = ">=2025.2"
nox.options.default_venv_backend = "uv"
nox.options.sessions = ["tests", "lowest", "newest", "image", "places"]
nox.options.error_on_missing_interpreters = False
nox.options.stop_on_first_error = False

# pyenv's own commands stand for Pythons that they then do not find, so its Pythons come first.
_PYENV = sorted((Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions").glob("3.*/bin"))
os.environ["PATH"] = os.pathsep.join([*map(str, _PYENV), os.environ["PATH"]])
os.environ["UV_PYTHON_DOWNLOADS"] = "never"


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests with the dependencies that constraints.txt pins."""
    session.install("-c", "constraints.txt", "-e", ".[dev]")
    _pytest(session)


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """Run them with the oldest versions that pyproject.toml allows."""
    oldest = str(Path(session.create_tmp(), "lowest.txt"))
    lowest_of_all = ("--resolution=lowest-direct", "--extra=all", "-o", oldest, "pyproject.toml")
    session.run_install("uv", "pip", "compile", "-q", *lowest_of_all, silent=True)
    session.install("-c", oldest, "-e", ".[dev]")
    _pytest(session, "-W", "ignore::DeprecationWarning")  # old releases do to new ones what was right in their time


@nox.session(python=PYTHONS[2])
def newest(session: nox.Session) -> None:
    """Run them with the newest versions that there are."""
    session.install("--upgrade", "-e", ".[dev]")
    _pytest(session)


@nox.session(python=PYTHONS[2], venv_backend="venv")
def image(session: nox.Session) -> None:
    """Build what deploy/Dockerfile builds, from the files that it copies and by its own command, without a daemon."""
    _, build, _ = re.split(r"^FROM .*$", Path("deploy/Dockerfile").read_text().replace("\\\n", ""), flags=re.MULTILINE)
    variables = dict(re.findall(r"^ARG (\w+)=(.*)$", build, re.MULTILINE))
    place = Path(session.create_tmp()).resolve()
    shutil.rmtree(place, ignore_errors=True)
    for copied in re.findall(r"^COPY (.+) \S+$", build, re.MULTILINE):
        for name in copied.split():
            (shutil.copytree if Path(name).is_dir() else shutil.copy)(name, _parent(place / name))
    command = build.rpartition("RUN ")[2].partition("\n")[0]
    for there, here in (
        ("--mount=type=cache,target=/root/.cache/pip", ""),
        ("/opt/answerback/", f"{session.virtualenv.location}/"),
        ("/wheels", f"{place}/wheels"),
    ):
        command = command.replace(there, here)
    with session.chdir(place):
        session.run("sh", "-euc", command, env=variables, external=True)
        session.run("answerback", "--help", silent=True)


@nox.session(python=PYTHONS[0])
def places(session: nox.Session) -> None:
    """Compare the tables of numbers and countries with the libraries they are made from, or make them anew: `-- --write`."""
    session.install("-c", "constraints.txt", "-e", ".", "babel")
    session.install("-c", "constraints.txt", "phonenumbers")  # over phonenumberslite, of which it is the whole
    session.run("python", "tools/make_places.py", *(arg for arg in session.posargs if arg == "--write"))


def _parent(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _pytest(session: nox.Session, *options: str) -> None:
    session.run("pytest", "--numprocesses=auto", "--dist=loadfile", *options, *(session.posargs or ["tests"]))
