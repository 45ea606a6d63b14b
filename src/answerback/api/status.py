"""/v1/status: the gateway's processes and their roles."""

from answerback.api.routes import Routes
from answerback.api.status_view import build_inbox_view, build_status_view
from answerback.ledger import Ledger
from answerback.ledger.read.cluster_status import read_cluster_status
from answerback.recorder import InboxRecorder
from answerback.schemas.cluster import StatusView


def build_routes(ledger: Ledger, recorder: InboxRecorder | None) -> Routes:
    router = Routes("processes")

    @router.get("/v1/status", summary="Get the gateway's processes, and which of them delivers to each endpoint")
    def get_status() -> StatusView:
        inbox = None if recorder is None else build_inbox_view(recorder.lag, recorder.note_failure())
        return build_status_view(ledger.read(read_cluster_status), inbox)

    return router
