"""What /openapi.json says is whole, valid and true."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_page import render_reference
from fastapi.routing import APIRoute
from gateway import COMMAND, OK, Gateway, environment, failure, key_press, prompt
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from answerback.api.app import build_api

CALLID = "d9428888-122b-11e1-b85c-61cd3cbb3210"
TOKEN = "tok-alerts-3k5Jq0ZtV2"
CONFIG = f"""
[relay]
allowed_networks = ["127.0.0.0/8"]

[channels.alerts]
token = "{TOKEN}"

[alerts.rules.junk]
metric = "quarantine"
above = 0
"""
DEAD_URL = "http://127.0.0.1:9/voice"  # nothing listens there: all that is owed stays
SERVED = Path(__file__).with_name("schemathesis.toml")
METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
BINARY = {"application/vnd.apache.parquet", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}

AT_LENGTH = (pytest.mark.soak, pytest.mark.timeout(1800))

Document = dict[str, Any]


def ask(gateway: Gateway, method: str, path: str, **more: Any) -> httpx.Response:
    """Ask /v1 with the admin key."""
    headers = {"Authorization": f"Bearer {gateway.key}", "Content-Type": "application/json"}
    return gateway.client.request(method, f"/v1/{path}", headers=headers, **more)


@contextmanager
def running(home: Path) -> Iterator[Gateway]:
    """A gateway with something of everything: the ids are those of the examples."""
    config = home / "answerback.toml"
    config.write_text(CONFIG)
    with Gateway(home / "data", options=["--config", config]) as gateway:
        assert ask(gateway, "POST", "endpoints", json={"name": "crm", "url": DEAD_URL}).status_code == 201
        assert ask(gateway, "POST", "keys", json={"name": "night-shift", "role": "viewer"}).status_code == 201
        for number in range(20):
            callid = CALLID if number == 0 else f"call-{number}"
            assert gateway.post(prompt(callid, mobile="13788888888")).content == OK
            assert gateway.post(failure(f"failed-{number}", failure_code=8)).content == OK
        assert gateway.post(key_press(CALLID)).content == OK
        assert gateway.post(b'{"voiceprompt_callback":{}}').status_code == 400
        assert ask(gateway, "PUT", f"calls/{CALLID}", json={"reference": "order-42"}).status_code == 200
        assert ask(gateway, "POST", "replays", json={"endpoint": "crm", "outcome": "failed"}).status_code == 202
        yield gateway


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose document is read, and which is asked by hand."""
    with running(tmp_path_factory.mktemp("openapi")) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def document(filled: Gateway) -> Document:
    """What it says of itself."""
    said: Document = filled.client.get("/openapi.json").json()
    return said


def operations(document: Document) -> dict[str, Document]:
    """Every operation and webhook, by its id."""
    items = [*document["paths"].values(), *document["webhooks"].values()]
    return {
        reported["operationId"]: reported for item in items for method, reported in item.items() if method in METHODS
    }


def test_the_document_is_valid(document: Document) -> None:
    """It is OpenAPI 3.1, with a title, a version and a licence."""
    from openapi_spec_validator import OpenAPIV31SpecValidator

    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []
    assert document["openapi"].startswith("3.1")
    assert document["info"]["license"] == {"name": "Apache License 2.0", "identifier": "Apache-2.0"}
    assert document["info"]["version"]


def test_every_operation_is_described_in_full(document: Document) -> None:
    """A summary, a described tag, an id that reads well, and words for every parameter and answer."""
    tags = {tag["name"] for tag in document["tags"] if tag["description"]}
    found = operations(document)
    assert len(found) == sum(len(item) for part in ("paths", "webhooks") for item in document[part].values())
    for name, reported in found.items():
        assert name.isalpha(), name
        assert reported["summary"], name
        assert reported["tags"], name
        assert tags.issuperset(reported["tags"]), name
        assert all(parameter["description"] for parameter in reported.get("parameters", ())), name
        assert all(answer["description"] for answer in reported["responses"].values()), name


def test_every_route_is_in_the_document(document: Document) -> None:
    """Whatever the server answers at is described; the pages and the document itself are no part of the API."""
    nobody: Any = None
    api = build_api(
        nobody,
        nobody,
        nobody,
        nobody,
        (),
        nobody,
        "Asia/Shanghai",
        nobody,
        nobody,
        nobody,
        None,
        nobody,
        None,
        b"",
        nobody,
    )
    served = {(route.path_format, method.lower()) for route in routes_of(api) for method in route.methods or ()}
    reported = {(path, method) for path, item in document["paths"].items() for method in item}
    assert len(served) >= 32
    assert reported - served == {
        ("/voice/callback", "post"),
        ("/voice/callback/{token}", "post"),
        ("/healthz", "get"),
        ("/readyz", "get"),
        ("/metrics", "get"),
    }
    assert served - reported == set()


def routes_of(routed: Any) -> Iterator[APIRoute]:
    """Every route, also of the routers in a router."""
    for route in routed.routes:
        if isinstance(route, APIRoute):
            yield route
        elif inner := getattr(route, "original_router", None):
            yield from routes_of(inner)


def media_of(document: Document) -> Iterator[tuple[str, str, Document]]:
    """Each body that is sent or answered: whose, its media type, and what is said of it."""
    for name, reported in operations(document).items():
        for media_type, media in reported.get("requestBody", {}).get("content", {}).items():
            yield f"{name} body", media_type, media
        for status, answer in reported["responses"].items():
            for media_type, media in answer.get("content", {}).items():
                yield f"{name} {status}", media_type, media


def test_every_body_has_examples_that_fit_their_schema(document: Document) -> None:
    """Each example of a request, an answer, a problem or a webhook is what its schema says, and has no other field."""
    root = "urn:answerback"
    closed = json.loads(json.dumps(document).replace('"#/components', f'"{root}#/components'))
    for schema in closed["components"]["schemas"].values():
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
    registry = Registry[Any]().with_resource(root, Resource.from_contents(closed, DRAFT202012))
    checker = Draft202012Validator.FORMAT_CHECKER
    for name, media_type, media in media_of(closed):
        if media_type in BINARY:
            continue
        assert media["examples"], (name, media_type)
        schema = Draft202012Validator(media["schema"], registry=registry, format_checker=checker)
        for example in media["examples"].values():
            assert [error.message for error in schema.iter_errors(example["value"])] == [], name


def test_the_page_of_the_api_has_every_operation_and_object(document: Document) -> None:
    """Each path, method and webhook has a heading; what a table links to is on the page."""
    page = render_reference(document)
    headings = set(re.findall(r"^### (.+)$", page, re.MULTILINE))
    served = {f"{way.upper()} {path}" for path, item in document["paths"].items() for way in item if way in METHODS}
    assert headings == served | document["webhooks"].keys() | document["components"]["schemas"].keys()
    assert set(re.findall(r"\]\(#([^)]+)\)", page)) <= {heading.lower() for heading in headings}


def test_the_webhooks_are_those_that_are_sent(document: Document) -> None:
    """Each type of event that an endpoint may receive has an example."""
    for name, item in document["webhooks"].items():
        (example,) = item["post"]["requestBody"]["content"]["application/json"]["examples"].values()
        assert example["value"]["type"] == name
    assert {name.removeprefix("voice.call.") for name in document["webhooks"]} == {
        "answered",
        "unanswered",
        "failed",
        "key_pressed",
        "revised",
        "overdue",
    }


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "calls", "GET"),
        ("POST", f"calls/{CALLID}", "GET, PUT"),
        ("PUT", f"calls/{CALLID}/callbacks", "GET"),
        ("PUT", "endpoints/crm", "DELETE, GET, PATCH"),
        ("OPTIONS", "keys", "GET, POST"),
    ],
)
def test_a_wrong_method_is_answered_with_the_right_ones(filled: Gateway, method: str, path: str, allowed: str) -> None:
    """405 names, in Allow, every method of the address, whichever route serves it."""
    answer = ask(filled, method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert allowed in answer.json()["detail"]


@pytest.mark.parametrize(
    "path", ["nothing", "calls/", "endpoints/crm/", "calls/nobody", "keys/%EF%BF%BD", "calls/%20", "%2e%2e"]
)
def test_an_address_with_nothing_is_a_problem(filled: Gateway, path: str) -> None:
    """404 in JSON, not a redirect and not a page."""
    answer = ask(filled, "DELETE" if path.startswith("keys") else "GET", path)
    assert (answer.status_code, list(answer.json())) == (404, ["detail"])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b'{"\\ud800": 1}',
        b'{"name": "\\ud800", "url": "http://a.example/\\udfff"}',
        b'{"name": "a\\u0000b", "url": "http://a.example/\\u0000"}',
        b'{"url": "http://[", "channel": "\\ud800"}',
        b'{"url": "http://a.example/", "timeout_s": 1e999}',
        b'{"url": "http://a.example/", "timeout_s": NaN}',
        b'{"url": "http://a.example/", "concurrency": ' + b"9" * 5000 + b"}",
        b'{"url": "http://a.example/", "enabled": "true"}',
        b'{"url": "http://a.example/", "concurrency": "8"}',
        b'{"url": "http://a.example/", "certificate": "/\\ud800"}',
        b'{"url": "http://a.example/", "certificate": "/\\u0000"}',
        b"[" * 100_000,
    ],
    ids=lambda body: repr(body[:60]),
)
def test_a_body_that_is_none_names_what_is_wrong(filled: Gateway, body: bytes) -> None:
    """422 with the field, or `body`, for whatever somebody sends instead of an endpoint."""
    for method, path in (("POST", "endpoints"), ("PATCH", "endpoints/crm")):
        answer = ask(filled, method, path, content=body)
        assert answer.status_code == 422, answer.text
        assert answer.json()["detail"].startswith(answer.json()["field"])


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "replays", b'{"endpoint": "crm", "mobile": "\\ud800"}', "mobile"),
        ("POST", "replays", b'{"endpoint": "crm", "dead": "yes"}', "dead"),
        ("POST", "replays", b'{"endpoint": "crm", "since": 1470197196}', "since"),
        ("PUT", "calls/x", b'{"due_at": "1470197196"}', "due_at"),
        ("PUT", "calls/x", b'{"reference": "\\ud800"}', "reference"),
        ("PUT", "calls/x", b'{"metadata": {"a": "\\ud800"}}', "metadata"),
        ("POST", "keys", b'{"name": "x", "role": "viewer", "full_numbers": "yes"}', "full_numbers"),
        ("POST", "endpoints/crm/rotate-secret", b'{"secret": "\\ud800"}', "secret"),
    ],
)
def test_a_field_that_is_invalid_is_named(filled: Gateway, method: str, path: str, body: bytes, field: str) -> None:
    """Half a surrogate pair is no text, a bare number is no time, a word is no switch."""
    answer = ask(filled, method, path, content=body)
    assert (answer.status_code, answer.json().get("field")) == (422, field)


def test_a_large_body_is_refused(filled: Gateway) -> None:
    """A megabyte is more than any change needs; nothing larger is read."""
    answer = ask(filled, "POST", "endpoints", json={"url": "x" * 2_000_000})
    assert (answer.status_code, list(answer.json())) == (413, ["detail"])


@pytest.mark.parametrize(
    "query",
    [
        "calls?page_size=-1",
        "calls?page_size=99999999999999999999999",
        "calls?cursor=AAAA",
        "calls?cursor=%F0%9F%98%80",
        "calls?cursor=" + "A" * 5000,
        "calls?since=1470197196",
        "calls?since=yesterday",
        "calls?failure_code=99999999999999999999",
        "calls?outcome=lost",
        "fees?since=0001-01-01T00:00:00%2B14:00",
        "stats?since=9999-12-31T23:59:59-14:00",
        "stats?since=2026-01-01&timezone=..%2F..%2Fetc%2Fpasswd",
        "stats?range=today&timezone=%00",
        "stats?timezone=" + "A" * 5000,
        "deliveries?cursor=MQ",
        "audit-events?cursor=99999999999999999999.1",
        "exports/calls.csv?state=dead",
        "exports/calls.ods",
        "quarantine/x",
    ],
)
def test_a_query_that_is_none_names_its_field(filled: Gateway, query: str) -> None:
    """422 with the field, for numbers too large, times at the ends of the calendar, and cursors of nobody's."""
    answer = ask(filled, "GET", query)
    assert answer.status_code == 422, answer.text
    assert answer.json()["field"]


def test_times_at_the_ends_of_the_calendar_leave_nothing_out(filled: Gateway) -> None:
    """What lies before the year 1 or after 9999 in UTC is as early, or as late, as can be."""
    ends = {"since": "0001-01-01T00:00:00+14:00", "until": "9999-12-31T23:59:59-14:00"}
    assert len(ask(filled, "GET", "calls", params=ends).json()["items"]) == 40


@pytest.mark.parametrize(
    "number", ["-1", "0", "9223372036854775807", "9223372036854775808", "18446744073709551616", "9" * 60]
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "deliveries/{}"),
        ("POST", "deliveries/{}/replay"),
        ("GET", "quarantine/{}"),
        ("POST", "quarantine/{}/requeue"),
        ("DELETE", "quarantine/{}"),
        ("GET", "replays/{}"),
        ("GET", "endpoints/{}"),
        ("POST", "endpoints/{}/enable"),
        ("DELETE", "endpoints/{}"),
        ("DELETE", "keys/{}"),
    ],
)
def test_an_id_of_any_size_is_just_not_there(filled: Gateway, method: str, path: str, number: str) -> None:
    """404 for ids that the ledger's numbers end before, whatever is to be done with them."""
    assert ask(filled, method, path.format(number)).status_code == 404


@pytest.mark.parametrize(
    ("role", "phases", "examples"),
    [
        pytest.param("admin", "examples", 1, marks=pytest.mark.timeout(240)),
        pytest.param("admin", "examples,coverage,fuzzing,stateful", 20, marks=AT_LENGTH),
        pytest.param("viewer", "examples,coverage,fuzzing", 20, marks=AT_LENGTH),
    ],
)
def test_schemathesis_finds_nothing(tmp_path: Path, document: Document, role: str, phases: str, examples: int) -> None:
    """Whatever it makes up from the document, the server does as it says there: as an admin, and as a viewer."""
    operations_count = sum(len(item) for item in document["paths"].values()) - 1  # all but the stream, which has no end
    with running(tmp_path) as gateway:
        key = gateway.key
        if role == "viewer":
            key = ask(gateway, "POST", "keys", json={"name": "looker", "role": role}).json()["key"]
        found = schemathesis(gateway, key, tmp_path, "--phases", phases, "--max-examples", str(examples))
        assert found.returncode == 0, found.stdout[-20_000:] + found.stderr
        tested = int(found.stdout.rpartition("Tested: ")[2].split()[0])
        assert tested == operations_count if "fuzzing" in phases else tested > operations_count / 2
        assert gateway.process.poll() is None
        assert "Traceback" not in gateway.stderr


def schemathesis(gateway: Gateway, key: str, home: Path, *depth: str) -> subprocess.CompletedProcess[str]:
    """`st run` against the gateway: the same requests each time, or those of the seed that `make soak` gives."""
    seed = os.environ.get("SEED")
    return subprocess.run(
        [
            COMMAND.with_name("st"),
            "--config-file",
            SERVED,
            "run",
            f"{gateway.url}/openapi.json",
            *("--header", f"Authorization: Bearer {key}"),
            *(("--seed", seed) if seed else ("--seed", "1", "--generation-deterministic")),
            *depth,
            *("--continue-on-failure", "--no-color"),
        ],
        cwd=home,
        env=environment() | {"SCHEMATHESIS_HOOKS": "ndjson", "PYTHONPATH": str(SERVED.parent)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
