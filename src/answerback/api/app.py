"""The HTTP surface beside the callback URL: /v1, /healthz, /readyz, /metrics, /openapi.json."""

from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Annotated, Any, cast

from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from answerback.api.metrics import build_registry, scrape
from answerback.api.ports import Health, Meter, Shelf
from answerback.api.views import CallbackView, CallView, Listing, Problem, QuarantinedBodyView, QuarantinedView
from answerback.errors import AmbiguousCall, AnswerbackError, InvalidCursor, LedgerUnavailable, NotFound
from answerback.ledger.query import LARGEST_PAGE, CallFilter
from answerback.model import Kind, Outcome

Channel = Annotated[str | None, Query(description="needed where two channels hold the same callid")]
Cursor = Annotated[str | None, Query(description="`next_cursor` of the page before", max_length=128)]
Limit = Annotated[int, Query(ge=1, le=LARGEST_PAGE)]
Moment = Annotated[datetime | None, Query(description="ISO 8601; UTC where it names no zone")]

_PROBLEMS: dict[int | str, dict[str, Any]] = {
    401: {"model": Problem, "description": "no API key, or a wrong one"},
    503: {"model": Problem, "description": "the ledger does not answer"},
}
_NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": Problem, "description": "nothing by that id"}}
_AMBIGUOUS: dict[int | str, dict[str, Any]] = {
    409: {"model": Problem, "description": "several channels hold the callid: `channels` names them"}
}
_STATUS_OF: dict[type[AnswerbackError], int] = {
    NotFound: 404,
    AmbiguousCall: 409,
    InvalidCursor: 422,
    LedgerUnavailable: 503,
}


def build_api(ledger: Shelf, health: Health, meter: Meter, opens: Callable[[str], bool]) -> FastAPI:
    """Build the application; `opens` says whether an API key is right."""
    api = FastAPI(
        title="Answerback",
        summary="Know what became of every voice call.",
        version=version("answerback"),
        docs_url=None,
        redoc_url=None,
    )
    _add_problems(api)
    _add_health(api, ledger, health, meter)
    _add_calls(api, ledger, opens)
    _add_quarantine(api, ledger, opens)
    return api


def _add_problems(api: FastAPI) -> None:
    def known(_request: Request, error: Exception) -> JSONResponse:
        problem = Problem(detail=str(error), channels=getattr(error, "channels", None))
        if isinstance(error, InvalidCursor):
            problem = Problem(detail=str(error), field="cursor")
        return JSONResponse(problem.model_dump(exclude_none=True), _STATUS_OF[cast(type[AnswerbackError], type(error))])

    def unfit(_request: Request, error: Exception) -> JSONResponse:
        first = cast(RequestValidationError, error).errors()[0]
        field = str(first["loc"][-1])
        return JSONResponse({"detail": f"{field}: {first['msg']}", "field": field}, 422)

    for kind in _STATUS_OF:
        api.add_exception_handler(kind, known)
    api.add_exception_handler(RequestValidationError, unfit)


def _add_health(api: FastAPI, ledger: Shelf, health: Health, meter: Meter) -> None:
    registry = build_registry(meter, health, ledger)

    @api.get("/healthz", summary="Is the process alive?", tags=["health"])
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @api.get("/readyz", summary="Can a callback be stored now?", tags=["health"], responses={503: {}})
    async def readyz(response: Response) -> dict[str, str]:
        failure = health.failure
        if failure is None:
            return {"status": "ready"}
        response.status_code = 503
        return {"status": "not ready", "reason": failure}

    @api.get("/metrics", summary="Prometheus metrics", tags=["health"], response_class=Response)
    def metrics() -> Response:
        return Response(scrape(registry), media_type="text/plain; version=0.0.4; charset=utf-8")


def _reader(opens: Callable[[str], bool]) -> Any:
    """A dependency that lets only the holder of an API key through."""
    scheme = HTTPBearer(auto_error=False, description="the key in <data-dir>/admin-key")

    def reader(offered: Annotated[HTTPAuthorizationCredentials | None, Security(scheme)]) -> None:
        if offered is None or not opens(offered.credentials):
            detail = "send an API key: Authorization: Bearer …" if offered is None else "this API key is not known"
            raise HTTPException(401, detail, {"WWW-Authenticate": "Bearer"})

    return Depends(reader)


def _add_calls(api: FastAPI, ledger: Shelf, opens: Callable[[str], bool]) -> None:
    guarded: dict[str, Any] = {"dependencies": [_reader(opens)], "tags": ["calls"]}

    @api.get("/v1/calls", summary="Calls, newest first", responses=_PROBLEMS, **guarded)
    def calls(
        channel: str | None = None,
        mobile: Annotated[str | None, Query(description="exactly as received, without nationcode")] = None,
        outcome: Outcome | None = None,
        kind: Kind | None = None,
        since: Moment = None,
        until: Moment = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> Listing[CallView]:
        wanted = CallFilter(
            channel=channel, mobile=mobile, outcome=outcome, kind=kind, since=_utc(since), until=_utc(until)
        )
        page = ledger.calls(wanted, cursor, limit)
        return Listing(
            items=[CallView.of(call, full_numbers=True) for call in page.items], next_cursor=page.next_cursor
        )

    @api.get(
        "/v1/calls/{callid:path}/callbacks",
        summary="Its callbacks as received, in order",
        responses=_PROBLEMS | _NOT_FOUND | _AMBIGUOUS,
        **guarded,
    )
    def callbacks(callid: str, channel: Channel = None) -> Listing[CallbackView]:
        entries = ledger.callbacks(callid, channel)
        return Listing(items=[CallbackView.of(entry, full_numbers=True) for entry in entries])

    @api.get("/v1/calls/{callid:path}", summary="One call", responses=_PROBLEMS | _NOT_FOUND | _AMBIGUOUS, **guarded)
    def call(callid: str, channel: Channel = None) -> CallView:
        return CallView.of(ledger.call(callid, channel), full_numbers=True)


def _add_quarantine(api: FastAPI, ledger: Shelf, opens: Callable[[str], bool]) -> None:
    guarded: dict[str, Any] = {"dependencies": [_reader(opens)], "tags": ["quarantine"]}

    @api.get("/v1/quarantine", summary="Refused bodies, newest first", responses=_PROBLEMS, **guarded)
    def quarantine(channel: str | None = None, cursor: Cursor = None, limit: Limit = 50) -> Listing[QuarantinedView]:
        page = ledger.quarantined(channel, cursor, limit)
        return Listing(items=[QuarantinedView.of(body) for body in page.items], next_cursor=page.next_cursor)

    @api.get("/v1/quarantine/{id}", summary="One, with its bytes", responses=_PROBLEMS | _NOT_FOUND, **guarded)
    def body(id: int) -> QuarantinedBodyView:
        return QuarantinedBodyView.with_body(ledger.quarantined_body(id), full_numbers=True)


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
