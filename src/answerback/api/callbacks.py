"""POST /v1/callbacks: outcomes that a platform hands in, one or many."""

from collections.abc import Collection, Sequence
from io import BytesIO
from itertools import islice
from typing import Annotated, Any

import msgspec
from fastapi import Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from answerback.api.dependencies import FORBIDDEN, OPERATOR, PROBLEMS, UNFIT, Asking
from answerback.api.routes import Routes
from answerback.config import DEFAULT_CHANNEL
from answerback.errors import UnfitEndpoint
from answerback.intake.bulk_submit import Submission, Told
from answerback.tencent.codes import Answered

PATH = "/v1/callbacks"
MOST_LINES = 10_000
LARGEST_BYTES = 32 * 1024 * 1024

_NDJSON = "ndjson"
_BOM = b"\xef\xbb\xbf"
_LARGEST_LOOK_BYTES = 1024 * 1024
"""No callback is larger, and what is decoded in one piece holds everything else up."""

_STATUS_OF: dict[int, int] = {Answered.OK: 200, Answered.UNAVAILABLE: 503, Answered.TOO_LARGE: 413}
_REFUSED = 400


class LineView(BaseModel):
    """What one line is answered, by the contract."""

    line: int = Field(description="from 1 on")
    result: int = Field(description="0: stored, or the same as one that is stored")
    errmsg: str


class SubmittedView(BaseModel):
    """What became of many callbacks: one item per line that is not empty, in order."""

    items: list[LineView]
    accepted: int
    refused: int = Field(description="no callbacks; but for those that are too large they are in quarantine")
    unavailable: int = Field(description="not known to be stored: hand these in again")


class AnswerView(BaseModel):
    """What a single callback is answered."""

    result: int
    errmsg: str


_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"type": "object"}},
            "application/x-ndjson": {"schema": {"type": "string"}},
        },
    }
}


def routes(submission: Submission, channels: Sequence[str]) -> Routes:
    """The route /v1/callbacks."""
    router = Routes("callbacks")

    @router.post(
        PATH,
        summary="Hand in one callback as JSON, or up to 10,000 as NDJSON",
        response_model=SubmittedView | AnswerView,
        responses=PROBLEMS | FORBIDDEN | UNFIT | {400: {"model": AnswerView}, 413: {"model": AnswerView}},
        dependencies=[OPERATOR],
        openapi_extra=_BODY,
    )
    async def submit_callbacks(
        request: Request,
        reader: Asking,
        channel: Annotated[str, Query(description="the channel that they came by")] = DEFAULT_CHANNEL,
    ) -> JSONResponse:
        if channel not in channels:
            raise UnfitEndpoint("channel", f"there is no channel {channel}")
        parts = await _read(request)
        if parts is None:
            return _answer(Answered.TOO_LARGE, f"the body is larger than {LARGEST_BYTES} bytes")
        are_many = _NDJSON in request.headers.get("content-type", "")
        lines = await run_in_threadpool(_lines, parts, are_many=are_many)
        if isinstance(lines, bytes):
            reader.log("callbacks_submitted", channel=channel, count=1)
            (told,) = await submission.take(channel, [lines])
            return _answer(told.result, told.errmsg)
        if len(lines) > MOST_LINES:
            return _answer(Answered.TOO_LARGE, f"there are more than {MOST_LINES} callbacks")
        reader.log("callbacks_submitted", channel=channel, count=len(lines))
        answers = await submission.take(channel, list(lines.values()))
        return await run_in_threadpool(_told, list(lines), answers)

    return router


async def _read(request: Request) -> list[bytes] | None:
    """The whole body in parts, or None where it is too large."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size <= LARGEST_BYTES:
            parts.append(part)
    return parts if size <= LARGEST_BYTES else None


def _lines(parts: Sequence[bytes], *, are_many: bool) -> dict[int, bytes] | bytes:
    """The lines that are not empty, by number, and no more than one too many; or the body, where it is one callback.

    It is gone through line by line: one look of C at so much would hold Python's lock, and with it the event loop. Many
    short lines would take a hundred times their size in memory.
    """
    body = b"".join(parts)
    filled = ((number, line.rstrip(b"\r\n")) for number, line in enumerate(BytesIO(body), 1) if not line.isspace())
    lines = dict(islice(filled, MOST_LINES + 1))
    return body if not are_many and _is_one(body, lines.values()) else lines


def _is_one(body: bytes, lines: Collection[bytes]) -> bool:
    """Whether this is one JSON text, over however many lines, or meant to be one: no line of it is JSON by itself."""
    return len(lines) <= 1 or _is_json(body) or not any(map(_is_json, lines))


def _told(numbers: Sequence[int], answers: Sequence[Told]) -> JSONResponse:
    items = [
        LineView(line=number, result=told.result, errmsg=told.errmsg)
        for number, told in zip(numbers, answers, strict=True)
    ]
    accepted = sum(item.result == Answered.OK for item in items)
    unavailable = sum(item.result == Answered.UNAVAILABLE for item in items)
    refused = len(items) - accepted - unavailable
    view = SubmittedView(items=items, accepted=accepted, refused=refused, unavailable=unavailable)
    return JSONResponse(view.model_dump())


def _is_json(text: bytes) -> bool:
    if len(text) > _LARGEST_LOOK_BYTES:
        return False
    try:
        msgspec.json.decode(text.removeprefix(_BOM))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _answer(result: int, errmsg: str) -> JSONResponse:
    headers = {"Retry-After": "1"} if result == Answered.UNAVAILABLE else None
    return JSONResponse({"result": int(result), "errmsg": errmsg}, _STATUS_OF.get(result, _REFUSED), headers)
