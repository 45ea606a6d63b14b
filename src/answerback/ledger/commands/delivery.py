"""The outbox: what can be sent, what came of it, what is to be replayed."""

import msgspec
from sqlalchemy.engine import Connection

from answerback.domain.endpoints import Endpoint
from answerback.ledger.admin import leases
from answerback.ledger.admin.audit import Actor, AuditAction, record_event
from answerback.ledger.admin.endpoints import find_endpoint, target_of
from answerback.ledger.admin.instances import recorded_as_of
from answerback.ledger.commands.command import Command, now
from answerback.ledger.ledger import Ledger
from answerback.ledger.read.calls import CallFilter
from answerback.ledger.types import AttemptRecord, DeliveryJob, EndpointPause, to_us
from answerback.ledger.write import annotations, attempts, delivery_jobs, replays
from answerback.ledger.write.annotations import AnnotateResult, CallAnnotation, OverdueBatch
from answerback.ledger.write.replays import ReplayPage
from answerback.ledger.write.subscriptions import SubscriptionCache


class RecordAttempts(Command[list[DeliveryJob]], frozen=True):
    """Store attempts and their results; return the deliveries that this unblocks. `instance_id`: only deliveries under its leases change."""

    records: list[AttemptRecord]
    pauses: list[EndpointPause]
    is_retry: bool = False
    instance_id: str | None = None

    def run(self, ledger: Ledger) -> list[DeliveryJob]:
        def work(connection: Connection, subscriptions: SubscriptionCache) -> list[DeliveryJob]:
            mine = None
            if self.instance_id is not None:
                ids = {one.endpoint_id for one in self.records} | {pause.endpoint_id for pause in self.pauses}
                mine = leases.still_held(connection, self.instance_id, ids)
            return attempts.record_attempts(
                connection, subscriptions, self.records, self.pauses, now(), is_retry=self.is_retry, leased=mine
            )

        return ledger.write(work, shared=True)


class DueJobs(msgspec.Struct, frozen=True, array_like=True):
    """What may go out to an endpoint now, and when the first of its other deliveries is due."""

    jobs: list[DeliveryJob]
    next_due_us: int | None


class FetchDue(Command[DueJobs], frozen=True):
    """Read what can be sent to an endpoint."""

    endpoint_id: int
    limit: int

    def run(self, ledger: Ledger) -> DueJobs:
        def work(connection: Connection, subscriptions: SubscriptionCache) -> DueJobs:
            now_us = to_us(now())
            jobs = delivery_jobs.fetch_due(connection, subscriptions, self.endpoint_id, now_us, self.limit)
            is_full = len(jobs) == self.limit
            return DueJobs(jobs, None if is_full else delivery_jobs.next_due_us(connection, self.endpoint_id, now_us))

        return ledger.write(work, shared=True, idempotent=True)


class NextDueByEndpoint(Command[dict[int, int]], frozen=True):
    """Which endpoints have pending deliveries, and when the first of them is due."""

    def run(self, ledger: Ledger) -> dict[int, int]:
        return ledger.write(lambda c, _: delivery_jobs.next_due_by_endpoint(c), shared=True, idempotent=True)


class PendingSince(Command[tuple[int, list[tuple[int, int]]]], frozen=True):
    """On SQLite, where ids rise with time: what can be sent above a delivery's id; how far that goes, endpoint and delivery."""

    since: int
    limit: int

    def run(self, ledger: Ledger) -> tuple[int, list[tuple[int, int]]]:
        return ledger.write(lambda c, _: delivery_jobs.pending_since(c, self.since, self.limit), shared=True)


class OldestPending(Command[dict[int, tuple[int, int]]], frozen=True):
    """The first pending delivery of each of these endpoints that has one, and when it is due."""

    endpoint_ids: list[int]

    def run(self, ledger: Ledger) -> dict[int, tuple[int, int]]:
        return ledger.read(delivery_jobs.oldest_pending, self.endpoint_ids)


class RemovedWithPending(Command[list[int]], frozen=True):
    """The removed endpoints that still have pending deliveries."""

    def run(self, ledger: Ledger) -> list[int]:
        return ledger.read(delivery_jobs.removed_with_pending)


class CancelPending(Command[int], frozen=True):
    """Cancel some deliveries to a removed endpoint; how many there were, and 0 where it was not removed."""

    endpoint_id: int
    limit: int

    def run(self, ledger: Ledger) -> int:
        def work(connection: Connection, subscriptions: SubscriptionCache) -> int:
            if subscriptions.endpoint(self.endpoint_id) is not None:
                return 0
            return attempts.cancel_pending(connection, self.endpoint_id, now(), self.limit)

        return ledger.write(work)


class AnnotateCall(Command[AnnotateResult], frozen=True):
    channel: str | None
    default_channel: str | None
    callid: str
    annotation: CallAnnotation

    def run(self, ledger: Ledger) -> AnnotateResult:
        return ledger.write(
            lambda c, subscriptions: annotations.annotate_call(
                c, subscriptions, self.channel, self.default_channel, self.callid, self.annotation, now()
            ),
            shared=True,
        )


class MarkOverdue(Command[OverdueBatch], frozen=True):
    """Mark calls as overdue, and enqueue the events of it.

    Who asks has recorded all that it answered up to `recorded_us`, or (None) all.
    """

    limit: int
    recorded_us: int | None = None

    def run(self, ledger: Ledger) -> OverdueBatch:
        def work(connection: Connection, subscriptions: SubscriptionCache) -> OverdueBatch:
            as_of = recorded_as_of(connection, now(), self.recorded_us)
            return annotations.mark_overdue(connection, subscriptions, as_of, self.limit)

        return ledger.write(work)


class ReplayDelivery(Command[int], frozen=True):
    """Replay one delivery; return its endpoint's id."""

    actor: Actor
    delivery_id: int

    def run(self, ledger: Ledger) -> int:
        return ledger.write(
            lambda c, subscriptions: replays.replay_delivery(c, subscriptions, self.delivery_id, self.actor, now())
        )


class CountDead(Command[tuple[int, int]], frozen=True):
    """How many deliveries of an endpoint are dead, and the highest id among them."""

    endpoint_id: int

    def run(self, ledger: Ledger) -> tuple[int, int]:
        return ledger.write(lambda c, _: replays.count_dead(c, self.endpoint_id), shared=True, idempotent=True)


class StartReplay(Command[None], frozen=True):
    """Record that somebody starts a replay; the steps follow. Raises PermissionDenied, ResourceNotFound."""

    actor: Actor
    endpoint_id: int
    target: tuple[str | int, ...]

    def run(self, ledger: Ledger) -> None:
        def work(connection: Connection, _: SubscriptionCache) -> None:
            self.actor.require_full_numbers()
            where = target_of(find_endpoint(connection, str(self.endpoint_id)))
            record_event(connection, self.actor, AuditAction.ENDPOINT_REPLAYED, now(), *where, "with", *self.target)

        ledger.write(work, shared=True)


class ReplayDead(Command[ReplayPage], frozen=True):
    """Replay some of the dead deliveries of an endpoint."""

    endpoint_id: int
    cursor: str | None
    until_id: int
    limit: int

    def run(self, ledger: Ledger) -> ReplayPage:
        return ledger.write(
            lambda c, subscriptions: replays.replay_dead(
                c, subscriptions, self.endpoint_id, self.cursor, self.until_id, now(), self.limit
            )
        )


class ReplayCalls(Command[ReplayPage], frozen=True):
    """Replay everything about a page of calls."""

    endpoint: Endpoint
    filters: CallFilter
    cursor: str | None
    limit: int

    def run(self, ledger: Ledger) -> ReplayPage:
        return ledger.write(
            lambda c, subscriptions: replays.replay_calls(
                c, subscriptions, self.endpoint, self.filters, self.cursor, now(), self.limit
            )
        )
