"""Where Prometheus finds the gateways: those of compose.yaml by name, those of Kubernetes by their pods."""

from pathlib import Path
from typing import Any

import yaml

from monitoring.rules import JOB

COMPOSE = Path(__file__).parents[2] / "deploy/compose.yaml"
_EVERY = "10s"
_PORT = 8000


def compose_document() -> dict[str, Any]:
    """deploy/prometheus/compose.yaml as data: one target for each service that runs the gateway."""
    services = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
    gateways = [f"{name}:{_PORT}" for name, service in services.items() if "serve" in service.get("command", ())]
    return _document({"job_name": JOB, "static_configs": [{"targets": gateways}]})


def kubernetes_document() -> dict[str, Any]:
    """deploy/prometheus/kubernetes.yaml as data: every pod that says it is Answerback's."""
    app, port, role = (f"__meta_kubernetes_pod_{name}" for name in _POD_LABELS)
    return _document(
        {
            "job_name": JOB,
            "kubernetes_sd_configs": [{"role": "pod", "namespaces": {"names": ["answerback"]}}],
            "relabel_configs": [
                {"source_labels": [app, port], "regex": f"{JOB};http", "action": "keep"},
                {"source_labels": [role], "target_label": "role"},
                {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "instance"},
            ],
        }
    )


_POD_LABELS = ("label_app_kubernetes_io_name", "container_port_name", "label_app_kubernetes_io_component")


def _document(job: dict[str, Any]) -> dict[str, Any]:
    return {
        "global": {"scrape_interval": _EVERY, "evaluation_interval": _EVERY},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [job],
    }
