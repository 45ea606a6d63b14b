"""Who may not see numbers sees none: not on a page, in an answer, a file, an event, the log or a trace, however it is spelled."""

import json
import re
import time
import unicodedata
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from html import unescape
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit

import httpx
import pyarrow.parquet as pq
import pytest
from console_client import make_key, signed_in
from gateway import Gateway, code, failure, key_press, prompt, run
from otlp_collector import Collector
from receivers.process import Receiver, await_true
from receivers.webhook_receiver import Business, relaying

from answerback.exports import Dataset, FileFormat

MOBILE, LANDLINE, AREA = "13788412675", "83764391", "0755"
MARKS = (MOBILE, LANDLINE)
ELSEWHERE = ("/v1/events", "/v1/erasures/{id}")
"""A stream, which has no end, and receipts, which have no number: test_events.py and test_erasures.py."""
EXPORTS = "/v1/exports/{dataset}.{format}"
TOKEN = "s3cr3t-t0ken"
"""What stands in the query of an endpoint's URL."""

_GROUPED = (MOBILE[:3], MOBILE[3:7], MOBILE[7:])
SPELLINGS = (
    MOBILE,
    f"+86{MOBILE}",
    f"0086 {MOBILE}",
    *(mark.join(_GROUPED) for mark in (" ", "-", ".", "/", ") ", "　", "－", "·", "\u200b", "_", ",", "，", "、")),
    f"{int(MOBILE):,}",
    f"{int(MOBILE):,}".replace(",", "'"),
    " ".join(MOBILE),
    f"{MOBILE}.0",
    f"{MOBILE[0]}.{MOBILE[1:]}e10",
    MOBILE.translate({ord(str(digit)): chr(0xFF10 + digit) for digit in range(10)}),
    MOBILE.translate({ord(str(digit)): chr(0x0660 + digit) for digit in range(10)}),
    quote(MOBILE.translate({ord(str(digit)): chr(0xFF10 + digit) for digit in range(10)})),
    "".join(f"%{ord(digit):02x}" for digit in MOBILE),
    "".join(f"&#{ord(digit)};" for digit in MOBILE),
    LANDLINE,
    f"{LANDLINE[:4]} {LANDLINE[4:]}",
    f"{LANDLINE[:4]}-{LANDLINE[4:]}",
    f"{AREA}-{LANDLINE[:4]} {LANDLINE[4:]}",
    f"({AREA}){LANDLINE}",
)
ANSWER = json.dumps(
    {"result": 7, "errmsg": f"nobody at {SPELLINGS[4]}, {LANDLINE}: POST /crm?key={TOKEN}", "n": MOBILE}
)


def marks_in(text: str) -> list[str]:
    """The marked numbers that a patient reader finds in `text`, whatever stands between and around their digits."""
    plain = unquote(unescape(text))
    plain = re.sub(r"\\u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), plain)
    digits = "".join(re.findall(r"\d+", plain))
    if not digits.isascii():
        digits = "".join(str(unicodedata.decimal(digit)) for digit in digits)
    return [mark for mark in MARKS if mark in digits]


class Filled(NamedTuple):
    """A gateway that has a number in every field of everything, and what is to be looked at there."""

    gateway: Gateway
    collector: Collector
    callid: str
    keys: dict[str, str]
    """Name of the holder -> the key; none of them may see numbers."""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """One gateway for all of it."""
    home = tmp_path_factory.mktemp("masking")
    with ExitStack() as stack:
        collector = stack.enter_context(Collector())
        settings = relaying("[0.05]", breaker_threshold="1000") | {"ANSWERBACK_TRACING__ENDPOINT": collector.url}
        gateway = stack.enter_context(Gateway(home / "data", settings=settings))
        crm = stack.enter_context(Receiver(home, "crm", behaviour="refusing", status=200, answer=ANSWER))
        business = Business(gateway)
        business.add("crm", f"{crm.url}?key={TOKEN}", format="tencent", kinds=["failure"])
        callid = str(uuid.uuid1())
        fill(business, callid)
        business.await_settled("crm")
        business.asks("POST", "replays", {"endpoint": business.name("crm"), "dead": True})
        business.await_settled("crm")
        keys = {role: make_key(gateway, f"blind-{role}", role) for role in ("viewer", "admin")}
        await_true(lambda: any(span.name == "deliver" for span in collector.spans), lambda: "no delivery was traced")
        yield Filled(gateway, collector, callid, keys)


def fill(business: Business, callid: str) -> None:
    """Have callbacks, words of the business's and refused bodies with the numbers come in, spelled in every way."""
    for number, spelled in enumerate(SPELLINGS):
        one = callid if number == 0 else f"{callid}-{number}"
        extra = {"also": spelled, spelled: [spelled, int(MOBILE), float(MOBILE), {"x": int(LANDLINE)}]}
        business.hears(
            prompt(one, mobile=spelled, call_from=spelled, nationcode=spelled, fee=LANDLINE, ext=extra),
            prompt(one, mobile=f"{spelled} ", call_from="", result="1", ext=extra),
            key_press(one, spelled, mobile=spelled),
            failure(one, mobile="", failure_reason=f"nobody at {spelled}", failure_code=int(LANDLINE)),
        )
        words = {"reference": f"to {spelled}", "metadata": {"customer": spelled, spelled: [int(MOBILE), float(MOBILE)]}}
        business.asks("PUT", f"calls/{one}", words)
        refuse(business.gateway, f"mobile={spelled}&x=1".encode())
        refuse(business.gateway, prompt(one, mobile=spelled, result=spelled))
        refuse(business.gateway, json.dumps({spelled: {"mobile": spelled}}).encode())
    business.hears(prompt(MOBILE, mobile=MOBILE), code(f"call/{MOBILE}-1"), prompt(f"{AREA}-{LANDLINE}"))
    refuse(business.gateway, prompt(callid, end_calltime=MOBILE))
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32-le"):
        refuse(business.gateway, prompt("x", mobile=MOBILE, call_from=LANDLINE).decode().encode(encoding))
    refuse(business.gateway, b'{"x":"' + b"".join(b"\\u%04x" % ord(digit) for digit in MOBILE) + b'"}')
    refuse(business.gateway, b"\xff" + MOBILE.encode())


def refuse(gateway: Gateway, body: bytes) -> None:
    """POST what is no callback."""
    assert gateway.post(body).status_code == 400


def ask(filled: Filled, path: str, holder: str | None) -> httpx.Response:
    """GET by somebody, or by the admin who may see numbers; an export begins when the one before has ended."""
    key = filled.gateway.key if holder is None else filled.keys[holder]
    answer = filled.gateway.client.get(path, headers={"Authorization": f"Bearer {key}"})
    deadline_s = time.monotonic() + 15
    while answer.status_code == 503 and time.monotonic() < deadline_s:
        answer = filled.gateway.client.get(path, headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 200, f"{path}: {answer.text}"
    return answer


def paths_of(filled: Filled) -> Iterator[str]:
    """Every address below /v1 that is GET, as the OpenAPI document has them, for whatever there is to be shown."""
    gateway = filled.gateway
    found: dict[str, list[Any]] = {
        "callid": [call["callid"] for call in gateway.items("/v1/calls", page_size=500)],
        "delivery": [one["id"] for one in gateway.items("/v1/deliveries", page_size=500)][:40],
        "quarantine": [one["id"] for one in gateway.items("/v1/quarantine", page_size=500)],
        "replay": [1],
        "endpoint": [one["name"] for one in gateway.items("/v1/endpoints")],
    }
    found["callid"] = [callid for callid in found["callid"] if not marks_in(callid)]
    names = {"/v1/deliveries/{id}": "delivery", "/v1/quarantine/{id}": "quarantine", "/v1/replays/{id}": "replay"}
    document = gateway.client.get("/openapi.json").json()
    for path, methods in document["paths"].items():
        if "get" not in methods or not path.startswith("/v1") or path in ELSEWHERE:
            continue
        if path == EXPORTS:  # each of what there is, and each form; a command writes all that can be combined
            yield from (
                path.format(dataset=dataset, format=form) for dataset, form in zip(Dataset, FileFormat, strict=True)
            )
            continue
        fields = re.findall(r"\{([^}]+)\}", path)
        choices = [found[names[path] if field == "id" else field] for field in fields]  # a new one is named here first
        for values in product(*choices):
            filling = dict(zip(fields, values, strict=True))
            whole = re.sub(r"\{([^}]+)\}", lambda field, filling=filling: quote(str(filling[field[1]])), path)  # type: ignore[misc]
            listing = any(one["name"] == "page_size" for one in methods["get"].get("parameters", []))
            yield f"{whole}?page_size=500" if listing else whole


def text_of(content: bytes) -> str:
    """What can be read in an answer, also in a file of a form of its own."""
    if content.startswith(b"PAR1"):
        return json.dumps(pq.read_table(BytesIO(content)).to_pylist(), default=str, ensure_ascii=False)
    if content.startswith(b"PK"):
        with zipfile.ZipFile(BytesIO(content)) as book:
            return "\n".join(book.read(name).decode() for name in book.namelist() if "sheet" in name.lower())
    return content.decode()


def test_a_reader_with_the_right_sees_what_was_marked(filled: Filled) -> None:
    """What the other tests look for can be found."""
    for path in ("/v1/calls", f"/v1/calls/{filled.callid}/callbacks", "/v1/exports/calls.csv"):
        assert marks_in(ask(filled, path, None).text) == list(MARKS), path


def test_no_answer_of_the_api_shows_a_number(filled: Filled) -> None:
    """Every GET of the schema, lists, records and files in every form, to a viewer; what is the admins', to one without the right."""
    for path in paths_of(filled):
        holder = "admin" if path.startswith(("/v1/keys", "/v1/audit-events")) else "viewer"
        text = text_of(ask(filled, path, holder).content)
        assert marks_in(text) == [], path
        assert holder == "admin" or TOKEN not in text, path


def test_no_page_of_the_console_shows_a_number(filled: Filled) -> None:
    """Every page that can be reached from the first one by its links; and the admins' settings."""
    with signed_in(filled.gateway, filled.keys["admin"]) as admin:
        assert marks_in(admin.get("settings")) == []
    with signed_in(filled.gateway, filled.keys["viewer"]) as person:
        seen: set[str] = set()
        ahead = ["/console"]
        while ahead:
            page = ahead.pop()
            answer = person.client.get(page, follow_redirects=True)
            assert answer.status_code in {200, 409}, page
            text = text_of(answer.content)
            assert marks_in(text) == [], page
            assert TOKEN not in text, page
            links = {unescape(link) for link in re.findall(r'(?:href|src)="(/console[^"#]*)', text)}
            fresh = {link for link in links if place_of(link) not in seen}
            seen |= {place_of(link) for link in fresh}
            ahead += sorted(fresh)
    sections = (
        "calls/",
        "deliveries/",
        "quarantine/",
        "endpoints/",
        "exports/",
        "live",
        "fees",
        "failures",
        "settings",
    )
    assert all(any(place.startswith(f"/console/{section}") for place in seen) for section in sections)


def place_of(link: str) -> str:
    """A page by its path; how it is sorted, filtered and read makes it no other. Of a list its later pages are others."""
    parts = urlsplit(link)
    cursor = re.search(r"cursor=[^&]*", parts.query)
    return parts.path + (cursor[0] if cursor else "")


def test_no_event_shows_a_number(filled: Filled) -> None:
    """Those of the live view, from the first on."""
    with (
        signed_in(filled.gateway, filled.keys["viewer"]) as person,
        person.client.stream("GET", "/console/live/events", params={"after": "0-0"}) as answer,
    ):
        data = next(line for line in answer.iter_lines() if line.startswith("data: "))
    assert len(json.loads(data.removeprefix("data: "))["items"]) > len(SPELLINGS)
    assert marks_in(data) == []
    assert TOKEN not in data


def test_no_trace_shows_a_number(filled: Filled) -> None:
    """Neither attributes nor errors."""
    reported = str([(span.name, span.attributes, span.error, span.resource) for span in filled.collector.spans])
    assert "deliver" in reported
    assert marks_in(reported) == []
    assert TOKEN not in reported


def test_neither_the_log_nor_the_metrics_show_a_number(filled: Filled) -> None:
    """Whatever was refused, whoever looked where."""
    for holder in (None, "viewer"):
        key = filled.gateway.key if holder is None else filled.keys[holder]
        headers = {"Authorization": f"Bearer {key}"}
        filled.gateway.client.get(f"/v1/calls/{MOBILE}", params={"channel": MOBILE}, headers=headers)
    assert "callback_rejected" in filled.gateway.stderr
    assert marks_in(filled.gateway.stderr) == []
    assert TOKEN not in filled.gateway.stderr
    assert marks_in(filled.gateway.client.get("/metrics").text) == []


@pytest.mark.parametrize("command", [("calls", "list"), ("quarantine", "list"), ("deliveries", "list")], ids=" ".join)
def test_commands_show_no_number_unasked(filled: Filled, tmp_path: Path, command: tuple[str, str]) -> None:
    """Who may read the file may see it all, and has to say so."""
    shown = run(*command, "--json", "--data-dir", filled.gateway.data_dir, cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert marks_in(shown.stdout) == []


@pytest.mark.parametrize("form", FileFormat)
@pytest.mark.parametrize("what", Dataset)
def test_a_file_of_the_command_shows_no_number_unasked(
    filled: Filled, tmp_path: Path, what: Dataset, form: FileFormat
) -> None:
    """Of whatever there is, in every form."""
    file = tmp_path / f"{what}.{form}"
    arguments = (what, "--format", form, "--output", file, "--data-dir", filled.gateway.data_dir)
    done = run("export", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    text = text_of(file.read_bytes())
    assert what is Dataset.STATISTICS or filled.callid in text
    assert marks_in(text) == []
    assert TOKEN not in text
