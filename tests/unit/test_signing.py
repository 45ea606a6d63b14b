import base64
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from relay.factories import OTHER_SECRET, SECRET, endpoint
from standardwebhooks import Webhook, WebhookVerificationError

from answerback.domain.endpoints import validate_secret
from answerback.relay.signing import generate_secret, sign

BODY = b'{"test": 2432232314}'
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
EXAMPLE_AT = datetime.fromtimestamp(1614265330, UTC)


def secret_of(size_bytes: int) -> str:
    """A secret of so many bytes."""
    return "whsec_" + base64.b64encode(bytes(range(size_bytes))).decode()


def verifies(secret: str, headers: dict[str, str], body: bytes = BODY) -> bool:
    """Whether a receiver with `secret` accepts it."""
    try:
        Webhook(secret).verify(body, headers, json_parse=False)
    except WebhookVerificationError:
        return False
    return True


def test_the_example_of_the_specification() -> None:
    """Secret, id, time and body of the specification make its signature.

    Source: Standard Webhooks, "Signature scheme", and the libraries' tests.
    """
    assert sign(endpoint(secret=SECRET), ID, EXAMPLE_AT, BODY) == {
        "webhook-id": ID,
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_new_secrets_are_fit_and_never_the_same() -> None:
    """`whsec_` and 32 bytes, by chance."""
    made = [generate_secret() for _ in range(100)]
    assert len(set(made)) == len(made)
    assert {validate_secret(secret) for secret in made} == {None}
    assert {len(base64.b64decode(secret.removeprefix("whsec_"))) for secret in made} == {32}


@pytest.mark.parametrize("size_bytes", [24, 25, 32, 63, 64])
def test_a_secret_that_fits(size_bytes: int) -> None:
    """24 to 64 bytes in base64 behind the prefix."""
    assert validate_secret(secret_of(size_bytes)) is None


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        SECRET.removeprefix("whsec_"),
        SECRET.replace("whsec_", "whsk_"),
        SECRET.replace("whsec_", "WHSEC_"),
        f"whsec_{SECRET}",
        secret_of(23),
        secret_of(65),
        secret_of(25).rstrip("="),
        SECRET + "\n",
        f" {SECRET}",
        SECRET[:-1] + "!",
        SECRET.replace("Mf", "-_"),
        SECRET[:-1] + "é",
        "whsec_" + "空" * 32,
    ],
)
def test_an_invalid_secret_is_described(secret: str) -> None:
    """The words tell what is expected, and nothing of what was given."""
    assert validate_secret(secret) == "expected whsec_ and the base64 of 24 to 64 bytes"


@given(st.text(max_size=100).flatmap(lambda text: st.sampled_from([text, f"whsec_{text}"])))
def test_every_text_is_fit_or_not(secret: str) -> None:
    """Never an exception; and what is fit can sign."""
    if validate_secret(secret) is None:
        now = datetime.now(UTC)
        assert verifies(secret, sign(endpoint(secret=secret), ID, now, BODY))


@pytest.mark.parametrize("body", [BODY, b"{}", '{"reason":"空号","emoji":"📞"}'.encode(), b'{"a":"\\u7a7a"}\n'])
def test_the_receiver_can_verify_it(body: bytes) -> None:
    """The official library accepts the headers, over the exact bytes of the body."""
    headers = sign(endpoint(), ID, datetime.now(UTC), body)
    assert Webhook(SECRET).verify(body, headers) == json.loads(body)
    assert not verifies(SECRET, headers, body + b" ")
    assert not verifies(OTHER_SECRET, headers, body)
    assert not verifies(SECRET, headers | {"webhook-id": "msg_other"}, body)


@pytest.mark.parametrize("before_s", [0.001, 1, 24 * 3600])
def test_right_after_a_rotation_both_secrets_sign(before_s: float) -> None:
    """A receiver with the new secret accepts it, and so does one that still has the old."""
    now = datetime.now(UTC)
    rotated = endpoint(previous_secret=OTHER_SECRET, previous_secret_expires_at=now + timedelta(seconds=before_s))
    headers = sign(rotated, ID, now, BODY)
    assert verifies(SECRET, headers)
    assert verifies(OTHER_SECRET, headers)
    first, second = headers["webhook-signature"].split(" ")
    assert verifies(SECRET, headers | {"webhook-signature": first})
    assert verifies(OTHER_SECRET, headers | {"webhook-signature": second})


@pytest.mark.parametrize("after_s", [0, 0.001, 24 * 3600])
def test_later_only_the_new_secret_signs(after_s: float) -> None:
    """From `previous_secret_expires_at` on the old one is worth nothing."""
    now = datetime.now(UTC)
    rotated = endpoint(previous_secret=OTHER_SECRET, previous_secret_expires_at=now - timedelta(seconds=after_s))
    headers = sign(rotated, ID, now, BODY)
    assert verifies(SECRET, headers)
    assert not verifies(OTHER_SECRET, headers)


def test_an_old_secret_without_an_end_does_not_sign() -> None:
    """Without a time until which it holds it does not hold."""
    headers = sign(endpoint(previous_secret=OTHER_SECRET), ID, datetime.now(UTC), BODY)
    assert not verifies(OTHER_SECRET, headers)


def test_a_time_of_another_zone_is_the_same_time() -> None:
    """What is signed is the instant, however its time is written."""
    east = EXAMPLE_AT.astimezone(timezone(timedelta(hours=8)))
    assert sign(endpoint(), ID, east, BODY) == sign(endpoint(), ID, EXAMPLE_AT, BODY)


@given(st.integers(0, 59), st.integers(0, 999_999))
def test_fractions_of_a_second_do_not_matter(second: int, microsecond: int) -> None:
    """The header and what is signed name the same whole second."""
    at = EXAMPLE_AT.replace(second=second, microsecond=microsecond)
    whole = at.replace(microsecond=0)
    assert sign(endpoint(), ID, at, BODY) == sign(endpoint(), ID, whole, BODY)
