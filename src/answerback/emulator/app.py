"""The cloud on HTTP: both APIs at their paths, and its calls as JSON.

`POST /v5/<service>/<operation>` is API 2.0, `/` is API 3.0 or, where a GET names no action, the page.
"""

import logging
import uuid

import msgspec
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from answerback.emulator import api2, api3
from answerback.emulator.cloud import Cloud
from answerback.emulator.signatures import ApiRequest
from answerback.emulator.vendor_errors import SendRejected, VendorError
from answerback.emulator.views import view_of

_log = logging.getLogger("answerback.emulator")
_MAX_BODY_BYTES = 1024 * 1024
_JSON = "application/json"  # with a charset behind it, the SDK for Python returns nothing


def build_app(cloud: Cloud, page_routes: list[Route] | None = None) -> Starlette:
    """The application of one cloud."""
    api = _CloudApi(cloud)
    return Starlette(
        routes=[
            Route("/v5/{service}/{operation}", api.answer_2, methods=["POST"]),
            _Api3Route("/", api.answer_3, methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]),
            Route("/api/calls", api.calls),
            Route("/api/calls/{callid}", api.call),
            *(page_routes or []),
        ],
        exception_handlers={ClientDisconnect: _note_hang_up},
    )


class _CloudApi:
    """HTTP 200 for every answer of the cloud's."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    async def answer_2(self, request: Request) -> Response:
        path = _path(request)
        try:
            answer = await self._act_2(request, **request.path_params)
        except SendRejected as refusal:
            _log.info("API 2.0 %s: %d %s", path, refusal.error.result, _first_line(refusal.message))
            return _json(api2.rejected(refusal))
        _log.info("API 2.0 %s: OK %s", path, answer.get("callid", ""))
        return _json(api2.encode_ok(**answer))

    async def answer_3(self, request: Request) -> Response:
        request_id = str(uuid.uuid4())
        received = _api_request(request.scope)
        try:
            received = _api_request(request.scope, await _read(request))
            send_request = api3.parse_send_request(self._cloud.account, received, self._cloud.clock.signing_time_s())
            self._cloud.admit_request(received.common["Action"])
            call = await self._cloud.place(send_request)
        except SendRejected as refusal:
            code, action = refusal.error.code, received.common.get("Action", "")
            _log.info("API 3.0 %a, request %s: %s %s", action, request_id, code, _first_line(refusal.message))
            return _json(api3.rejected(refusal, request_id))
        _log.info("API 3.0 %a, request %s: OK %s", received.common["Action"], request_id, call.callid)
        return _json(api3.encode_accepted(call.callid, send_request.session_context, request_id))

    async def calls(self, _request: Request) -> Response:
        newest_first = [view_of(call) for call in reversed(self._cloud.calls.values())]
        return _json(msgspec.json.encode({"items": newest_first, "active": self._cloud.active}))

    async def call(self, request: Request) -> Response:
        found = self._cloud.calls.get(request.path_params["callid"])
        if found is None:
            return _json(msgspec.json.encode({"detail": "no such call"}), 404)
        return _json(msgspec.json.encode(view_of(found)))

    async def _act_2(self, request: Request, service: str, operation: str) -> dict[str, object]:
        """Do what a request of API 2.0 asks for: what is answered beside `result` and `errmsg`. Raises SendRejected."""
        account, now_s, query = self._cloud.account, self._cloud.clock.signing_time_s(), request.query_params
        body = await _read(request)
        if service != api2.SERVICE:
            raise SendRejected(VendorError.UNSUPPORTED, f"{service}/{operation}; {api2.SERVICE} alone is emulated")
        if operation == "uploadvoicefile":
            return {"fid": api2.parse_upload(account, query, request.headers, body, now_s)}
        if operation == "statusvoicefile":
            return {"status": api2.parse_file_status(account, query, body, now_s)}
        send_request = api2.parse_send_request(account, operation, query, body, now_s)
        call = await self._cloud.place(send_request)
        return {"callid": call.callid, "ext": send_request.session_context}


class _Api3Route(Route):
    """Leaves what a browser asks for to the page's route."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child = super().matches(scope)
        if match is Match.FULL and scope["method"] in ("GET", "HEAD") and not _api_request(scope).is_for_the_api:
            return Match.NONE, {}
        return match, child


def _api_request(scope: Scope, body: bytes = b"") -> ApiRequest:
    query = scope["query_string"].decode("utf-8", "replace")
    return ApiRequest(scope["method"], query, Headers(scope=scope), body)


def _first_line(message: str) -> str:
    return "".join(char if char.isprintable() else " " for char in message.partition("\n")[0])


async def _read(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MAX_BODY_BYTES:
            raise SendRejected(VendorError.TOO_LONG, f"the body has more than {_MAX_BODY_BYTES} bytes")
    return body


def _note_hang_up(request: Request, _error: Exception) -> Response:
    _log.info("%s %s: the sender hung up before its body had come", request.method, _path(request))
    return Response(status_code=400)  # which nobody reads


def _path(request: Request) -> str:
    """The path as it was sent, which has no line breaks."""
    return str(request.scope["raw_path"].decode("ascii", "replace"))


def _json(body: bytes, status: int = 200) -> Response:
    return Response(body, status, media_type=_JSON)
