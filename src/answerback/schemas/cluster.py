"""The shape in which all processes of a ledger are shown, the same from the API and from the command line."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from answerback.domain.models import Endpoint
from answerback.ledger.admin.instances import SILENT_US, Seen
from answerback.ledger.admin.leases import lease_of
from answerback.ledger.read.cluster_status import Standing
from answerback.ledger.read.deliveries import Owed
from answerback.ledger.types import from_us

_US = 1_000_000


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class MemberView(_View):
    """A process that serves the ledger, by what it said last."""

    id: str = Field(examples=["5f0c2b7a91d3e468"])
    host: str = Field(examples=["voice-1"])
    pid: int
    roles: list[str] = Field(examples=[["intake", "record", "relay", "api", "console"]])
    version: str = Field(examples=["0.6.0"])
    started_at: datetime
    silent_s: float = Field(description="seconds since it was last heard of", examples=[1.2])
    silent: bool = Field(description=f"for more than {SILENT_US // _US} s: it hangs, or has ended without a word")
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
    duties: list[str] = Field(description="what only one process does, and this is the one", examples=[["overdue"]])
    stream: dict[str, Any] | None = Field(description="what it says of the stream; null: it has none")

    @classmethod
    def of(cls, seen: Seen, *, endpoints: int) -> Self:
        """The view of a member."""
        member, state, relay = seen.member, seen.state, seen.state.get("relay") or {}
        return cls(
            id=member.id,
            host=member.host,
            pid=member.pid,
            roles=member.roles,
            version=member.version,
            started_at=from_us(member.started_us),
            silent_s=round(seen.silent_us / _US, 1),
            silent=seen.silent_us > SILENT_US,
            url=state.get("url"),
            pending=state.get("pending"),
            failure=state.get("failure"),
            recorder_failure=state.get("recorder_failure"),
            set_aside=state.get("set_aside"),
            endpoints=endpoints,
            duties=relay.get("duties", []),
            stream=state.get("stream"),
        )


class ToldView(_View):
    """An endpoint: which process tells it, and how it does."""

    id: int
    name: str = Field(examples=["crm"])
    channel: str
    enabled: bool
    disabled_reason: str | None
    member: str | None = Field(description="the process that tells it; null: none does now")
    paused_until: datetime | None = Field(description="it failed too often in a row; then it is probed")
    failures_in_a_row: int = Field(description="those that made it pause")
    pending: int = Field(description="deliveries that may go out")
    waiting: int = Field(description="deliveries behind those, of the same calls")
    dead: int = Field(description="deliveries that were given up")
    lag_s: float | None = Field(description="age of the oldest that may go out; null: there is none", examples=[0.4])

    @classmethod
    def of(cls, endpoint: Endpoint, owed: Owed, member: str | None, now: datetime) -> Self:
        """The view of an endpoint."""
        lag_s = None if owed.oldest_at is None else round(max(0.0, (now - owed.oldest_at).total_seconds()), 1)
        return cls(
            id=endpoint.id,
            name=endpoint.name,
            channel=endpoint.channel,
            enabled=endpoint.enabled,
            disabled_reason=endpoint.disabled_reason,
            member=member,
            paused_until=endpoint.paused_until,
            failures_in_a_row=endpoint.failures,
            pending=owed.pending,
            waiting=owed.waiting,
            dead=owed.dead,
            lag_s=lag_s,
        )


class StatusView(_View):
    """All processes that serve one ledger, and what they do."""

    store: str = Field(description="sqlite or postgresql", examples=["postgresql"])
    schema_revision: str | None = Field(examples=["0004"])
    at: datetime = Field(description="when this was so, by the ledger's clock")
    members: list[MemberView] = Field(description="the longest there first")
    secrets_differ: bool = Field(description="not all of them have the same server.secret: traces and sessions break")
    endpoints: list[ToldView] = Field(description="by name")

    @classmethod
    def of(cls, standing: Standing) -> Self:
        """The view of how all stands."""
        now, holders = from_us(standing.now_us), _holders(standing)
        told = list(holders.values())
        return cls(
            store=standing.backend,
            schema_revision=standing.schema,
            at=now,
            members=[MemberView.of(seen, endpoints=told.count(seen.member.id)) for seen in standing.members],
            secrets_differ=len({seen.secret for seen in standing.members} - {None}) > 1,
            endpoints=[
                ToldView.of(one, standing.owed.get(one.id, Owed()), holders.get(one.id), now)
                for one in standing.endpoints
            ],
        )


def _holders(standing: Standing) -> Mapping[int, str]:
    """Endpoint id -> the member that tells it: by its lease, or where there are none the one that tells all."""
    for seen in standing.members:
        alone = (seen.state.get("relay") or {}).get("alone") and seen.silent_us <= SILENT_US
        if alone:
            return {endpoint.id: seen.member.id for endpoint in standing.endpoints}
    known = {seen.member.id for seen in standing.members}
    held = {lease.name: lease.holder for lease in standing.leases if lease.until_us > standing.now_us}
    found = {endpoint.id: held.get(lease_of(endpoint.id)) for endpoint in standing.endpoints}
    return {id_: holder for id_, holder in found.items() if holder in known}
