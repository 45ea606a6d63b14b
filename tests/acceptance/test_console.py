"""The console as a browser meets it: who gets in, what the answers forbid, both languages, and text that stays text."""

import hashlib
import hmac
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from html import unescape
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from builders import failure, status, wire
from console_client import zone_at_noon
from gateway import Gateway
from itsdangerous import TimestampSigner, URLSafeTimedSerializer

from answerback.auth.api_keys import hash_api_key
from answerback.auth.server_secret import ServerSecret

PAGES = ["", "/failures", "/fees", "/settings"]
SECRET_TOKEN = "tok-console-5hQ2mZ8vR4"
XSS = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with a secret channel whose calls have hostile words in every field that takes some."""
    home = tmp_path_factory.mktemp("console")
    config = home / "channels.toml"
    config.write_text(f'[channels.alerts]\ntoken = "{SECRET_TOKEN}"\n')
    settings = {"ANSWERBACK_CONSOLE__TIMEZONE": zone_at_noon()}
    with Gateway(home / "data", settings=settings, options=["--config", config]) as gateway:
        gateway.post(wire(status(callid="console-1", fee_minutes=7)))
        gateway.post(wire(failure(callid="console-2", code=1, reason=XSS)))
        hostile = failure(callid=XSS, code=999, reason=XSS, mobile=XSS, call_from=XSS)
        assert gateway.post(wire(hostile), SECRET_TOKEN).status_code == 200
        yield gateway


@pytest.fixture
def browser(console: Gateway) -> Iterator[httpx.Client]:
    """Somebody who is signed in with the admin key."""
    with visitor(console) as client:
        sign_in(client, console.key)
        yield client


def visitor(gateway: Gateway, language: str = "en") -> httpx.Client:
    """Somebody who is not signed in."""
    headers = {"Accept-Language": language}
    return httpx.Client(base_url=gateway.url, headers=headers, timeout=30.0, trust_env=False, verify=False)


def sign_in(client: httpx.Client, key: str) -> httpx.Response:
    """Fill in the form; a browser follows what comes of it."""
    return client.post("/console/sign-in", data={"key": key, "next": "/console"})


def token_of(client: httpx.Client) -> str:
    """The token that the forms of a page carry."""
    found = re.search(r'name="csrf" value="([^"]+)"', client.get("/console/settings").text)
    assert found is not None
    return found[1]


def make_key(gateway: Gateway, name: str, role: str, *, full_numbers: bool = False) -> str:
    """A key of that role, made over the API."""
    body = {"name": name, "role": role, "full_numbers": full_numbers}
    answer = gateway.client.post("/v1/keys", json=body, headers={"Authorization": f"Bearer {gateway.key}"})
    assert answer.status_code == 201, answer.text
    key: str = answer.json()["key"]
    return key


# Getting in, and out.


def test_the_root_leads_to_the_console(console: Gateway) -> None:
    """Whoever opens the gateway's address in a browser comes to the console."""
    answer = console.client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/console")


@pytest.mark.parametrize("page", [*PAGES, "/calls", "/exports/calls.csv", "/nowhere"])
def test_a_stranger_is_led_to_the_sign_in_and_back(console: Gateway, page: str) -> None:
    """No page, file or missing page says anything to who is not signed in; the sign-in remembers what was wanted."""
    with visitor(console) as client:
        answer = client.get(f"/console{page}?range=7d")
    wanted = quote(f"/console{page}?range=7d", safe="")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/console/sign-in?next={wanted}")


def test_a_key_opens_a_session_that_only_the_browser_holds(console: Gateway) -> None:
    """The right key sets one cookie: not for scripts, not for other sites, only for the console, for twelve hours."""
    with visitor(console) as client:
        answer = sign_in(client, console.key)
        assert (answer.status_code, answer.headers["location"]) == (303, "/console")
        cookie = answer.headers["set-cookie"]
        assert all(word in cookie for word in ("HttpOnly", "SameSite=lax", "Path=/console", "Max-Age=43200"))
        assert console.key not in cookie
        assert client.get("/console").status_code == 200


def test_the_cookie_is_for_https_where_the_gateway_is(tmp_path: Path) -> None:
    """Behind a public https address the cookie never goes over plain HTTP."""
    settings = {"ANSWERBACK_SERVER__PUBLIC_URL": "https://voice.example.com"}
    with Gateway(tmp_path / "data", settings=settings) as gateway, visitor(gateway) as client:
        client.headers["Origin"] = "https://voice.example.com"
        assert "Secure" in sign_in(client, gateway.key).headers["set-cookie"]


@pytest.mark.parametrize("key", ["", "wrong", "ab_" + "x" * 43, "ключ", XSS])
def test_every_wrong_key_gets_the_same_answer(console: Gateway, key: str) -> None:
    """A wrong key is refused in words that do not tell how wrong it was or repeat it."""
    with visitor(console) as client:
        answer = sign_in(client, key)
    assert answer.status_code == 422
    assert "unknown or was revoked" in answer.text
    assert "set-cookie" not in answer.headers
    assert not key or key not in unescape(answer.text)


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example",
        "//evil.example",
        "/console/../v1",
        "/console/%2e%2e/v1",
        "/console/sign-out",
        "/\\evil",
        "/consolex",
        "/console//evil",
        "/console\nx",
    ],
)
def test_the_sign_in_leads_nowhere_else(console: Gateway, target: str) -> None:
    """Only pages of this console may come after the sign-in."""
    with visitor(console) as client:
        answer = client.post("/console/sign-in", data={"key": console.key, "next": target})
    assert answer.headers["location"] == "/console"


def test_signing_out_ends_the_session(browser: httpx.Client) -> None:
    """The button takes the cookie away; a copy of it opens nothing any more."""
    copy = browser.cookies["answerback_session"]
    answer = browser.post("/console/sign-out", data={"csrf": token_of(browser)})
    assert answer.headers["location"] == "/console/sign-in"
    assert browser.get("/console").status_code == 303
    browser.cookies.set("answerback_session", copy, path="/console")
    assert browser.get("/console").status_code == 303


def test_a_revoked_key_is_signed_out_at_once(console: Gateway, browser: httpx.Client) -> None:
    """A session does not outlive its key: the next request after the revocation leads to the sign-in."""
    with visitor(console) as client:
        sign_in(client, make_key(console, "leaver", "viewer"))
        assert client.get("/console").status_code == 200
        revoked = browser.post("/console/settings/keys/leaver/revoke", data={"csrf": token_of(browser)})
        assert revoked.headers["location"] == "/console/settings?done=key_revoked"
        assert client.get("/console").status_code == 303


def test_a_session_outlives_the_gateway_but_not_its_age(tmp_path: Path) -> None:
    """After a restart nobody has to sign in again; a cookie that was changed or signed by another key opens nothing."""
    gateway = Gateway(tmp_path / "data")
    with gateway, visitor(gateway) as client:
        sign_in(client, gateway.key)
        cookie = client.cookies["answerback_session"]
        gateway.terminate()
        gateway.start()
        with visitor(gateway) as later:
            later.cookies.set("answerback_session", cookie, path="/console")
            assert later.get("/console").status_code == 200
            later.cookies.set("answerback_session", cookie[:-2] + "xx", path="/console")
            assert later.get("/console").status_code == 303


def test_a_session_ends_by_itself(console: Gateway) -> None:
    """A cookie that was signed thirteen hours ago opens nothing any more; one of eleven hours ago does."""
    for hours, status_code in ((13, 303), (11, 200)):
        with visitor(console) as client:
            client.cookies.set("answerback_session", signed(console, hours), path="/console")
            assert client.get("/console").status_code == status_code


def signed(gateway: Gateway, hours: int) -> str:
    """The session of the admin key as it was signed so long ago."""

    class Earlier(TimestampSigner):
        def get_timestamp(self) -> int:
            return super().get_timestamp() - hours * 3600

    secret = ServerSecret((gateway.data_dir / "server-secret").read_text().strip()).session_key
    serializer = URLSafeTimedSerializer(secret, signer=Earlier, signer_kwargs={"digest_method": hashlib.sha256})
    cookie = serializer.dumps([0, hmac.digest(secret, hash_api_key(gateway.key), "sha256").hex(), "token"])
    return cookie if isinstance(cookie, str) else cookie.decode()


# Forms.


def test_a_form_without_the_token_changes_nothing(browser: httpx.Client) -> None:
    """A form that another site could have sent is refused, with and without a wrong token."""
    for csrf in ({}, {"csrf": "guess"}):
        answer = browser.post("/console/settings/keys", data={"name": "forged", "role": "admin", **csrf})
        assert answer.status_code == 403
    assert "forged" not in browser.get("/console/settings").text


@pytest.mark.parametrize("header", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
def test_a_form_from_another_site_is_refused(browser: httpx.Client, console: Gateway, header: dict[str, str]) -> None:
    """Even with the token, and even to sign in."""
    body = {"csrf": token_of(browser), "name": "forged", "role": "admin"}
    assert browser.post("/console/settings/keys", data=body, headers=header).status_code == 403
    with visitor(console) as client:
        answer = client.post("/console/sign-in", data={"key": console.key}, headers=header)
        assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)


def test_a_form_that_is_too_large_is_refused(console: Gateway) -> None:
    """A megabyte is no sign-in."""
    with visitor(console) as client:
        assert client.post("/console/sign-in", data={"key": "x" * 1_000_000}).status_code == 413


def test_a_key_is_shown_once(console: Gateway, browser: httpx.Client) -> None:
    """An administrator makes a key, sees it in the answer only, and it signs in; a second of the name is refused."""
    body = {"csrf": token_of(browser), "name": "night-shift", "role": "operator"}
    answer = browser.post("/console/settings/keys", data=body)
    found = re.search(r"ab_[A-Za-z0-9_-]{43}", answer.text)
    assert found is not None
    with visitor(console) as client:
        assert sign_in(client, found[0]).status_code == 303
    assert found[0] not in browser.get("/console/settings").text
    again = browser.post("/console/settings/keys", data=body)
    assert (again.status_code, "already" in again.text) == (409, True)
    invalid = browser.post("/console/settings/keys", data={**body, "name": XSS})
    assert invalid.status_code == 422
    assert XSS not in invalid.text


# Who may what.


def test_a_viewer_sees_neither_secrets_nor_keys(console: Gateway) -> None:
    """Callback URLs lose their secret part, and keys and the audit log are the administrator's; making one is refused."""
    with visitor(console) as client:
        sign_in(client, make_key(console, "looker", "viewer"))
        page = client.get("/console/settings").text
        assert SECRET_TOKEN not in page
        assert "Audit log" not in page
        assert "looker" in page
        body = {"csrf": token_of(client), "name": "more", "role": "admin"}
        assert client.post("/console/settings/keys", data=body).status_code == 403


def test_an_administrator_sees_the_callback_urls(browser: httpx.Client) -> None:
    """With the secret, ready to paste."""
    assert SECRET_TOKEN in browser.get("/console/settings").text


def test_numbers_are_masked_in_pages_and_files(console: Gateway, browser: httpx.Client) -> None:
    """Nobody sees a whole number without asking for it; a file with whole ones is for keys with that right, and noted."""
    assert "13788888888" not in browser.get("/console/fees").text
    assert "13788888888" not in browser.get("/console/exports/calls.csv").text
    assert "13788888888" in browser.get("/console/exports/calls.csv?numbers=full").text
    from_elsewhere = {"Sec-Fetch-Site": "cross-site"}
    assert browser.get("/console/exports/calls.csv?numbers=full", headers=from_elsewhere).status_code == 403
    assert "Exported" in browser.get("/console/settings").text
    with visitor(console) as client:
        sign_in(client, make_key(console, "masked", "admin"))
        assert client.get("/console/exports/calls.csv?numbers=full").status_code == 403


@pytest.mark.parametrize(
    ("query", "code"), [("since=tomorrow", 422), ("outcome=well", 422), ("failure_code=1e9", 422), ("state=dead", 422)]
)
def test_an_export_that_is_not_understood_is_refused(browser: httpx.Client, query: str, code: int) -> None:
    """A filter that says nothing is named; it never becomes a file of everything."""
    assert browser.get(f"/console/exports/calls.csv?{query}").status_code == code


def test_statistics_come_as_a_file(browser: httpx.Client) -> None:
    """The link of the Overview leads to a file to keep."""
    found = re.search(r'href="(/console/exports/statistics\.csv[^"]*)"', browser.get("/console").text)
    assert found is not None
    answer = browser.get(unescape(found[1]))
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.content.startswith(b"\xef\xbb\xbf")


# Every answer.


@pytest.mark.parametrize("page", [*PAGES, "/sign-in", "/nowhere"])
def test_every_page_is_kept_to_itself(browser: httpx.Client, page: str) -> None:
    """Nothing from elsewhere, nothing inline, no frame, no cache, no address given to others."""
    answer = browser.get(f"/console{page}")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cache-control"] == "no-store"
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)|javascript:", answer.text)
    assert not re.search(r'(?:src|href|action)="(?!/|\?|#)', answer.text)


def test_static_files_are_kept_by_the_browser(browser: httpx.Client) -> None:
    """Their address changes with their content, so they never have to be asked for again."""
    addresses = re.findall(r'(?:href|src)="(/console/static/[^"]+)"', browser.get("/console").text)
    assert len(addresses) >= 4
    for address in addresses:
        answer = browser.get(address)
        assert (answer.status_code, "immutable" in answer.headers["cache-control"]) == (200, True)
    assert browser.get("/console/static/../app.py").status_code == 404
    assert browser.get("/console/static/nothing.css").status_code == 404


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("page", [*PAGES, "?range=7d&channel=alerts", "/failures?range=30d&kind=prompt"])
def test_hostile_words_stay_text(console: Gateway, page: str, language: str) -> None:
    """Whatever the vendor's fields or the address hold, no page makes markup of it."""
    with visitor(console, language) as client:
        sign_in(client, console.key)
        sign = "&" if "?" in page else "?"
        answer = client.get(f"/console{page}{sign}x={quote(XSS)}&done={quote(XSS)}&since={quote(XSS)}")
    assert answer.status_code == 200
    assert "<img" not in answer.text
    assert "<script>" not in answer.text


# Languages, appearance, ranges.


def test_the_language_is_the_browsers_or_the_chosen_one(console: Gateway, browser: httpx.Client) -> None:
    """`Accept-Language` decides until somebody chooses; the choice stays, and the address loses it."""
    with visitor(console, "zh-CN,en;q=0.5") as client:
        assert '<html lang="zh-CN"' in client.get("/console/sign-in").text
    assert '<html lang="en"' in browser.get("/console/failures").text
    turned = browser.get("/console/failures?range=7d&lang=zh")
    assert turned.headers["location"] == "/console/failures?range=7d"
    answer = browser.get("/console/failures")
    assert answer.headers["content-language"] == "zh-CN"
    assert "失败分析" in answer.text


def test_the_appearance_can_be_chosen(browser: httpx.Client) -> None:
    """By the system until one chooses; light leaves the dark colours out, dark takes them always."""
    assert 'media="(prefers-color-scheme: dark)"' in browser.get("/console").text
    browser.get("/console?theme=light")
    assert "dark.css" not in browser.get("/console").text
    browser.get("/console?theme=dark")
    page = browser.get("/console").text
    assert 'data-theme="dark"' in page
    assert "prefers-color-scheme" not in page


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("range=custom", "Enter both days"),
        ("range=custom&since=2026-02-30&until=2026-03-01", "Enter both days"),
        ("range=custom&since=2026-03-02&until=2026-03-01", "before the first"),
        ("range=custom&since=2020-01-01&until=2026-03-01", "at most 366"),
        ("range=custom&since=0001-01-01&until=0001-01-02", "at most 366"),
        ("range=forever", "Overview"),
    ],
)
def test_a_range_that_cannot_be_is_said_so(browser: httpx.Client, query: str, said: str) -> None:
    """The page shows today instead, and what is wrong."""
    answer = browser.get(f"/console?{query}")
    assert (answer.status_code, said in answer.text) == (200, True)


def test_the_fees_that_differ_are_listed(browser: httpx.Client) -> None:
    """A call that was billed seven minutes leads from Fees to its page, with what was due."""
    page = browser.get("/console/fees").text
    assert "/console/calls/console-1?channel=default" in page
    assert re.search(r'class="amount bad"[^>]*>\+\d', page)


def test_a_failure_code_leads_to_its_calls(browser: httpx.Client) -> None:
    """Each reason is a link to the calls with that code in the range; the vendor's unlisted codes have one, too."""
    page = unescape(browser.get("/console/failures").text)
    assert "Powered off" in page
    assert "/console/calls?range=today&failure_code=1" in page
    assert "/console/calls?range=today&failure_code=999" in page


def test_a_page_that_is_not_there_says_so(browser: httpx.Client) -> None:
    """In the frame, with a way back."""
    answer = browser.get("/console/nowhere")
    assert (answer.status_code, "Page not found" in answer.text) == (404, True)


def test_without_its_ledger_the_console_says_so(tmp_path: Path) -> None:
    """When the store cannot be read every page is a 503 in plain words, also for keys that the store holds."""
    with Gateway(tmp_path / "data") as gateway, visitor(gateway) as admin, visitor(gateway) as viewer:
        sign_in(admin, gateway.key)
        sign_in(viewer, make_key(gateway, "looker", "viewer"))
        with closing(sqlite3.connect(gateway.ledger)) as connection:
            connection.execute("DROP TABLE api_keys")
            connection.execute("DROP TABLE rollups")
            connection.commit()
        for client in (admin, viewer):
            answer = client.get("/console")
            assert (answer.status_code, "ledger is unavailable" in answer.text) == (503, True)
            assert "default-src 'none'" in answer.headers["content-security-policy"]
