"""Receive a signed webhook: `construct_event` verifies it, and gives it its types.

Source of the signature: Standard Webhooks, "Signature scheme".
"""

import base64
import binascii
import hmac
import time
from collections.abc import Iterable, Sequence
from typing import Protocol

from pydantic import ValidationError

from answerback.domain.arguments import require_number
from answerback.errors import AnswerbackError, ConfigError
from answerback.schemas.webhooks import VoiceEvent

_SECRET_PREFIX = "whsec_"  # noqa: S105  # what a secret begins with
_VERSION = "v1,"
_MAX_SIGNATURES = 20
TOLERANCE_S = 300.0


class WebhookRejected(AnswerbackError):
    """The request is not a webhook that may be acted on: answer 400."""


class SignatureInvalid(WebhookRejected):
    """Not signed with the secret, or changed on its way."""


class TimestampOutsideTolerance(WebhookRejected):
    """Signed, but not now: it is repeated, or a clock is wrong."""


class EventInvalid(WebhookRejected):
    """Signed, but not an event that this version knows."""


class Headers(Protocol):
    """The headers of a request, as FastAPI, Flask and Django have them."""

    def items(self) -> Iterable[tuple[str, str]]: ...


def construct_event(
    body: bytes, headers: Headers, secret: str | Sequence[str], *, tolerance_s: float = TOLERANCE_S
) -> VoiceEvent:
    """The event in a webhook of the format `standard`, from the bytes of its body.

    With several secrets, one has to match: while you rotate it, name the old and the new one. Raises WebhookRejected, and
    ConfigError if a secret is none.
    """
    if not isinstance(body, bytes | bytearray):
        raise TypeError(f"body: expected the bytes as received, got {type(body).__name__}")
    require_number("tolerance_s", tolerance_s)
    keys = [_decode_secret(one) for one in ([secret] if isinstance(secret, str) else secret or [""])]
    found = {name.lower(): value for name, value in headers.items()}
    id_, sent_at, signatures = (_require(found, name) for name in ("id", "timestamp", "signature"))
    _verify(f"{id_}.{sent_at}.".encode(errors="replace") + body, signatures, keys)
    _check_time(sent_at, tolerance_s)
    try:
        return VoiceEvent.model_validate_json(body)
    except ValidationError as error:
        field = ".".join(map(str, error.errors(include_input=False)[0]["loc"])) or "the body"
    raise EventInvalid(f"{field}: is not what this version of answerback expects")  # values may be phone numbers


def _require(headers: dict[str, str], name: str) -> str:
    value = headers.get(f"webhook-{name}")
    if not value:
        raise SignatureInvalid(f"webhook-{name}: the header is missing")
    return value


def _verify(signed: bytes, signatures: str, keys: Sequence[bytes]) -> None:
    expected = [_VERSION + base64.b64encode(hmac.digest(key, signed, "sha256")).decode() for key in keys]
    offered = [
        one.encode(errors="replace") for one in signatures.split(maxsplit=_MAX_SIGNATURES) if one.startswith(_VERSION)
    ]
    if not offered:
        raise SignatureInvalid("webhook-signature: has no signature of version v1")
    if not any(hmac.compare_digest(one, own.encode()) for one in offered for own in expected):
        raise SignatureInvalid(
            "webhook-signature: none matches the secret; is it the endpoint's, and the body the bytes as received?"
        )


def _check_time(sent_at: str, tolerance_s: float) -> None:
    try:
        age_s = time.time() - int(sent_at)
    except (ValueError, OverflowError) as error:
        raise SignatureInvalid("webhook-timestamp: is not a number of seconds") from error
    if abs(age_s) > tolerance_s:
        when = f"{age_s:.0f} s ago" if age_s > 0 else f"{-age_s:.0f} s ahead"
        raise TimestampOutsideTolerance(
            f"webhook-timestamp: sent {when}, by the clock here; {tolerance_s:.0f} s is allowed"
        )


def _decode_secret(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise ConfigError(f"secret: expected {_SECRET_PREFIX} and base64, as the endpoint's creation showed it")
    return key
