"""The Kubernetes manifests, checked by the schemas of Kubernetes: there is no cluster here to run them."""

from typing import Any

from deploy.files import PINNED, all_manifests, image_environment, kustomized, pods
from kubernetes_validate import latest_version, validate

ROLES = ("intake", "recorder", "relay", "front")


def test_schemas_are_kept() -> None:
    """Every object, made by kustomize or applied alone, is one of Kubernetes', with no field that it does not know."""
    for manifest in [*kustomized("base"), *(one for one in all_manifests() if one not in kustomized("base"))]:
        validate(manifest, latest_version(), strict=True)


def test_pods_are_restricted() -> None:
    """Every container runs as nobody in particular, on a read-only root, without capabilities, within its memory."""
    for _, pod in pods():
        assert pod["automountServiceAccountToken"] is False
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] > 0
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert PINNED.fullmatch(container["image"])
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
            assert "memory" in container["resources"]["limits"]


def test_gateways_are_probed() -> None:
    """Traffic goes to who can store, a restart comes to who does not answer, and a slow start is borne."""
    for role in ROLES:
        container = _pod(role)["containers"][0]
        assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
        assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
        assert container["startupProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
        liveness_s = container["livenessProbe"]["periodSeconds"] * container["livenessProbe"]["failureThreshold"]
        assert liveness_s >= 30


def test_stores_are_probed() -> None:
    """NATS and the trial's PostgreSQL have all three probes as well."""
    for name in ("nats", "postgresql"):
        assert {"startupProbe", "readinessProbe", "livenessProbe"} <= _pod(name)["containers"][0].keys()


def test_gateways_differ_in_their_roles_alone() -> None:
    """What runs a role runs as the others do."""
    shapes = []
    for role in ROLES:
        pod = dict(_pod(role))
        del pod["topologySpreadConstraints"]
        pod["containers"] = [{**pod["containers"][0], "args": [], "resources": {}}]
        shapes.append(pod)
    assert all(shape == shapes[0] for shape in shapes)


def test_disruptions_are_bounded() -> None:
    """Of each role, and of NATS, at most one is taken away at a time, and the budget is about its pods."""
    for name in (*ROLES, "nats"):
        budget, workload = _named("PodDisruptionBudget", name), _workload(name)
        assert budget["spec"]["maxUnavailable"] == 1
        labels = workload["spec"]["template"]["metadata"]["labels"]
        assert budget["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_roles_run_at_least_twice() -> None:
    """Each Deployment has replicas of its own, or is scaled between bounds, and not both."""
    scaled = {manifest["spec"]["scaleTargetRef"]["name"] for manifest in _all("HorizontalPodAutoscaler")}
    for role in ROLES:
        replicas = _workload(role)["spec"].get("replicas")
        assert (replicas is None) == (role in scaled)
        assert (replicas or _named("HorizontalPodAutoscaler", role)["spec"]["minReplicas"]) >= 2


def test_nats_nodes_are_kept_apart() -> None:
    """Three nodes on three machines, each with a disk; a stop outlasts the lame duck's time."""
    nats = _workload("nats")["spec"]
    assert nats["replicas"] == 3
    rule = nats["template"]["spec"]["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][0]
    assert rule["topologyKey"] == "kubernetes.io/hostname"
    assert nats["volumeClaimTemplates"][0]["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert nats["template"]["spec"]["terminationGracePeriodSeconds"] > 60


def test_services_find_their_pods() -> None:
    """Every Service selects a workload and names a port that it has; every path of the Ingress leads to a Service."""
    for service in _all("Service"):
        wanted = service["spec"]["selector"].items()
        pod = next(
            manifest["spec"]["template"]
            for kind in ("Deployment", "StatefulSet")
            for manifest in _all(kind)
            if wanted <= manifest["spec"]["template"]["metadata"]["labels"].items()
        )
        ports = {(port["name"], port["containerPort"]) for port in pod["spec"]["containers"][0]["ports"]}
        for port in service["spec"]["ports"]:
            assert port["name"] in {name for name, _ in ports} or port.get("targetPort") in {name for name, _ in ports}
    paths = _named("Ingress", "answerback")["spec"]["rules"][0]["http"]["paths"]
    for path in paths:
        _named("Service", path["backend"]["service"]["name"])
    assert not {"/healthz", "/readyz", "/metrics"} & {path["path"] for path in paths}


def test_volumes_are_there() -> None:
    """Every mount has its volume, and every ConfigMap and Secret that a volume names exists."""
    known = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in all_manifests()}
    claims = {name: _claims(name) for name in ("nats", "postgresql")}
    for name, pod in pods():
        volumes = {volume["name"] for volume in pod["volumes"]} | claims.get(name, set())
        assert {mount["name"] for mount in pod["containers"][0]["volumeMounts"]} <= volumes
        for volume in pod["volumes"]:
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in known
            if "secret" in volume:
                assert ("Secret", volume["secret"]["secretName"]) in known


def test_secrets_are_examples() -> None:
    """No secret is written down: each value has to be changed."""
    for secret in _all("Secret"):
        assert all("CHANGE-ME" in value for value in secret["stringData"].values())
    assert not any(manifest["kind"] == "Secret" for manifest in kustomized("base"))


def test_data_directory_is_the_one_of_the_image() -> None:
    """What the image writes to can be written, and its config file is where it looks for it."""
    mounts = {mount["mountPath"] for mount in _pod("front")["containers"][0]["volumeMounts"]}
    data_dir = image_environment()["ANSWERBACK_SERVER__DATA_DIR"]
    assert {data_dir, "/etc/answerback/answerback.toml", "/tmp"} <= mounts


def _all(kind: str) -> list[dict[str, Any]]:
    return [manifest for manifest in all_manifests() if manifest["kind"] == kind]


def _named(kind: str, name: str) -> dict[str, Any]:
    return next(manifest for manifest in _all(kind) if manifest["metadata"]["name"] == name)


def _workload(name: str) -> dict[str, Any]:
    kinds = ("Deployment", "StatefulSet")
    return next(manifest for kind in kinds for manifest in _all(kind) if manifest["metadata"]["name"] == name)


def _pod(name: str) -> dict[str, Any]:
    return next(pod for workload, pod in pods() if workload == name)


def _claims(name: str) -> set[str]:
    return {claim["metadata"]["name"] for claim in _workload(name)["spec"]["volumeClaimTemplates"]}
