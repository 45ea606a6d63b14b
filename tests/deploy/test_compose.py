"""compose.yaml, read as docker compose reads it: there is no Docker here to run it."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from deploy.files import COMPOSE, DEPLOY, PINNED, compose, image_environment


def test_specification_is_kept() -> None:
    """Every key is one of the Compose specification's, and every network, volume, config and secret is there."""
    import compose_spec

    document = compose_spec.PyCompose.from_yaml(yaml.safe_dump(compose()))
    document.validate_networks()
    document.validate_volumes()
    document.validate_configs()
    document.validate_secrets()


@pytest.mark.parametrize(
    "password",
    ["POSTGRES_PASSWORD", "NATS_PASSWORD", "NATS_ROUTE_PASSWORD"],
)
def test_no_password_has_a_default(password: str) -> None:
    """Without a password of one's own nothing starts."""
    assert f"${{{password}:?" in COMPOSE.read_text()
    assert f"${{{password}:-" not in COMPOSE.read_text()


def test_example_environment_has_every_variable() -> None:
    """compose.example.env names all that compose.yaml asks for."""
    asked = set(re.findall(r"\$\{(\w+)", COMPOSE.read_text()))
    assert asked == set(re.findall(r"^#? ?(\w+)=", (DEPLOY / "compose.example.env").read_text(), re.MULTILINE))


def test_services_are_hardened() -> None:
    """Each has a whole version, a read-only root, no capability, bounded memory and log, and restarts."""
    for name, service in compose()["services"].items():
        assert PINNED.fullmatch(service["image"]), name
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "cap_add" not in service
        assert "no-new-privileges:true" in service["security_opt"]
        assert service["mem_limit"]
        assert service["logging"]["options"]["max-size"]
        assert service["restart"] == ("no" if name == "migrate" else "unless-stopped")


def test_stores_are_out_of_reach() -> None:
    """Only the proxy, and what people look at on this machine, have ports; the stores have no way out."""
    document = compose()
    ports = {name: service["ports"] for name, service in document["services"].items() if "ports" in service}
    assert ports.keys() == {"proxy", "prometheus", "grafana"}
    assert all(port.startswith("127.0.0.1:") for published in ports.values() for port in published)
    assert document["networks"]["store"] == {"internal": True}
    for name, service in document["services"].items():
        if name.startswith(("postgres", "nats")):
            assert service["networks"] == ["store"]


def test_stream_is_on_volumes() -> None:
    """Each NATS node and PostgreSQL keep what they hold on a volume of their own."""
    services = compose()["services"]
    kept = [services[name]["volumes"][0].partition(":")[0] for name in ("nats-1", "nats-2", "nats-3", "postgres")]
    assert len(set(kept)) == 4
    assert set(kept) <= compose()["volumes"].keys()


def test_nodes_differ_in_their_names_alone() -> None:
    """Each NATS node has its own name and address, and the same secrets."""
    services = compose()["services"]
    for name in ("nats-1", "nats-2", "nats-3"):
        variables = services[name]["environment"]
        assert (variables["NATS_NAME"], variables["NATS_ADVERTISE"]) == (name, f"{name}:4222")
        assert _without_name(variables) == _without_name(services["nats-1"]["environment"])


def test_gateways_wait_for_the_schema() -> None:
    """No gateway starts before the migration has ended well, and that waits for PostgreSQL."""
    services = compose()["services"]
    for service in services.values():
        if "serve" in service.get("command", ()):
            assert service["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert services["migrate"]["depends_on"]["postgres"] == {"condition": "service_healthy"}


def test_settings_and_data_are_where_the_image_looks() -> None:
    """The config file stands in the image's working directory, and its data directory is its user's."""
    gateway = compose()["services"]["front"]
    mounted = {secret.get("target", f"/run/secrets/{secret['source']}") for secret in gateway["secrets"]}
    files = {value for name, value in gateway["environment"].items() if name.endswith("_FILE")}
    assert mounted == {"/etc/answerback/answerback.toml", *files}
    assert len(files) == 2
    data_dir = image_environment()["ANSWERBACK_SERVER__DATA_DIR"]
    assert any(mount.startswith(f"{data_dir}:") and "uid=10001" in mount for mount in gateway["tmpfs"])


def test_config_files_are_there() -> None:
    """Every config that compose.yaml hands out is in the repository; the secrets are not."""
    document = compose()
    assert all((DEPLOY / config["file"]).is_file() for config in document["configs"].values())
    assert not any((DEPLOY / secret["file"]).exists() for secret in document["secrets"].values())
    assert json.loads((DEPLOY / document["configs"]["grafana-dashboard"]["file"]).read_text())["uid"] == "answerback"


def _without_name(variables: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in variables.items() if name not in ("NATS_NAME", "NATS_ADVERTISE")}
