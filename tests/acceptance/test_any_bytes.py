"""Whatever is sent to the callback URL is answered by the contract, and what is refused is kept."""

import json
from typing import Any

from gateway import OK, Gateway, key_press, prompt
from hypothesis import example, given
from hypothesis import strategies as st

LIMIT_BYTES = 65_536
REFUSALS = {1011, 3003, 3004}
KEYS = ["voiceprompt_callback", "voicecode_callback", "voicekey_callback", "voice_failure_callback"]
FIELDS = [
    "result",
    "accept_time",
    "call_from",
    "callid",
    "end_calltime",
    "fee",
    "mobile",
    "nationcode",
    "start_calltime",
    "keypress",
    "failure_code",
    "failure_reason",
]

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(
        ["0", "1", "2", "", "1470197211", "13788888888", "99999999999999999999", "\x00", "-1", "1e5", "١"]
    )
)
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text() | st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=20,
)
near_callbacks = st.dictionaries(
    st.sampled_from(KEYS),
    st.dictionaries(st.sampled_from(FIELDS), scalars, min_size=4, max_size=len(FIELDS)) | documents,
    min_size=1,
    max_size=2,
)
large = st.builds(lambda part, times: (part * times)[:LIMIT_BYTES], st.binary(min_size=1), st.integers(1, LIMIT_BYTES))


def hold(gateway: Gateway, body: bytes) -> None:
    """Post `body`; check that the answer is the contract's and that the body is on disk."""
    answer = gateway.post(body)
    assert answer.headers["content-type"] == "application/json"
    reported = answer.json()
    assert list(reported) == ["result", "errmsg"]
    assert isinstance(reported["errmsg"], str)
    if reported["result"] == 0:
        assert (answer.status_code, answer.content) == (200, OK)
        assert gateway.rows("SELECT count(*) FROM callbacks WHERE length(raw) > 0")[0][0] > 0
        return
    assert answer.status_code == 400
    assert reported["result"] in REFUSALS
    (kept,) = gateway.rows("SELECT result, reason, channel, size_bytes FROM quarantine WHERE raw = ?", body)
    assert kept == (reported["result"], reported["errmsg"], "default", len(body))


@given(st.binary() | large)
@example(b"\xef\xbb\xbf")
@example(b"\xef\xbb\xbf\xef\xbb\xbf{}")
@example(b"[" * LIMIT_BYTES)
@example(b'{"voiceprompt_callback":' * 2700)
@example(b'{"voiceprompt_callback":' + b"[" * 50_000 + b"]" * 10_000)
@example(b"\x00" * LIMIT_BYTES)
@example(b'"' + b"\\u0000" * 10_000 + b'"')
def test_any_bytes_are_answered(gateway: Gateway, body: bytes) -> None:
    """Any bytes up to the limit get the contract's answer, and are kept where they are refused."""
    hold(gateway, body)


@given(documents, st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]))
def test_any_json_is_answered(gateway: Gateway, document: Any, encoding: str) -> None:
    """Any JSON, in any encoding, gets the contract's answer."""
    text = json.dumps(document, ensure_ascii=encoding != "utf-8")
    hold(gateway, text.encode(encoding, "replace"))


@given(near_callbacks)
@example({"voiceprompt_callback": {"callid": "\U0001f600" * 256}})
@example(json.loads(prompt("x", callid=10**300)))
@example(json.loads(prompt("x", callid=-(10**40), mobile=-0.0)))
@example(json.loads(prompt("\u2028\u202e")))
@example(json.loads(prompt("x", fee=2**31, accept_time=2**63)))
@example(json.loads(prompt("x", start_calltime="9999999999", end_calltime="10000000000")))
@example(json.loads(key_press("x", "\x00")))
def test_anything_like_a_callback_is_answered(gateway: Gateway, document: dict[str, Any]) -> None:
    """A callback with any values in any of its fields is stored or refused, never a fault."""
    hold(gateway, json.dumps(document).encode())


@given(st.binary(max_size=40), st.integers(0, 400), st.integers(0, 400))
def test_a_damaged_callback_is_answered(gateway: Gateway, junk: bytes, start: int, end: int) -> None:
    """The vendor's example with any stretch of it replaced is stored or refused, never a fault."""
    whole = prompt("damaged")
    hold(gateway, whole[:start] + junk + whole[end:])
