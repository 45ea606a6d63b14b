"""The JSON of a gateway's status, the same from the API and the command line."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

import msgspec
from pydantic import Field

from answerback.domain.endpoints import Endpoint
from answerback.inbox import Waiting
from answerback.ledger.admin.instances import RECORDED_US, SILENT_AFTER_US, InstanceStatus
from answerback.ledger.admin.leases import lease_name
from answerback.ledger.read.cluster_status import ClusterStatus
from answerback.ledger.read.deliveries import DeliveryBacklog
from answerback.ledger.types import from_us
from answerback.schemas.view import View

_US = 1_000_000
_REPORTED = ("url", "pending", "failure", "recorder_failure", "waiting", "set_aside", "stream")
"""What an instance says of itself under these names."""


class InstanceView(View):
    """A running process of the gateway, by its last heartbeat."""

    id: str = Field(examples=["5f0c2b7a91d3e468"])
    host: str = Field(examples=["voice-1"])
    pid: int
    roles: list[str] = Field(examples=[["intake", "recorder", "relay", "api", "console"]])
    version: str = Field(examples=["0.6.0"])
    started_at: datetime
    silent_s: float = Field(description="seconds since its last heartbeat", examples=[1.2])
    silent: bool = Field(description=f"for more than {SILENT_AFTER_US // _US} s: it hangs, or was killed")
    url: str | None = Field(description="the address it listens on", examples=["http://10.0.0.11:8000"])
    pending: int | None = Field(description="callbacks waiting for a commit")
    failure: str | None = Field(description="why it cannot store callbacks now; null: it can")
    recorder_failure: str | None = Field(
        description="why its recorder cannot write to the ledger now; null: it can, or it has no recorder"
    )
    waiting: int | None = Field(description="callbacks in its inbox that are not recorded yet; null: it has no inbox")
    recorder_lag_s: float | None = Field(
        description="age of the oldest of those; null: it has no inbox", examples=[0.0]
    )
    set_aside: int | None = Field(
        description="callbacks that the ledger refused and that were quarantined, since its start"
    )
    endpoints: int = Field(description="number of endpoints it delivers to")
    singleton_tasks: list[str] = Field(description="singleton tasks that it runs", examples=[["overdue"]])
    stream: dict[str, Any] | None = Field(description="the stream as it sees it; null: no stream")

    @classmethod
    def of(cls, seen: InstanceStatus, *, endpoints: int, now_us: int) -> Self:
        relay = seen.status.get("relay") or {}
        reported: dict[str, Any] = {name: seen.status.get(name) for name in _REPORTED}
        return cls.read_from(
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


class InboxView(View):
    """What an inbox holds that is not in the ledger yet."""

    callbacks: int = Field(description="callbacks that were answered and are not recorded yet")
    size_bytes: int = Field(description="their size in the inbox")
    lag_s: float = Field(description="age of the oldest of them; 0: none", examples=[0.0])
    failure: str | None = Field(description="why they cannot be recorded now; null: they can, or that is not known")

    @classmethod
    def of(cls, waiting: Waiting, failure: str | None) -> Self:
        return cls(
            callbacks=waiting.callbacks,
            size_bytes=waiting.bytes,
            lag_s=round(waiting.age_s, 1),
            failure=failure,
        )


class EndpointAssignmentView(View):
    """An endpoint, the process that delivers to it, and its backlog."""

    id: int
    name: str = Field(examples=["crm"])
    channel: str
    enabled: bool
    disabled_reason: str | None
    instance: str | None = Field(description="the process that delivers to it; null: none now")
    paused_until: datetime | None = Field(
        description="set while the circuit breaker is open: when the next probe is sent"
    )
    consecutive_failures: int = Field(description="failed attempts in a row")
    pending: int = Field(description="deliveries ready to be sent, or waiting for a retry")
    blocked: int = Field(description="deliveries waiting for earlier ones of the same calls")
    dead: int = Field(description="deliveries whose last retry failed, or that were refused for good")
    lag_s: float | None = Field(description="age of the oldest delivery ready to be sent; null: none", examples=[0.4])

    @classmethod
    def of(cls, endpoint: Endpoint, backlog: DeliveryBacklog, instance_id: str | None, now: datetime) -> Self:
        lag_s = None if backlog.oldest_at is None else round(max(0.0, (now - backlog.oldest_at).total_seconds()), 1)
        return cls.read_from(endpoint, instance=instance_id, lag_s=lag_s, **msgspec.structs.asdict(backlog))


class StatusView(View):
    """The gateway's processes and endpoints."""

    backend: str = Field(description="sqlite or postgresql", examples=["postgresql"])
    schema_revision: str | None = Field(examples=["1_3a942b65"])
    at: datetime = Field(description="time of this status, by the ledger's clock")
    instances: list[InstanceView] = Field(description="oldest first")
    inbox: InboxView | None = Field(
        description="the inbox of the process that answers this; null: it has none, because there is a stream"
    )
    secrets_differ: bool = Field(description="not all processes have the same server.secret: traces and sessions break")
    endpoints: list[EndpointAssignmentView] = Field(description="by name")

    @classmethod
    def of(cls, status: ClusterStatus, inbox: InboxView | None) -> Self:
        now, holders = from_us(status.now_us), _holders(status)
        assigned = list(holders.values())
        return cls(
            backend=status.backend,
            schema_revision=status.schema,
            at=now,
            instances=[
                InstanceView.of(seen, endpoints=assigned.count(seen.instance.id), now_us=status.now_us)
                for seen in status.instances
            ],
            inbox=inbox,
            secrets_differ=len({seen.secret for seen in status.instances} - {None}) > 1,
            endpoints=[
                EndpointAssignmentView.of(one, status.backlog[one.id], holders.get(one.id), now)
                for one in status.endpoints
            ],
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
