"""/healthz, /readyz and /metrics, which FastAPI does not serve: their ASGI application is `answerback.api.health`."""

from typing import Any

_JSON = "application/json"
_METRICS = "# HELP answerback_up_for_writes Whether callbacks can be stored now.\n# TYPE answerback_up_for_writes gauge\nanswerback_up_for_writes 1.0\n"


def _schema(name: str, description: str, **properties: dict[str, str]) -> dict[str, Any]:
    return {
        name: {
            "title": name,
            "description": description,
            "type": "object",
            "required": list(properties),
            "properties": properties,
        }
    }


SCHEMAS: dict[str, Any] = {
    **_schema("AliveView", "The process responds.", status={"type": "string", "const": "alive"}),
    **_schema("ReadyView", "Callbacks can be stored.", status={"type": "string", "const": "ready"}),
    **_schema(
        "UnreadyView",
        "Callbacks cannot be stored.",
        status={"type": "string", "const": "not ready"},
        reason={"type": "string", "description": "the reason"},
    ),
}


def _answered(description: str, media_type: str, schema: dict[str, str], **examples: Any) -> dict[str, Any]:
    named = {name: {"value": value} for name, value in examples.items()}
    return {"description": description, "content": {media_type: {"schema": schema, "examples": named}}}


def _view(description: str, name: str, **examples: Any) -> dict[str, Any]:
    return _answered(description, _JSON, {"$ref": f"#/components/schemas/{name}"}, **examples)


def _get(operation: str, summary: str, answers: dict[str, Any]) -> dict[str, Any]:
    return {"get": {"tags": ["health"], "summary": summary, "operationId": operation, "responses": answers}}


PATHS: dict[str, Any] = {
    "/healthz": _get(
        "getHealth",
        "Liveness: whether the process runs",
        {"200": _view("alive", "AliveView", alive={"status": "alive"})},
    ),
    "/readyz": _get(
        "getReadiness",
        "Readiness: whether callbacks can be stored now",
        {
            "200": _view("ready", "ReadyView", ready={"status": "ready"}),
            "503": _view(
                "not ready: `reason` says why",
                "UnreadyView",
                unready={"status": "not ready", "reason": "the inbox is full"},
            ),
        },
    ),
    "/metrics": _get(
        "getMetrics",
        "Prometheus metrics",
        {"200": _answered("metrics in Prometheus' text format", "text/plain", {"type": "string"}, metrics=_METRICS)},
    ),
}
"""Path -> path item."""
