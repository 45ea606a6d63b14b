"""Endpoints, jobs and terms for the tests of the relay: a test names only what it is about."""

from datetime import datetime
from typing import Any

import msgspec
from builders import NOON

from answerback.domain.models import Definition, Endpoint
from answerback.ledger import Job
from answerback.relay import Terms

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"""The secret of the example in the Standard Webhooks specification."""

OTHER_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
URL = "https://crm.example/voice"

TERMS = Terms(
    retries_s=(5, 30, 120, 600, 1800, 3600, 10_800, 21_600, 43_200),
    jitter=0.0,
    breaker_failures=10,
    breaker_pauses_s=(5, 15, 30, 60),
    max_connections=4096,
)
"""The terms that the issue names, without chance."""


def terms(**changes: Any) -> Terms:
    """The terms of the issue with `changes`."""
    return msgspec.structs.replace(TERMS, **changes)


def endpoint(
    url: str = URL,
    *,
    id: int = 1,
    name: str = "crm",
    enabled: bool = True,
    secret: str = SECRET,
    old_secret: str | None = None,
    old_secret_until: datetime | None = None,
    from_config: bool = True,
    **definition: Any,
) -> Endpoint:
    """An endpoint of the config file, told of everything unless `definition` says otherwise."""
    return Endpoint(
        id=id,
        name=name,
        channel="default",
        definition=Definition(url=url, **definition),
        enabled=enabled,
        disabled_reason=None if enabled else "by hand",
        secret=secret,
        old_secret=old_secret,
        old_secret_until=old_secret_until,
        from_config=from_config,
        created_at=NOON,
        changed_at=NOON,
        failures=0,
        paused_until=None,
    )


def job(id: int, *, call_id: int | None = None, endpoint_id: int = 1, failures: int = 0) -> Job:
    """A delivery that may go out, of a call of its own unless `call_id` is given."""
    return Job(
        delivery_id=id,
        endpoint_id=endpoint_id,
        call_id=id if call_id is None else call_id,
        failures=failures,
        message_id=f"dlv_{id}_9f86d081884c",
        body=b"{}",
        referred_us=None,
        created_us=0,
    )
