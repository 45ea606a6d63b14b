import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from builders import NOON, UUID1, callbacks, folded, key_press, received, status
from hypothesis import given
from hypothesis import strategies as st

from answerback.domain.calls import public_id
from answerback.domain.endpoints import EventType
from answerback.domain.models import Call, StoredCallback
from answerback.domain.webhook_payload import EVENT_TYPES, CallbackPayload, encode_webhook
from answerback.schemas.callbacks import CallbackView
from answerback.schemas.calls import CallView

MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31)).map(lambda when: when.replace(tzinfo=UTC))  # noqa: DTZ001  # made aware
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def calls(draw: st.DrawFn) -> Call:
    """Records of any history, with or without the business's words; or of no history, registered only."""
    items = [received(callback) for callback in draw(st.lists(callbacks(st.just(UUID1)), max_size=4))]
    registered = Call(channel="default", callid=UUID1, kind=None, first_seen_at=NOON, updated_at=NOON)
    return msgspec.structs.replace(
        folded(items) if items else registered,
        first_seen_at=draw(MOMENTS),
        updated_at=draw(MOMENTS),
        reference=draw(st.none() | st.text()),
        metadata=draw(st.none() | st.dictionaries(st.text(), JSON_VALUES, max_size=3)),
        due_at=draw(st.none() | MOMENTS),
        overdue_at=draw(st.none() | MOMENTS),
    )


@st.composite
def entries(draw: st.DrawFn) -> StoredCallback:
    """Callbacks as they stand in the ledger, of any bytes."""
    item = received(draw(callbacks(st.just(UUID1))))
    return StoredCallback(
        id=draw(st.integers(1, 2**53)),
        kind=item.callback.kind,
        fingerprint=item.fingerprint,
        public_id=public_id(b"key", item.fingerprint),
        received_at=draw(MOMENTS),
        duplicates=draw(st.integers(0, 99)),
        last_duplicate_at=draw(st.none() | MOMENTS),
        raw=draw(st.just(item.raw) | st.binary(max_size=64)),
        erased_at=draw(st.none() | MOMENTS),
    )


def fields_of(entry: StoredCallback) -> CallbackPayload:
    """The same callback for a webhook."""
    assert entry.public_id is not None
    return CallbackPayload.of(
        entry.id,
        entry.kind,
        entry.public_id,
        entry.received_at,
        entry.raw,
        entry.duplicates,
        entry.last_duplicate_at,
        entry.erased_at,
    )


def message(event: EventType, happened_at: datetime, call: Call, callback: CallbackPayload | None) -> dict[str, Any]:
    """The body of a webhook, read."""
    body: dict[str, Any] = json.loads(encode_webhook(event, happened_at, call, callback))
    return body


@given(calls())
def test_a_call_is_delivered_as_the_api_shows_it(call: Call) -> None:
    """The call in a webhook has exactly the fields and the values that /v1 gives to who may see numbers."""
    shown = CallView.of(call, full_numbers=True)
    reported = message(EventType.ANSWERED, NOON, call, None)["data"]["call"]
    assert set(reported) == set(CallView.model_fields)
    assert reported == json.loads(shown.model_dump_json())
    assert reported == shown.model_dump(mode="json")


@given(calls(), entries())
def test_a_callback_is_delivered_as_the_api_shows_it(call: Call, entry: StoredCallback) -> None:
    """The callback in a webhook has exactly the fields and the values that /v1 gives to who may see numbers."""
    reported = message(EventType.REVISED, NOON, call, fields_of(entry))["data"]["callback"]
    assert set(reported) == set(CallbackView.model_fields)
    assert reported == CallbackView.of(entry, full_numbers=True).model_dump(mode="json")


@pytest.mark.parametrize("event", EventType)
def test_the_envelope_is_that_of_standard_webhooks(event: EventType) -> None:
    """Type, timestamp and data; the types are the six of the documentation."""
    body = message(event, NOON + timedelta(microseconds=5), folded([received(status())]), None)
    assert set(body) == {"type", "timestamp", "data"}
    assert body["type"] == f"voice.call.{event.value}" == EVENT_TYPES[event]
    assert datetime.fromisoformat(body["timestamp"]) == NOON + timedelta(microseconds=5)
    assert set(body["data"]) == {"call", "callback"}


def test_a_word_about_the_call_alone_has_no_callback() -> None:
    """The key is there, and is null."""
    assert message(EventType.OVERDUE, NOON, folded([received(key_press())]), None)["data"]["callback"] is None


def test_what_is_not_known_is_delivered_as_null() -> None:
    """A registered call has no kind, no result and no times; nothing is left out."""
    call = Call(channel="default", callid="a", kind=None, first_seen_at=NOON, updated_at=NOON)
    reported = message(EventType.OVERDUE, NOON, call, None)["data"]["call"]
    nulls = {name for name, value in reported.items() if value is None}
    assert {"kind", "result", "started_at", "ring_seconds", "reference", "metadata", "due_at", "overdue_at"} <= nulls
    assert (reported["outcome"], reported["keys"], reported["mobile"]) == ("pending", [], "")


def test_a_body_is_compact_utf8() -> None:
    """One line, letters as they are: what is signed is what is sent."""
    call = msgspec.structs.replace(folded([received(status())]), reference="订单")
    body = encode_webhook(EventType.ANSWERED, NOON, call, None)
    assert "订单".encode() in body
    assert b"\n" not in body
    assert b'": ' not in body
