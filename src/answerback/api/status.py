"""/v1/status: the processes that serve the ledger, and what each does."""

from fastapi import APIRouter

from answerback.api.parts import PROBLEMS
from answerback.ledger.standing import find_standing
from answerback.ports import Shelf
from answerback.status_views import StatusView


def routes(ledger: Shelf) -> APIRouter:
    """The route /v1/status."""
    router = APIRouter(tags=["processes"])

    @router.get("/v1/status", summary="All processes of this ledger, and who tells which endpoint", responses=PROBLEMS)
    def get_status() -> StatusView:
        return StatusView.of(ledger.read(find_standing))

    return router
