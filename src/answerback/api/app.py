"""The HTTP surface for programs: /v1 and /openapi.json."""

import json
from collections.abc import Callable, Container, Sequence
from functools import cached_property
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from answerback.alerts import AlertManager
from answerback.api import alerts as alerts_api
from answerback.api import callbacks, calls, deliveries, endpoints, erasures, events, keys, quarantine, stats, status
from answerback.api import exports as exports_api
from answerback.api.dependencies import require_key
from answerback.api.openapi import DESCRIPTION, TAGS, complete, operation_id
from answerback.api.problems import add_problems
from answerback.auth.authenticator import Authenticator
from answerback.auth.sign_in_links import SignInLinks
from answerback.exports.process import ExportManager
from answerback.feed.activity_feed import ActivityFeed
from answerback.intake import BulkSubmitter
from answerback.ledger import Ledger
from answerback.ledger.admin.instances import InstanceStatus
from answerback.ledger.client import LedgerClient
from answerback.recorder import InboxRecorder
from answerback.relay import Relay

# Bodies of changes are small; /v1/callbacks bounds its own, and answers by the contract.
_MAX_BODY_BYTES = 256 * 1024


def build_empty_api() -> FastAPI:
    """Build the application of a process without the API: health and metrics only."""
    api = _DocumentedApi(
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
    api.add_middleware(_BodySizeLimit, max_bytes=_MAX_BODY_BYTES, exempt_paths=(callbacks.PATH,))
    api.add_route("/openapi.json", api.document, include_in_schema=False)
    return api


class _DocumentedApi(FastAPI):
    """FastAPI with a document that is whole."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            self.openapi_schema = complete(super().openapi())
        return self.openapi_schema

    @cached_property
    def _document(self) -> bytes:
        return json.dumps(self.openapi(), ensure_ascii=False).encode()

    def document(self, _request: Request) -> Response:
        """Return the document as bytes, encoded once, on first use, outside the event loop."""
        return Response(self._document, media_type="application/json")


def build_api(
    ledger: Ledger,
    authenticator: Authenticator,
    relay: Relay,
    submitter: BulkSubmitter,
    channels: Sequence[str],
    writer: LedgerClient,
    timezone: str,
    alerts: AlertManager,
    exports: ExportManager,
    feed: ActivityFeed,
    recorder: InboxRecorder | None,
    links: SignInLinks,
    public_url: str | None,
    erasure_key: bytes,
    itself: Callable[[], InstanceStatus],
) -> FastAPI:
    """Build the application; `channels` are the names of the configured channels, `itself` says how this process is."""
    api = build_empty_api()
    guarded = require_key(authenticator)
    for routes in (
        callbacks.build_routes(submitter, channels),
        calls.build_routes(ledger, relay, channels),
        quarantine.build_routes(ledger, writer),
        stats.build_routes(ledger, timezone),
        endpoints.build_routes(ledger, relay, channels),
        deliveries.build_routes(ledger, relay),
        keys.build_routes(ledger, writer, links, public_url),
        alerts_api.build_routes(alerts),
        exports_api.build_routes(ledger, exports),
        events.build_routes(feed, writer, channels),
        erasures.build_routes(ledger, writer, erasure_key),
        status.build_routes(ledger, recorder, itself),
    ):
        routes.build(api, guarded)
    return api


class _BodySizeLimit:
    """ASGI middleware: a body of more than `max_bytes` is answered 413, except on paths that check it themselves."""

    def __init__(self, app: ASGIApp, max_bytes: int, exempt_paths: Container[str]) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._exempt_paths = exempt_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in self._exempt_paths:
            receive = self._limit_receive(receive)
        await self._app(scope, receive, send)

    def _limit_receive(self, receive: Receive) -> Receive:
        taken_bytes = 0

        async def read() -> Message:
            nonlocal taken_bytes
            message = await receive()
            taken_bytes += len(message.get("body", b""))
            if taken_bytes > self._max_bytes:
                raise HTTPException(413, f"the body is larger than {self._max_bytes} bytes")
            return message

        return read
