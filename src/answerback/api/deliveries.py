"""/v1/deliveries and /v1/replays: deliveries of events to endpoints, and replays."""

from functools import partial

from fastapi.concurrency import run_in_threadpool
from pydantic import Field

from answerback.api.dependencies import (
    ByCallid,
    ByChannel,
    ByEndpoint,
    ByState,
    CurrentPrincipal,
    Cursor,
    IdPath,
    PageSize,
    StrictBody,
    UtcInstant,
    ValidText,
)
from answerback.api.routes import CONFLICT, NOT_FOUND, NUMBERS_HIDDEN, Routes
from answerback.auth.api_keys import check_filters
from answerback.domain.endpoints import Attempt
from answerback.domain.models import CallbackKind, Outcome, Role
from answerback.domain.phone_numbers import mask_text
from answerback.errors import InvalidEndpoint
from answerback.ledger import Ledger
from answerback.ledger.read.calls import CallFilter
from answerback.ledger.read.deliveries import DeliveryFilter
from answerback.relay import Relay
from answerback.schemas.deliveries import DeliveryView, DeliveryWithAttemptsView, ReplayView
from answerback.schemas.view import PageView


class ReplayCreate(StrictBody):
    """What to replay to an endpoint: either its dead deliveries, or everything about some calls."""

    endpoint: ValidText = Field(description="name or id", examples=["crm"])
    dead: bool = Field(default=False, strict=True, description="true: all dead deliveries of the endpoint")
    since: UtcInstant | None = Field(
        None, description="only calls first seen at this time or later; UTC if it names no time zone"
    )
    until: UtcInstant | None = Field(None, description="only calls first seen before this time")
    outcome: Outcome | None = Field(None, description="only calls with this outcome")
    kind: CallbackKind | None = Field(None, description="only calls of this kind")
    mobile: ValidText | None = Field(None, description="only calls to this number, in any notation")


def build_routes(ledger: Ledger, relay: Relay) -> Routes:
    router = Routes("deliveries")

    @router.get("/v1/deliveries", summary="List deliveries, newest first", responses=NUMBERS_HIDDEN | NOT_FOUND)
    def list_deliveries(
        principal: CurrentPrincipal,
        endpoint: ByEndpoint = None,
        state: ByState = None,
        callid: ByCallid = None,
        channel: ByChannel = None,
        cursor: Cursor = None,
        page_size: PageSize = 50,
    ) -> PageView[DeliveryView]:
        check_filters(principal.key, callid=callid)
        endpoint_id = None if endpoint is None else ledger.endpoint(endpoint).id
        filters = DeliveryFilter(endpoint_id=endpoint_id, state=state, callid=callid, channel=channel)
        page = ledger.deliveries(filters, cursor, page_size)
        return PageView.of(page, partial(DeliveryView.of, full_numbers=principal.full_numbers))

    @router.get("/v1/deliveries/{id}", summary="Get a delivery with its attempts", responses=NOT_FOUND)
    def get_delivery(id: IdPath, principal: CurrentPrincipal) -> DeliveryWithAttemptsView:
        found, attempts = ledger.delivery(id)
        principal.log_unmasked(sum(map(_holds_number, attempts)))
        return DeliveryWithAttemptsView.with_attempts(found, attempts, full_numbers=principal.full_numbers)

    @router.post(
        "/v1/deliveries/{id}/replay",
        status_code=202,
        summary="Deliver again now, whatever the delivery's state",
        responses=NOT_FOUND | CONFLICT,
        role=Role.OPERATOR,
    )
    async def replay_delivery(id: IdPath, principal: CurrentPrincipal) -> DeliveryView:
        await relay.replays.replay_delivery(principal.actor, id)
        delivery, _ = await run_in_threadpool(ledger.delivery, id)
        return DeliveryView.of(delivery, full_numbers=principal.full_numbers)

    @router.post(
        "/v1/replays",
        status_code=202,
        summary="Start a replay of many deliveries, in the background",
        responses=NOT_FOUND | CONFLICT,
        role=Role.OPERATOR,
    )
    async def start_replay(body: ReplayCreate, principal: CurrentPrincipal) -> ReplayView:
        endpoint = await relay.endpoints.find_current(body.endpoint)
        filters = CallFilter(**body.model_dump(exclude={"endpoint", "dead"}))
        if body.dead == (filters != CallFilter()):
            raise InvalidEndpoint(
                "dead", "give either dead: true, or a selection of calls: since, until, outcome, kind, mobile"
            )
        if body.dead:
            return ReplayView.read_from(await relay.replays.replay_dead(principal.actor, endpoint))
        return ReplayView.read_from(await relay.replays.replay_calls(principal.actor, endpoint, filters))

    @router.get("/v1/replays/{id}", summary="Get a replay and its progress", responses=NOT_FOUND)
    async def get_replay(id: IdPath) -> ReplayView:
        return ReplayView.read_from(relay.replays.find(id))

    return router


def _holds_number(attempt: Attempt) -> bool:
    """Whether an endpoint's response may contain a phone number."""
    text = f"{attempt.response_body.decode('utf-8', 'replace')} {attempt.error}"
    return mask_text(text) != text
