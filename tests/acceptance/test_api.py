"""The reading side over HTTP: calls, callbacks, the quarantine, health and metrics."""

import base64
import json
import stat
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
from gateway import OK, SEED, Gateway, failure, key_press, prompt
from prometheus_client.parser import text_string_to_metric_families

TOKEN = "tok-alerts-3k5Jq0ZtV2"
FIELDS = [
    "callid",
    "channel",
    "kind",
    "mobile",
    "nationcode",
    "call_from",
    "outcome",
    "result",
    "started_at",
    "answered_at",
    "ended_at",
    "ring_seconds",
    "talk_seconds",
    "fee_minutes",
    "failure_code",
    "failure_reason",
    "keys",
    "keys_total",
    "reference",
    "metadata",
    "due_at",
    "overdue_at",
    "revisions",
    "first_seen_at",
    "updated_at",
]
GUARDED = ["/v1/calls", "/v1/calls/xxxxxx", "/v1/calls/xxxxxx/callbacks", "/v1/quarantine", "/v1/quarantine/1"]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with the seed, 25 calls of two channels, and five bodies in quarantine."""
    data_dir = tmp_path_factory.mktemp("filled") / "data"
    with Gateway(data_dir, settings={"ANSWERBACK_CHANNELS__ALERTS__TOKEN": TOKEN}) as running:
        bodies: list[tuple[bytes, str | None]] = [(SEED, None)]
        bodies += [(prompt(f"answered-{n:02}", mobile=f"1378888{n:04}"), None) for n in range(10)]
        bodies += [(prompt(f"unanswered-{n}", result="1", accept_time="", fee=""), TOKEN) for n in range(5)]
        bodies += [(failure(f"failed-{n}", failure_code=n + 1), None) for n in range(5)]
        bodies += [(key_press(f"pending-{n}", "9"), TOKEN) for n in range(5)]
        for body, token in bodies:
            assert running.post(body, token).content == OK
        for n in range(5):
            assert running.post(b'{"junk":%d}' % n, TOKEN if n else None).status_code == 400
        yield running


def walk(gateway: Gateway, path: str, **query: str | int) -> list[dict[str, Any]]:
    """All pages of a list."""
    items: list[dict[str, Any]] = []
    while True:
        page = gateway.get(path, **query)
        assert page.status_code == 200, page.text
        assert list(page.json()) == ["items", "next_cursor"]
        items += page.json()["items"]
        if page.json()["next_cursor"] is None:
            return items
        query["cursor"] = page.json()["next_cursor"]


def test_the_record_of_the_vendors_example(filled: Gateway) -> None:
    """The seed gives exactly the documented fields: it rang 15 seconds and they talked 10."""
    call = filled.call("xxxxxx")
    assert list(call) == FIELDS
    first_seen, updated = (datetime.fromisoformat(call.pop(name)) for name in ("first_seen_at", "updated_at"))
    assert first_seen == updated
    assert first_seen.utcoffset() is not None
    assert abs(first_seen.timestamp() - time.time()) < 600  # the fixture may be minutes old; no time zone is so near
    assert call == {
        "callid": "xxxxxx",
        "channel": "default",
        "kind": "prompt",
        "mobile": "13xxxxxxxxx",
        "nationcode": "86",
        "call_from": "",
        "outcome": "answered",
        "result": 0,
        "started_at": "2016-08-03T04:06:36Z",
        "answered_at": "2016-08-03T04:06:51Z",
        "ended_at": "2016-08-03T04:07:01Z",
        "ring_seconds": 15,
        "talk_seconds": 10,
        "fee_minutes": 1,
        "failure_code": None,
        "failure_reason": None,
        "keys": [],
        "keys_total": 0,
        "reference": None,
        "metadata": None,
        "due_at": None,
        "overdue_at": None,
        "revisions": 0,
    }


def test_the_callbacks_of_a_call_are_shown_as_received(gateway: Gateway, callid: str) -> None:
    """Each callback is listed in order of arrival, with its exact bytes."""
    bodies = [key_press(callid), b"\xef\xbb\xbf" + prompt(callid), failure(callid)]
    for body in bodies:
        assert gateway.post(body).content == OK
    answer = gateway.get(f"/v1/calls/{callid}/callbacks")
    assert list(answer.json()) == ["items", "next_cursor"]
    items = answer.json()["items"]
    assert [item["kind"] for item in items] == ["key", "prompt", "failure"]
    assert [base64.b64decode(item["raw_base64"]) for item in items] == bodies
    assert [item["received_at"] for item in items] == sorted(item["received_at"] for item in items)
    assert len({item["fingerprint"] for item in items}) == 3


@pytest.mark.parametrize("callid", ["a b", "a?b", "a%b", "云", "a+b", "a#b", ".", "x" * 256, "<b>", "'--", '"'])
def test_a_call_of_any_callid_is_found(gateway: Gateway, callid: str) -> None:
    """A callid may hold whatever is printable; its URL writes it percent-encoded."""
    assert gateway.post(prompt(callid)).content == OK
    quoted = "".join(f"%{byte:02X}" for byte in callid.encode())
    assert gateway.call(quoted)["callid"] == callid


def test_an_unknown_call_is_404(filled: Gateway) -> None:
    """An unknown callid is said to be so."""
    for path in ("/v1/calls/nobody", "/v1/calls/nobody/callbacks"):
        answer = filled.get(path)
        assert (answer.status_code, "nobody" in answer.json()["detail"]) == (404, True)
    assert filled.get("/v1/calls/xxxxxx", channel="alerts").status_code == 404


@pytest.mark.parametrize("path", GUARDED)
@pytest.mark.parametrize(
    "header",
    [None, "Bearer wrong", "Bearer wrong wrong", "Basic eDp5", "Bearer ab_", "Bearer \xe4", "nonsense"],
    ids=repr,
)
def test_without_the_key_nothing_is_shown(filled: Gateway, path: str, header: str | None) -> None:
    """Without the right API key the answer is 401, says what to send, and shows nothing."""
    headers = {} if header is None else {b"Authorization": header.encode("latin-1")}
    answer = filled.client.get(path, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert list(answer.json()) == ["detail"]


def test_the_key_opens_by_any_spelling_of_the_scheme(filled: Gateway) -> None:
    """`Bearer` is not case-sensitive."""
    assert filled.client.get("/v1/calls", headers={"Authorization": f"bearer {filled.key}"}).status_code == 200


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({}, 26),
        ({"channel": "alerts"}, 10),
        ({"channel": "default"}, 16),
        ({"channel": "none"}, 0),
        ({"outcome": "answered"}, 11),
        ({"outcome": "unanswered"}, 5),
        ({"outcome": "failed"}, 5),
        ({"outcome": "pending"}, 5),
        ({"kind": "prompt"}, 16),
        ({"kind": "failure"}, 5),
        ({"kind": "key", "outcome": "pending", "channel": "alerts"}, 5),
        ({"kind": "code"}, 0),
        ({"mobile": "13788880003"}, 1),
        ({"mobile": "+86 137 8888 0003"}, 1),
        ({"mobile": "13xxxxxxxxx", "outcome": "answered"}, 1),
        ({"mobile": "1"}, 0),
        ({"since": "2020-01-01"}, 26),
        ({"since": "2020-01-01T00:00:00Z", "until": "2021-01-01T00:00:00+08:00"}, 0),
        ({"until": "2999-01-01T00:00:00"}, 26),
    ],
    ids=str,
)
def test_calls_are_filtered(filled: Gateway, query: dict[str, str], count: int) -> None:
    """Each filter narrows the list; several must all match."""
    items = filled.items("/v1/calls", **query)
    assert len(items) == count
    for name in query.keys() & {"channel", "outcome", "kind"}:
        assert {item[name] for item in items} <= {query[name]}


@pytest.mark.parametrize("limit", [1, 7, 25, 26, 27, 500])
def test_pages_of_calls_follow_each_other(filled: Gateway, limit: int) -> None:
    """The pages hold every call once, newest first, whatever their size; each item is the call's record."""
    items = walk(filled, "/v1/calls", page_size=limit)
    assert len({item["callid"] for item in items}) == len(items) == 26
    assert [item["first_seen_at"] for item in items] == sorted((item["first_seen_at"] for item in items), reverse=True)
    assert items[-1] == filled.call("xxxxxx")


def test_a_page_that_is_read_while_calls_come_in_repeats_none(gateway: Gateway, callid: str) -> None:
    """New calls do not shift the pages that follow."""
    for number in range(4):
        gateway.post(prompt(f"{callid}-{number}"))
    first = gateway.get("/v1/calls", page_size=2).json()
    gateway.post(prompt(f"{callid}-new"))
    second = gateway.get("/v1/calls", page_size=2, cursor=first["next_cursor"]).json()
    shown = [item["callid"] for item in first["items"] + second["items"]]
    assert shown == [f"{callid}-{number}" for number in (3, 2, 1, 0)]


@pytest.mark.parametrize("path", ["/v1/calls", "/v1/quarantine"])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("page_size", "0"),
        ("page_size", "501"),
        ("page_size", "many"),
        ("cursor", "nonsense"),
        ("cursor", "%ff"),
        ("cursor", "LTEuMQ"),
        ("cursor", "x" * 129),
    ],
)
def test_an_invalid_page_is_422_and_names_the_field(filled: Gateway, path: str, field: str, value: str) -> None:
    """What is wrong with a list's parameters is said with the parameter's name."""
    answer = filled.get(path, **{field: value})
    assert answer.status_code == 422
    assert answer.json()["field"] == field
    assert answer.json()["detail"].startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("field", "value"), [("outcome", "lost"), ("kind", "call"), ("since", "yesterday"), ("until", "1e99")]
)
def test_an_invalid_filter_is_422_and_names_the_field(filled: Gateway, field: str, value: str) -> None:
    """A filter that cannot match anything is refused, not ignored."""
    answer = filled.get("/v1/calls", **{field: value})
    assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_a_bare_plus_in_an_address_is_named(filled: Gateway) -> None:
    """It means a blank there; of a time the answer says so, of a number it is taken as meant."""
    answer = filled.get("/v1/calls?since=2026-11-23T08:00:00+08:00")
    assert (answer.status_code, answer.json()["field"]) == (422, "since")
    assert "a + in a URL means a space: write %2B" in answer.json()["detail"]
    assert "%2B" not in filled.get("/v1/calls?since=2026-11-23T08:00:00%2008:00").json()["detail"]
    assert [call["callid"] for call in filled.items("/v1/calls?mobile=+8613788880003")] == ["answered-03"]


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", "/v1/calls/xxxxxx"), ("POST", "/v1/keys"), ("POST", "/v1/endpoints")]
)
def test_a_missing_content_type_is_named(filled: Gateway, method: str, path: str) -> None:
    """A body that nobody says is JSON is not read as such, and the answer says what to send."""
    headers = {"Authorization": f"Bearer {filled.key}"}
    answer = filled.client.request(method, path, content=b'{"reference": "order-42"}', headers=headers)
    reported = {"detail": "Content-Type: is missing: send application/json", "field": "Content-Type"}
    assert (answer.status_code, answer.json()) == (422, reported)
    answer = filled.client.request(method, path, content=b"{}", headers=headers | {"Content-Type": "text/plain"})
    assert (answer.status_code, answer.json()["field"]) == (422, "Content-Type")


@pytest.mark.parametrize("since", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_the_ends_of_time_are_no_fault(filled: Gateway, since: str) -> None:
    """A moment at the edge of the calendar, in any zone, is a moment."""
    assert filled.get("/v1/calls", since=since).status_code in {200, 422}


def test_the_quarantine_lists_what_was_refused(filled: Gateway) -> None:
    """Refused bodies are listed newest first without their content, and shown one by one with it."""
    items = walk(filled, "/v1/quarantine", page_size=2)
    assert [item["channel"] for item in items] == ["alerts"] * 4 + ["default"]
    assert all(item["result"] == 1011 and item["duplicates"] == 0 and item["size_bytes"] == 10 for item in items)
    assert not any("raw" in item for item in items)
    shown = filled.get(f"/v1/quarantine/{items[0]['id']}").json()
    assert base64.b64decode(shown["raw_base64"]) == b'{"junk":4}'
    assert shown["raw"] == '{"junk":4}'
    assert len(filled.items("/v1/quarantine", channel="default")) == 1


@pytest.mark.parametrize(("id_", "status"), [("0", 404), ("999999", 404), ("x", 422), ("-1", 404)])
def test_an_unknown_quarantined_body(filled: Gateway, id_: str, status: int) -> None:
    """An id that nothing has is 404; what is no id is 422."""
    assert filled.get(f"/v1/quarantine/{id_}").status_code == status


def test_an_id_that_no_integer_column_holds_is_not_found(filled: Gateway) -> None:
    """An id of any size is answered, not a fault of the server's."""
    assert filled.get(f"/v1/quarantine/{10**30}").status_code in {404, 422}


def test_health_and_readiness_need_no_key(filled: Gateway) -> None:
    """A load balancer may ask without a key."""
    assert filled.client.get("/healthz").json() == {"status": "alive"}
    assert filled.client.get("/readyz").json() == {"status": "ready"}


def test_an_unknown_path_is_404(filled: Gateway) -> None:
    """What is nowhere is not found."""
    for path in ("/v1", "/v1/nothing", "/nowhere", "/voice", "/voice/callbacks"):
        assert filled.get(path).status_code == 404


def test_the_metrics_count_what_was_sent(data_dir: Path) -> None:
    """The metrics are well-formed, and each count is that of what was sent."""
    with Gateway(data_dir) as running:
        for body in [SEED, SEED, SEED, key_press("k"), failure("f"), b"{", b"{", b"{}", prompt("x", result="7")]:
            running.post(body)
        running.client.get("/voice/callback")
        running.post(b"x" * 70_000)
        running.post(SEED, "no-such-token")
        running.get("/v1/calls")  # all is recorded, and counted
        text = running.metrics()
        assert running.client.head("/metrics").headers["content-type"].startswith("text/plain")
    values = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    expected = {
        ("answerback_callback_responses_total", "0", "prompt"): 3,
        ("answerback_callback_responses_total", "3002", "none"): 0,
        ("answerback_callback_responses_total", "0", "key"): 1,
        ("answerback_callback_responses_total", "0", "failure"): 1,
        ("answerback_callback_responses_total", "3003", "none"): 2,
        ("answerback_callback_responses_total", "1011", "none"): 1,
        ("answerback_callback_responses_total", "3004", "none"): 1,
        ("answerback_callback_responses_total", "1030", "none"): 1,
        ("answerback_callback_responses_total", "1036", "none"): 1,
        ("answerback_callback_responses_total", "1019", "none"): 1,
        ("answerback_callbacks_total", "stored"): 3,
        ("answerback_callbacks_total", "duplicate"): 3,
        ("answerback_callbacks_total", "quarantined"): 3,
        ("answerback_callbacks_total", "dropped"): 0,
        ("answerback_response_duration_seconds_count",): 12,
        ("answerback_response_duration_seconds_bucket", "+Inf"): 12,
        ("answerback_batch_size_sum",): 9,
        ("answerback_commit_failures_total",): 0,
        ("answerback_intake_queue_depth",): 0,
        ("answerback_up_for_writes",): 1,
        ("answerback_quarantine_bodies",): 3,
        ("answerback_quarantine_bytes",): 3 + len(prompt("x", result="7")),
    }
    assert {name: values.get(name) for name in expected} == expected


def test_the_schema_has_every_path(filled: Gateway) -> None:
    """OpenAPI 3.1 lists the reading paths, their security and the fields of a call, and every reference resolves."""
    schema = filled.client.get("/openapi.json").json()
    assert schema["openapi"].startswith("3.1")
    paths = {"/v1/calls", "/v1/calls/{callid}", "/v1/calls/{callid}/callbacks", "/v1/quarantine", "/v1/quarantine/{id}"}
    assert paths | {"/healthz", "/readyz", "/metrics"} <= schema["paths"].keys()
    for path in paths:
        assert schema["paths"][path]["get"]["security"] == [{"HTTPBearer": []}]
        assert {"200", "401", "422", "503"} <= schema["paths"][path]["get"]["responses"].keys()
    assert list(schema["components"]["schemas"]["CallView"]["properties"]) == FIELDS
    references = {part.split('"')[0] for part in json.dumps(schema).split('"#/components/schemas/')[1:]}
    assert references <= schema["components"]["schemas"].keys()


def test_the_admin_key_is_made_once_and_kept_to_its_owner(data_dir: Path) -> None:
    """The first start prints the key and keeps it with mode 0600; later starts use it and do not print it."""
    with Gateway(data_dir) as running:
        key = running.key
        assert running.reported["admin_key"] == key
        assert running.stdout.count(key) == 1
        assert stat.S_IMODE((data_dir / "admin-key").stat().st_mode) == 0o600
        assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700
        assert key not in running.stderr
        running.kill()
        running.start()
        assert running.reported["admin_key"] is None
        assert key not in running.stdout + running.stderr
        assert running.key == key
        assert running.get("/v1/calls").status_code == 200


def test_the_first_answer_costs_little(data_dir: Path) -> None:
    """A fresh start, ledger and all, takes few seconds of CPU, whatever else runs; `make bench` measures how soon it answers."""
    with Gateway(data_dir, executed=True) as running:
        spent = [psutil.Process(pid).cpu_times() for pid in (running.process.pid, *running.helpers)]
        assert sum(each.user + each.system for each in spent) < 3.0


@pytest.mark.parametrize(
    ("id_", "problem"),
    [
        ("%0A", "line break"),
        ("a%0D%0Ab", "line break"),
        ("a%00", "unprintable"),
        ("%e2%80%a8", "unprintable"),
        ("%ff", "not UTF-8"),
        ("%e5%91", "not UTF-8"),
        ("%ed%a0%80", "not UTF-8"),
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/calls/{}"),
        ("PUT", "/v1/calls/{}"),
        ("GET", "/v1/calls/{}/callbacks"),
        ("GET", "/v1/endpoints/{}"),
        ("DELETE", "/v1/keys/{}"),
        ("GET", "/v1/quarantine/{}"),
    ],
)
def test_an_id_that_can_be_none_is_a_mistake(gateway: Gateway, method: str, path: str, id_: str, problem: str) -> None:
    """A line break or broken UTF-8 in an id is 422, said so; a mark that stands for a broken letter is a letter."""
    key = {"Authorization": f"Bearer {gateway.key}"}
    answer = gateway.client.request(method, path.format(id_), headers=key, json={} if method == "PUT" else None)
    assert (answer.status_code, answer.json()["field"]) == (422, "path")
    assert problem in answer.json()["detail"]
    assert gateway.get("/v1/calls/%EF%BF%BD").status_code == 404
