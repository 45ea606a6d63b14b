"""The view of a gateway's status, for the API and the command line."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from answerback.domain.endpoints import DeliveryBacklog, Endpoint
from answerback.inbox import InboxLag, RecorderFailure
from answerback.ledger.admin.instances import RECORDED_US, SILENT_AFTER_US, InstanceStatus
from answerback.ledger.admin.leases import lease_name
from answerback.ledger.read.cluster_status import ClusterStatus
from answerback.ledger.types import from_us
from answerback.schemas.cluster import EndpointAssignmentView, InboxView, InstanceView, StatusView
from answerback.schemas.erasures import ErasureView

_US = 1_000_000
_REPORTED = ("url", "pending", "failure", "recorder_failure", "waiting", "set_aside", "retention", "stream")
"""What an instance says of itself under these names."""


def build_status_view(status: ClusterStatus, inbox: InboxView | None) -> StatusView:
    now, holders = from_us(status.now_us), _holders(status)
    assigned = list(holders.values())
    return StatusView(
        backend=status.backend,
        schema_revision=status.schema,
        at=now,
        instances=[_instance_view(seen, assigned.count(seen.instance.id), status.now_us) for seen in status.instances],
        inbox=inbox,
        secrets_differ=len({seen.secret for seen in status.instances} - {None}) > 1,
        endpoints=[_assignment_view(one, status.backlog[one.id], holders.get(one.id), now) for one in status.endpoints],
        erasures=[*map(ErasureView.read_from, status.erasures)],
    )


def build_inbox_view(waiting: InboxLag, failure: RecorderFailure | None) -> InboxView:
    return InboxView(
        callbacks=waiting.callbacks,
        size_bytes=waiting.bytes,
        lag_s=round(waiting.age_s, 1),
        failure=None if failure is None else failure.reason,
        failing_since=None if failure is None else from_us(failure.since_us),
    )


def _instance_view(seen: InstanceStatus, endpoints: int, now_us: int) -> InstanceView:
    relay = seen.status.get("relay") or {}
    reported: dict[str, Any] = {name: seen.status.get(name) for name in _REPORTED}
    return InstanceView.read_from(
        seen.instance,
        started_at=from_us(seen.instance.started_us),
        silent_s=round(seen.silent_us / _US, 1),
        silent=seen.silent_us > SILENT_AFTER_US,
        recorder_lag_s=_recorder_lag_s(seen, now_us),
        endpoints=endpoints,
        singleton_tasks=relay.get("singleton_tasks", []),
        **reported,
    )


def _recorder_lag_s(seen: InstanceStatus, now_us: int) -> float | None:
    if seen.status.get("waiting") is None:
        return None
    recorded_us = seen.status.get(RECORDED_US)
    return 0.0 if recorded_us is None else round(max(0, now_us - recorded_us) / _US, 1)


def _assignment_view(
    endpoint: Endpoint, backlog: DeliveryBacklog, instance_id: str | None, now: datetime
) -> EndpointAssignmentView:
    lag_s = None if backlog.oldest_at is None else round(max(0.0, (now - backlog.oldest_at).total_seconds()), 1)
    return EndpointAssignmentView.read_from(
        endpoint, instance=instance_id, lag_s=lag_s, **msgspec.structs.asdict(backlog)
    )


def _holders(status: ClusterStatus) -> Mapping[int, str]:
    """Endpoint id -> the instance that delivers to it: by its lease, or the only relay if there are no leases."""
    for seen in status.instances:
        exclusive = (seen.status.get("relay") or {}).get("exclusive") and seen.silent_us <= SILENT_AFTER_US
        if exclusive:
            return {endpoint.id: seen.instance.id for endpoint in status.endpoints}
    known = {seen.instance.id for seen in status.instances}
    held = {lease.name: lease.holder for lease in status.leases if lease.expires_us > status.now_us}
    found = {endpoint.id: held.get(lease_name(endpoint.id)) for endpoint in status.endpoints}
    return {id_: holder for id_, holder in found.items() if holder in known}
