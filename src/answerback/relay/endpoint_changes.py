"""What a change makes of an endpoint."""

from datetime import UTC, datetime, timedelta

import msgspec

from answerback.domain.endpoints import DISABLED_IN_CONFIG, REMOVED_FROM_CONFIG, Endpoint, EndpointConfig
from answerback.ledger.admin.endpoints import EndpointDraft
from answerback.relay.signing import generate_secret

SECRET_OVERLAP = timedelta(hours=24)


class ConfigEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint of the config file; without `secret` one is generated."""

    channel: str
    config: EndpointConfig
    enabled: bool
    secret: str | None


def make_draft(name: str, configured: ConfigEndpoint) -> EndpointDraft:
    """The endpoint that the config file asks for, to be added."""
    return EndpointDraft(
        name=name,
        channel=configured.channel,
        config=configured.config,
        secret=configured.secret or generate_secret(),
        enabled=configured.enabled,
        disabled_reason=None if configured.enabled else DISABLED_IN_CONFIG,
        from_config=True,
    )


def merge_config(known: Endpoint, configured: ConfigEndpoint) -> Endpoint:
    """Merge the config file's settings into `known`; one that was disabled otherwise stays so until its entry changes."""
    after = msgspec.structs.replace(known, channel=configured.channel, config=configured.config)
    if configured.secret is not None and configured.secret != known.secret:
        after = rotate_secret(after, configured.secret)
    if not configured.enabled:
        return disable(after, DISABLED_IN_CONFIG)
    if after.config != known.config or known.disabled_reason in (DISABLED_IN_CONFIG, REMOVED_FROM_CONFIG):
        return msgspec.structs.replace(after, enabled=True, disabled_reason=None)
    return after


def disable(endpoint: Endpoint, reason: str) -> Endpoint:
    return msgspec.structs.replace(endpoint, enabled=False, disabled_reason=reason)


def rotate_secret(endpoint: Endpoint, secret: str) -> Endpoint:
    """The endpoint with a new secret; the previous one signs as well for a while."""
    until = datetime.now(UTC) + SECRET_OVERLAP
    return msgspec.structs.replace(
        endpoint, secret=secret, previous_secret=endpoint.secret, previous_secret_expires_at=until
    )
