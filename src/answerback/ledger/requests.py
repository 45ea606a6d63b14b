"""What the gateway asks of the ledger's writer: each request a value that can be sent, and the way it is carried out.

All writing goes this way, in the order in which it was asked for, one transaction each.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Generic, TypeVar

import msgspec
from sqlalchemy.engine import Connection

from answerback.errors import CallbackRejected, Conflict
from answerback.ledger import drained, endpoints, keys, leases, members, outbox, references, replays, settlement
from answerback.ledger.alerts import Alert, forget_alerts, keep_alerts
from answerback.ledger.drained import Batch
from answerback.ledger.endpoints import Draft
from answerback.ledger.keys import KeyDraft
from answerback.ledger.leases import Claimed
from answerback.ledger.members import Member
from answerback.ledger.query import CallFilter
from answerback.ledger.references import Overdue, Reference, Referred
from answerback.ledger.replays import Chunk
from answerback.ledger.store import Ledger
from answerback.ledger.values import Job, Pause, Recorded, Settled, Taken, Verdict, to_us
from answerback.model import ApiKey, Arrival, Endpoint, Format, Kind, Received, Rejected
from answerback.reading import understand

T = TypeVar("T")

_KINDS = (None, *Kind)
_VERDICTS = [Verdict(taken, kind) for taken in Taken for kind in _KINDS]
_CODES = {(verdict.taken, verdict.kind): code for code, verdict in enumerate(_VERDICTS)}


class Request(msgspec.Struct, Generic[T], frozen=True, array_like=True, tag=True):
    """One thing to do, and (`answer`) the type of what comes of it; each has `run`, which carries it out."""

    answer: ClassVar[Any] = None


class Witnessed(msgspec.Struct, frozen=True, array_like=True):
    """When a transaction was, and each callback in it, in order: its identity, when it came in, what became of it."""

    began_us: int
    ended_us: int
    callbacks: list[tuple[bytes, int, Taken]]


class Noted(msgspec.Struct, frozen=True, array_like=True):
    """What became of a batch: a byte per item, and result and errmsg of each refused one; what may go out now."""

    codes: bytes
    refusals: list[tuple[int, str]]
    jobs: list[Job]
    behind: list[int]
    witnessed: Witnessed | None = None

    def verdicts(self) -> list[Verdict]:
        """What each sender is to be told, in the order of the batch."""
        verdicts = [_VERDICTS[code] for code in self.codes]
        if self.refusals:
            refusals = iter(self.refusals)
            verdicts = [
                Verdict(verdict.taken, None, *next(refusals)) if verdict.kind is None else verdict
                for verdict in verdicts
            ]
        return verdicts


class Record(Request[Noted], frozen=True, array_like=True, tag=True):
    """Read and store bodies, and owe them to whoever is to be told; of endpoints that are `full` no jobs come back.

    `witness` asks for what `Witnessed` tells.
    """

    answer: ClassVar[Any] = Noted
    batch: Sequence[Arrival]
    full: list[int] = []
    witness: bool = False

    def run(self, ledger: Ledger) -> Noted:
        """Carry it out."""
        began_us = to_us(_now()) if self.witness else None
        items = [understand(arrival) for arrival in self.batch]
        recorded = ledger.take(items, self.full)
        kinds = (item.callback.kind if isinstance(item, Received) else None for item in items)
        codes = bytes([_CODES[receipt.taken, kind] for receipt, kind in zip(recorded.receipts, kinds, strict=True)])
        refusals = [(item.result, item.reason) for item in items if isinstance(item, Rejected)]
        return Noted(codes, refusals, recorded.jobs, recorded.behind, _witnessed(recorded, began_us))


class Drained(msgspec.Struct, frozen=True, array_like=True):
    """What became of batches of the stream: how many were new, and of their bodies by `Taken`; what may go out now."""

    new: int
    taken: dict[Taken, int]
    jobs: list[Job]
    behind: list[int]
    witnessed: Witnessed | None = None


class RecordDrained(Request[Drained], frozen=True, array_like=True, tag=True):
    """Do what `Record` does with batches of the stream; one that the ledger holds already changes nothing."""

    answer: ClassVar[Any] = Drained
    batches: Sequence[Batch]
    full: list[int] = []
    witness: bool = False

    def run(self, ledger: Ledger) -> Drained:
        """Carry it out."""
        began_us = to_us(_now()) if self.witness else None
        new, recorded = ledger.take_batches(self.batches, self.full)
        taken = Counter([receipt.taken for receipt in recorded.receipts])
        return Drained(len(new), dict(taken), recorded.jobs, recorded.behind, _witnessed(recorded, began_us))


class ForgetDrained(Request[int], frozen=True, array_like=True, tag=True):
    """Forget some batches of the stream that cannot come any more; how many there were."""

    answer: ClassVar[Any] = int
    before_us: int
    limit: int

    def run(self, ledger: Ledger) -> int:
        """Carry it out."""
        return ledger.write(lambda c, _: drained.forget(c, self.before_us, self.limit), beside=True, repeatable=True)


class Requeued(msgspec.Struct, frozen=True, array_like=True):
    """What became of a refused body that was read once more: None and the `reason` where it is still refused."""

    taken: Taken | None
    reason: str | None
    jobs: list[Job] = []
    behind: list[int] = []


class Requeue(Request[Requeued], frozen=True, array_like=True, tag=True):
    """Read a refused body once more; if it is a callback now, take it out of the quarantine."""

    answer: ClassVar[Any] = Requeued
    quarantined_id: int

    def run(self, ledger: Ledger) -> Requeued:
        """Carry it out."""
        try:
            recorded = ledger.take_again(self.quarantined_id)
        except CallbackRejected as rejection:
            return Requeued(None, rejection.errmsg)
        return Requeued(recorded.receipts[0].taken, None, recorded.jobs, recorded.behind)


class DropQuarantined(Request[int], frozen=True, array_like=True, tag=True):
    """Throw refused bodies away; how many there were."""

    answer: ClassVar[Any] = int
    ids: list[int]

    def run(self, ledger: Ledger) -> int:
        """Carry it out."""
        return ledger.drop_quarantined(self.ids)


class Probe(Request[None], frozen=True, array_like=True, tag=True):
    """Commit nothing of note."""

    def run(self, ledger: Ledger) -> None:
        """Carry it out."""
        ledger.probe()


class Settle(Request[list[Job]], frozen=True, array_like=True, tag=True):
    """Keep attempts and what they did; what that lets go out. `member`: only what it has leases for moves on."""

    answer: ClassVar[Any] = list[Job]
    settled: list[Settled]
    pauses: list[Pause]
    again: bool = False
    member: str | None = None

    def run(self, ledger: Ledger) -> list[Job]:
        """Carry it out."""

        def work(connection: Connection, box: outbox.Outbox) -> list[Job]:
            mine = None
            if self.member is not None:
                ids = {one.endpoint_id for one in self.settled} | {pause.endpoint_id for pause in self.pauses}
                mine = leases.not_lost(connection, self.member, ids)
            return settlement.settle(connection, box, self.settled, self.pauses, _now(), again=self.again, mine=mine)

        return ledger.write(work, beside=True)


class Loaded(msgspec.Struct, frozen=True, array_like=True):
    """What may go out to an endpoint now, and when the first of what it is owed is due."""

    jobs: list[Job]
    next_due_us: int | None


class Load(Request[Loaded], frozen=True, array_like=True, tag=True):
    """Read what may go out to an endpoint."""

    answer: ClassVar[Any] = Loaded
    endpoint_id: int
    limit: int

    def run(self, ledger: Ledger) -> Loaded:
        """Carry it out."""

        def work(connection: Connection, box: outbox.Outbox) -> Loaded:
            now_us = to_us(_now())
            jobs = outbox.load(connection, box, self.endpoint_id, now_us, self.limit)
            full = len(jobs) == self.limit
            return Loaded(jobs, None if full else outbox.next_due_us(connection, self.endpoint_id, now_us))

        return ledger.write(work, beside=True, repeatable=True)


class Backlog(Request[dict[int, int]], frozen=True, array_like=True, tag=True):
    """Which endpoints are owed something, and when the first of it is due."""

    answer: ClassVar[Any] = dict[int, int]

    def run(self, ledger: Ledger) -> dict[int, int]:
        """Carry it out."""
        return ledger.write(lambda c, _: outbox.backlog(c), beside=True, repeatable=True)


class Added(Request[tuple[int, list[tuple[int, int]]]], frozen=True, array_like=True, tag=True):
    """What may go out above a delivery's id, whichever process wrote it: how far that goes; endpoint and delivery."""

    answer: ClassVar[Any] = tuple[int, list[tuple[int, int]]]
    since: int
    limit: int

    def run(self, ledger: Ledger) -> tuple[int, list[tuple[int, int]]]:
        """Carry it out."""
        return ledger.write(lambda c, _: outbox.added_since(c, self.since, self.limit), beside=True)


class Endpoints(Request[list[Endpoint]], frozen=True, array_like=True, tag=True):
    """All endpoints that were not removed."""

    answer: ClassVar[Any] = list[Endpoint]

    def run(self, ledger: Ledger) -> list[Endpoint]:
        """Carry it out."""
        return ledger.write(lambda c, _: endpoints.find_endpoints(c), beside=True, repeatable=True)


class Changed(msgspec.Struct, frozen=True, array_like=True):
    """The endpoints that were changed, each with whether it is still there; and the revision up to which that holds."""

    revision: int
    endpoints: list[tuple[Endpoint, bool]]


class EndpointsSince(Request[Changed], frozen=True, array_like=True, tag=True):
    """The endpoints that were changed after a revision, by whichever process."""

    answer: ClassVar[Any] = Changed
    revision: int

    def run(self, ledger: Ledger) -> Changed:
        """Carry it out."""

        def work(connection: Connection) -> Changed:
            revision = endpoints.revision(connection)
            if revision == self.revision:
                return Changed(revision, [])
            return Changed(revision, endpoints.changed_since(connection, self.revision))

        return ledger.read(work)


class FirstDue(Request[dict[int, tuple[int, int]]], frozen=True, array_like=True, tag=True):
    """The first pending delivery of each of these endpoints that has one, and when it is due."""

    answer: ClassVar[Any] = dict[int, tuple[int, int]]
    endpoint_ids: list[int]

    def run(self, ledger: Ledger) -> dict[int, tuple[int, int]]:
        """Carry it out."""
        return ledger.read(lambda c: outbox.first_due(c, self.endpoint_ids))


class LeftOver(Request[list[int]], frozen=True, array_like=True, tag=True):
    """The removed endpoints that are still owed something."""

    answer: ClassVar[Any] = list[int]

    def run(self, ledger: Ledger) -> list[int]:
        """Carry it out."""
        return ledger.read(outbox.left_over)


class Claim(Request[Claimed], frozen=True, array_like=True, tag=True):
    """Renew a member's leases and take what is free: of the endpoints its fair share, and these duties.

    `here` are the endpoints whose deliveries it has in its hands.
    """

    answer: ClassVar[Any] = Claimed
    member: str
    here: list[int]
    duties: list[str]
    ttl_us: int

    def run(self, ledger: Ledger) -> Claimed:
        """Carry it out."""
        return ledger.write(
            lambda c, _: leases.claim(c, self.member, frozenset(self.here), self.duties, self.ttl_us), beside=True
        )


class Release(Request[int], frozen=True, array_like=True, tag=True):
    """Give back a member's leases of some endpoints, or (None) take leave with all that it has; how many there were."""

    answer: ClassVar[Any] = int
    member: str
    endpoint_ids: list[int] | None

    def run(self, ledger: Ledger) -> int:
        """Carry it out."""
        names = None if self.endpoint_ids is None else [leases.lease_of(id_) for id_ in self.endpoint_ids]

        def work(connection: Connection, _: outbox.Outbox) -> int:
            if names is None:
                members.leave(connection, self.member)  # or its share would stay free as long as it seems to be there
            return leases.release(connection, self.member, names)

        return ledger.write(work, beside=True, repeatable=True)


class Beat(Request[None], frozen=True, array_like=True, tag=True):
    """Note that a member lives, and what it says of itself."""

    member: Member
    state: dict[str, Any]

    def run(self, ledger: Ledger) -> None:
        """Carry it out."""
        ledger.write(lambda c, _: members.beat(c, self.member, self.state), beside=True, repeatable=True)


class Leave(Request[None], frozen=True, array_like=True, tag=True):
    """Forget a member that ends."""

    member: str

    def run(self, ledger: Ledger) -> None:
        """Carry it out."""
        ledger.write(lambda c, _: members.leave(c, self.member), beside=True, repeatable=True)


class Align(Request[list[Endpoint]], frozen=True, array_like=True, tag=True):
    """Change and add endpoints, all or none; all there are then."""

    answer: ClassVar[Any] = list[Endpoint]
    changed: list[Endpoint]
    added: list[Draft]

    def run(self, ledger: Ledger) -> list[Endpoint]:
        """Carry it out."""

        def work(connection: Connection, _: outbox.Outbox) -> list[Endpoint]:
            now = _now()
            for endpoint in self.changed:
                _change(connection, endpoint, now)
            taken = {endpoint.name for endpoint in endpoints.find_endpoints(connection)}
            if added := [draft for draft in self.added if draft.name not in taken]:  # another process may be first
                endpoints.add_all(connection, added, now)
            return endpoints.find_endpoints(connection)

        return ledger.write(work)


class AddEndpoint(Request[Endpoint], frozen=True, array_like=True, tag=True):
    """Add an endpoint."""

    answer: ClassVar[Any] = Endpoint
    draft: Draft

    def run(self, ledger: Ledger) -> Endpoint:
        """Carry it out."""
        return ledger.write(lambda c, _: endpoints.add(c, self.draft, _now()))


class ChangeEndpoint(Request[Endpoint], frozen=True, array_like=True, tag=True):
    """Bring the endpoint of that id up to this; `unchanged`: only as long as nobody else has changed it since."""

    answer: ClassVar[Any] = Endpoint
    endpoint: Endpoint
    unchanged: bool = False

    def run(self, ledger: Ledger) -> Endpoint:
        """Carry it out."""

        def work(connection: Connection, _: outbox.Outbox) -> Endpoint:
            if self.unchanged and not endpoints.is_as_of(connection, self.endpoint):
                raise Conflict(f"endpoint {self.endpoint.name} was changed at this moment: look at it and try again")
            return _change(connection, self.endpoint, _now())

        return ledger.write(work)


class RemoveEndpoint(Request[None], frozen=True, array_like=True, tag=True):
    """Remove an endpoint."""

    endpoint_id: int

    def run(self, ledger: Ledger) -> None:
        """Carry it out."""
        ledger.write(lambda c, _: endpoints.remove(c, self.endpoint_id, _now()))


class Abandon(Request[int], frozen=True, array_like=True, tag=True):
    """Give up a part of what a removed endpoint is owed; how much it was, and 0 where it was not removed."""

    answer: ClassVar[Any] = int
    endpoint_id: int
    limit: int

    def run(self, ledger: Ledger) -> int:
        """Carry it out."""

        def work(connection: Connection, box: outbox.Outbox) -> int:
            if box.endpoint(self.endpoint_id) is not None:
                return 0
            return settlement.abandon(connection, self.endpoint_id, _now(), self.limit)

        return ledger.write(work)


class Refer(Request[Referred], frozen=True, array_like=True, tag=True):
    """Keep what the business says of a call."""

    answer: ClassVar[Any] = Referred
    channel: str | None
    default_channel: str | None
    callid: str
    said: Reference

    def run(self, ledger: Ledger) -> Referred:
        """Carry it out."""
        return ledger.write(
            lambda c, box: references.refer(c, box, self.channel, self.default_channel, self.callid, self.said, _now()),
            beside=True,
        )


class TellOverdue(Request[Overdue], frozen=True, array_like=True, tag=True):
    """Owe it to the business that calls are overdue."""

    answer: ClassVar[Any] = Overdue
    limit: int

    def run(self, ledger: Ledger) -> Overdue:
        """Carry it out."""
        return ledger.write(lambda c, box: references.tell_overdue(c, box, _now(), self.limit))


class ReplayOne(Request[int], frozen=True, array_like=True, tag=True):
    """Tell one delivery again; its endpoint's id."""

    answer: ClassVar[Any] = int
    delivery_id: int

    def run(self, ledger: Ledger) -> int:
        """Carry it out."""
        return ledger.write(lambda c, box: replays.replay_one(c, box, self.delivery_id, _now()))


class CountDead(Request[tuple[int, int]], frozen=True, array_like=True, tag=True):
    """How many deliveries of an endpoint are dead, and the highest id among them."""

    answer: ClassVar[Any] = tuple[int, int]
    endpoint_id: int

    def run(self, ledger: Ledger) -> tuple[int, int]:
        """Carry it out."""
        return ledger.write(lambda c, _: replays.dead_of(c, self.endpoint_id), beside=True, repeatable=True)


class ReplayDead(Request[Chunk], frozen=True, array_like=True, tag=True):
    """Tell some of the dead deliveries of an endpoint again."""

    answer: ClassVar[Any] = Chunk
    endpoint_id: int
    cursor: str | None
    until_id: int
    limit: int

    def run(self, ledger: Ledger) -> Chunk:
        """Carry it out."""
        return ledger.write(
            lambda c, box: replays.replay_dead(c, box, self.endpoint_id, self.cursor, self.until_id, _now(), self.limit)
        )


class ReplayCalls(Request[Chunk], frozen=True, array_like=True, tag=True):
    """Tell everything about a page of calls again."""

    answer: ClassVar[Any] = Chunk
    endpoint: Endpoint
    wanted: CallFilter
    cursor: str | None
    limit: int

    def run(self, ledger: Ledger) -> Chunk:
        """Carry it out."""
        return ledger.write(
            lambda c, box: replays.replay_calls(c, box, self.endpoint, self.wanted, self.cursor, _now(), self.limit)
        )


class CreateKey(Request[ApiKey], frozen=True, array_like=True, tag=True):
    """Add an API key, and note who did."""

    answer: ClassVar[Any] = ApiKey
    draft: KeyDraft
    who: str

    def run(self, ledger: Ledger) -> ApiKey:
        """Carry it out."""
        return ledger.write(lambda c, _: keys.add(c, self.draft, self.who, _now()))


class RevokeKey(Request[ApiKey], frozen=True, array_like=True, tag=True):
    """Revoke an API key, by name or id, and note who did."""

    answer: ClassVar[Any] = ApiKey
    name: str
    who: str

    def run(self, ledger: Ledger) -> ApiKey:
        """Carry it out."""
        return ledger.write(lambda c, _: keys.revoke(c, self.name, self.who, _now()))


class Note(Request[None], frozen=True, array_like=True, tag=True):
    """Keep what somebody did that is to be accounted for."""

    who: str
    deed: str
    about: str

    def run(self, ledger: Ledger) -> None:
        """Carry it out."""
        ledger.write(lambda c, _: keys.note(c, self.who, self.deed, self.about, _now()), beside=True)


class KeepAlerts(Request[None], frozen=True, array_like=True, tag=True):
    """Keep alerts as they are now, and forget those of all but these rules."""

    changed: list[Alert]
    rules: list[str]

    def run(self, ledger: Ledger) -> None:
        """Carry it out."""

        def work(connection: Connection, _: outbox.Outbox) -> None:
            keep_alerts(connection, self.changed)
            forget_alerts(connection, self.rules)

        ledger.write(work)


AnyRequest = (
    Record
    | RecordDrained
    | ForgetDrained
    | Requeue
    | DropQuarantined
    | Probe
    | Settle
    | Load
    | Backlog
    | Added
    | Endpoints
    | EndpointsSince
    | FirstDue
    | LeftOver
    | Claim
    | Release
    | Beat
    | Leave
    | Align
    | AddEndpoint
    | ChangeEndpoint
    | RemoveEndpoint
    | Abandon
    | Refer
    | TellOverdue
    | ReplayOne
    | CountDead
    | ReplayDead
    | ReplayCalls
    | CreateKey
    | RevokeKey
    | Note
    | KeepAlerts
)

encode_request = msgspec.msgpack.Encoder().encode
decode_request = msgspec.msgpack.Decoder(AnyRequest).decode
_decoders = {request: msgspec.msgpack.Decoder(request.answer).decode for request in AnyRequest.__args__}


def decode_answer(request: type[Request[T]], payload: bytes) -> T:
    """What came of a request, from its encoded form."""
    answer: T = _decoders[request](payload)
    return answer


def _change(connection: Connection, endpoint: Endpoint, now: datetime) -> Endpoint:
    """Change an endpoint; words about calls, for which the vendor's contract has no form, are given up with it."""
    if endpoint.definition.format is Format.TENCENT:
        settlement.abandon_words(connection, endpoint.id, now)
    return endpoints.change(connection, endpoint, now)


def _witnessed(recorded: Recorded, began_us: int | None) -> Witnessed | None:
    if began_us is None:
        return None
    callbacks = [
        (item.identity, to_us(item.received_at), receipt.taken)
        for item, receipt in zip(recorded.items, recorded.receipts, strict=True)
        if isinstance(item, Received)
    ]
    return Witnessed(began_us, to_us(_now()), callbacks)


def _now() -> datetime:
    return datetime.now(UTC)
