"""The audit log as people meet it: every act over /v1, in the console and on the command line, and who may do it."""

import itertools
import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

import httpx
import pytest
from console_client import ConsoleClient, make_key, signed_in, visible_text
from gateway import Gateway, key_press, prompt, run
from receivers.process import Receiver, await_true
from receivers.webhook_receiver import relaying
from starlette.routing import Route

from answerback.console.app import build_console
from answerback.console.dependencies import ConsoleDependencies
from answerback.console.links import Links

MOBILE, MASKED = "13912345678", "139****5678"
NEEDED = "this requires the right to full numbers; the key `operator` does not have it"
_numbers = itertools.count()
WATCHED = ("endpoints", "api_keys", "quarantine", "calls", "callbacks", "deliveries")


class World(NamedTuple):
    """A gateway, who asks it, and where endpoints may be."""

    gateway: Gateway
    url: str
    admin: ConsoleClient

    def ask(self, method: str, path: str, body: object = None, key: str | None = None) -> httpx.Response:
        """Ask /v1, with the admin key unless another is given."""
        headers = {"Authorization": f"Bearer {key or self.gateway.key}"}
        return self.gateway.client.request(method, f"/v1/{path}", json=body, headers=headers)

    def write(self, sql: str, *values: object) -> None:
        """Change the ledger's file behind the gateway's back."""
        with closing(sqlite3.connect(self.gateway.ledger, timeout=10)) as connection, connection:
            connection.execute(sql, values)

    def events(self) -> list[tuple[str, str, str]]:
        """Actor, action and target of each event, oldest first."""
        return self.gateway.rows("SELECT actor, action, target FROM audit_events ORDER BY id")

    def state(self) -> list[Sequence[object]]:
        """Everything that an act could change, once nothing else is changing it."""
        self.await_settled()
        return [self.gateway.rows(f"SELECT * FROM {table} ORDER BY 1") for table in WATCHED]  # our own names

    def await_settled(self) -> None:
        """Wait until nothing is on its way, and no erasure under way, which changes endpoints."""
        await_true(
            lambda: (
                not self.gateway.rows(
                    "SELECT id FROM deliveries WHERE state IN ('pending', 'blocked') UNION ALL "
                    "SELECT id FROM erasures WHERE finished_us IS NULL"
                )
            ),
            lambda: f"on its way: {self.gateway.rows('SELECT * FROM deliveries')}",
        )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway with an endpoint of its config file that has received a call."""
    home = tmp_path_factory.mktemp("audit")
    with Receiver(home, "crm") as receiver:
        config = home / "answerback.toml"
        config.write_text(f'[endpoints.from-file]\nurl = "{receiver.url}?token=s3cret"\n')
        with (
            Gateway(
                home / "data",
                settings=relaying("[0.05]") | {"ANSWERBACK_LOG__FORMAT": "json"},
                options=["--config", config],
            ) as gateway,
            signed_in(gateway) as admin,
        ):
            assert gateway.post(prompt("told", mobile=MOBILE)).status_code == 200
            receiver.await_taken(1)
            yield World(gateway, receiver.url, admin)


class Act(NamedTuple):
    """Something that can be done, by its place among the routes; and the events of it, `{host}` in their targets."""

    route: str
    do: Callable[[World], httpx.Response]
    events: Sequence[tuple[str, str]]


def by_form(path: str, **fields: Any) -> Callable[[World], httpx.Response]:
    """A form of the console."""
    return lambda world: world.admin.post(path, **fields)


def by_api(method: str, path: str, body: object = None) -> Callable[[World], httpx.Response]:
    """A request to /v1."""
    return lambda world: world.ask(method, path, body)


def _delivery(world: World) -> int:
    ((id_,),) = world.gateway.rows("SELECT min(id) FROM deliveries")
    return int(id_)


def _body(world: World) -> int:
    ((id_,),) = world.gateway.rows("SELECT id FROM quarantine")
    return int(id_)


TO_BE_MADE = {"name": "made", "channel": "default"}
_DEFINED = {"channel": "default", "format": "standard", "timeout_s": "10", "concurrency": "8"}
_FROM, _TO = "2020-01-01T00:00:00", "2030-01-01T00:00:00"

API = [
    Act(
        "POST /v1/endpoints",
        lambda world: world.ask("POST", "endpoints", TO_BE_MADE | {"url": f"{world.url}?secret=1"}),
        [("endpoint_added", "made at {host}")],
    ),
    Act(
        "PATCH /v1/endpoints/{endpoint}",
        by_api("PATCH", "endpoints/aim", {"url": "http://127.0.0.2:9/x", "kinds": ["code"]}),
        [("endpoint_changed", "aim at {other} from {host} (url, kinds)")],
    ),
    Act(
        "POST /v1/endpoints/{endpoint}/disable",
        by_api("POST", "endpoints/aim/disable"),
        [("endpoint_disabled", "aim at {host} (manually)")],
    ),
    Act(
        "POST /v1/endpoints/{endpoint}/enable",
        by_api("POST", "endpoints/idle/enable"),
        [("endpoint_enabled", "idle at {other}")],
    ),
    Act(
        "POST /v1/endpoints/{endpoint}/rotate-secret",
        by_api("POST", "endpoints/aim/rotate-secret"),
        [("endpoint_secret_rotated", "aim at {host}")],
    ),
    Act(
        "POST /v1/endpoints/{endpoint}/test",
        by_api("POST", "endpoints/from-file/test"),
        [("endpoint_tested", "from-file at {host}")],
    ),
    Act(
        "POST /v1/replays",
        by_api("POST", "replays", {"endpoint": "from-file", "dead": True}),
        [("endpoint_replayed", "from-file at {host} with 0 dead deliveries")],
    ),
    Act(
        "POST /v1/replays",
        by_api("POST", "replays", {"endpoint": "aim", "mobile": MOBILE, "kind": "key"}),
        [("endpoint_replayed", "aim at {host} with 0 calls mobile=… kind=key")],
    ),
    Act("DELETE /v1/endpoints/{endpoint}", by_api("DELETE", "endpoints/aim"), [("endpoint_removed", "aim at {host}")]),
    Act(
        "POST /v1/deliveries/{id}/replay",
        lambda world: world.ask("POST", f"deliveries/{_delivery(world)}/replay"),
        [("delivery_replayed", "delivery {delivery} to from-file at {host}")],
    ),
    Act(
        "POST /v1/quarantine/{id}/requeue",
        lambda world: world.ask("POST", f"quarantine/{_body(world)}/requeue"),
        [("quarantine_requeued", "quarantined body {quarantined} of default")],
    ),
    Act(
        "DELETE /v1/quarantine/{id}",
        lambda world: world.ask("DELETE", f"quarantine/{_body(world)}"),
        [("quarantine_deleted", "quarantined body {quarantined}")],
    ),
    Act(
        "POST /v1/keys",
        by_api("POST", "keys", {"name": "made-by-api", "role": "operator", "full_numbers": True}),
        [("key_created", "made-by-api (operator, full numbers)")],
    ),
    Act("DELETE /v1/keys/{name}", by_api("DELETE", "keys/held"), [("key_revoked", "held")]),
    Act("POST /v1/erasures", by_api("POST", "erasures", {"number": "13712345678"}), [("number_erased", "erasure 1")]),
    Act(
        "POST /v1/sign-in-links",
        by_api("POST", "sign-in-links", {"key": "held"}),
        [("sign_in_link_created", "for held")],
    ),
    Act(
        "GET /v1/exports/{what}.{format}",
        by_api("GET", f"exports/calls.csv?reference=order-{MOBILE}"),
        [("exported", f"calls.csv full numbers reference=order-{MASKED}")],
    ),
]
"""What is done over /v1."""

CONSOLE = [
    Act(
        "/endpoint/new",
        lambda world: world.admin.post(
            "endpoint/new", name="made", url=f"{world.url}?secret=1", enabled="on", **_DEFINED
        ),
        [("endpoint_added", "made at {host}")],
    ),
    Act(
        "/endpoints/{name}/edit",
        by_form("endpoints/aim/edit", url="http://127.0.0.2:9/x", **_DEFINED),
        [("endpoint_changed", "aim at {other} from {host} (url, kinds)")],
    ),
    Act(
        "/endpoints/{name}/disable",
        by_form("endpoints/aim/disable"),
        [("endpoint_disabled", "aim at {host} (manually)")],
    ),
    Act("/endpoints/{name}/enable", by_form("endpoints/idle/enable"), [("endpoint_enabled", "idle at {other}")]),
    Act(
        "/endpoints/{name}/rotate-secret",
        by_form("endpoints/aim/rotate-secret"),
        [("endpoint_secret_rotated", "aim at {host}")],
    ),
    Act(
        "/endpoints/{name}/test",
        by_form("endpoints/from-file/test"),
        [("endpoint_tested", "from-file at {host}")],
    ),
    Act(
        "/endpoints/{name}/replay-dead",
        by_form("endpoints/from-file/replay-dead"),
        [("endpoint_replayed", "from-file at {host} with 0 dead deliveries")],
    ),
    Act(
        "/endpoints/{name}/replay",
        by_form("endpoints/aim/replay", since=_TO, until="2031-01-01T00:00:00", outcome="failed"),
        [("endpoint_replayed", "aim at {host} with 0 calls outcome=failed since=20")],
    ),
    Act(
        "/endpoints/{name}/remove", by_form("endpoints/aim/remove", sure="yes"), [("endpoint_removed", "aim at {host}")]
    ),
    Act(
        "/deliveries/{id:id}/replay",
        lambda world: world.admin.post(f"deliveries/{_delivery(world)}/replay"),
        [("delivery_replayed", "delivery {delivery} to from-file at {host}")],
    ),
    Act(
        "/quarantine/{id:id}",
        lambda world: world.admin.post(f"quarantine/{_body(world)}"),
        [("numbers_revealed", "quarantined body {quarantined}")],
    ),
    Act(
        "/quarantine/drop",
        lambda world: world.admin.post("quarantine/drop", id=str(_body(world))),
        [("quarantine_deleted", "quarantined body {quarantined}")],
    ),
    Act(
        "/quarantine/{id:id}/requeue",
        lambda world: world.admin.post(f"quarantine/{_body(world)}/requeue"),
        [("quarantine_requeued", "quarantined body {quarantined} of default")],
    ),
    Act(
        "/quarantine/requeue",
        by_form("quarantine/requeue"),
        [("quarantine_requeued", "quarantined body {quarantined} of default")],
    ),
    Act(
        "/settings/keys",
        by_form("settings/keys", name="made-by-form", role="viewer"),
        [("key_created", "made-by-form (viewer)")],
    ),
    Act("/settings/keys/{name}/revoke", by_form("settings/keys/held/revoke"), [("key_revoked", "held")]),
    Act("/calls/{callid:path}", by_form("calls/told"), [("numbers_revealed", "call told (default)")]),
    Act("/call", by_form("call?callid=told"), [("numbers_revealed", "call told (default)")]),
]
"""What the console's forms do."""

AT_THE_RATE_OF_CALLS = {"POST /v1/callbacks", "PUT /v1/calls/{callid}"}
"""What programs do with each call: lines of the log."""


def test_every_route_that_changes_something_is_in_the_table(world: World) -> None:
    """A new one fails this until it has its event."""
    document = world.gateway.client.get("/openapi.json").json()["paths"]
    changing = {
        f"{method.upper()} {path}"
        for path, methods in document.items()
        for method in methods
        if method != "get" and path.startswith("/v1/")
    }
    assert changing - AT_THE_RATE_OF_CALLS == {act.route for act in API if not act.route.startswith("GET")}
    given = SimpleNamespace(
        links=Links(""),
        session_key=b"x",
        session_hours=1,
        public_url=None,
        shutdown_callbacks=[],
        ledger=None,
        feed=None,
        zone=None,
    )
    forms = {
        route.path.removeprefix("/console")
        for route in build_console(cast(ConsoleDependencies, given)).routes
        if isinstance(route, Route) and "POST" in (route.methods or ())
    }
    assert forms - {"/sign-in", "/sign-in/link", "/sign-out"} == {act.route for act in CONSOLE}


@pytest.fixture
def quarantined(world: World) -> Iterator[int]:
    """The one body in quarantine, which is a callback by now."""
    assert world.gateway.post(b"not yet").status_code == 400
    world.gateway.await_recorded()
    world.write("UPDATE quarantine SET raw = ?", prompt(f"late-{next(_numbers)}"))
    yield _body(world)
    world.write("DELETE FROM quarantine")


@pytest.fixture
def aim(world: World) -> Iterator[None]:
    """Endpoints to act on: `aim`, which receives key presses, and `idle`, which is disabled; none is left but the file's."""
    for fields in (
        {"name": "aim", "url": world.url, "kinds": ["key"]},
        {"name": "idle", "url": "http://127.0.0.2:9/x", "kinds": ["code"], "enabled": False},
    ):
        assert world.ask("POST", "endpoints", fields | {"channel": "default"}).status_code == 201
    yield
    world.await_settled()
    for endpoint in world.gateway.items("/v1/endpoints"):
        assert endpoint["name"] == "from-file" or world.ask("DELETE", f"endpoints/{endpoint['name']}").is_success


@pytest.fixture
def held(world: World) -> Iterator[None]:
    """A key `held` of a viewer; it and those that were made are revoked at the end."""
    make_key(world.gateway, "held", "viewer")
    yield
    for name in ("held", "made-by-api", "made-by-form"):
        assert world.ask("DELETE", f"keys/{name}").status_code in {204, 404}


@pytest.mark.usefixtures("aim", "held")
@pytest.mark.parametrize("act", [*API, *CONSOLE], ids=lambda act: act.route)
def test_an_act_and_its_event_are_one(world: World, quarantined: int, act: Act) -> None:
    """While the ledger takes no event the act is refused and nothing is changed; else both are there."""
    before = world.state(), world.events()
    world.write("CREATE TRIGGER no_log BEFORE INSERT ON audit_events BEGIN INSERT INTO nowhere VALUES (1); END")
    try:
        refused = act.do(world)
    finally:
        world.write("DROP TRIGGER no_log")
    assert (refused.status_code, MOBILE in refused.text) == (503, False), refused.text
    assert (world.state(), world.events()) == before
    facts = {
        "host": "http://" + urlsplit(world.url).netloc,
        "other": "http://127.0.0.2:9",
        "delivery": _delivery(world),
        "quarantined": quarantined,
    }
    answer = act.do(world)
    assert answer.status_code < 400, answer.text
    written = world.events()[len(before[1]) :]
    assert [(actor, action) for actor, action, _ in written] == [("admin", action) for action, _ in act.events]
    for (_, _, target), (_, wanted) in zip(written, act.events, strict=True):
        assert target.startswith(wanted.format(**facts))


# Who may.

HANDING_ON: list[tuple[str, str, object]] = [
    ("POST", "endpoints", {"name": "mine", "channel": "default", "url": "http://127.0.0.3:9/"}),
    *(
        ("PATCH", "endpoints/aim", fields)
        for fields in (
            {"url": "http://127.0.0.3:9/"},
            {"format": "tencent"},
            {"kinds": ["code"]},
            {"outcomes": ["failed"]},
            {"number_prefixes": ["138"]},
            {"headers": {"X-Token": "other"}},
            {"notify_on_update": True},
        )
    ),
    ("POST", "replays", {"endpoint": "aim", "dead": True}),
    ("POST", "replays", {"endpoint": "aim", "kind": "key"}),
]


@pytest.fixture(scope="module")
def operator(world: World) -> str:
    """The key of an operator who sees masked numbers."""
    return make_key(world.gateway, "operator", "operator")


@pytest.mark.usefixtures("aim")
@pytest.mark.parametrize(("method", "path", "body"), HANDING_ON, ids=str)
def test_an_operator_hands_no_number_to_a_url(
    world: World, operator: str, method: str, path: str, body: object
) -> None:
    """403 names the right that is missing; nothing is changed, and nothing is an event."""
    before = world.state(), world.events()
    answer = world.ask(method, path, body, operator)
    assert (answer.status_code, answer.json()) == (403, {"detail": NEEDED})
    assert (world.state(), world.events()) == before


@pytest.mark.usefixtures("aim")
def test_an_operator_keeps_what_is_there_going(world: World, operator: str) -> None:
    """The pace, the switch, the secret, a test, a retry: the numbers go where they went."""
    for method, path, body in (
        ("PATCH", "endpoints/aim", {"timeout_s": 5, "concurrency": 2}),
        ("PATCH", "endpoints/aim", {"enabled": True}),
        ("POST", "endpoints/aim/disable", None),
        ("POST", "endpoints/aim/rotate-secret", None),
        ("POST", "endpoints/aim/test", None),
        ("POST", f"deliveries/{_delivery(world)}/replay", None),
    ):
        assert world.ask(method, path, body, operator).is_success


@pytest.mark.usefixtures("aim")
def test_a_retry_to_another_url_hands_numbers_on(world: World, operator: str) -> None:
    """What was made before an endpoint was pointed elsewhere is not the operator's to send there."""
    assert world.gateway.post(key_press("for-aim")).status_code == 200
    world.await_settled()
    ((id_,),) = world.gateway.rows(
        "SELECT max(id) FROM deliveries WHERE endpoint_id = (SELECT id FROM endpoints WHERE name = 'aim' AND deleted_us IS NULL)"
    )
    assert world.ask("POST", f"deliveries/{id_}/replay", None, operator).is_success
    world.await_settled()
    assert world.ask("PATCH", "endpoints/aim", {"url": f"{world.url}/elsewhere"}).is_success
    refused = world.ask("POST", f"deliveries/{id_}/replay", None, operator)
    assert (refused.status_code, refused.json()) == (403, {"detail": NEEDED})
    with signed_in(world.gateway, operator) as person:
        assert person.post(f"deliveries/{id_}/replay").status_code == 403
    assert world.ask("POST", f"deliveries/{id_}/replay").is_success
    world.await_settled()


@pytest.mark.usefixtures("aim")
def test_the_console_says_what_an_operator_may_not(world: World, operator: str) -> None:
    """No button for it, a word why, and the form refused where it is sent all the same."""
    with signed_in(world.gateway, operator) as person:
        assert "Add an endpoint" not in person.text("endpoints")
        assert "requires the right to full numbers" in person.text("endpoints/aim")
        assert "Your key may only change the timeout" in person.text("endpoints/aim/edit")
        person.text("endpoint/new", 403)
        before = world.state(), world.events()
        forms = {
            "endpoint/new": {"name": "mine", "url": "http://127.0.0.3:9/", **_DEFINED},
            "endpoints/aim/edit": {"url": "http://127.0.0.3:9/", **_DEFINED},
            "endpoints/aim/replay-dead": {},
            "endpoints/aim/replay": {"since": _FROM, "until": _TO},
            "calls/told": {},
        }
        for path, fields in forms.items():
            answer = person.post(path, **fields)
            assert (answer.status_code, "This requires the right to full numbers" in visible_text(answer.text)) == (
                403,
                True,
            )
        assert (world.state(), world.events()) == before
        url = world.ask("GET", "endpoints/aim").json()["url"]
        paced = person.post("endpoints/aim/edit", url=url, kinds="key", **_DEFINED | {"timeout_s": "7"})
        assert paced.status_code == 303


def test_an_administrator_gives_no_right_that_they_do_not_have(world: World) -> None:
    """By neither way; a key without it they make."""
    key = make_key(world.gateway, "half-admin", "admin")
    body = {"name": "whole", "role": "viewer", "full_numbers": True}
    answer = world.ask("POST", "keys", body, key)
    assert (answer.status_code, answer.json()["detail"]) == (403, NEEDED.replace("operator", "half-admin"))
    with signed_in(world.gateway, key) as person:
        assert person.post("settings/keys", name="whole", role="viewer", full_numbers="on").status_code == 403
    assert world.ask("POST", "keys", body | {"full_numbers": False}, key).status_code == 201


# Who reads it, and who else writes.


def test_the_log_is_read_over_v1_and_in_settings_without_numbers(world: World) -> None:
    """By administrators, in both languages; a number in a filter, or a very long one, is neither shown nor kept."""
    for text in (f"order-{MOBILE}", "x" * 20_000):
        assert world.ask("GET", f"exports/calls.csv?reference={text}").status_code == 200
    long, masked = (event["target"] for event in world.gateway.items("/v1/audit-events", page_size=2))
    assert masked == f"calls.csv full numbers reference=order-{MASKED}"
    assert (len(long) < 600, long.endswith("more characters)")) == (True, True)
    assert long.startswith("calls.csv full numbers "), "nobody hides it behind a long filter"
    for language, words in (("en", ("Audit log", "Exported")), ("zh", ("审计日志", "导出"))):
        with signed_in(world.gateway, language=language) as person:
            page = person.text("settings")
            assert all(word in page for word in (*words, masked))
            assert MOBILE not in person.get("settings")


def test_the_config_file_is_an_actor(world: World) -> None:
    """The endpoint that it made at the start, by its host alone."""
    first = world.events()[0]
    assert first == ("config file", "endpoint_added", f"from-file at http://{urlsplit(world.url).netloc}")


COMMANDS = [
    (["export", "calls", "--unmask"], "exported", "calls.csv full numbers"),
    (["calls", "show", "told", "--unmask"], "numbers_revealed", "call told (default)"),
    (["import", "lines.ndjson"], "callbacks_imported", "1 files into default not delivered"),
]


@pytest.mark.parametrize(("command", "action", "target"), COMMANDS, ids=lambda value: str(value[0])[:20])
def test_a_command_is_an_event_before_it_shows_anything(
    world: World, tmp_path: Path, command: list[str], action: str, target: str
) -> None:
    """With the ledger of the data directory; it does nothing where the event cannot be written."""
    callid = f"imported-{next(_numbers)}"
    (tmp_path / "lines.ndjson").write_bytes(prompt(callid, mobile=MOBILE) + b"\n")
    arguments = [*command, "--data-dir", str(world.gateway.data_dir)]
    before = world.events()
    world.write("CREATE TRIGGER no_log BEFORE INSERT ON audit_events BEGIN INSERT INTO nowhere VALUES (1); END")
    try:
        refused = run(*arguments, cwd=tmp_path)
    finally:
        world.write("DROP TRIGGER no_log")
    assert (refused.returncode, MOBILE in refused.stdout) == (1, False)
    assert not world.gateway.rows("SELECT id FROM calls WHERE callid = ?", callid)
    assert run(*arguments, cwd=tmp_path).returncode == 0
    assert world.events()[len(before) :] == [("command line", action, target)]


def test_what_is_at_the_rate_of_calls_is_in_the_log(world: World, operator: str) -> None:
    """Who handed in callbacks, said something of a call, or read full numbers over /v1: a line each, and no event."""
    before = world.events()
    reader = make_key(world.gateway, "reader", "viewer", full_numbers=True)
    body = prompt("handed-in", mobile=MOBILE)
    headers = {"Authorization": f"Bearer {operator}"}
    assert world.gateway.client.post("/v1/callbacks", content=body, headers=headers).status_code == 200
    assert world.ask("PUT", "calls/handed-in", {"reference": "order-1"}, operator).status_code == 200
    assert world.ask("GET", "calls/handed-in", None, reader).json()["mobile"] == MOBILE
    assert [action for _, action, _ in world.events()[len(before) :]] == ["key_created"]
    wanted = {("callbacks_submitted", "operator"), ("call_annotated", "operator"), ("numbers_unmasked", "reader")}

    def said() -> set[tuple[str, str]]:
        *whole, _ = world.gateway.stderr.split("\n")
        lines = [json.loads(line) for line in whole if line.startswith("{")]
        return {(line["event"], line["who"]) for line in lines if "who" in line}

    await_true(lambda: wanted <= said(), lambda: f"said: {said()}")  # lines are written after the answers
    assert MOBILE not in world.gateway.stderr
