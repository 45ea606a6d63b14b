"""POST /v1/callbacks: submit callbacks over the API, one or many."""

from collections.abc import Collection, Sequence
from io import BytesIO
from itertools import islice
from typing import Annotated, Any

import msgspec
from fastapi import Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from answerback.api.dependencies import CurrentPrincipal
from answerback.api.routes import Routes
from answerback.domain.models import DEFAULT_CHANNEL, Role
from answerback.errors import InvalidEndpoint
from answerback.intake.bulk_submit import BulkSubmitter
from answerback.schemas.callbacks import BulkSubmitView, CallbackResponseView, SubmittedLineView
from answerback.tencent.codes import ResponseCode
from answerback.tencent.response import Response

PATH = "/v1/callbacks"
MAX_LINES = 10_000
MAX_BYTES = 32 * 1024 * 1024

_NDJSON = "ndjson"
_BOM = b"\xef\xbb\xbf"
_MAX_DECODED_BYTES = 1024 * 1024
"""Largest callback that is decoded: decoding blocks the event loop."""

_STATUS_BY_CODE: dict[int, int] = {ResponseCode.OK: 200, ResponseCode.UNAVAILABLE: 503, ResponseCode.TOO_LARGE: 413}
_REJECTED_STATUS = 400


_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"type": "object"}},
            "application/x-ndjson": {"schema": {"type": "string"}},
        },
    }
}


def build_routes(submitter: BulkSubmitter, channels: Sequence[str]) -> Routes:
    router = Routes("callbacks")

    @router.post(
        PATH,
        summary="Submit one callback as JSON, or up to 10,000 as NDJSON",
        response_model=BulkSubmitView | CallbackResponseView,
        responses={400: {"model": CallbackResponseView}, 413: {"model": CallbackResponseView}},
        role=Role.OPERATOR,
        openapi_extra=_BODY,
    )
    async def submit_callbacks(
        request: Request,
        principal: CurrentPrincipal,
        channel: Annotated[str, Query(description="the channel of the callbacks")] = DEFAULT_CHANNEL,
    ) -> JSONResponse:
        if channel not in channels:
            raise InvalidEndpoint("channel", f"there is no channel {channel}")
        parts = await _read_body(request)
        if parts is None:
            return _response(ResponseCode.TOO_LARGE, f"the body is larger than {MAX_BYTES} bytes")
        are_many = _NDJSON in request.headers.get("content-type", "").lower()
        lines = await run_in_threadpool(_split_lines, parts, are_many=are_many)
        if isinstance(lines, bytes):
            principal.log("callbacks_submitted", channel=channel, count=1)
            (one,) = await submitter.submit(channel, [lines])
            return _response(one.result, one.errmsg)
        if len(lines) > MAX_LINES:
            return _response(ResponseCode.TOO_LARGE, f"there are more than {MAX_LINES} callbacks")
        principal.log("callbacks_submitted", channel=channel, count=len(lines))
        answers = await submitter.submit(channel, list(lines.values()))
        return await run_in_threadpool(_bulk_response, list(lines), answers)

    return router


async def _read_body(request: Request) -> list[bytes] | None:
    """Read the whole body in parts; None if it is too large."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size <= MAX_BYTES:
            parts.append(part)
    return parts if size <= MAX_BYTES else None


def _split_lines(parts: Sequence[bytes], *, are_many: bool) -> dict[int, bytes] | bytes:
    """Split the body into numbered non-empty lines, up to one more than the limit; or return it whole if it is one callback.

    It is gone through line by line: one look of C at so much would hold Python's lock, and with it the event loop. Many
    short lines would take a hundred times their size in memory.
    """
    body = b"".join(parts)
    filled = ((number, line.rstrip(b"\r\n")) for number, line in enumerate(BytesIO(body), 1) if not line.isspace())
    lines = dict(islice(filled, MAX_LINES + 1))
    return body if not are_many and _is_one(body, lines.values()) else lines


def _is_one(body: bytes, lines: Collection[bytes]) -> bool:
    """Whether this is one JSON text, possibly over several lines, or meant to be one: none of its lines is JSON by itself."""
    return len(lines) <= 1 or _is_json(body) or not any(map(_is_json, lines))


def _bulk_response(numbers: Sequence[int], answers: Sequence[Response]) -> JSONResponse:
    items = [
        SubmittedLineView(line=number, result=one.result, errmsg=one.errmsg)
        for number, one in zip(numbers, answers, strict=True)
    ]
    accepted = sum(item.result == ResponseCode.OK for item in items)
    unavailable = sum(item.result == ResponseCode.UNAVAILABLE for item in items)
    refused = len(items) - accepted - unavailable
    view = BulkSubmitView(items=items, accepted=accepted, refused=refused, unavailable=unavailable)
    return JSONResponse(view.model_dump())


def _is_json(text: bytes) -> bool:
    if len(text) > _MAX_DECODED_BYTES:
        return False
    try:
        msgspec.json.decode(text.removeprefix(_BOM))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _response(result: int, errmsg: str) -> JSONResponse:
    headers = {"Retry-After": "1"} if result == ResponseCode.UNAVAILABLE else None
    return JSONResponse(
        {"result": int(result), "errmsg": errmsg}, _STATUS_BY_CODE.get(result, _REJECTED_STATUS), headers
    )
