"""/v1/status: the processes that serve the ledger, and what each does."""

from answerback.api.dependencies import PROBLEMS
from answerback.api.routes import Routes
from answerback.ledger import Ledger
from answerback.ledger.read.cluster_status import find_standing
from answerback.schemas.cluster import StatusView


def routes(ledger: Ledger) -> Routes:
    """The route /v1/status."""
    router = Routes("processes")

    @router.get("/v1/status", summary="All processes of this ledger, and who tells which endpoint", responses=PROBLEMS)
    def get_status() -> StatusView:
        return StatusView.of(ledger.read(find_standing))

    return router
