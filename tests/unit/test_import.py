import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from builders import PAYLOADS, callbacks, wire
from gateway import SEED, failure, prompt
from hypothesis import given
from hypothesis import strategies as st

from answerback.errors import ConfigError
from answerback.imports.bodies import find_body
from answerback.imports.files import open_source
from answerback.imports.lines import Found, find
from answerback.imports.times import time_in, time_of
from answerback.tencent.callbacks import parse

LOGGED = datetime(2026, 11, 23, 7, 31, 52, tzinfo=UTC)
TOKEN = "tok-alerts-3k5Jq0ZtV2"
CALLIDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=64).filter(str.isprintable)


def nginx(body: bytes, path: str = "/voice/callback") -> bytes:
    """A line of nginx's with escape=default: quotes, backslashes and what is not printable ASCII as hex."""
    escaped = "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\x{b:02X}" for b in body)
    return f'10.0.0.1 - - [23/Nov/2026:15:31:52 +0800] "POST {path} HTTP/1.1" 200 26 "-" "Go" "{escaped}"'.encode()


def nginx_json_escape(body: bytes) -> bytes:
    """A text line of nginx's with escape=json."""
    return (
        f"2026-11-23T15:31:52+08:00 POST /voice/callback 200 {json.dumps(body.decode(), ensure_ascii=False)}".encode()
    )


def nginx_json_line(body: bytes) -> bytes:
    """A JSON line of nginx's, with escape=json."""
    return json.dumps(
        {"time_local": "23/Nov/2026:15:31:52 +0800", "uri": "/voice/callback", "body": body.decode()},
        ensure_ascii=False,
    ).encode()


def apache(body: bytes) -> bytes:
    """A line of Apache's: escapes as in C, hex for what is not ASCII."""
    named = {0x22: '\\"', 0x5C: "\\\\", 0x0A: "\\n", 0x09: "\\t", 0x0D: "\\r"}
    escaped = "".join(named.get(b) or (chr(b) if 32 <= b < 127 else f"\\x{b:02x}") for b in body)
    return f'10.0.0.1 - - [23/Nov/2026:15:31:52 +0800] "POST /voice/callback HTTP/1.1" 200 26 "{escaped}"'.encode()


def gateway_log(body: bytes) -> bytes:
    """A JSON line of an API gateway's, with the body as an object of its own."""
    return json.dumps({"@timestamp": "2026-11-23T07:31:52.000Z", "request": {"body": json.loads(body)}}).encode()


def unescaped(body: bytes) -> bytes:
    """A line of nginx's with escape=none."""
    return b"[23/Nov/2026:15:31:52 +0800] " + body + b" 200"


LOGS = pytest.mark.parametrize(
    "log", [nginx, nginx_json_escape, nginx_json_line, apache, gateway_log, unescaped], ids=lambda log: log.__name__
)
BODIES = pytest.mark.parametrize(
    "body",
    [
        SEED.replace(b"\n", b""),
        prompt("call-1"),
        failure("call-2"),
        failure("c", failure_reason='a "quote" \\ {'),
        b'{"voicekey_callback": {"callid": "\\u5176", "call_from": "", "mobile": "1", "nationcode": "", "keypress": "1"}}',
    ],
)


@LOGS
@BODIES
def test_a_body_is_found_in_a_log_line_with_its_time(log: object, body: bytes) -> None:
    """Whatever the log does to quotes, backslashes and Chinese."""
    assert callable(log)
    found = find(log(body))
    assert found is not None
    assert (parse(found.raw), found.at) == (parse(body), LOGGED)


@pytest.mark.parametrize("log", [nginx, nginx_json_escape, nginx_json_line, apache], ids=lambda log: log.__name__)
def test_a_body_over_several_lines_is_one_in_the_log(log: object) -> None:
    """The vendor's own example is pretty-printed."""
    assert callable(log)
    found = find(log(SEED))
    assert found is not None
    assert found.raw == SEED


@given(callbacks(CALLIDS))
def test_any_callback_survives_nginx(callback: object) -> None:
    """The bytes come out as they went in."""
    body = wire(callback)  # type: ignore[arg-type]
    assert find_body(nginx(body).decode()) == (body, nginx(body).index(b'"{') + 1)
    found = find(nginx(body))
    assert found is not None
    assert found.raw == body


@given(st.binary(max_size=300))
def test_any_bytes_are_a_line(line: bytes) -> None:
    """Junk is no callback, and never a crash."""
    assert find(line) is None or b"_callback" in line


@pytest.mark.parametrize("cut", [1, 30, 60])
def test_a_body_that_was_cut_off_is_none(cut: int) -> None:
    """A log that keeps only the first bytes of a body."""
    assert find(nginx(prompt("call-1")[:-cut])) is None


def test_the_vendors_json_is_taken_as_it_is() -> None:
    """Byte for byte, without a time of its own."""
    for body in (prompt("call-1"), failure("call-2")):
        assert find(body + b"\n") == Found(raw=body)


@pytest.mark.parametrize("path", sorted(path.name for path in PAYLOADS.glob("*.json")))
def test_the_payloads_of_the_field_are_found_in_a_log(path: str) -> None:
    """Every payload that is known."""
    body = (PAYLOADS / path).read_bytes().removeprefix(b"\xef\xbb\xbf").strip()
    found = find(nginx(body))
    assert found is None or found.raw == body


def test_our_own_export_tells_channel_and_time() -> None:
    """A line of `answerback export callbacks --format ndjson`."""
    line = {"id": 1, "callid": "c", "channel": "alerts", "received_at": "2026-11-23T07:31:52Z", "raw": "{}"}
    assert find(json.dumps(line).encode()) == Found(raw=b"{}", at=LOGGED, channel="alerts", exported=True)


def test_the_token_in_the_url_is_seen() -> None:
    """It tells the channel."""
    found = find(nginx(prompt("call-1"), f"/voice/callback/{TOKEN}"))
    assert found is not None
    assert found.token == TOKEN


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("[23/Nov/2026:15:31:52 +0800]", LOGGED),
        ("[23/Nov/2026:02:01:52 -0530]", LOGGED),
        ("2026-11-23T15:31:52+08:00", LOGGED),
        ("2026-11-23 07:31:52", LOGGED),
        ("2026-11-23T07:31:52.250Z", LOGGED.replace(microsecond=250_000)),
        ("2026-11-23T15:31:52+0800", LOGGED),
        ("[99/Nov/2026:15:31:52 +0800]", None),
        ("2026-13-23T07:31:52Z", None),
        ("no time", None),
    ],
)
def test_times_of_logs(text: str, when: datetime | None) -> None:
    """The form of nginx and Apache, and ISO 8601; UTC where no zone is named."""
    assert time_in(f"10.0.0.1 {text} POST") == when


@pytest.mark.parametrize(
    "value", [1795419112, 1795419112.0, 1795419112000, 1795419112000000, "1795419112.000", "2026-11-23T07:31:52Z"]
)
def test_times_of_json_logs(value: object) -> None:
    """As text or as a number, of seconds or of a part of them."""
    assert time_of({"ts": value, "body": "{}"}) == LOGGED


def test_files_may_be_gzipped(tmp_path: Path) -> None:
    """Whatever they are called."""
    (tmp_path / "plain").write_bytes(b"one\ntwo")
    (tmp_path / "packed").write_bytes(gzip.compress(b"one\ntwo"))
    for name in ("plain", "packed"):
        with open_source(tmp_path / name) as source:
            assert list(source) == [b"one\n", b"two"]


def test_a_file_that_is_cut_off_is_named(tmp_path: Path) -> None:
    """A gzip that has no end."""
    path = tmp_path / "cut.gz"
    path.write_bytes(gzip.compress(b"one\n" * 1000)[:-9])
    with open_source(path) as source, pytest.raises(ConfigError, match=r"cut\.gz: cannot be read to its end"):
        list(source)


def test_a_line_without_end_does_not_fill_memory(tmp_path: Path) -> None:
    """What is longer than any callback comes cut off, as one line."""
    path = tmp_path / "long"
    path.write_bytes(b"x" * 3_000_000 + b"\nnext\n")
    with open_source(path) as source:
        assert [len(line) for line in source] == [1024 * 1024, 5]
