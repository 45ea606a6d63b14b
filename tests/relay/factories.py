"""Endpoints, jobs and terms for the tests of the relay: a test names only what it is about."""

from datetime import datetime
from typing import Any

import msgspec
from builders import NOON

from answerback.domain.endpoints import Endpoint, EndpointConfig
from answerback.ledger import DeliveryJob
from answerback.relay import RetryPolicy

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"""The secret of the example in the Standard Webhooks specification."""

OTHER_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
URL = "https://crm.example/voice"

RETRY_POLICY = RetryPolicy(
    retry_schedule_s=(5, 30, 120, 600, 1800, 3600, 10_800, 21_600, 43_200),
    jitter=0.0,
    breaker_threshold=10,
    breaker_cooldowns_s=(5, 15, 30, 60),
    max_in_flight=4096,
)
"""The terms that the issue names, without chance."""


def retry_policy(**changes: Any) -> RetryPolicy:
    """The terms of the issue with `changes`."""
    return msgspec.structs.replace(RETRY_POLICY, **changes)


def endpoint(
    url: str = URL,
    *,
    id: int = 1,
    name: str = "crm",
    enabled: bool = True,
    secret: str = SECRET,
    previous_secret: str | None = None,
    previous_secret_expires_at: datetime | None = None,
    from_config: bool = True,
    **config: Any,
) -> Endpoint:
    """An endpoint of the config file, which receives everything unless `config` says otherwise."""
    return Endpoint(
        id=id,
        name=name,
        channel="default",
        config=EndpointConfig(url=url, **config),
        enabled=enabled,
        disabled_reason=None if enabled else "manually",
        secret=secret,
        previous_secret=previous_secret,
        previous_secret_expires_at=previous_secret_expires_at,
        from_config=from_config,
        created_at=NOON,
        updated_at=NOON,
        consecutive_failures=0,
        paused_until=None,
    )


def job(id: int, *, call_id: int | None = None, endpoint_id: int = 1, failures: int = 0) -> DeliveryJob:
    """A delivery that may go out, of a call of its own unless `call_id` is given."""
    return DeliveryJob(
        delivery_id=id,
        endpoint_id=endpoint_id,
        call_id=id if call_id is None else call_id,
        failed_attempts=failures,
        message_id=f"dlv_{id}_9f86d081884c",
        body=b"{}",
        annotated_us=None,
        created_us=0,
    )
