"""The HTTP surface beside the callback URL: /v1, /healthz, /readyz, /metrics, /openapi.json."""

from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import cast

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from answerback.api import callbacks, calls, deliveries, endpoints, quarantine
from answerback.api.metrics import build_registry, scrape
from answerback.api.parts import guard
from answerback.api.ports import Health, Meter, Relay, Shelf, Submission
from answerback.api.views import Problem
from answerback.errors import (
    AmbiguousCall,
    AnswerbackError,
    Conflict,
    InvalidCursor,
    LedgerUnavailable,
    NotFound,
    UnfitEndpoint,
)

_STATUS_OF: dict[type[AnswerbackError], int] = {
    NotFound: 404,
    AmbiguousCall: 409,
    Conflict: 409,
    InvalidCursor: 422,
    UnfitEndpoint: 422,
    LedgerUnavailable: 503,
}


def build_api(
    ledger: Shelf,
    health: Health,
    meter: Meter,
    opens: Callable[[str], bool],
    relay: Relay,
    submission: Submission,
    channels: Sequence[str],
) -> FastAPI:
    """Build the application; `opens` says whether an API key is right, `channels` are the names there are."""
    api = FastAPI(
        title="Answerback",
        summary="Know what became of every voice call.",
        version=version("answerback"),
        docs_url=None,
        redoc_url=None,
    )
    _add_problems(api)
    _add_health(api, ledger, health, meter, relay)
    guarded = guard(opens)
    for router in (
        callbacks.routes(submission, channels),
        calls.routes(ledger, relay, channels),
        quarantine.routes(ledger),
        endpoints.routes(ledger, relay, channels),
        deliveries.routes(ledger, relay),
    ):
        api.include_router(router, dependencies=[guarded])
    return api


def _add_problems(api: FastAPI) -> None:
    def known(_request: Request, error: Exception) -> JSONResponse:
        field = "cursor" if isinstance(error, InvalidCursor) else getattr(error, "field", None)
        problem = Problem(detail=str(error), field=field, channels=getattr(error, "channels", None))
        return JSONResponse(problem.model_dump(exclude_none=True), _STATUS_OF[cast(type[AnswerbackError], type(error))])

    def unfit(_request: Request, error: Exception) -> JSONResponse:
        first = cast(RequestValidationError, error).errors()[0]
        field = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][-1])
        message = str(first["msg"]).removeprefix("Value error, ")
        return JSONResponse({"detail": f"{field}: {message}", "field": field}, 422)

    for kind in _STATUS_OF:
        api.add_exception_handler(kind, known)
    api.add_exception_handler(RequestValidationError, unfit)


def _add_health(api: FastAPI, ledger: Shelf, health: Health, meter: Meter, relay: Relay) -> None:
    registry = build_registry(meter, health, ledger, relay)

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
