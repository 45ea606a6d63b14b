"""The outbox: what may go out, what came of it, what is to be told again."""

from typing import Any, ClassVar

import msgspec
from sqlalchemy.engine import Connection

from answerback.domain.models import Endpoint
from answerback.ledger.admin import leases
from answerback.ledger.admin.audit import Actor, AuditAction, record_event
from answerback.ledger.admin.endpoints import find_endpoint, target_of
from answerback.ledger.commands.command import Request, now
from answerback.ledger.ledger import Ledger
from answerback.ledger.read.calls import CallFilter
from answerback.ledger.types import Job, Pause, Settled, to_us
from answerback.ledger.write import annotations, attempts, outbox, replays
from answerback.ledger.write.annotations import Overdue, Reference, Referred
from answerback.ledger.write.replays import Chunk


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
            return attempts.settle(connection, box, self.settled, self.pauses, now(), again=self.again, mine=mine)

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
            now_us = to_us(now())
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
    """On SQLite, where ids rise with time: what may go out above a delivery's id; how far that goes, endpoint and delivery."""

    answer: ClassVar[Any] = tuple[int, list[tuple[int, int]]]
    since: int
    limit: int

    def run(self, ledger: Ledger) -> tuple[int, list[tuple[int, int]]]:
        """Carry it out."""
        return ledger.write(lambda c, _: outbox.added_since(c, self.since, self.limit), beside=True)


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
            return attempts.abandon(connection, self.endpoint_id, now(), self.limit)

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
            lambda c, box: annotations.refer(c, box, self.channel, self.default_channel, self.callid, self.said, now()),
            beside=True,
        )


class TellOverdue(Request[Overdue], frozen=True, array_like=True, tag=True):
    """Owe it to the business that calls are overdue."""

    answer: ClassVar[Any] = Overdue
    limit: int

    def run(self, ledger: Ledger) -> Overdue:
        """Carry it out."""
        return ledger.write(lambda c, box: annotations.tell_overdue(c, box, now(), self.limit))


class ReplayOne(Request[int], frozen=True, array_like=True, tag=True):
    """Tell one delivery again; its endpoint's id."""

    answer: ClassVar[Any] = int
    actor: Actor
    delivery_id: int

    def run(self, ledger: Ledger) -> int:
        """Carry it out."""
        return ledger.write(lambda c, box: replays.replay_one(c, box, self.delivery_id, self.actor, now()))


class CountDead(Request[tuple[int, int]], frozen=True, array_like=True, tag=True):
    """How many deliveries of an endpoint are dead, and the highest id among them."""

    answer: ClassVar[Any] = tuple[int, int]
    endpoint_id: int

    def run(self, ledger: Ledger) -> tuple[int, int]:
        """Carry it out."""
        return ledger.write(lambda c, _: replays.dead_of(c, self.endpoint_id), beside=True, repeatable=True)


class StartReplay(Request[None], frozen=True, array_like=True, tag=True):
    """Keep that somebody has an endpoint told again; the steps follow. Raises Forbidden, NotFound."""

    actor: Actor
    endpoint_id: int
    about: tuple[str | int, ...]

    def run(self, ledger: Ledger) -> None:
        """Carry it out."""

        def work(connection: Connection, _: outbox.Outbox) -> None:
            self.actor.require_full_numbers()
            where = target_of(find_endpoint(connection, str(self.endpoint_id)))
            record_event(connection, self.actor, AuditAction.ENDPOINT_REPLAYED, now(), *where, "with", *self.about)

        ledger.write(work, beside=True)


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
            lambda c, box: replays.replay_dead(c, box, self.endpoint_id, self.cursor, self.until_id, now(), self.limit)
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
            lambda c, box: replays.replay_calls(c, box, self.endpoint, self.wanted, self.cursor, now(), self.limit)
        )
