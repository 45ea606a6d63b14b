"""Calls, one call, endpoints, deliveries and the quarantine in the console, against the real gateway and receivers."""

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple
from urllib.parse import quote

import pytest
from console_client import ConsoleClient, make_key, signed_in, visible_text, zone_at_noon
from gateway import Gateway, failure, key_press, prompt
from receivers.process import Receive, Receiver, await_true
from receivers.webhook_receiver import Business, relaying

TOKEN = "tok-records-7Yw2Qe91Lm"
MOBILE, MASKED = "13912345678", "139****5678"
OTHER_MOBILE = "13712345678"
BUSINESSES = {name: f"tok-{name}-8Tz3Lk5Xq0" for name in ("learning", "failing", "waiting")}
XSS = "\"'><img src=x onerror=alert(1)><script>alert(2)</script>"
HOSTILE = f"a/../b?c=1#d%2f{XSS}"
BODIES = {
    "empty": b"",
    "json": json.dumps({"phone": MOBILE, "who": XSS}).encode(),
    "form": f"mobile={MOBILE}&x={XSS}".encode(),
    "bytes": b"\x00\xff\x10" + MOBILE.encode() + b"abc",
    "nested": b"[" * 50_000,
}
PAGES = [
    "calls",
    "calls?range=today&outcome=answered",
    "calls?range=custom&since=2020-01-01&until=2020-01-02",
    "calls/story",
    "endpoints",
    "endpoints/crm",
    "endpoints/from-file",
    "endpoints/crm/edit",
    "endpoints/crm/remove",
    "endpoint/new",
    "deliveries",
    "deliveries?endpoint=crm&state=delivered",
    "deliveries/1",
    "quarantine",
    "quarantine/1",
    "live",
    "live?channel=records&refresh=yes",
]
DONE_BY_OPERATORS = [
    "deliveries/1/replay",
    "quarantine/requeue",
    "quarantine/drop",
    "quarantine/1/requeue",
    "endpoint/new",
    *(
        f"endpoints/crm/{act}"
        for act in ("test", "enable", "disable", "rotate-secret", "remove", "edit", "replay-dead", "replay")
    ),
]


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """A business that takes everything."""
    with Receiver(tmp_path_factory.mktemp("receiver")) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Gateway]:
    """A gateway that has seen calls of every sort, hostile ones too, and tells of them."""
    home = tmp_path_factory.mktemp("pages")
    config = home / "answerback.toml"
    config.write_text(
        f'[channels.records]\ntoken = "{TOKEN}"\n[endpoints.from-file]\nurl = "{receiver.url}"\nenabled = false\n'
    )
    settings = relaying("[0.05, 0.05]") | {"ANSWERBACK_CONSOLE__TIMEZONE": zone_at_noon()}
    with Gateway(home / "data", settings=settings, options=["--config", config]) as running:
        ask(running, "POST", "endpoints", {"name": "crm", "url": receiver.url})
        fill(running)
        await_true(lambda: running.rows("SELECT count(*) FROM deliveries WHERE state = 'delivered'") == [(5,)])
        yield running


def fill(gateway: Gateway) -> None:
    """What the cloud and the business tell."""
    ask(
        gateway,
        "PUT",
        "calls/story?channel=default",
        {"reference": "order-77", "metadata": {"note": XSS, "tel": MOBILE}},
    )
    gateway.post(key_press("story", "5", mobile=MOBILE))
    gateway.post(prompt("story", result="1", mobile=MOBILE, accept_time="0", fee="0"))
    for _ in range(3):
        gateway.post(prompt("story", mobile=MOBILE))
    gateway.post(prompt("both", mobile=MOBILE))
    gateway.post(failure("both", failure_code=8), TOKEN)
    gateway.post(prompt("last-second", end_calltime="9999999999"))
    gateway.post(prompt(HOSTILE, mobile="13800000000", call_from=XSS, nationcode=XSS), TOKEN)
    gateway.post(failure(HOSTILE, mobile="13800000000", failure_code=99, failure_reason=f"{XSS} {MOBILE}"), TOKEN)
    gateway.post(key_press(HOSTILE, XSS, mobile=XSS), TOKEN)
    for body in BODIES.values():
        gateway.post(body)


def ask(gateway: Gateway, method: str, path: str, body: object = None) -> dict[str, object]:
    """Ask /v1 with the admin key."""
    headers = {"Authorization": f"Bearer {gateway.key}"}
    answer = gateway.client.request(method, f"/v1/{path}", json=body, headers=headers)
    assert answer.is_success, answer.text
    said: dict[str, object] = answer.json()
    return said


def quarantined(gateway: Gateway, body: bytes) -> int:
    """The id under which a body is kept."""
    ((id_,),) = gateway.rows("SELECT id FROM quarantine WHERE raw = ?", body)
    return int(id_)


@pytest.fixture(scope="module")
def admin(gateway: Gateway) -> Iterator[ConsoleClient]:
    """The holder of the admin key."""
    with signed_in(gateway) as person:
        yield person


@pytest.fixture(scope="module")
def readers(gateway: Gateway, admin: ConsoleClient) -> Iterator[dict[str, ConsoleClient]]:
    """One for each language."""
    with signed_in(gateway, language="zh") as chinese:
        yield {"en": admin, "zh": chinese}


class Beginning(NamedTuple):
    """A gateway that began without a call, whoever looks at it, and what was on their first page."""

    gateway: Gateway
    person: ConsoleClient
    at_first: str

    def business(self, name: str) -> Business:
        """The owner of one of its channels, which no other test uses."""
        return Business(self.gateway, name, BUSINESSES[name])


@pytest.fixture(scope="module")
def beginning(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beginning]:
    """It gives up after one more attempt."""
    home = tmp_path_factory.mktemp("beginning")
    channels = {f"ANSWERBACK_CHANNELS__{name.upper()}__TOKEN": token for name, token in BUSINESSES.items()}
    with Gateway(home / "data", settings=relaying("[0.05]") | channels) as running, signed_in(running) as person:
        yield Beginning(running, person, person.text("calls"))


@pytest.fixture(scope="module")
def viewer(gateway: Gateway) -> Iterator[ConsoleClient]:
    """Somebody who may look, and sees masked numbers."""
    with signed_in(gateway, make_key(gateway, "looker", "viewer")) as person:
        yield person


# Every page.


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("page", PAGES)
def test_every_page_is_there_in_both_languages(readers: dict[str, ConsoleClient], page: str, language: str) -> None:
    """It says its language, has one title, and nothing of it comes from elsewhere."""
    text = readers[language].get(page)
    assert f'<html lang="{"zh-CN" if language == "zh" else "en"}"' in text
    assert text.count("<h1") == 1
    assert re.search(r'(?:src|href|action)="(?!/console|#|\?|http://127)', text) is None
    assert " style=" not in text
    assert (re.search(r"[一-鿿]", visible_text(text).replace("中文", "")) is not None) == (language == "zh")


def test_hostile_words_stay_words(viewer: ConsoleClient, gateway: Gateway) -> None:
    """Whatever the vendor or a stranger writes into any field is shown, and never becomes part of a page."""
    pages = ["calls", f"calls?callid={quote(HOSTILE, safe='')}", "calls/story", "deliveries", "quarantine", "live"]
    pages += [f"call?callid={quote(HOSTILE, safe='')}", f"calls?find={quote(XSS)}"]
    pages += [f"quarantine/{quarantined(gateway, body)}" for body in BODIES.values()]
    for page in pages:
        text = viewer.get(page)
        assert "<img" not in text, page
        assert "<script>" not in text, page
    assert XSS in viewer.text(f"call?callid={quote(HOSTILE, safe='')}")


def test_numbers_are_masked_on_every_page(admin: ConsoleClient, gateway: Gateway) -> None:
    """Even for who may see them in full: that takes an act of its own."""
    pages = [*PAGES, f"call?callid={quote(HOSTILE, safe='')}", *(f"deliveries/{number}" for number in range(1, 6))]
    pages += [f"quarantine/{quarantined(gateway, body)}" for body in BODIES.values()]
    for page in pages:
        assert MOBILE not in admin.get(page), page


def test_a_viewer_sees_no_buttons(viewer: ConsoleClient) -> None:
    """No form but those that look for something, and the one that signs out."""
    for page in ("calls/story", "endpoints", "endpoints/crm", "deliveries/1", "quarantine", "quarantine/1"):
        posts = re.findall(r'method="post" action="([^"]+)"', viewer.get(page))
        assert set(posts) <= {"/console/sign-out"}, page


@pytest.mark.parametrize("path", DONE_BY_OPERATORS)
def test_a_viewer_may_do_nothing(viewer: ConsoleClient, path: str) -> None:
    """A form that a viewer makes up is refused."""
    assert viewer.post(path, name="x").status_code == 403


@pytest.mark.parametrize("path", ["calls/story", *DONE_BY_OPERATORS])
def test_a_form_of_another_session_does_nothing(admin: ConsoleClient, path: str) -> None:
    """Without the session's token nothing is done, whoever asks."""
    assert admin.post(path, csrf="guessed").status_code == 403


@pytest.mark.parametrize("page", ["endpoint/new", "endpoints/crm/edit", "endpoints/crm/remove"])
def test_a_viewer_is_not_shown_what_they_may_not_do(viewer: ConsoleClient, page: str) -> None:
    """The pages of forms are for operators."""
    viewer.get(page, 403)


# Calls.


@pytest.mark.parametrize(
    "query",
    [
        {"mobile": MOBILE, "outcome": "answered", "kind": "prompt", "channel": "default"},
        {"callid": "story"},
        {"reference": "order-77"},
        {"range": "today", "reference": "order-77"},
    ],
)
def test_calls_are_found_by_what_one_knows(admin: ConsoleClient, query: dict[str, str]) -> None:
    """Each filter finds the call, and what is filled in stays filled in."""
    text = admin.get("calls", **query)
    assert "/console/calls/story?channel=default" in text
    assert all(f'value="{value}"' in text for value in query.values())


@pytest.mark.parametrize(
    "query",
    [{"outcome": "unanswered"}, {"failure_code": "31"}, {"range": "yesterday"}, {"mobile": "1"}, {"callid": "no"}],
)
def test_no_match_says_what_to_do(admin: ConsoleClient, query: dict[str, str]) -> None:
    """An empty list is not a dead end."""
    assert "Relax a filter" in admin.text("calls", **query)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"range": "custom", "since": "2026-05-02", "until": "2026-05-01"}, "The last day is before the first."),
        ({"range": "custom"}, "Enter both days"),
        ({"failure_code": "eight"}, "A failure code is a whole number."),
    ],
)
def test_an_invalid_filter_is_reported(viewer: ConsoleClient, query: dict[str, str], said: str) -> None:
    """Beside its field, with the status of an invalid request."""
    assert said in viewer.text("calls", 422, **query)


@pytest.mark.parametrize("text", ["story", "order-77", " story "])
def test_one_box_finds_a_call(viewer: ConsoleClient, text: str) -> None:
    """By callid or reference: straight to the call."""
    assert f"{MASKED} Answered" in viewer.text("calls", find=text)


@pytest.mark.parametrize("text", [MOBILE, f"+86 {MOBILE}", "139-1234-5678"])
def test_one_box_finds_a_number(admin: ConsoleClient, text: str) -> None:
    """However it is spaced; to the list of its calls."""
    shown = admin.get("calls", find=text)
    assert "/console/calls/story" in shown
    assert "/console/calls/last-second" not in shown


@pytest.mark.parametrize(
    "query",
    [
        {"find": MOBILE},
        {"find": "139-1234-5678"},
        {"mobile": MOBILE},
        {"mobile": "1"},
        {"callid": MOBILE},
        {"reference": f"to {MOBILE}"},
        {"failure_code": "83763333"},
    ],
)
def test_the_owner_of_a_number_is_not_shown(viewer: ConsoleClient, query: dict[str, str]) -> None:
    """Who may not see numbers cannot look for one, in whatever field, and is offered none for it."""
    assert "Your key is not allowed to search by number" in viewer.text("calls", 403, **query)
    offered = viewer.get("calls")
    assert 'name="mobile"' not in offered
    assert "or number" not in offered
    if "find" not in query:
        assert "Your key is not allowed to search by number" in viewer.text("exports/calls.csv", 403, **query)


def test_few_digits_find_no_number(viewer: ConsoleClient) -> None:
    """What could be a short number is looked for as a callid or a reference alone."""
    assert "Nothing found for “139123”" in viewer.text("calls", find="139123")


def test_one_box_says_that_it_found_nothing(viewer: ConsoleClient) -> None:
    """And what it looks for."""
    assert "Nothing found for “nobody”" in viewer.text("calls", find="nobody")


def test_a_wrong_cursor_is_refused(viewer: ConsoleClient) -> None:
    """It is reported, not ignored."""
    viewer.get("calls", 422, cursor="made-up")
    viewer.get("deliveries", 422, cursor="made-up")
    viewer.get("deliveries", 422, cursor="9" * 5000)


@pytest.mark.parametrize("id_", ["9" * 19, "9" * 5000])
def test_an_id_that_is_larger_than_any_is_none(admin: ConsoleClient, id_: str) -> None:
    """In an address and in a form alike."""
    for page, act in (("quarantine", "requeue"), ("deliveries", "replay")):
        assert "Page not found" in admin.text(f"{page}/{id_}", 404)
        assert admin.post(f"{page}/{id_}/{act}").status_code == 405
    assert admin.post("quarantine/drop", id=[id_]).headers["location"].endswith("done=drop_none")
    assert admin.post("quarantine/requeue", after=id_).status_code == 200


def test_where_nothing_has_come_it_says_how_it_would(beginning: Beginning) -> None:
    """The first page without calls shows the URL."""
    assert "Paste this callback URL" in beginning.at_first


def test_lists_go_on_page_by_page(beginning: Beginning) -> None:
    """Older calls are on the next page, with the same filters, each call on one page."""
    for number in range(120):
        beginning.gateway.post(prompt(f"page-{number:03}", mobile=OTHER_MOBILE))
    seen: list[str] = []
    path = "calls?mobile=" + OTHER_MOBILE
    while path:
        text = beginning.person.get(path)
        seen += re.findall(r'href="/console/calls/(page-\d+)\?channel=default"', text)
        older = re.search(r'href="/console/(calls\?[^"]+)" rel="next"', text)
        path = older[1].replace("&amp;", "&") if older else ""
        assert not path or "mobile=" in path
    assert seen == [f"page-{number:03}" for number in reversed(range(120))]


def test_what_is_shown_can_be_taken_along(admin: ConsoleClient) -> None:
    """The links export the same calls, with numbers as the reader chose."""
    urls = re.findall(r'href="/console/(exports/calls\.csv[^"]*)" download', admin.get("calls", reference="order-77"))
    masked, full = (admin.client.get(f"/console/{url.replace('&amp;', '&')}").text for url in urls)
    assert "order-77" in masked
    assert MASKED in masked
    assert MOBILE not in masked
    assert MOBILE in full


# One call.


def test_a_call_shows_its_timeline(viewer: ConsoleClient) -> None:
    """What became of it in a sentence, and everything that happened in words."""
    said = viewer.text("calls/story")
    assert "Answered after 15 s, talked for 10 s." in said
    for word in ("Annotated", "Rang", "Key pressed", "Ended", "Callback received", "→ crm"):
        assert word in said
    assert "order-77" in said


def test_a_revision_says_what_differs(viewer: ConsoleClient) -> None:
    """Field by field against the first of its sort, and a repeat says how often it came."""
    said = viewer.text("calls/story")
    assert "result 1 0" in said
    assert "fee 0 1" in said
    assert "2 duplicates, last at" in said


def test_a_callid_of_several_channels_is_a_choice(viewer: ConsoleClient) -> None:
    """The status says so, and each channel's call is a link."""
    text = viewer.get("calls/both", 409)
    for channel in ("default", "records"):
        assert f'href="/console/calls/both?channel={channel}"' in text
    assert "Number not in service" in viewer.text("calls/both", channel="records")


def test_a_callid_may_hold_anything(admin: ConsoleClient) -> None:
    """Slashes, dots, quotes and question marks: the link on the list leads to the call."""
    (href,) = re.findall(r'href="/console/(call\?callid=[^"]+)"', admin.get("calls", mobile="13800000000"))
    assert XSS in admin.text(href.replace("&amp;", "&"))


def test_a_call_that_is_not_there_is_not_found(viewer: ConsoleClient) -> None:
    """With a page that says so."""
    viewer.get("calls/nobody", 404)


def test_full_numbers_are_shown_once_and_noted(gateway: Gateway) -> None:
    """To who has the right, in the answer to the form only, and the ledger keeps who asked."""
    key = make_key(gateway, "auditor", "viewer", full_numbers=True)
    with signed_in(gateway, key) as person:
        assert MOBILE not in person.get("calls/story")
        answer = person.post("calls/story")
        assert answer.status_code == 200
        assert MOBILE in visible_text(answer.text)
        assert MOBILE not in person.get("calls/story")
        assert MOBILE in person.post(f"quarantine/{quarantined(gateway, BODIES['json'])}").text
    events = gateway.rows("SELECT action, target FROM audit_events WHERE actor = 'auditor' ORDER BY id")
    assert events[0] == ("numbers_revealed", "call story (default)")
    assert [action for action, _ in events] == ["numbers_revealed", "numbers_revealed"]


def test_full_numbers_need_the_right(viewer: ConsoleClient) -> None:
    """Who has it not sees no button, and a made-up form is refused."""
    assert "Show full numbers" not in viewer.text("calls/story")
    assert viewer.post("calls/story").status_code == 403


def test_the_vendors_last_second_is_shown(viewer: ConsoleClient) -> None:
    """A time at the end of what a time may be has a later hour in other zones."""
    assert "2286-11-" in viewer.text("calls/last-second")


# Deliveries.


def test_a_delivery_is_replayed(admin: ConsoleClient, gateway: Gateway, receiver: Receiver) -> None:
    """The same message goes out once more, and the page it was asked on says so."""
    id_ = gateway.items("/v1/deliveries", endpoint="crm", state="delivered")[0]["id"]
    before = len(receiver.taken)
    answer = admin.post(f"deliveries/{id_}/replay", back="/console/calls/story?channel=default")
    assert answer.headers["location"] == "/console/calls/story?channel=default&done=retried"
    receiver.await_taken(before + 1)
    assert "The delivery is queued again." in admin.text(f"deliveries/{id_}", done="retried")


def test_deliveries_are_filtered(viewer: ConsoleClient) -> None:
    """By endpoint and state; one that there is not shows nothing."""
    assert "crm" in viewer.text("deliveries", endpoint="crm", state="delivered")
    assert "No deliveries" in viewer.text("deliveries", endpoint="crm", state="dead")
    assert "No deliveries" in viewer.text("deliveries", endpoint="nobody")


# The quarantine.


def test_bytes_that_are_no_text_are_shown_in_hex(viewer: ConsoleClient, admin: ConsoleClient, gateway: Gateway) -> None:
    """With the letters among them, to who may see them; to others what is text among them, without its number."""
    page = f"quarantine/{quarantined(gateway, BODIES['bytes'])}"
    assert "139****5678abc" in viewer.text(page)
    said = visible_text(admin.post(page).text)
    assert "0000 00 ff 10 31 33 39" in said
    assert f"{MOBILE}ab" in said


def test_a_body_that_is_still_refused_stays(admin: ConsoleClient, gateway: Gateway) -> None:
    """The page says why."""
    id_ = quarantined(gateway, BODIES["form"])
    answer = admin.post(f"quarantine/{id_}/requeue")
    assert answer.status_code == 200
    assert "Still not a callback" in visible_text(answer.text)
    assert quarantined(gateway, BODIES["form"]) == id_


def test_what_is_understood_now_goes_to_its_call_and_out(beginning: Beginning, receive: Receive) -> None:
    """Parsed again, a body that is a callback now is recorded, and delivered at once."""
    receiver = receive()
    running, person, business = beginning.gateway, beginning.person, beginning.business("learning")
    business.add("crm", receiver.url)
    for body in (b"not yet", b"never"):
        assert running.post(body, business.token).status_code == 400
    learn(running, b"not yet", prompt("understood", mobile=MOBILE))
    said = visible_text(person.post("quarantine/requeue").text)
    assert "2 parsed again: 1 are callbacks now, 1 are still not." in said
    assert [one.callid for one in receiver.await_taken(1)] == ["understood"]
    assert running.call("understood")["outcome"] == "answered"
    left = quarantined(running, b"never")
    assert person.post("quarantine/drop", id=[str(left)]).status_code == 303
    assert "Nothing in quarantine" in person.text("quarantine")


def test_rows_that_are_lost_are_not_offered_to_be_requeued(beginning: Beginning) -> None:
    """Their page says what can be done instead; /v1 says so as well, and to requeue all leaves them out."""
    running, person = beginning.gateway, beginning.person
    assert running.post(b"lost").status_code == 400
    running.await_recorded()
    place = b"row 2 of log 00"
    with closing(sqlite3.connect(running.ledger, timeout=10)) as connection, connection:
        lost = (place, f"{place.decode()} cannot be read: missing or damaged", b"lost")
        connection.execute("UPDATE quarantine SET raw = ?, reason = ?, result = 0 WHERE raw = ?", lost)
    id_ = quarantined(running, place)
    page = person.get(f"quarantine/{id_}")
    assert "/requeue" not in page
    assert "Ask the vendor for the records of that time" in visible_text(page)
    assert ask(running, "GET", f"quarantine/{id_}")["requeueable"] is False
    assert "0 parsed again" in visible_text(person.post("quarantine/requeue").text)
    assert person.post("quarantine/drop", id=[str(id_)]).status_code == 303


def learn(gateway: Gateway, body: bytes, meaning: bytes) -> None:
    """Have a quarantined body mean something, as if the program had learnt to read it."""
    gateway.await_recorded()
    with closing(sqlite3.connect(gateway.ledger, timeout=10)) as connection, connection:
        connection.execute("UPDATE quarantine SET raw = ? WHERE raw = ?", (meaning, body))


# Endpoints.


def test_an_endpoint_is_added_changed_and_removed(admin: ConsoleClient, gateway: Gateway, receive: Receive) -> None:
    """Its secret is shown once; a change is in force at once; removing it takes a tick."""
    business = receive("second")
    added = admin.post(
        "endpoint/new",
        name="second",
        channel="records",
        url=business.url,
        enabled="yes",
        format="standard",
        timeout_s="10",
        concurrency="8",
    )
    assert added.status_code == 200
    (secret,) = re.findall(r"whsec_[A-Za-z0-9+/=]+", added.text)
    assert secret not in admin.get("endpoints/second")
    changed = admin.post(
        "endpoints/second/edit",
        channel="records",
        url=business.url,
        format="tencent",
        outcomes=["failed"],
        timeout_s="2",
        concurrency="3",
    )
    assert changed.headers["location"] == "/console/endpoints/second?done=endpoint_changed"
    known = ask(gateway, "GET", "endpoints/second")
    assert (known["format"], known["outcomes"], known["concurrency"]) == ("tencent", ["failed"], 3)
    assert admin.post("endpoints/second/remove").status_code == 409
    assert admin.post("endpoints/second/remove", sure="yes").status_code == 303
    assert admin.text("endpoints/second", 404)


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"url": "ftp://x"}, "url", "expected http://host/path"),
        ({"url": "http://10.1.2.3/"}, "url", "10.1.2.3"),
        ({"name": "crm"}, "name", "crm"),
        ({"name": "No Name"}, "name", "lowercase letters"),
        ({"concurrency": "0"}, "concurrency", "greater than or equal to 1"),
        ({"secret": "short"}, "secret", "whsec_"),
        ({"success": "3xx"}, "success", "expected contract, 2xx"),
        ({"certificate": "unheard-of"}, "certificate", "there is no certificate unheard-of"),
    ],
)
def test_what_is_invalid_is_said_beside_its_field(
    admin: ConsoleClient, receiver: Receiver, fields: dict[str, str], field: str, said: str
) -> None:
    """The form comes back as it was filled in, and the field says what is wrong."""
    fit = {"channel": "default", "url": receiver.url, "format": "standard", "timeout_s": "10", "concurrency": "8"}
    answer = admin.post("endpoint/new", **fit | fields)
    assert answer.status_code == 422
    (fault,) = re.findall(rf'<p class="fault" id="{field}-fault">(.*?)</p>', answer.text, re.DOTALL)
    assert said in visible_text(fault)
    assert f'value="{fields[field]}"' in answer.text


def test_a_test_shows_what_the_endpoint_answered(admin: ConsoleClient, receiver: Receiver) -> None:
    """At once, on the endpoint's page."""
    before = len(receiver.taken)
    answer = admin.post("endpoints/crm/test")
    shown = visible_text(answer.text)
    assert all(
        words in shown
        for words in ("The test event was accepted", f"POST {receiver.url}", "webhook-id: test_", "HTTP 200")
    )
    assert sum(one.id.startswith("test_") for one in receiver.taken[before:]) == 1


def test_an_endpoint_of_the_config_file_is_only_switched_and_tested(admin: ConsoleClient, gateway: Gateway) -> None:
    """Its page offers nothing else, and a made-up form is refused."""
    text = admin.get("endpoints/from-file")
    assert "/endpoints/from-file/edit" not in text
    assert "rotate-secret" not in text
    assert admin.post("endpoints/from-file/enable").status_code == 303
    assert ask(gateway, "GET", "endpoints/from-file")["enabled"] is True
    assert admin.post("endpoints/from-file/disable").status_code == 303
    assert "disabled manually" in admin.text("endpoints/from-file").lower()
    fit = {
        "channel": "default",
        "url": "http://127.0.0.1:1/",
        "format": "standard",
        "timeout_s": "1",
        "concurrency": "1",
    }
    assert admin.post("endpoints/from-file/edit", **fit).status_code == 409
    assert admin.post("endpoints/from-file/remove", sure="yes").status_code == 409


def test_a_new_secret_is_shown_once(admin: ConsoleClient) -> None:
    """The old one signs as well for a day, and the page says until when."""
    (secret,) = re.findall(r"whsec_[A-Za-z0-9+/=]+", admin.post("endpoints/crm/rotate-secret").text)
    page = admin.get("endpoints/crm")
    assert secret not in page
    assert "Previous secret valid until" in visible_text(page)


def test_calls_are_replayed(admin: ConsoleClient, receiver: Receiver) -> None:
    """Everything about the calls of some hours goes out again, and a page tells how far it is."""
    before = len(receiver.taken)
    answer = admin.post("endpoints/crm/replay", since="2020-01-01T00:00", until="2099-01-01T00:00", outcome="answered")
    place = answer.headers["location"].removeprefix("/console/")
    receiver.await_taken(before + 1)
    await_true(lambda: "Done" in admin.text(place), lambda: admin.text(place))
    assert 'http-equiv="refresh"' not in admin.get(place)


@pytest.mark.parametrize(
    ("since", "until", "field"),
    [("", "2026-01-01T00:00", "since"), ("x", "y", "until"), ("2026-01-02T00:00", "2026-01-01T00:00", "until")],
)
def test_an_invalid_time_is_reported(admin: ConsoleClient, since: str, until: str, field: str) -> None:
    """Beside its field; nothing goes out."""
    answer = admin.post("endpoints/crm/replay", since=since, until=until)
    assert answer.status_code == 422
    assert f'id="{field}-fault"' in answer.text


def test_an_endpoint_that_fails_is_seen_to(beginning: Beginning, receive: Receive) -> None:
    """Its health, its backlog, the attempts; and what is dead goes out again once it answers."""
    receiver = receive(behaviour="refusing")
    person, business = beginning.person, beginning.business("failing")
    business.add("crm", receiver.url)
    page = f"endpoints/{business.name('crm')}"
    assert "Not tried yet" in person.text(page)
    business.hears(prompt("fails", mobile=MOBILE))
    await_true(lambda: "Dead 1" in person.text("endpoints"), lambda: person.text("endpoints"))
    said = person.text(page)
    assert "Failing" in said
    assert "0 of the last 2 succeeded" in said
    assert "answered 500" in person.text("calls/fails")
    receiver.restart(behaviour="obeying")
    assert person.post(f"{page}/replay-dead").status_code == 303
    healthy = f"{business.name('crm')} Healthy"
    await_true(lambda: healthy in person.text("endpoints"), lambda: person.text("endpoints"))


def test_disabling_keeps_pending_deliveries(beginning: Beginning, receive: Receive) -> None:
    """Off, it waits; on again, it goes out."""
    receiver = receive()
    person, business = beginning.person, beginning.business("waiting")
    business.add("crm", receiver.url)
    page = f"endpoints/{business.name('crm')}"
    person.post(f"{page}/disable")
    other = receive("other")
    business.add("other", other.url)
    business.hears(prompt("waits", mobile=MOBILE))
    other.await_taken(1)
    await_true(lambda: "Pending 1" in person.text("endpoints"), lambda: person.text("endpoints"))
    assert receiver.taken == []
    person.post(f"{page}/enable")
    receiver.await_taken(1)


def test_a_call_with_very_many_callbacks_stays_a_page(gateway: Gateway, viewer: ConsoleClient) -> None:
    """The last are shown, and the page says how many more there are."""
    for number in range(103):
        gateway.post(key_press("flooded", str(number), mobile=MOBILE), TOKEN)
    said = viewer.text("calls/flooded")
    assert "3 earlier ones are not shown" in said
