"""What the suites of the outbox share: endpoints, their deliveries, attempts and how they end."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from builders import ADMIN, NOON
from sqlalchemy import select

from answerback.domain.delivery_states import DeliveryTransition
from answerback.domain.endpoints import DeliveryState, Endpoint, EndpointConfig, EventType, PayloadFormat
from answerback.ledger import Ledger
from answerback.ledger.admin import endpoints
from answerback.ledger.admin.audit import Actor
from answerback.ledger.read.calls import CallFilter
from answerback.ledger.tables import attempts, calls, deliveries
from answerback.ledger.types import AttemptRecord, DeliveryJob, EndpointPause, to_us
from answerback.ledger.write import annotations, delivery_jobs, replays
from answerback.ledger.write.attempts import cancel_pending, record_attempts

LATER_S = 30 * 24 * 3600
"""When everything is due."""

URL = "https://crm.example/voice"

W, P, D, X = DeliveryState.BLOCKED, DeliveryState.PENDING, DeliveryState.DELIVERED, DeliveryState.DEAD


class DeliveryRow(NamedTuple):
    """A row of the deliveries, as far as the tests look at it."""

    id: int
    endpoint_id: int
    callid: str
    channel: str
    callback_id: int | None
    event: EventType
    state: DeliveryState
    message_tag: str
    attempts: int
    failed_attempts: int
    due_us: int
    created_us: int
    finished_us: int | None


class AttemptRow(NamedTuple):
    """A row of the attempts."""

    delivery_id: int
    started_us: int
    duration_us: int
    http_status: int | None
    response_body: bytes
    error: str | None


def at(seconds: float) -> datetime:
    """So many seconds after NOON."""
    return NOON + timedelta(seconds=seconds)


def us(seconds: float) -> int:
    """The same in microseconds since 1970."""
    return to_us(at(seconds))


def endpoint(
    ledger: Ledger, name: str = "crm", *, channel: str = "default", enabled: bool = True, **config: Any
) -> Endpoint:
    """A new endpoint, which receives everything unless `config` says otherwise."""
    draft = endpoints.EndpointDraft(
        name=name,
        channel=channel,
        config=EndpointConfig(**{"url": URL, **config}),
        secret="whsec_c2VjcmV0",
        enabled=enabled,
    )
    return ledger.write(lambda c, _: endpoints.add(c, draft, ADMIN, NOON))


def tencent(ledger: Ledger, name: str = "old", **config: Any) -> Endpoint:
    """A new endpoint of the vendor's format."""
    return endpoint(ledger, name, format=PayloadFormat.TENCENT, **config)


def change(ledger: Ledger, changed: Endpoint) -> Endpoint:
    """Bring an endpoint up to `changed`."""
    return ledger.write(lambda c, _: endpoints.change(c, changed, ADMIN, NOON))


def known(ledger: Ledger) -> list[Endpoint]:
    """Every endpoint that was not removed."""
    return ledger.write(lambda c, _: endpoints.find_endpoints(c))


def remove(ledger: Ledger, gone: Endpoint) -> None:
    """Remove an endpoint."""
    ledger.write(lambda c, _: endpoints.remove(c, gone.id, ADMIN, NOON))


def undelivered(ledger: Ledger, to: Endpoint | None = None) -> list[DeliveryRow]:
    """Every delivery there ever was, or those to one endpoint, in order of the ids."""
    columns = [(calls if name in {"callid", "channel"} else deliveries).c[name] for name in DeliveryRow._fields]
    query = select(*columns).join(calls, calls.c.id == deliveries.c.call_id).order_by(deliveries.c.id)
    if to is not None:
        query = query.where(deliveries.c.endpoint_id == to.id)
    rows = ledger.read(lambda c: c.execute(query).all())
    return [DeliveryRow._make(row)._replace(event=EventType(row.event), state=DeliveryState(row.state)) for row in rows]


def states(ledger: Ledger, to: Endpoint | None = None) -> list[DeliveryState]:
    """The state of every delivery there ever was."""
    return [delivery.state for delivery in undelivered(ledger, to)]


def events(ledger: Ledger, to: Endpoint | None = None) -> list[EventType]:
    """The event of every delivery there ever was."""
    return [delivery.event for delivery in undelivered(ledger, to)]


def tried(ledger: Ledger) -> list[AttemptRow]:
    """Every attempt, in order."""
    columns = [attempts.c[name] for name in AttemptRow._fields]
    rows = ledger.read(lambda c: c.execute(select(*columns).order_by(attempts.c.id)).all())
    return [AttemptRow(*row) for row in rows]


def load(ledger: Ledger, to: Endpoint, *, at_s: float = LATER_S, limit: int = 100) -> list[DeliveryJob]:
    """What may go out to an endpoint at a time, late enough for all of it unless said otherwise."""
    return ledger.write(lambda c, box: delivery_jobs.fetch_due(c, box, to.id, us(at_s), limit))


def load_one(ledger: Ledger, to: Endpoint) -> DeliveryJob:
    """The one delivery that may go out to an endpoint."""
    (job,) = load(ledger, to)
    return job


def attempt(
    job: DeliveryJob,
    cause: DeliveryTransition,
    *,
    spent: bool = True,
    due_s: float = 0,
    began_s: float = 0,
    status: int | None = None,
    answer: bytes = b"",
    error: str | None = None,
) -> AttemptRecord:
    """How an attempt of `job` ended."""
    return AttemptRecord(
        delivery_id=job.delivery_id,
        endpoint_id=job.endpoint_id,
        call_id=job.call_id,
        annotated_us=job.annotated_us,
        transition=cause,
        counts=spent,
        due_us=us(due_s),
        started_us=us(began_s),
        duration_us=1500,
        http_status=status,
        response_body=answer,
        error=error,
    )


def settle(
    ledger: Ledger, *settled: AttemptRecord, pauses: Sequence[EndpointPause] = (), at_s: float = 0, again: bool = False
) -> list[DeliveryJob]:
    """Keep attempts; what may go out because of them."""
    return ledger.write(lambda c, box: record_attempts(c, box, settled, pauses, at(at_s), is_retry=again))


def accept(ledger: Ledger, *jobs: DeliveryJob, at_s: float = 0) -> list[DeliveryJob]:
    """The endpoint has them; what may go out because of that."""
    return settle(ledger, *[attempt(job, DeliveryTransition.SUCCEEDED, status=200) for job in jobs], at_s=at_s)


def refuse(ledger: Ledger, *jobs: DeliveryJob, due_s: float = 0, spent: bool = True) -> list[DeliveryJob]:
    """The endpoint does not take them, and will be asked again."""
    return settle(
        ledger, *[attempt(job, DeliveryTransition.ATTEMPT_FAILED, due_s=due_s, spent=spent, error="no") for job in jobs]
    )


def exhaust(ledger: Ledger, *jobs: DeliveryJob) -> list[DeliveryJob]:
    """The endpoint does not take them, and will not be asked again."""
    return settle(ledger, *[attempt(job, DeliveryTransition.EXHAUSTED, error="no") for job in jobs])


def accept_everything(ledger: Ledger, to: Endpoint, *, at_s: float = LATER_S) -> list[DeliveryJob]:
    """Deliver to an endpoint all that is pending, in the order in which it may go out."""
    reported: list[DeliveryJob] = []
    while jobs := load(ledger, to, at_s=at_s):
        reported += jobs
        accept(ledger, *jobs)
    return reported


def cancel_deliveries(ledger: Ledger, gone: Endpoint, limit: int = 100) -> int:
    """Cancel some of a removed endpoint's deliveries."""
    return ledger.write(lambda c, _: cancel_pending(c, gone.id, NOON, limit))


def annotate(
    ledger: Ledger,
    callid: str,
    *,
    channel: str | None = "default",
    default: str | None = None,
    at_s: float = 0,
    **said: Any,
) -> annotations.AnnotateResult:
    """The business says something of a call."""
    reference = annotations.CallAnnotation(**said)
    return ledger.write(lambda c, box: annotations.annotate_call(c, box, channel, default, callid, reference, at(at_s)))


def record_overdue(ledger: Ledger, *, at_s: float, limit: int = 100) -> annotations.OverdueBatch:
    """Owe it to the business that calls are overdue at that time."""
    return ledger.write(lambda c, box: annotations.mark_overdue(c, box, at(at_s), limit))


def replay_one(ledger: Ledger, id_: int, *, at_s: float = 0, actor: Actor = ADMIN) -> int:
    """Tell one delivery again."""
    return ledger.write(lambda c, box: replays.replay_delivery(c, box, id_, actor, at(at_s)))


def dead_of(ledger: Ledger, to: Endpoint) -> tuple[int, int]:
    """How many deliveries of an endpoint are dead, and the highest id among them."""
    return ledger.write(lambda c, _: replays.count_dead(c, to.id))


def replay_dead(
    ledger: Ledger,
    to: Endpoint,
    *,
    cursor: str | None = None,
    until_id: int | None = None,
    at_s: float = 0,
    limit: int = 100,
) -> replays.ReplayPage:
    """Tell some of the dead deliveries of an endpoint again, all that there are now unless said otherwise."""
    until = dead_of(ledger, to)[1] if until_id is None else until_id
    return ledger.write(lambda c, box: replays.replay_dead(c, box, to.id, cursor, until, at(at_s), limit))


def replay_calls(
    ledger: Ledger,
    to: Endpoint,
    wanted: CallFilter | None = None,
    *,
    cursor: str | None = None,
    at_s: float = 0,
    limit: int = 100,
) -> replays.ReplayPage:
    """Tell everything about a page of calls again, those of the endpoint's channel unless said otherwise."""
    filter_ = CallFilter(channel=to.channel) if wanted is None else wanted
    return ledger.write(lambda c, box: replays.replay_calls(c, box, to, filter_, cursor, at(at_s), limit))
