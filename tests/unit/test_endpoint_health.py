from datetime import timedelta

import msgspec
import pytest
from builders import NOON

from answerback.console.model.endpoint_health import Health, row_of
from answerback.domain.models import Attempt, Definition, Endpoint
from answerback.ledger.read.deliveries import Owed
from answerback.ledger.read.recent_attempts import Recent

ENDPOINT = Endpoint(
    id=1,
    name="crm",
    channel="default",
    definition=Definition(url="https://crm.example/voice"),
    enabled=True,
    disabled_reason=None,
    secret="whsec_x",
    old_secret=None,
    old_secret_until=None,
    from_config=False,
    created_at=NOON,
    changed_at=NOON,
    failures=0,
    paused_until=None,
)
OFF = msgspec.structs.replace(ENDPOINT, enabled=False)
PAUSED = msgspec.structs.replace(ENDPOINT, paused_until=NOON, failures=10)
LATE = Owed(pending=3, oldest_at=NOON - timedelta(minutes=5))
NEW = Owed(pending=3, oldest_at=NOON - timedelta(seconds=5))


def tried(*errors: str | None, milliseconds: float = 10) -> list[Recent]:
    """Attempts that ended so."""
    return [
        Recent(
            delivery_id=number,
            attempt=Attempt(
                began_at=NOON, duration_s=milliseconds * number / 1000, status=200, answer=b"", error=error
            ),
        )
        for number, error in enumerate(errors, 1)
    ]


@pytest.mark.parametrize(
    ("endpoint", "owed", "recent", "health"),
    [
        (ENDPOINT, Owed(), tried(None), Health.WELL),
        (ENDPOINT, NEW, tried("no", None), Health.WELL),
        (ENDPOINT, Owed(), [], Health.UNPROVEN),
        (ENDPOINT, LATE, tried(None), Health.BEHIND),
        (ENDPOINT, LATE, tried(None, "no"), Health.FAILING),
        (PAUSED, LATE, tried("no"), Health.PAUSED),
        (OFF, LATE, tried("no"), Health.OFF),
        (msgspec.structs.replace(PAUSED, enabled=False), LATE, [], Health.OFF),
    ],
)
def test_health_is_the_worst_that_is_true(endpoint: Endpoint, owed: Owed, recent: list[Recent], health: Health) -> None:
    """Off before paused, paused before failing, failing before behind."""
    assert row_of(endpoint, owed, recent, NOON, full_url=True).health is health


def test_times_are_those_of_real_attempts() -> None:
    """The median and the 95th percentile: never a time that nothing took."""
    row = row_of(ENDPOINT, Owed(), tried(*[None] * 20), NOON, full_url=True)
    assert row.p50_ms == pytest.approx(100)
    assert row.p95_ms == pytest.approx(190)


def test_of_one_that_was_never_tried_no_time_is_known() -> None:
    """Nothing is made up."""
    row = row_of(ENDPOINT, Owed(), [], NOON, full_url=True)
    assert (row.p50_ms, row.p95_ms) == (None, None)
