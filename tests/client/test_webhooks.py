"""Webhooks as the relay signs them, and as frameworks hand them over."""

import base64
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from client.drivers import Driver
from django.http.request import HttpHeaders
from gateway import key_press, prompt
from hypothesis import assume, given
from hypothesis import strategies as st
from receivers.process import Receive
from relay.factories import OTHER_SECRET, SECRET, endpoint
from starlette.datastructures import Headers
from werkzeug.datastructures import EnvironHeaders

from answerback.client import (
    EventInvalid,
    SignatureInvalid,
    TimestampOutsideTolerance,
    WebhookRejected,
    construct_event,
)
from answerback.domain.endpoints import PayloadFormat
from answerback.domain.models import CallbackKind, Outcome
from answerback.errors import ConfigError
from answerback.relay.sample_payload import build_sample_payload
from answerback.relay.signing import sign

BODY = build_sample_payload(PayloadFormat.STANDARD, "default", datetime.now(UTC))


def signed(body: bytes = BODY, *, secret: str = SECRET, age_s: float = 0, id_: str = "dlv_1_a") -> dict[str, str]:
    """The headers of a webhook that the relay sends, so long ago."""
    return sign(endpoint(secret=secret), id_, datetime.now(UTC) - timedelta(seconds=age_s), body)


def test_a_webhook_of_a_gateway_is_an_event(client: Any, driver: Driver, callid: str, receive: Receive) -> None:
    """With its types, from what came over the wire."""
    receiver = receive()
    made = driver.get(client.endpoints.create(receiver.url, name=f"e-{callid[:8]}", channel="alerts"))
    driver.get(
        client.callbacks.submit_many([key_press(callid), prompt(callid, mobile="13788888888")], channel="alerts")
    )
    pressed, ended = (construct_event(one.body, one.headers, made.secret) for one in receiver.await_taken(2))
    driver.get(client.endpoints.delete(made.name))
    assert (pressed.type, pressed.call.keys, pressed.call.outcome) == ("voice.call.key_pressed", ["1"], Outcome.PENDING)
    assert (ended.type, ended.call.callid, ended.call.outcome) == ("voice.call.answered", callid, Outcome.ANSWERED)
    assert ended.callback is not None
    assert (ended.callback.kind, ended.call.mobile) == (CallbackKind.PROMPT, "13788888888")
    assert ended.timestamp.tzinfo is not None


@given(
    body=st.binary(max_size=200),
    id_=st.from_regex(r"[a-z0-9_]{1,40}", fullmatch=True),
    key=st.binary(min_size=24, max_size=64),
)
def test_what_the_relay_signs_is_accepted(body: bytes, id_: str, key: bytes) -> None:
    """Whatever the secret and the id; only then is the body looked at."""
    assume(_is_text(body))
    secret = "whsec_" + base64.b64encode(key).decode()
    with pytest.raises(EventInvalid):
        construct_event(body, signed(body, secret=secret, id_=id_), secret)


def _is_text(body: bytes) -> bool:
    """Whether the relay could have made it."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


@given(place=st.integers(0, len(BODY) - 1), change=st.integers(1, 255))
def test_any_changed_byte_is_refused(place: int, change: int) -> None:
    """Of the body."""
    changed = BODY[:place] + bytes([BODY[place] ^ change]) + BODY[place + 1 :]
    with pytest.raises(SignatureInvalid, match=r"^webhook-signature: none matches the secret"):
        construct_event(changed, signed(), SECRET)


@given(data=st.data(), name=st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]))
def test_any_changed_header_is_refused(data: st.DataObject, name: str) -> None:
    """Of the three that are signed or sign."""
    headers = signed()
    place = data.draw(st.integers(0, len(headers[name]) - 1))
    headers[name] = headers[name][:place] + data.draw(st.characters(codec="ascii")) + headers[name][place + 1 :]
    assume(headers != signed())
    with pytest.raises(WebhookRejected):
        construct_event(BODY, headers, SECRET)


@pytest.mark.parametrize(
    "framework",
    [
        dict,
        Headers,
        lambda headers: EnvironHeaders(_environ(headers)),
        lambda headers: HttpHeaders(_environ(headers)),
        lambda headers: {name.title(): value for name, value in headers.items()},
    ],
    ids=["dict", "fastapi", "flask", "django", "title case"],
)
def test_headers_of_any_framework(framework: Any) -> None:
    """However they spell the names."""
    assert construct_event(BODY, framework(signed()), SECRET).call.callid == "answerback-test"


def _environ(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers as WSGI has them."""
    return {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}


def test_while_a_secret_is_rotated_either_is_accepted() -> None:
    """By a receiver that knows both, and by one that knows the old one, for the day on which the relay signs with both."""
    new = signed(secret=OTHER_SECRET)
    assert construct_event(BODY, new, [SECRET, OTHER_SECRET]).call
    with pytest.raises(SignatureInvalid):
        construct_event(BODY, new, SECRET)
    now = datetime.now(UTC)
    rotated = endpoint(secret=OTHER_SECRET, previous_secret=SECRET, previous_secret_expires_at=now + timedelta(days=1))
    assert construct_event(BODY, sign(rotated, "dlv_1_a", now, BODY), SECRET).call


@pytest.mark.parametrize(("age_s", "words"), [(400, "4\\d\\d s ago"), (-400, "[34]\\d\\d s ahead")])
def test_an_old_webhook_is_refused_and_how_old_it_is(age_s: float, words: str) -> None:
    """It may be somebody's repetition; a wrong clock shows as well. A wider tolerance is the receiver's choice."""
    with pytest.raises(TimestampOutsideTolerance, match=rf"^webhook-timestamp: sent {words}, by the clock here; 300 s"):
        construct_event(BODY, signed(age_s=age_s), SECRET)
    assert construct_event(BODY, signed(age_s=age_s), SECRET, tolerance_s=500).call
    assert construct_event(BODY, signed(age_s=age_s / 2), SECRET).call


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_named(name: str) -> None:
    """An ordinary POST is no webhook."""
    headers = signed()
    del headers[name]
    with pytest.raises(SignatureInvalid, match=rf"^{name}: the header is missing"):
        construct_event(BODY, headers, SECRET)


@pytest.mark.parametrize("signature", ["v1a,x", "v2,x", "x", ", ,", "v1", "é"])
def test_a_signature_of_another_sort_is_refused(signature: str) -> None:
    """Other versions of the scheme are not known."""
    with pytest.raises(SignatureInvalid, match="has no signature of version v1"):
        construct_event(BODY, signed() | {"webhook-signature": signature}, SECRET)


def test_among_signatures_of_other_sorts_one_is_enough() -> None:
    """As the scheme says."""
    headers = signed()
    headers["webhook-signature"] = f"v1a,x v1,é {headers['webhook-signature']}"
    assert construct_event(BODY, headers, SECRET).call


def test_no_more_signatures_are_compared_than_anybody_sends() -> None:
    """A header of a megabyte costs no more than a short one; neither does JSON without an end, if it is signed."""
    headers = signed()
    right = headers["webhook-signature"]
    headers["webhook-signature"] = f"{'v1,x ' * 19}{right}"
    assert construct_event(BODY, headers, SECRET).call
    headers["webhook-signature"] = f"{'v1,x ' * 200_000}{right}"
    with pytest.raises(SignatureInvalid, match="none matches the secret"):
        construct_event(BODY, headers, SECRET)
    deep = b'{"data":' * 100_000
    with pytest.raises(EventInvalid, match=r"^the body: is not what"):
        construct_event(deep, signed(deep), SECRET)


@pytest.mark.parametrize("tolerance_s", [0, -1, float("nan"), None, "300"])
def test_a_tolerance_that_is_none_is_the_receivers_mistake(tolerance_s: Any) -> None:
    """With one that is no number, an old webhook would pass."""
    with pytest.raises(ConfigError, match=r"^tolerance_s: expected a number above 0, got "):
        construct_event(BODY, signed(age_s=10_000), SECRET, tolerance_s=tolerance_s)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!", "abc", []])
def test_a_secret_that_is_none_is_the_receivers_mistake(secret: str | list[str]) -> None:
    """And is not repeated."""
    with pytest.raises(ConfigError, match=r"^secret: expected whsec_ and base64") as caught:
        construct_event(BODY, signed(), secret)
    assert "abc" not in str(caught.value)


@pytest.mark.parametrize("body", [BODY.decode(), {}])
def test_a_body_that_is_no_bytes_is_the_receivers_mistake(body: Any) -> None:
    """What was decoded is not what was signed."""
    with pytest.raises(TypeError, match=r"^body: expected the bytes as received, got (str|dict)$"):
        construct_event(body, signed(), SECRET)


def test_an_event_that_is_not_known_is_named_by_its_field() -> None:
    """Without its values, which may be phone numbers; fields that a newer gateway added do not matter."""
    body = BODY.replace(b'"outcome":"answered"', b'"outcome":"13788888888"')
    with pytest.raises(EventInvalid, match=r"^data\.call\.outcome: ") as caught:
        construct_event(body, signed(body), SECRET)
    assert "13788888888" not in str(caught.value)
    newer = BODY.replace(b'{"type":', b'{"new":1,"type":', 1)
    assert construct_event(newer, signed(newer), SECRET).call


def test_a_rejection_says_nothing_of_the_secret() -> None:
    """Nor of the signature that would have been right."""
    since_s = time.monotonic()
    with pytest.raises(WebhookRejected) as caught:
        construct_event(b"{}", signed(), SECRET)
    right = signed(b"{}")["webhook-signature"].removeprefix("v1,")
    assert not [one for one in (SECRET, SECRET.removeprefix("whsec_"), right) if one in str(caught.value)]
    assert time.monotonic() - since_s < 5
