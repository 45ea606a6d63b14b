import json
from datetime import UTC, datetime

import pytest
from builders import failure, status, wire
from hypothesis import given
from hypothesis import strategies as st

from answerback.console.model.bodies import BodyText, format_body
from answerback.domain.models import CallbackKind, StoredCallback
from answerback.schemas.callbacks import CallbackView, DifferenceView

MOBILE, MASKED = "13912345678", "139****5678"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def shown(raw: bytes, *, full_numbers: bool) -> BodyText:
    """How a body is set out for a reader."""
    now = datetime.now(UTC)
    entry = StoredCallback(
        id=1, kind=CallbackKind.PROMPT, fingerprint=b"", received_at=now, duplicates=0, last_duplicate_at=None, raw=raw
    )
    return format_body(CallbackView.of(entry, full_numbers=full_numbers))


def masked(document: object) -> str:
    """How a document is shown to who sees no numbers."""
    return shown(json.dumps(document).encode(), full_numbers=False).text


@pytest.mark.parametrize(
    "document",
    [
        {"mobile": MOBILE},
        {"mobile": int(MOBILE)},
        {"a": [{"call_from": MOBILE}], "b": f"to {MOBILE}, please"},
        {"phone": MOBILE},
        {"phone": int(MOBILE)},
        {MOBILE: 1},
        {"failure_reason": f"no {MOBILE}"},
        [MOBILE],
        MOBILE,
    ],
)
def test_a_number_is_hidden_under_any_name(document: object) -> None:
    """In values, keys and prose; and what is shown is still JSON."""
    shown = masked(document)
    assert MOBILE not in shown
    assert MASKED in shown
    json.loads(shown)


def test_an_escaped_number_is_hidden() -> None:
    """However the digits are written."""
    raw = ('{"mobile":"' + "".join(f"\\u{ord(digit):04x}" for digit in MOBILE) + '"}').encode()
    assert MASKED in shown(raw, full_numbers=False).text


def test_what_is_no_number_stays() -> None:
    """Times, fees and a callid of digits are as they came."""
    fields = {"callid": "0123456789012345", "start_calltime": "1470197196", "fee": 1, "mobile": ""}
    assert json.loads(masked(fields)) == fields


def test_json_is_set_out_in_lines() -> None:
    """In full as it came, even what JSON allows and nobody writes."""
    body = shown(b'\xef\xbb\xbf{"a":1,"a":2}', full_numbers=True)
    assert (body.text, body.format, body.has_bom) == ('{\n  "a": 1,\n  "a": 2\n}', "json", True)


def test_text_is_text_and_bytes_are_bytes() -> None:
    """What is no JSON is shown as the text that it is; what is no text, in hex."""
    assert shown(f"mobile={MOBILE}".encode(), full_numbers=False)[:2] == (f"mobile={MASKED}", "text")
    body = shown(b"\xff\x00A", full_numbers=True)
    assert body.format == "bytes"
    assert body.text.split() == ["0000", "ff", "00", "41", "··A"]


def test_a_long_body_is_cut() -> None:
    """A page stays a page."""
    body = shown(b"x" * 1_000_000, full_numbers=True)
    assert body.is_truncated
    assert len(body.text) < 100_000


@given(st.binary(max_size=200) | JSON.map(lambda document: json.dumps(document).encode()))
def test_any_bytes_can_be_shown(raw: bytes) -> None:
    """Whoever looks, and whatever came."""
    for full_numbers in (True, False):
        shown(raw, full_numbers=full_numbers).text.encode()


@pytest.mark.parametrize("depth", [500, 900, 2_000, 60_000])
def test_deep_nesting_can_be_shown(depth: int) -> None:
    """As far as it goes, without filling the memory."""
    for full_numbers in (True, False):
        assert len(shown(b"[" * depth + b"]" * depth, full_numbers=full_numbers).text) <= 65_536


def test_differences_use_the_vendors_names() -> None:
    """Only what differs, with numbers as the reader may see them."""
    before, after = wire(status()), wire(status(mobile=MOBILE, fee_minutes=2))
    reported = {one.field: (one.before, one.after) for one in DifferenceView.between(before, after, full_numbers=False)}
    assert reported == {"mobile": ("137****8888", MASKED), "fee": ("1", "2")}


def test_a_field_that_is_missing_is_absent() -> None:
    """Where two callbacks have not the same fields."""
    (one,) = DifferenceView.between(
        b'{"voice_failure_callback":{"failure_code":1}}', b'{"voice_failure_callback":{}}', full_numbers=True
    )
    assert (one.field, one.before, one.after) == ("failure_code", "1", None)


def test_prose_that_differs_hides_numbers() -> None:
    """A reason may hold one."""
    reported = DifferenceView.between(
        wire(failure(reason="x")), wire(failure(reason=f"call {MOBILE}")), full_numbers=False
    )
    assert [one.after for one in reported] == [f"call {MASKED}"]
