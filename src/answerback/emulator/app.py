"""The cloud on HTTP: both APIs at their paths, and its calls as JSON.

`POST /v5/tlsvoicesvr/<operation>` is API 2.0, `POST /` is API 3.0, `GET /` is the page.
"""

import uuid
from collections.abc import Awaitable, Callable

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from answerback.emulator import api2, api3
from answerback.emulator.cloud import Cloud, EmulatedCall
from answerback.emulator.vendor_errors import SendRejected, VendorError
from answerback.emulator.views import view_of

_MAX_BODY_BYTES = 1024 * 1024
_JSON = "application/json"  # with a charset behind it, the SDK for Python returns nothing

Handler = Callable[[Request], Awaitable[Response]]


def build_app(cloud: Cloud, page_routes: list[Route] | None = None) -> Starlette:
    """The application of one cloud."""

    async def send(request: Request) -> Response:
        """API 2.0: HTTP 200 for every answer."""
        operation = request.path_params["operation"]
        try:
            body = await _read(request)
            if operation == "uploadvoicefile":
                fid = api2.parse_upload(cloud.account, request.query_params, request.headers, body, cloud.clock.now_s())
                return _json(msgspec.json.encode({"result": 0, "errmsg": "OK", "fid": fid}))
            send_request = api2.parse_send_request(
                cloud.account, operation, request.query_params, body, cloud.clock.now_s()
            )
            call = await cloud.place(send_request)
        except SendRejected as refusal:
            return _json(api2.rejected(refusal))
        return _json(api2.encode_accepted(call.callid, send_request.session_context))

    async def act(request: Request) -> Response:
        """API 3.0: HTTP 200 for every answer."""
        request_id = str(uuid.uuid4())
        try:
            send_request = api3.parse_send_request(
                cloud.account, request.headers, await _read(request), cloud.clock.now_s()
            )
            call = await cloud.place(send_request)
        except SendRejected as refusal:
            return _json(api3.rejected(refusal, request_id))
        return _json(api3.encode_accepted(call.callid, send_request.session_context, request_id))

    async def calls(_request: Request) -> Response:
        newest_first = [view_of(call) for call in reversed(cloud.calls.values())]
        return _json(msgspec.json.encode({"items": newest_first, "active": cloud.active}))

    async def call(request: Request) -> Response:
        found: EmulatedCall | None = cloud.calls.get(request.path_params["callid"])
        if found is None:
            return _json(msgspec.json.encode({"detail": "no such call"}), 404)
        return _json(msgspec.json.encode(view_of(found)))

    return Starlette(
        routes=[
            Route("/v5/tlsvoicesvr/{operation}", send, methods=["POST"]),
            Route("/", act, methods=["POST"]),
            Route("/api/calls", calls),
            Route("/api/calls/{callid}", call),
            *(page_routes or []),
        ]
    )


async def _read(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MAX_BODY_BYTES:
            raise SendRejected(VendorError.TOO_LONG, f"the body has more than {_MAX_BODY_BYTES} bytes")
    return body


def _json(body: bytes, status: int = 200) -> Response:
    return Response(body, status, media_type=_JSON)
