"""/v1/status: the gateway's processes and their roles."""

from collections.abc import Callable

import msgspec
from fastapi.concurrency import run_in_threadpool

from answerback.api.routes import Routes
from answerback.api.status_view import build_inbox_view, build_status_view
from answerback.ledger import Ledger
from answerback.ledger.admin.instances import InstanceStatus
from answerback.ledger.read.cluster_status import ClusterStatus, read_cluster_status
from answerback.recorder import InboxRecorder
from answerback.schemas.cluster import StatusView


def build_routes(ledger: Ledger, recorder: InboxRecorder | None, itself: Callable[[], InstanceStatus]) -> Routes:
    """`itself` says how the process is that answers: a ledger that takes no heartbeat knows only how it was."""
    router = Routes("processes")

    @router.get("/v1/status", summary="Get the gateway's processes, and which of them delivers to each endpoint")
    async def get_status() -> StatusView:
        now = itself()
        inbox = None if recorder is None else build_inbox_view(recorder.lag, recorder.note_failure())
        found = await run_in_threadpool(ledger.read, read_cluster_status)
        return build_status_view(_with(found, now), inbox)

    return router


def _with(found: ClusterStatus, one: InstanceStatus) -> ClusterStatus:
    """The status, with one instance as it is now."""
    others = [other for other in found.instances if other.instance.id != one.instance.id]
    instances = sorted([*others, one], key=lambda each: (each.instance.started_us, each.instance.id))
    return msgspec.structs.replace(found, instances=instances)
