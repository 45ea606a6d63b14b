import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from builders import PAYLOADS, callbacks, wire
from gateway import SEED, failure, prompt
from hypothesis import given
from hypothesis import strategies as st

from answerback.imports.bodies import EmbeddedBody, find_bodies
from answerback.imports.files import open_input
from answerback.imports.lines import ExtractedCallback, extract_callbacks
from answerback.imports.records import LONGEST_OBJECT, split_records
from answerback.imports.texts import LONGEST_LINE, iter_lines
from answerback.imports.times import document_time, find_time
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


def merged(body: bytes) -> bytes:
    """A JSON line of a log that has put the body's fields among its own."""
    return json.dumps({"time": "2026-11-23T15:31:52+08:00", "level": "info"} | json.loads(body)).encode()


def unescaped(body: bytes) -> bytes:
    """A line of nginx's with escape=none."""
    return b"[23/Nov/2026:15:31:52 +0800] " + body + b" 200"


def found_in(line: bytes) -> ExtractedCallback | None:
    """The one callback of a line; None where there is none."""
    found, _ = extract_callbacks(line.decode("utf-8", "surrogateescape"))
    assert len(found) < 2
    return found[0] if found else None


def bodies(*pieces: bytes, encoding: str | None = None) -> list[tuple[int, bytes]]:
    """The line and the bytes of every callback in a file that is read in these pieces."""
    records = split_records(iter_lines(pieces, encoding))
    return [(record.line, one.raw) for record in records for one in extract_callbacks(record.text).found]


def callids(*pieces: bytes, encoding: str | None = None) -> list[str]:
    """The callids of every callback in such a file."""
    return [parse(raw).callid for _, raw in bodies(*pieces, encoding=encoding)]


LOGS = pytest.mark.parametrize(
    "log",
    [nginx, nginx_json_escape, nginx_json_line, apache, gateway_log, merged, unescaped],
    ids=lambda log: log.__name__,
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
    found = found_in(log(body))
    assert found is not None
    assert (parse(found.raw), found.at) == (parse(body), LOGGED)


@pytest.mark.parametrize("log", [nginx, nginx_json_escape, nginx_json_line, apache], ids=lambda log: log.__name__)
def test_a_body_over_several_lines_is_one_in_the_log(log: object) -> None:
    """The vendor's own example is pretty-printed."""
    assert callable(log)
    found = found_in(log(SEED))
    assert found is not None
    assert found.raw == SEED


@given(callbacks(CALLIDS))
def test_any_callback_survives_nginx(callback: object) -> None:
    """The bytes come out as they went in."""
    body = wire(callback)  # type: ignore[arg-type]
    assert list(find_bodies(nginx(body).decode())) == [EmbeddedBody(nginx(body).index(b'"{') + 1, body)]
    found = found_in(nginx(body))
    assert found is not None
    assert found.raw == body


@given(st.binary(max_size=300))
def test_any_bytes_are_a_line(line: bytes) -> None:
    """Junk is no callback, and never a crash."""
    assert found_in(line) is None or b"_callback" in line


@pytest.mark.parametrize("cut", [1, 30, 60])
def test_a_body_that_was_cut_off_is_none(cut: int) -> None:
    """A log that keeps only the first bytes of a body."""
    assert found_in(nginx(prompt("call-1")[:-cut])) is None


def test_the_vendors_json_is_taken_as_it_is() -> None:
    """Byte for byte, without a time of its own."""
    for body in (prompt("call-1"), failure("call-2")):
        assert found_in(body) == ExtractedCallback(raw=body)


@pytest.mark.parametrize("path", sorted(path.name for path in PAYLOADS.glob("*.json")))
def test_the_payloads_of_the_field_are_found_in_a_log(path: str) -> None:
    """Every payload that is known."""
    body = (PAYLOADS / path).read_bytes().removeprefix(b"\xef\xbb\xbf").strip()
    found = found_in(nginx(body))
    assert found is None or found.raw == body


def test_our_own_export_holds_channel_and_time() -> None:
    """A line of `answerback export callbacks --format ndjson`."""
    line = {"id": 1, "callid": "c", "channel": "alerts", "received_at": "2026-11-23T07:31:52Z", "raw": "{}"}
    assert found_in(json.dumps(line).encode()) == ExtractedCallback(
        raw=b"{}", at=LOGGED, channel="alerts", exported=True
    )


def test_the_token_in_the_url_is_seen() -> None:
    """It tells the channel."""
    found = found_in(nginx(prompt("call-1"), f"/voice/callback/{TOKEN}"))
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
    assert find_time(f"10.0.0.1 {text} POST") == when


@pytest.mark.parametrize(
    "value", [1795419112, 1795419112.0, 1795419112000, 1795419112000000, "1795419112.000", "2026-11-23T07:31:52Z"]
)
def test_times_of_json_logs(value: object) -> None:
    """As text or as a number, of seconds or of a part of them."""
    assert document_time({"ts": value, "body": "{}"}) == LOGGED


def test_files_may_be_gzipped(tmp_path: Path) -> None:
    """Whatever they are called, and however many are put behind each other."""
    packed = gzip.compress(b"one\n")
    for content in (b"one\ntwo", gzip.compress(b"one\ntwo"), packed + gzip.compress(b"two"), packed * 2 + b"\0" * 512):
        (tmp_path / "file").write_bytes(content)
        with open_input(tmp_path / "file") as source:
            assert next(line.text for line in iter_lines(source, None)) == "one"
            assert source.error is None


def test_what_is_good_of_a_file_that_is_cut_off_comes_first(tmp_path: Path) -> None:
    """A gzip that has no end, or whose bytes were changed: then the fault."""
    path, whole = tmp_path / "cut.gz", b"".join(prompt(f"c-{n}", mobile=f"{n * 7919:011}") + b"\n" for n in range(4000))
    packed = gzip.compress(whole)
    for content, least in (
        (packed[:-9], 4000),
        (packed[:-8] + bytes(8), 4000),
        (packed[: len(packed) // 2], 1500),
        (packed[:9000] + b"x" * 99, 300),
    ):
        path.write_bytes(content)
        with open_input(path) as source:
            found = callids(*source)
            assert found == [f"c-{n}" for n in range(len(found))]
            assert len(found) >= least
            assert source.error is not None
            assert source.error.startswith(f"{path}: cannot be read to its end: ")


def test_a_line_without_end_does_not_fill_memory() -> None:
    """What is longer than any callback comes in parts, and the next line is the next."""
    lines = list(iter_lines([b"x" * 65536] * 40 + [b"\nnext\n"], None))
    assert max(len(line.text) for line in lines) <= LONGEST_LINE
    assert [line.text for line in lines if line.is_whole][1:] == ["next"]
    assert [record.line for record in split_records(lines)][-1] == 2


MANY = [prompt(f"c-{n}", failure_reason="é{[") for n in range(60)]
PRETTY = [json.dumps(json.loads(body), indent=4, ensure_ascii=False).encode() for body in MANY]
FORMS = {
    "ndjson": b"\n".join(MANY),
    "ndjson-crlf": b"\r\n".join(MANY) + b"\r\n",
    "array": b"[" + b",".join(MANY) + b"]",
    "array-over-lines": b"[\n" + b",\n".join(MANY) + b"\n]\n",
    "array-pretty": json.dumps([json.loads(body) for body in MANY], indent=2).encode(),
    "array-flat": json.dumps([json.loads(body) for body in MANY], indent=0).encode(),
    "pretty": b"\n".join(PRETTY),
    "concatenated": b"".join(MANY),
    "concatenated-pretty": b"".join(PRETTY),
    "several-on-a-line": b"\n".join(b" ".join(MANY[n : n + 7]) for n in range(0, 60, 7)),
    "in-an-object": json.dumps({"total": 60, "callbacks": [json.loads(body) for body in MANY]}).encode(),
    "in-an-object-pretty": json.dumps({"n": 60, "all": [json.loads(body) for body in MANY]}, indent=1).encode(),
    "logged": b"\n".join(b"2026-11-23 08:00:00 INFO [x] got: " + body for body in PRETTY),
    "logged-together": b"2026-11-23 08:00:00 INFO got: " + b" and ".join(MANY) + b" done",
    "nginx-together": b"\n".join(nginx(MANY[n]) + nginx(MANY[n + 1]) for n in range(0, 60, 2)),
    "export-pretty": b"\n".join(
        json.dumps({"received_at": "2026-11-23T07:31:52Z", "channel": "a", "raw": body.decode()}, indent=1).encode()
        for body in MANY
    ),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("piece_bytes", [1 << 20, 100])
def test_every_callback_of_a_file_is_found(form: str, piece_bytes: int) -> None:
    """One a line, several on a line, over lines, in an array, in an object; in whatever pieces it is read."""
    content = FORMS[form]
    pieces = [content[n : n + piece_bytes] for n in range(0, len(content), piece_bytes)]
    assert callids(*pieces) == [f"c-{n}" for n in range(60)]


@pytest.mark.parametrize("form", ["array", "in-an-object", "concatenated", "logged-together"])
def test_a_line_may_be_longer_than_memory_should_hold(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An array of any length on one line: no part of it is lost between two pieces."""
    for module in ("texts", "records"):
        monkeypatch.setattr(f"answerback.imports.{module}.LONGEST_LINE", 2000)
    content = FORMS[form]
    assert callids(*(content[n : n + 100] for n in range(0, len(content), 100))) == [f"c-{n}" for n in range(60)]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "gbk", "gb18030"])
@pytest.mark.parametrize("form", ["ndjson", "pretty"])
def test_the_encoding_is_seen(form: str, encoding: str) -> None:
    """By its mark, its NULs, or what the first lines beyond ASCII are; the bytes come out as UTF-8."""
    text = FORMS[form].decode().replace("é", "停机")
    content = text.encode(encoding)
    found = bodies(*(content[n : n + 4096] for n in range(0, len(content), 4096)))
    assert [json.loads(raw)["voiceprompt_callback"]["failure_reason"] for _, raw in found] == ["停机{["] * 60


def test_an_encoding_can_be_named() -> None:
    """Where it cannot be seen."""
    body = failure("call-1", failure_reason="關機")
    assert bodies(body.decode().encode("big5"), encoding="big5") == [(1, body)]


def test_what_is_broken_takes_nothing_with_it() -> None:
    """A line that was cut off within an object: the lines after it are read as if it were not there."""
    good = prompt("good")
    for cut in range(1, len(good)):
        assert callids(good[:cut] + b"\n" + good + b"\n" + PRETTY[0] + b"\n") == ["good", "c-0"], good[:cut]
    endless = b'{"a": [\n' + (b"1," * 20 + b"\n") * (LONGEST_OBJECT // 20)
    assert callids(endless + good) == ["good"]


def test_a_number_of_a_line_is_that_of_its_beginning() -> None:
    """So that whoever looks finds it."""
    content = b"\n" + PRETTY[0] + b",\n\n" + MANY[1] + b" " + MANY[2] + b"\n" + nginx(MANY[3])
    following = 2 + len(PRETTY[0].splitlines()) + 1
    assert [line for line, _ in bodies(content)] == [2, following, following, following + 1]


def test_what_begins_and_is_not_whole_is_counted() -> None:
    """Beside those of its line that are."""
    found, broken = extract_callbacks((nginx(prompt("a")) + b" " + nginx(prompt("b")[:-9])).decode())
    assert ([parse(one.raw).callid for one in found], broken) == (["a"], 1)


def test_times_without_a_zone_are_of_the_one_that_is_given() -> None:
    """Of a log's text and of its JSON; one that names its zone keeps it."""
    shanghai = ZoneInfo("Asia/Shanghai")
    assert find_time("2026/11/23 15:31:52 [error]", shanghai) == LOGGED
    assert find_time("2026-11-23 15:31:52,000 INFO", shanghai) == LOGGED
    assert find_time("2026-11-23T07:31:52Z", shanghai) == LOGGED
    assert document_time({"ts": "2026-11-23 15:31:52"}, shanghai) == LOGGED
    (found,), _ = extract_callbacks(f"2026-11-23 15:31:52 {prompt('c').decode()}", shanghai)
    assert found.at == LOGGED
