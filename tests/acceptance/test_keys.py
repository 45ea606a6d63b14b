"""API keys over HTTP and from the command line: what each role may do, what it sees, and what is noted of it."""

import itertools
import json
import re
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from gateway import OK, Gateway, failure, key_press, prompt, run
from receivers.process import Receive, Receiver, await_true
from receivers.webhook_receiver import Business, relaying

NUMBER = "13712345678"
MASKED = "137****5678"
CALLER = "057512345678"
ANSWER = json.dumps({"thanks": f"we will call {NUMBER}"})
NOBODY = 10**6

_names = itertools.count()


class Holder(NamedTuple):
    """Somebody with a key."""

    gateway: Gateway
    name: str
    key: str

    def ask(self, method: str, path: str, body: object = None, **query: str | int) -> httpx.Response:
        """Ask /v1 with the key."""
        headers = {"Authorization": f"Bearer {self.key}"}
        return self.gateway.client.request(method, f"/v1/{path}", json=body, params=query or None, headers=headers)

    def sees(self, path: str, **query: str | int) -> Any:
        """What /v1 answers, as JSON."""
        answer = self.ask("GET", path, **query)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that relays to this machine and gives up after one more attempt."""
    settings = relaying("[0.05]") | {"ANSWERBACK_LOG__FORMAT": "json"}
    with Gateway(tmp_path_factory.mktemp("keys") / "data", settings=settings) as running:
        yield running


@pytest.fixture(scope="module")
def reported(place: Gateway, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A call with a number wherever one can be, delivered to a receiver that answers with it, and a refused body with it."""
    business = Business(place)
    with Receiver(tmp_path_factory.mktemp("crm"), "crm", behaviour="refusing", status=500, answer=ANSWER) as crm:
        business.add("crm", crm.url)
        callid = str(uuid.uuid1())
        business.hears(
            prompt(callid, mobile=NUMBER, call_from=CALLER, ext={"also": NUMBER}),
            key_press(callid, f"{NUMBER}#", mobile=NUMBER),
            failure(callid, mobile=NUMBER, failure_reason=f"no answer from {NUMBER}"),
        )
        words = {"reference": f"order-20260131-{NUMBER}", "metadata": {"customer": NUMBER, "n": int(NUMBER)}}
        business.asks("PUT", f"calls/{callid}", words)
        assert place.post(prompt("", mobile=NUMBER, phone=NUMBER)).status_code == 400
        assert place.post(f"mobile={NUMBER}".encode()).status_code == 400
        business.await_settled("crm")
    (dead, *_) = business.deliveries("crm", callid=callid, state="dead")
    return {"callid": callid, "delivery": dead["id"], "endpoint": business.name("crm")}


def make(gateway: Gateway, role: str, *, full_numbers: bool = False) -> Holder:
    """A new key, made by the admin."""
    admin = Holder(gateway, "admin", gateway.key)
    name = f"{role}-{next(_names)}"
    answer = admin.ask("POST", "keys", {"name": name, "role": role, "full_numbers": full_numbers})
    assert answer.status_code == 201, answer.text
    return Holder(gateway, name, answer.json()["key"])


@pytest.fixture(scope="module")
def admin(place: Gateway) -> Holder:
    """Who has the admin key of the data directory."""
    return Holder(place, "admin", place.key)


@pytest.fixture(scope="module")
def viewer(place: Gateway) -> Holder:
    """Who may look, at masked numbers."""
    return make(place, "viewer")


@pytest.fixture(scope="module")
def operator(place: Gateway) -> Holder:
    """Who may also change things, with masked numbers."""
    return make(place, "operator")


# Keys, made and revoked.


def test_a_key_is_made_shown_once_and_revoked(admin: Holder) -> None:
    """The whole life of a key; it is in the answer to its making and nowhere else."""
    made = admin.ask("POST", "keys", {"name": "night-shift", "role": "operator", "full_numbers": True}).json()
    key = made.pop("key")
    assert re.fullmatch(r"ab_[\w-]{43}", key)
    assert made | {"id": 0, "created_at": ""} == {
        "id": 0,
        "name": "night-shift",
        "role": "operator",
        "full_numbers": True,
        "created_at": "",
    }
    holder = Holder(admin.gateway, "night-shift", key)
    assert holder.sees("me") == {"name": "night-shift", "role": "operator", "full_numbers": True}
    assert made in admin.sees("keys")["items"]
    assert key not in admin.ask("GET", "keys").text + admin.ask("GET", "audit-events").text
    gone = admin.ask("DELETE", "keys/night-shift")
    assert (gone.status_code, gone.content) == (204, b"")
    refused = holder.ask("GET", "me")
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert "night-shift" not in [one["name"] for one in admin.sees("keys")["items"]]
    assert admin.ask("DELETE", "keys/night-shift").status_code == 404
    raw = [path.read_bytes() for path in admin.gateway.data_dir.iterdir() if path.is_file()]
    assert not any(key.encode() in content for content in raw)
    assert key not in admin.gateway.stdout + admin.gateway.stderr


def test_a_key_is_revoked_by_its_id(admin: Holder) -> None:
    """As endpoints are."""
    made = admin.ask("POST", "keys", {"name": "by-id", "role": "viewer"}).json()
    assert made["full_numbers"] is False
    assert admin.ask("DELETE", f"keys/{made['id']}").status_code == 204
    assert admin.ask("DELETE", f"keys/{made['id']}").status_code == 404


def test_a_living_name_is_taken(admin: Holder) -> None:
    """409 while its key lives, and free again after it."""
    body = {"name": "twice", "role": "viewer"}
    assert admin.ask("POST", "keys", body).status_code == 201
    again = admin.ask("POST", "keys", body)
    assert (again.status_code, "twice" in again.json()["detail"]) == (409, True)
    assert admin.ask("DELETE", "keys/twice").status_code == 204
    assert admin.ask("POST", "keys", body).status_code == 201


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "17"}, "name"),
        ({"name": "Night"}, "name"),
        ({"name": "admin"}, "name"),
        ({"name": None}, "name"),
        ({"role": "owner"}, "role"),
        ({"role": None}, "role"),
        ({"full_numbers": "perhaps"}, "full_numbers"),
        ({"key": "ab_mine"}, "key"),
    ],
    ids=str,
)
def test_an_invalid_key_is_422_and_names_the_field(admin: Holder, fields: dict[str, object], field: str) -> None:
    """What is wrong is said with the field's name, and nothing is made."""
    answer = admin.ask("POST", "keys", {"name": "invalid", "role": "viewer"} | fields)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert "invalid" not in [one["name"] for one in admin.sees("keys")["items"]]


def test_an_admin_of_the_ledger_may_make_keys(place: Gateway, admin: Holder) -> None:
    """The role, not the file, is what counts; the audit log tells them apart."""
    second = make(place, "admin")
    assert second.ask("POST", "keys", {"name": "by-second", "role": "viewer"}).status_code == 201
    newest = admin.sees("audit-events", page_size=1)["items"][0]
    assert (newest["actor"], newest["action"], newest["target"]) == (second.name, "key_created", "by-second (viewer)")


def test_the_audit_log_is_listed_newest_first_in_pages(admin: Holder) -> None:
    """Made and revoked, by whom and when."""
    admin.ask("POST", "keys", {"name": "noted", "role": "viewer", "full_numbers": True})
    admin.ask("DELETE", "keys/noted")
    first = admin.sees("audit-events", page_size=1)
    second = admin.sees("audit-events", page_size=1, cursor=first["next_cursor"])
    noted = [*first["items"], *second["items"]]
    assert [(one["actor"], one["action"], one["target"]) for one in noted] == [
        ("admin", "key_revoked", "noted"),
        ("admin", "key_created", "noted (viewer, full numbers)"),
    ]
    assert noted[0]["occurred_at"] > noted[1]["occurred_at"]
    assert admin.ask("GET", "audit-events", cursor="nonsense").json()["field"] == "cursor"


# Roles.

LOOKING = [
    "me",
    "calls",
    "calls/{callid}",
    "calls/{callid}/callbacks",
    "quarantine",
    "quarantine/1",
    "endpoints",
    "endpoints/{endpoint}",
    "deliveries",
    "deliveries/{delivery}",
    "stats",
    "failures",
    "fees",
]
OPERATING: list[tuple[str, str, object]] = [
    ("PUT", "calls/{callid}", {}),
    ("POST", "callbacks", {}),
    ("POST", "endpoints", {}),
    ("PATCH", "endpoints/nobody", {}),
    ("DELETE", "endpoints/nobody", None),
    ("POST", "endpoints/nobody/enable", None),
    ("POST", "endpoints/nobody/disable", None),
    ("POST", "endpoints/nobody/rotate-secret", None),
    ("POST", "endpoints/nobody/test", None),
    ("POST", f"deliveries/{NOBODY}/replay", None),
    ("POST", "replays", {}),
    ("POST", f"quarantine/{NOBODY}/requeue", None),
    ("DELETE", f"quarantine/{NOBODY}", None),
]
ADMINISTERING: list[tuple[str, str, object]] = [
    ("GET", "keys", None),
    ("POST", "keys", {}),
    ("DELETE", "keys/nobody", None),
    ("GET", "audit-events", None),
]


@pytest.mark.parametrize("path", LOOKING)
def test_every_role_may_look(
    reported: dict[str, Any], viewer: Holder, operator: Holder, admin: Holder, path: str
) -> None:
    """A viewer, an operator and an admin are shown the same things."""
    for holder in (viewer, operator, admin):
        assert holder.ask("GET", path.format_map(reported)).status_code == 200


@pytest.mark.parametrize(("method", "path", "body"), OPERATING, ids=str)
def test_a_viewer_changes_nothing(
    reported: dict[str, Any], viewer: Holder, operator: Holder, method: str, path: str, body: object
) -> None:
    """403 names the role that is needed and the one there is; an operator is let through to what is asked."""
    refused = viewer.ask(method, path.format_map(reported), body)
    assert refused.status_code == 403
    assert refused.json() == {"detail": f"this requires the role operator; the key `{viewer.name}` has viewer"}
    assert operator.ask(method, path.format_map(reported), body).status_code in {200, 400, 404, 422}


@pytest.mark.parametrize(("method", "path", "body"), ADMINISTERING, ids=str)
def test_only_an_admin_sees_and_changes_keys(
    place: Gateway, viewer: Holder, operator: Holder, admin: Holder, method: str, path: str, body: object
) -> None:
    """Whoever could make keys could be anybody; the right to full numbers does not help."""
    for holder in (viewer, operator, make(place, "operator", full_numbers=True)):
        refused = holder.ask(method, path, body)
        assert (refused.status_code, "requires the role admin" in refused.json()["detail"]) == (403, True)
    assert admin.ask(method, path, body).status_code in {200, 404, 422}


def test_every_route_below_v1_needs_a_key_and_every_changing_one_a_role(place: Gateway, viewer: Holder) -> None:
    """The schema says so of each, and it is so: what changes something is refused to a viewer, whatever is sent."""
    schema = place.client.get("/openapi.json").json()
    assert "answerback keys create" in schema["components"]["securitySchemes"]["HTTPBearer"]["description"]
    for path, methods in schema["paths"].items():
        if not path.startswith("/v1/"):
            continue
        for method, described in methods.items():
            assert described["security"] == [{"HTTPBearer": []}], path
            assert {"401", "503"} <= described["responses"].keys(), path
            url = re.sub(r"\{[^}]*\}", "1", path)
            assert place.client.request(method, url).status_code == 401
            if method != "get":
                assert "403" in described["responses"], path
            if method != "get" and path != "/v1/sign-in-links":  # whoever has a key may sign in with it
                assert viewer.ask(method, url.removeprefix("/v1/"), {}).status_code == 403


def test_an_operator_works(reported: dict[str, Any], operator: Holder, receive: Receive) -> None:
    """Endpoints with their secret, callbacks, references, retries, the quarantine: all that is no key."""
    crm = receive("crm")
    trusted = make(operator.gateway, "operator", full_numbers=True)
    added = trusted.ask("POST", "endpoints", {"name": "op-crm", "channel": "default", "url": crm.url})
    assert (added.status_code, added.json()["secret"][:6]) == (201, "whsec_")
    assert operator.ask("POST", "endpoints/op-crm/rotate-secret").json()["secret"] != added.json()["secret"]
    assert operator.ask("POST", "endpoints/op-crm/test").json()["delivered"] is True
    submitted = json.loads(prompt(str(uuid.uuid1()), mobile=NUMBER))
    assert operator.ask("POST", "callbacks", submitted).json() == {"result": 0, "errmsg": "OK"}
    assert operator.ask("PUT", f"calls/{reported['callid']}", {}).json()["mobile"] == MASKED
    assert operator.ask("POST", f"deliveries/{reported['delivery']}/replay").status_code == 202
    assert operator.ask("DELETE", "endpoints/op-crm").status_code == 204


def test_the_quarantine_is_retried_and_emptied(place: Gateway, operator: Holder) -> None:
    """What is still refused says why, without a number; what is dropped is gone."""
    assert place.post(b'{"n":"%s"}' % NUMBER.encode()).status_code == 400
    id_ = operator.sees("quarantine", page_size=1)["items"][0]["id"]
    reported = operator.ask("POST", f"quarantine/{id_}/requeue").json()
    assert (reported["id"], reported["disposition"]) == (id_, None)
    assert reported["reason"]
    assert operator.ask("DELETE", f"quarantine/{id_}").status_code == 204
    assert operator.ask("DELETE", f"quarantine/{id_}").status_code == 404
    assert operator.ask("POST", f"quarantine/{id_}/requeue").status_code == 404
    assert operator.ask("DELETE", f"quarantine/{10**30}").status_code == 404


# Numbers.


@pytest.mark.parametrize("path", LOOKING)
def test_a_masked_reader_gets_numbers_by_no_door(
    reported: dict[str, Any], viewer: Holder, operator: Holder, path: str
) -> None:
    """Not in a field, a raw body, an endpoint's answer, what the business said, nor in base64."""
    for holder in (viewer, operator):
        text = holder.ask("GET", path.format_map(reported)).text
        assert NUMBER not in text
        assert CALLER not in text


def test_what_a_masked_reader_sees(reported: dict[str, Any], viewer: Holder) -> None:
    """Everything but the numbers, and nothing from which they could be worked out."""
    call = viewer.sees(f"calls/{reported['callid']}")
    assert (call["mobile"], call["call_from"]) == (MASKED, "057*****5678")
    assert call["keys"] == [f"{MASKED}#"]
    assert call["failure_reason"] == f"no answer from {MASKED}"
    assert call["reference"] == f"order-20260131-{MASKED}"
    assert call["metadata"] == {"customer": MASKED, "n": MASKED}
    first = viewer.sees(f"calls/{reported['callid']}/callbacks")["items"][0]
    assert first["raw_base64"] is None
    fields = json.loads(first["raw"])["voiceprompt_callback"]
    assert fields["mobile"] == fields["ext"]["also"] == MASKED
    assert (fields["callid"], fields["accept_time"]) == (reported["callid"], "1470197211")
    delivery = viewer.sees(f"deliveries/{reported['delivery']}")
    assert delivery["message_id"].startswith(f"dlv_{reported['delivery']}_")
    assert delivery["attempt_log"][0]["response_body"] == ANSWER.replace(NUMBER, MASKED)
    raws = [viewer.sees(f"quarantine/{one['id']}") for one in viewer.sees("quarantine")["items"]]
    assert all(one["raw_base64"] is None for one in raws)
    assert f"mobile={MASKED}" in [one["raw"] for one in raws]


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("GET", f"calls?mobile={NUMBER}", None, "mobile"),
        ("GET", "calls?mobile=1", None, "mobile"),
        ("GET", f"calls?reference={NUMBER}", None, "reference"),
        ("GET", "calls?reference=to-137%201234-5678", None, "reference"),
        ("GET", f"calls/{NUMBER}", None, "callid"),
        ("GET", "calls/0755-83763333/callbacks", None, "callid"),
        ("PUT", f"calls/{NUMBER}", {}, "callid"),
        ("GET", f"deliveries?callid=%2B86{NUMBER}", None, "callid"),
        ("GET", "calls?failure_code=83763333", None, "failure_code"),
        ("GET", f"exports/calls.csv?mobile={NUMBER}", None, "mobile"),
        ("GET", "exports/calls.csv?failure_code=83763333", None, "failure_code"),
        ("GET", f"exports/callbacks.ndjson?reference={NUMBER}", None, "reference"),
        ("GET", f"exports/deliveries.csv?callid={NUMBER}", None, "callid"),
    ],
    ids=str,
)
def test_the_owner_of_a_number_is_hidden_from_who_may_not_see_it(
    place: Gateway, reported: dict[str, Any], operator: Holder, method: str, path: str, body: object, field: str
) -> None:
    """Asking for calls by a number, whatever it is called, needs the right; who has it is answered."""
    assert reported
    refused = operator.ask(method, path, body)
    assert (refused.status_code, refused.json()["field"]) == (403, field)
    assert refused.json()["detail"] == f"{field}: searching calls by a phone number requires the right to full numbers"
    assert make(place, "operator", full_numbers=True).ask(method, path, body).status_code in {200, 201, 202, 404}


def test_a_name_that_is_no_number_finds_its_call(reported: dict[str, Any], viewer: Holder) -> None:
    """Callids and order numbers are what a masked reader goes by."""
    assert viewer.sees("calls", reference="order-20260131-1234567")["items"] == []
    assert viewer.sees("calls", reference="d9428888-122b-11e1-b85c-61cd3cbb3210")["items"] == []
    assert viewer.sees(f"deliveries?callid={reported['callid']}")["items"]


def test_the_right_to_full_numbers_is_apart_from_the_role(
    place: Gateway, reported: dict[str, Any], admin: Holder
) -> None:
    """A viewer with it sees what the admin key sees; an admin without it sees them masked."""
    seeing, blind = make(place, "viewer", full_numbers=True), make(place, "admin")
    for path in ("calls/{callid}", "calls/{callid}/callbacks", "deliveries/{delivery}", "quarantine/1", "quarantine"):
        assert seeing.sees(path.format_map(reported)) == admin.sees(path.format_map(reported))
    assert NUMBER in seeing.ask("GET", f"deliveries/{reported['delivery']}").text
    assert seeing.sees(f"calls/{reported['callid']}")["mobile"] == NUMBER
    assert blind.sees(f"calls/{reported['callid']}")["mobile"] == MASKED


def test_an_invalid_value_of_masked_is_refused(place: Gateway, reported: dict[str, Any]) -> None:
    """Every route names the field, to those whose key it knows."""
    seeing = make(place, "operator", full_numbers=True)
    call = f"calls/{reported['callid']}"
    for method, path in (("GET", call), ("GET", "me"), ("PUT", call), ("POST", "endpoints/none/disable")):
        answer = seeing.ask(method, path, masked="perhaps")
        assert (answer.status_code, answer.json()["field"]) == (422, "masked")
    assert NUMBER not in seeing.ask("GET", call, masked="true").text
    url = f"{place.url}/v1/me?masked=perhaps"
    assert place.client.get(url, headers={"Authorization": "Bearer ab_wrong"}).status_code == 401


def test_each_showing_of_full_numbers_is_logged(place: Gateway, admin: Holder) -> None:
    """Who, where and how many; never the numbers, nor what was searched for. A masked look is none."""
    number = "13798761234"
    assert place.post(prompt("one", mobile=number)).content == OK
    assert place.post(prompt("two", mobile=number)).content == OK
    assert place.post(number.encode()).status_code == 400
    refused = f"quarantine/{admin.sees('quarantine')['items'][0]['id']}"
    seeing, masked = make(place, "viewer", full_numbers=True), make(place, "operator")

    def shown() -> list[tuple[str, str, int]]:
        *whole, _ = place.stderr.split("\n")
        lines = [line for line in map(json.loads, whole) if line["event"] == "numbers_unmasked"]
        here = [line for line in lines if line["who"] in (seeing.name, masked.name) or line["path"] == "/v1/calls/two"]
        return [(line["who"], line["path"], line["count"]) for line in here]

    for path in ("calls", "calls/one", "calls/one/callbacks", refused, "calls/nobody", "me"):
        for holder in (seeing, masked):
            holder.ask("GET", path, mobile=number)
    admin.sees("calls/two")
    wanted = [
        (seeing.name, "/v1/calls", 2),
        (seeing.name, "/v1/calls/one", 1),
        (seeing.name, "/v1/calls/one/callbacks", 1),
        (seeing.name, f"/v1/{refused}", 1),
        ("admin", "/v1/calls/two", 1),
    ]
    await_true(lambda: len(shown()) >= len(wanted), lambda: f"shown: {shown()}")  # lines are written after the answers
    assert shown() == wanted
    assert number not in place.stderr


# The ledger away, and the command line.


def test_a_key_is_not_called_wrong_while_the_ledger_is_away(place: Gateway, admin: Holder) -> None:
    """503, for nobody knows; the admin key still opens, and junk is still refused."""
    holder = make(place, "viewer")
    assert holder.ask("GET", "me").status_code == 200
    with renamed(place, "api_keys", "away"):
        away = holder.ask("GET", "me")
        assert away.status_code == 503
        assert "database" in away.json()["detail"]
        assert admin.sees("me")["role"] == "admin"
        assert Holder(place, "", "junk").ask("GET", "me").status_code == 401
    assert holder.ask("GET", "me").status_code == 200


@contextmanager
def renamed(gateway: Gateway, table: str, to: str) -> Iterator[None]:
    """Take a table of the ledger away, for a while."""
    with closing(sqlite3.connect(gateway.ledger, timeout=10)) as connection:
        connection.execute(f"ALTER TABLE {table} RENAME TO {to}")
        try:
            yield
        finally:
            connection.execute(f"ALTER TABLE {to} RENAME TO {table}")


def test_the_command_line_makes_lists_and_revokes(place: Gateway, admin: Holder) -> None:
    """A running gateway knows of it at once; to standard output goes the key alone."""
    options: list[str | Path] = ["--data-dir", place.data_dir]
    done = run("keys", "create", "cli", "--role", "operator", "--full-numbers", *options, cwd=place.data_dir)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"ab_[\w-]{43}\n", done.stdout)
    assert "not shown again" in done.stderr
    assert done.stdout.strip() not in done.stderr
    holder = Holder(place, "cli", done.stdout.strip())
    assert holder.sees("me") == {"name": "cli", "role": "operator", "full_numbers": True}
    listed = run("keys", "list", *options, cwd=place.data_dir).stdout
    assert re.search(r"cli +operator +full", listed)
    assert holder.key not in listed
    reported = json.loads(run("keys", "list", "--json", *options, cwd=place.data_dir).stdout)
    assert reported["items"] == admin.sees("keys")["items"]
    revoked = run("keys", "revoke", "cli", *options, cwd=place.data_dir)
    assert (revoked.returncode, "cli is revoked" in revoked.stdout) == (0, True)
    assert holder.ask("GET", "me").status_code == 401
    newest = admin.sees("audit-events", page_size=2)["items"]
    assert [(one["actor"], one["action"], one["target"]) for one in newest] == [
        ("command line", "key_revoked", "cli"),
        ("command line", "key_created", "cli (operator, full numbers)"),
    ]


def test_the_command_line_needs_no_gateway(data_dir: Path) -> None:
    """What it makes before a start opens after it; by default a viewer with masked numbers."""
    assert run("migrate", "--data-dir", data_dir, cwd=data_dir.parent).returncode == 0
    done = run("keys", "create", "night", "--json", "--data-dir", data_dir, cwd=data_dir)
    made = json.loads(done.stdout)
    assert (made["role"], made["full_numbers"]) == ("viewer", False)
    with Gateway(data_dir) as running:
        assert Holder(running, "night", made["key"]).sees("me")["name"] == "night"


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["create", "17"], 1, "name: a name is"),
        (["create", "admin"], 1, "admin-key"),
        (["create", "x", "--role", "owner"], 2, "owner"),
        (["revoke", "nobody"], 1, "no active key"),
        (["create", "taken"], 1, "there is a key taken already"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_said_in_one_line(
    place: Gateway, admin: Holder, arguments: list[str], status: int, words: str
) -> None:
    """And there is no key on standard output."""
    admin.ask("POST", "keys", {"name": "taken", "role": "viewer"})
    done = run("keys", *arguments, "--data-dir", place.data_dir, cwd=place.data_dir)
    assert (done.returncode, done.stdout, words in done.stderr) == (status, "", True), done.stderr


def test_there_is_no_key_without_a_ledger(tmp_path: Path) -> None:
    """A mistyped directory is said, not made."""
    done = run("keys", "create", "night", "--data-dir", tmp_path / "nowhere", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no ledger" in done.stderr
    assert not (tmp_path / "nowhere").exists()
