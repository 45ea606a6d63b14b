"""/v1/quarantine: request bodies that could not be parsed."""

from functools import partial

from answerback.api.dependencies import ByChannel, CurrentPrincipal, Cursor, IdPath, PageSize
from answerback.api.routes import NOT_FOUND, Routes
from answerback.domain.models import Role
from answerback.domain.phone_numbers import mask_text
from answerback.errors import ResourceNotFound
from answerback.ledger import Ledger
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import DeleteQuarantined, RequeueQuarantined
from answerback.ledger.read.paging import MAX_ID
from answerback.schemas.callbacks import QuarantinedBodyView, QuarantinedView, RequeueView
from answerback.schemas.view import PageView


def build_routes(ledger: Ledger, writer: LedgerClient) -> Routes:
    router = Routes("quarantine")

    @router.get("/v1/quarantine", summary="List quarantined bodies, newest first")
    def list_quarantined(
        principal: CurrentPrincipal, channel: ByChannel = None, cursor: Cursor = None, page_size: PageSize = 50
    ) -> PageView[QuarantinedView]:
        page = ledger.quarantined(channel, cursor, page_size)
        principal.log_unmasked(sum(mask_text(body.reason) != body.reason for body in page.items))
        return PageView.of(page, partial(QuarantinedView.of, full_numbers=principal.full_numbers))

    @router.get("/v1/quarantine/{id}", summary="Get a quarantined body with its bytes", responses=NOT_FOUND)
    def get_quarantined(id: IdPath, principal: CurrentPrincipal) -> QuarantinedBodyView:
        found = ledger.quarantined_body(id)
        principal.log_unmasked(1)
        return QuarantinedBodyView.with_body(found, full_numbers=principal.full_numbers)

    @router.post(
        "/v1/quarantine/{id}/requeue",
        summary="Parse a body again: if it is a callback now, it is recorded with the time it came in",
        responses=NOT_FOUND,
        role=Role.OPERATOR,
    )
    async def requeue_quarantined(id: IdPath, principal: CurrentPrincipal) -> RequeueView:
        requeued = await writer.execute(RequeueQuarantined(principal.actor, _valid_id(id)))
        disposition = None if requeued.disposition is None else requeued.disposition.name.lower()
        return RequeueView.read_from(requeued, full_numbers=principal.full_numbers, id=id, disposition=disposition)

    @router.delete(
        "/v1/quarantine/{id}",
        status_code=204,
        summary="Delete a quarantined body for good",
        responses=NOT_FOUND,
        role=Role.OPERATOR,
    )
    async def delete_quarantined(id: IdPath, principal: CurrentPrincipal) -> None:
        if not await writer.execute(DeleteQuarantined(principal.actor, [_valid_id(id)])):
            raise _not_found(id)

    return router


def _valid_id(id_: int) -> int:
    """Parse an id. Raises ResourceNotFound if it is out of range."""
    if not 0 <= id_ < MAX_ID:
        raise _not_found(id_)
    return id_


def _not_found(id_: int) -> ResourceNotFound:
    return ResourceNotFound(f"nothing in quarantine with id {id_}")
