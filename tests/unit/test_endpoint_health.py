from datetime import timedelta

import msgspec
import pytest
from builders import NOON

from answerback.console.model.endpoint_health import EndpointHealth, build_endpoint_row
from answerback.domain.endpoints import Attempt, DeliveryBacklog, Endpoint, EndpointConfig
from answerback.ledger.read.recent_attempts import DeliveryAttempt

ENDPOINT = Endpoint(
    id=1,
    name="crm",
    channel="default",
    config=EndpointConfig(url="https://crm.example/voice"),
    enabled=True,
    disabled_reason=None,
    secret="whsec_x",
    previous_secret=None,
    previous_secret_expires_at=None,
    from_config=False,
    created_at=NOON,
    updated_at=NOON,
    consecutive_failures=0,
    paused_until=None,
)
OFF = msgspec.structs.replace(ENDPOINT, enabled=False)
PAUSED = msgspec.structs.replace(ENDPOINT, paused_until=NOON, consecutive_failures=10)
LATE = DeliveryBacklog(pending=3, oldest_at=NOON - timedelta(minutes=5))
NEW = DeliveryBacklog(pending=3, oldest_at=NOON - timedelta(seconds=5))


def tried(*errors: str | None, milliseconds: float = 10) -> list[DeliveryAttempt]:
    """Attempts that ended so."""
    return [
        DeliveryAttempt(
            delivery_id=number,
            attempt=Attempt(
                started_at=NOON,
                duration_s=milliseconds * number / 1000,
                http_status=200,
                response_body=b"",
                error=error,
            ),
        )
        for number, error in enumerate(errors, 1)
    ]


@pytest.mark.parametrize(
    ("endpoint", "undelivered", "recent", "health"),
    [
        (ENDPOINT, DeliveryBacklog(), tried(None), EndpointHealth.HEALTHY),
        (ENDPOINT, NEW, tried("no", None), EndpointHealth.HEALTHY),
        (ENDPOINT, DeliveryBacklog(), [], EndpointHealth.UNTRIED),
        (ENDPOINT, LATE, tried(None), EndpointHealth.BACKLOGGED),
        (ENDPOINT, LATE, tried(None, "no"), EndpointHealth.FAILING),
        (PAUSED, LATE, tried("no"), EndpointHealth.PAUSED),
        (OFF, LATE, tried("no"), EndpointHealth.OFF),
        (msgspec.structs.replace(PAUSED, enabled=False), LATE, [], EndpointHealth.OFF),
    ],
)
def test_health_is_the_worst_that_is_true(
    endpoint: Endpoint, undelivered: DeliveryBacklog, recent: list[DeliveryAttempt], health: EndpointHealth
) -> None:
    """Off before paused, paused before failing, failing before behind."""
    assert build_endpoint_row(endpoint, undelivered, recent, NOON, full_url=True).health is health


def test_times_are_those_of_real_attempts() -> None:
    """The median and the 95th percentile: never a time that nothing took."""
    row = build_endpoint_row(ENDPOINT, DeliveryBacklog(), tried(*[None] * 20), NOON, full_url=True)
    assert row.p50_ms == pytest.approx(100)
    assert row.p95_ms == pytest.approx(190)


def test_of_one_that_was_never_tried_no_time_is_known() -> None:
    """Nothing is made up."""
    row = build_endpoint_row(ENDPOINT, DeliveryBacklog(), [], NOON, full_url=True)
    assert (row.p50_ms, row.p95_ms) == (None, None)
