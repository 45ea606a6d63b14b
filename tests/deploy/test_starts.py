"""Whatever starts `answerback` below deploy/ uses options and settings that it has, with values that it takes."""

import tomllib

import pytest
import yaml
from deploy.files import (
    DEPLOY,
    ROOT,
    Started,
    compose,
    image_environment,
    parse,
    plain_manifests,
    starts,
    unknown_settings,
)

from answerback.config import Settings, load_settings

_BUILT_FROM = ["pyproject.toml", "hatch_build.py", "constraints.txt", "README.md", "LICENSE", "src"]


def test_options_exist() -> None:
    """Every command line is understood by the program itself."""
    for start in starts():
        parse(start.arguments)


def test_settings_exist() -> None:
    """Every variable of Answerback's is a setting."""
    assert {start.where: unknown for start in starts() if (unknown := unknown_settings(start.variables))} == {}


def test_values_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program takes the values, those of the examples' secrets among them."""
    for start in starts():
        with monkeypatch.context() as environment:
            for name, value in start.variables.items():
                environment.setenv(name, value)
            load_settings()


def test_all_roles_run() -> None:
    """compose.yaml and the manifests leave out no role; the ones that callbacks pass through run twice in compose."""
    for kind in ("compose.yaml", "kubernetes"):
        lists = [_roles(start) for start in starts() if start.where.startswith(kind) and "serve" in start.arguments]
        assert {role for roles in lists for role in roles} == set(_all_roles())
    twice = [
        _roles(start) for start in starts() if start.where.startswith("compose.yaml") and "serve" in start.arguments
    ]
    assert all(sum(role in roles for roles in twice) == 2 for role in ("intake", "recorder", "relay"))


def test_example_configuration_fits() -> None:
    """The example's answerback.toml, and that of the Secret, are taken as they stand, and their tokens have to be changed."""
    example = (DEPLOY / "answerback.example.toml").read_text()
    secret = next(manifest for manifest in plain_manifests() if "answerback.toml" in manifest.get("stringData", {}))
    for text in (example, secret["stringData"]["answerback.toml"]):
        settings = Settings(**tomllib.loads(text))
        assert "change-me" in str(settings.tokens()["default"]).lower()


def test_stream_names_every_node() -> None:
    """The gateway is given all three nodes of the stream, wherever it runs."""
    urls = [
        start.variables["ANSWERBACK_STREAM__URL"] for start in starts() if "ANSWERBACK_STREAM__URL" in start.variables
    ]
    assert urls
    assert all(url.count("nats://answerback:") == url.count(":4222") == 3 for url in urls)


def test_stop_leaves_time_to_drain() -> None:
    """Nothing is killed before it has drained: requests, attempts and last commits, after Kubernetes' pause."""
    fields = Settings.model_fields
    drains_s = fields["intake"].default.shutdown_timeout_s + fields["relay"].default.shutdown_timeout_s
    commit_s = fields["intake"].default.commit_timeout_s
    for service in compose()["services"].values():
        if service["image"].startswith("answerback:"):
            assert int(service["stop_grace_period"].removesuffix("s")) >= 2 * (drains_s + commit_s)
    for name in ("intake", "recorder", "relay", "front"):
        pod = yaml.safe_load((DEPLOY / f"kubernetes/base/{name}.yaml").read_text().split("---")[0])["spec"]["template"]
        pause_s = pod["spec"]["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert pod["spec"]["terminationGracePeriodSeconds"] >= pause_s + 2 * (drains_s + commit_s)


def test_image_is_built_from_what_the_context_holds() -> None:
    """What the Dockerfile copies is there, and .dockerignore lets it through."""
    let_through = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert sorted(let_through) == sorted(_BUILT_FROM)
    assert all((ROOT / name).exists() for name in _BUILT_FROM)


def test_image_listens_to_the_outside() -> None:
    """In the image the gateway listens on every address, and keeps its data where the volume is."""
    variables = image_environment()
    assert variables["ANSWERBACK_SERVER__HOST"] == "0.0.0.0"
    assert variables["ANSWERBACK_SERVER__DATA_DIR"] == "/var/lib/answerback"


def _roles(start: Started) -> list[str]:
    return start.arguments[start.arguments.index("--roles") + 1].split(",")


def _all_roles() -> list[str]:
    return [str(role) for role in Settings.model_fields["server"].default.roles]
