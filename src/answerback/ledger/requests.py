"""What the gateway asks of the ledger's writer: each request a value that can be sent, and the way it is carried out.

All writing goes this way, in the order in which it was asked for, one transaction each.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Generic, TypeVar

import msgspec
from sqlalchemy.engine import Connection

from answerback.errors import CallbackRejected
from answerback.ledger import endpoints, keys, outbox, references, replays, settlement
from answerback.ledger.alerts import Alert, forget_alerts, keep_alerts
from answerback.ledger.endpoints import Draft
from answerback.ledger.keys import KeyDraft
from answerback.ledger.query import CallFilter
from answerback.ledger.references import Overdue, Reference, Referred
from answerback.ledger.replays import Chunk
from answerback.ledger.store import Ledger
from answerback.ledger.values import Job, Pause, Settled, Taken, Verdict, to_us
from answerback.model import ApiKey, Arrival, Endpoint, Format, Kind, Received, Rejected
from answerback.reading import understand

T = TypeVar("T")

_KINDS = (None, *Kind)
_VERDICTS = [Verdict(taken, kind) for taken in Taken for kind in _KINDS]
_CODES = {(verdict.taken, verdict.kind): code for code, verdict in enumerate(_VERDICTS)}


class Request(msgspec.Struct, Generic[T], frozen=True, array_like=True, tag=True):
    """One thing to do, and (`answer`) the type of what comes of it; each has `run`, which carries it out."""

    answer: ClassVar[Any] = None


class Noted(msgspec.Struct, frozen=True, array_like=True):
    """What became of a batch: a byte per item, and result and errmsg of each refused one; what may go out now."""

    codes: bytes
    refusals: list[tuple[int, str]]
    jobs: list[Job]
    behind: list[int]

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
    """Read and store bodies, and owe them to whoever is to be told; of endpoints that are `full` no jobs come back."""

    answer: ClassVar[Any] = Noted
    batch: Sequence[Arrival]
    full: list[int] = []

    def run(self, ledger: Ledger) -> Noted:
        """Carry it out."""
        items = [understand(arrival) for arrival in self.batch]
        recorded = ledger.take(items, self.full)
        kinds = (item.callback.kind if isinstance(item, Received) else None for item in items)
        codes = bytes([_CODES[receipt.taken, kind] for receipt, kind in zip(recorded.receipts, kinds, strict=True)])
        refusals = [(item.result, item.reason) for item in items if isinstance(item, Rejected)]
        return Noted(codes, refusals, recorded.jobs, recorded.behind)


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
    """Keep attempts and what they did; what that lets go out."""

    answer: ClassVar[Any] = list[Job]
    settled: list[Settled]
    pauses: list[Pause]
    again: bool = False

    def run(self, ledger: Ledger) -> list[Job]:
        """Carry it out."""
        return ledger.write(
            lambda c, box: settlement.settle(c, box, self.settled, self.pauses, _now(), again=self.again)
        )


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

        return ledger.write(work)


class Backlog(Request[dict[int, int]], frozen=True, array_like=True, tag=True):
    """Which endpoints are owed something, and when the first of it is due."""

    answer: ClassVar[Any] = dict[int, int]

    def run(self, ledger: Ledger) -> dict[int, int]:
        """Carry it out."""
        return ledger.write(lambda c, _: outbox.backlog(c))


class Added(Request[tuple[int, list[tuple[int, int]]]], frozen=True, array_like=True, tag=True):
    """What may go out above a delivery's id, whichever process wrote it: how far that goes; endpoint and delivery."""

    answer: ClassVar[Any] = tuple[int, list[tuple[int, int]]]
    since: int
    limit: int

    def run(self, ledger: Ledger) -> tuple[int, list[tuple[int, int]]]:
        """Carry it out."""
        return ledger.write(lambda c, _: outbox.added_since(c, self.since, self.limit))


class Endpoints(Request[list[Endpoint]], frozen=True, array_like=True, tag=True):
    """All endpoints that were not removed."""

    answer: ClassVar[Any] = list[Endpoint]

    def run(self, ledger: Ledger) -> list[Endpoint]:
        """Carry it out."""
        return ledger.write(lambda c, _: endpoints.find_endpoints(c))


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
            if self.added:
                endpoints.add_all(connection, self.added, now)
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
    """Bring the endpoint of that id up to this."""

    answer: ClassVar[Any] = Endpoint
    endpoint: Endpoint

    def run(self, ledger: Ledger) -> Endpoint:
        """Carry it out."""
        return ledger.write(lambda c, _: _change(c, self.endpoint, _now()))


class RemoveEndpoint(Request[None], frozen=True, array_like=True, tag=True):
    """Remove an endpoint."""

    endpoint_id: int

    def run(self, ledger: Ledger) -> None:
        """Carry it out."""
        ledger.write(lambda c, _: endpoints.remove(c, self.endpoint_id, _now()))


class Abandon(Request[int], frozen=True, array_like=True, tag=True):
    """Give up a part of what a removed endpoint is owed; how much it was."""

    answer: ClassVar[Any] = int
    endpoint_id: int
    limit: int

    def run(self, ledger: Ledger) -> int:
        """Carry it out."""
        return ledger.write(lambda c, _: settlement.abandon(c, self.endpoint_id, _now(), self.limit))


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
            lambda c, box: references.refer(c, box, self.channel, self.default_channel, self.callid, self.said, _now())
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
        return ledger.write(lambda c, _: replays.dead_of(c, self.endpoint_id))


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
        ledger.write(lambda c, _: keys.note(c, self.who, self.deed, self.about, _now()))


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
    | Requeue
    | DropQuarantined
    | Probe
    | Settle
    | Load
    | Backlog
    | Added
    | Endpoints
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


def _now() -> datetime:
    return datetime.now(UTC)
