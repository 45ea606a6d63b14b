"""/v1/quarantine: what could not be understood."""

from fastapi import APIRouter

from answerback.api.parts import NOT_FOUND, PROBLEMS, Cursor, Limit
from answerback.api.ports import Shelf
from answerback.api.views import Listing, QuarantinedBodyView, QuarantinedView


def routes(ledger: Shelf) -> APIRouter:
    """The routes below /v1/quarantine."""
    router = APIRouter(tags=["quarantine"])

    @router.get("/v1/quarantine", summary="Refused bodies, newest first", responses=PROBLEMS)
    def quarantine(channel: str | None = None, cursor: Cursor = None, limit: Limit = 50) -> Listing[QuarantinedView]:
        page = ledger.quarantined(channel, cursor, limit)
        return Listing(items=[QuarantinedView.of(body) for body in page.items], next_cursor=page.next_cursor)

    @router.get("/v1/quarantine/{id}", summary="One, with its bytes", responses=PROBLEMS | NOT_FOUND)
    def body(id: int) -> QuarantinedBodyView:
        return QuarantinedBodyView.with_body(ledger.quarantined_body(id), full_numbers=True)

    return router
