"""/v1/endpoints: who receives events; a change takes effect when it is answered."""

import base64
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateway import OK, Gateway, key_press, prompt, run
from receivers.process import Receive, Receiver, await_true
from receivers.webhook_receiver import Business, relaying
from standardwebhooks import Webhook, WebhookVerificationError

PUBLIC = "https://1.1.1.1/voice"
"""An address in the open, to which nothing is ever delivered here."""
SECRET = "whsec_" + base64.b64encode(b"a secret of 24 bytes, ok").decode()
HEADER = "a-header-that-is-a-secret"
OTHER_SECRET = "whsec_" + base64.b64encode(b"another one, of 27 bytes ok").decode()


def field_of(answer: httpx.Response) -> str:
    """The field that a refusal names; its detail names it, too."""
    assert answer.status_code == 422, answer.text
    problem = answer.json()
    assert problem["detail"].startswith(f"{problem['field']}: "), problem
    return str(problem["field"])


# Made, read, changed, removed.


def test_an_endpoint_is_made_read_changed_and_removed(business: Business) -> None:
    """The whole life of an endpoint; its secret is in the answer to its making and nowhere else."""
    name = business.name("crm")
    made = business.ask("POST", "endpoints", {"name": name, "channel": business.channel, "url": PUBLIC})
    assert made.status_code == 201
    endpoint = made.json()
    assert endpoint.pop("secret").startswith("whsec_")
    assert endpoint | {"id": 0, "created_at": "", "updated_at": ""} == {
        "id": 0,
        "name": name,
        "channel": business.channel,
        "url": PUBLIC,
        "format": "standard",
        "enabled": True,
        "disabled_reason": None,
        "kinds": [],
        "outcomes": [],
        "failure_codes": [],
        "number_prefixes": [],
        "reference_prefixes": [],
        "notify_on_update": False,
        "timeout_s": 10.0,
        "concurrency": 8,
        "certificate": None,
        "headers": {},
        "success": None,
        "retry_schedule_s": None,
        "proxy": None,
        "from_config": False,
        "previous_secret_expires_at": None,
        "created_at": "",
        "updated_at": "",
        "paused_until": None,
        "consecutive_failures": 0,
        "pending": 0,
        "blocked": 0,
        "dead": 0,
        "oldest_pending_at": None,
    }
    assert business.endpoint("crm") == endpoint == business.asks("GET", f"endpoints/{endpoint['id']}")
    assert endpoint in business.asks("GET", "endpoints")["items"]
    changes: dict[str, object] = {"url": "https://8.8.8.8/told", "format": "tencent", "kinds": ["key"]}
    changes |= {"outcomes": ["failed"], "notify_on_update": True, "timeout_s": 2.5, "concurrency": 1}
    changes |= {"success": "json:code=0", "failure_codes": [5, 8], "number_prefixes": ["138", "+852"]}
    changes |= {"reference_prefixes": ["order-"], "retry_schedule_s": [5.0, 60.0]}
    changes |= {"proxy": "http://9.9.9.9:3128"}
    changed = business.change("crm", **changes)
    assert changed | {"updated_at": ""} == endpoint | changes | {"updated_at": ""}
    assert changed["updated_at"] > endpoint["updated_at"]
    gone = business.ask("DELETE", f"endpoints/{name}")
    assert (gone.status_code, gone.content) == (204, b"")
    assert business.ask("GET", f"endpoints/{name}").status_code == 404
    assert name not in [one["name"] for one in business.asks("GET", "endpoints")["items"]]
    assert business.add("crm", PUBLIC)["id"] != endpoint["id"]


def test_a_name_is_made_up_where_none_is_given(business: Business) -> None:
    """An endpoint can do without a name of the caller's."""
    made = business.asks("POST", "endpoints", {"channel": business.channel, "url": PUBLIC})
    assert business.asks("GET", f"endpoints/{made['name']}")["id"] == made["id"]


def test_a_secret_may_be_brought_along(business: Business) -> None:
    """A secret by Standard Webhooks is taken as it is."""
    assert business.add("crm", PUBLIC, secret=SECRET)["secret"] == SECRET


# What is refused.

ROUTES = [
    ("GET", "endpoints"),
    ("POST", "endpoints"),
    ("GET", "endpoints/crm"),
    ("PATCH", "endpoints/crm"),
    ("DELETE", "endpoints/crm"),
    ("POST", "endpoints/crm/enable"),
    ("POST", "endpoints/crm/disable"),
    ("POST", "endpoints/crm/test"),
    ("POST", "endpoints/crm/rotate-secret"),
    ("GET", "deliveries"),
    ("GET", "deliveries/1"),
    ("POST", "deliveries/1/replay"),
    ("POST", "replays"),
    ("GET", "replays/1"),
    ("PUT", "calls/call-1"),
    ("POST", "callbacks"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES, ids=lambda value: value.replace("/", "-"))
def test_without_the_key_nothing_is_shown_or_done(relaying_gateway: Gateway, method: str, path: str) -> None:
    """Every route wants an API key."""
    for headers in ({}, {"Authorization": "Bearer ab_wrong"}, {"Authorization": f"Basic {relaying_gateway.key}"}):
        answer = relaying_gateway.client.request(method, f"/v1/{path}", json={}, headers=headers)
        assert answer.status_code == 401, answer.text
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("method", "path"), [route for route in ROUTES if "crm" in route[1] or "/1" in route[1]], ids=str
)
def test_what_is_not_there_is_not_found(business: Business, method: str, path: str) -> None:
    """Nothing by that name or id: 404 with words."""
    path = path.replace("/1", "/987654321").replace("crm", "nobody")
    answer = business.ask(method, path, {} if method in ("POST", "PATCH") else None)
    assert answer.status_code == 404, answer.text
    assert "987654321" in answer.json()["detail"] or "nobody" in answer.json()["detail"]


def test_a_name_that_is_taken_is_refused(business: Business) -> None:
    """Of many that make the same endpoint at once one succeeds, the others are answered that it is there."""
    with ThreadPoolExecutor(8) as pool:
        body = {"name": business.name("crm"), "channel": business.channel, "url": PUBLIC}
        answers = list(pool.map(lambda _: business.ask("POST", "endpoints", body), range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    assert all(business.name("crm") in answer.text for answer in answers)


INVALID: list[tuple[str, object]] = [
    ("url", ""),
    ("url", "example.com/voice"),
    ("url", "ftp://example.com/voice"),
    ("url", "http://"),
    ("url", "http:///voice"),
    ("url", "http://exam ple.com/"),
    ("url", "http://example.com/\n"),
    ("url", "http://example.com:0/"),
    ("url", "http://example.com:99999/"),
    ("url", "http://example.com:port/"),
    ("url", "http://[::1"),
    ("url", "https://user:word@example.com/"),
    ("url", "https://example.com/#part"),
    ("url", "https://example.com/" + "x" * 2048),
    ("url", 7),
    ("url", None),
    ("name", "Crm"),
    ("name", "123"),
    ("name", ""),
    ("name", "a/b"),
    ("name", "x" * 65),
    ("channel", "nowhere"),
    ("channel", 7.5),
    ("format", "xml"),
    ("enabled", "perhaps"),
    ("kinds.0", ["smoke"]),
    ("outcomes.1", ["failed", "lost"]),
    ("kinds", "key"),
    ("notify_on_update", "sometimes"),
    ("timeout_s", 0),
    ("timeout_s", -1),
    ("timeout_s", 301),
    ("timeout_s", "long"),
    ("concurrency", 0),
    ("concurrency", 1025),
    ("concurrency", 1.5),
    ("certificate", "unheard-of"),
    ("certificate", "/etc/ssl/ca.pem"),
    ("ca_file", "/etc/ssl/ca.pem"),
    ("headers", {"Host": "other"}),
    ("headers", {"X-Token": "a\r\nHost: b"}),
    ("headers", {"X-Token": "…"}),
    ("headers.X-Token", {"X-Token": ["a"]}),
    ("headers", "X-Token: a"),
    ("success", "3xx"),
    ("proxy", "https://9.9.9.9:3128"),
    ("proxy", "http://9.9.9.9:3128/path"),
    ("proxy", "http://user:word@9.9.9.9:3128"),
    ("proxy", "http://10.1.2.3:3128"),
    ("proxy", "http://169.254.169.254:3128"),
    ("proxy", "none"),
    ("retry_schedule_s", []),
    ("retry_schedule_s.1", [5, 0]),
    ("retry_schedule_s", [1] * 101),
    ("failure_codes.0", ["many"]),
    ("failure_codes.1", [1, -1]),
    ("failure_codes", [1] * 101),
    ("number_prefixes.0", ["13800000000"]),
    ("number_prefixes.0", ["+"]),
    ("number_prefixes", "138"),
    ("reference_prefixes.0", [""]),
    ("reference_prefixes.0", ["x" * 129]),
    ("urll", PUBLIC),
]


@pytest.mark.parametrize(("field", "value"), INVALID, ids=lambda value: str(value)[:30])
def test_an_invalid_field_is_named(business: Business, field: str, value: object) -> None:
    """Whatever cannot be is refused, when it is made and when it is changed, and the field at fault is named."""
    given = {"name": business.name("crm"), "channel": business.channel, "url": PUBLIC}
    assert field_of(business.ask("POST", "endpoints", given | {field.partition(".")[0]: value})) == field
    business.add("crm", PUBLIC)
    answer = business.ask("PATCH", f"endpoints/{business.name('crm')}", {field.partition(".")[0]: value})
    assert field_of(answer) == field
    assert business.endpoint("crm")["url"] == PUBLIC


@pytest.mark.parametrize("secret", ["", "word", "whsec_", "whsec_%%%%", SECRET[:-8], "whsec_" + "A" * 100, 7])
def test_an_invalid_secret_is_refused_and_not_repeated(business: Business, secret: object) -> None:
    """A secret must be one by Standard Webhooks; the answer names the field and not the value."""
    given = {"name": business.name("crm"), "channel": business.channel, "url": PUBLIC}
    made = business.ask("POST", "endpoints", given | {"secret": secret})
    assert field_of(made) == "secret"
    business.add("crm", PUBLIC)
    rotated = business.ask("POST", f"endpoints/{business.name('crm')}/rotate-secret", {"secret": secret})
    assert field_of(rotated) == "secret"
    if secret and secret != "whsec_":
        assert str(secret) not in (made.text + rotated.text).replace("24 to 64", "")


def test_a_secret_is_not_changed_like_a_field(business: Business) -> None:
    """PATCH refuses a secret and says how it is changed."""
    business.add("crm", PUBLIC)
    answer = business.ask("PATCH", f"endpoints/{business.name('crm')}", {"secret": SECRET})
    assert field_of(answer) == "secret"
    assert "rotate-secret" in answer.json()["detail"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'"text"', b'{"url": NaN}', b"\xff\xfe", b"null"])
def test_a_body_that_is_no_object_is_refused(business: Business, content: bytes) -> None:
    """Neither making nor changing takes anything but a JSON object."""
    business.add("crm", PUBLIC)
    headers = {"Content-Type": "application/json"}
    for method, path in (("POST", "endpoints"), ("PATCH", f"endpoints/{business.name('crm')}")):
        answer = business.ask(method, path, content=content, headers=headers)
        assert answer.status_code == 422, answer.text
    assert "Traceback" not in business.gateway.stderr


# Where an endpoint may be.

PRIVATE = [
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "localhost",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "[fd12:3456::1]",
    "[::ffff:10.0.0.1]",
]
NOBODYS = ["0.0.0.0", "[::]", "224.0.0.1", "255.255.255.255", "[ff02::1]", "240.0.0.1"]
NEVER = [
    "169.254.169.254",
    "169.254.1.1",
    "[fe80::1]",
    "[::ffff:169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]",
    "[fd00:ec2::254]",
    "100.100.100.200",
    "169.254.0.23",
    "2852039166",
]


@pytest.mark.parametrize("host", PRIVATE + NOBODYS + NEVER)
def test_a_private_address_is_refused(gateway: Gateway, host: str) -> None:
    """This machine, its networks and the cloud's metadata are no place for an endpoint made through the API."""
    business = Business(gateway, "alerts")
    given = {"name": "inside", "channel": "alerts", "url": f"http://{host}:8080/"}
    assert field_of(business.ask("POST", "endpoints", given)) == "url"


@pytest.fixture(scope="module")
def lenient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose endpoints may be anywhere, as far as settings can say; the one of its config file is at metadata."""
    home = tmp_path_factory.mktemp("lenient")
    config = write_config(home / "answerback.toml", {"default-meta": {"url": "http://169.254.169.254/"}})
    everywhere = {
        "ANSWERBACK_RELAY__ALLOWED_NETWORKS": '["0.0.0.0/0", "::/0", "169.254.0.0/16", "fe80::/10"]',
        "ANSWERBACK_RELAY__RETRY_SCHEDULE_S": "[]",
    }
    with Gateway(home / "data", settings=everywhere, options=["--config", config]) as running:
        yield running


@pytest.mark.parametrize("host", NEVER)
def test_metadata_is_refused_whatever_is_allowed(lenient: Gateway, host: str) -> None:
    """No setting opens the way to link-local addresses or to a cloud's metadata."""
    answer = Business(lenient).ask("POST", "endpoints", {"name": "inside", "url": f"http://{host}/"})
    assert field_of(answer) == "url"
    assert "link-local or metadata" in answer.json()["detail"]


@pytest.mark.parametrize("host", ["127.0.0.1", "10.1.2.3", "[fd12:3456::1]", "localhost"])
def test_allowed_networks_are_allowed(lenient: Gateway, host: str) -> None:
    """What relay.allowed_networks names is a place like any other."""
    business = Business(lenient)
    name = f"inside-{base64.b32encode(host.encode()).decode().lower().rstrip('=')}"
    assert business.add(name, f"http://{host}:9/", enabled=False)["enabled"] is False


def test_only_the_networks_that_are_named_are_allowed(business: Business) -> None:
    """127.0.0.0/8 is allowed here, and neither ::1 nor another private network."""
    for host in ("[::1]", "10.0.0.1"):
        given = {"name": business.name("inside"), "channel": business.channel, "url": f"http://{host}/"}
        assert field_of(business.ask("POST", "endpoints", given)) == "url"


def test_the_address_is_checked_where_it_is_connected_to(tmp_path: Path) -> None:
    """An endpoint whose address is no longer allowed, or whose name means another one now, is not connected to."""
    hosts = {"address": "127.0.0.1", "name": "localhost"}
    with Receiver(tmp_path) as receiver:
        gateway = Gateway(
            tmp_path / "data",
            settings=relaying() | {"ANSWERBACK_RELAY__ALLOWED_NETWORKS": '["127.0.0.0/8", "::1/128"]'},
        )
        with gateway.start():
            for endpoint, host in hosts.items():
                Business(gateway).add(endpoint, receiver.url.replace("127.0.0.1", host))
            gateway.terminate()
        with Gateway(tmp_path / "data", settings={"ANSWERBACK_RELAY__RETRY_SCHEDULE_S": "[0.1]"}) as strict:
            business = Business(strict)
            business.hears(prompt("call-1"))
            for endpoint in hosts:
                tried = business.await_state(endpoint, "call-1", "dead")["attempt_log"]
                assert len(tried) == 2
                assert all("is this machine itself" in one["error"] for one in tried)
                reported = business.asks("POST", f"endpoints/{business.name(endpoint)}/test")
                assert (reported["delivered"], "is this machine itself" in reported["error"]) == (False, True)
        assert receiver.taken == []


# A change takes effect when it is answered.


@contextmanager
def load(business: Business) -> Iterator[list[str]]:
    """Callbacks about new calls come in all the time, from a thread of its own; their callids."""
    reported: list[str] = []
    stopping = threading.Event()

    def post_callbacks() -> None:
        with httpx.Client(base_url=business.gateway.url, timeout=30, trust_env=False, verify=False) as client:
            while not stopping.is_set():
                callid = f"{business.channel}-{len(reported)}"
                body = prompt(callid)
                assert client.post(f"/voice/callback/{business.token}", content=body).content == OK
                reported.append(callid)
                time.sleep(0.004)

    thread = threading.Thread(target=post_callbacks)
    thread.start()
    try:
        yield reported
    finally:
        stopping.set()
        thread.join()


@pytest.mark.parametrize("wait_s", [0.0, 0.05, 5.0], ids=["fast", "busy", "stuck"])
def test_after_a_new_url_the_old_one_gets_nothing(business: Business, receive: Receive, wait_s: float) -> None:
    """Once PATCH is answered nothing arrives at the old URL any more, and what it did not take goes to the new one."""
    old, new = receive("old", behaviour="slow", wait_s=wait_s), receive("new")
    business.add("crm", old.url, concurrency=8)
    with load(business) as reported:
        await_true(lambda: len(reported) > 50, lambda: f"{len(reported)} callbacks came in")
        changed = business.change("crm", url=new.url)
        answered_s = time.time()
        assert changed["url"] == new.url
        at_old = len(old.taken)
        came = len(reported)
        await_true(lambda: len(reported) > came + 30, lambda: f"{len(reported)} callbacks came in")
    business.await_settled("crm")
    assert len(old.taken) == at_old
    assert all(one.at_s <= answered_s for one in old.taken)
    check_once_each(business, [*old.callids, *new.callids], reported)
    if wait_s > 1:
        assert sorted(new.callids) == sorted(reported)


def check_once_each(business: Business, callids: Sequence[str], reported: Sequence[str]) -> None:
    """Each call has arrived once; twice only where the change did not wait for the attempt any longer, as where all is slow."""
    assert set(callids) == set(reported)
    twice = [callid for callid, times in Counter(callids).items() if times > 1]
    assert all(len(business.tried("crm", callid)) > 1 for callid in twice), twice


def test_a_new_format_and_filter_take_effect_at_once(business: Business, receive: Receive, callid: str) -> None:
    """What waits goes out in the format of the moment; a filter holds for what comes after it."""
    receiver = receive()
    business.add("crm", receiver.url, enabled=False)
    business.hears(prompt(callid))
    business.change("crm", format="tencent", kinds=["key"], enabled=True)
    business.hears(prompt(f"filtered-{callid}"), key_press(callid))
    taken = receiver.await_taken(2)
    assert [one.body for one in taken] == [prompt(callid), key_press(callid)]


def test_an_endpoint_can_move_to_another_channel(
    business: Business, other_business: Business, receive: Receive
) -> None:
    """From the change on it receives the new channel's calls and no longer the old one's."""
    receiver = receive()
    business.add("crm", receiver.url)
    business.hears(prompt("before"))
    receiver.await_taken(1)
    assert business.change("crm", channel=other_business.channel)["channel"] == other_business.channel
    business.hears(prompt("not-told"))
    other_business.hears(prompt("after"))
    receiver.await_taken(2)
    business.await_settled("crm")
    assert [one["callid"] for one in business.deliveries("crm")] == receiver.callids == ["before", "after"]


def test_pending_deliveries_wait_while_an_endpoint_is_disabled(
    business: Business, receive: Receive, callid: str
) -> None:
    """Switched off, nothing goes out and nothing is lost or spent; switched on, it all goes out in order."""
    receiver = receive()
    business.add("crm", receiver.url)
    off = business.switch("crm", on=False)
    assert (off["enabled"], off["disabled_reason"]) == (False, "manually")
    other = receive("other")
    business.add("other", other.url)
    bodies = [key_press(callid, str(number)) for number in range(5)]
    business.hears(*bodies)
    other.await_taken(5)
    assert receiver.taken == []
    view = business.endpoint("crm")
    assert (view["pending"], view["blocked"], view["oldest_pending_at"] is not None) == (1, 4, True)
    assert (off_again := business.switch("crm", on=False))["pending"] + off_again["blocked"] == 5
    on = business.switch("crm", on=True)
    assert (on["enabled"], on["disabled_reason"]) == (True, None)
    taken = receiver.await_taken(5)
    assert [one.document["data"]["callback"]["raw"].encode() for one in taken] == bodies


@pytest.mark.parametrize("by", ["route", "field"])
def test_an_endpoint_disabled_under_load_gets_nothing_more(business: Business, receive: Receive, by: str) -> None:
    """Once the switch is answered nothing arrives, with callbacks coming in all the time; then nothing is missing."""
    receiver = receive("crm", behaviour="slow", wait_s=0.02)
    business.add("crm", receiver.url)
    with load(business) as reported:
        await_true(lambda: len(receiver.taken) > 20, lambda: f"{len(receiver.taken)} arrived")
        if by == "route":
            business.switch("crm", on=False)
        else:
            business.change("crm", enabled=False)
        arrived, came = len(receiver.taken), len(reported)
        await_true(lambda: len(reported) > came + 50, lambda: f"{len(reported)} callbacks came in")
        assert len(receiver.taken) == arrived
        business.switch("crm", on=True)
    business.await_settled("crm")
    check_once_each(business, receiver.callids, reported)


def test_a_removed_endpoint_has_nothing_pending(business: Business, receive: Receive, callid: str) -> None:
    """After its removal nothing arrives; its deliveries are cancelled and can still be seen."""
    receiver = receive("bad", behaviour="refusing")
    business.add("crm", receiver.url)
    business.hears(prompt(callid), key_press(callid))
    receiver.await_taken(1)
    assert business.ask("DELETE", f"endpoints/{business.name('crm')}").status_code == 204
    arrived = len(receiver.taken)
    business.hears(prompt(f"later-{callid}"))
    await_true(
        lambda: [one["state"] for one in business.deliveries(callid=callid)] == ["dead", "dead"],
        lambda: f"they are {business.deliveries(callid=callid)}",
    )
    other = receive("other")
    business.add("other", other.url)
    business.hears(prompt(f"last-{callid}"))
    other.await_taken(1)
    assert len(receiver.taken) == arrived
    assert business.deliveries(callid=f"later-{callid}") == []
    assert f'endpoint="{business.name("crm")}"' not in business.gateway.metrics()


def test_an_endpoint_hears_only_of_what_comes_after_it(business: Business, receive: Receive, callid: str) -> None:
    """A new endpoint is not flooded with the past: that is what a replay is for."""
    business.hears(prompt(callid))
    receiver = receive()
    business.add("crm", receiver.url)
    business.hears(key_press(callid))
    (taken,) = receiver.await_taken(1)
    assert taken.type == "voice.call.key_pressed"
    assert taken.call["outcome"] == "answered"


# Trying.


@pytest.mark.parametrize("form", ["standard", "tencent"])
def test_an_endpoint_is_tried(business: Business, receive: Receive, form: str) -> None:
    """A test sends a callback about nobody's call, tells what came back, and leaves no trace."""
    receiver = receive()
    made = business.add(
        "crm", receiver.url, format=form, headers={"X-Token": "s3cret", "Authorization": "Bearer t0ken"}
    )
    reported = business.asks("POST", f"endpoints/{business.name('crm')}/test")
    (taken,) = receiver.taken
    request, response = reported.pop("request"), reported.pop("response")
    assert reported | {"duration_ms": 0, "started_at": ""} == {
        "delivered": True,
        "error": None,
        "started_at": "",
        "duration_ms": 0,
    }
    sent = {name.lower(): value for name, value in request["headers"]}
    assert (request["method"], request["url"], request["body"]) == ("POST", receiver.url, taken.body.decode())
    assert sent == {name.lower(): value for name, value in taken.headers.items()} | {
        "x-token": "…",
        "authorization": "…",
    }
    assert (response["http_status"], response["body"]) == (200, '{"result":0,"errmsg":"OK"}')
    assert ["content-length", "26"] in [[name.lower(), value] for name, value in response["headers"]]
    assert 0 < response["answered_ms"] <= reported["duration_ms"]
    assert taken.callid == "answerback-test"
    if form == "standard":
        Webhook(made["secret"]).verify(taken.body, taken.headers)
    assert business.deliveries() == []
    assert business.gateway.get("/v1/calls/answerback-test").status_code == 404


def test_a_test_that_fails_says_why(business: Business, receive: Receive) -> None:
    """Also where the endpoint is off, and without counting as its failure."""
    receiver = receive("bad", behaviour="refusing", answer='{"result":7,"errmsg":"not you"}', status=200)
    business.add("crm", receiver.url, format="tencent", enabled=False)
    reported = business.asks("POST", f"endpoints/{business.name('crm')}/test")
    assert (reported["delivered"], reported["error"], reported["response"]["http_status"]) == (
        False,
        "answered result 7: not you",
        200,
    )
    assert business.endpoint("crm")["consecutive_failures"] == 0


def test_a_test_without_an_answer_shows_what_was_to_be_sent(business: Business) -> None:
    """The request as it was made; there is no response."""
    business.add("crm", "http://127.0.0.1:9/voice", headers={"X-Token": "s3cret"})
    reported = business.asks("POST", f"endpoints/{business.name('crm')}/test")
    assert (reported["error"], reported["response"]) == ("no connection: Connection refused", None)
    assert ["X-Token", "…"] in reported["request"]["headers"]


# Secrets.


def test_after_a_rotation_both_secrets_sign(business: Business, receive: Receive, callid: str) -> None:
    """For a day a receiver may still check by the old secret; the one before that is forgotten."""
    receiver = receive()
    first = business.add("crm", receiver.url)["secret"]
    path = f"endpoints/{business.name('crm')}/rotate-secret"
    second = business.asks("POST", path)
    assert second["secret"] != first
    assert second["previous_secret_expires_at"] is not None
    business.hears(prompt(callid))
    (taken,) = receiver.await_taken(1)
    assert len(taken.headers["webhook-signature"].split()) == 2
    for secret in (first, second["secret"]):
        Webhook(secret).verify(taken.body, taken.headers)
    assert business.asks("POST", path, {"secret": SECRET})["secret"] == SECRET
    business.hears(key_press(callid))
    taken = receiver.await_taken(2)[1]
    for secret in (second["secret"], SECRET):
        Webhook(secret).verify(taken.body, taken.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(first).verify(taken.body, taken.headers)


def test_header_values_are_written_and_not_read(business: Business, receive: Receive, callid: str) -> None:
    """`…` stands for each, and keeps it where it is given back; not where the URL leads to another host."""
    receiver, path = receive(), f"endpoints/{business.name('crm')}"
    made = business.add("crm", receiver.url, headers={"X-Token": "s3cret", "X-Team": "voice"})
    assert made["headers"] == {"X-Token": "…", "X-Team": "…"}
    assert business.change("crm", timeout_s=5)["headers"] == made["headers"]
    assert business.change("crm", headers={"x-token": "…", "X-New": "n3w"})["headers"] == {"x-token": "…", "X-New": "…"}
    business.hears(prompt(callid))
    (taken,) = receiver.await_taken(1)
    assert (taken.headers["x-token"], taken.headers["x-new"], taken.headers.get("x-team")) == ("s3cret", "n3w", None)
    assert field_of(business.ask("PATCH", path, {"url": PUBLIC})) == "headers"
    assert field_of(business.ask("PATCH", path, {"url": PUBLIC, "headers": {"X-Token": "…"}})) == "headers"
    assert business.change("crm", url=PUBLIC, headers={"X-Token": "other"})["headers"] == {"X-Token": "…"}


def test_the_endpoints_own_rule_of_success(business: Business, receive: Receive, callid: str) -> None:
    """A 200 whose body says otherwise is tried again; the attempt says what was expected and what came."""
    receiver = receive("coded", behaviour="refusing", status=200, answer='{"code":40001,"msg":"busy"}')
    business.add("crm", receiver.url, success="json:code=0")
    business.hears(prompt(callid))
    assert business.await_tried("crm", callid)[0]["error"] == "answered 200, expected code = 0, got 40001"
    business.change("crm", success="json:code=40001")
    business.await_state("crm", callid, "delivered")


def test_secrets_are_shown_once_and_logged_never(tmp_path: Path) -> None:
    """In no list, no single view, no log, no metric: a secret is only in the answer that made it."""
    with Receiver(tmp_path, behaviour="refusing") as receiver:
        settings = relaying() | {"ANSWERBACK_LOG__LEVEL": "debug"}
        with Gateway(tmp_path / "data", settings=settings) as gateway:
            business = Business(gateway)
            secrets = [business.add("crm", receiver.url, secret=SECRET)["secret"]]
            secrets.append(business.asks("POST", "endpoints/default-crm/rotate-secret")["secret"])
            secrets.append(business.asks("POST", "endpoints/default-crm/rotate-secret", {"secret": OTHER_SECRET}))
            secrets[-1] = OTHER_SECRET
            business.change("crm", headers={"Authorization": f"Bearer {HEADER}"})
            secrets.append(HEADER)
            business.hears(prompt("call-1"))
            business.await_state("crm", "call-1", "dead")
            shown = [
                business.ask("GET", path).text
                for path in ("endpoints", "endpoints/default-crm", "deliveries", "deliveries/1")
            ]
            shown += [business.ask("PATCH", "endpoints/default-crm", {"concurrency": 2}).text]
            shown += [business.ask("POST", f"endpoints/default-crm/{verb}").text for verb in ("disable", "enable")]
            shown += [gateway.get("/metrics").text, business.ask("GET", "audit").text]
            shown += [business.ask("POST", "endpoints/default-crm/test").text]
            shown += [business.ask("GET", f"exports/{records}.csv").text for records in ("deliveries", "calls")]
            shown += [
                run("endpoints", *arguments, "--data-dir", gateway.data_dir, cwd=tmp_path).stdout
                for arguments in (("list", "--json"), ("show", "default-crm"))
            ]
            shown += [gateway.stderr, gateway.stdout]
            for secret in secrets:
                assert not [text for text in shown if secret.removeprefix("whsec_") in text]


# From the config file.


def write_config(path: Path, endpoints: Mapping[str, Mapping[str, object]]) -> Path:
    """A TOML file with these endpoints."""
    lines: list[str] = []
    for name, fields in endpoints.items():
        lines.append(f"[endpoints.{name}]")
        lines += [f"{key} = {_toml(value)}" for key, value in fields.items()]
    path.write_text("\n".join(lines))
    return path


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value!r}"


def test_endpoints_of_the_config_file(tmp_path: Path) -> None:
    """They may be on this machine, are changed in the file alone, and are off without their section; a switch by hand stays."""
    config = tmp_path / "answerback.toml"
    quiet = {"url": PUBLIC, "kinds": ["code"]}  # nothing is ever owed to it
    retries = {"ANSWERBACK_RELAY__RETRY_SCHEDULE_S": "[0.2]"}
    with Receiver(tmp_path) as receiver, Receiver(tmp_path, "other") as other:
        gateway = Gateway(tmp_path / "data", settings=retries, options=["--config", config])
        business = Business(gateway)
        write_config(
            config,
            {
                "default-crm": {"url": receiver.url, "secret": SECRET},
                "default-log": {"url": other.url},
                "default-off": quiet,
            },
        )
        with gateway.start():
            assert (business.endpoint("crm")["from_config"], business.endpoint("crm")["enabled"]) == (True, True)
            business.hears(prompt("call-1"))
            (taken,) = receiver.await_taken(1)
            Webhook(SECRET).verify(taken.body, taken.headers)
            for method, body in (("PATCH", {"timeout_s": 3}), ("DELETE", None)):
                answer = business.ask(method, "endpoints/default-crm", body)
                assert (answer.status_code, "config file" in answer.json()["detail"]) == (409, True)
            business.switch("crm", on=False)
            business.await_settled("log")
            assert business.ask("POST", "endpoints/default-crm/rotate-secret").status_code == 409
            other_id = business.endpoint("log")["id"]
            gateway.terminate()
        write_config(
            config,
            {
                "default-crm": {"url": receiver.url, "secret": SECRET},
                "default-off": quiet | {"url": other.url, "enabled": False},
            },
        )
        with gateway.start():
            view = business.endpoint("off")
            assert (view["url"], view["enabled"], view["disabled_reason"]) == (
                other.url,
                False,
                "disabled in the config file",
            )
            view = business.endpoint("log")
            assert (view["enabled"], view["disabled_reason"]) == (False, "removed from the config file")
            assert business.endpoint("crm")["enabled"] is False
            business.hears(prompt("call-2"))
            time.sleep(0.5)  # a silence: nothing may go out
            assert (len(receiver.taken), len(other.taken)) == (1, 1)
            business.switch("crm", on=True)
            receiver.await_taken(2)
            assert business.endpoint("log")["pending"] == 1
            assert business.ask("DELETE", "endpoints/default-log").status_code == 204
            assert business.ask("GET", "endpoints/default-log").status_code == 404
            gateway.terminate()
        write_config(config, {"default-log": quiet, "default-off": {"url": other.url}})
        with gateway.start():
            assert business.endpoint("log")["id"] != other_id
            assert business.endpoint("off")["enabled"] is True
            business.hears(prompt("call-3"))
            assert other.await_taken(2)[-1].callid == "call-3"


@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        ("crm", {"url": "ftp://example.com/"}, "endpoints.crm.url"),
        ("crm", {"url": PUBLIC, "channel": "nowhere"}, "endpoints.crm.channel: there is no channel nowhere"),
        ("crm", {"url": PUBLIC, "secret": "word"}, "endpoints.crm.secret"),
        ("crm", {"url": PUBLIC, "colour": "red"}, "endpoints.crm.colour: there is no such setting"),
        ("Crm", {"url": PUBLIC}, "endpoints.Crm"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_an_invalid_endpoint_in_the_file_is_named_at_the_start(
    tmp_path: Path, name: str, fields: dict[str, Any], words: str
) -> None:
    """The gateway does not start on a file that it cannot follow: one line names the setting."""
    config = write_config(tmp_path / "answerback.toml", {name: fields})
    done = run("serve", "--port", "0", "--data-dir", tmp_path / "data", "--config", config, cwd=tmp_path)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert "word" not in done.stderr.replace("user name", "")


def test_a_metadata_address_in_the_file_is_never_connected_to(lenient: Gateway, callid: str) -> None:
    """The config file may name this machine, and not what every cloud hides behind a link-local address."""
    business = Business(lenient)
    business.hears(prompt(callid))
    (attempt,) = business.await_state("meta", callid, "dead")["attempt_log"]
    assert "link-local or metadata" in attempt["error"]


def test_a_name_of_the_file_that_the_api_took_is_reported(tmp_path: Path) -> None:
    """The file does not take over an endpoint that somebody made by the API: the start says what to do."""
    gateway = Gateway(tmp_path / "data")
    with gateway.start():
        Business(gateway).add("crm", PUBLIC)
        gateway.terminate()
    config = write_config(tmp_path / "answerback.toml", {"default-crm": {"url": PUBLIC}})
    done = run("serve", "--port", "0", "--data-dir", tmp_path / "data", "--config", config, cwd=tmp_path)
    assert done.returncode == 1
    assert "endpoints.default-crm" in done.stderr
