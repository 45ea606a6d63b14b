"""The JSON of a gateway's status, the same from the API and the command line."""

from datetime import datetime
from typing import Any

from pydantic import Field

from answerback.schemas.erasures import ErasureView
from answerback.schemas.view import Entries, Items, View


class RetentionPassView(View):
    """What a process deleted for its age, in its last pass."""

    ended_at: datetime
    deleted: Entries[int] = Field(description="rows by table", examples=[{"calls": 1200, "callbacks": 2300}])


class InstanceView(View):
    """A running process of the gateway: the one that answers as it is now, others by their last heartbeats."""

    id: str = Field(examples=["5f0c2b7a91d3e468"])
    host: str = Field(examples=["voice-1"])
    pid: int
    roles: Items[str] = Field(examples=[["intake", "recorder", "relay", "api", "console"]])
    version: str = Field(examples=["0.6.0"])
    started_at: datetime
    silent_s: float = Field(description="seconds since its last heartbeat", examples=[1.2])
    silent: bool = Field(description="for so long that it hangs, or was killed")
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
    retention: RetentionPassView | None = Field(
        description="the last pass that deleted what is too old; null: it made none"
    )
    endpoints: int = Field(description="number of endpoints it delivers to")
    singleton_tasks: Items[str] = Field(description="singleton tasks that it runs", examples=[["overdue"]])
    stream: dict[str, Any] | None = Field(description="the stream as it sees it; null: no stream")


class InboxView(View):
    """What an inbox holds that is not in the ledger yet."""

    callbacks: int = Field(description="callbacks that were answered and are not recorded yet")
    size_bytes: int = Field(description="their size in the inbox")
    lag_s: float = Field(description="age of the oldest of them; 0: none", examples=[0.0])
    failure: str | None = Field(description="why they cannot be recorded now: the error met last; null: they can")
    failing_since: datetime | None = Field(description="since when nothing can be recorded; null: it can")


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


class StatusView(View):
    """The gateway's processes and endpoints."""

    backend: str = Field(description="sqlite or postgresql", examples=["postgresql"])
    schema_revision: str | None = Field(examples=["1_3a942b65"])
    at: datetime = Field(description="time of this status, by the ledger's clock")
    instances: Items[InstanceView] = Field(description="oldest first")
    inbox: InboxView | None = Field(
        description="the inbox of the process that answers this; null: it has none, because there is a stream"
    )
    secrets_differ: bool = Field(description="not all processes have the same server.secret: traces and sessions break")
    endpoints: Items[EndpointAssignmentView] = Field(description="by name")
    erasures: Items[ErasureView] = Field(description="those that are not done yet, oldest first")
