"""The latest attempts at endpoints, on every backend."""

from builders import received, status
from contract.delivery_helpers import attempt, endpoint, load, settle

from answerback.domain.delivery_states import DeliveryTransition
from answerback.domain.endpoints import Endpoint
from answerback.ledger import Ledger
from answerback.ledger.backends.postgresql.partition_ids import sequence_of
from answerback.ledger.read.recent_attempts import DeliveryAttempt, recent_attempts


def recent(ledger: Ledger, *endpoints: Endpoint, limit: int = 10) -> list[list[DeliveryAttempt]]:
    """The latest attempts at each endpoint."""
    ids = [one.id for one in endpoints]
    found = ledger.read(lambda connection: recent_attempts(connection, ids, limit))
    return [found[id_] for id_ in ids]


def hear(ledger: Ledger, *callids: str, channel: str = "default") -> None:
    """A callback about each call comes in."""
    ledger.record([received(status(callid=callid), channel=channel) for callid in callids])


def try_all(ledger: Ledger, to: Endpoint, error: str | None = None) -> None:
    """One attempt at each delivery that may go out, a second after the other."""
    cause = DeliveryTransition.SUCCEEDED if error is None else DeliveryTransition.ATTEMPT_FAILED
    for second, job in enumerate(load(ledger, to)):
        settle(ledger, attempt(job, cause, began_s=second, status=200, error=error))


def test_each_endpoint_has_its_own(ledger: Ledger) -> None:
    """Oldest first, with the delivery that each was for."""
    crm, billing = endpoint(ledger), endpoint(ledger, "billing")
    hear(ledger, "one", "two")
    try_all(ledger, crm)
    try_all(ledger, billing, "answered 500")
    at_crm, at_billing = recent(ledger, crm, billing)
    assert [one.attempt.error for one in at_crm] == [None, None]
    assert [one.attempt.error for one in at_billing] == ["answered 500"] * 2
    assert at_crm[0].attempt.started_at < at_crm[1].attempt.started_at
    assert len({one.delivery_id for one in at_crm + at_billing}) == 4


def test_only_the_latest_are_shown(ledger: Ledger) -> None:
    """As many as are asked for, the newest of them last."""
    crm = endpoint(ledger)
    hear(ledger, *(f"call-{number}" for number in range(9)))
    try_all(ledger, crm)
    (latest,) = recent(ledger, crm, limit=4)
    assert [sequence_of(one.delivery_id) for one in latest] == [6, 7, 8, 9]


def test_a_quiet_endpoint_is_found_behind_a_busy_one(ledger: Ledger) -> None:
    """However many attempts were made at others since."""
    quiet, busy = endpoint(ledger, "quiet", channel="a"), endpoint(ledger, "busy", channel="b")
    hear(ledger, "once", channel="a")
    try_all(ledger, quiet)
    hear(ledger, "often", channel="b")
    (job,) = load(ledger, busy)
    settle(ledger, *[attempt(job, DeliveryTransition.ATTEMPT_FAILED, error="no") for _ in range(3_001)])
    (at_quiet, at_busy) = recent(ledger, quiet, busy)
    assert len(at_quiet) == 1
    assert len(at_busy) == 10


def test_an_endpoint_that_was_never_tried_has_none(ledger: Ledger) -> None:
    """It is in the answer all the same."""
    assert recent(ledger, endpoint(ledger)) == [[]]
