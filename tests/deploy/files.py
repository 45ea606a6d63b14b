"""The files below deploy/ as data, with what the programs that read them put in place of variables."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
import yaml

from answerback.cli.main import app
from answerback.config import PREFIX, Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = DEPLOY / "compose.yaml"
DOCKERFILE = DEPLOY / "Dockerfile"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
PINNED = re.compile(r"[a-z0-9./-]+:v?\d+\.\d+[a-z0-9.-]*")
"""An image with its whole version."""

_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")

_SECRETS = {
    "POSTGRES_PASSWORD": "pgpw",
    "NATS_PASSWORD": "natspw",
    "NATS_ROUTE_PASSWORD": "routepw",
}
_SECRET_FILES = {
    "/run/secrets/admin-key": "ab_an-admin-key-of-32-characters-or-more",
    "/run/secrets/server-secret": "a-secret-of-the-server-of-32-or-more",
}


class Started(NamedTuple):
    """One way in which a file below deploy/ starts `answerback`: with which arguments and variables."""

    where: str
    arguments: list[str]
    variables: Mapping[str, str]


def compose(**variables: str) -> dict[str, Any]:
    """compose.yaml as docker compose reads it where the environment has `variables`; KeyError where one is missing."""

    def value(found: re.Match[str]) -> str:
        name, how, otherwise = found.groups()
        if how == "-":
            return variables.get(name) or str(otherwise)
        return variables[name]

    variables = _SECRETS | variables
    document: dict[str, Any] = yaml.safe_load(_VARIABLE.sub(value, COMPOSE.read_text()))
    return document


def compose_environment(service: Mapping[str, Any]) -> dict[str, str]:
    """The variables of a service of compose.yaml, with what its secret files hold in place of their names."""
    variables: dict[str, str] = service["environment"]
    return {
        name.removesuffix("_FILE") if value in _SECRET_FILES else name: _SECRET_FILES.get(value, value)
        for name, value in variables.items()
    }


@cache
def kustomized(name: str) -> list[dict[str, Any]]:
    """What `kubectl apply -k deploy/kubernetes/<name>` would send."""
    made = subprocess.run(
        [program("kubectl"), "kustomize", DEPLOY / "kubernetes" / name], capture_output=True, check=True, timeout=60
    )
    return [document for document in yaml.safe_load_all(made.stdout) if document]


def program(name: str) -> str:
    """Where a program is: a wheel's, the system's, or one that tools/bring.sh has unpacked; without it the test is skipped."""
    unpacked = ROOT / ".venv/debian/usr"
    places = [Path(sys.executable).parent, os.environ["PATH"], "/usr/sbin", unpacked / "sbin", unpacked / "bin"]
    path = shutil.which(name, path=os.pathsep.join(map(str, places)))
    if path is None:
        pytest.skip(f"there is no {name} here")
    return path


def plain_manifests() -> list[dict[str, Any]]:
    """The Kubernetes manifests that are applied by themselves."""
    files = [DEPLOY / "kubernetes/migrate.yaml", DEPLOY / "kubernetes/secret.example.yaml"]
    return [document for file in files for document in yaml.safe_load_all(file.read_text())]


def all_manifests() -> list[dict[str, Any]]:
    """Every Kubernetes manifest, PostgreSQL's for trials among them."""
    return [*kustomized("trial"), *plain_manifests()]


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    """The pod of every workload, with its name."""
    for manifest in all_manifests():
        if manifest["kind"] in ("Deployment", "StatefulSet", "Job"):
            yield manifest["metadata"]["name"], manifest["spec"]["template"]["spec"]


def unit(path: Path) -> Mapping[str, list[str]]:
    """The settings of a unit's service; one that stands there several times has several values."""
    settings: dict[str, list[str]] = {}
    for line in path.read_text().partition("[Service]")[2].partition("[Install]")[0].splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            settings.setdefault(name, []).append(value)
    return settings


def starts() -> Iterator[Started]:
    """Every start of `answerback` that is written down below deploy/."""
    image = image_environment()
    yield Started("Dockerfile", instruction("ENTRYPOINT")[1:] + instruction("CMD"), image)
    for name, service in compose()["services"].items():
        if service["image"].startswith("answerback:"):
            yield Started(f"compose.yaml {name}", service["command"], image | compose_environment(service))
    for path in UNITS:
        yield Started(path.name, *_unit_start(path))
    for name, pod in pods():
        for container in pod["containers"]:
            if container["image"].startswith("answerback:"):
                yield Started(f"kubernetes {name}", container["args"], image | _pod_environment(container))


def _unit_start(path: Path) -> tuple[list[str], dict[str, str]]:
    service, files = unit(path), path.parent.glob("*.example.env") if "@" in path.name else ()
    lines = [line.replace("%i", "intake").replace("%S", "/var/lib") for line in service["Environment"]]
    lines += [line for file in files for line in file.read_text().splitlines() if line and not line.startswith("#")]
    variables = dict(line.split("=", 1) for line in lines)
    words = shlex.split(service["ExecStart"][0])[1:]
    return [_VARIABLE.sub(lambda found: variables[found[1]], word) for word in words], variables


def _pod_environment(container: Mapping[str, Any]) -> dict[str, str]:
    """The variables of a container, with those of its ConfigMap and the example's secrets."""
    found = {(document["kind"], document["metadata"]["name"]): document for document in all_manifests()}
    variables: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        variables |= found["ConfigMap", source["configMapRef"]["name"]]["data"]
    for variable in container["env"]:
        reference = variable["valueFrom"]["secretKeyRef"]
        variables[variable["name"]] = found["Secret", reference["name"]]["stringData"][reference["key"]]
    return variables


def instruction(name: str) -> list[str]:
    """The arguments of the Dockerfile's last instruction of that name in its JSON form."""
    lines = DOCKERFILE.read_text().replace("\\\n", " ").splitlines()
    text = [line for line in lines if line.strip().startswith(f"{name} ")][-1]
    words: list[str] = json.loads(text[text.index("[") :])
    return words


def image_environment() -> dict[str, str]:
    """The variables that the image sets."""
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    last = [line for line in text.splitlines() if line.startswith("ENV ")][-1]
    return dict(word.split("=", 1) for word in shlex.split(last)[1:])


def unknown_settings(variables: Mapping[str, str]) -> list[str]:
    """The variables that look like settings of Answerback's and are none."""
    return [name for name in variables if name.startswith(PREFIX) and not _is_setting(name)]


def _is_setting(variable: str) -> bool:
    section, _, name = variable.removeprefix(PREFIX).lower().partition("__")
    field = Settings.model_fields.get(section)
    return field is not None and name in getattr(field.annotation, "model_fields", {})


def parse(arguments: list[str]) -> None:
    """Read a command line as `answerback` does, and do nothing; raises click's error where it is not understood."""
    group: Any = typer.main.get_command(app)
    context = group.make_context("answerback", list(arguments), resilient_parsing=False)
    _, command, rest = group.resolve_command(context, [*context._protected_args, *context.args])  # noqa: SLF001
    command.make_context(command.name, rest, parent=context)
