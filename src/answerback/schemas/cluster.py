"""The shape in which all processes of a ledger are shown, the same from the API and from the command line."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

from pydantic import Field

from answerback.domain.endpoints import Endpoint
from answerback.ledger.admin.instances import SILENT_AFTER_US, InstanceStatus
from answerback.ledger.admin.leases import lease_name
from answerback.ledger.read.cluster_status import ClusterStatus
from answerback.ledger.read.deliveries import DeliveryBacklog
from answerback.ledger.types import from_us
from answerback.schemas.view import View

_US = 1_000_000


class InstanceView(View):
    """A process that serves the ledger, by what it said last."""

    id: str = Field(examples=["5f0c2b7a91d3e468"])
    host: str = Field(examples=["voice-1"])
    pid: int
    roles: list[str] = Field(examples=[["intake", "recorder", "relay", "api", "console"]])
    version: str = Field(examples=["0.6.0"])
    started_at: datetime
    silent_s: float = Field(description="seconds since it was last heard of", examples=[1.2])
    silent: bool = Field(description=f"for more than {SILENT_AFTER_US // _US} s: it hangs, or has ended without a word")
    url: str | None = Field(description="where it listens", examples=["http://10.0.0.11:8000"])
    pending: int | None = Field(description="callbacks that wait for their commit")
    failure: str | None = Field(description="why it can store nothing now; null: it can")
    recorder_failure: str | None = Field(
        description="why nothing goes out of the stream into the ledger by it now; null: it does, or is not for it to do"
    )
    set_aside: int | None = Field(
        description="callbacks, since its start, that the ledger refused and that are in quarantine"
    )
    endpoints: int = Field(description="how many it tells")
    singleton_tasks: list[str] = Field(
        description="what only one process does, and this is the one", examples=[["overdue"]]
    )
    stream: dict[str, Any] | None = Field(description="what it says of the stream; null: it has none")

    @classmethod
    def of(cls, seen: InstanceStatus, *, endpoints: int) -> Self:
        """The view of a instance."""
        instance, state, relay = seen.instance, seen.status, seen.status.get("relay") or {}
        return cls(
            id=instance.id,
            host=instance.host,
            pid=instance.pid,
            roles=instance.roles,
            version=instance.version,
            started_at=from_us(instance.started_us),
            silent_s=round(seen.silent_us / _US, 1),
            silent=seen.silent_us > SILENT_AFTER_US,
            url=state.get("url"),
            pending=state.get("pending"),
            failure=state.get("failure"),
            recorder_failure=state.get("recorder_failure"),
            set_aside=state.get("set_aside"),
            endpoints=endpoints,
            singleton_tasks=relay.get("singleton_tasks", []),
            stream=state.get("stream"),
        )


class EndpointAssignmentView(View):
    """An endpoint: which process tells it, and how it does."""

    id: int
    name: str = Field(examples=["crm"])
    channel: str
    enabled: bool
    disabled_reason: str | None
    instance: str | None = Field(description="the process that tells it; null: none does now")
    paused_until: datetime | None = Field(description="it failed too often in a row; then it is probed")
    consecutive_failures: int = Field(description="those that made it pause")
    pending: int = Field(description="deliveries that may go out")
    blocked: int = Field(description="deliveries behind those, of the same calls")
    dead: int = Field(description="deliveries that were given up")
    lag_s: float | None = Field(description="age of the oldest that may go out; null: there is none", examples=[0.4])

    @classmethod
    def of(cls, endpoint: Endpoint, backlog: DeliveryBacklog, instance_id: str | None, now: datetime) -> Self:
        """The view of an endpoint."""
        lag_s = None if backlog.oldest_at is None else round(max(0.0, (now - backlog.oldest_at).total_seconds()), 1)
        return cls(
            id=endpoint.id,
            name=endpoint.name,
            channel=endpoint.channel,
            enabled=endpoint.enabled,
            disabled_reason=endpoint.disabled_reason,
            instance=instance_id,
            paused_until=endpoint.paused_until,
            consecutive_failures=endpoint.consecutive_failures,
            pending=backlog.pending,
            blocked=backlog.blocked,
            dead=backlog.dead,
            lag_s=lag_s,
        )


class StatusView(View):
    """All processes that serve one ledger, and what they do."""

    backend: str = Field(description="sqlite or postgresql", examples=["postgresql"])
    schema_revision: str | None = Field(examples=["0004"])
    at: datetime = Field(description="when this was so, by the ledger's clock")
    instances: list[InstanceView] = Field(description="the longest there first")
    secrets_differ: bool = Field(description="not all of them have the same server.secret: traces and sessions break")
    endpoints: list[EndpointAssignmentView] = Field(description="by name")

    @classmethod
    def of(cls, status: ClusterStatus) -> Self:
        """The view of how all stands."""
        now, holders = from_us(status.now_us), _holders(status)
        assigned = list(holders.values())
        return cls(
            backend=status.backend,
            schema_revision=status.schema,
            at=now,
            instances=[InstanceView.of(seen, endpoints=assigned.count(seen.instance.id)) for seen in status.instances],
            secrets_differ=len({seen.secret for seen in status.instances} - {None}) > 1,
            endpoints=[
                EndpointAssignmentView.of(one, status.backlog.get(one.id, DeliveryBacklog()), holders.get(one.id), now)
                for one in status.endpoints
            ],
        )


def _holders(status: ClusterStatus) -> Mapping[int, str]:
    """Endpoint id -> the member that tells it: by its lease, or where there are none the one that tells all."""
    for seen in status.instances:
        exclusive = (seen.status.get("relay") or {}).get("exclusive") and seen.silent_us <= SILENT_AFTER_US
        if exclusive:
            return {endpoint.id: seen.instance.id for endpoint in status.endpoints}
    known = {seen.instance.id for seen in status.instances}
    held = {lease.name: lease.holder for lease in status.leases if lease.expires_us > status.now_us}
    found = {endpoint.id: held.get(lease_name(endpoint.id)) for endpoint in status.endpoints}
    return {id_: holder for id_, holder in found.items() if holder in known}
