"""/healthz, /readyz and /metrics: how the gateway itself is."""

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from answerback.api.ledger_numbers import LedgerNumbers
from answerback.api.metrics import build_registry, scrape
from answerback.ports import Health, Meter, Relay, Stream

_TEXT = "text/plain; version=0.0.4; charset=utf-8"


class AliveView(BaseModel):
    """The process answers."""

    status: Literal["alive"]


class ReadyView(BaseModel):
    """Callbacks can be stored."""

    status: Literal["ready"]


class UnreadyView(BaseModel):
    """Callbacks cannot be stored."""

    status: Literal["not ready"]
    reason: str = Field(description="what is wrong")


def routes(numbers: LedgerNumbers, health: Health, meter: Meter, relay: Relay, stream: Stream | None) -> APIRouter:
    """The routes; they need no key."""
    registry = build_registry(meter, health, numbers, relay, stream)
    router = APIRouter(tags=["health"])

    @router.get("/healthz", summary="Is the process alive?")
    async def get_health() -> AliveView:
        return AliveView(status="alive")

    @router.get(
        "/readyz",
        summary="Can a callback be stored now?",
        responses={503: {"model": UnreadyView, "description": "not now: `reason` says why"}},
    )
    async def get_readiness(response: Response) -> ReadyView | UnreadyView:
        failure = health.failure
        if failure is None:
            return ReadyView(status="ready")
        response.status_code = 503
        return UnreadyView(status="not ready", reason=failure)

    @router.get(
        "/metrics",
        summary="Prometheus metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    def get_metrics() -> Response:
        return Response(scrape(registry), media_type=_TEXT)

    return router
