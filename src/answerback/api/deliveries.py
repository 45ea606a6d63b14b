"""/v1/deliveries and /v1/replays: what was told to whom, and telling it again."""

from typing import Annotated

from fastapi import Query
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from answerback.api.dependencies import (
    CONFLICT,
    FORBIDDEN,
    NOT_FOUND,
    NUMBERS_HIDDEN,
    OPERATOR,
    PROBLEMS,
    UNFIT,
    Asking,
    Channel,
    Cursor,
    Instant,
    Limit,
    Text,
    utc,
)
from answerback.api.routes import Routes
from answerback.auth.api_keys import check_filters
from answerback.domain.models import Attempt, Kind, Outcome, State
from answerback.domain.phone_numbers import mask_text
from answerback.errors import UnfitEndpoint
from answerback.ledger import Ledger
from answerback.ledger.read.calls import CallFilter
from answerback.ledger.read.deliveries import DeliveryFilter
from answerback.relay import Relay
from answerback.schemas.calls import DeliveryView, DeliveryWithAttemptsView, Listing, ReplayView


class NewReplay(BaseModel):
    """What is to be told again: either the dead deliveries of an endpoint, or everything about some calls."""

    model_config = ConfigDict(extra="forbid")

    endpoint: Text = Field(description="name or id", examples=["crm"])
    dead: bool = Field(default=False, strict=True, description="all its dead deliveries")
    since: Instant | None = Field(None, description="calls first seen from then on; UTC where it names no zone")
    until: Instant | None = Field(None, description="calls first seen before then")
    outcome: Outcome | None = Field(None, description="only calls with this outcome")
    kind: Kind | None = Field(None, description="only calls of this kind")
    mobile: Text | None = Field(None, description="only calls to this number, however it is spelled")


def routes(ledger: Ledger, relay: Relay) -> Routes:
    """The routes below /v1/deliveries and /v1/replays."""
    router = Routes("deliveries")

    @router.get(
        "/v1/deliveries", summary="Deliveries, newest first", responses=PROBLEMS | NUMBERS_HIDDEN | NOT_FOUND | UNFIT
    )
    def list_deliveries(
        reader: Asking,
        endpoint: Annotated[str | None, Query(description="name or id")] = None,
        state: State | None = None,
        callid: str | None = None,
        channel: Channel = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> Listing[DeliveryView]:
        check_filters(reader.key, callid=callid)
        endpoint_id = None if endpoint is None else ledger.endpoint(endpoint).id
        wanted = DeliveryFilter(endpoint_id=endpoint_id, state=state, callid=callid, channel=channel)
        page = ledger.deliveries(wanted, cursor, limit)
        views = [DeliveryView.of(one, full_numbers=reader.full_numbers) for one in page.items]
        return Listing(items=views, next_cursor=page.next_cursor)

    @router.get("/v1/deliveries/{id}", summary="One, with its attempts", responses=PROBLEMS | NOT_FOUND)
    def get_delivery(id: int, reader: Asking) -> DeliveryWithAttemptsView:
        found, attempts = ledger.delivery(id)
        reader.shown(sum(map(_holds_number, attempts)))
        return DeliveryWithAttemptsView.with_attempts(found, attempts, full_numbers=reader.full_numbers)

    @router.post(
        "/v1/deliveries/{id}/retry",
        status_code=202,
        summary="Tell it again, now, whatever became of it",
        responses=PROBLEMS | FORBIDDEN | NOT_FOUND | CONFLICT,
        dependencies=[OPERATOR],
    )
    async def retry_delivery(id: int, reader: Asking) -> DeliveryView:
        await relay.replays.one(reader.actor, id)
        told, _ = await run_in_threadpool(ledger.delivery, id)
        return DeliveryView.of(told, full_numbers=reader.full_numbers)

    @router.post(
        "/v1/replays",
        status_code=202,
        summary="Tell many again, in the background",
        responses=PROBLEMS | FORBIDDEN | NOT_FOUND | CONFLICT | UNFIT,
        dependencies=[OPERATOR],
    )
    async def start_replay(body: NewReplay, reader: Asking) -> ReplayView:
        await relay.endpoints.refresh()
        endpoint = relay.endpoints.find(body.endpoint)
        wanted = CallFilter(
            since=utc(body.since), until=utc(body.until), outcome=body.outcome, kind=body.kind, mobile=body.mobile
        )
        if body.dead == (wanted != CallFilter()):
            raise UnfitEndpoint("dead", "say either dead: true, or which calls: since, until, outcome, kind, mobile")
        if body.dead:
            return ReplayView.of(await relay.replays.dead(reader.actor, endpoint))
        return ReplayView.of(await relay.replays.calls(reader.actor, endpoint, wanted))

    @router.get("/v1/replays/{id}", summary="How far a replay is", responses=PROBLEMS | NOT_FOUND)
    async def get_replay(id: int) -> ReplayView:
        return ReplayView.of(relay.replays.find(id))

    return router


def _holds_number(attempt: Attempt) -> bool:
    """Whether what an endpoint answered may hold somebody's number."""
    told = f"{attempt.answer.decode('utf-8', 'replace')} {attempt.error}"
    return mask_text(told) != told
