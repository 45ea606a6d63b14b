"""The HTTP surface for programs: /v1 and /openapi.json."""

import json
from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request, Response

from answerback.alerts import Alerts
from answerback.api import alerts as alerts_api
from answerback.api import callbacks, calls, deliveries, endpoints, keys, quarantine, stats, status
from answerback.api import exports as exports_api
from answerback.api.body_limit import Bounds
from answerback.api.dependencies import guard
from answerback.api.openapi import DESCRIPTION, TAGS, complete, operation_id
from answerback.api.problems import add_problems
from answerback.auth.authenticator import Authenticator
from answerback.exports.process import Exports
from answerback.intake import Submission
from answerback.ledger import Ledger
from answerback.ledger.client import LedgerClient
from answerback.relay import Relay

# Bodies of changes are small; /v1/callbacks bounds its own, and answers by the contract.
_LARGEST_BODY_BYTES = 256 * 1024


def build_document() -> FastAPI:
    """Build what a process without the API answers: what there is, and that there is nothing else."""
    api = _Api(
        title="Answerback",
        summary="Know what became of every voice call.",
        description=DESCRIPTION,
        version=version("answerback"),
        license_info={"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        openapi_tags=TAGS,
        generate_unique_id_function=operation_id,
        redirect_slashes=False,
        openapi_url=None,
    )
    add_problems(api)
    api.add_middleware(Bounds, largest_bytes=_LARGEST_BODY_BYTES, free=(callbacks.PATH,))
    api.add_route("/openapi.json", api.document, include_in_schema=False)
    return api


class _Api(FastAPI):
    """FastAPI with a document that is whole."""

    def openapi(self) -> dict[str, Any]:
        """What /openapi.json says."""
        if self.openapi_schema is None:
            self.openapi_schema = complete(super().openapi())
        return self.openapi_schema

    @cached_property
    def _document(self) -> bytes:
        return json.dumps(self.openapi(), ensure_ascii=False).encode()

    def document(self, _request: Request) -> Response:
        """The same as bytes, made when they are first asked for, and not in the event loop."""
        return Response(self._document, media_type="application/json")


def build_api(
    ledger: Ledger,
    authenticator: Authenticator,
    relay: Relay,
    submission: Submission,
    channels: Sequence[str],
    writer: LedgerClient,
    timezone: str,
    alerts: Alerts,
    exports: Exports,
) -> FastAPI:
    """Build the application; `authenticator` says who asks, `channels` are the names there are."""
    api = build_document()
    guarded = guard(authenticator)
    for routes in (
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
        routes.build(api, guarded)
    return api
