"""The HTTP surface beside the callback URL: /v1, /healthz, /readyz, /metrics, /openapi.json."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI

from answerback.access import Keyring
from answerback.api import alerts as alerts_api
from answerback.api import callbacks, calls, deliveries, endpoints, keys, quarantine, stats, status
from answerback.api import exports as exports_api
from answerback.api import health as health_api
from answerback.api.bounds import Bounds
from answerback.api.document import DESCRIPTION, TAGS, complete, operation_id
from answerback.api.parts import guard
from answerback.api.problems import add_problems
from answerback.exports import Exports
from answerback.ports import Alerts, Health, Meter, Relay, Shelf, Stream, Submission, Writer

# Bodies of changes are small; /v1/callbacks bounds its own, and answers by the contract.
_LARGEST_BODY_BYTES = 1024 * 1024


def build_health(
    ledger: Shelf, health: Health, meter: Meter, relay: Relay, alerts: Alerts, stream: Stream | None = None
) -> FastAPI:
    """Build what every process answers, whatever its roles: how it is itself."""
    api = _Api(
        title="Answerback",
        summary="Know what became of every voice call.",
        description=DESCRIPTION,
        version=version("answerback"),
        license_info={"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        openapi_tags=TAGS,
        generate_unique_id_function=operation_id,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
    )
    add_problems(api)
    api.add_middleware(Bounds, largest_bytes=_LARGEST_BODY_BYTES, free=(callbacks.PATH,))
    api.include_router(health_api.routes(ledger, health, meter, relay, alerts, stream))
    return api


class _Api(FastAPI):
    """FastAPI with a document that is whole."""

    def openapi(self) -> dict[str, Any]:
        """What /openapi.json says."""
        if self.openapi_schema is None:
            self.openapi_schema = complete(super().openapi())
        return self.openapi_schema


def build_api(
    ledger: Shelf,
    health: Health,
    meter: Meter,
    keyring: Keyring,
    relay: Relay,
    submission: Submission,
    channels: Sequence[str],
    writer: Writer,
    timezone: str,
    alerts: Alerts,
    exports: Exports,
    stream: Stream | None = None,
) -> FastAPI:
    """Build the application; `keyring` says who may ask, `channels` are the names there are."""
    api = build_health(ledger, health, meter, relay, alerts, stream)
    guarded = guard(keyring)
    for router in (
        callbacks.routes(submission, channels),
        calls.routes(ledger, relay, channels),
        quarantine.routes(ledger, writer),
        stats.routes(ledger, timezone),
        endpoints.routes(ledger, relay, channels),
        deliveries.routes(ledger, relay),
        keys.routes(ledger, writer),
        alerts_api.routes(alerts),
        exports_api.routes(ledger, exports),
        status.routes(ledger),
    ):
        api.include_router(router, dependencies=[guarded])
    return api
