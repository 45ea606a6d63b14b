"""/v1/status: the gateway's processes and their roles."""

from answerback.api.routes import Routes
from answerback.ledger import Ledger
from answerback.ledger.read.cluster_status import read_cluster_status
from answerback.recorder import Recorder
from answerback.schemas.cluster import InboxView, StatusView


def build_routes(ledger: Ledger, recorder: Recorder | None) -> Routes:
    router = Routes("processes")

    @router.get("/v1/status", summary="Get the gateway's processes, and which of them delivers to each endpoint")
    def get_status() -> StatusView:
        failure = None if recorder is None or recorder.failure is None else str(recorder.failure)
        inbox = None if recorder is None else InboxView.of(recorder.lag, failure)
        return StatusView.of(ledger.read(read_cluster_status), inbox)

    return router
