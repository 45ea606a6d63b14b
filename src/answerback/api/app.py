"""The HTTP surface beside the callback URL: /v1, /healthz, /readyz, /metrics, /openapi.json."""

import asyncio
import json
from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from answerback.api import alerts as alerts_api
from answerback.api import callbacks, calls, deliveries, endpoints, keys, quarantine, stats, status
from answerback.api import exports as exports_api
from answerback.api import health as health_api
from answerback.api.bounds import Bounds
from answerback.api.document import DESCRIPTION, TAGS, complete, operation_id
from answerback.api.ledger_numbers import LedgerNumbers
from answerback.api.parts import guard, render_in_thread
from answerback.api.problems import add_problems
from answerback.authenticator import Authenticator
from answerback.exports import Exports
from answerback.ports import Alerts, Health, Meter, Relay, Shelf, Stream, Submission, Writer

# Bodies of changes are small; /v1/callbacks bounds its own, and answers by the contract.
_LARGEST_BODY_BYTES = 256 * 1024


def build_health(
    numbers: LedgerNumbers, health: Health, meter: Meter, relay: Relay, stream: Stream | None = None
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
        openapi_url=None,
    )
    add_problems(api)
    api.add_middleware(Bounds, largest_bytes=_LARGEST_BODY_BYTES, free=(callbacks.PATH,))
    api.include_router(health_api.routes(numbers, health, meter, relay, stream))
    api.add_route("/openapi.json", api.document, include_in_schema=False)
    return api


class _Api(FastAPI):
    """FastAPI with a document that is whole, and that gets ready for its first request beside the event loop."""

    _is_ready = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if not self._is_ready:
            async with self._getting_ready:
                if not self._is_ready:
                    await run_in_threadpool(self._get_ready)
        await super().__call__(scope, receive, send)

    @cached_property
    def _getting_ready(self) -> asyncio.Lock:
        return asyncio.Lock()

    def _get_ready(self) -> None:
        """Have every route looked at: FastAPI works each out when it first is, all together for a quarter of a second."""
        nowhere = {"type": "http", "method": "GET", "path": "/nowhere", "root_path": "", "headers": []}
        for route in self.routes:
            route.matches(nowhere)
        self._is_ready = True

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
    ledger: Shelf,
    health: Health,
    meter: Meter,
    authenticator: Authenticator,
    relay: Relay,
    submission: Submission,
    channels: Sequence[str],
    writer: Writer,
    timezone: str,
    alerts: Alerts,
    exports: Exports,
    numbers: LedgerNumbers,
    stream: Stream | None = None,
) -> FastAPI:
    """Build the application; `authenticator` says who asks, `channels` are the names there are."""
    api = build_health(numbers, health, meter, relay, stream)
    guarded = guard(authenticator)
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
        render_in_thread(router)
        api.include_router(router, dependencies=[guarded])
    return api
