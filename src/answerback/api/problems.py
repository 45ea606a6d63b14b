"""Every error is answered as a Problem, in JSON."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import unquote_to_bytes

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

from answerback.errors import (
    AmbiguousCall,
    AnswerbackError,
    ExportFailed,
    InvalidCursor,
    InvalidField,
    LedgerUnavailable,
    MissingExtra,
    PermissionDenied,
    ResourceNotFound,
    StateConflict,
    TooManyAttempts,
    TooManyExports,
    UnavailableReason,
)
from answerback.feed.activity_feed import TooManySubscribers
from answerback.schemas.view import Problem

_STATUS_BY_ERROR: dict[type[AnswerbackError], int] = {
    PermissionDenied: 403,
    ResourceNotFound: 404,
    AmbiguousCall: 409,
    StateConflict: 409,
    InvalidCursor: 422,
    InvalidField: 422,
    TooManyAttempts: 429,
    MissingExtra: 501,
    ExportFailed: 503,
    LedgerUnavailable: 503,
    TooManyExports: 503,
    TooManySubscribers: 503,
}
log = structlog.get_logger("answerback.api")

_METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")


class _ProblemResponse(JSONResponse):
    """A Problem; text quoted from a request may contain half a surrogate pair, which only JSON's escapes can express."""

    media_type = "application/json"

    def __init__(self, problem: Problem, status: int, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(problem.model_dump(exclude_none=True), status, headers)

    def render(self, content: Any) -> bytes:
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


class _PathValidation:
    """ASGI middleware: answers 422 to paths that no id can match, in place of 404."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = _path_problem(scope) if scope["type"] == "http" else None
        answer = None if problem is None else _ProblemResponse(Problem(detail=f"path: {problem}", field="path"), 422)
        await (answer or self._app)(scope, receive, send)


def _path_problem(scope: Scope) -> str | None:
    try:
        unquote_to_bytes(scope["raw_path"]).decode()
    except UnicodeDecodeError:
        return "is not UTF-8"
    return None if scope["path"].isprintable() else "contains a line break or another unprintable character"


def add_problems(api: FastAPI) -> None:
    """Register handlers that answer every error of `api` as a Problem."""
    api.add_middleware(_PathValidation)
    for kind in _STATUS_BY_ERROR:
        api.add_exception_handler(kind, _handle_known_error)
    api.add_exception_handler(RequestValidationError, _handle_validation_error)
    api.add_exception_handler(HTTPException, _handle_http_error)
    api.add_exception_handler(ClientDisconnect, _handle_hang_up)
    api.add_exception_handler(Exception, _handle_unexpected_error)


def _handle_known_error(_request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, LedgerUnavailable):
        log.warning("ledger_unavailable", reason=str(error), detail=error.detail)
        if error.reason is UnavailableReason.VALUE:  # to ask again would not help
            return _ProblemResponse(Problem(detail=str(error)), 422)
    status = next(_STATUS_BY_ERROR[kind] for kind in type(error).__mro__ if kind in _STATUS_BY_ERROR)
    field = "cursor" if isinstance(error, InvalidCursor) else getattr(error, "field", None)
    problem = Problem(detail=str(error), field=field, channels=getattr(error, "channels", None))
    retry_after_s = getattr(error, "retry_after_s", None)
    headers = None if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    return _ProblemResponse(problem, status, headers)


def _handle_validation_error(request: Request, error: Exception) -> JSONResponse:
    first = cast(RequestValidationError, error).errors()[0]
    if first["type"] == "json_invalid":
        return _unreadable_body(f"is not JSON: {first['ctx']['error']} (character {first['loc'][-1]})")
    if first["loc"] == ("body",) and isinstance(first.get("input"), bytes) and first["input"]:  # it was not read
        content_type = request.headers.get("content-type")
        problem = "is missing" if content_type is None else "is not that of JSON"
        detail = f"Content-Type: {problem}: send application/json"
        return _ProblemResponse(Problem(detail=detail, field="Content-Type"), 422)
    field = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][-1])
    message = str(first["msg"]).removeprefix("Value error, ")
    if first["loc"][0] == "query" and " " in str(first.get("input")) and b"+" in request.scope["query_string"]:
        message += " (a + in a URL means a space: write %2B)"
    return _ProblemResponse(Problem(detail=f"{field}: {message}", field=field), 422)


def _handle_http_error(request: Request, error: Exception) -> JSONResponse:
    refusal = cast(HTTPException, error)
    if refusal.status_code == HTTPStatus.BAD_REQUEST:  # FastAPI's own word for bytes that no text is made of
        return _unreadable_body("is not JSON in UTF-8, or nests too deep")
    headers = dict(refusal.headers or {})
    detail = refusal.detail
    if refusal.status_code == HTTPStatus.NOT_FOUND and detail == HTTPStatus.NOT_FOUND.phrase:
        detail = "there is nothing at this address: /openapi.json lists what there is"
    if refusal.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_allowed(request))
        detail = f"{request.method} is not allowed at this address: {headers['Allow']}"
    return _ProblemResponse(Problem(detail=detail), refusal.status_code, headers)


def _handle_hang_up(_request: Request, _error: Exception) -> Response:
    return Response(status_code=400)  # which nobody reads


def _unreadable_body(problem: str) -> JSONResponse:
    return _ProblemResponse(Problem(detail=f"body: {problem}", field="body"), 422)


def _handle_unexpected_error(_request: Request, _error: Exception) -> JSONResponse:
    return _ProblemResponse(Problem(detail="internal error: see the gateway's log"), 500)


def _allowed(request: Request) -> list[str]:
    """The methods of all routes at this address: each route only knows its own."""
    routes = request.app.routes
    scopes = ((method, {**request.scope, "method": method}) for method in _METHODS)
    return [method for method, scope in scopes if any(route.matches(scope)[0] is Match.FULL for route in routes)]
