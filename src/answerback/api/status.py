"""/v1/status: the gateway's processes and their roles."""

from answerback.api.routes import Routes
from answerback.ledger import Ledger
from answerback.ledger.read.cluster_status import read_cluster_status
from answerback.schemas.cluster import StatusView


def build_routes(ledger: Ledger) -> Routes:
    router = Routes("processes")

    @router.get("/v1/status", summary="Get the gateway's processes, and which of them delivers to each endpoint")
    def get_status() -> StatusView:
        return StatusView.of(ledger.read(read_cluster_status))

    return router
