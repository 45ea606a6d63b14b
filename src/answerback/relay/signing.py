"""Secrets and signatures, by Standard Webhooks."""

import base64
import secrets
from datetime import UTC, datetime
from functools import lru_cache

from standardwebhooks import Webhook

from answerback.domain.endpoints import SECRET_PREFIX, Endpoint

_NEW_BYTES = 32


def generate_secret() -> str:
    """Generate a secret: `whsec_` and 32 random bytes in base64."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_NEW_BYTES)).decode()


def sign(endpoint: Endpoint, message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """Return the three headers of a signed webhook; after a rotation the previous secret signs as well, for a day."""
    text, at = body.decode(), at.astimezone(UTC)
    signatures = [_signer(endpoint.secret).sign(message_id, at, text)]
    if (
        endpoint.previous_secret is not None
        and endpoint.previous_secret_expires_at is not None
        and at < endpoint.previous_secret_expires_at
    ):
        signatures.append(_signer(endpoint.previous_secret).sign(message_id, at, text))
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


@lru_cache(maxsize=4096)
def _signer(secret: str) -> Webhook:
    return Webhook(secret)
